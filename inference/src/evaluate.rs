//! Evaluates a model package on labelled stays, side by side with scores a ward has without a model.

use std::path::Path;

use candle_core::Device;
use serde::Serialize;

use crate::dataset::{self, DatasetError, Table};
use crate::engine::{CandleEngine, EngineError};
use crate::metrics::Utility;
use crate::package::{CardEvaluation, Figures, ModelPackage, OperatingPoint};
use crate::train::{figures, score_table};

/// The figures of a model and of the baselines on one data set.
///
/// Every threshold comes from the model's card, where it was chosen on a part of the training stays: the labels of
/// the data set at hand only judge.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Content hash of the package, hex.
    pub package: String,
    /// What was evaluated on.
    pub data: DataSummary,
    /// The model.
    pub model: Row,
    /// NEWS2 without consciousness.
    pub news2: Row,
    /// Hours since the first observation alone.
    pub clock: Row,
}

/// Size of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DataSummary {
    /// Stays.
    pub stays: usize,
    /// Stays with a positive label.
    pub stays_septic: usize,
    /// Stays positive in their first hour, for which no lead time is possible.
    pub stays_septic_at_start: usize,
    /// Hourly rows.
    pub rows: usize,
    /// Rows with a positive label.
    pub rows_septic: usize,
}

/// Figures of one score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Area under the receiver operating characteristic, by row.
    pub auroc: f64,
    /// Area under the precision-recall curve (average precision), by row.
    pub auprc: f64,
    /// Normalised utility of the Challenge 2019 at the threshold.
    pub utility: f64,
    /// The threshold, from the card.
    pub threshold: i64,
    /// Share of the stays with at least one alerted row.
    pub stays_alerted: f64,
    /// Share of the septic stays with at least one alerted row.
    pub sensitivity_by_stay: f64,
    /// Share of the alerted stays that are septic; absent when none is alerted.
    pub ppv_by_stay: Option<f64>,
}

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

/// Scores every row of the data and reports.
pub fn evaluate(package: &ModelPackage, data: &Path) -> Result<Report, EvaluateError> {
    let mut table = Table::new(package.schema());
    dataset::read(data, |stay| table.push(&stay, package.schema()))?;
    let engine = CandleEngine::new(package.network(), &Device::Cpu)?;
    let scores = score_table(&engine, &table)?;
    let utility = Utility::new(table.labels_by_stay());
    let points = &package.card().operating_points;
    let row = |scores: &[i64], point| row(scores, &table, &utility, point).ok_or(EvaluateError::OneClass);
    Ok(Report {
        package: hex::encode(package.hash()),
        data: DataSummary::of(&table),
        model: row(&scores, points.model)?,
        news2: row(table.news2(), points.news2)?,
        clock: row(table.clock(), points.clock)?,
    })
}

impl Report {
    /// The report as an entry of a model card.
    pub fn card_evaluation(&self, data: impl Into<String>) -> CardEvaluation {
        CardEvaluation {
            data: data.into(),
            stays: self.data.stays,
            stays_septic: self.data.stays_septic,
            rows: self.data.rows,
            model: self.model.figures(),
            news2: self.news2.figures(),
            clock: self.clock.figures(),
        }
    }
}

impl Row {
    fn figures(&self) -> Figures {
        Figures { auroc: self.auroc, auprc: self.auprc, utility: self.utility }
    }
}

impl DataSummary {
    fn of(table: &Table) -> Self {
        Self {
            stays: table.stays(),
            stays_septic: table.stays_septic(),
            stays_septic_at_start: table.labels_by_stay().filter(|labels| labels.first() == Some(&true)).count(),
            rows: table.rows(),
            rows_septic: table.labels().iter().filter(|&&label| label).count(),
        }
    }
}

fn row(scores: &[i64], table: &Table, utility: &Utility, point: OperatingPoint) -> Option<Row> {
    let figures = figures(scores, table.labels(), utility, point)?;
    let (mut alerted, mut alerted_septic, mut septic, mut start) = (0usize, 0usize, 0usize, 0usize);
    for labels in table.labels_by_stay() {
        let rows = start..start + labels.len();
        start = rows.end;
        let is_septic = labels.contains(&true);
        let is_alerted = scores[rows].iter().any(|&score| score >= point.threshold);
        septic += usize::from(is_septic);
        alerted += usize::from(is_alerted);
        alerted_septic += usize::from(is_alerted && is_septic);
    }
    Some(Row {
        auroc: figures.auroc,
        auprc: figures.auprc,
        utility: figures.utility,
        threshold: point.threshold,
        stays_alerted: alerted as f64 / table.stays() as f64,
        sensitivity_by_stay: alerted_septic as f64 / septic as f64,
        ppv_by_stay: (alerted > 0).then(|| alerted_septic as f64 / alerted as f64),
    })
}
