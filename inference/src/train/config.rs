//! How to train: settings, their defaults and their ranges.

use std::path::PathBuf;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::TrainError;
use crate::package::DataSource;
use crate::schema::{FeatureSchema, HOURS};

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
    /// Layers of the network.
    pub architecture: Architecture,
    /// Who smooths the labels.
    pub teacher: Option<Teacher>,
    /// Seed of initial weights, order of rows, dropout and teacher.
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
    /// Directory that takes the state after the teacher and after each epoch. A run with the same settings and data
    /// goes on from what it finds there, and ends as one that was never interrupted.
    pub checkpoints: Option<PathBuf>,
}

/// The layers of a network, the single output left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "family")]
pub enum Architecture {
    /// Fully connected layers.
    Mlp {
        /// Neurons of each hidden layer.
        hidden: Vec<usize>,
    },
    /// Convolutions over the raw window, step-major, then the mean over the steps, then fully connected layers.
    Conv1d {
        /// Output channels of each convolution.
        channels: Vec<usize>,
        /// Steps that one output sees.
        kernel: usize,
        /// Neurons of each hidden layer after the mean.
        hidden: Vec<usize>,
    },
}

/// Boosted trees that are fitted to the same stays first, and whose opinion of each row the network learns beside the
/// row's label. Each row is judged by trees that have not seen its stay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Teacher {
    /// Parts of the stays; the trees for one part are fitted to the others.
    pub folds: u8,
    /// Trees of each ensemble.
    pub trees: usize,
    /// Shrinkage of each tree.
    pub learning_rate: f32,
    /// Deepest a tree may be.
    pub depth: usize,
    /// Most leaves of a tree.
    pub leaves: usize,
    /// L2 penalty of a leaf.
    pub l2: f32,
    /// Least sum of second derivatives in a leaf; a row of mean weight adds at most a quarter.
    pub leaf_weight: f32,
    /// Share of the features that one tree sees.
    pub feature_share: f64,
    /// Share of the rows that one tree sees.
    pub row_share: f32,
    /// Share of a row's target that comes from the trees, the rest from its label.
    pub target_share: f32,
}

impl Default for Teacher {
    fn default() -> Self {
        Self {
            folds: 5,
            trees: 400,
            learning_rate: 0.03,
            depth: 5,
            leaves: 24,
            l2: 20.0,
            leaf_weight: 200.0,
            feature_share: 0.4,
            row_share: 0.7,
            target_share: 0.8,
        }
    }
}

impl TrainConfig {
    /// The settings the shipped model was trained with.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            source: DataSource::challenge_2019(),
            name: "sepsis-v2".to_owned(),
            schema: FeatureSchema::v2(),
            architecture: Architecture::Mlp { hidden: vec![64, 32] },
            teacher: Some(Teacher::default()),
            seed: 1,
            selection_percent: 15,
            epochs: 16,
            patience: 8,
            batch_rows: 512,
            learning_rate: 1e-3,
            weight_decay: 0.05,
            dropout: 0.3,
            checkpoints: None,
        }
    }

    /// The same settings for a convolution over the raw window.
    pub fn conv1d(data: impl Into<PathBuf>) -> Self {
        Self {
            name: "sepsis-conv-v1".to_owned(),
            schema: FeatureSchema::raw_v1(),
            architecture: Architecture::Conv1d { channels: vec![24, 24], kernel: 3, hidden: vec![24] },
            dropout: 0.1,
            ..Self::new(data)
        }
    }

    /// Refuses settings that are outside their ranges.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let within = |name, holds: bool| {
            if holds { Ok(()) } else { Err(TrainError::Config(name)) }
        };
        let widths = |list: &[usize]| list.len() <= 7 && list.iter().all(|width| (1..=1024).contains(width));
        match &self.architecture {
            Architecture::Mlp { hidden } => within("hidden", !hidden.is_empty() && widths(hidden))?,
            Architecture::Conv1d { channels, kernel, hidden } => {
                within("hidden", widths(hidden))?;
                within("channels", !channels.is_empty() && channels.len() + hidden.len() <= 7 && widths(channels))?;
                within("schema", self.schema.len().is_multiple_of(HOURS))?;
                let steps_taken = channels.len().checked_mul(kernel.saturating_sub(1));
                within("kernel", *kernel > 0 && steps_taken.is_some_and(|taken| taken < HOURS))?;
            }
        }
        if let Some(teacher) = &self.teacher {
            within("teacher.folds", (2..=20).contains(&teacher.folds))?;
            within("teacher.trees", (1..=10_000).contains(&teacher.trees))?;
            within("teacher.learning_rate", teacher.learning_rate > 0.0 && teacher.learning_rate <= 1.0)?;
            within("teacher.depth", (1..=12).contains(&teacher.depth))?;
            within("teacher.leaves", (2..=4096).contains(&teacher.leaves))?;
            within("teacher.l2", teacher.l2 >= 0.0 && teacher.l2.is_finite())?;
            within("teacher.leaf_weight", teacher.leaf_weight >= 0.0 && teacher.leaf_weight.is_finite())?;
            within("teacher.feature_share", teacher.feature_share > 0.0 && teacher.feature_share <= 1.0)?;
            within("teacher.row_share", teacher.row_share > 0.0 && teacher.row_share <= 1.0)?;
            within("teacher.target_share", (0.0..=1.0).contains(&teacher.target_share))?;
        }
        within("selection_percent", (1..=50).contains(&self.selection_percent))?;
        within("epochs", (1..=1000).contains(&self.epochs))?;
        within("patience", self.patience > 0)?;
        within("batch_rows", (1..=1 << 20).contains(&self.batch_rows))?;
        within("learning_rate", self.learning_rate > 0.0 && self.learning_rate <= 1.0)?;
        within("weight_decay", (0.0..=1.0).contains(&self.weight_decay))?;
        within("dropout", (0.0..0.9).contains(&self.dropout))
    }

    /// SHA-256 over everything that decides the result but the data: what a checkpoint belongs to.
    pub(super) fn digest(&self) -> [u8; 32] {
        let numbers = (
            (self.seed, self.selection_percent, self.epochs, self.patience, self.batch_rows),
            (self.learning_rate, self.weight_decay, self.dropout),
            (&self.architecture, &self.teacher),
        );
        let text = serde_json::to_vec(&numbers).expect("settings are plain data");
        Sha256::new()
            .chain_update(b"hygeia/training/v1")
            .chain_update(self.schema.hash())
            .chain_update(text)
            .finalize()
            .into()
    }
}
