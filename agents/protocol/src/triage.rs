//! The triage machine: one patient's scores in, the decision to call somebody out.
//!
//! An alert is raised at the threshold and stays raised until the score falls below a lower mark
//! (hysteresis). Inside the cool-down after an alert nothing calls again but an escalation: a score well
//! above the one last called for. An escalation is never held back.

mod pack;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// When to call. Scores are fixed-point logits, 1024 = 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriagePolicy {
    /// Score from which an alert is raised.
    pub threshold: i64,
    /// Score below which a raised alert is over; a value above `threshold` counts as `threshold`.
    pub clear_below: i64,
    /// How long after an alert the next one waits, in seconds.
    pub cool_down_s: u32,
    /// How far a score must rise above the one last alerted to escalate; less than 1 counts as 1.
    pub escalation_step: i64,
}

/// What a score leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriageOutcome {
    /// Below the threshold.
    Quiet,
    /// Call somebody.
    Alert {
        /// True where the score rose by the policy's step above the last alert of an episode or a cool-down
        /// that is not over.
        escalation: bool,
    },
    /// At the threshold, but nobody is called.
    Suppressed {
        /// Why not.
        reason: SuppressReason,
    },
    /// The score fell below the lower mark: the episode is over.
    Cleared,
}

/// Why a score at the threshold calls nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressReason {
    /// The last alert is too recent.
    CoolDown,
    /// A later window was judged already.
    OutOfOrder,
}

/// The machine. It is serialisable as a whole, for checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triage {
    policy: TriagePolicy,
    /// True from an alert until it is cleared.
    raised: bool,
    last_alert: Option<LastAlert>,
    last_step: Option<LastStep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LastAlert {
    score: i64,
    end: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LastStep {
    end: Timestamp,
    outcome: TriageOutcome,
}

impl TriageOutcome {
    /// The stable label, for the ledger and for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            TriageOutcome::Quiet => "quiet",
            TriageOutcome::Alert { escalation: false } => "alert",
            TriageOutcome::Alert { escalation: true } => "escalation",
            TriageOutcome::Suppressed { reason: SuppressReason::CoolDown } => "suppressed_cool_down",
            TriageOutcome::Suppressed { reason: SuppressReason::OutOfOrder } => "suppressed_out_of_order",
            TriageOutcome::Cleared => "cleared",
        }
    }
}

impl Triage {
    /// A machine that has seen no score.
    #[must_use]
    pub const fn new(policy: TriagePolicy) -> Triage {
        Triage { policy, raised: false, last_alert: None, last_step: None }
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &TriagePolicy {
        &self.policy
    }

    /// Puts another policy in force. What was raised stays raised, and cool-downs go on from their alert.
    pub const fn set_policy(&mut self, policy: TriagePolicy) {
        self.policy = policy;
    }

    /// Judges the score of the window that ends at `end`.
    ///
    /// A window that is delivered again gets the outcome that it got before, so that a role which crashed
    /// between deciding and publishing decides the same.
    pub fn step(&mut self, score: i64, end: Timestamp) -> TriageOutcome {
        match self.last_step {
            Some(last) if end == last.end => return last.outcome,
            Some(last) if end < last.end => {
                return TriageOutcome::Suppressed { reason: SuppressReason::OutOfOrder };
            }
            _ => {}
        }
        let outcome = self.decide(score, end);
        match outcome {
            TriageOutcome::Alert { .. } => {
                self.raised = true;
                self.last_alert = Some(LastAlert { score, end });
            }
            TriageOutcome::Cleared => self.raised = false,
            TriageOutcome::Quiet | TriageOutcome::Suppressed { .. } => {}
        }
        self.last_step = Some(LastStep { end, outcome });
        outcome
    }

    /// Takes the last step's alert back, because nobody was called: neither an episode nor a cool-down begins with it, and
    /// the next window is judged as if it had not been. `before` is the machine as it was before that step.
    pub const fn take_back(&mut self, before: &Triage) {
        self.raised = before.raised;
        self.last_alert = before.last_alert;
    }

    fn decide(&self, score: i64, end: Timestamp) -> TriageOutcome {
        let TriagePolicy { threshold, clear_below, escalation_step, cool_down_s } = self.policy;
        if score < threshold {
            let cleared = self.raised && score < clear_below.min(threshold);
            return if cleared { TriageOutcome::Cleared } else { TriageOutcome::Quiet };
        }
        let Some(last) = self.last_alert else {
            return TriageOutcome::Alert { escalation: false };
        };
        let cooling = end < last.end.plus_seconds(u64::from(cool_down_s));
        let risen = score.saturating_sub(last.score) >= escalation_step.max(1);
        match (risen, cooling) {
            (true, _) => TriageOutcome::Alert { escalation: self.raised || cooling },
            (false, true) => TriageOutcome::Suppressed { reason: SuppressReason::CoolDown },
            (false, false) => TriageOutcome::Alert { escalation: false },
        }
    }
}
