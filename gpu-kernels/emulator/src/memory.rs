//! Memory of the emulated device.

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    ptr::NonNull,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use hygeia_gpu_kernels::cuda::Memory;

use crate::queue::{Operation, Queue};

/// Contents of fresh memory, and of what was given back: a kernel that counts on zeros, or comes too late, must fail.
const STALE: u8 = 0xa5;

/// Memory of the emulated device, given back in its lane's turn.
pub struct HostMemory {
    /// None once it was given back.
    pub(crate) block: Option<Arc<Block>>,
    pub(crate) queue: Arc<Queue>,
    /// Of all lanes but the first.
    pub(crate) lanes: Arc<Mutex<Vec<Arc<Queue>>>>,
    pub(crate) is_home: bool,
}

/// What memory and the operations on it share.
#[derive(Debug)]
pub(crate) struct Block {
    start: NonNull<u8>,
    layout: Layout,
    /// Of the device, to give back to.
    left: Arc<AtomicUsize>,
}

// SAFETY: the bytes are reached by the operations of a queue, one at a time, and by whoever waited for them.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    pub fn new(layout: Layout, left: Arc<AtomicUsize>) -> Self {
        // SAFETY: the layout has a size above zero.
        let start = unsafe { alloc(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        let block = Self { start, layout, left };
        block.fill(STALE);
        block
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is this value's own, has this size and was filled when it was allocated.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }

    pub fn write(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.layout.size());
        // SAFETY: it fits; another block's or the host's bytes do not overlap this one's.
        unsafe { self.start.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
    }

    pub fn fill(&self, byte: u8) {
        // SAFETY: the memory is this value's own and has this size.
        unsafe { self.start.write_bytes(byte, self.layout.size()) };
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.fill(STALE);
        // SAFETY: allocated with this layout, and dropped once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

impl HostMemory {
    pub(crate) fn block(&self) -> Arc<Block> {
        Arc::clone(self.block.as_ref().expect("memory has its block until it is dropped"))
    }
}

impl Memory for HostMemory {
    fn address(&self) -> u64 {
        self.block().start.as_ptr().expose_provenance() as u64
    }

    fn bytes(&self) -> usize {
        self.block().layout.size()
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        let Some(block) = self.block.take() else { return };
        block.left.fetch_add(block.layout.size(), Ordering::Relaxed);
        // What fails here is an operation before, which tells whoever waits.
        if self.is_home {
            let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clone();
            lanes.iter().for_each(|lane| drop(self.queue.follow(lane)));
        }
        drop(self.queue.ask(Operation::GiveBack(block)));
    }
}
