//! What a ward is made of, and how often its monitors chart for a number of observations.

use hygeia_protocol::time::Timestamp;

use crate::load::course::{LABS, VITALS};
use crate::load::sensor::{MESSAGES_PER_VALUE, SILENT_SHARE};

pub(super) const HOUR_S: f64 = 3_600.0;
/// Hours from one blood sample to the next.
pub(super) const LABS_EVERY_H: [f64; 2] = [4.0, 8.0];
/// Laboratory results of a patient in an hour.
const LABS_PER_HOUR: f64 = LABS as f64 * 2.0 / (LABS_EVERY_H[0] + LABS_EVERY_H[1]);
/// Messages that come of one charting, on average.
const VITALS_CHARTED: f64 = VITALS as f64 * MESSAGES_PER_VALUE * (1.0 - SILENT_SHARE);

/// How patients' clocks stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
    /// Each is behind by its own part of an hour, so that windows close at all times alike.
    Spread,
    /// All are the same: every window of the ward closes with the hour.
    Together,
}

/// What a ward is made of.
#[derive(Debug, Clone)]
pub struct WardConfig {
    /// Patients.
    pub patients: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Middle of the pseudonyms, so that those of two runs differ.
    pub tag: String,
    /// Seconds from one charting of a monitor to the next, on the patients' clocks.
    pub chart_every_s: f64,
    /// When the ward's time begins.
    pub begin: Timestamp,
    /// How the patients' clocks stand to each other.
    pub clocks: Clocks,
    /// Whether sensors and networks have faults.
    pub faults: bool,
}

impl WardConfig {
    /// Observations in an hour of the patients' time, of all of them, with monitors that chart so often.
    pub fn per_hour(patients: u32, chart_every_s: f64) -> f64 {
        f64::from(patients) * (VITALS_CHARTED * HOUR_S / chart_every_s + LABS_PER_HOUR)
    }

    /// Seconds between two chartings with which this many patients give `per_hour` observations in an hour of their time;
    /// `None` where laboratory results alone are more.
    pub fn chart_every_s(patients: u32, per_hour: f64) -> Option<f64> {
        let vitals = per_hour / f64::from(patients) - LABS_PER_HOUR;
        (vitals > 0.0).then(|| HOUR_S * VITALS_CHARTED / vitals)
    }
}
