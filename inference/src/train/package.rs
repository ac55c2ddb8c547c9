//! From float layers to a package, by one path whoever trained them: scales, integers, thresholds, calibration,
//! baselines, guard, card.

use std::path::{Path, PathBuf};

use candle_core::Device;
use sha2::{Digest, Sha256};

use super::origin::Origin;
use super::{Split, TrainError, hash_file, logistic, operate, score_table};
use crate::certify::{AurocLoss, ScoreError, float_scores};
use crate::dataset::Table;
use crate::guard::{self, Guard};
use crate::metrics::{Alarm, Figures};
use crate::network::IntegerNetwork;
use crate::package::{DataSource, ModelPackage, OperatingPoints, PackageParts, encode_float};
use crate::quantise::{FloatLayer, QuantiseError, quantise_scaled};
use crate::schema::FeatureSchema;
use crate::score::ByScore;
use crate::serve::ServingEngine;

/// Every fourth hour is enough to tell what is usual: neighbouring hours are alike.
const GUARD_EVERY: usize = 4;
/// Rows of the stays to fit that scales are chosen on, spread over all of them.
const SCALE_ROWS: usize = 2048;

/// A model trained elsewhere.
#[derive(Clone, Debug)]
pub struct Import {
    /// Name of the model, for the card.
    pub name: String,
    /// Its layers.
    pub layers: Vec<FloatLayer>,
    /// Numbers it takes: the features of the schema, in order, 1.0 for one standard deviation.
    pub inputs: usize,
    /// Where the weights come from, in words: the file and its hash.
    pub origin: String,
    /// Features it takes.
    pub schema: FeatureSchema,
    /// Labelled stays: CSV(.gz) file or directory of `.psv` files.
    pub data: PathBuf,
    /// Where they come from, for the card.
    pub source: DataSource,
    /// Share of the stays kept for thresholds and calibration, in per cent; the others choose scales, baselines and guard.
    pub selection_percent: u8,
}

/// Packages a model trained elsewhere. Budgets are kept as `alarm` raises alerts.
pub fn import(import: Import, alarm: &dyn Alarm) -> Result<ModelPackage, TrainError> {
    if import.inputs != import.schema.len() {
        return Err(TrainError::Inputs { model: import.inputs, schema: import.schema.len() });
    }
    if !(1..=50).contains(&import.selection_percent) {
        return Err(TrainError::Config("selection_percent"));
    }
    let split = Split::read(&import.data, &import.schema, import.selection_percent)?;
    let origin = Origin::imported(&import);
    package(&import.data, &import.schema, &split, import.layers, origin, alarm)
}

/// Rounds a package's floats anew, with scales chosen on the stays of `data`; what depends on the integers is fitted anew
/// too, and evaluations are left out, since they were the old integers'. Give it the stays the model was trained on.
pub fn requantise(
    old: &ModelPackage,
    data: &Path,
    selection_percent: u8,
    alarm: &dyn Alarm,
) -> Result<ModelPackage, TrainError> {
    let split = Split::read(data, old.schema(), selection_percent)?;
    package(data, old.schema(), &split, old.float_layers()?, Origin::of_card(old.card()), alarm)
}

/// A file that weights came from, for the card: its name and hash.
pub fn origin_of(name: &str, bytes: &[u8]) -> String {
    format!("{name} (SHA-256 `{}`)", hex::encode(Sha256::digest(bytes)))
}

/// What was measured of a model on the way.
pub(super) struct Measured {
    pub data_hash: Option<String>,
    pub stays_fitted: usize,
    pub stays_selection: usize,
    pub stays_septic: usize,
    pub rows: usize,
    pub quantisation_error_max: f64,
    pub quantisation_auroc_loss: f64,
    pub operating_points: OperatingPoints,
    pub figures: ByScore<Figures>,
}

/// Quantises layers, chooses thresholds, calibrates and writes the card.
pub(super) fn package(
    data: &Path,
    schema: &FeatureSchema,
    split: &Split,
    layers: Vec<FloatLayer>,
    origin: Origin,
    alarm: &dyn Alarm,
) -> Result<ModelPackage, TrainError> {
    let selection = &split.selection;
    let network = quantise_scaled(&layers, &schema.bounds(), &scale_rows(&split.fit))?.network;
    let scores = score_table(&ServingEngine::new(&network, &Device::Cpu)?, selection)?;
    let floats = float_scores(&layers, selection);
    let loss = AurocLoss::of(&scores, &floats, selection.labels());
    let error = ScoreError::of(&scores, &floats);
    let logistic = logistic::fit(&split.fit)?;
    let guard = fit_guard(&network, split)?;
    let decided = operate::decide(selection, scores, logistic, alarm)?;
    let measured = Measured {
        data_hash: hash_file(data)?,
        stays_fitted: split.fit.stays(),
        stays_selection: selection.stays(),
        stays_septic: split.fit.stays_septic() + selection.stays_septic(),
        rows: split.fit.rows() + selection.rows(),
        quantisation_error_max: error.max,
        quantisation_auroc_loss: loss.map_or(0.0, |loss| loss.loss),
        operating_points: decided.operating_points,
        figures: decided.figures,
    };
    let card = origin.card(schema, &network, measured, alarm);
    Ok(ModelPackage::assemble(PackageParts {
        schema: schema.clone(),
        network,
        calibration: decided.calibration,
        baselines: decided.baselines,
        float: encode_float(&layers)?,
        card,
        guard,
    })?)
}

/// Rows at even distances over a table.
fn scale_rows(table: &Table) -> Vec<Vec<i32>> {
    let step = table.rows().div_ceil(SCALE_ROWS).max(1);
    let row = |row| table.features(row).iter().copied().map(i32::from).collect();
    (0..table.rows()).step_by(step).map(row).collect()
}

/// The guard of a network: usual windows from the stays that were fitted, limits from those that were not.
fn fit_guard(network: &IntegerNetwork, split: &Split) -> Result<Guard, TrainError> {
    let windows = |table: &Table| -> Result<Vec<_>, TrainError> {
        let window = |row| {
            let features: Vec<i32> = table.features(row).iter().copied().map(i32::from).collect();
            let evaluation = network.evaluate(&features).map_err(QuantiseError::from)?;
            Ok((features, evaluation.activations))
        };
        (0..table.rows()).step_by(GUARD_EVERY).map(window).collect()
    };
    let (training, held_back) = (windows(&split.fit)?, windows(&split.selection)?);
    Ok(guard::fit(&network.dims(), training.iter(), held_back.iter())?)
}
