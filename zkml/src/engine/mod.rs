//! Proof engines behind one trait, so that a receipt says which engine and version made it and nothing else differs.

pub mod ezkl;
pub mod native;

use std::fmt;

use crate::statement::{CommitmentScheme, PublicInputs, Salt, StatementError};

/// Proves and verifies statements of one model.
pub trait Engine: Send + Sync {
    /// Short stable name for logs, labels and receipts.
    fn name(&self) -> &'static str;

    /// Identifier of the proof system, as registries know it.
    fn proof_system_id(&self) -> &'static str;

    /// Hash of what is proved: model, schema, statement and layout.
    fn circuit_hash(&self) -> [u8; 32];

    /// Hash of the file that anyone needs to verify.
    fn verifying_key_hash(&self) -> [u8; 32];

    /// Bytes of every proof.
    fn proof_bytes(&self) -> usize;

    /// Whether the reference string's secret is public. Only a local chain may accept such proofs.
    fn is_development(&self) -> bool;

    /// How a window is committed to that this engine proves.
    fn commitment_scheme(&self) -> CommitmentScheme;

    /// Proves one window. The proof returned has been verified.
    fn prove(&self, features: &[i32], salt: &Salt) -> Result<Proof, ProveError>;

    /// Verifies a proof of this engine's model.
    fn verify(&self, public: &PublicInputs, proof: &[u8]) -> Result<(), VerifyError>;
}

/// A proof that has been verified, and what it proves.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    /// The proof as the verifier contract takes it.
    pub bytes: Vec<u8>,
    /// What it proves.
    pub public: PublicInputs,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("bytes", &self.bytes.len()).field("public", &self.public).finish()
    }
}

/// Why no proof came out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The features are no valid statement.
    #[error("prove: the features are no valid statement")]
    Statement(#[from] StatementError),
    /// The model does not take this input: wrong length, or a feature outside the bounds the model was accepted for.
    #[error("prove: the model refused the features")]
    Input(#[from] hygeia_inference::NetworkError),
    /// The proof system refused the witness.
    #[error("prove: the proof system failed: {0}")]
    ProofSystem(String),
    /// EZKL gave no proof of this window.
    #[error("prove: EZKL gave no proof of this window")]
    Ezkl(#[source] ezkl::ProofFault),
    /// The prover panicked. Its message is not passed on, for it might carry a witness.
    #[error("prove: the prover panicked")]
    Panicked,
    /// The proof did not verify. An incident: either the prover or the circuit is broken.
    #[error("prove: the new proof failed its own verification")]
    SelfVerificationFailed(#[source] VerifyError),
}

/// Why a proof was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The proof has another length than every proof of this circuit.
    #[error("verify: the proof has {actual} bytes, expected are {expected}")]
    Length {
        /// Bytes that every proof of this circuit has.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// The proof does not hold for these public values and this key.
    #[error("verify: the proof was rejected")]
    Rejected,
    /// The verifier panicked.
    #[error("verify: the verifier panicked")]
    Panicked,
    /// The process that verifies failed: nothing is known of the proof.
    #[error("verify: the verifying process failed")]
    Worker(#[source] ezkl::WorkerError),
}
