//! From a clinical state to the integers that are committed to, scored and proved.
//!
//! Every feature is computed by integer arithmetic alone, so that a hospital's oracle, the scorer and an auditor get
//! the same vector on every machine. One standard deviation of a feature is 2^10 = 1024; a missing value is 0, the
//! centre of the population, and the feature that tells its staleness is at its maximum.

mod raw;
mod state;
mod v2;
mod variable;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use state::{ClinicalState, HOURS, Reading, Sex, Unit};
pub use variable::Variable;

/// Most features a schema may have: a raw window of eight hours of every variable has 192.
pub const FEATURES_MAX: usize = 256;
/// Binary digits after the point of a feature: 1024 is one standard deviation.
pub const FEATURE_SHIFT: u32 = 10;
/// Binary digits after the point of a feature's multiplier.
const MULTIPLIER_SHIFT: u32 = 20;
/// Features stay in the range of 16-bit integers: the circuit packs them 16 bits each.
const CLIP_MAX: i32 = i16::MAX as i32;
/// Largest multiplier: a standard deviation of one thousandth, so that no product leaves 64 bits.
const MULTIPLIER_MAX: i64 = 1 << (MULTIPLIER_SHIFT + FEATURE_SHIFT);
/// Largest centre: every raw quantity is a 32-bit integer.
const CENTER_MAX: i64 = 1 << 31;
/// Age given to a value that was never measured: four days, twice what any value is carried forward.
const AGE_MISSING_S: u32 = 4 * 24 * 3600;
/// Ages count in whole hours: training data is hourly, and a stream must not look staler than it.
const AGE_STEP_S: u32 = 3600;
/// Added to ages before the logarithm, so that the freshest has one.
const AGE_OFFSET_S: i64 = 1800;

/// An ordered, versioned list of features: what an oracle commits to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSchema", into = "RawSchema")]
pub struct FeatureSchema {
    name: String,
    features: Vec<Feature>,
}

/// One feature: `clamp(((raw - center) * multiplier) >> 20, -clip, clip)` of the raw integer that its source gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Unique name within the schema, such as `heart_rate.value`.
    pub name: String,
    /// Where the raw integer comes from.
    pub source: Source,
    /// Raw integer that becomes 0.
    pub center: i64,
    /// 2^30 over the standard deviation of the raw integer.
    pub multiplier: i64,
    /// Bound of the feature's magnitude.
    pub clip: i32,
}

/// The raw integer behind a feature. Logarithms are to base 2, in 1024ths, linear between powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Last value, in thousandths of the canonical unit.
    Value(Variable),
    /// Logarithm of the last value in thousandths.
    ValueLog(Variable),
    /// Logarithm of the age of the last value, whole hours in seconds plus 1800; that of four days when there is none.
    AgeLog(Variable),
    /// Last value less the earliest one of the trend window, in thousandths.
    Delta(Variable),
    /// Least value of the trend window, in thousandths.
    Min(Variable),
    /// Greatest value of the trend window, in thousandths.
    Max(Variable),
    /// Age of the patient in years.
    PatientAge,
    /// 0 = female, 1 = male.
    PatientSex,
    /// Whole hours since the first observation.
    Hours,
    /// Logarithm of those hours plus one.
    HoursLog,
    /// 1 in a medical intensive-care unit, 0 elsewhere or where the unit is not known.
    UnitMedical,
    /// 1 in a surgical intensive-care unit, 0 elsewhere or where the unit is not known.
    UnitSurgical,
    /// Logarithm of the whole hours from admission to hospital to admission to intensive care, plus one.
    HoursBeforeIcuLog,
    /// The value as it stood this many hours before the end of the window, in thousandths of the canonical unit.
    Hourly(Variable, u8),
    /// Logarithm of that value.
    HourlyLog(Variable, u8),
}

/// Why a schema was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SchemaError {
    /// The number of features is 0 or above [`FEATURES_MAX`].
    #[error("a schema has 1 to {FEATURES_MAX} features, not {0}")]
    FeatureCount(usize),
    /// Two features have one name.
    #[error("feature name {0:?} is used twice")]
    DuplicateName(String),
    /// An hour lies beyond the raw window.
    #[error("feature {0} looks back more than {HOURS} hours")]
    HourBeyondWindow(usize),
    /// A name is empty, too long or not of `[a-z0-9_.]`.
    #[error("feature {0} has no valid name")]
    InvalidName(usize),
    /// A centre, multiplier or clip is outside its range.
    #[error("feature {name:?}: {field} is out of range")]
    OutOfRange {
        /// The feature.
        name: String,
        /// The field of it.
        field: &'static str,
    },
}

impl FeatureSchema {
    /// Builds a schema after checking that no state can make its arithmetic overflow.
    pub fn new(name: impl Into<String>, features: Vec<Feature>) -> Result<Self, SchemaError> {
        if features.is_empty() || features.len() > FEATURES_MAX {
            return Err(SchemaError::FeatureCount(features.len()));
        }
        let mut names = HashSet::new();
        for (index, feature) in features.iter().enumerate() {
            feature.check(index)?;
            if !names.insert(feature.name.as_str()) {
                return Err(SchemaError::DuplicateName(feature.name.clone()));
            }
        }
        Ok(Self { name: name.into(), features })
    }

    /// The integers of a state, one for each feature, each within [`FeatureSchema::bounds`].
    pub fn features(&self, state: &ClinicalState) -> Vec<i32> {
        self.features.iter().map(|feature| feature.of(state)).collect()
    }

    /// Least and greatest value of each feature, both inclusive.
    pub fn bounds(&self) -> Vec<(i32, i32)> {
        self.features.iter().map(|feature| (-feature.clip, feature.clip)).collect()
    }

    /// SHA-256 of the canonical bytes of the schema: name, then each feature's name, source and numbers.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"hygeia/schema/v1");
        hash_text(&mut hasher, &self.name);
        hasher.update((self.features.len() as u64).to_be_bytes());
        for feature in &self.features {
            hash_text(&mut hasher, &feature.name);
            hasher.update(feature.source.canonical());
            hasher.update(feature.center.to_be_bytes());
            hasher.update(feature.multiplier.to_be_bytes());
            hasher.update(feature.clip.to_be_bytes());
        }
        hasher.finalize().into()
    }

    /// The same schema without the features that tell how long the patient has been in hospital.
    pub fn without_clock(&self) -> Self {
        let features = self.features.iter().filter(|f| !f.source.is_clock()).cloned().collect();
        Self { name: format!("{}-no-clock", self.name), features }
    }

    /// The schema's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The features in order.
    pub fn list(&self) -> &[Feature] {
        &self.features
    }

    /// Number of features.
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// A schema has at least one feature.
    pub fn is_empty(&self) -> bool {
        false
    }
}

impl Feature {
    /// The feature of a state.
    fn of(&self, state: &ClinicalState) -> i32 {
        let Some(raw) = self.source.raw(state) else {
            return 0;
        };
        let scaled = ((raw - self.center) * self.multiplier) >> MULTIPLIER_SHIFT;
        let clip = i64::from(self.clip);
        scaled.clamp(-clip, clip) as i32
    }

    fn check(&self, index: usize) -> Result<(), SchemaError> {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(valid) {
            return Err(SchemaError::InvalidName(index));
        }
        if let Source::Hourly(_, hour) | Source::HourlyLog(_, hour) = self.source
            && usize::from(hour) >= HOURS
        {
            return Err(SchemaError::HourBeyondWindow(index));
        }
        let out_of_range = |field| SchemaError::OutOfRange { name: self.name.clone(), field };
        if !(-CENTER_MAX..=CENTER_MAX).contains(&self.center) {
            return Err(out_of_range("center"));
        }
        if !(1..=MULTIPLIER_MAX).contains(&self.multiplier) {
            return Err(out_of_range("multiplier"));
        }
        if !(1..=CLIP_MAX).contains(&self.clip) {
            return Err(out_of_range("clip"));
        }
        Ok(())
    }
}

impl Source {
    /// The variable the source reads, if it reads one.
    pub fn variable(self) -> Option<Variable> {
        match self {
            Self::Value(v) | Self::ValueLog(v) | Self::AgeLog(v) | Self::Delta(v) | Self::Min(v) | Self::Max(v) => {
                Some(v)
            }
            Self::Hourly(v, _) | Self::HourlyLog(v, _) => Some(v),
            Self::PatientAge | Self::PatientSex | Self::Hours | Self::HoursLog => None,
            Self::UnitMedical | Self::UnitSurgical | Self::HoursBeforeIcuLog => None,
        }
    }

    /// Whether the source tells how long the patient has been in hospital.
    pub fn is_clock(self) -> bool {
        matches!(self, Self::Hours | Self::HoursLog | Self::HoursBeforeIcuLog)
    }

    /// The raw integer, or nothing where the state has no such value. Magnitudes stay below 2^33.
    fn raw(self, state: &ClinicalState) -> Option<i64> {
        let reading = |v: Variable| state.readings[v as usize];
        let hourly = |v: Variable, hour: u8| state.hourly[v as usize].get(usize::from(hour)).copied().flatten();
        match self {
            Self::Value(v) => reading(v).map(|r| i64::from(r.value_milli)),
            Self::ValueLog(v) => reading(v).map(|r| log2_fixed(i64::from(r.value_milli))),
            Self::AgeLog(v) => {
                let age_s = reading(v).map_or(AGE_MISSING_S, |r| r.age_s.min(AGE_MISSING_S));
                let whole_hours_s = age_s - age_s % AGE_STEP_S;
                Some(log2_fixed(i64::from(whole_hours_s) + AGE_OFFSET_S))
            }
            Self::Delta(v) => reading(v).map(|r| i64::from(r.delta_milli)),
            Self::Min(v) => reading(v).map(|r| i64::from(r.min_milli)),
            Self::Max(v) => reading(v).map(|r| i64::from(r.max_milli)),
            Self::PatientAge => state.age_years.map(i64::from),
            Self::PatientSex => state.sex.map(|sex| sex as i64),
            Self::Hours => Some(i64::from(state.hours_observed)),
            Self::HoursLog => Some(log2_fixed(i64::from(state.hours_observed) + 1)),
            Self::UnitMedical => Some(i64::from(state.unit == Some(Unit::Medical))),
            Self::UnitSurgical => Some(i64::from(state.unit == Some(Unit::Surgical))),
            Self::HoursBeforeIcuLog => state.hours_before_icu.map(|hours| log2_fixed(i64::from(hours) + 1)),
            Self::Hourly(v, hour) => hourly(v, hour).map(i64::from),
            Self::HourlyLog(v, hour) => hourly(v, hour).map(|value| log2_fixed(i64::from(value))),
        }
    }

    /// Two bytes that name the source in a schema's hash.
    fn canonical(self) -> [u8; 2] {
        match self {
            Self::Value(v) => [0, v as u8],
            Self::ValueLog(v) => [1, v as u8],
            Self::AgeLog(v) => [2, v as u8],
            Self::Delta(v) => [3, v as u8],
            Self::Min(v) => [4, v as u8],
            Self::Max(v) => [5, v as u8],
            Self::PatientAge => [16, 0],
            Self::PatientSex => [17, 0],
            Self::Hours => [18, 0],
            Self::HoursLog => [19, 0],
            Self::UnitMedical => [20, 0],
            Self::UnitSurgical => [21, 0],
            Self::HoursBeforeIcuLog => [22, 0],
            // One code for each hour of the raw window.
            Self::Hourly(v, hour) => [64 + hour, v as u8],
            Self::HourlyLog(v, hour) => [128 + hour, v as u8],
        }
    }
}

/// Logarithm to base 2 in 1024ths, linear between powers of two; values below 1 count as 1.
///
/// Exact by construction: the whole part is the position of the highest bit, the fraction the ten bits after it.
fn log2_fixed(value: i64) -> i64 {
    let value = value.max(1);
    let whole = i64::from(value.ilog2());
    (whole << FEATURE_SHIFT) + (((value - (1 << whole)) << FEATURE_SHIFT) >> whole)
}

fn hash_text(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text.as_bytes());
}

/// The JSON form of a schema, not yet checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchema {
    name: String,
    features: Vec<Feature>,
}

impl TryFrom<RawSchema> for FeatureSchema {
    type Error = SchemaError;

    fn try_from(raw: RawSchema) -> Result<Self, SchemaError> {
        Self::new(raw.name, raw.features)
    }
}

impl From<FeatureSchema> for RawSchema {
    fn from(schema: FeatureSchema) -> Self {
        Self { name: schema.name, features: schema.features }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_is_exact_at_powers_of_two_and_linear_between() {
        let values: Vec<i64> = [-5, 0, 1, 2, 3, 4, 6, 1024, 1536].map(log2_fixed).to_vec();
        assert_eq!(values, [0, 0, 0, 1024, 1536, 2048, 2560, 10_240, 10_752]);
    }

    #[test]
    fn hash_depends_on_every_field_of_every_feature() {
        let schema = FeatureSchema::v2();
        let changes: [fn(&mut Feature); 5] = [
            |f| f.name.push('x'),
            |f| f.source = Source::Value(Variable::Chloride),
            |f| f.center += 1,
            |f| f.multiplier += 1,
            |f| f.clip -= 1,
        ];
        for change in changes {
            for index in 0..schema.len() {
                let mut changed = schema.clone();
                change(&mut changed.features[index]);
                assert_ne!(changed.hash(), schema.hash());
            }
        }
    }

    #[test]
    fn refuses_what_could_overflow_or_confuse() {
        let feature = FeatureSchema::v2().features[0].clone();
        let with = |change: fn(&mut Feature)| {
            let mut changed = feature.clone();
            change(&mut changed);
            FeatureSchema::new("test", vec![changed]).unwrap_err()
        };
        let field = |error| match error {
            SchemaError::OutOfRange { field, .. } => field,
            other => panic!("{other}"),
        };
        assert_eq!(field(with(|f| f.center = CENTER_MAX + 1)), "center");
        assert_eq!(field(with(|f| f.multiplier = 0)), "multiplier");
        assert_eq!(field(with(|f| f.multiplier = MULTIPLIER_MAX + 1)), "multiplier");
        assert_eq!(field(with(|f| f.clip = CLIP_MAX + 1)), "clip");
        assert_eq!(with(|f| f.name = "No".to_owned()), SchemaError::InvalidName(0));
        let twice = FeatureSchema::new("test", vec![feature.clone(), feature.clone()]).unwrap_err();
        assert_eq!(twice, SchemaError::DuplicateName(feature.name));
        assert_eq!(FeatureSchema::new("test", Vec::new()).unwrap_err(), SchemaError::FeatureCount(0));
    }

    #[test]
    fn shipped_schema_passes_its_own_checks() {
        let schema = FeatureSchema::v2();
        assert_eq!(FeatureSchema::new(schema.name(), schema.list().to_vec()).as_ref(), Ok(&schema));
        assert_eq!(schema.len(), 67);
        let json = serde_json::to_string(&schema).unwrap();
        assert_eq!(serde_json::from_str::<FeatureSchema>(&json).unwrap(), schema);
        assert_eq!(schema.without_clock().len(), schema.len() - 3);
    }
}
