//! halo2-axiom's own prover on our circuits. Ours is measured against it, and tests have it prove the same witness: what our
//! prover is handed must be what synthesis writes.

use halo2_axiom::{
    halo2curves::bn256::{Bn256, Fr, G1Affine},
    plonk::{Circuit, ProvingKey, create_proof},
    poly::kzg::{
        commitment::{KZGCommitmentScheme, ParamsKZG},
        multiopen::ProverSHPLONK,
    },
    transcript::TranscriptWriterBuffer,
};
use rand::{CryptoRng, RngCore};
use snark_verifier::system::halo2::transcript::evm::{ChallengeEvm, EvmTranscript};

use super::ProverError;

/// The proof of a circuit that holds its witness.
pub fn prove<C: Circuit<Fr>>(
    params: &ParamsKZG<Bn256>,
    key: &ProvingKey<G1Affine>,
    circuit: C,
    instances: &[Fr],
    rng: impl RngCore + CryptoRng + Send,
) -> Result<Vec<u8>, ProverError> {
    let mut transcript: EvmTranscript<G1Affine, _, _, _> = TranscriptWriterBuffer::<_, G1Affine, _>::init(Vec::new());
    create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, ChallengeEvm<G1Affine>, _, _, _>(
        params,
        key,
        &[circuit],
        &[&[instances]],
        rng,
        &mut transcript,
    )
    .map_err(|_| ProverError::Stock)?;
    Ok(transcript.finalize())
}
