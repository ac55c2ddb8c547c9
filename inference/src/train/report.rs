//! What training says about its result: the fidelity of the integers, the card.

use super::TrainConfig;
use crate::dataset::Table;
use crate::metrics::{Alarm, Figures, auroc};
use crate::network::IntegerNetwork;
use crate::package::{ChangeControl, DataSource, ModelCard, OperatingPoints, TrainingRecord};
use crate::quantise::{FloatLayer, float_score};
use crate::score::ByScore;

/// 1.0 as a score.
const ONE: f64 = 1024.0;
/// Float logits to integers that keep every order that matters.
const RANK_SCALE: f64 = 1e9;

/// How far the integers are from the floats they were rounded from.
pub(super) struct Fidelity {
    pub error_max: f64,
    pub auroc_loss: f64,
}

/// Compares integer scores of a table with the float network's.
pub(super) fn fidelity(layers: &[FloatLayer], table: &Table, scores: &[i64]) -> Fidelity {
    let float = |row| {
        let input: Vec<i32> = table.features(row).iter().copied().map(i32::from).collect();
        float_score(layers, &input)
    };
    let floats: Vec<f64> = (0..table.rows()).map(float).collect();
    let error = |(&score, float): (&i64, &f64)| (score as f64 / ONE - float).abs();
    let ranks: Vec<i64> = floats.iter().map(|float| (float * RANK_SCALE) as i64).collect();
    let area = |scores: &[i64]| auroc(scores, table.labels()).unwrap_or(0.5);
    Fidelity {
        error_max: scores.iter().zip(&floats).map(error).fold(0.0, f64::max),
        auroc_loss: area(&ranks) - area(scores),
    }
}

/// How the network was fitted, in words.
pub(super) fn method(config: &TrainConfig) -> String {
    let loss = "Each hour is weighed by what the utility of the Challenge 2019 stakes on it; the target is whether an \
                alert in that hour pays";
    match &config.teacher {
        None => format!("{loss}."),
        Some(teacher) => format!(
            "{loss}, for {:.0} % as boosted trees see it ({} trees, {} parts of the stays, each judged by trees fitted to \
             the others) and for the rest as the label says. The trees are no part of the model.",
            teacher.target_share * 100.0,
            teacher.trees,
            teacher.folds
        ),
    }
}

/// The card of a sepsis model.
pub(super) fn card(
    config: &TrainConfig,
    network: &IntegerNetwork,
    training: TrainingRecord,
    alarm: &dyn Alarm,
    operating_points: OperatingPoints,
    selection: ByScore<Figures>,
) -> ModelCard {
    ModelCard {
        name: config.name.clone(),
        summary: "Scores, hour by hour, the risk that an adult in intensive care is within six hours of the onset of \
                  sepsis (Sepsis-3) or has it. The score is a fixed-point logit in 1024ths; `calibration.json` reads \
                  it as a probability."
            .to_owned(),
        intended_use: "Research and demonstration: drawing the attention of a clinician who decides, and starting a \
                       preventive-care process that a clinician carries out. Not a medical device."
            .to_owned(),
        limits: LIMITS.iter().copied().map(str::to_owned).collect(),
        schema_hash: hex::encode(config.schema.hash()),
        network_hash: hex::encode(network.hash()),
        dims: network.dims(),
        data: config.source.clone(),
        training,
        alarm: alarm.description(),
        operating_points,
        selection,
        evaluations: Vec::new(),
        change_control: change_control(config),
    }
}

/// The change-control fields of a freshly trained model; whoever proposes it may say more.
fn change_control(config: &TrainConfig) -> ChangeControl {
    ChangeControl {
        modification: format!(
            "New weights, thresholds and calibration for {} (schema {}). Later versions may be retrained on more stays, \
             recalibrated for a site or given other thresholds; another intended use is a new device, not a modification.",
            config.name,
            config.schema.name()
        ),
        protocol:
            "Training is repeatable from the seed and the data named here. Before use: the evaluation on stays that \
                   training never saw, side by side with NEWS2, SIRS, the clock and a logistic regression; no figure \
                   below the version it replaces by more than its interval, and no group of patients worse off; \
                   integers against floats within the stated loss; then a vote on this content hash. A site measures \
                   calibration and alarm burden on its own stays first."
                .to_owned(),
        impact: "Benefit: earlier attention at a fixed number of alerts. Risks: missed sepsis, false alerts and their \
                 fatigue, groups of patients served worse, drift of practice. They are held by thresholds set by alert \
                 budget, by figures per group in this card, by a clinician who decides, and by the registry's \
                 suspension, which stops the model within one block."
            .to_owned(),
    }
}

const LIMITS: [&str; 7] = [
    "Never the only ground for treating, or for not treating, a patient.",
    "Trained on one hospital system's intensive-care stays of adults. Other hospitals measure other things at other \
     times; measure there before use, and recalibrate.",
    "Time since admission and time since each measurement carry much of the signal: they tell what clinicians already \
     suspected. In the training data stays also end soon after the first positive label, which flatters the clock.",
    "About a fifth of the septic stays are positive in their first hour: for them no warning ahead of time is possible.",
    "Bicarbonate and chloride are not used, because the training hospital hardly recorded them.",
    "The training settings were chosen by cross-validation within the training stays. The list of features goes back to \
     an earlier version whose settings were compared with validation figures of set B in view, so those are not wholly \
     blind.",
    "Windows unlike the training data are marked by the guard. The mark is a warning, not a correction: their scores may \
     be wrong in either direction.",
];

impl DataSource {
    /// The public training set B of the PhysioNet/CinC Challenge 2019.
    pub fn challenge_2019() -> Self {
        Self {
            name: "PhysioNet/Computing in Cardiology Challenge 2019, public training set B".to_owned(),
            licence: "Creative Commons Attribution 4.0 International (CC BY 4.0)".to_owned(),
            citation:
                "Reyna MA, Josef CS, Jeter R, Shashikumar SP, Westover MB, Nemati S, Clifford GD, Sharma A. Early \
                       Prediction of Sepsis From Clinical Data: The PhysioNet/Computing in Cardiology Challenge 2019. \
                       Crit Care Med 48(2):210-217 (2020), doi:10.1097/CCM.0000000000004145. Goldberger AL et al. \
                       PhysioBank, PhysioToolkit, and PhysioNet. Circulation 101(23):e215-e220 (2000)."
                    .to_owned(),
            changes: "hourly records were turned into the features of the schema; implausible values were left out; \
                      the data itself is not part of this package."
                .to_owned(),
        }
    }
}
