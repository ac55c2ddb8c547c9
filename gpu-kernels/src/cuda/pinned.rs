//! Page-locked memory of the driver's, and the transfers of one stream.

use std::{ptr::NonNull, sync::Arc};

use cudarc::driver::{CudaEvent, CudaStream, result};

use super::{
    driver::failed,
    staging::{CHUNK_BYTES, CHUNKS, Link, Piece},
};
use crate::KernelError;

/// The chunks of one stream.
pub(super) struct PinnedLink {
    stream: Arc<CudaStream>,
    chunks: [Chunk; CHUNKS],
}

/// Page-locked memory, given back when dropped.
struct Chunk {
    start: NonNull<u8>,
    stream: Arc<CudaStream>,
}

// SAFETY: the memory is owned, and reached through `&mut` alone.
unsafe impl Send for Chunk {}

impl PinnedLink {
    /// Refused where the machine has no memory to lock: then transfers go without.
    pub fn new(stream: &Arc<CudaStream>) -> Result<Self, KernelError> {
        Ok(Self { stream: Arc::clone(stream), chunks: [Chunk::new(stream)?, Chunk::new(stream)?] })
    }
}

impl Chunk {
    fn new(stream: &Arc<CudaStream>) -> Result<Self, KernelError> {
        let failed = failed("lock memory");
        stream.context().bind_to_thread().map_err(failed)?;
        // SAFETY: a plain allocation; the size is not zero.
        let start = unsafe { result::malloc_host(CHUNK_BYTES, 0) }.map_err(failed)?;
        let start = NonNull::new(start.cast::<u8>()).ok_or(KernelError::Memory { bytes: CHUNK_BYTES })?;
        // SAFETY: just allocated with this size. The driver does not say what is in it.
        unsafe { start.write_bytes(0, CHUNK_BYTES) };
        Ok(Self { start, stream: Arc::clone(stream) })
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: allocated with this size and filled; alive until it is dropped, and borrowed once.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), CHUNK_BYTES) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let context = self.stream.context();
        // Transfers may be under way. A failure is the device's, and shows at the next call.
        context.record_err(self.stream.synchronize());
        // SAFETY: allocated by `malloc_host`, given back once, and no longer in use.
        context.record_err(unsafe { result::free_host(self.start.as_ptr().cast()) });
    }
}

impl Link for PinnedLink {
    type Mark = CudaEvent;

    fn chunk(&mut self, index: usize) -> &mut [u8] {
        self.chunks[index].bytes()
    }

    fn send(&mut self, piece: Piece, address: u64) -> Result<(), KernelError> {
        let stream = self.stream.cu_stream();
        let bytes = &self.chunk(piece.chunk)[piece.start..][..piece.bytes];
        // SAFETY: `Staging` leaves the piece alone until a later mark is reached, and the caller holds memory of the
        // device at the address.
        unsafe { result::memcpy_htod_async(address, bytes, stream) }.map_err(failed("write to the device"))
    }

    fn fetch(&mut self, piece: Piece, address: u64) -> Result<(), KernelError> {
        let stream = self.stream.cu_stream();
        let bytes = &mut self.chunk(piece.chunk)[piece.start..][..piece.bytes];
        // SAFETY: as for `send`; `Staging` reads the piece when a mark behind this is reached.
        unsafe { result::memcpy_dtoh_async(bytes, address, stream) }.map_err(failed("read from the device"))
    }

    fn mark(&mut self) -> Result<CudaEvent, KernelError> {
        self.stream.record_event(None).map_err(failed("mark a moment"))
    }

    fn wait(&mut self, mark: &CudaEvent) -> Result<(), KernelError> {
        mark.synchronize().map_err(failed("wait for the device"))
    }
}
