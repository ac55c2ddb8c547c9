//! The stays to evaluate on, and what is recorded of them.

use std::path::Path;

use super::{DataSummary, EvaluateError, Missing};
use crate::dataset::{self, Stay, Table};
use crate::schema::{FeatureSchema, Variable};

/// All stays of a data set.
pub(super) struct Cohort {
    pub table: Table,
    recorded: [Recorded; Variable::COUNT],
}

/// Where a variable has a value.
#[derive(Clone, Copy, Default)]
struct Recorded {
    rows: usize,
    stays: usize,
}

impl Cohort {
    pub fn read(data: &Path, schema: &FeatureSchema) -> Result<Self, EvaluateError> {
        let mut cohort = Self { table: Table::new(schema), recorded: [Recorded::default(); Variable::COUNT] };
        dataset::read(data, |stay| {
            cohort.count(&stay);
            cohort.table.push(&stay, schema);
        })?;
        Ok(cohort)
    }

    fn count(&mut self, stay: &Stay) {
        for (index, recorded) in self.recorded.iter_mut().enumerate() {
            let rows = stay.hours.iter().filter(|hour| hour.values_milli[index].is_some()).count();
            recorded.rows += rows;
            recorded.stays += usize::from(rows > 0);
        }
    }

    pub fn summary(&self, data: &Path) -> DataSummary {
        let outcomes = self.table.outcomes();
        let mut hours: Vec<usize> = outcomes.stays().iter().map(ExactSizeIterator::len).collect();
        hours.sort_unstable();
        let patients = self.table.patients();
        let share = |known: usize| known as f64 / patients.len().max(1) as f64;
        DataSummary {
            // The name alone: where it lies is nobody's business.
            name: data.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            stays: outcomes.len(),
            stays_septic: outcomes.stays_septic(),
            stays_septic_at_start: outcomes.stays_septic_at_start(),
            rows: outcomes.rows_count(),
            rows_septic: outcomes.rows_septic(),
            patient_days: outcomes.patient_days(),
            hours_median: hours.get(hours.len() / 2).copied().unwrap_or(0),
            age_known: share(patients.iter().filter(|patient| patient.age_years.is_some()).count()),
            sex_known: share(patients.iter().filter(|patient| patient.sex.is_some()).count()),
            unit_known: share(patients.iter().filter(|patient| patient.unit.is_some()).count()),
        }
    }

    pub fn missing(&self) -> Vec<Missing> {
        let (rows, stays) = (self.table.rows().max(1) as f64, self.table.stays().max(1) as f64);
        let of = |variable: Variable| {
            let recorded = self.recorded[variable as usize];
            Missing {
                variable: variable.name(),
                rows_missing: 1.0 - recorded.rows as f64 / rows,
                stays_never: 1.0 - recorded.stays as f64 / stays,
            }
        };
        Variable::ALL.into_iter().map(of).collect()
    }
}
