//! When a job that failed is done again, and when it is put aside: bounded by time, with a pause that grows.

/// Bounds of the attempts at one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryRules {
    /// Pause after the first failure; doubles with each.
    pub pause_s_min: u64,
    /// Longest pause.
    pub pause_s_max: u64,
    /// How long after the job was given it is still done again.
    pub give_up_after_s: u64,
    /// Attempts that are made in any case: a job may have waited for longer than that before its first.
    pub tries_min: u64,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// The job comes again after this pause.
    Again {
        /// The pause.
        pause_s: u64,
    },
    /// It is put aside, and people are told.
    PutAside,
}

impl RetryRules {
    /// What follows the failure of the `tries`-th attempt at a job that was given `age_s` ago.
    #[must_use]
    pub fn after(&self, tries: u64, age_s: u64) -> AfterFailure {
        if age_s >= self.give_up_after_s && tries >= self.tries_min {
            return AfterFailure::PutAside;
        }
        let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        let doubled = 2_u64.checked_pow(doublings).and_then(|times| self.pause_s_min.checked_mul(times));
        AfterFailure::Again { pause_s: doubled.unwrap_or(self.pause_s_max).min(self.pause_s_max) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: RetryRules = RetryRules { pause_s_min: 2, pause_s_max: 60, give_up_after_s: 600, tries_min: 3 };

    #[test]
    fn the_pause_grows_to_its_bound() {
        let pauses: Vec<_> = (0..9).map(|tries| RULES.after(tries, 0)).collect();
        let expected = [2, 2, 4, 8, 16, 32, 60, 60, 60].map(|pause_s| AfterFailure::Again { pause_s });
        assert_eq!(pauses, expected);
        assert_eq!(RULES.after(u64::MAX, 599), AfterFailure::Again { pause_s: 60 });
    }

    #[test]
    fn time_ends_it_and_not_before_some_attempts() {
        assert_eq!(RULES.after(3, 599), AfterFailure::Again { pause_s: 8 });
        assert_eq!(RULES.after(3, 600), AfterFailure::PutAside);
        assert_eq!(RULES.after(2, 9_999), AfterFailure::Again { pause_s: 4 }, "it waited while no prover ran");
    }

    #[test]
    fn every_job_ends() {
        let (mut age_s, mut tries) = (0, 1);
        while let AfterFailure::Again { pause_s } = RULES.after(tries, age_s) {
            assert!(pause_s > 0);
            (age_s, tries) = (age_s + pause_s, tries + 1);
        }
        assert!(age_s >= 600 && tries < 30, "{tries} attempts in {age_s} s");
    }
}
