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
use crate::ward::{self, MODELS, SCHEMA, TRIAGE};

/// The machines and what they gave.
#[derive(Debug, Default)]
pub(super) struct Reference {
    patients: BTreeMap<PatientId, PatientWindow>,
    windows: BTreeMap<B32, Window>,
    /// By mandate and model, as it is and as it was before its last step.
    triage: BTreeMap<(B32, B32), [Triage; 2]>,
    closed: BTreeSet<B32>,
}

#[derive(Debug)]
struct Window {
    mandate: B32,
    end: u64,
    scores: [i64; MODELS.len()],
}

impl Reference {
    /// The windows that an observation closes.
    pub(super) fn observe(&mut self, entry: &Entry) -> Vec<B32> {
        let received = Timestamp::from_millis(entry.stored_at_ms);
        let Ok(observation) = Observation::decode(&entry.payload, received, &Limits::default()) else {
            return Vec::new();
        };
        let patient = observation.patient().clone();
        let mandate = ward::mandate(&patient);
        let window = self.patients.entry(patient).or_insert_with(|| PatientWindow::new(WindowConfig::default()));
        let snapshots = window.observe(&observation).unwrap_or_default();
        let ids = snapshots.iter().map(|snapshot| AttestedWindow::id(&mandate, snapshot.end.as_seconds(), &SCHEMA));
        let closed: Vec<B32> = ids.collect();
        self.closed.extend(closed.iter().copied());
        closed
    }

    /// A window stands.
    pub(super) fn attested(&mut self, window: &AttestedWindow) {
        let scores = MODELS.map(|model| ward::score(&model, &window.features));
        self.windows.insert(window.window_id, Window { mandate: window.mandate, end: window.end, scores });
    }

    /// Score and outcome of a window by a model. The first question about each decides the order of the windows.
    pub(super) fn judge(&mut self, window: &B32, model: &B32) -> Option<(i64, TriageOutcome)> {
        let window = self.windows.get(window)?;
        let score = window.scores[MODELS.iter().position(|of| of == model)?];
        let new = || [Triage::new(TRIAGE), Triage::new(TRIAGE)];
        let [triage, before] = self.triage.entry((window.mandate, *model)).or_insert_with(new);
        let unstepped = triage.clone();
        let outcome = triage.step(score, Timestamp::from_seconds(window.end));
        if *triage != unstepped {
            *before = unstepped;
        }
        Some((score, outcome))
    }

    /// The alert of the window that was judged last was held back: nobody was called.
    pub(super) fn held_back(&mut self, mandate: &B32, model: &B32) {
        if let Some([triage, before]) = self.triage.get_mut(&(*mandate, *model)) {
            triage.take_back(before);
        }
    }

    /// The alert of a window by a model.
    pub(super) fn alert_id(window: &B32, model: &B32) -> B32 {
        Alert::id(window, &ward::policy(model), model)
    }

    pub(super) fn closed(&self) -> impl Iterator<Item = &B32> {
        self.closed.iter()
    }
}
