//! The same proof on another device: the CUDA kernels, run by the emulator.

use halo2_axiom::transcript::TranscriptWriterBuffer;
use hygeia_gpu_kernels::Accelerator;

use super::*;
use crate::prover::Prover;

fn proof_on<A: Accelerator>(prover: &Prover<A>, witness: &Witness, seed: u64) -> Vec<u8> {
    let columns = AlertColumns { layout: &ENGINE.layout, witness };
    let mut transcript: EvmTranscript<G1Affine, _, _, _> = TranscriptWriterBuffer::<_, G1Affine, _>::init(Vec::new());
    let mut freedom = ChaCha20Rng::seed_from_u64(seed);
    prover.prove(&columns, &witness.public.instances(), &mut freedom, &mut transcript).unwrap();
    transcript.finalize()
}

#[test]
fn the_emulated_device_writes_the_proof_that_the_processor_writes() {
    let device = hygeia_gpu_emulator::accelerator().unwrap();
    let key = Arc::new(ENGINE.prover.key().clone());
    let prover = Prover::new(device, key, ENGINE.srs.params()).unwrap();
    let processor = ENGINE.prover.processor(ENGINE.srs.params()).unwrap();
    let (features, salt) = window(41);
    let mut rng = ChaCha20Rng::seed_from_u64(41);
    let witness = witness::fill(&ENGINE.layout, &ENGINE.network, &features, &salt, &mut rng).unwrap();

    let emulated = proof_on(&prover, &witness, 42);
    assert_eq!(emulated, proof_on(processor, &witness, 42));
    assert_ne!(emulated, proof_on(processor, &witness, 43));
    assert_eq!(verify(ENGINE.verifying_key(), &emulated, &witness.public), Ok(()));
    let other = PublicInputs { score: witness.public.score + 1, ..witness.public };
    assert_eq!(verify(ENGINE.verifying_key(), &emulated, &other), Err(VerifyError::Rejected));
}
