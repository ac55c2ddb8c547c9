//! The triage that stands between a score and a person, as the sentinel serves it and as evaluations count it.

use hygeia_inference::metrics::Alarm;
use hygeia_inference::score::Scale;
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::{Triage, TriageOutcome, TriagePolicy};

/// Below the threshold by this many score units (2^-10 of log-odds) an alarm counts as over: hysteresis.
const CLEAR_MARGIN: i64 = 256;
/// A score this far above the last alerted one is an escalation, which nothing may hold back.
const ESCALATION_STEP: i64 = 1024;
/// How long an alert waits for the next one, and a mandate for its next trigger, unless a policy says otherwise.
pub const COOL_DOWN_S: u32 = 12 * 3600;
/// Seconds from one row of a stay to the next.
const HOUR_S: u64 = 3600;

/// The triage of a policy.
pub fn triage_policy(threshold: i64, cool_down_s: u32) -> TriagePolicy {
    TriagePolicy {
        threshold,
        clear_below: threshold.saturating_sub(CLEAR_MARGIN),
        cool_down_s,
        escalation_step: ESCALATION_STEP,
    }
}

/// Triage over a stay's hourly scores. Rate limits per ward are left out: they need the whole ward's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triaged {
    /// How long an alert waits for the next one.
    pub cool_down_s: u32,
}

impl Default for Triaged {
    fn default() -> Self {
        Self { cool_down_s: COOL_DOWN_S }
    }
}

impl Alarm for Triaged {
    fn description(&self) -> String {
        format!(
            "triage with a cool-down of {} h; a model's alarm is over {} below its threshold and escalates {} of log-odds \
             above the last alert, a score in points is over below its threshold and does not escalate",
            f64::from(self.cool_down_s) / 3600.0,
            CLEAR_MARGIN as f64 / 1024.0,
            ESCALATION_STEP as f64 / 1024.0,
        )
    }

    fn calls(&self, scores: &[i64], scale: Scale, threshold: i64) -> Vec<usize> {
        let policy = match scale {
            Scale::Logit => triage_policy(threshold, self.cool_down_s),
            // A point of NEWS2 or an hour is not a unit of log-odds: no margin, no escalation.
            Scale::Points => TriagePolicy {
                threshold,
                clear_below: threshold,
                cool_down_s: self.cool_down_s,
                escalation_step: i64::MAX,
            },
        };
        let mut triage = Triage::new(policy);
        let hours = scores.iter().enumerate();
        let called = |&(hour, &score): &(usize, &i64)| {
            matches!(triage.step(score, Timestamp::from_seconds(hour as u64 * HOUR_S)), TriageOutcome::Alert { .. })
        };
        hours.filter(called).map(|(hour, _)| hour).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(scale: Scale, scores: &[i64]) -> Vec<usize> {
        Triaged { cool_down_s: 4 * 3600 }.calls(scores, scale, 100)
    }

    #[test]
    fn triage_repeats_after_the_cool_down_and_escalates_at_once() {
        assert_eq!(calls(Scale::Logit, &[99, 100, 100, 100, 100, 100, 100]), [1, 5]);
        assert_eq!(calls(Scale::Logit, &[100, 1123, 1124, 1124]), [0, 2]);
        assert!(calls(Scale::Logit, &[99; 9]).is_empty());
    }

    #[test]
    fn points_do_not_escalate() {
        assert_eq!(calls(Scale::Points, &[100, 5000, 9000, 9000, 9000]), [0, 4]);
    }

    #[test]
    fn the_first_hour_at_the_threshold_always_calls() {
        for first in 0..20 {
            let scores: Vec<i64> = (0..20).map(|hour| if hour == first { 100 } else { 0 }).collect();
            for scale in [Scale::Logit, Scale::Points] {
                assert_eq!(calls(scale, &scores), [first]);
            }
        }
    }
}
