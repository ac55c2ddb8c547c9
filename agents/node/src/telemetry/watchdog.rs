//! Tells a loop that works from one that hangs: each loop promises when it will be round again.
//!
//! Waiting for work, for the broker or for the chain is progress: a restart would help with none of them. What remains is
//! a loop that does not come back although nothing keeps it, and that a restart does help with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often something that waits or works says that it does.
const BEAT: Duration = Duration::from_secs(5);
/// How long a loop may be silent between two beats. Many times [`BEAT`], so that a machine under load is not restarted.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A loop that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loop {
    /// The oracle's, over observations.
    Oracle,
    /// The sentinel's, over windows.
    Sentinel,
    /// The prover's, over alerts.
    Prover,
    /// The prover's, over orders of audits.
    Auditor,
    /// The prover's, from the ledger to orders.
    Collector,
    /// The steward's, over receipts.
    Steward,
    /// The gateway's.
    Gateway,
}

impl Loop {
    /// Every one.
    pub const ALL: [Self; 7] =
        [Self::Oracle, Self::Sentinel, Self::Prover, Self::Auditor, Self::Collector, Self::Steward, Self::Gateway];

    /// Its name, as in a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oracle => "oracle",
            Self::Sentinel => "sentinel",
            Self::Prover => "prover",
            Self::Auditor => "auditor",
            Self::Collector => "collector",
            Self::Steward => "steward",
            Self::Gateway => "gateway",
        }
    }
}

/// The sign of life of one of many tasks of a loop. A task that has not begun to go round, because it reads what it needs
/// first, counts as alive.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    // Written by the task at each turn, read by the loop that watches over its tasks.
    last: Arc<Mutex<Option<Instant>>>,
}

impl Pulse {
    /// The task goes round.
    pub fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether the task has been silent for longer than [`SILENCE_MAX`].
    pub fn is_lost(&self) -> bool {
        self.is_silent_for(SILENCE_MAX)
    }

    fn is_silent_for(&self, time: Duration) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() >= time)
    }
}

/// When each loop is due.
pub struct Watchdog {
    started: Instant,
    /// Milliseconds after `started`, plus one; 0 for a loop that does not run.
    due_ms: [AtomicU64; Loop::ALL.len()],
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { started: Instant::now(), due_ms: Default::default() }
    }
}

impl Watchdog {
    /// The loop goes round, and will again within [`SILENCE_MAX`].
    pub fn beat(&self, of: Loop) {
        self.within(of, SILENCE_MAX);
    }

    /// The loop goes round, and will again within this time.
    pub fn within(&self, of: Loop, time: Duration) {
        let due = self.started.elapsed().saturating_add(time);
        let due_ms = u64::try_from(due.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        if let Some(slot) = self.due_ms.get(of as usize) {
            slot.store(due_ms, Ordering::Relaxed);
        }
    }

    /// The loop has come to its end, as it should.
    pub fn ended(&self, of: Loop) {
        if let Some(slot) = self.due_ms.get(of as usize) {
            slot.store(0, Ordering::Relaxed);
        }
    }

    /// Waits for something that may never come, and says all the while that this is no hanging.
    pub async fn while_waiting<T>(&self, of: Loop, event: impl Future<Output = T>) -> T {
        tokio::pin!(event);
        loop {
            self.beat(of);
            if let Ok(result) = tokio::time::timeout(BEAT, &mut event).await {
                self.beat(of);
                return result;
            }
        }
    }

    /// Whether a loop is overdue; `None` when it does not run.
    pub fn is_stuck(&self, of: Loop) -> Option<bool> {
        let due_ms = self.due_ms.get(of as usize)?.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().as_millis() >= u128::from(due_ms))
    }

    /// The loops that are overdue.
    pub fn stuck(&self) -> Vec<Loop> {
        Loop::ALL.into_iter().filter(|of| self.is_stuck(*of) == Some(true)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::schema::metrics::Gauge;

    #[test]
    fn a_loop_is_stuck_when_its_promise_is_over() {
        let watchdog = Watchdog::default();
        assert_eq!(watchdog.is_stuck(Loop::Oracle), None, "it does not run");
        watchdog.beat(Loop::Oracle);
        watchdog.within(Loop::Prover, Duration::ZERO);
        assert_eq!(watchdog.is_stuck(Loop::Oracle), Some(false));
        assert_eq!(watchdog.stuck(), [Loop::Prover]);
        watchdog.beat(Loop::Prover);
        assert_eq!(watchdog.stuck(), [], "it came round");
        watchdog.within(Loop::Prover, Duration::ZERO);
        watchdog.ended(Loop::Prover);
        assert_eq!(watchdog.stuck(), [], "it is over");
    }

    #[tokio::test]
    async fn waiting_is_not_hanging() {
        let watchdog = Watchdog::default();
        watchdog.within(Loop::Steward, Duration::ZERO);
        let during = async { watchdog.is_stuck(Loop::Steward) };
        assert_eq!(watchdog.while_waiting(Loop::Steward, during).await, Some(false));
        assert_eq!(watchdog.is_stuck(Loop::Steward), Some(false));
    }

    #[test]
    fn a_task_is_lost_once_it_went_round_and_does_no_more() {
        let pulse = Pulse::default();
        assert!(!pulse.is_silent_for(Duration::ZERO), "it reads what it needs first");
        pulse.clone().beat();
        assert!(pulse.is_silent_for(Duration::ZERO));
        assert!(!pulse.is_lost());
    }

    #[test]
    fn loops_are_words_of_the_schema() {
        let label = Gauge::LoopStuck.metric().label.unwrap();
        assert_eq!(Loop::ALL.map(Loop::name).as_slice(), label.values);
    }
}
