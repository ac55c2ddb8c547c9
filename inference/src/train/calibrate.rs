//! Score to probability: isotonic regression on binned scores.

use crate::package::{Calibration, CalibrationPoint};

/// A bin ends when it holds this share of the positives or of the rows: fine where positives are, bounded elsewhere.
const BINS: usize = 32;

/// Fits a monotone table to labelled scores by pooling adjacent violators (Ayer et al. 1955).
///
/// Each pool becomes one point at the mean score of its rows. Rates are smoothed as if one row more of each label had
/// been seen in every pool, so that no score is called impossible or certain.
pub(super) fn calibrate(scores: &[i64], labels: &[bool]) -> Calibration {
    let mut pools: Vec<Pool> = Vec::new();
    for bin in bins(scores, labels) {
        pools.push(bin);
        while let [.., low, high] = pools.as_slice() {
            if low.rate_ppm() < high.rate_ppm() {
                break;
            }
            let merged = low.merged(high);
            pools.truncate(pools.len() - 2);
            pools.push(merged);
        }
    }
    let point = |pool: &Pool| CalibrationPoint { score: pool.mean_score(), probability_ppm: pool.rate_ppm() };
    let mut points: Vec<CalibrationPoint> = pools.iter().map(point).collect();
    points.dedup_by_key(|point| point.score);
    Calibration::new(points).expect("pools have rising scores and rates, and there are at most twice as many as bins")
}

/// Rows of neighbouring scores.
#[derive(Clone, Copy, Default)]
struct Pool {
    rows: u64,
    positives: u64,
    score_sum: i128,
}

impl Pool {
    fn merged(&self, other: &Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            positives: self.positives + other.positives,
            score_sum: self.score_sum + other.score_sum,
        }
    }

    fn rate_ppm(&self) -> u32 {
        // At most 10^6, since positives are at most rows.
        ((self.positives + 1) * 1_000_000 / (self.rows + 2)) as u32
    }

    fn mean_score(&self) -> i64 {
        self.score_sum.div_euclid(i128::from(self.rows.max(1))) as i64
    }
}

/// Bins by rising score. Rows of one score share a bin.
fn bins(scores: &[i64], labels: &[bool]) -> Vec<Pool> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by_key(|&row| scores[row]);
    let positives = labels.iter().filter(|&&label| label).count() as u64;
    let (rows_full, positives_full) = ((scores.len() / BINS) as u64, positives / BINS as u64);
    let (mut bins, mut open) = (Vec::new(), Pool::default());
    for tie in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        for &row in tie {
            open =
                open.merged(&Pool { rows: 1, positives: u64::from(labels[row]), score_sum: i128::from(scores[row]) });
        }
        if open.rows > rows_full || open.positives > positives_full {
            bins.push(std::mem::take(&mut open));
        }
    }
    if open.rows > 0 {
        bins.push(open);
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_a_logistic_score_are_found_again() {
        // 1,000 rows of each score, of which the share score / 10 is positive.
        let rows = (0..=10i64).flat_map(|score| (0..1000).map(move |n| (score, n < 100 * score)));
        let (scores, labels): (Vec<i64>, Vec<bool>) = rows.unzip();
        let table = calibrate(&scores, &labels);
        for score in 0..=10 {
            let error = i64::from(table.probability_ppm(score)) - 100_000 * score;
            assert!(error.abs() < 2_000, "{score}: {error}");
        }
    }

    #[test]
    fn a_rate_that_falls_is_pooled() {
        let rows = (0..4i64).flat_map(|score| (0..1000).map(move |n| (score, n < 400 - 100 * score)));
        let (scores, labels): (Vec<i64>, Vec<bool>) = rows.unzip();
        let table = calibrate(&scores, &labels);
        assert_eq!(table.points().len(), 1);
        assert_eq!(table.probability_ppm(0) / 1000, 250);
    }
}
