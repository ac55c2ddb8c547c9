//! What becomes of a score: triage decides whether it calls for somebody, the limits whether that would be once too often.

use hygeia_protocol::message::B32;
use hygeia_protocol::registry::Policy;
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::TriageOutcome;

use super::Sentinel;
use super::scoring::Scored;
use super::work::{Arrived, SentinelWork};
use crate::alarm::triage_policy;
use crate::telemetry::Counter;

/// What is known to be stored of a window.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// The alert: people were called.
    pub called: bool,
    /// The window's line in the ledger: everything that follows from it.
    pub is_done: bool,
}

/// What becomes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Triage(TriageOutcome),
    /// Triage would have called, and the limits say that it would be too often.
    RateLimited,
}

impl SentinelWork {
    /// Steps the triage. An alert that the limits hold back is taken back from it, so that no cool-down begins with a call
    /// that nobody got. In a replay, who was called and who was not is read off what is stored.
    pub(super) fn judge(&mut self, arrived: &Arrived, scored: Scored, known: Known) -> Verdict {
        let Arrived { window, policy, .. } = arrived;
        let rules = triage_policy(policy.threshold, policy.cool_down_s);
        let triage = self.mandates.triage(&window.mandate, &policy.id, rules);
        let before = triage.clone();
        let outcome = triage.step(scored.score, Timestamp::from_seconds(window.end));
        let metrics = &self.sentinel.site.metrics;
        match outcome {
            TriageOutcome::Alert { escalation } if !known.called => {
                // What was decided before, and no alert is stored of, was held back then.
                let held_back = match known.is_done {
                    true => !escalation,
                    false => self.sentinel.holds_back(&window.mandate, policy, escalation),
                };
                if held_back {
                    triage.take_back(&before);
                    return Verdict::RateLimited;
                }
            }
            TriageOutcome::Suppressed { .. } if !known.is_done => {
                metrics.count(Counter::AlertsSuppressed, outcome.label());
            }
            _ => {}
        }
        Verdict::Triage(outcome)
    }
}

impl Sentinel {
    /// Whether an alert would be one too many. An escalation counts, and is never held back.
    fn holds_back(&self, mandate: &B32, policy: &Policy, escalation: bool) -> bool {
        let Err(reason) = self.limits.check(mandate, &policy.id) else { return false };
        if !escalation {
            self.site.metrics.count(Counter::AlertsSuppressed, reason);
        }
        !escalation
    }
}

impl Verdict {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Triage(outcome) => outcome.label(),
            Self::RateLimited => "suppressed_rate_limit",
        }
    }
}
