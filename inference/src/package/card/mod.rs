//! The model card: what a clinician, a regulator and a voter read before they trust a score.

mod render;

use serde::{Deserialize, Serialize};

use crate::metrics::{AlertBudget, BudgetPoint, Figures, Interval};
use crate::score::{ByScore, ScoreName};

/// What the model is, for whom, from what, and how well it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// Short name, such as `sepsis-v2`.
    pub name: String,
    /// What the score means.
    pub summary: String,
    /// What it may be used for.
    pub intended_use: String,
    /// What it must not be used for and where it is known to be weak.
    pub limits: Vec<String>,
    /// SHA-256 of the schema, hex.
    pub schema_hash: String,
    /// SHA-256 of the integer network, hex.
    pub network_hash: String,
    /// Inputs and neurons by layer.
    pub dims: Vec<usize>,
    /// Where the training data comes from.
    pub data: DataSource,
    /// How it was trained.
    pub training: TrainingRecord,
    /// What turns scores into the alerts that budgets count, in a few words.
    pub alarm: String,
    /// Thresholds of the model and of each baseline, chosen on the selection stays, which no weights were fitted to.
    pub operating_points: OperatingPoints,
    /// Figures on the selection stays. Early stopping and thresholds looked at them: they flatter.
    pub selection: ByScore<Figures>,
    /// Figures on stays that training never saw.
    pub evaluations: Vec<CardEvaluation>,
    /// What a regulator asks about a change of the model.
    pub change_control: ChangeControl,
}

/// Where data comes from and under which terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Name of the data set.
    pub name: String,
    /// Licence.
    pub licence: String,
    /// How to cite it.
    pub citation: String,
    /// What was changed.
    pub changes: String,
}

/// How a model was trained: enough to do it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// Targets and weights of the fit, in words.
    pub method: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// SHA-256 of the training file, hex, if it was one file.
    pub data_hash: Option<String>,
    /// Stays weights were fitted to.
    pub stays_fitted: usize,
    /// Stays kept for early stopping, thresholds and calibration.
    pub stays_selection: usize,
    /// Stays with a positive label among both.
    pub stays_septic: usize,
    /// Hourly rows of both.
    pub rows: usize,
    /// Epoch whose weights were kept.
    pub epoch_best: usize,
    /// Epochs run.
    pub epochs: usize,
    /// Greatest difference between integer score and float logit on the selection stays, in logits.
    pub quantisation_error_max: f64,
    /// AUROC of the float model less that of the integers, on the selection stays.
    pub quantisation_auroc_loss: f64,
}

/// Change control as a regulator asks for it: the three parts of a predetermined change control plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeControl {
    /// Description of the modification: what this version changes, and what later ones may.
    pub modification: String,
    /// Modification protocol: how a change is made and what it must show before it is used.
    pub protocol: String,
    /// Impact assessment: benefits and risks of the change, and how the risks are held.
    pub impact: String,
}

/// Thresholds of the model and of each baseline, all chosen in the same way on the same stays.
pub type OperatingPoints = ByScore<OperatingPoint>;

/// Where a score alerts: at or above a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// The threshold of steady utility: the middle of those that keep most of the greatest.
    pub threshold: i64,
    /// Thresholds by alert budget. A policy takes its threshold from here.
    pub budgets: Vec<BudgetPoint>,
}

/// Figures of the model and the baselines on one data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardEvaluation {
    /// Name of the data set.
    pub data: String,
    /// Stays in it.
    pub stays: usize,
    /// Septic stays among them.
    pub stays_septic: usize,
    /// Those of them that are positive on their first row.
    pub stays_septic_at_start: usize,
    /// Hourly rows.
    pub rows: usize,
    /// All stays.
    pub figures: ByScore<Figures>,
    /// Stays that are not positive on their first row.
    pub figures_without_positive_at_start: ByScore<Figures>,
    /// The model by alert budget, at the thresholds of this card.
    pub budgets: Vec<BudgetPoint>,
    /// The model by group of patients.
    pub groups: Vec<CardGroup>,
    /// The widest differences of the model between groups.
    pub gaps: Vec<Gap>,
}

/// The model in one group of patients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardGroup {
    /// What divides the groups: `sex`, `age`, `unit`.
    pub attribute: String,
    /// The group.
    pub group: String,
    /// Stays.
    pub stays: usize,
    /// Septic stays.
    pub stays_septic: usize,
    /// Area under the receiver operating characteristic, by row.
    pub auroc: Option<f64>,
    /// Its interval.
    pub auroc_interval: Option<Interval>,
    /// Share of the septic stays alerted at the operating point.
    pub sensitivity: Option<f64>,
    /// Share of the alerted stays that are septic.
    pub ppv: Option<f64>,
    /// Utility at the operating point.
    pub utility: Option<f64>,
}

/// The widest difference of one figure between the groups of one attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// What divides the groups.
    pub attribute: String,
    /// The figure.
    pub figure: String,
    /// Greatest value less least.
    pub gap: f64,
    /// Group with the least value.
    pub worst: String,
    /// Group with the greatest value.
    pub best: String,
}

impl OperatingPoints {
    /// The model's threshold for a budget: what a care policy is approved with.
    ///
    /// Nothing when the card has no such budget, or the score cannot keep it.
    pub fn by_budget(&self, budget: AlertBudget) -> Option<i64> {
        self.of_by_budget(ScoreName::Model, budget)
    }

    /// The threshold of any score for a budget.
    pub fn of_by_budget(&self, score: ScoreName, budget: AlertBudget) -> Option<i64> {
        self.get(score).budgets.iter().find(|point| point.budget == budget)?.threshold
    }
}

impl ModelCard {
    /// The card as Markdown. The same card gives the same bytes.
    pub fn render(&self) -> String {
        render::render(self)
    }
}
