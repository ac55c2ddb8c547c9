//! Drift of what a sentinel serves, as a metric and an alarm. What the distance is stands in `hygeia_inference::drift`.
//!
//! Each process sees the windows of its own partitions, so several sentinels show several distances. Nothing here holds a
//! window up, and what is logged names a feature and never a value.

use std::sync::{Mutex, PoisonError};

use hygeia_inference::drift::{Change, Distance, Drift};
use hygeia_inference::package::ModelPackage;

use crate::telemetry::{Gauge, Metrics};

/// Follows the drift of one model in one process.
pub struct DriftWatch {
    // Held for a few sums, never across an await.
    drift: Mutex<Drift>,
    features: Vec<String>,
    metrics: Metrics,
}

impl DriftWatch {
    /// Nothing seen yet of this model's windows.
    pub fn of(model: &ModelPackage, metrics: Metrics) -> Self {
        let features = model.schema().list().iter().map(|feature| feature.name.clone()).collect();
        metrics.set(Gauge::DriftAlarm, 0);
        Self { drift: Mutex::new(Drift::of(model)), features, metrics }
    }

    /// Takes in a window and its score. A change of the alarm is logged once.
    pub fn observe(&self, features: &[i32], score: i64) {
        let mut drift = self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        let change = drift.observe(features, score);
        let distance = drift.distance();
        drop(drift);
        if let Some(distance) = distance {
            self.metrics.set_to(Gauge::DriftDistance, "", distance.mean);
        }
        match change {
            Some(Change::Raised(distance)) => {
                self.metrics.set(Gauge::DriftAlarm, 1);
                let (feature, mean, score) = self.words(&distance);
                tracing::warn!(mean, score, feature, "what is served has drifted from what the model was validated on");
            }
            Some(Change::Cleared(distance)) => {
                self.metrics.set(Gauge::DriftAlarm, 0);
                let (feature, mean, score) = self.words(&distance);
                tracing::info!(mean, score, feature, "what is served is like what the model was validated on again");
            }
            None => {}
        }
    }

    fn words(&self, distance: &Distance) -> (&str, f64, f64) {
        let feature = self.features.get(distance.feature).map_or("", String::as_str);
        (feature, distance.mean, distance.score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hygeia_inference::drift::WINDOWS_MIN;
    use hygeia_inference::schema::ClinicalState;

    #[test]
    fn a_ward_of_unmeasured_patients_raises_the_alarm() {
        let (model, metrics) = (ModelPackage::default_model(), Metrics::default());
        let watch = DriftWatch::of(model, metrics.clone());
        let features = model.schema().features(&ClinicalState::default());
        for _ in 1..WINDOWS_MIN {
            watch.observe(&features, 0);
        }
        let text = metrics.render();
        assert!(text.contains("hygeia_drift_alarm 0") && !text.contains("hygeia_drift_distance 0"), "{text}");
        watch.observe(&features, 0);
        assert!(metrics.render().contains("hygeia_drift_alarm 1"), "{}", metrics.render());
    }
}
