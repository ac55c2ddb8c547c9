//! Lanes of one device: proofs beside each other that do not wait for each other's kernels.
//!
//! A lane sees what was on the device when it was opened, and is waited for before it is given back, so nothing of a
//! lane is under way when its user goes on. This module never orders two lanes that are open at the same time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{device::Device, runtime::Runtime};
use crate::KernelError;

/// Lanes at a time. An alert's kernels leave most of a large device idle, but each lane keeps its recordings, and eight
/// proofs keep a device busy while their hosts hash and draw.
pub(super) const LANES_MAX: usize = 8;

/// The lanes of a device that are not in use, and how many are.
pub(super) struct Lanes<D: Device> {
    pool: Mutex<Pool<D>>,
}

struct Pool<D: Device> {
    /// Streams and recordings of small sums are worth keeping.
    idle: Vec<Arc<Runtime<D>>>,
    in_use: usize,
}

/// A lane in use, given back when dropped.
pub(super) struct Lane<'l, D: Device> {
    lanes: &'l Lanes<D>,
    runtime: Option<Arc<Runtime<D>>>,
}

impl<D: Device> Lanes<D> {
    pub fn new() -> Self {
        Self { pool: Mutex::new(Pool { idle: Vec::new(), in_use: 0 }) }
    }

    /// A lane behind all that was asked for outside of lanes. None while all are in use: a user that waited for one could
    /// be a task of a thread pool that runs on the stack of the lane's own user.
    pub fn open(&self, home: &Runtime<D>) -> Result<Option<Lane<'_, D>>, KernelError> {
        let mut pool = self.pool();
        if pool.in_use == LANES_MAX {
            return Ok(None);
        }
        let idle = pool.idle.pop();
        pool.in_use += 1;
        drop(pool);
        // From here on dropping the lane gives its place back, whatever fails.
        let mut lane = Lane { lanes: self, runtime: idle };
        let runtime = match lane.runtime.take() {
            Some(runtime) => runtime,
            None => Arc::new(home.lane()?),
        };
        runtime.device.follow(&home.device)?;
        lane.runtime = Some(runtime);
        Ok(Some(lane))
    }

    /// Nothing panics while it holds the lock.
    fn pool(&self) -> MutexGuard<'_, Pool<D>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Device> Lane<'_, D> {
    pub fn runtime(&self) -> Arc<Runtime<D>> {
        Arc::clone(self.runtime.as_ref().expect("a lane in use has its runtime"))
    }

    /// Waits for what was asked for. A lane that failed is not used again.
    pub fn close(mut self) -> Result<(), KernelError> {
        let finished = self.runtime().device.finish();
        if finished.is_err() {
            self.runtime = None;
        }
        finished
    }
}

impl<D: Device> Drop for Lane<'_, D> {
    fn drop(&mut self) {
        // Whoever panicked did not wait.
        let runtime =
            self.runtime.take().filter(|runtime| !std::thread::panicking() || runtime.device.finish().is_ok());
        let mut pool = self.lanes.pool();
        pool.in_use -= 1;
        pool.idle.extend(runtime);
    }
}
