//! The zero-knowledge statement about a score, its circuit, its proof engines and its verifier contract.
//!
//! [`statement`] says what is proved: the committed features, fed to the model fixed in the verifying key, give the
//! public score. [`circuit`] is that statement for any [`IntegerNetwork`](hygeia_inference::IntegerNetwork),
//! [`engine`] proves and verifies it with a [`prover`] of ours, and [`contract`] writes the verifier for a chain.
//!
//! This crate never releases a proof it has not verified, never trusts bytes before their hash, and never puts a
//! feature, a salt or a witness into an error or a `Debug` text.

pub mod audit;
pub mod circuit;
pub mod contract;
pub mod engine;
pub mod prover;
pub mod statement;

#[cfg(test)]
mod fixtures;

pub use circuit::plan::Goal;
pub use engine::{
    Engine, Proof, ProveError, VerifyError,
    ezkl::{EzklConfig, EzklEngine, EzklError},
    native::{EngineConfig, NativeEngine, Srs, SrsError, VerifyingKeyFile, local_chain, verify},
};
pub use hygeia_gpu_kernels::{
    InferenceGate,
    cuda::DriverConfig as CudaConfig,
    icicle::{IcicleConfig, IcicleDevice},
};
pub use prover::Placement;
pub use statement::{Commitment, CommitmentScheme, PublicInputs, Salt, StatementError, commit};

/// Identifies proof system, curve, opening scheme, transcript and statement version; registries store its Keccak hash.
pub const PROOF_SYSTEM_ID: &str = "halo2-kzg-bn254-shplonk-keccak-v1";
/// The same for EZKL's proofs; which circuit, rounding and lanes are meant is fixed by the verifying key.
pub const EZKL_PROOF_SYSTEM_ID: &str = "ezkl-halo2-kzg-bn254-v1";
