//! A Mahalanobis distance: mean and covariance of a sample, and the limit that a share of another sample keeps.

use serde::{Deserialize, Serialize};

/// Most dimensions: those of the widest layer.
const DIMENSIONS_MAX: usize = 1024;
/// Added to each variance, as a share of the mean variance: directions without any spread must not divide by 0.
const RIDGE: f64 = 1e-2;

/// A distance from the centre of a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawSpace", into = "RawSpace")]
pub struct Space {
    mean: Vec<f64>,
    /// Rows of the inverse of the covariance's Cholesky factor: row `i` has `i + 1` entries.
    whitening: Vec<Vec<f64>>,
    limit: f64,
}

/// Why a space was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpaceError {
    /// There are no dimensions, too many, or rows that do not fit them.
    #[error("a guard has 1 to {DIMENSIONS_MAX} dimensions and a triangle of weights for them")]
    Shape,
    /// A number is not finite, or the limit is not above 0.
    #[error("a guard's numbers are finite and its limit is above 0")]
    Number,
    /// A sample is too small, or a point of it has other dimensions.
    #[error("the sample is too small or of other dimensions")]
    Sample,
}

/// Sums over a sample, from which a space is made.
#[derive(Clone, Debug)]
pub struct Moments {
    count: f64,
    sum: Vec<f64>,
    /// Lower triangle of the sums of products, row by row.
    products: Vec<f64>,
}

impl Moments {
    /// Of no point yet.
    pub fn new(dimensions: usize) -> Self {
        Self { count: 0.0, sum: vec![0.0; dimensions], products: vec![0.0; dimensions * (dimensions + 1) / 2] }
    }

    /// Takes one point in.
    pub fn add(&mut self, point: &[f64]) {
        assert_eq!(point.len(), self.sum.len(), "a point of the space");
        self.count += 1.0;
        let mut start = 0;
        for (row, &x) in point.iter().enumerate() {
            self.sum[row] += x;
            for (product, &y) in self.products[start..=start + row].iter_mut().zip(point) {
                *product += x * y;
            }
            start += row + 1;
        }
    }

    /// The space of the sample; its limit lets `inside_ppm` of the `held_back` points pass.
    pub fn space(&self, held_back: impl Iterator<Item = Vec<f64>>, inside_ppm: u32) -> Result<Space, SpaceError> {
        let dimensions = self.sum.len();
        if dimensions == 0 || self.count < 2.0 {
            return Err(SpaceError::Sample);
        }
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum / self.count).collect();
        let whitening = inverse(&cholesky(&self.covariance(&mean)));
        let mut space = Space { mean, whitening, limit: 1.0 };
        let mut distances: Vec<f64> = held_back.map(|point| space.distance(&mut point.into_iter())).collect();
        distances.sort_by(f64::total_cmp);
        let place = distances.len() as u64 * u64::from(inside_ppm) / 1_000_000;
        space.limit = *distances.get(place as usize).or(distances.last()).ok_or(SpaceError::Sample)?;
        Space::try_from(RawSpace::from(space))
    }

    /// Lower triangle of the covariance, with the ridge on its diagonal.
    fn covariance(&self, mean: &[f64]) -> Vec<Vec<f64>> {
        let mut start = 0;
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(mean.len());
        for row in 0..mean.len() {
            let products = &self.products[start..=start + row];
            let entry = |(product, column): (&f64, usize)| product / self.count - mean[row] * mean[column];
            rows.push(products.iter().zip(0..).map(entry).collect());
            start += row + 1;
        }
        let trace: f64 = rows.iter().map(|row| row[row.len() - 1]).sum();
        let ridge = (trace / mean.len() as f64 * RIDGE).max(f64::MIN_POSITIVE);
        for row in &mut rows {
            let diagonal = row.len() - 1;
            row[diagonal] = row[diagonal].max(0.0) + ridge;
        }
        rows
    }
}

impl Space {
    /// Distance of a point from the centre.
    pub fn distance(&self, point: &mut dyn Iterator<Item = f64>) -> f64 {
        let offsets: Vec<f64> = point.zip(&self.mean).map(|(x, mean)| x - mean).collect();
        let coordinate = |row: &Vec<f64>| row.iter().zip(&offsets).map(|(w, x)| w * x).sum::<f64>();
        self.whitening.iter().map(|row| coordinate(row).powi(2)).sum::<f64>().sqrt()
    }

    /// The greatest distance that still counts as inside.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Number of dimensions.
    pub fn dimensions(&self) -> usize {
        self.mean.len()
    }

    /// Mean and variance of each dimension, the [ridge](Space::ridge) included.
    pub fn moments(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let factor = inverse(&self.whitening);
        let variance = |row: Vec<f64>| row.iter().map(|entry| entry * entry).sum();
        self.mean.iter().copied().zip(factor.into_iter().map(variance))
    }

    /// Mean and variance of the weighted sum of the dimensions, the ridge included.
    pub fn along(&self, weights: &[f64]) -> (f64, f64) {
        assert_eq!(weights.len(), self.mean.len(), "a weight for each dimension");
        let mean = weights.iter().zip(&self.mean).map(|(w, mean)| w * mean).sum();
        // |L^T w|^2, where L L^T is the covariance.
        let mut spread = vec![0.0; weights.len()];
        for (row, weight) in inverse(&self.whitening).iter().zip(weights) {
            row.iter().zip(&mut spread).for_each(|(entry, sum)| *sum += entry * weight);
        }
        (mean, spread.iter().map(|x| x * x).sum())
    }

    /// What was added to each variance when the space was fitted.
    pub fn ridge(&self) -> f64 {
        let mean_variance = self.moments().map(|(_, variance)| variance).sum::<f64>() / self.mean.len() as f64;
        mean_variance * RIDGE / (1.0 + RIDGE)
    }
}

/// `L` of `L L^T`, for a positive definite matrix given by its lower triangle.
fn cholesky(matrix: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut factor: Vec<Vec<f64>> = Vec::with_capacity(matrix.len());
    for (row, entries) in matrix.iter().enumerate() {
        let mut line: Vec<f64> = Vec::with_capacity(row + 1);
        for (column, &entry) in entries.iter().enumerate() {
            let other = if column == row { &line } else { &factor[column] };
            let rest = entry - line.iter().zip(&other[..column]).map(|(a, b)| a * b).sum::<f64>();
            // The ridge keeps the matrix positive definite; rounding may still take a pivot below 0.
            line.push(if column == row { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / factor[column][column] });
        }
        factor.push(line);
    }
    factor
}

/// Inverse of a lower triangular matrix.
fn inverse(factor: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let size = factor.len();
    let mut inverse: Vec<Vec<f64>> = (0..size).map(|row| vec![0.0; row + 1]).collect();
    for column in 0..size {
        inverse[column][column] = 1.0 / factor[column][column];
        for row in column + 1..size {
            let sum: f64 = (column..row).map(|k| factor[row][k] * inverse[k][column]).sum();
            inverse[row][column] = -sum / factor[row][row];
        }
    }
    inverse
}

/// The JSON form, not yet checked. Numbers are rounded to what a 32-bit float holds: a distance needs no more.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpace {
    mean: Vec<f32>,
    whitening: Vec<Vec<f32>>,
    limit: f32,
}

impl TryFrom<RawSpace> for Space {
    type Error = SpaceError;

    fn try_from(raw: RawSpace) -> Result<Self, SpaceError> {
        let dimensions = raw.mean.len();
        let triangle = raw.whitening.iter().zip(1..).all(|(row, length)| row.len() == length);
        if !(1..=DIMENSIONS_MAX).contains(&dimensions) || raw.whitening.len() != dimensions || !triangle {
            return Err(SpaceError::Shape);
        }
        let finite = raw.mean.iter().chain(raw.whitening.iter().flatten()).all(|number| number.is_finite());
        if !finite || !raw.limit.is_finite() || raw.limit <= 0.0 {
            return Err(SpaceError::Number);
        }
        let wide = |row: Vec<f32>| row.into_iter().map(f64::from).collect();
        Ok(Self {
            mean: wide(raw.mean),
            whitening: raw.whitening.into_iter().map(wide).collect(),
            limit: f64::from(raw.limit),
        })
    }
}

impl From<Space> for RawSpace {
    fn from(space: Space) -> Self {
        let narrow = |row: Vec<f64>| row.into_iter().map(|number| number as f32).collect();
        Self {
            mean: narrow(space.mean),
            whitening: space.whitening.into_iter().map(narrow).collect(),
            limit: space.limit as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::Sequence;

    /// Two coordinates of one spread, of which the second follows the first.
    fn points(count: usize, seed: u64) -> impl Iterator<Item = Vec<f64>> {
        let mut draw = Sequence::new(seed);
        let mut unit = move || (draw.next() >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
        (0..count).map(move |_| {
            let (a, b) = (unit(), unit());
            vec![1000.0 * a, 1000.0 * a + 100.0 * b + 50.0]
        })
    }

    fn space() -> Space {
        let mut moments = Moments::new(2);
        points(5000, 1).for_each(|point| moments.add(&point));
        moments.space(points(5000, 2), 995_000).unwrap()
    }

    #[test]
    fn a_point_off_the_usual_line_is_far_though_each_coordinate_is_usual() {
        let space = space();
        let distance = |x: f64, y: f64| space.distance(&mut [x, y].into_iter());
        assert!(distance(300.0, 350.0) < space.limit());
        assert!(distance(300.0, -250.0) > 3.0 * space.limit());
        assert!(distance(0.0, 50.0) < 0.2);
    }

    #[test]
    fn the_limit_keeps_its_share_of_new_points() {
        let space = space();
        let inside = points(10_000, 3).filter(|p| space.distance(&mut p.iter().copied()) <= space.limit()).count();
        assert!((9_900..=9_990).contains(&inside), "{inside}");
    }

    #[test]
    fn a_direction_without_spread_is_no_division_by_zero() {
        let mut moments = Moments::new(2);
        (0..100).for_each(|n| moments.add(&[f64::from(n), 7.0]));
        let space = moments.space((0..100).map(|n| vec![f64::from(n), 7.0]), 995_000).unwrap();
        assert!(space.distance(&mut [50.0, 7.0].into_iter()) < space.limit());
        assert!(space.distance(&mut [50.0, 70.0].into_iter()) > space.limit());
    }

    #[test]
    fn the_samples_moments_are_got_back() {
        let space = space();
        let ridge = space.ridge();
        let moments: Vec<(f64, f64)> = space.moments().map(|(mean, variance)| (mean, variance - ridge)).collect();
        // A uniform draw of width 1 has a variance of a twelfth.
        for ((mean, variance), (expected, width)) in moments.iter().zip([(0.0, 1000.0_f64), (50.0, 1004.99)]) {
            assert!((mean - expected).abs() < 15.0, "{mean} is not {expected}");
            let expected = width.powi(2) / 12.0;
            assert!((variance / expected - 1.0).abs() < 0.05, "{variance} is not {expected}");
        }
        let (mean, variance) = space.along(&[-1.0, 1.0]);
        assert!((mean - 50.0).abs() < 2.0, "{mean}");
        let expected = 100.0_f64.powi(2) / 12.0 + 2.0 * ridge;
        assert!((variance / expected - 1.0).abs() < 0.05, "{variance} is not {expected}");
    }

    #[test]
    fn refuses_what_is_no_space() {
        let json = |text: &str| serde_json::from_str::<Space>(text).is_ok();
        assert!(json(r#"{"mean":[0.0],"whitening":[[1.0]],"limit":2.0}"#));
        for bad in [
            r#"{"mean":[],"whitening":[],"limit":2.0}"#,
            r#"{"mean":[0.0],"whitening":[[1.0,1.0]],"limit":2.0}"#,
            r#"{"mean":[0.0,1.0],"whitening":[[1.0]],"limit":2.0}"#,
            r#"{"mean":[0.0],"whitening":[[1.0]],"limit":0.0}"#,
            r#"{"mean":[1e300],"whitening":[[1.0]],"limit":1.0}"#,
        ] {
            assert!(!json(bad), "{bad}");
        }
        assert_eq!(Moments::new(2).space(std::iter::empty(), 995_000), Err(SpaceError::Sample));
    }

    #[test]
    fn a_space_survives_its_file() {
        let space = space();
        let text = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<Space>(&text).unwrap(), space);
    }
}
