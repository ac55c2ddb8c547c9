//! The kernels compiled for one device, and vectors in its memory.

use std::sync::Arc;

use super::{
    device::{Argument, Device, Memory, Shape},
    plain::{Plain, bytes, bytes_mut},
    source::Source,
};
use crate::{Fr, KernelError};

/// Threads of a block where an element is a thread's whole work.
pub(super) const BLOCK: u32 = 256;

/// A device with its kernels.
pub(super) struct Runtime<D: Device> {
    pub device: D,
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
    pub fn new(device: D) -> Result<Arc<Self>, KernelError> {
        let [vector, ntt, msm, poseidon] = [Source::vector(), Source::ntt(), Source::msm(), Source::poseidon()];
        Ok(Arc::new(Self {
            vector: device.compile(&vector)?,
            ntt: device.compile(&ntt)?,
            msm: device.compile(&msm)?,
            poseidon: device.compile(&poseidon)?,
            device,
        }))
    }

    /// Starts one of our own kernels. All launches of this crate come through here.
    pub fn launch(
        &self,
        module: &D::Module,
        kernel: &'static str,
        shape: Shape,
        arguments: &[Argument],
    ) -> Result<(), KernelError> {
        // SAFETY: callers are the functions of this module beside each kernel's name. They hold the memory whose
        // addresses they pass until the launch, after which giving it back waits for the kernel (`Device`), and they
        // pass the lengths of that same memory. The emulated device runs every one of these calls in the tests.
        unsafe { self.device.launch(module, kernel, shape, arguments) }
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

/// A length as kernels count.
///
/// # Panics
/// Above 2^32, which no domain reaches.
pub(super) fn narrow(length: usize) -> u32 {
    u32::try_from(length).expect("vectors have below 2^32 elements")
}
