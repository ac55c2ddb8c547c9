//! A prover on the device that was asked for, which falls back to the processor.
//!
//! A device may be taken by others, run out of memory or fail in the middle of a proof. The same proof is then made on
//! the processor: later, but made. Nothing of an abandoned proof leaves.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use halo2_axiom::{
    halo2curves::bn256::{Bn256, Fr, G1Affine},
    plonk::ProvingKey,
    poly::kzg::commitment::ParamsKZG,
    transcript::TranscriptWriterBuffer,
};
use hygeia_gpu_kernels::{
    Accelerator, CpuAccelerator, KernelError,
    cuda::{CudaAccelerator, Driver, DriverConfig},
    icicle::{IcicleAccelerator, IcicleConfig},
};
use snark_verifier::system::halo2::transcript::evm::EvmTranscript;

use super::{Freedom, PhasedWitness, Prover, ProverError};

/// Where proofs are made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Placement {
    /// On the processor.
    #[default]
    Cpu,
    /// On a CUDA device, with kernels of our own. A machine without one refuses; a device that fails later is stood in
    /// for by the processor.
    Cuda(DriverConfig),
    /// By ICICLE, where the user has installed it; likewise.
    Icicle(IcicleConfig),
}

/// A prover on something else than the processor.
enum Fast {
    Cuda(Box<Prover<CudaAccelerator<Driver>>>),
    Icicle(Box<Prover<IcicleAccelerator>>),
}

/// A proving key, made ready where it is to be used.
pub struct PlacedProver {
    key: Arc<ProvingKey<G1Affine>>,
    device: Option<Fast>,
    /// Whether a failure of the device was told of since it last worked.
    is_told: AtomicBool,
    /// Made when it is needed where there is a device.
    processor: OnceLock<Prover>,
}

impl PlacedProver {
    /// Makes a key ready. The reference string must have the key's size.
    pub fn new(
        placement: &Placement,
        key: ProvingKey<G1Affine>,
        params: &ParamsKZG<Bn256>,
    ) -> Result<Self, ProverError> {
        let mut placed =
            Self { key: Arc::new(key), device: None, is_told: AtomicBool::new(false), processor: OnceLock::new() };
        match placement {
            Placement::Cpu => {
                placed.processor(params)?;
            }
            Placement::Cuda(config) => {
                let device = CudaAccelerator::open(config)?;
                let prover = Prover::new(device, Arc::clone(&placed.key), params)?;
                placed.device = Some(Fast::Cuda(Box::new(prover)));
            }
            Placement::Icicle(config) => {
                let device = IcicleAccelerator::open(config)?;
                let prover = Prover::new(device, Arc::clone(&placed.key), params)?;
                placed.device = Some(Fast::Icicle(Box::new(prover)));
            }
        }
        Ok(placed)
    }

    /// The key it was made from.
    pub fn key(&self) -> &ProvingKey<G1Affine> {
        &self.key
    }

    /// The same key made ready on a device of the caller's.
    pub(crate) fn on<A: Accelerator>(&self, device: A, params: &ParamsKZG<Bn256>) -> Result<Prover<A>, ProverError> {
        Prover::new(device, Arc::clone(&self.key), params)
    }

    /// Where it proves, for logs and labels.
    pub fn device(&self) -> &'static str {
        self.device.as_ref().map_or(CpuAccelerator.name(), Fast::name)
    }

    /// The proof of a witness, right or wrong: whoever lets it out verifies it.
    pub fn write<W: PhasedWitness>(
        &self,
        params: &ParamsKZG<Bn256>,
        witness: &W,
        instances: &[Fr],
        freedom: &mut impl Freedom,
    ) -> Result<Vec<u8>, ProverError> {
        if let Some(fast) = &self.device {
            match fast.write(witness, instances, freedom) {
                Err(ProverError::Kernel(error)) if error.is_of_device() => self.tell(&error),
                result => {
                    self.is_told.store(false, Ordering::Relaxed);
                    return result;
                }
            }
        }
        write(self.processor(params)?, witness, instances, freedom)
    }

    /// The prover on the processor.
    pub(crate) fn processor(&self, params: &ParamsKZG<Bn256>) -> Result<&Prover, ProverError> {
        if let Some(prover) = self.processor.get() {
            return Ok(prover);
        }
        let prover = Prover::new(CpuAccelerator, Arc::clone(&self.key), params)?;
        Ok(self.processor.get_or_init(|| prover))
    }

    /// Once for each time that the device stops working.
    fn tell(&self, error: &KernelError) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(device = self.device(), %error, "the device failed; proofs are made on the processor meanwhile");
        }
    }
}

impl Fast {
    fn name(&self) -> &'static str {
        match self {
            Self::Cuda(prover) => prover.device().name(),
            Self::Icicle(prover) => prover.device().name(),
        }
    }

    fn write<W: PhasedWitness>(
        &self,
        witness: &W,
        instances: &[Fr],
        freedom: &mut impl Freedom,
    ) -> Result<Vec<u8>, ProverError> {
        match self {
            Self::Cuda(prover) => write(prover, witness, instances, freedom),
            Self::Icicle(prover) => write(prover, witness, instances, freedom),
        }
    }
}

/// The proof of a witness by one prover, right or wrong.
pub(crate) fn write<A: Accelerator, W: PhasedWitness>(
    prover: &Prover<A>,
    witness: &W,
    instances: &[Fr],
    freedom: &mut impl Freedom,
) -> Result<Vec<u8>, ProverError> {
    let mut transcript: EvmTranscript<G1Affine, _, _, _> = TranscriptWriterBuffer::<_, G1Affine, _>::init(Vec::new());
    prover.prove(witness, instances, freedom, &mut transcript)?;
    Ok(transcript.finalize())
}
