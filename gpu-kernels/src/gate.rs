//! Scoring goes before proving on a device that does both.
//!
//! A clinical alert waits for its score and never for a proof, so while windows are being scored on a device, provers of
//! this process start no further kernel there. CUDA could order the two by the priorities of their streams, but candle
//! makes its stream without one, and none is lower than that. The gate never keeps a prover waiting for longer than its
//! patience, and knows nothing of other processes: between those, the driver divides the device.

use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Longest that a kernel is held back: scoring without a pause must not stop proving for good, and a batch takes a few
/// milliseconds.
const PATIENCE: Duration = Duration::from_millis(50);

/// The gate of one device.
#[derive(Debug)]
pub struct InferenceGate {
    patience: Duration,
    /// Whether anything was ever scored on the device. Provers on a device of their own pay for nothing.
    is_used: AtomicBool,
    queue: Mutex<Queue>,
    /// Told when the last batch is done; provers wait for it.
    cleared: Condvar,
    /// Told when a prover begins to wait; tests wait for it.
    held_back: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Batches being scored.
    scoring: usize,
    /// Provers that wait.
    waiting: usize,
}

/// A batch being scored, until it is dropped.
#[derive(Debug)]
#[must_use = "proving goes on when this is dropped"]
pub struct Scoring {
    gate: Arc<InferenceGate>,
}

impl InferenceGate {
    /// The gate of the CUDA device with this number, one for the whole process.
    pub fn of(ordinal: usize) -> Arc<Self> {
        static GATES: LazyLock<Mutex<HashMap<usize, Arc<InferenceGate>>>> = LazyLock::new(Mutex::default);
        let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(ordinal).or_insert_with(|| Self::new(PATIENCE)))
    }

    /// A gate of its own.
    pub fn new(patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            patience,
            is_used: AtomicBool::new(false),
            queue: Mutex::default(),
            cleared: Condvar::new(),
            held_back: Condvar::new(),
        })
    }

    /// Holds provers back until the batch is done.
    pub fn score(self: &Arc<Self>) -> Scoring {
        self.queue().scoring += 1;
        self.is_used.store(true, Ordering::Relaxed);
        Scoring { gate: Arc::clone(self) }
    }

    /// Whether provers have to look.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Waits until nothing is being scored, or the patience is over.
    pub(crate) fn pass(&self) {
        let mut queue = self.queue();
        if queue.scoring == 0 {
            return;
        }
        queue.waiting += 1;
        self.held_back.notify_all();
        let waited = self.cleared.wait_timeout_while(queue, self.patience, |queue| queue.scoring > 0);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.waiting -= 1;
    }

    /// Waits until a prover is held back.
    pub fn wait_for_prover(&self) {
        let waited = self.held_back.wait_while(self.queue(), |queue| queue.waiting == 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Nothing panics while it holds the lock, so what a poisoned one guards is as good.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Scoring {
    fn drop(&mut self) {
        let mut queue = self.gate.queue();
        queue.scoring -= 1;
        if queue.scoring == 0 {
            self.gate.cleared.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test runs.
    const FOR_EVER: Duration = Duration::from_secs(3600);

    #[test]
    fn a_prover_waits_for_the_last_of_all_batches() {
        let gate = InferenceGate::new(FOR_EVER);
        let (first, second) = (gate.score(), gate.score());
        let has_passed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                gate.pass();
                has_passed.store(true, Ordering::SeqCst);
            });
            gate.wait_for_prover();
            drop(first);
            assert!(!has_passed.load(Ordering::SeqCst));
            drop(second);
        });
        assert!(has_passed.load(Ordering::SeqCst));
    }

    #[test]
    fn a_prover_is_not_held_back_for_ever() {
        let gate = InferenceGate::new(Duration::ZERO);
        let _scoring = gate.score();
        gate.pass();
        assert_eq!(gate.queue().waiting, 0);
    }

    #[test]
    fn a_device_has_one_gate_and_is_shared_once_it_scored() {
        let (gate, same) = (InferenceGate::of(4097), InferenceGate::of(4097));
        assert!(!gate.is_used());
        drop(same.score());
        assert!(gate.is_used());
        assert!(!InferenceGate::of(4098).is_used());
    }
}
