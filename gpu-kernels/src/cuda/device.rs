//! What runs kernels: a CUDA device through its driver, or whatever a test puts in its place.

use super::source::Source;
use crate::{Fr, KernelError};

/// A device with memory of its own, as one of its lanes sees it.
///
/// In a lane, operations take effect in the order in which they were asked for; lanes beside each other are not ordered
/// but by [`Self::follow`] and [`Self::finish`]. Kernels may still run when [`Self::launch`] returns; [`Self::read`]
/// waits for them. Memory that is dropped is given back after what was asked for before in its lane; memory of the first
/// lane, which the others read, after what was asked for before in any.
pub trait Device: Sized + Send + Sync + 'static {
    /// Memory of the device, given back when dropped.
    type Memory: Memory;
    /// Compiled kernels, for every lane.
    type Module: Send + Sync;
    /// Operations to be repeated in any lane.
    type Recording: Send + Sync;

    /// Opens a further lane. Dropping it closes it.
    fn lane(&self) -> Result<Self, KernelError>;

    /// What is asked for here from now on comes after all that was asked of the other lane.
    fn follow(&self, other: &Self) -> Result<(), KernelError>;

    /// Waits for all that was asked for in this lane.
    fn finish(&self) -> Result<(), KernelError>;

    /// Stable name for logs and metric labels, such as `cuda`.
    fn name(&self) -> &'static str;

    /// Memory with unknown content, aligned to 256 bytes. What cannot be had is [`KernelError::Memory`].
    fn allocate(&self, bytes: usize) -> Result<Self::Memory, KernelError>;

    /// Writes from the beginning of the memory on.
    ///
    /// # Panics
    /// If there are more bytes than memory; as do the other transfers.
    fn write(&self, memory: &mut Self::Memory, bytes: &[u8]) -> Result<(), KernelError>;

    /// Reads from an offset on.
    fn read(&self, memory: &Self::Memory, offset: usize, bytes: &mut [u8]) -> Result<(), KernelError>;

    /// Copies the first bytes of one memory to another.
    fn copy(&self, from: &Self::Memory, to: &mut Self::Memory, bytes: usize) -> Result<(), KernelError>;

    /// Fills memory with zero bytes.
    fn clear(&self, memory: &mut Self::Memory) -> Result<(), KernelError>;

    /// Compiles kernels for this device.
    fn compile(&self, source: &Source) -> Result<Self::Module, KernelError>;

    /// Starts a kernel.
    ///
    /// # Safety
    /// The arguments must be those that the kernel takes, in number, order and size, and all addresses that it computes
    /// from them must lie in memory of this device that is not dropped yet.
    unsafe fn launch(
        &self,
        module: &Self::Module,
        kernel: &'static str,
        shape: Shape,
        arguments: &[Argument],
    ) -> Result<(), KernelError>;

    /// Records what `work` launches and clears on the device that it is given, without doing it. None where the device
    /// cannot record. There, `work` must not allocate, transfer or give back memory.
    fn record(
        &self,
        work: &mut dyn FnMut(&Self) -> Result<(), KernelError>,
    ) -> Result<Option<Self::Recording>, KernelError>;

    /// Does in this lane what was recorded.
    ///
    /// # Safety
    /// All memory that the recorded operations were given must not be dropped yet.
    unsafe fn replay(&self, recording: &Self::Recording) -> Result<(), KernelError>;
}

/// Memory of a device.
pub trait Memory: Send + Sync {
    /// Where it begins, as kernels see it.
    fn address(&self) -> u64;

    /// How much it is.
    fn bytes(&self) -> usize;
}

/// How a kernel is laid out over threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Blocks, along two axes.
    pub grid: (u32, u32),
    /// Threads of a block.
    pub block: u32,
    /// Bytes of shared memory whose size the launch decides.
    pub shared: u32,
}

impl Shape {
    /// At least one thread for each of `count` items, and one row of blocks for each member of a batch.
    pub(super) fn cover(count: usize, block: u32, batch: usize) -> Self {
        let blocks = count.div_ceil(block as usize).max(1);
        let narrow = |value| u32::try_from(value).expect("vectors have below 2^32 elements");
        Self { grid: (narrow(blocks), narrow(batch)), block, shared: 0 }
    }
}

/// What a kernel is given, with the size and alignment that it has there.
#[derive(Debug, Clone, Copy)]
pub enum Argument {
    /// `u32`.
    Number(u32),
    /// A pointer.
    Address(u64),
    /// `Fr` by value.
    Field(AlignedField),
    /// A structure of five `u32`.
    Numbers([u32; 5]),
}

/// A field element as kernels take it by value.
#[derive(Debug, Clone, Copy)]
#[repr(align(16))]
pub struct AlignedField(pub Fr);

impl Argument {
    /// Where the value lies.
    pub fn pointer(&self) -> *const std::ffi::c_void {
        match self {
            Self::Number(value) => std::ptr::from_ref(value).cast(),
            Self::Address(value) => std::ptr::from_ref(value).cast(),
            Self::Field(value) => std::ptr::from_ref(value).cast(),
            Self::Numbers(values) => std::ptr::from_ref(values).cast(),
        }
    }
}

impl From<u32> for Argument {
    fn from(value: u32) -> Self {
        Self::Number(value)
    }
}

impl From<usize> for Argument {
    /// # Panics
    /// Above 2^32: the kernels count in 32 bits.
    fn from(value: usize) -> Self {
        Self::Number(u32::try_from(value).expect("vectors have below 2^32 elements"))
    }
}

impl From<Fr> for Argument {
    fn from(value: Fr) -> Self {
        Self::Field(AlignedField(value))
    }
}

impl<M: Memory> From<&M> for Argument {
    fn from(memory: &M) -> Self {
        Self::Address(memory.address())
    }
}
