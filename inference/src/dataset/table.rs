//! Many stays as one table of features, labels and baseline scores: what training and evaluation work on.

use std::ops::Range;

use super::{Stay, labelled_states};
use crate::metrics::Outcomes;
use crate::news2::news2;
use crate::package::Logistic;
use crate::schema::{FeatureSchema, Sex, Unit};
use crate::score::ByScore;
use crate::sirs::sirs;

/// What divides patients into groups.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Patient {
    /// Age at the first row that tells it.
    pub age_years: Option<u8>,
    /// Sex.
    pub sex: Option<Sex>,
    /// Kind of intensive-care unit.
    pub unit: Option<Unit>,
}

/// Rows of many stays, one after the other.
#[derive(Default)]
pub struct Table {
    width: usize,
    features: Vec<i16>,
    labels: Vec<bool>,
    news2: Vec<i64>,
    sirs: Vec<i64>,
    clock: Vec<i64>,
    stays: Vec<Range<usize>>,
    patients: Vec<Patient>,
}

impl Table {
    /// An empty table for the features of a schema.
    pub fn new(schema: &FeatureSchema) -> Self {
        Self { width: schema.len(), ..Self::default() }
    }

    /// Appends the rows of a stay.
    pub fn push(&mut self, stay: &Stay, schema: &FeatureSchema) {
        assert_eq!(schema.len(), self.width, "a table is filled by the schema it was made for");
        let start = self.labels.len();
        for (state, label) in labelled_states(stay) {
            // A schema keeps every feature within 16 bits.
            self.features.extend(schema.features(&state).into_iter().map(|feature| feature as i16));
            self.labels.push(label);
            self.news2.push(news2(&state));
            self.sirs.push(sirs(&state));
            self.clock.push(i64::from(state.hours_observed));
        }
        self.stays.push(start..self.labels.len());
        self.patients.push(Patient {
            age_years: stay.hours.iter().find_map(|hour| hour.age_years),
            sex: stay.hours.iter().find_map(|hour| hour.sex),
            unit: stay.hours.iter().find_map(|hour| hour.unit),
        });
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Features of a row.
    pub fn features(&self, row: usize) -> &[i16] {
        &self.features[row * self.width..(row + 1) * self.width]
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Label of each row.
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    /// Labels of each stay.
    pub fn labels_by_stay(&self) -> impl Iterator<Item = &[bool]> {
        self.stays.iter().map(|rows| &self.labels[rows.clone()])
    }

    /// NEWS2 of each row.
    pub fn news2(&self) -> &[i64] {
        &self.news2
    }

    /// SIRS criteria met on each row.
    pub fn sirs(&self) -> &[i64] {
        &self.sirs
    }

    /// Every score of every row: the model's are given, the others follow from the features and states.
    pub fn scores(&self, model: Vec<i64>, logistic: &Logistic) -> ByScore<Vec<i64>> {
        assert_eq!(model.len(), self.rows(), "one score for each row");
        ByScore {
            model,
            news2: self.news2.clone(),
            sirs: self.sirs.clone(),
            clock: self.clock.clone(),
            logistic: (0..self.rows()).map(|row| logistic.score(self.features(row))).collect(),
        }
    }

    /// Labels with the rows of each stay.
    pub fn outcomes(&self) -> Outcomes<'_> {
        Outcomes::new(&self.labels, &self.stays)
    }

    /// The patient of each stay.
    pub fn patients(&self) -> &[Patient] {
        &self.patients
    }

    /// Hours since the first observation of each row.
    pub fn clock(&self) -> &[i64] {
        &self.clock
    }

    /// Number of stays.
    pub fn stays(&self) -> usize {
        self.stays.len()
    }

    /// Number of stays with a positive label.
    pub fn stays_septic(&self) -> usize {
        self.labels_by_stay().filter(|labels| labels.contains(&true)).count()
    }
}

/// Shows nothing of the patient.
impl std::fmt::Debug for Patient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patient").finish_non_exhaustive()
    }
}
