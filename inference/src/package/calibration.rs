//! From the integer score to a probability: a committed table, interpolated in integers.

use serde::{Deserialize, Serialize};

/// Most points of a table: more than any isotonic fit to this many stays supports.
pub const POINTS_MAX: usize = 256;
/// Parts per million in a whole.
const PPM: u32 = 1_000_000;

/// A monotone table, so that no two scores change their order when read as probabilities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<CalibrationPoint>", into = "Vec<CalibrationPoint>")]
pub struct Calibration(Vec<CalibrationPoint>);

/// One point of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationPoint {
    /// Score.
    pub score: i64,
    /// Share of windows with this score whose label was positive, in parts per million.
    pub probability_ppm: u32,
}

/// Why a table was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CalibrationError {
    /// The number of points is 0 or above [`POINTS_MAX`].
    #[error("a calibration has 1 to {POINTS_MAX} points, not {0}")]
    PointCount(usize),
    /// Scores do not rise, or probabilities fall, or one is above 1, at this point.
    #[error("calibration point {0} is out of order or above 1")]
    Order(usize),
}

impl Calibration {
    /// Builds a table of points with rising scores and probabilities that never fall.
    pub fn new(points: Vec<CalibrationPoint>) -> Result<Self, CalibrationError> {
        if points.is_empty() || points.len() > POINTS_MAX {
            return Err(CalibrationError::PointCount(points.len()));
        }
        for (index, point) in points.iter().enumerate() {
            let falls = index > 0 && {
                let before = points[index - 1];
                point.score <= before.score || point.probability_ppm < before.probability_ppm
            };
            if falls || point.probability_ppm > PPM {
                return Err(CalibrationError::Order(index));
            }
        }
        Ok(Self(points))
    }

    /// Probability of a score in parts per million: linear between points, constant beyond the ends.
    pub fn probability_ppm(&self, score: i64) -> u32 {
        let after = self.0.partition_point(|point| point.score < score);
        let Some(high) = self.0.get(after) else {
            return self.0[self.0.len() - 1].probability_ppm;
        };
        let Some(low) = after.checked_sub(1).map(|before| self.0[before]) else {
            return high.probability_ppm;
        };
        let run = i128::from(high.score) - i128::from(low.score);
        let rise = i128::from(high.probability_ppm) - i128::from(low.probability_ppm);
        let part = rise * (i128::from(score) - i128::from(low.score)) / run;
        low.probability_ppm + part as u32
    }

    /// The points, by rising score.
    pub fn points(&self) -> &[CalibrationPoint] {
        &self.0
    }
}

impl TryFrom<Vec<CalibrationPoint>> for Calibration {
    type Error = CalibrationError;

    fn try_from(points: Vec<CalibrationPoint>) -> Result<Self, CalibrationError> {
        Self::new(points)
    }
}

impl From<Calibration> for Vec<CalibrationPoint> {
    fn from(calibration: Calibration) -> Self {
        calibration.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(points: &[(i64, u32)]) -> Result<Calibration, CalibrationError> {
        let point = |&(score, probability_ppm): &(i64, u32)| CalibrationPoint { score, probability_ppm };
        Calibration::new(points.iter().map(point).collect())
    }

    #[test]
    fn interpolates_between_points_and_holds_the_ends() {
        let table = table(&[(-1000, 100), (0, 200), (1000, 1200)]).unwrap();
        let at = |score| table.probability_ppm(score);
        assert_eq!([at(i64::MIN), at(-1000), at(-500), at(0)], [100, 100, 150, 200]);
        assert_eq!([at(1), at(999), at(1000), at(i64::MAX)], [201, 1199, 1200, 1200]);
    }

    #[test]
    fn refuses_what_is_not_monotone() {
        assert_eq!(table(&[]), Err(CalibrationError::PointCount(0)));
        assert_eq!(table(&[(0, 5), (0, 6)]), Err(CalibrationError::Order(1)));
        assert_eq!(table(&[(0, 5), (1, 4)]), Err(CalibrationError::Order(1)));
        assert_eq!(table(&[(0, PPM + 1)]), Err(CalibrationError::Order(0)));
    }
}
