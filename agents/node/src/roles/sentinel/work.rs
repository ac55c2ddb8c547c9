//! One partition of the sentinel: attested windows in; alerts, proof requests and the ledger's lines out.

use std::sync::Arc;

use anyhow::Result;
use hygeia_protocol::message::{AttestedWindow, B32, Message};
use hygeia_protocol::subject::Partition;
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::TriageOutcome;

use super::Sentinel;
use super::alert::{AlertTerms, alert_message_id, ledger_id};
use super::mandates::Mandates;
use super::scoring::{ScoreError, Scored};
use super::serving::Served;
use crate::alarm::triage_policy;
use crate::bus::Entry;
use crate::chain::registry::ActivePolicy;
use crate::partition::{Outbox, Work};
use crate::telemetry::Counter;

/// One partition of the sentinel.
pub struct SentinelWork {
    pub(super) sentinel: Arc<Sentinel>,
    pub(super) partition: Partition,
    mandates: Mandates,
}

/// A window that is to be scored.
pub(super) struct Arrived {
    pub sequence: u64,
    pub window: AttestedWindow,
    pub model: Arc<Served>,
}

/// What is known to be stored of a window under one policy.
#[derive(Clone, Copy)]
struct Known {
    /// The alert: people were called.
    called: bool,
    /// The window's line in the ledger: everything that follows from it.
    is_done: bool,
}

/// What becomes of a window under one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Triage(TriageOutcome),
    /// Triage would have called, and the limits say that it would be too often.
    RateLimited,
}

impl SentinelWork {
    pub(super) fn new(sentinel: Arc<Sentinel>, partition: Partition) -> Self {
        Self { sentinel, partition, mandates: Mandates::default() }
    }

    /// Takes a window in if it is new and there is a model for it.
    fn admit(&mut self, entry: Entry) -> Option<Arrived> {
        let sequence = entry.sequence;
        let window = match AttestedWindow::decode(&entry.payload) {
            Ok(window) => window,
            Err(reason) => {
                tracing::warn!(sequence, %reason, "a message in the window stream is no window");
                return None;
            }
        };
        let Some(model) = self.sentinel.serving.model_of(&window) else {
            tracing::warn!(sequence, "a window of another feature schema is left to another sentinel");
            return None;
        };
        let is_new = self.mandates.advance(&window.mandate, window.end);
        is_new.then_some(Arrived { sequence, window, model })
    }

    /// Scores windows together with whatever else waits to be scored.
    async fn score(&self, arrived: &[Arrived]) -> Vec<Result<Scored, ScoreError>> {
        let mut answers = Vec::with_capacity(arrived.len());
        for Arrived { window, model, .. } in arrived {
            answers.push(self.sentinel.scorer.ask(model.clone(), window.features.clone()).await);
        }
        let mut scores = Vec::with_capacity(answers.len());
        for answer in answers {
            scores.push(answer.await.unwrap_or(Err(ScoreError::Gone)));
        }
        scores
    }

    /// Judges a score under every policy that the mandate consents to. The ledger keeps the gravest outcome.
    fn decide(&mut self, arrived: Arrived, scored: Scored, outbox: &mut Outbox) -> Result<()> {
        let policies = self.sentinel.serving.policies(&arrived.window.mandate, &arrived.model);
        // The line is the last that follows from a window: where it is stored, all is, and only state is rebuilt.
        let is_done = outbox.is_stored(&ledger_id(&arrived));
        let arrived = Arc::new(arrived);
        let mut gravest: Option<Verdict> = None;
        for policy in &policies {
            let called = outbox.is_stored(&alert_message_id(&arrived, policy));
            let verdict = self.judge(&arrived.window, scored, policy, Known { called, is_done });
            if is_done {
                continue;
            }
            if let Verdict::Triage(TriageOutcome::Alert { escalation }) = verdict {
                self.alert(&arrived, scored, AlertTerms { policy, escalation }, outbox)?;
            }
            gravest = graver(gravest, verdict);
        }
        if let Some(verdict) = gravest {
            self.write_ledger(&arrived, scored, verdict.label(), outbox);
        }
        Ok(())
    }

    /// Steps the triage under one policy. An alert that the limits hold back is taken back from it, so that no cool-down
    /// begins with a call that nobody got. In a replay, who was called and who was not is read off what is stored.
    fn judge(&mut self, window: &AttestedWindow, scored: Scored, policy: &ActivePolicy, known: Known) -> Verdict {
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

    fn note_scored(&self, arrived: &Arrived, scored: Scored) {
        arrived.model.drift.observe(&arrived.window.features, scored.score);
        let metrics = &self.sentinel.site.metrics;
        metrics.count(Counter::WindowsScored, "");
        if scored.outside_validated_range {
            metrics.count(Counter::WindowsOutsideRange, "");
        }
    }
}

impl Sentinel {
    /// Whether an alert would be one too many. An escalation counts, and is never held back.
    fn holds_back(&self, mandate: &B32, policy: &ActivePolicy, escalation: bool) -> bool {
        let Err(reason) = self.limits.check(mandate, &policy.id) else { return false };
        if !escalation {
            self.site.metrics.count(Counter::AlertsSuppressed, reason);
        }
        !escalation
    }
}

impl Work for SentinelWork {
    /// As many as are scored in one pass.
    const BATCH_MAX: usize = 64;

    fn restore(&mut self, state: &[u8]) -> bool {
        Mandates::read(state).map(|mandates| self.mandates = mandates).is_some()
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.mandates.write()
    }

    async fn handle(&mut self, inputs: Vec<Entry>, outbox: &mut Outbox) -> Result<()> {
        let arrived: Vec<Arrived> = inputs.into_iter().filter_map(|entry| self.admit(entry)).collect();
        let scores = self.score(&arrived).await;
        for (arrived, scored) in arrived.into_iter().zip(scores) {
            match scored {
                Ok(scored) => {
                    if !outbox.is_silent() {
                        self.note_scored(&arrived, scored);
                    }
                    self.decide(arrived, scored, outbox)?;
                }
                Err(ScoreError::Gone) => anyhow::bail!(ScoreError::Gone),
                // An oracle of this schema signs no such window; nobody can score or prove it.
                Err(reason) => {
                    tracing::warn!(window = %arrived.window.window_id, reason = %reason, "a window has no score");
                }
            }
        }
        Ok(())
    }
}

impl Verdict {
    fn label(self) -> &'static str {
        match self {
            Self::Triage(outcome) => outcome.label(),
            Self::RateLimited => "suppressed_rate_limit",
        }
    }

    /// How much it weighs when a window has one for each of several policies.
    fn gravity(self) -> u8 {
        match self {
            Self::Triage(TriageOutcome::Alert { escalation: true }) => 5,
            Self::Triage(TriageOutcome::Alert { escalation: false }) => 4,
            Self::RateLimited => 3,
            Self::Triage(TriageOutcome::Suppressed { .. }) => 2,
            Self::Triage(TriageOutcome::Cleared) => 1,
            Self::Triage(TriageOutcome::Quiet) => 0,
        }
    }
}

/// The graver of what is known and what comes to it.
fn graver(known: Option<Verdict>, verdict: Verdict) -> Option<Verdict> {
    Some(known.filter(|known| known.gravity() >= verdict.gravity()).unwrap_or(verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_policies_the_gravest_outcome_is_kept() {
        let quiet = Verdict::Triage(TriageOutcome::Quiet);
        let alert = Verdict::Triage(TriageOutcome::Alert { escalation: false });
        let escalation = Verdict::Triage(TriageOutcome::Alert { escalation: true });
        let kept = |verdicts: &[Verdict]| verdicts.iter().fold(None, |kept, verdict| graver(kept, *verdict));
        assert_eq!(kept(&[]), None);
        assert_eq!(kept(&[quiet]), Some(quiet));
        assert_eq!(kept(&[quiet, Verdict::RateLimited, quiet]), Some(Verdict::RateLimited));
        assert_eq!(kept(&[Verdict::RateLimited, alert]), Some(alert));
        assert_eq!(kept(&[escalation, alert]), Some(escalation));
        assert_eq!(Verdict::RateLimited.label(), "suppressed_rate_limit");
    }
}
