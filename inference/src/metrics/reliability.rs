//! Calibration: whether of a hundred rows that are said to be at 3 % three are positive.

use serde::Serialize;

use super::logistic::{Design, fit_logistic, sigmoid};
use super::{Interval, Outcomes, Resamples, interval};

/// Bins of the curve, with about the same number of rows each.
const BINS: usize = 10;
/// Probabilities are kept this far from 0 and 1, a millionth, which is the step of a calibration table.
const PROBABILITY_MIN: f64 = 1e-6;
/// Parts the stays are divided into for recalibration: fitted on four, applied to the fifth.
const FOLDS: usize = 5;
/// Newton steps for one unknown.
const STEPS: usize = 30;

/// How well probabilities agree with what happened, by row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reliability {
    /// Mean squared difference between probability and label.
    pub brier: f64,
    /// The same when every row is given the share of positive rows.
    pub brier_of_prevalence: f64,
    /// Mean distance between predicted and observed share over the bins, weighted by their rows.
    pub expected_calibration_error: f64,
    /// Logistic fit of the labels on the log-odds; absent when it is not determined.
    pub fit: Option<LogisticFit>,
    /// The curve.
    pub bins: Vec<ReliabilityBin>,
}

/// Labels regressed on the log-odds of the probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LogisticFit {
    /// 1 when the probabilities spread as they should; below 1 they are too extreme.
    pub slope: f64,
    /// Log-odds that remain at a predicted one of 0.
    pub intercept: f64,
    /// Log-odds to add to every prediction so that the mean is right, the slope left at 1: calibration in the large.
    pub in_the_large: f64,
}

/// Rows of neighbouring probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Rows.
    pub rows: usize,
    /// Their mean probability.
    pub predicted: f64,
    /// Share of them with a positive label.
    pub observed: f64,
    /// Interval of that share by resampling stays.
    pub observed_interval: Option<Interval>,
}

/// Compares probabilities, one for every row of the table, with the labels of these stays.
pub fn reliability(probabilities: &[f64], outcomes: &Outcomes<'_>, resamples: Resamples) -> Reliability {
    let rows = outcomes.rows_count().max(1) as f64;
    let prevalence = outcomes.rows_septic() as f64 / rows;
    let squared = |row: usize| (probabilities[row] - target(outcomes, row)).powi(2);
    let bins = bins(probabilities, outcomes, resamples);
    let off = |bin: &ReliabilityBin| bin.rows as f64 * (bin.predicted - bin.observed).abs();
    Reliability {
        brier: outcomes.rows().map(squared).sum::<f64>() / rows,
        brier_of_prevalence: prevalence * (1.0 - prevalence),
        expected_calibration_error: bins.iter().map(off).sum::<f64>() / rows,
        fit: LogisticFit::new(probabilities, outcomes),
        bins,
    }
}

/// Probabilities corrected by a logistic fit on other stays of the same data: what a site gains by recalibrating.
///
/// Stays are dealt into five parts; each is corrected by the fit on the other four, so that no stay's labels touch its
/// own probabilities. Rows of other stays keep theirs. Nothing when some fit is not determined.
pub fn recalibrated(probabilities: &[f64], outcomes: &Outcomes<'_>) -> Option<Vec<f64>> {
    let mut corrected = probabilities.to_vec();
    for fold in 0..FOLDS {
        let fit = LogisticFit::new(probabilities, &outcomes.keep(|stay| stay % FOLDS != fold))?;
        for row in outcomes.keep(|stay| stay % FOLDS == fold).rows() {
            corrected[row] = sigmoid(fit.intercept + fit.slope * log_odds(probabilities[row]));
        }
    }
    Some(corrected)
}

impl LogisticFit {
    /// Fits the labels of these stays. Nothing when they or the probabilities are all alike.
    pub fn new(probabilities: &[f64], outcomes: &Outcomes<'_>) -> Option<Self> {
        let rows: Vec<(f64, f64)> =
            outcomes.rows().map(|row| (log_odds(probabilities[row]), target(outcomes, row))).collect();
        let positives: f64 = rows.iter().map(|&(_, label)| label).sum();
        if positives == 0.0 || positives == rows.len() as f64 {
            return None;
        }
        let [slope, intercept] = fit_logistic(&LogOdds(&rows), 0.0)?.try_into().ok()?;
        Some(Self { slope, intercept, in_the_large: in_the_large(&rows, positives) })
    }
}

/// Log-odds and label of each row.
struct LogOdds<'a>(&'a [(f64, f64)]);

impl Design for LogOdds<'_> {
    fn width(&self) -> usize {
        1
    }

    fn rows(&self) -> usize {
        self.0.len()
    }

    fn row(&self, row: usize, x: &mut [f64]) -> (f64, f64) {
        x[0] = self.0[row].0;
        (self.0[row].1, 1.0)
    }
}

/// What must be added to all log-odds so that the probabilities sum to the number of positives.
fn in_the_large(rows: &[(f64, f64)], positives: f64) -> f64 {
    let mut shift = 0.0;
    for _ in 0..STEPS {
        let (mut sum, mut slope) = (0.0, 0.0);
        for &(log_odds, _) in rows {
            let p = sigmoid(log_odds + shift);
            sum += p;
            slope += p * (1.0 - p);
        }
        // Steps are bounded, so that a flat start cannot throw the search away.
        let step = ((positives - sum) / slope.max(f64::MIN_POSITIVE)).clamp(-2.0, 2.0);
        shift += step;
        if step.abs() < 1e-10 {
            break;
        }
    }
    shift
}

/// Rows by rising probability, cut into bins of about the same size; equal probabilities share a bin.
fn bins(probabilities: &[f64], outcomes: &Outcomes<'_>, resamples: Resamples) -> Vec<ReliabilityBin> {
    let stay_of = outcomes.stays().iter().enumerate().flat_map(|(stay, rows)| rows.clone().map(move |row| (row, stay)));
    let mut order: Vec<(usize, usize)> = stay_of.collect();
    order.sort_by(|a, b| probabilities[a.0].total_cmp(&probabilities[b.0]));
    let full = order.len().div_ceil(BINS).max(1);
    let mut bins: Vec<Vec<(usize, usize)>> = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    for tie in order.chunk_by(|a, b| probabilities[a.0] == probabilities[b.0]) {
        open.extend(tie);
        if open.len() >= full {
            bins.push(std::mem::take(&mut open));
        }
    }
    if !open.is_empty() {
        bins.push(open);
    }
    bins.iter().map(|rows| bin(rows, probabilities, outcomes, resamples)).collect()
}

fn bin(
    rows: &[(usize, usize)],
    probabilities: &[f64],
    outcomes: &Outcomes<'_>,
    resamples: Resamples,
) -> ReliabilityBin {
    let mut by_stay = vec![(0u32, 0u32); outcomes.len()];
    for &(row, stay) in rows {
        by_stay[stay].0 += 1;
        by_stay[stay].1 += u32::from(outcomes.label(row));
    }
    let observed = |weights: &[u32]| {
        let (mut count, mut positives) = (0u64, 0u64);
        for (&(rows, septic), &weight) in by_stay.iter().zip(weights) {
            count += u64::from(rows * weight);
            positives += u64::from(septic * weight);
        }
        positives as f64 / count as f64
    };
    ReliabilityBin {
        rows: rows.len(),
        predicted: rows.iter().map(|&(row, _)| probabilities[row]).sum::<f64>() / rows.len() as f64,
        observed: observed(&vec![1; outcomes.len()]),
        observed_interval: interval(resamples.each(observed)),
    }
}

fn target(outcomes: &Outcomes<'_>, row: usize) -> f64 {
    f64::from(u8::from(outcomes.label(row)))
}

fn log_odds(probability: f64) -> f64 {
    let p = probability.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stays of ten rows; in every ten rows of probability p, 10 p are positive.
    fn calibrated() -> (Vec<f64>, Vec<bool>, Vec<std::ops::Range<usize>>) {
        let rows = 20_000;
        let probability = |row: usize| (row % 5 + 1) as f64 / 10.0;
        // Shifted every fifth stay, so that each of the five parts has every pattern of labels.
        let label = |row: usize| ((row / 5 * 7 + row / 50) % 10) < row % 5 + 1;
        let stays = (0..rows / 10).map(|stay| stay * 10..stay * 10 + 10).collect();
        ((0..rows).map(probability).collect(), (0..rows).map(label).collect(), stays)
    }

    fn of(probabilities: &[f64], outcomes: &Outcomes<'_>) -> Reliability {
        reliability(probabilities, outcomes, Resamples::new(outcomes.len(), 50, 1))
    }

    #[test]
    fn right_probabilities_have_slope_1_and_no_error() {
        let (probabilities, labels, stays) = calibrated();
        let found = of(&probabilities, &Outcomes::new(&labels, &stays));
        let fit = found.fit.unwrap();
        assert!(
            (fit.slope - 1.0).abs() < 1e-6 && fit.intercept.abs() < 1e-6 && fit.in_the_large.abs() < 1e-6,
            "{fit:?}"
        );
        assert!(found.expected_calibration_error < 1e-12, "{found:?}");
        // Mean of p (1 - p) over 0.1 ..= 0.5.
        assert!((found.brier - 0.19).abs() < 1e-12 && (found.brier_of_prevalence - 0.21).abs() < 1e-12);
        assert_eq!(found.bins.iter().map(|bin| bin.rows).sum::<usize>(), 20_000);
        assert!(found.bins.iter().all(|bin| bin.observed_interval.is_some()));
    }

    #[test]
    fn distorted_probabilities_are_seen_and_set_right_again() {
        let (right, labels, stays) = calibrated();
        let outcomes = Outcomes::new(&labels, &stays);
        // Log-odds doubled and raised by one: slope 1/2, intercept -1/2.
        let distorted: Vec<f64> = right.iter().map(|&p| sigmoid(2.0 * log_odds(p) + 1.0)).collect();
        let found = of(&distorted, &outcomes);
        let fit = found.fit.unwrap();
        assert!((fit.slope - 0.5).abs() < 1e-6 && (fit.intercept + 0.5).abs() < 1e-6, "{fit:?}");
        assert!(found.expected_calibration_error > 0.05);
        let corrected = of(&recalibrated(&distorted, &outcomes).unwrap(), &outcomes);
        assert!(corrected.expected_calibration_error < 0.01, "{corrected:?}");
        assert!(corrected.brier < found.brier);
    }

    #[test]
    fn a_shift_alone_is_calibration_in_the_large() {
        let (right, labels, stays) = calibrated();
        let shifted: Vec<f64> = right.iter().map(|&p| sigmoid(log_odds(p) - 3.0)).collect();
        let fit = LogisticFit::new(&shifted, &Outcomes::new(&labels, &stays)).unwrap();
        assert!((fit.in_the_large - 3.0).abs() < 1e-6 && (fit.slope - 1.0).abs() < 1e-6, "{fit:?}");
    }

    #[test]
    fn one_class_or_one_probability_has_no_fit() {
        let (right, labels, stays) = calibrated();
        let none = vec![false; labels.len()];
        assert_eq!(LogisticFit::new(&right, &Outcomes::new(&none, &stays)), None);
        let constant = vec![0.3; labels.len()];
        let outcomes = Outcomes::new(&labels, &stays);
        assert_eq!(LogisticFit::new(&constant, &outcomes), None);
        assert_eq!(of(&constant, &outcomes).bins.len(), 1);
    }
}
