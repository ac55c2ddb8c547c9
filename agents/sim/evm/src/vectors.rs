//! The committed proof of the shipped model, and the verifier that was generated for it.

use alloy::primitives::{B256, Bytes};
use serde::Deserialize;

/// A real proof: `cargo xtask gen` makes it.
const PROOF: &str = include_str!("../../../../policies/generated/proof.json");
/// The verifier's bytecode.
const VERIFIER: &str = include_str!("../../../../policies/generated/Halo2Verifier.json");
/// Hash of the feature schema that the attestations name; the proof does not.
pub(crate) const SCHEMA: B256 = B256::repeat_byte(3);

/// What a window's receipt carries.
#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) commitment: B256,
    pub(crate) score: i64,
    pub(crate) proof: Bytes,
}

impl Vector {
    /// The committed one.
    pub(crate) fn committed() -> Vector {
        #[derive(Deserialize)]
        struct Committed {
            commitment: B256,
            score: String,
            proof: Bytes,
        }
        let Committed { commitment, score, proof } =
            serde_json::from_str(PROOF).expect("the committed proof is whole");
        Vector { commitment, score: score.parse().expect("a score is a number"), proof }
    }
}

/// Bytecode of the generated verifier.
pub(crate) fn verifier() -> Bytes {
    #[derive(Deserialize)]
    struct Artifact {
        bytecode: Bytes,
    }
    let artifact: Artifact = serde_json::from_str(VERIFIER).expect("the committed verifier is whole");
    artifact.bytecode
}
