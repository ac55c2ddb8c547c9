//! When to stop asking a store that does not answer. Reads no clock: the time is handed in.

use std::time::{Duration, Instant};

/// Failures in a row after which the store is left alone.
const FAILURES_MAX: u32 = 3;
/// First pause before it is tried again; doubled with every trial that fails, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause: a store that came back serves again within a minute.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A circuit breaker: closed while the store answers, open while it does not, with one trial after each pause.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    next_trial: Instant,
    pause: Duration,
}

impl Breaker {
    /// Whether the store may be asked now. Where it is open, the one who is let through is the trial.
    pub fn permits(&mut self, now: Instant) -> bool {
        match &mut self.open {
            None => true,
            Some(open) if now < open.next_trial => false,
            Some(open) => {
                // Should nobody ever tell how it went, the next trial still comes.
                open.next_trial = now + open.pause;
                true
            }
        }
    }

    /// The store answered: true where that closes the breaker.
    pub fn succeeded(&mut self) -> bool {
        self.failures = 0;
        self.open.take().is_some()
    }

    /// The store did not answer: true where that opens the breaker.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        match &mut self.open {
            Some(open) => {
                open.pause = (open.pause * 2).min(PAUSE_MAX);
                open.next_trial = now + open.pause;
                false
            }
            None if self.failures >= FAILURES_MAX => {
                self.open = Some(Open { next_trial: now + PAUSE_MIN, pause: PAUSE_MIN });
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        let opens: Vec<bool> = (0..FAILURES_MAX).map(|_| breaker.failed(now)).collect();
        assert_eq!(opens, [false, false, true]);
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            assert!(breaker.permits(now) && !breaker.failed(now) && !breaker.failed(now));
            assert!(!breaker.succeeded(), "it was closed");
        }
        assert!(breaker.permits(now));
    }

    #[test]
    fn open_it_lets_one_trial_through_after_each_pause() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert!(!breaker.permits(start + PAUSE_MIN - Duration::from_millis(1)));
        assert!(breaker.permits(start + PAUSE_MIN));
        assert!(!breaker.permits(start + PAUSE_MIN), "the trial is under way");
        assert!(breaker.permits(start + 2 * PAUSE_MIN), "one that never came back does not keep it open for ever");
    }

    #[test]
    fn pauses_grow_to_their_limit_and_an_answer_closes_it() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            breaker.failed(now);
            let pause = breaker.open.unwrap().next_trial - now;
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(breaker.permits(now) && breaker.succeeded());
        assert!(breaker.permits(now) && breaker.permits(now), "closed for everybody");
        assert!(!breaker.failed(now), "and counted from none again");
    }
}
