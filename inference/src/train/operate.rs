//! What is decided on the selection stays, for the model and for each baseline by one rule: thresholds of steady
//! utility, thresholds by alert budget, and how scores read as probabilities.

use super::{TrainError, calibrate};
use crate::dataset::Table;
use crate::metrics::{
    Alarm, BUDGETS, BudgetPoint, Figures, Outcomes, REPLICATES, Resamples, SEED, Utility, threshold_within,
};
use crate::package::{BaselineCalibration, Baselines, Calibration, Logistic, OperatingPoint, OperatingPoints};
use crate::score::{ByScore, ScoreName};

/// Everything a package takes from the selection stays.
pub(super) struct Decided {
    pub operating_points: OperatingPoints,
    pub figures: ByScore<Figures>,
    pub calibration: Calibration,
    pub baselines: Baselines,
}

/// Decides on the selection stays. `model` holds the model's score of each row.
pub(super) fn decide(
    selection: &Table,
    model: Vec<i64>,
    logistic: Logistic,
    alarm: &dyn Alarm,
) -> Result<Decided, TrainError> {
    const ONE_CLASS: TrainError = TrainError::OneClass("selection");
    let outcomes = selection.outcomes();
    let utility = Utility::new(selection.labels_by_stay());
    let scores = selection.scores(model, &logistic);
    let operating_points = ByScore::try_from_fn(|name| {
        let scores = scores.get(name);
        let threshold = utility.steady_threshold(scores).ok_or(ONE_CLASS)?;
        Ok::<_, TrainError>(OperatingPoint { threshold, budgets: budgets(name, scores, &outcomes, alarm) })
    })?;
    let resamples = Resamples::new(outcomes.len(), REPLICATES, SEED);
    let figures = ByScore::try_from_fn(|name| {
        let threshold = operating_points.get(name).threshold;
        let (figures, _) = Figures::of(scores.get(name), &outcomes, threshold, resamples).ok_or(ONE_CLASS)?;
        Ok::<_, TrainError>(figures)
    })?;
    let table = |name| calibrate::calibrate(scores.get(name), selection.labels());
    let calibration = BaselineCalibration {
        news2: table(ScoreName::News2),
        sirs: table(ScoreName::Sirs),
        clock: table(ScoreName::Clock),
        logistic: table(ScoreName::Logistic),
    };
    let baselines = Baselines { logistic, calibration };
    Ok(Decided { operating_points, figures, calibration: table(ScoreName::Model), baselines })
}

fn budgets(name: ScoreName, scores: &[i64], outcomes: &Outcomes<'_>, alarm: &dyn Alarm) -> Vec<BudgetPoint> {
    let point = |budget| {
        let threshold = threshold_within(budget, scores, outcomes, alarm, name.scale());
        BudgetPoint::at(budget, threshold, scores, outcomes, alarm, name.scale())
    };
    BUDGETS.map(point).to_vec()
}
