//! The same circuits in the hands of halo2-axiom's own prover: what the columns hold and what synthesis writes is one.

use halo2_axiom::{plonk::create_proof, poly::kzg::multiopen::ProverSHPLONK};

use super::*;

#[test]
fn the_stock_prover_proves_the_same_witness() {
    let (features, salt) = window(31);
    let mut rng = ChaCha20Rng::seed_from_u64(32);
    let witness = witness::fill(&ENGINE.layout, &ENGINE.network, &features, &salt, &mut rng).unwrap();
    let public = witness.public;
    let ours = ENGINE.write_proof(&witness, &mut rng).unwrap();
    let circuit = AlertCircuit::with_witness(Arc::clone(&ENGINE.layout), witness);
    let mut transcript: EvmTranscript<G1Affine, _, _, _> = TranscriptWriterBuffer::<_, G1Affine, _>::init(Vec::new());
    create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, ChallengeEvm<G1Affine>, _, _, _>(
        ENGINE.srs.params(),
        ENGINE.prover.key(),
        &[circuit],
        &[&[&public.instances()]],
        rng,
        &mut transcript,
    )
    .unwrap();
    let theirs: Vec<u8> = transcript.finalize();
    assert_eq!(theirs.len(), ours.len());
    for proof in [ours, theirs] {
        assert_eq!(verify(ENGINE.verifying_key(), &proof, &public), Ok(()));
        let other = PublicInputs { score: public.score + 1, ..public };
        assert_eq!(verify(ENGINE.verifying_key(), &proof, &other), Err(VerifyError::Rejected));
    }
}
