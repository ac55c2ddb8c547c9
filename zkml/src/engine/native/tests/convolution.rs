//! Real proofs of a convolutional network: the one that EZKL was measured on.

use super::*;
use crate::fixtures::{CONV_24X8, random_convolutions};

static CONVOLUTION: LazyLock<NativeEngine> = LazyLock::new(|| {
    let network = random_convolutions(CONV_24X8, 3, (-4096, 4096));
    let srs = Srs::development(NativeEngine::plan(&network, Goal::Latency).unwrap().k).unwrap();
    NativeEngine::new(&network, SCHEMA, &srs, &CONFIG).unwrap()
});

fn convolution_window(seed: u64) -> (Vec<i32>, Salt) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (random_features(&CONVOLUTION.network, &mut rng), Salt::random(&mut rng))
}

#[test]
fn a_convolution_is_proved_and_its_tampered_twins_are_rejected() {
    let key = CONVOLUTION.verifying_key();
    let (features, salt) = convolution_window(1);
    let proof = CONVOLUTION.prove(&features, &salt).unwrap();
    assert_eq!(proof.public.score, CONVOLUTION.network.score(&features).unwrap());
    assert_eq!(proof.public.commitment, commit(SCHEMA, &features, &salt).unwrap());
    assert_eq!(proof.bytes.len(), key.plan().proof_bytes());
    assert_eq!(verify(key, &proof.bytes, &proof.public), Ok(()));
    let other = PublicInputs { score: proof.public.score + 1, ..proof.public };
    assert_eq!(verify(key, &proof.bytes, &other), Err(VerifyError::Rejected));
    for at in (0..proof.bytes.len()).step_by(211) {
        let mut bytes = proof.bytes.clone();
        bytes[at] ^= 1;
        assert_eq!(verify(key, &bytes, &proof.public), Err(VerifyError::Rejected), "byte {at}");
    }
    let solidity = verifier_solidity(key).unwrap();
    assert!(solidity.contains(&hex::encode(key.hash())));
}

/// A wrong sum in each layer, steps exchanged and a border that is none, through the whole prover: it makes a proof, which
/// does not verify.
#[test]
fn forged_sums_give_no_proof() {
    let (features, salt) = convolution_window(2);
    let layout = &CONVOLUTION.layout;
    let honest =
        witness::fill(layout, &CONVOLUTION.network, &features, &salt, &mut ChaCha20Rng::seed_from_u64(3)).unwrap();
    let exchange = |witness: &mut Witness, one: usize, other: usize| {
        (0..3).for_each(|up| witness.first.limb.swap(one - up, other - up));
        witness.first.cell.swap(one, other);
    };
    let last_of = |layer: usize| layout.plan.shape.width(layer) - 1;
    // Exchanging keeps all lookups right: steps of the first convolution, of the second, the last step with one beyond.
    let forgeries = [
        (layout.nodes[1][0], layout.nodes[1][16]),
        (layout.nodes[2][5], layout.nodes[2][16 * 7 + 5]),
        (layout.nodes[1][last_of(1)], layout.nodes[1][last_of(1) + 16]),
    ];
    for (one, other) in forgeries {
        let mut witness = honest.clone();
        exchange(&mut witness, one, other);
        assert_ne!(witness.first.limb, honest.first.limb);
        let public = witness.public;
        let bytes = CONVOLUTION.write_proof(&witness, &mut ChaCha20Rng::seed_from_u64(4)).unwrap();
        assert_eq!(verify(CONVOLUTION.verifying_key(), &bytes, &public), Err(VerifyError::Rejected));
    }
    let public = honest.public;
    let bytes = CONVOLUTION.write_proof(&honest, &mut ChaCha20Rng::seed_from_u64(5)).unwrap();
    assert_eq!(verify(CONVOLUTION.verifying_key(), &bytes, &public), Ok(()));
}
