//! The fidelity certificate: how far the integers that serve and are proved are from the floats that were trained.
//!
//! The integers alone decide, so this is what quantisation costs: in the score, in ranking, and in decisions that would
//! have fallen otherwise. Beside it stand the bounds that make the integers exact on every engine.

mod text;

use std::path::Path;

use candle_core::Device;
use serde::Serialize;

use crate::dataset::{self, DatasetError, Table};
use crate::engine::{Accumulator, EngineError};
use crate::metrics::auroc;
use crate::network::{IntegerNetwork, Layer, SHIFT};
use crate::package::{ModelPackage, PackageError};
use crate::quantise::{FloatLayer, QuantiseError, factors_of, float_score};
use crate::serve::ServingEngine;
use crate::train::score_table;

/// Most that quantisation may take from the area under the curve.
pub const AUROC_LOSS_MAX: f64 = 0.002;
/// Scores this close to a threshold are near it, in logits.
pub const BAND_LOGITS: f64 = 0.1;
/// 1.0 as a score.
const ONE: f64 = (1u64 << SHIFT) as f64;
/// Float logits to integers that keep every order that matters.
const RANK_SCALE: f64 = 1e9;

/// What quantisation costs on some data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    /// Content hash of the package, hex.
    pub package: String,
    /// Name of the model.
    pub model: String,
    /// SHA-256 of the integer network, hex.
    pub network_hash: String,
    /// The data.
    pub data: CertifiedData,
    /// Integer score less float score, in logits.
    pub score_error: ScoreError,
    /// Ranking; absent when the data lacks one of the labels.
    pub auroc: Option<AurocLoss>,
    /// Decisions at each threshold of the card.
    pub decisions: Vec<Decisions>,
    /// Bounds and scales of each layer.
    pub layers: Vec<LayerCertificate>,
    /// The narrowest float type in which an engine computes the integers exactly.
    pub accumulator: Accumulator,
    /// What becomes of a sum: the same in reference, engines and circuit.
    pub requantisation: &'static str,
}

/// What a certificate was measured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertifiedData {
    /// Name of the file or directory.
    pub name: String,
    /// Stays.
    pub stays: usize,
    /// Hourly rows.
    pub rows: usize,
}

/// Distance of scores, in logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScoreError {
    /// Mean magnitude.
    pub mean: f64,
    /// Greatest magnitude.
    pub max: f64,
    /// Mean with its sign: what the integers are off in one direction.
    pub bias: f64,
}

/// What ranking loses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AurocLoss {
    /// Of the floats.
    pub float: f64,
    /// Of the integers.
    pub integer: f64,
    /// Float less integer.
    pub loss: f64,
}

/// Rows that integers and floats decide differently at a threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decisions {
    /// Which threshold of the card.
    pub at: String,
    /// Least score that alerts.
    pub threshold: i64,
    /// Rows decided differently.
    pub changed: usize,
    /// Their share of all rows.
    pub changed_share: f64,
    /// Half the width of the band, in logits.
    pub band_logits: f64,
    /// Rows whose float score lies in the band around the threshold.
    pub near: usize,
    /// Those of them decided differently.
    pub near_changed: usize,
}

/// One layer of the integer network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerCertificate {
    /// `dense`, or `conv1d` with its kernel.
    pub kind: String,
    /// Neurons.
    pub neurons: usize,
    /// Least and greatest factor of its neurons against the floats, as powers of two.
    pub scale_log2: [f64; 2],
    /// Greatest weight; 1024 is 1.0.
    pub weight_max: i32,
    /// Greatest magnitude of any part of a neuron's sum, over all inputs within their bounds.
    pub partial_sum_max: i64,
    /// Greatest output over all inputs within their bounds; 1024 is 1.0.
    pub output_max: i64,
    /// The float type that computes this layer exactly.
    pub accumulator: Accumulator,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertifyError {
    /// The data could not be read.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// The float layers could not be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The float layers are none of a network's.
    #[error(transparent)]
    Quantise(#[from] QuantiseError),
    /// The engine failed, or no float type computes the network exactly.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Compares a package's integers with its floats on every row of the data.
pub fn certify(package: &ModelPackage, data: &Path) -> Result<Certificate, CertifyError> {
    let mut table = Table::new(package.schema());
    dataset::read(data, |stay| table.push(&stay, package.schema()))?;
    let layers = package.float_layers()?;
    let network = package.network();
    let integers = score_table(&ServingEngine::new(network, &Device::Cpu)?, &table)?;
    let floats = float_scores(&layers, &table);
    Ok(Certificate {
        package: hex::encode(package.hash()),
        model: package.card().name.clone(),
        network_hash: hex::encode(network.hash()),
        data: CertifiedData {
            // The name alone: where it lies is nobody's business.
            name: data.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            stays: table.stays(),
            rows: table.rows(),
        },
        score_error: ScoreError::of(&integers, &floats),
        auroc: AurocLoss::of(&integers, &floats, table.labels()),
        decisions: decisions(package, &integers, &floats),
        layers: layer_certificates(network, &layers)?,
        accumulator: Accumulator::of(network.partial_sum_max())?,
        requantisation: "floor(sum / 2^10), then max(0) on hidden layers; rounding to nearest is part of the biases; \
                         nothing saturates, since bounds exclude it",
    })
}

impl Certificate {
    /// Whether ranking loses no more than [`AUROC_LOSS_MAX`]. True where the data has one label only.
    pub fn holds(&self) -> bool {
        self.auroc.is_none_or(|auroc| auroc.loss <= AUROC_LOSS_MAX)
    }
}

/// The floats' scores of every row, in logits.
pub(crate) fn float_scores(layers: &[FloatLayer], table: &Table) -> Vec<f64> {
    let mut input = Vec::new();
    let score = |row| {
        input.clear();
        input.extend(table.features(row).iter().copied().map(i32::from));
        float_score(layers, &input)
    };
    (0..table.rows()).map(score).collect()
}

impl ScoreError {
    /// Distance of integer scores from float ones, row by row.
    pub(crate) fn of(integers: &[i64], floats: &[f64]) -> Self {
        let errors = || integers.iter().zip(floats).map(|(&score, float)| score as f64 / ONE - float);
        let rows = integers.len().max(1) as f64;
        Self {
            mean: errors().map(f64::abs).sum::<f64>() / rows,
            max: errors().map(f64::abs).fold(0.0, f64::max),
            bias: errors().sum::<f64>() / rows,
        }
    }
}

impl AurocLoss {
    /// What ranking loses. Nothing when one of the labels is missing.
    pub(crate) fn of(integers: &[i64], floats: &[f64], labels: &[bool]) -> Option<Self> {
        let ranks: Vec<i64> = floats.iter().map(|float| (float * RANK_SCALE) as i64).collect();
        let (float, integer) = (auroc(&ranks, labels)?, auroc(integers, labels)?);
        Some(Self { float, integer, loss: float - integer })
    }
}

/// The card's threshold of greatest utility, and those by alert budget.
fn decisions(package: &ModelPackage, integers: &[i64], floats: &[f64]) -> Vec<Decisions> {
    let point = &package.card().operating_points.model;
    let budgets = point.budgets.iter().filter_map(|point| Some((point.budget.to_string(), point.threshold?)));
    let all = std::iter::once(("greatest utility".to_owned(), point.threshold)).chain(budgets);
    all.map(|(at, threshold)| Decisions::of(at, threshold, integers, floats)).collect()
}

impl Decisions {
    fn of(at: String, threshold: i64, integers: &[i64], floats: &[f64]) -> Self {
        let limit = threshold as f64 / ONE;
        let (mut changed, mut near, mut near_changed) = (0, 0, 0);
        for (&score, &float) in integers.iter().zip(floats) {
            let differs = (score >= threshold) != (float >= limit);
            let is_near = (float - limit).abs() <= BAND_LOGITS;
            changed += usize::from(differs);
            near += usize::from(is_near);
            near_changed += usize::from(differs && is_near);
        }
        let changed_share = changed as f64 / integers.len().max(1) as f64;
        Self { at, threshold, changed, changed_share, band_logits: BAND_LOGITS, near, near_changed }
    }
}

fn layer_certificates(network: &IntegerNetwork, floats: &[FloatLayer]) -> Result<Vec<LayerCertificate>, CertifyError> {
    let factors = factors_of(floats, network)?;
    let layers = network.layers().iter().zip(network.bounds()).zip(factors);
    let certificate = |((layer, bounds), factors): ((&Layer, &Vec<_>), Vec<f64>)| {
        let bounds: &[crate::network::NeuronBound] = bounds;
        let partial_sum_max = bounds.iter().map(|bound| bound.partial_sum_max).max().unwrap_or(0);
        let logs = factors.iter().map(|factor| factor.log2());
        Ok(LayerCertificate {
            kind: match layer {
                Layer::Dense(_) => "dense".to_owned(),
                Layer::Conv1d(conv) => format!("conv1d over {} steps", conv.kernel),
            },
            neurons: bounds.len(),
            scale_log2: [logs.clone().fold(f64::INFINITY, f64::min), logs.fold(f64::NEG_INFINITY, f64::max)],
            weight_max: layer.weights().iter().flatten().map(|weight| weight.saturating_abs()).max().unwrap_or(0),
            partial_sum_max,
            output_max: bounds.iter().map(|bound| bound.pre_max >> SHIFT).max().unwrap_or(0),
            accumulator: Accumulator::of(partial_sum_max)?,
        })
    };
    layers.map(certificate).collect()
}
