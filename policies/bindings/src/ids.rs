//! Identifiers and public inputs, as the contracts compute them. Each has its formula in the interface named.

use std::num::NonZeroU32;

use alloy::primitives::{Address, B256, FixedBytes, U256, keccak256, uint};
use alloy::sol_types::SolValue;

use crate::{ModelCommitment, PolicyTerms};

/// Canonical name of this project's proof system, which `InferenceVerifier` knows.
pub const PROOF_SYSTEM: &str = "halo2-kzg-bn254-shplonk-keccak-v1";

/// Canonical name of EZKL's proof system, which it knows too.
pub const EZKL_PROOF_SYSTEM: &str = "ezkl-halo2-kzg-bn254-v1";

/// Order of the BN254 scalar field.
pub const FIELD_MODULUS: U256 =
    uint!(21888242871839275222246405745257275088548364400416034343698204186575808495617_U256);

/// ERC-7992 identifier of a proof system: the first four bytes of the hash of its canonical name.
pub fn proof_system_id(name: &str) -> FixedBytes<4> {
    let [a, b, c, d, ..] = keccak256(name).0;
    FixedBytes([a, b, c, d])
}

/// Identifier of a model (`IModelRegistry`).
pub fn model_id(commitment: &ModelCommitment) -> B256 {
    let encoded = (
        keccak256("hygeia/model/v1"),
        commitment.modelHash,
        commitment.circuitHash,
        commitment.vkHash,
        commitment.proofSystemId,
        keccak256(&commitment.uri),
    );
    keccak256(encoded.abi_encode())
}

/// Identifier of a care policy (`IPolicyRegistry`).
pub fn policy_id(terms: &PolicyTerms) -> B256 {
    keccak256([keccak256("hygeia/policy/v1").as_slice(), &terms.abi_encode()].concat())
}

/// Identifier of the mandate of a key (`IMandateRegistry`).
pub fn mandate_id(key: Address) -> B256 {
    keccak256((keccak256("hygeia/mandate/v1"), key).abi_encode())
}

/// Nullifier of a trigger, which is also the trigger's identifier (`ICareCoordinator`).
pub fn nullifier(mandate: B256, policy: B256, window_end_s: u64, cool_down_s: NonZeroU32) -> B256 {
    let period = window_end_s / u64::from(cool_down_s.get());
    keccak256((mandate, policy, period).abi_encode())
}

/// The public input that stands for a score: the field element it is congruent to.
pub fn score_input(score: i64) -> U256 {
    let magnitude = U256::from(score.unsigned_abs());
    if score < 0 { FIELD_MODULUS - magnitude } else { magnitude }
}
