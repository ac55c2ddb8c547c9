//! Evaluates a model package on labelled stays, side by side with what a ward has without a model.
//!
//! Every threshold, every baseline and every reading of a score as a probability comes from the package, where it was
//! fixed on the training stays: the labels of the data at hand only judge. The one exception, recalibration, says so
//! and is fitted on other stays than it is judged on.

mod cohort;
mod groups;
mod html;
mod judge;
mod plot;
mod range;
mod report;
mod text;

use std::path::Path;

use candle_core::Device;

use crate::dataset::DatasetError;
use crate::engine::EngineError;
use crate::metrics::{self, Alarm, Outcomes};
use crate::package::{Calibration, ModelPackage};
use crate::score::{ByScore, ScoreName};
use crate::serve::ServingEngine;
use crate::train::score_table;

use cohort::Cohort;

pub use range::{RangeReport, Spoilt};
pub use report::{
    AtStart, BudgetCurvePoint, BudgetReport, CalibrationReport, Curves, Cutoff, DataSummary, DecisionCurve,
    GroupReport, GroupScore, Method, Missing, Report, ScoreReport, ThresholdSource,
};

/// Points of the decision curve.
const RISKS: usize = 50;
/// Parts per million in a whole.
const PPM: f64 = 1e6;

/// Why an evaluation failed.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The data could not be read.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// The data lacks septic rows or others, so nothing can be told apart.
    #[error("the data lacks one of the two labels")]
    OneClass,
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Scores every row of the data and judges every score. `alarm` is what stands between a score and a person.
pub fn evaluate(package: &ModelPackage, data: &Path, alarm: &dyn Alarm) -> Result<Report, EvaluateError> {
    let cohort = Cohort::read(data, package.schema())?;
    let table = &cohort.table;
    let engine = ServingEngine::new(package.network(), &Device::Cpu)?;
    let scores = table.scores(score_table(&engine, table)?, &package.baselines().logistic);
    let range = range::report(package, table, scores.get(ScoreName::Model))?;
    let probabilities = probabilities(package, &scores);
    let outcomes = table.outcomes();
    let judge = judge::Judge { outcomes: &outcomes, points: &package.card().operating_points, alarm };
    let scores_judged = judge.all(&scores, &probabilities).ok_or(EvaluateError::OneClass)?;
    let groups = groups::groups(table.patients(), &outcomes, &scores, &package.card().operating_points);
    Ok(Report {
        package: hex::encode(package.hash()),
        model_name: package.card().name.clone(),
        data: cohort.summary(data),
        method: Method::of(alarm),
        decision_curve: decision_curve(&probabilities, &outcomes),
        gaps: ByScore::from_fn(|name| groups::gaps(&groups, name)),
        groups,
        missing: cohort.missing(),
        range,
        scores: scores_judged,
    })
}

/// Each score read as a probability by its own committed table.
fn probabilities(package: &ModelPackage, scores: &ByScore<Vec<i64>>) -> ByScore<Vec<f64>> {
    ByScore::from_fn(|name| {
        let table = calibration(package, name);
        scores.get(name).iter().map(|&score| f64::from(table.probability_ppm(score)) / PPM).collect()
    })
}

fn calibration(package: &ModelPackage, name: ScoreName) -> &Calibration {
    let baselines = &package.baselines().calibration;
    match name {
        ScoreName::Model => package.calibration(),
        ScoreName::News2 => &baselines.news2,
        ScoreName::Sirs => &baselines.sirs,
        ScoreName::Clock => &baselines.clock,
        ScoreName::Logistic => &baselines.logistic,
    }
}

/// Risks from next to nothing to several times the share of positive rows: where a reasonable person would act.
fn decision_curve(probabilities: &ByScore<Vec<f64>>, outcomes: &Outcomes<'_>) -> DecisionCurve {
    let prevalence = outcomes.rows_septic() as f64 / outcomes.rows_count().max(1) as f64;
    let greatest = (8.0 * prevalence).clamp(0.05, 0.6);
    let risks: Vec<f64> = (1..=RISKS).map(|step| greatest * step as f64 / RISKS as f64).collect();
    DecisionCurve {
        alert_always: metrics::net_benefit_of_all(outcomes, &risks),
        scores: ByScore::from_fn(|name| metrics::net_benefit(probabilities.get(name), outcomes, &risks)),
        risks,
    }
}
