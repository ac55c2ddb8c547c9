//! What is known of a patient at one moment: the input of a feature schema.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Variable;

/// Hours of the raw window, the current one included.
pub const HOURS: usize = 8;

/// What is known of a patient at the end of a window.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ClinicalState {
    /// Whole hours since the first observation of the stay.
    pub hours_observed: u32,
    /// Age of the patient.
    pub age_years: Option<u8>,
    /// Sex of the patient.
    pub sex: Option<Sex>,
    /// Kind of intensive-care unit.
    pub unit: Option<Unit>,
    /// Whole hours from admission to hospital to admission to intensive care.
    pub hours_before_icu: Option<u32>,
    /// One entry for each [`Variable`], in its order; nothing where no value is fresh enough to carry forward.
    pub readings: [Option<Reading>; Variable::COUNT],
    /// The raw window: for each variable, in thousandths of the canonical unit, the value as it stood at the end of each
    /// of the trailing hours, the newest first.
    pub hourly: [[Option<i32>; HOURS]; Variable::COUNT],
}

/// The last value of a variable and what it did over the trend window.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Last value, in thousandths of the canonical unit.
    pub value_milli: i32,
    /// Seconds from the measurement to the end of the window.
    pub age_s: u32,
    /// Last value less the earliest one of the trend window, in thousandths.
    pub delta_milli: i32,
    /// Least value of the trend window, in thousandths.
    pub min_milli: i32,
    /// Greatest value of the trend window, in thousandths.
    pub max_milli: i32,
}

/// Sex as the observation LOINC 46098-0 carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    /// Coded 0.
    Female = 0,
    /// Coded 1.
    Male = 1,
}

/// Kind of intensive-care unit, as the encounter states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Medical.
    Medical = 0,
    /// Surgical.
    Surgical = 1,
}

impl ClinicalState {
    /// The reading of a variable.
    pub fn reading(&self, variable: Variable) -> Option<Reading> {
        self.readings[variable as usize]
    }
}

/// Says how much is known, never what: a state may end up in a log line.
impl fmt::Debug for ClinicalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClinicalState")
            .field("readings_present", &self.readings.iter().flatten().count())
            .finish_non_exhaustive()
    }
}

/// Shows no measurement.
impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}
