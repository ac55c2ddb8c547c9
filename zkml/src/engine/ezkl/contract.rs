//! How EZKL's verifier contract is asked.

use halo2_axiom::halo2curves::ff::PrimeField as _;

use crate::statement::PublicInputs;

/// The first bytes of the Keccak hash of `verifyProof(bytes,uint256[])`.
const SELECTOR: [u8; 4] = [0x1e, 0x8e, 0x1e, 0x13];
const WORD_BYTES: usize = 32;

/// A call of `verifyProof(bytes,uint256[])` with the commitment and the score as instances. The contract reverts on a proof
/// that does not hold. Whoever calls demands the exact length of the proof, canonical instances, and code at the address.
pub fn calldata(public: &PublicInputs, proof: &[u8]) -> Vec<u8> {
    let padded = proof.len().next_multiple_of(WORD_BYTES);
    // Two offsets, the length of the proof, the proof; then the number of instances and these.
    let proof_at = 2 * WORD_BYTES;
    let instances_at = proof_at + WORD_BYTES + padded;
    let words = public.words();
    let mut call = SELECTOR.to_vec();
    for number in [proof_at, instances_at, proof.len()] {
        call.extend(word(number));
    }
    call.extend_from_slice(proof);
    call.resize(SELECTOR.len() + instances_at, 0);
    call.extend(word(words.len()));
    words.iter().for_each(|instance| call.extend_from_slice(instance));
    call
}

fn word(number: usize) -> [u8; WORD_BYTES] {
    let mut word = [0; WORD_BYTES];
    word[WORD_BYTES - size_of::<u64>()..].copy_from_slice(&(number as u64).to_be_bytes());
    word
}

/// An instance as EZKL's files have it: hexadecimal, little-endian.
pub(super) fn instances(public: &PublicInputs) -> [String; 2] {
    public.instances().map(|instance| hex::encode(instance.to_repr()))
}
