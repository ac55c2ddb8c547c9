//! The threshold at which a chosen share of a ward's windows alert.

use hygeia_inference::ModelPackage;
use hygeia_node::convert::clinical_state;
use hygeia_node::load::ward::{Clocks, Ward, WardConfig};
use hygeia_protocol::observation::{Limits, Observation};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig};

/// Patients and hours of their time that are scored to find it.
const PATIENTS: u32 = 400;
const HOURS: u64 = 12;
/// Seconds from one charting to the next.
const CHART_EVERY_S: f64 = 240.0;
/// Some moment: the shapes of courses do not depend on it.
const BEGIN_S: u64 = 1_767_225_600;

/// The score that `share` of a ward's windows reach.
pub fn alerting(share: f64) -> i64 {
    let package = ModelPackage::default_model();
    let begin = Timestamp::from_seconds(BEGIN_S);
    let config = WardConfig {
        patients: PATIENTS,
        seed: 1,
        tag: "threshold".to_owned(),
        chart_every_s: CHART_EVERY_S,
        begin,
        clocks: Clocks::Spread,
        faults: true,
    };
    let end = begin.plus_seconds(HOURS * 3_600);
    let mut windows: Vec<PatientWindow> = (0..PATIENTS).map(|_| PatientWindow::new(WindowConfig::default())).collect();
    let mut scores = Vec::new();
    for emission in Ward::new(config).expect("pseudonyms are well formed") {
        if emission.at_ms > HOURS * 3_600_000 {
            break;
        }
        let Ok(observation) = Observation::decode(&emission.message, end, &Limits::default()) else { continue };
        let closed = windows[emission.patient as usize].observe(&observation).unwrap_or_default();
        scores.extend(closed.iter().map(|snapshot| {
            let features = package.schema().features(&clinical_state(snapshot));
            package.network().evaluate(&features).expect("features of the schema").score
        }));
    }
    scores.sort_unstable();
    let rank = (scores.len() as f64 * (1.0 - share)) as usize;
    scores[rank.min(scores.len() - 1)]
}
