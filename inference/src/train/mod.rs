//! Training: from a directory or file of labelled stays to a model package, repeatable from a seed.
//!
//! The stays of the training data are split once, by a hash of their identifier: most are fitted, the rest decides
//! when to stop, where thresholds lie and how scores read as probabilities. No other data is looked at.
//! The same seed, data and machine give the same package; another processor may round float sums differently.

mod calibrate;
mod fit;
mod logistic;
mod operate;
mod report;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::dataset::{self, DatasetError, Stay, Table};
use crate::engine::{CandleEngine, EngineError};
use crate::metrics::{Alarm, EveryHour};
use crate::package::{DataSource, ModelPackage, PackageError, PackageParts, TrainingRecord, encode_float};
use crate::quantise::{QuantiseError, quantise};
use crate::schema::FeatureSchema;

use fit::Fitted;

/// How to train.
#[derive(Clone, Debug)]
pub struct TrainConfig {
    /// CSV(.gz) file or directory of `.psv` files.
    pub data: PathBuf,
    /// Where the data comes from, for the card.
    pub source: DataSource,
    /// Name of the model, for the card.
    pub name: String,
    /// Features to learn from.
    pub schema: FeatureSchema,
    /// Neurons of each hidden layer.
    pub hidden: Vec<usize>,
    /// Seed of initial weights, order of rows and dropout.
    pub seed: u64,
    /// Share of the stays kept for early stopping, thresholds and calibration, in per cent.
    pub selection_percent: u8,
    /// Most epochs. The learning rate falls to nothing over this number.
    pub epochs: usize,
    /// Epochs without a better figure on the selection stays after which training stops.
    pub patience: usize,
    /// Rows of a minibatch.
    pub batch_rows: usize,
    /// Learning rate at its peak.
    pub learning_rate: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// Share of hidden activations dropped.
    pub dropout: f64,
    /// How much more a positive row counts than a negative one.
    pub positive_weight: f64,
    /// Share of the loss that weighs rows by what the utility stakes on them, rather than by class.
    pub stake_share: f64,
}

/// How far training has come.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The data has been read.
    Read {
        /// Stays to fit.
        stays_fitted: usize,
        /// Stays kept for selection.
        stays_selection: usize,
    },
    /// An epoch has ended. Figures are those of the selection stays.
    Epoch {
        /// Which, from 1.
        epoch: usize,
        /// Most there will be.
        epochs: usize,
        /// Mean loss over the fitted rows.
        loss: f64,
        /// Area under the receiver operating characteristic.
        auroc: f64,
        /// Utility at the best threshold.
        utility: f64,
        /// Whether these are the weights to keep so far.
        best: bool,
    },
}

/// Why training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting is outside its range.
    #[error("{0} is out of range")]
    Config(&'static str),
    /// The data could not be read.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// One part of the split has no septic stay or no other stay.
    #[error("the {0} stays lack one of the two labels: more data or another share is needed")]
    OneClass(&'static str),
    /// candle failed.
    #[error("the training backend failed")]
    Backend(#[from] candle_core::Error),
    /// Weights diverged, or have no integer form.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The logistic regression for comparison is not determined by the data.
    #[error("no logistic regression fits the data")]
    Logistic,
    /// The package could not be put together.
    #[error(transparent)]
    Package(#[from] PackageError),
}

impl TrainConfig {
    /// The settings the shipped model was trained with.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            source: DataSource::challenge_2019(),
            name: "sepsis-v1".to_owned(),
            schema: FeatureSchema::v2(),
            hidden: vec![64, 32],
            seed: 1,
            selection_percent: 15,
            epochs: 20,
            patience: 8,
            batch_rows: 256,
            learning_rate: 5e-4,
            weight_decay: 0.05,
            dropout: 0.4,
            positive_weight: 8.0,
            stake_share: 0.5,
        }
    }

    fn check(&self) -> Result<(), TrainError> {
        let within = |name, holds: bool| {
            if holds { Ok(()) } else { Err(TrainError::Config(name)) }
        };
        within("hidden", (1..=7).contains(&self.hidden.len()) && self.hidden.iter().all(|w| (1..=1024).contains(w)))?;
        within("selection_percent", (1..=50).contains(&self.selection_percent))?;
        within("epochs", (1..=1000).contains(&self.epochs))?;
        within("patience", self.patience > 0)?;
        within("batch_rows", (1..=1 << 20).contains(&self.batch_rows))?;
        within("learning_rate", self.learning_rate > 0.0 && self.learning_rate <= 1.0)?;
        within("weight_decay", (0.0..=1.0).contains(&self.weight_decay))?;
        within("dropout", (0.0..0.9).contains(&self.dropout))?;
        within("positive_weight", self.positive_weight > 0.0 && self.positive_weight <= 1e4)?;
        within("stake_share", (0.0..=1.0).contains(&self.stake_share))
    }
}

/// Trains a model and packages it. Budgets count every hour at or above a threshold as an alert.
pub fn train(config: &TrainConfig, progress: &mut dyn FnMut(Progress)) -> Result<ModelPackage, TrainError> {
    train_with(config, &EveryHour, progress)
}

/// Trains a model and packages it, with thresholds for the alert budgets as `alarm` raises alerts.
pub fn train_with(
    config: &TrainConfig,
    alarm: &dyn Alarm,
    progress: &mut dyn FnMut(Progress),
) -> Result<ModelPackage, TrainError> {
    config.check()?;
    let split = Split::read(config)?;
    progress(Progress::Read { stays_fitted: split.fit.stays(), stays_selection: split.selection.stays() });
    let fitted = fit::fit(config, &split.fit, &split.selection, progress)?;
    package(config, &split, fitted, alarm)
}

/// Quantises what was fitted, chooses thresholds, calibrates and writes the card.
fn package(config: &TrainConfig, split: &Split, fitted: Fitted, alarm: &dyn Alarm) -> Result<ModelPackage, TrainError> {
    let selection = &split.selection;
    let network = quantise(&fitted.layers, &config.schema.bounds())?;
    let scores = score_table(&CandleEngine::new(&network, &candle_core::Device::Cpu)?, selection)?;
    let fidelity = report::fidelity(&fitted.layers, selection, &scores);
    let training = TrainingRecord {
        seed: config.seed,
        data_hash: hash_file(&config.data)?,
        stays_fitted: split.fit.stays(),
        stays_selection: selection.stays(),
        stays_septic: split.fit.stays_septic() + selection.stays_septic(),
        rows: split.fit.rows() + selection.rows(),
        epoch_best: fitted.epoch_best,
        epochs: fitted.epochs,
        quantisation_error_max: fidelity.error_max,
        quantisation_auroc_loss: fidelity.auroc_loss,
    };
    let logistic = logistic::fit(&split.fit, config.positive_weight)?;
    let decided = operate::decide(selection, scores, logistic, alarm)?;
    let card = report::card(config, &network, training, alarm, decided.operating_points, decided.figures);
    let float = encode_float(&fitted.layers)?;
    Ok(ModelPackage::assemble(PackageParts {
        schema: config.schema.clone(),
        network,
        calibration: decided.calibration,
        baselines: decided.baselines,
        float,
        card,
    })?)
}

/// Scores of every row of a table.
pub(crate) fn score_table(engine: &CandleEngine, table: &Table) -> Result<Vec<i64>, EngineError> {
    let mut scores = Vec::with_capacity(table.rows());
    let rows: Vec<usize> = (0..table.rows()).collect();
    for chunk in rows.chunks(SCORE_ROWS) {
        let inputs: Vec<Vec<i32>> =
            chunk.iter().map(|&row| table.features(row).iter().copied().map(i32::from).collect()).collect();
        scores.extend(engine.score_batch(&inputs)?);
    }
    Ok(scores)
}

/// Rows widened to 32 bits at once: the whole table need not be held twice.
const SCORE_ROWS: usize = 4096;

/// The training stays, divided by patient.
struct Split {
    fit: Table,
    selection: Table,
}

impl Split {
    fn read(config: &TrainConfig) -> Result<Self, TrainError> {
        let mut split = Self { fit: Table::new(&config.schema), selection: Table::new(&config.schema) };
        dataset::read(&config.data, |stay: Stay| {
            let part = if is_selection(&stay.id, config) { &mut split.selection } else { &mut split.fit };
            part.push(&stay, &config.schema);
        })?;
        for (part, name) in [(&split.fit, "fitted"), (&split.selection, "selection")] {
            let septic = part.stays_septic();
            if septic == 0 || septic == part.stays() {
                return Err(TrainError::OneClass(name));
            }
        }
        Ok(split)
    }
}

/// The share does not depend on the seed, so that runs with other seeds can be compared.
fn is_selection(id: &str, config: &TrainConfig) -> bool {
    let digest = Sha256::digest(format!("hygeia/selection/v1/{id}"));
    u16::from_be_bytes([digest[0], digest[1]]) % 100 < u16::from(config.selection_percent)
}

/// SHA-256 of the training data when it is one file.
fn hash_file(path: &Path) -> Result<Option<String>, TrainError> {
    if path.is_dir() {
        return Ok(None);
    }
    let unreadable = |source| DatasetError::Read { path: path.to_owned(), source };
    let mut hasher = Sha256::new();
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    std::io::copy(&mut file, &mut hasher).map_err(unreadable)?;
    Ok(Some(hex::encode(hasher.finalize())))
}
