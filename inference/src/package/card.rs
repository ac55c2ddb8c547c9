//! The model card: what a clinician, a regulator and a voter read before they trust a score.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// What the model is, for whom, from what, and how well it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// Short name, such as `sepsis-v1`.
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
    /// Thresholds with the best utility on the selection stays, which training never fitted weights to.
    pub operating_points: OperatingPoints,
    /// Figures on the selection stays. Early stopping looked at them: they flatter.
    pub selection: Figures,
    /// Figures on stays that training never saw.
    pub evaluations: Vec<CardEvaluation>,
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

/// A threshold of the model and of each baseline, all chosen in the same way on the same stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoints {
    /// The model's score.
    pub model: OperatingPoint,
    /// NEWS2 without consciousness.
    pub news2: OperatingPoint,
    /// Hours since the first observation.
    pub clock: OperatingPoint,
}

/// A threshold: alert when the score is at or above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// Least score that alerts.
    pub threshold: i64,
}

/// How well a score does, by rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Area under the receiver operating characteristic.
    pub auroc: f64,
    /// Area under the precision-recall curve (average precision).
    pub auprc: f64,
    /// Normalised utility of the Challenge 2019 at the operating point.
    pub utility: f64,
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
    /// Hourly rows.
    pub rows: usize,
    /// The model.
    pub model: Figures,
    /// NEWS2 without consciousness.
    pub news2: Figures,
    /// Hours since the first observation.
    pub clock: Figures,
}

impl ModelCard {
    /// The card as Markdown. The same card gives the same bytes.
    pub fn render(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("writing to a string does not fail");
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# {}\n\n{}\n", self.name, self.summary)?;
        writeln!(out, "## Intended use\n\n{}\n\n## Limits\n", self.intended_use)?;
        for limit in &self.limits {
            writeln!(out, "- {limit}")?;
        }
        let dims: Vec<String> = self.dims.iter().map(usize::to_string).collect();
        writeln!(out, "\n## Model\n")?;
        writeln!(out, "Integer network {} with ReLU, ten binary digits after the point.\n", dims.join("-"))?;
        writeln!(out, "- schema SHA-256: `{}`", self.schema_hash)?;
        writeln!(out, "- network SHA-256: `{}`", self.network_hash)?;
        self.write_data(out)?;
        self.write_figures(out)
    }

    fn write_data(&self, out: &mut String) -> std::fmt::Result {
        let (data, run) = (&self.data, &self.training);
        writeln!(out, "\n## Data\n\n{}. Licence: {}. Changes: {}\n", data.name, data.licence, data.changes)?;
        writeln!(out, "{}\n\n## Training\n", data.citation)?;
        if let Some(hash) = &run.data_hash {
            writeln!(out, "- training file SHA-256: `{hash}`")?;
        }
        writeln!(out, "- seed {}, {} epochs, weights of epoch {} kept", run.seed, run.epochs, run.epoch_best)?;
        writeln!(
            out,
            "- {} stays fitted, {} kept for early stopping, thresholds and calibration; {} septic, {} hourly rows in all",
            run.stays_fitted, run.stays_selection, run.stays_septic, run.rows
        )?;
        writeln!(
            out,
            "- integers against floats on the selection stays: at most {:.4} logits apart, {:.5} AUROC lost",
            run.quantisation_error_max, run.quantisation_auroc_loss
        )
    }

    fn write_figures(&self, out: &mut String) -> std::fmt::Result {
        let points = &self.operating_points;
        writeln!(
            out,
            "\n## Figures\n\nBy hourly row. Utility is the official one of the Challenge 2019. All thresholds were chosen on the selection stays:"
        )?;
        writeln!(
            out,
            "model {}, NEWS2 {}, hours {}.\n",
            points.model.threshold, points.news2.threshold, points.clock.threshold
        )?;
        writeln!(out, "| data | score | AUROC | AUPRC | utility |\n|---|---|---|---|---|")?;
        write_row(out, "selection stays (flatter)", "model", self.selection)?;
        for evaluation in &self.evaluations {
            let data = format!(
                "{}: {} stays, {} septic, {} rows",
                evaluation.data, evaluation.stays, evaluation.stays_septic, evaluation.rows
            );
            write_row(out, &data, "model", evaluation.model)?;
            write_row(out, "same", "NEWS2 without consciousness", evaluation.news2)?;
            write_row(out, "same", "hours since first observation alone", evaluation.clock)?;
        }
        Ok(())
    }
}

fn write_row(out: &mut String, data: &str, score: &str, figures: Figures) -> std::fmt::Result {
    writeln!(out, "| {data} | {score} | {:.3} | {:.3} | {:.3} |", figures.auroc, figures.auprc, figures.utility)
}
