//! What the sentinel says: alerts and the ledger's lines, held against machines that nobody restarts.

use std::collections::{BTreeMap, BTreeSet};

use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{Alert, ScoredWindow};
use hygeia_protocol::subject::Stream;
use hygeia_protocol::triage::TriageOutcome;

use super::Violation;
use super::reference::Reference;
use crate::drivers::HELD_BACK;
use crate::ward::{MODELS, TRIAGE};

#[derive(Debug, Default)]
pub(super) struct Alerts {
    ids: BTreeSet<B32>,
    requests: BTreeSet<B32>,
    /// Ends of the alerts of each mandate and policy.
    ends: BTreeMap<(B32, B32), BTreeSet<u64>>,
    lines: BTreeSet<(B32, B32)>,
    line_ends: BTreeMap<(B32, B32), u64>,
    held_back: usize,
}

impl Alerts {
    /// Whether an alert was raised.
    pub(super) fn has(&self, alert: &B32) -> bool {
        self.ids.contains(alert)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &B32> {
        self.ids.iter()
    }

    /// Windows and models of the ledger's lines.
    pub(super) fn lines(&self) -> impl Iterator<Item = &(B32, B32)> {
        self.lines.iter()
    }

    pub(super) const fn held_back(&self) -> usize {
        self.held_back
    }

    pub(super) fn by_second_model(&self) -> usize {
        self.lines.iter().filter(|(_, model)| *model == MODELS[1]).count()
    }

    pub(super) fn requested(&mut self, alert: B32) {
        self.requests.insert(alert);
    }

    pub(super) fn alert(&mut self, reference: &mut Reference, alert: &Alert) -> Result<(), Violation> {
        let end = alert.end;
        if !self.ids.insert(alert.alert_id) {
            return Err(Violation::NotOnceInOrder { stream: Stream::Alerts.name(), end });
        }
        let ends = self.ends.entry((alert.mandate, alert.policy)).or_default();
        let before = ends.last().map(|before| end.saturating_sub(*before));
        if let Some(after_s) = before.filter(|&after_s| !alert.escalation && after_s < u64::from(TRIAGE.cool_down_s)) {
            return Err(Violation::CoolDown { after_s });
        }
        ends.insert(end);
        match reference.judge(&alert.window_id, &alert.model) {
            Some((score, TriageOutcome::Alert { escalation }))
                if (score, escalation) == (alert.score, alert.escalation) =>
            {
                Ok(())
            }
            _ => Err(Violation::OtherDecision { what: "an alert that triage does not raise", end }),
        }
    }

    pub(super) fn line(&mut self, reference: &mut Reference, line: &ScoredWindow) -> Result<(), Violation> {
        let (window, end) = (line.window_id, line.end);
        let newest = self.line_ends.entry((line.mandate, line.model)).or_insert(0);
        if !self.lines.insert((window, line.model)) || end <= *newest {
            return Err(Violation::NotOnceInOrder { stream: Stream::Ledger.name(), end });
        }
        *newest = end;
        let other = |what| Err(Violation::OtherDecision { what, end });
        let Some((score, outcome)) = reference.judge(&window, &line.model) else {
            return other("a line about no window");
        };
        if score != line.score {
            return other("another score");
        }
        let (said, expected) = (line.outcome.clone(), outcome.label());
        let other_outcome = || Err(Violation::OtherOutcome { said, expected, end, model: line.model });
        let TriageOutcome::Alert { escalation } = outcome else {
            return if line.outcome == expected { Ok(()) } else { other_outcome() };
        };
        let alert = Reference::alert_id(&window, &line.model);
        if line.outcome == HELD_BACK {
            self.held_back += 1;
            reference.held_back(&line.mandate, &line.model);
            return self.check_held_back(&alert, escalation, end);
        }
        if line.outcome != expected {
            return other_outcome();
        }
        if !self.ids.contains(&alert) {
            return Err(Violation::PositionFirst { missing: "the alert", window });
        }
        if !self.requests.contains(&alert) {
            return Err(Violation::PositionFirst { missing: "the proof request", window });
        }
        Ok(())
    }

    fn check_held_back(&self, alert: &B32, escalation: bool, end: u64) -> Result<(), Violation> {
        let held_back = |what| Err(Violation::HeldBack { what, end });
        if escalation {
            return held_back("an escalation");
        }
        if self.ids.contains(alert) {
            return held_back("an alert that is out");
        }
        Ok(())
    }
}
