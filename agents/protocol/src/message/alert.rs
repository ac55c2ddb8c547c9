//! Sentinel to people.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{B32, Message, V1};
use crate::digest::Digest;

/// A score over the threshold of a policy, as people see it. It is published before any proof exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Version.
    pub v: V1,
    /// [`Alert::id`] of window, policy and model.
    pub alert_id: B32,
    /// The window that was scored.
    pub window_id: B32,
    /// The patient's mandate.
    pub mandate: B32,
    /// Ward that the alert goes to.
    pub ward: String,
    /// The approved care policy.
    pub policy: B32,
    /// The approved model.
    pub model: B32,
    /// Fixed-point logit, 1024 = 1.
    pub score: i64,
    /// Threshold of the policy, in the same unit.
    pub threshold: i64,
    /// Calibrated probability in millionths, where the model has a calibration.
    pub probability_ppm: Option<u32>,
    /// True where the score rose well above an earlier alert.
    pub escalation: bool,
    /// True where the window is unlike those the model was validated on: the score then says less than it seems to.
    pub outside_validated_range: bool,
    /// End of the window, seconds since the epoch.
    pub end: u64,
    /// Arrival of the newest observation of the window.
    pub observed_at_ms: u64,
    /// When the alert was raised.
    pub raised_at_ms: u64,
    /// What moved the score, largest first.
    pub contributions: Vec<Contribution>,
    /// The nearest earlier cases, where a vector store is there.
    pub similar: Vec<SimilarCase>,
}

/// What one feature added to the score. `Debug` does not print the value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    /// Name of the feature.
    pub name: String,
    /// Its share of the score.
    pub points: i64,
    /// The reading behind it, in thousandths of the unit.
    pub value_milli: Option<i32>,
    /// UCUM unit of the reading.
    pub unit: String,
    /// Age of the reading at the window's end.
    pub age_s: Option<u32>,
}

/// An earlier case close to this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimilarCase {
    /// Its score.
    pub score: i64,
    /// How close it is, in millionths; a million is identical.
    pub similarity_ppm: u32,
    /// What became of it, where that is known.
    pub outcome: Option<String>,
}

impl Alert {
    /// The identity of an alert.
    #[must_use]
    pub fn id(window_id: &B32, policy: &B32, model: &B32) -> B32 {
        Digest::new("hygeia/alert-id/v1")
            .field(window_id.as_bytes())
            .field(policy.as_bytes())
            .field(model.as_bytes())
            .finish()
    }

    /// The identity of the message that carries the alert with this id.
    #[must_use]
    pub fn message_id_of(alert_id: &B32) -> String {
        Digest::new(Self::TYPE).field(alert_id.as_bytes()).finish().to_hex()
    }
}

impl Message for Alert {
    const TYPE: &'static str = "hygeia/alert/v1";

    fn identity(&self, digest: Digest) -> Digest {
        digest.field(self.alert_id.as_bytes())
    }
}

impl fmt::Debug for Contribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contribution").field("name", &self.name).finish_non_exhaustive()
    }
}
