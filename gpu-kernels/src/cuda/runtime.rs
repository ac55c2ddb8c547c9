//! The kernels compiled for one device, and vectors in its memory.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use super::{
    device::{Argument, Device, Memory, Shape},
    plain::{Plain, bytes, bytes_mut},
    recorded::Recorded,
    source::Source,
};
use crate::{Fr, InferenceGate, KernelError};

/// Threads of a block where an element is a thread's whole work.
pub(super) const BLOCK: u32 = 256;
/// Kernels that a lane starts before it waits for them, on a device that scores too: an alert's kernels take tens of
/// microseconds each, so a batch that arrives waits for some hundred of them at most.
const LAUNCHES_AHEAD_MAX: u32 = 8;

/// One lane of a device, with the device's kernels.
pub(super) struct Runtime<D: Device> {
    // Recordings hold memory of the lane, so they go first.
    pub recorded: Recorded<D>,
    pub device: D,
    pub kernels: Arc<Kernels<D>>,
    gate: Arc<InferenceGate>,
    /// Kernels that were started since the lane was last waited for, while the device was shared.
    ahead: AtomicU32,
}

/// Everything that is compiled whatever the circuit.
pub(super) struct Kernels<D: Device> {
    pub vector: D::Module,
    pub ntt: D::Module,
    pub msm: D::Module,
    pub poseidon: D::Module,
}

/// Field elements in a device's memory.
pub struct Vector<D: Device> {
    /// Shared with nobody once it is written to: writers hold `&mut`.
    memory: D::Memory,
    length: usize,
}

impl<D: Device> Vector<D> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn memory(&self) -> &D::Memory {
        &self.memory
    }

    pub(super) fn memory_mut(&mut self) -> &mut D::Memory {
        &mut self.memory
    }
}

impl<D: Device> Runtime<D> {
    pub fn new(device: D, gate: Arc<InferenceGate>) -> Result<Arc<Self>, KernelError> {
        let [vector, ntt, msm, poseidon] = [Source::vector(), Source::ntt(), Source::msm(), Source::poseidon()];
        let kernels = Kernels {
            vector: device.compile(&vector)?,
            ntt: device.compile(&ntt)?,
            msm: device.compile(&msm)?,
            poseidon: device.compile(&poseidon)?,
        };
        Ok(Arc::new(Self::over(device, Arc::new(kernels), gate)))
    }

    /// A further lane of the same device, with the same kernels.
    pub fn lane(&self) -> Result<Self, KernelError> {
        Ok(Self::over(self.device.lane()?, Arc::clone(&self.kernels), Arc::clone(&self.gate)))
    }

    fn over(device: D, kernels: Arc<Kernels<D>>, gate: Arc<InferenceGate>) -> Self {
        Self { recorded: Recorded::default(), device, kernels, gate, ahead: AtomicU32::new(0) }
    }

    /// Lets scoring go first. What was started cannot be called back, so while the device is shared a lane does not run
    /// far ahead of it.
    pub fn give_way(&self) -> Result<(), KernelError> {
        if !self.gate.is_used() {
            return Ok(());
        }
        if self.ahead.fetch_add(1, Ordering::Relaxed) + 1 >= LAUNCHES_AHEAD_MAX {
            self.ahead.store(0, Ordering::Relaxed);
            self.device.finish()?;
        }
        self.gate.pass();
        Ok(())
    }

    /// Does what was recorded in this lane, of which the caller holds the memory.
    pub fn replay(&self, recording: &D::Recording) -> Result<(), KernelError> {
        self.give_way()?;
        // SAFETY: a recording is kept beside its memory, and its caller holds the bases that it reads.
        unsafe { self.device.replay(recording) }
    }

    /// Starts one of our own kernels. All launches that are not recorded come through here.
    pub fn launch(
        &self,
        module: &D::Module,
        kernel: &'static str,
        shape: Shape,
        arguments: &[Argument],
    ) -> Result<(), KernelError> {
        self.give_way()?;
        launch(&self.device, module, kernel, shape, arguments)
    }

    /// Memory for a number of values, with unknown content.
    pub fn allocate<T: Plain>(&self, count: usize) -> Result<D::Memory, KernelError> {
        // Devices refuse memory of no size.
        self.device.allocate((count * size_of::<T>()).max(1))
    }

    /// Memory of zeros.
    pub fn zeros<T: Plain>(&self, count: usize) -> Result<D::Memory, KernelError> {
        let mut memory = self.allocate::<T>(count)?;
        self.device.clear(&mut memory)?;
        Ok(memory)
    }

    /// Values brought to the device.
    pub fn put<T: Plain>(&self, values: &[T]) -> Result<D::Memory, KernelError> {
        let mut memory = self.allocate::<T>(values.len())?;
        if !values.is_empty() {
            self.device.write(&mut memory, bytes(values))?;
        }
        Ok(memory)
    }

    /// Values brought back, from the place `first` on.
    pub fn get<T: Plain>(&self, memory: &D::Memory, first: usize, values: &mut [T]) -> Result<(), KernelError> {
        if values.is_empty() {
            return Ok(());
        }
        self.device.read(memory, first * size_of::<T>(), bytes_mut(values))
    }

    /// The addresses of vectors, where kernels find them.
    pub fn addresses<'v>(&self, vectors: impl IntoIterator<Item = &'v Vector<D>>) -> Result<D::Memory, KernelError> {
        let addresses: Vec<u64> = vectors.into_iter().map(|vector| vector.memory.address()).collect();
        self.put(&addresses)
    }

    /// The lengths of vectors.
    pub fn lengths<'v>(&self, vectors: impl IntoIterator<Item = &'v Vector<D>>) -> Result<D::Memory, KernelError> {
        let lengths: Vec<u32> = vectors.into_iter().map(|vector| narrow(vector.length)).collect();
        self.put(&lengths)
    }

    pub fn upload(&self, values: &[Fr]) -> Result<Vector<D>, KernelError> {
        Ok(Vector { memory: self.put(values)?, length: values.len() })
    }

    pub fn download(&self, vector: &Vector<D>) -> Result<Vec<Fr>, KernelError> {
        let mut values = vec![Fr::zero(); vector.length];
        self.get(&vector.memory, 0, &mut values)?;
        Ok(values)
    }

    /// A vector with unknown content.
    pub fn vector(&self, length: usize) -> Result<Vector<D>, KernelError> {
        Ok(Vector { memory: self.allocate::<Fr>(length)?, length })
    }

    pub fn copy(&self, vector: &Vector<D>) -> Result<Vector<D>, KernelError> {
        let mut copy = self.vector(vector.length)?;
        if !vector.is_empty() {
            self.device.copy(&vector.memory, &mut copy.memory, vector.length * size_of::<Fr>())?;
        }
        Ok(copy)
    }
}

/// Starts or records one of our own kernels. All launches of this crate come through here.
pub(super) fn launch<D: Device>(
    device: &D,
    module: &D::Module,
    kernel: &'static str,
    shape: Shape,
    arguments: &[Argument],
) -> Result<(), KernelError> {
    // SAFETY: callers are the functions of this module beside each kernel's name. They hold the memory whose addresses
    // they pass until the launch, after which giving it back waits for the kernel (`Device`), and they pass the lengths
    // of that same memory. The emulated device runs every one of these calls in the tests.
    unsafe { device.launch(module, kernel, shape, arguments) }
}

/// A length as kernels count.
///
/// # Panics
/// Above 2^32, which no domain reaches.
pub(super) fn narrow(length: usize) -> u32 {
    u32::try_from(length).expect("vectors have below 2^32 elements")
}
