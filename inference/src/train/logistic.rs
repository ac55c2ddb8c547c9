//! The logistic regression the model is compared with, on the same features of the same stays.

use super::TrainError;
use crate::dataset::Table;
use crate::metrics::{Design, fit_logistic};
use crate::package::Logistic;

/// Weight of half the coefficients' sum of squares: next to nothing against the rows of a real data set, and enough
/// to hold a coefficient whose feature never varies.
const RIDGE: f64 = 1.0;
/// How much more a positive row counts than another: of a hundred rows about one is positive.
const POSITIVE_WEIGHT: f64 = 8.0;
/// 1.0 as a feature.
const ONE: f64 = 1024.0;
/// Coefficients are kept in millionths.
const MICRO: f64 = 1e6;

/// Fits every row of a table, a positive one counting [`POSITIVE_WEIGHT`] times.
pub(super) fn fit(table: &Table) -> Result<Logistic, TrainError> {
    let mut fitted = fit_logistic(&Rows { table }, RIDGE).ok_or(TrainError::Logistic)?;
    let intercept = fitted.pop().ok_or(TrainError::Logistic)?;
    let micro = |value: f64| (value * MICRO).round() as i64;
    Logistic::new(micro(intercept), fitted.into_iter().map(micro).collect()).map_err(|_| TrainError::Logistic)
}

struct Rows<'t> {
    table: &'t Table,
}

impl Design for Rows<'_> {
    fn width(&self) -> usize {
        self.table.width()
    }

    fn rows(&self) -> usize {
        self.table.rows()
    }

    fn row(&self, row: usize, x: &mut [f64]) -> (f64, f64) {
        for (x, &feature) in x.iter_mut().zip(self.table.features(row)) {
            *x = f64::from(feature) / ONE;
        }
        if self.table.labels()[row] { (1.0, POSITIVE_WEIGHT) } else { (0.0, 1.0) }
    }
}
