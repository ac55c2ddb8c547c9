//! Small vectors judged by others' programs: scikit-learn 1.8 for areas, Brier score and logistic fit, the Challenge's own
//! `evaluate_sepsis_score.py` for the utility.

use super::*;

/// Three stays of twenty hours: septic from the ninth, never, and from the sixteenth. Scores tie often.
fn vector() -> (Vec<i64>, Vec<bool>, [std::ops::Range<usize>; 3]) {
    let label = |row: usize| (8..20).contains(&row) || row >= 55;
    let score = |row: usize| ((row * 37 + 11) % 17) as i64 + if label(row) { 4 } else { 0 };
    ((0..60).map(score).collect(), (0..60).map(label).collect(), [0..20, 20..40, 40..60])
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

#[test]
fn areas_are_those_of_scikit_learn() {
    let (scores, labels, stays) = vector();
    close(auroc(&scores, &labels).unwrap(), 0.6990424076607387);
    close(auprc(&scores, &labels).unwrap(), 0.5555611627581946);
    let weighted = Ranking::new(&scores, &Outcomes::new(&labels, &stays)).judge(&[2, 0, 3]).unwrap();
    close(weighted.auroc, 0.6902059688944936);
    close(weighted.auprc, 0.6364130481818959);
}

#[test]
fn utility_is_that_of_the_official_program() {
    let (scores, labels, stays) = vector();
    let by_stay = utility_by_stay(&scores, &Outcomes::new(&labels, &stays), 12);
    close(StayUtility::normalised(&by_stay, &[1; 3]).unwrap(), 0.5127659574468085);
    let whole = Utility::new(stays.iter().map(|rows| &labels[rows.clone()]));
    close(whole.at(&scores, 12).unwrap(), 0.5127659574468085);
}

#[test]
fn calibration_is_that_of_scikit_learn() {
    let (scores, labels, stays) = vector();
    let probabilities: Vec<f64> = scores.iter().map(|&score| (score + 1) as f64 / 40.0).collect();
    let outcomes = Outcomes::new(&labels, &stays);
    let found = reliability(&probabilities, &outcomes, Resamples::new(3, 10, 1));
    close(found.brier, 0.18207291666666667);
    let fit = found.fit.unwrap();
    assert!((fit.slope - 1.0611593911647326).abs() < 1e-7, "{fit:?}");
    assert!((fit.intercept - 0.22922259135667059).abs() < 1e-7, "{fit:?}");
}
