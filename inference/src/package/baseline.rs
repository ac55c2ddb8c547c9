//! What a model is compared with, fitted on the same training stays and shipped beside it: so that an evaluation never
//! reads the labels it judges by.

use serde::{Deserialize, Serialize};

use super::Calibration;

/// Largest magnitude of a coefficient in millionths: a hundred units of log-odds for one standard deviation.
const COEFFICIENT_MAX: i64 = 100_000_000;
/// Largest magnitude of the intercept in millionths.
const INTERCEPT_MAX: i64 = 1_000_000_000;
/// Millionths in one, times the 1024ths that features count in, over the 1024ths that scores count in.
const MICRO: i64 = 1_000_000;
/// 1.0 as a feature.
const ONE: i64 = 1024;

/// The content of `baseline.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baselines {
    /// Logistic regression over the package's features.
    pub logistic: Logistic,
    /// How each baseline's score reads as a probability.
    pub calibration: BaselineCalibration,
}

/// Score to probability of each baseline, made on the selection stays as the model's table is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineCalibration {
    /// Of NEWS2 without consciousness.
    pub news2: Calibration,
    /// Of SIRS.
    pub sirs: Calibration,
    /// Of the hours since the first observation.
    pub clock: Calibration,
    /// Of the logistic regression.
    pub logistic: Calibration,
}

/// A logistic regression in integers, so that it gives the same score on every machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLogistic", into = "RawLogistic")]
pub struct Logistic {
    intercept_micro: i64,
    weights_micro: Vec<i64>,
}

/// Why a logistic regression was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogisticError {
    /// There is no coefficient.
    #[error("a logistic regression has at least one coefficient")]
    Empty,
    /// A coefficient is outside the range that keeps sums within 64 bits; the intercept counts as the last.
    #[error("coefficient {0} is out of range")]
    OutOfRange(usize),
}

impl Logistic {
    /// Takes an intercept and one coefficient for each feature, in millionths of log-odds; 1024 of a feature is one.
    pub fn new(intercept_micro: i64, weights_micro: Vec<i64>) -> Result<Self, LogisticError> {
        if weights_micro.is_empty() {
            return Err(LogisticError::Empty);
        }
        let outside = |weight: &i64| !(-COEFFICIENT_MAX..=COEFFICIENT_MAX).contains(weight);
        if let Some(index) = weights_micro.iter().position(outside) {
            return Err(LogisticError::OutOfRange(index));
        }
        if !(-INTERCEPT_MAX..=INTERCEPT_MAX).contains(&intercept_micro) {
            return Err(LogisticError::OutOfRange(weights_micro.len()));
        }
        Ok(Self { intercept_micro, weights_micro })
    }

    /// Log-odds in 1024ths, rounded down.
    pub fn score(&self, features: &[i16]) -> i64 {
        assert_eq!(features.len(), self.weights_micro.len(), "one coefficient for each feature");
        let dot: i64 = self.weights_micro.iter().zip(features).map(|(w, &x)| w * i64::from(x)).sum();
        (self.intercept_micro * ONE + dot).div_euclid(MICRO)
    }

    /// Number of features it reads.
    pub fn width(&self) -> usize {
        self.weights_micro.len()
    }

    /// Coefficients in millionths, in the order of the schema's features.
    pub fn weights_micro(&self) -> &[i64] {
        &self.weights_micro
    }
}

/// The JSON form, not yet checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLogistic {
    intercept_micro: i64,
    weights_micro: Vec<i64>,
}

impl TryFrom<RawLogistic> for Logistic {
    type Error = LogisticError;

    fn try_from(raw: RawLogistic) -> Result<Self, LogisticError> {
        Self::new(raw.intercept_micro, raw.weights_micro)
    }
}

impl From<Logistic> for RawLogistic {
    fn from(logistic: Logistic) -> Self {
        Self { intercept_micro: logistic.intercept_micro, weights_micro: logistic.weights_micro }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_the_log_odds_in_1024ths_rounded_down() {
        let logistic = Logistic::new(-500_000, vec![1_500_000, -250_000]).unwrap();
        assert_eq!(logistic.score(&[0, 0]), -512);
        assert_eq!(logistic.score(&[1024, 1024]), 768);
        assert_eq!(logistic.score(&[0, 1]), -513);
        assert_eq!((logistic.width(), logistic.weights_micro()[1]), (2, -250_000));
    }

    #[test]
    fn coefficients_that_could_overflow_are_refused() {
        assert_eq!(Logistic::new(0, Vec::new()), Err(LogisticError::Empty));
        assert_eq!(Logistic::new(0, vec![0, COEFFICIENT_MAX + 1]), Err(LogisticError::OutOfRange(1)));
        assert_eq!(Logistic::new(INTERCEPT_MAX + 1, vec![0]), Err(LogisticError::OutOfRange(1)));
        let widest = Logistic::new(-INTERCEPT_MAX, vec![-COEFFICIENT_MAX; 1024]).unwrap();
        assert!(widest.score(&[i16::MAX; 1024]) < -3_000_000_000);
        let json = r#"{"intercept_micro":0,"weights_micro":[100000001]}"#;
        assert!(serde_json::from_str::<Logistic>(json).is_err());
    }
}
