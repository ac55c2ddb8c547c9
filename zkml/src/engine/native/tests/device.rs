//! The same proof on another device: the CUDA kernels, run by the emulator.

use halo2_axiom::transcript::TranscriptWriterBuffer;
use hygeia_gpu_emulator::Emulator;
use hygeia_gpu_kernels::{
    Accelerator, CudaAccelerator, KernelError,
    cuda::{nvrtc, program_source},
};

use super::*;
use crate::prover::{Prover, program::Program};

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

/// Each in a lane of its own, on a device that does nothing before somebody waits for it.
#[test]
fn proofs_in_flight_on_one_device_are_those_of_the_processor() {
    let device = CudaAccelerator::over(Emulator::new().unwrap().late()).unwrap();
    let prover = Prover::new(device, Arc::new(ENGINE.prover.key().clone()), ENGINE.srs.params()).unwrap();
    let processor = ENGINE.prover.processor(ENGINE.srs.params()).unwrap();
    let (features, salt) = window(44);
    let mut rng = ChaCha20Rng::seed_from_u64(44);
    let witness = &witness::fill(&ENGINE.layout, &ENGINE.network, &features, &salt, &mut rng).unwrap();
    let seeds = [45, 46];
    let emulated = std::thread::scope(|scope| {
        let prover = &prover;
        let proofs = seeds.map(|seed| scope.spawn(move || proof_on(prover, witness, seed)));
        proofs.map(|proof| proof.join().unwrap())
    });
    assert_eq!(emulated, seeds.map(|seed| proof_on(processor, witness, seed)));
    assert_ne!(emulated[0], emulated[1]);
}

/// The generated kernel of a real circuit's gates, where CUDA's run-time compiler is.
#[test]
fn the_gates_compile_for_a_device() {
    let gates = ENGINE.prover.key().get_vk().cs().gates().iter().flat_map(|gate| gate.polynomials());
    let source = program_source(Program::compile(gates).rows());
    match nvrtc::compile(&source, "sm_90") {
        Ok(image) => assert!(image.starts_with(b"\x7fELF")),
        Err(error @ KernelError::Missing { .. }) => eprintln!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    }
}
