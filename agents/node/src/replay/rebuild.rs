//! The window made anew from the observations behind it.

use hygeia_inference::package::ModelPackage;
use hygeia_protocol::message::ClinicalSummary;
use hygeia_protocol::observation::{Limits, Observation};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig, WindowSnapshot};

use super::Verdict;
use super::bundle::{Bundle, StoredObservation};
use super::check::all_same;
use crate::convert;

pub(super) fn observations(bundle: &Bundle, model: &ModelPackage) -> Verdict {
    let Some(stored) = &bundle.observations else {
        return Verdict::NotChecked(
            "the observations are the hospital's: replay there with --with-observations".to_owned(),
        );
    };
    let Some(snapshot) = window_at(stored, bundle.window.end) else {
        return Verdict::Differs("no window ends at this time: perhaps older observations are gone".to_owned());
    };
    let features = model.schema().features(&convert::clinical_state(&snapshot));
    all_same(&[
        ("features", features == bundle.window.features),
        ("readings", ClinicalSummary::from(&snapshot) == bundle.window.clinical),
    ])
}

/// The window of one patient's observations that ends at `end_s`, as the oracle's machine closes it.
fn window_at(stored: &[StoredObservation], end_s: u64) -> Option<WindowSnapshot> {
    let mut window = PatientWindow::new(WindowConfig::default());
    stored.iter().find_map(|one| {
        let received = Timestamp::from_millis(one.stored_at_ms);
        let observation = Observation::decode(&one.payload, received, &Limits::default()).ok()?;
        let closed = window.observe(&observation).unwrap_or_default();
        closed.into_iter().find(|snapshot| snapshot.end.as_seconds() == end_s)
    })
}
