//! Machines that nobody restarts: what the streams should lead to.

use std::collections::{BTreeMap, BTreeSet};

use hygeia_protocol::bytes::B32;
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::message::{Alert, AttestedWindow};
use hygeia_protocol::observation::{Limits, Observation};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::{Triage, TriageOutcome};
use hygeia_protocol::window::{PatientWindow, WindowConfig};

use crate::broker::Entry;
use crate::ward::{MODEL, POLICY, SCHEMA, TRIAGE, mandate, score};

/// The machines and what they gave.
#[derive(Debug, Default)]
pub(super) struct Reference {
    patients: BTreeMap<PatientId, PatientWindow>,
    triage: BTreeMap<B32, (u64, Triage)>,
    closed: BTreeSet<B32>,
    raised: BTreeSet<B32>,
}

impl Reference {
    /// The windows that an observation closes.
    pub(super) fn observe(&mut self, entry: &Entry) -> Vec<B32> {
        let received = Timestamp::from_millis(entry.stored_at_ms);
        let Ok(observation) = Observation::decode(&entry.payload, received, &Limits::default()) else {
            return Vec::new();
        };
        let patient = observation.patient().clone();
        let mandate = mandate(&patient);
        let window = self.patients.entry(patient).or_insert_with(|| PatientWindow::new(WindowConfig::default()));
        let snapshots = window.observe(&observation).unwrap_or_default();
        let ids = snapshots.iter().map(|snapshot| AttestedWindow::id(&mandate, snapshot.end.as_seconds(), &SCHEMA));
        let closed: Vec<B32> = ids.collect();
        self.closed.extend(closed.iter().copied());
        closed
    }

    /// What a window leads to: nothing where a later one of its mandate was judged, else the alert that it raises, if any.
    pub(super) fn score(&mut self, window: &AttestedWindow) -> Option<Option<B32>> {
        let (newest, triage) = self.triage.entry(window.mandate).or_insert_with(|| (0, Triage::new(TRIAGE)));
        if window.end <= *newest {
            return None;
        }
        *newest = window.end;
        let outcome = triage.step(score(&window.features), Timestamp::from_seconds(window.end));
        let raised =
            matches!(outcome, TriageOutcome::Alert { .. }).then(|| Alert::id(&window.window_id, &POLICY, &MODEL));
        self.raised.extend(raised);
        Some(raised)
    }

    pub(super) fn has_raised(&self, alert: &B32) -> bool {
        self.raised.contains(alert)
    }

    pub(super) fn closed(&self) -> impl Iterator<Item = &B32> {
        self.closed.iter()
    }

    pub(super) fn raised(&self) -> impl Iterator<Item = &B32> {
        self.raised.iter()
    }
}
