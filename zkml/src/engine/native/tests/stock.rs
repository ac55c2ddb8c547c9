//! The same circuits in the hands of halo2-axiom's own prover: what the columns hold and what synthesis writes is one.

use super::*;

#[test]
fn the_stock_prover_proves_the_same_witness() {
    let (features, salt) = window(31);
    let [ours, theirs] = [ENGINE.prove(&features, &salt), ENGINE.prove_by_stock(&features, &salt)].map(Result::unwrap);
    assert_eq!(theirs.public, ours.public);
    for proof in [ours, theirs] {
        assert_eq!(verify(ENGINE.verifying_key(), &proof.bytes, &proof.public), Ok(()));
        let other = PublicInputs { score: proof.public.score + 1, ..proof.public };
        assert_eq!(verify(ENGINE.verifying_key(), &proof.bytes, &other), Err(VerifyError::Rejected));
    }
}
