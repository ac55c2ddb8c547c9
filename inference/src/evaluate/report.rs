//! What an evaluation says: plain data, which becomes JSON, text or a page.

use serde::Serialize;

use super::range::RangeReport;
use crate::metrics::{Alarm, BudgetPoint, Burden, Figures, Interval, LeadTime, REPLICATES, Reliability, SEED};
use crate::package::{CardEvaluation, CardGroup, Gap};
use crate::score::ByScore;

/// The figures of a model and of the baselines on one data set.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Content hash of the package, hex.
    pub package: String,
    /// Name of the model.
    pub model_name: String,
    /// What was evaluated on.
    pub data: DataSummary,
    /// How.
    pub method: Method,
    /// Each score, under its name.
    #[serde(flatten)]
    pub scores: ByScore<ScoreReport>,
    /// Net benefit of each score.
    pub decision_curve: DecisionCurve,
    /// Groups of patients.
    pub groups: Vec<GroupReport>,
    /// The widest differences between groups, by score.
    pub gaps: ByScore<Vec<Gap>>,
    /// How often each variable is recorded.
    pub missing: Vec<Missing>,
    /// What the guard marks as outside the validated range.
    pub range: RangeReport,
}

/// Size and kind of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataSummary {
    /// Name of the file or directory.
    pub name: String,
    /// Stays.
    pub stays: usize,
    /// Stays with a positive label.
    pub stays_septic: usize,
    /// Stays positive on their first row, for which no lead time is possible.
    pub stays_septic_at_start: usize,
    /// Hourly rows.
    pub rows: usize,
    /// Rows with a positive label.
    pub rows_septic: usize,
    /// Days of observation.
    pub patient_days: f64,
    /// Median length of a stay.
    pub hours_median: usize,
    /// Share of the stays whose age is known.
    pub age_known: f64,
    /// Share whose sex is known.
    pub sex_known: f64,
    /// Share whose kind of unit is known.
    pub unit_known: f64,
}

/// How figures were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Method {
    /// Replicates behind each interval.
    pub replicates: usize,
    /// Their seed.
    pub seed: u64,
    /// What stands between a score and a person.
    pub alarm: String,
}

/// One score.
#[derive(Clone, Debug, Serialize)]
pub struct ScoreReport {
    /// Over all stays.
    #[serde(flatten)]
    pub figures: Figures,
    /// The card's threshold, chosen by utility on the selection stays.
    pub threshold: i64,
    /// The model's figures less this score's, in pairs over the same resamples; absent for the model itself.
    pub model_ahead_by: Option<Figures>,
    /// Over the stays that are not positive on their first row.
    pub without_positive_at_start: Figures,
    /// The stays that are.
    pub positive_at_start: AtStart,
    /// Alerts at the threshold, every hour at or above it.
    pub burden_before_triage: Burden,
    /// The same after the alarm.
    pub burden_after_triage: Burden,
    /// First alert to onset at the threshold.
    pub lead_time: LeadTime,
    /// At fixed alert budgets, alerts counted after the alarm.
    pub budgets: Vec<BudgetReport>,
    /// At cut-offs that wards use.
    pub conventional: Vec<Cutoff>,
    /// Probabilities against labels.
    pub calibration: CalibrationReport,
    /// What the plots show.
    pub curves: Curves,
}

/// Stays that are positive on their first row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AtStart {
    /// Stays.
    pub stays: usize,
    /// Share of them alerted in their first hour.
    pub alerted_in_first_hour: Option<f64>,
    /// Share of them ever alerted.
    pub alerted: Option<f64>,
}

/// Where a threshold comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdSource {
    /// The card: chosen on the selection stays.
    Card,
    /// The evaluated data, because the card has none: it keeps the budget by construction.
    ThisData,
}

/// A score at an alert budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetReport {
    /// Threshold, and what it finds and costs here.
    #[serde(flatten)]
    pub point: BudgetPoint,
    /// Where the threshold comes from.
    pub threshold_from: ThresholdSource,
    /// Interval of the sensitivity.
    pub sensitivity_interval: Option<Interval>,
    /// Interval of the positive predictive value.
    pub ppv_interval: Option<Interval>,
    /// Share of the septic stays alerted between twelve hours before and three hours after onset.
    pub sensitivity_timely: Option<f64>,
    /// Median hours from first alert to onset.
    pub lead_time_median_h: Option<f64>,
}

/// A score at a cut-off in general use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cutoff {
    /// Least score that alerts.
    pub threshold: i64,
    /// Utility there.
    pub utility: Option<f64>,
    /// Alerts, every hour at or above it.
    #[serde(flatten)]
    pub burden: Burden,
}

/// Probabilities against labels.
#[derive(Clone, Debug, Serialize)]
pub struct CalibrationReport {
    /// As the package's table gives them.
    pub as_shipped: Reliability,
    /// After a logistic correction fitted on other stays of this data; absent when none could be fitted.
    pub recalibrated: Option<Reliability>,
}

/// Points of the plots, thinned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curves {
    /// Share of the negative rows alerted, share of the positive rows alerted.
    pub roc: Vec<[f64; 2]>,
    /// Recall, precision, by row.
    pub precision_recall: Vec<[f64; 2]>,
    /// From few alerts to many.
    pub budget: Vec<BudgetCurvePoint>,
}

/// One threshold of the alert-budget curve, after the alarm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BudgetCurvePoint {
    /// The threshold.
    pub threshold: i64,
    /// Share of the stays alerted.
    pub stays_alerted: f64,
    /// Alerts per patient-day.
    pub alerts_per_patient_day: f64,
    /// Share of the septic stays alerted.
    pub sensitivity: f64,
    /// Share of the alerted stays that are septic.
    pub ppv: Option<f64>,
}

/// Net benefit by row of acting from each risk on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecisionCurve {
    /// The risks.
    pub risks: Vec<f64>,
    /// Alerting on every row; never alerting has a net benefit of 0.
    pub alert_always: Vec<f64>,
    /// Each score, under its name.
    #[serde(flatten)]
    pub scores: ByScore<Vec<f64>>,
}

/// One group of patients.
#[derive(Clone, Debug, Serialize)]
pub struct GroupReport {
    /// What divides the groups: `sex`, `age`, `unit`.
    pub attribute: &'static str,
    /// The group.
    pub group: &'static str,
    /// Stays.
    pub stays: usize,
    /// Septic stays.
    pub stays_septic: usize,
    /// Each score, under its name.
    #[serde(flatten)]
    pub scores: ByScore<GroupScore>,
}

/// One score in one group, at the threshold that holds for all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GroupScore {
    /// Ranking and utility; absent where the group lacks one of the two labels.
    pub figures: Option<Figures>,
    /// Share of the stays alerted.
    pub stays_alerted: f64,
    /// Share of the septic stays alerted.
    pub sensitivity_by_stay: Option<f64>,
    /// Share of the alerted stays that are septic.
    pub ppv_by_stay: Option<f64>,
}

/// How often a variable is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Missing {
    /// The variable.
    pub variable: &'static str,
    /// Share of the rows without a value of their own.
    pub rows_missing: f64,
    /// Share of the stays in which it is never recorded.
    pub stays_never: f64,
}

impl Method {
    /// What holds for every evaluation.
    pub(super) fn of(alarm: &dyn Alarm) -> Self {
        Self { replicates: REPLICATES, seed: SEED, alarm: alarm.description() }
    }
}

impl Report {
    /// The report as an entry of a model card.
    pub fn card_evaluation(&self, data: impl Into<String>) -> CardEvaluation {
        CardEvaluation {
            data: data.into(),
            stays: self.data.stays,
            stays_septic: self.data.stays_septic,
            stays_septic_at_start: self.data.stays_septic_at_start,
            rows: self.data.rows,
            figures: ByScore::from_fn(|name| self.scores.get(name).figures),
            figures_without_positive_at_start: ByScore::from_fn(|name| self.scores.get(name).without_positive_at_start),
            budgets: self.scores.model.budgets.iter().map(|budget| budget.point.clone()).collect(),
            groups: self.groups.iter().map(GroupReport::card_group).collect(),
            gaps: self.gaps.model.clone(),
        }
    }
}

impl GroupReport {
    fn card_group(&self) -> CardGroup {
        let model = &self.scores.model;
        CardGroup {
            attribute: self.attribute.to_owned(),
            group: self.group.to_owned(),
            stays: self.stays,
            stays_septic: self.stays_septic,
            auroc: model.figures.map(|figures| figures.auroc),
            auroc_interval: model.figures.map(|figures| figures.auroc_interval),
            sensitivity: model.sensitivity_by_stay,
            ppv: model.ppv_by_stay,
            utility: model.figures.map(|figures| figures.utility),
        }
    }
}
