//! Kernels recorded as a graph of the driver's, which starts them all with one call.

use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{
    CudaGraph, CudaStream, result,
    sys::{CUgraphInstantiate_flags, CUstreamCaptureMode},
};

use super::driver::failed;
use crate::KernelError;

/// A graph made ready.
pub struct Graph(Mutex<Owned>);

struct Owned(CudaGraph);

// SAFETY: a graph may be used from any thread, by one at a time: the lock sees to that.
unsafe impl Send for Owned {}

impl Graph {
    /// Records what `work` asks of a stream that nobody else uses. None where the driver does not record, or not this:
    /// what cannot be repeated can still be done.
    pub(super) fn record(
        stream: &Arc<CudaStream>,
        work: impl FnOnce() -> Result<(), KernelError>,
    ) -> Result<Option<Self>, KernelError> {
        // Other threads' calls are none of this recording's.
        if stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).is_err() {
            return Ok(None);
        }
        let asked = work();
        // A recording that was begun is ended, whatever became of it.
        let graph = stream.end_capture(CUgraphInstantiate_flags(0));
        asked?;
        Ok(graph.ok().flatten().map(|graph| Self(Mutex::new(Owned(graph)))))
    }

    /// Starts the graph in a stream.
    ///
    /// # Safety
    /// All memory that the recorded kernels were given must be alive.
    pub(super) unsafe fn replay(&self, stream: &CudaStream) -> Result<(), KernelError> {
        let graph = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: graph and stream are alive; the caller vouches for the memory.
        unsafe { result::graph::launch(graph.0.cu_graph_exec(), stream.cu_stream()) }
            .map_err(failed("repeat a recording"))
    }
}
