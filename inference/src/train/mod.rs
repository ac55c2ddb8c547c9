//! Training: from a directory or file of labelled stays to a model package, repeatable from a seed.
//!
//! The stays of the training data are split once, by a hash of their identifier: most are fitted, the rest decides
//! when to stop, where thresholds lie and how scores read as probabilities. No other data is looked at.
//! The same seed, data and machine give the same package; another processor may round float sums differently.

mod calibrate;
mod checkpoint;
mod config;
mod descent;
mod fit;
mod logistic;
mod network;
mod operate;
mod origin;
mod package;
mod teacher;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::dataset::{self, DatasetError, Stay, Table};
use crate::engine::EngineError;
use crate::guard::SpaceError;
use crate::metrics::{Alarm, EveryHour};
use crate::package::{ModelPackage, PackageError};
use crate::quantise::QuantiseError;
use crate::schema::FeatureSchema;
use crate::serve::ServingEngine;

pub use config::{Architecture, Teacher, TrainConfig};
use origin::Origin;
use package::package;
pub use package::{Import, import, origin_of, requantise};

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
    /// The teacher has judged one more part of the stays.
    Teacher {
        /// Parts judged.
        fold: usize,
        /// Parts in all.
        folds: usize,
    },
    /// A checkpoint was found; training goes on after this epoch.
    Resumed {
        /// Epochs done.
        epoch: usize,
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
    /// The teacher failed.
    #[error("the teacher could not be fitted")]
    Teacher(#[source] forust_ml::errors::ForustError),
    /// A checkpoint is damaged or cannot be read.
    #[error("{0} is not a readable checkpoint: remove it to start anew")]
    Checkpoint(PathBuf),
    /// A checkpoint is of other settings or other data.
    #[error("{0} belongs to a run with other settings or data: name another directory, or remove it to start anew")]
    OtherRun(PathBuf),
    /// A checkpoint could not be written.
    #[error("cannot write {path}")]
    WriteCheckpoint {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// candle failed.
    #[error("the training backend failed")]
    Backend(#[from] candle_core::Error),
    /// Weights diverged, or have no integer form.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// The stays are too few for a guard.
    #[error(transparent)]
    Guard(#[from] SpaceError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A model takes another number of inputs than the schema has features.
    #[error("the model takes {model} inputs, the schema has {schema} features")]
    Inputs {
        /// Inputs of the model.
        model: usize,
        /// Features of the schema.
        schema: usize,
    },
    /// The logistic regression for comparison is not determined by the data.
    #[error("no logistic regression fits the data")]
    Logistic,
    /// The package could not be put together.
    #[error(transparent)]
    Package(#[from] PackageError),
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
    let split = Split::read(&config.data, &config.schema, config.selection_percent)?;
    progress(Progress::Read { stays_fitted: split.fit.stays(), stays_selection: split.selection.stays() });
    let fitted = fit::fit(config, &split, progress)?;
    let origin = Origin::trained(config, &fitted);
    package(&config.data, &config.schema, &split, fitted.layers, origin, alarm)
}

/// Scores of every row of a table.
pub(crate) fn score_table(engine: &ServingEngine, table: &Table) -> Result<Vec<i64>, EngineError> {
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
    /// Identifiers of the stays to fit, in the order of the table.
    fit_ids: Vec<String>,
    selection: Table,
}

impl Split {
    fn read(data: &Path, schema: &FeatureSchema, selection_percent: u8) -> Result<Self, TrainError> {
        let [fit, selection] = [(); 2].map(|()| Table::new(schema));
        let mut split = Self { fit, fit_ids: Vec::new(), selection };
        dataset::read(data, |stay: Stay| {
            if is_selection(&stay.id, selection_percent) {
                split.selection.push(&stay, schema);
            } else {
                split.fit.push(&stay, schema);
                split.fit_ids.push(stay.id);
            }
        })?;
        for (part, name) in [(&split.fit, "fitted"), (&split.selection, "selection")] {
            let septic = part.stays_septic();
            if septic == 0 || septic == part.stays() {
                return Err(TrainError::OneClass(name));
            }
        }
        Ok(split)
    }

    /// Which of the teacher's parts each stay to fit belongs to.
    fn teacher_folds(&self, folds: u8) -> Vec<u8> {
        self.fit_ids.iter().map(|id| (bucket("hygeia/teacher/v1/", id) % u16::from(folds)) as u8).collect()
    }

    /// SHA-256 over settings and data: what a checkpoint belongs to.
    fn digest(&self, settings: [u8; 32]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(settings);
        for table in [&self.fit, &self.selection] {
            for row in 0..table.rows() {
                table.features(row).iter().for_each(|feature| hasher.update(feature.to_be_bytes()));
                hasher.update([u8::from(table.labels()[row])]);
            }
            table.labels_by_stay().for_each(|labels| hasher.update((labels.len() as u64).to_be_bytes()));
        }
        self.fit_ids.iter().for_each(|id| hasher.update(id));
        hasher.finalize().into()
    }
}

/// The share does not depend on the seed, so that runs with other seeds can be compared.
fn is_selection(id: &str, selection_percent: u8) -> bool {
    bucket("hygeia/selection/v1/", id) % 100 < u16::from(selection_percent)
}

/// A number that depends on the identifier alone, for a purpose of its own.
fn bucket(purpose: &str, id: &str) -> u16 {
    let digest = Sha256::digest(format!("{purpose}{id}"));
    u16::from_be_bytes([digest[0], digest[1]])
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
