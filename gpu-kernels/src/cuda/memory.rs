//! Memory of a CUDA device: how much of it is taken, and when it is given back.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use cudarc::driver::{
    CudaContext, CudaStream,
    result::{self, mem_pool},
    sys::CUmemPool_attribute,
};

use super::{device::Memory, driver::failed, images::Images};
use crate::KernelError;

/// The device, for all of its lanes.
pub(super) struct Shared {
    pub context: Arc<CudaContext>,
    pub images: Images,
    pub budget: Budget,
    /// Whether the driver records graphs.
    pub records: bool,
    /// Streams of all lanes but the first, which gives nothing back that they may still read.
    pub lanes: Mutex<Vec<Arc<CudaStream>>>,
}

/// Memory taken, and how much may be.
pub(super) struct Budget {
    pub taken: AtomicUsize,
    pub max: usize,
}

/// Memory of a CUDA device.
pub struct DeviceMemory {
    pub(super) address: u64,
    pub(super) bytes: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) stream: Arc<CudaStream>,
    pub(super) is_home: bool,
}

impl Shared {
    /// Nothing panics while it holds the lock.
    pub fn lanes(&self) -> MutexGuard<'_, Vec<Arc<CudaStream>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory for DeviceMemory {
    fn address(&self) -> u64 {
        self.address
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        self.shared.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        let context = self.stream.context();
        // A failure is the device's, and shows at the next call.
        context.record_err(context.bind_to_thread());
        if self.is_home {
            // Lanes read what was made outside of them, and may not be done yet.
            self.shared.lanes().iter().for_each(|lane| context.record_err(self.stream.join(lane)));
        }
        // SAFETY: allocated in this stream, and given back once, behind all that was asked for.
        context.record_err(unsafe { result::free_async(self.address, self.stream.cu_stream()) });
    }
}

/// Keeps memory that was given back, so that the next allocation need not ask the system.
pub(super) fn keep_freed_memory(context: &CudaContext) -> Result<(), KernelError> {
    let failed = failed("set up the memory pool");
    let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    let mut threshold = u64::MAX;
    // SAFETY: the device is the context's, its default pool lives as long as it does, and the attribute is a number of
    // 64 bits.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device()).map_err(failed)?;
        mem_pool::set_attribute(pool, attribute, std::ptr::from_mut(&mut threshold).cast()).map_err(failed)
    }
}
