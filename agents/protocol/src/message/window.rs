//! Oracle to sentinel, and sentinel to ledger.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Address, B32, Message, Salt, Signature, V1};
use crate::code::{Code, READINGS, Sex, Unit};
use crate::digest::Digest;
use crate::window::{Reading, WindowSnapshot};

/// What a patient's chart says at a window's end, signed for by an oracle. It stays inside the care
/// network. `Debug` prints neither features nor salt nor readings.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestedWindow {
    /// Version.
    pub v: V1,
    /// [`AttestedWindow::id`] of the three fields that follow.
    pub window_id: B32,
    /// The patient's mandate on chain: a random id that only the care network ties to a patient.
    pub mandate: B32,
    /// End of the window, seconds since the epoch.
    pub end: u64,
    /// Hash of the feature schema.
    pub schema: B32,
    /// The features that the commitment holds.
    pub features: Vec<i32>,
    /// The salt of the commitment.
    pub salt: Salt,
    /// Commitment to schema, features and salt: a field element, big-endian.
    pub commitment: B32,
    /// Address of the oracle that signs.
    pub oracle: Address,
    /// EIP-712 signature over mandate, end, schema and commitment.
    pub signature: Signature,
    /// The readings behind the features, for explaining a score.
    pub clinical: ClinicalSummary,
    /// Arrival of the newest observation of the window.
    pub observed_at_ms: u64,
    /// When the oracle emitted the window.
    pub emitted_at_ms: u64,
}

/// The readings of a window by name. `Debug` prints how many there are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClinicalSummary {
    /// Whole hours since the first observation of the stay.
    pub hours_observed: u32,
    /// Age in whole years.
    pub age_years: Option<u8>,
    /// Sex.
    pub sex: Option<Sex>,
    /// Kind of intensive-care unit.
    pub unit: Option<Unit>,
    /// Whole hours from admission to hospital to admission to intensive care.
    pub hours_before_icu: Option<u32>,
    /// Every reading that the window has.
    pub readings: BTreeMap<Code, Reading>,
}

/// A scored window, for the audit ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoredWindow {
    /// Version.
    pub v: V1,
    /// The window that was scored.
    pub window_id: B32,
    /// Where it stands in the stream of attested windows: who audits finds features and salt there, and nowhere else.
    pub window_sequence: u64,
    /// The patient's mandate.
    pub mandate: B32,
    /// End of the window, seconds since the epoch.
    pub end: u64,
    /// The approved model that scored it.
    pub model: B32,
    /// Fixed-point logit, 1024 = 1.
    pub score: i64,
    /// The oracle's commitment.
    pub commitment: B32,
    /// When it was scored.
    pub scored_at_ms: u64,
    /// What computed the score, for example `candle-cpu`.
    pub engine: String,
    /// What triage made of it: [`crate::triage::TriageOutcome::label`].
    pub outcome: String,
    /// True where the window is unlike those the model was validated on.
    pub outside_validated_range: bool,
}

impl AttestedWindow {
    /// The identity of a window. It leaves out commitment and salt: an oracle that attests the same
    /// window again after a crash draws a new salt, and the broker must keep the first only.
    #[must_use]
    pub fn id(mandate: &B32, end: u64, schema: &B32) -> B32 {
        Digest::new("hygeia/window-id/v1").field(mandate.as_bytes()).integer(end).field(schema.as_bytes()).finish()
    }
}

impl ClinicalSummary {
    /// The readings by slot, as the window machine has them.
    #[must_use]
    pub fn slots(&self) -> [Option<Reading>; READINGS] {
        std::array::from_fn(|slot| Code::from_slot(slot).and_then(|code| self.readings.get(&code).copied()))
    }
}

impl From<&WindowSnapshot> for ClinicalSummary {
    fn from(snapshot: &WindowSnapshot) -> ClinicalSummary {
        ClinicalSummary {
            hours_observed: snapshot.hours_observed,
            age_years: snapshot.age_years,
            sex: snapshot.sex,
            unit: snapshot.unit,
            hours_before_icu: snapshot.hours_before_icu,
            readings: snapshot.readings().collect(),
        }
    }
}

impl Message for AttestedWindow {
    const TYPE: &'static str = "hygeia/window/v1";

    fn identity(&self, digest: Digest) -> Digest {
        digest.field(self.window_id.as_bytes())
    }
}

impl ScoredWindow {
    /// The message id of the line that says what a model made of a window: one line for each.
    #[must_use]
    pub fn line_id(window_id: &B32, model: &B32) -> String {
        Self::about(Digest::new(Self::TYPE), window_id, model).finish().to_hex()
    }

    fn about(digest: Digest, window_id: &B32, model: &B32) -> Digest {
        digest.field(window_id.as_bytes()).field(model.as_bytes())
    }
}

impl Message for ScoredWindow {
    const TYPE: &'static str = "hygeia/scored-window/v1";

    fn identity(&self, digest: Digest) -> Digest {
        Self::about(digest, &self.window_id, &self.model)
    }
}

impl fmt::Debug for AttestedWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttestedWindow")
            .field("window_id", &self.window_id)
            .field("end", &self.end)
            .field("commitment", &self.commitment)
            .field("oracle", &self.oracle)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClinicalSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClinicalSummary({} readings)", self.readings.len())
    }
}
