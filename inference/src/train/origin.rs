//! Where a model comes from, as its card tells it: trained here, trained elsewhere, or rounded anew.

use super::fit::Fitted;
use super::package::Import;
use super::{TrainConfig, package::Measured};
use crate::metrics::Alarm;
use crate::network::IntegerNetwork;
use crate::package::{ChangeControl, DataSource, ModelCard, TrainingRecord};
use crate::schema::FeatureSchema;

/// What a card says that no figure tells.
pub(super) struct Origin {
    name: String,
    source: DataSource,
    summary: String,
    intended_use: String,
    limits: Vec<String>,
    method: String,
    seed: u64,
    epoch_best: usize,
    epochs: usize,
    change_control: ChangeControl,
}

impl Origin {
    /// Of a model trained here.
    pub fn trained(config: &TrainConfig, fitted: &Fitted) -> Self {
        Self {
            name: config.name.clone(),
            source: config.source.clone(),
            summary: "Scores, hour by hour, the risk that an adult in intensive care is within six hours of the onset of \
                      sepsis (Sepsis-3) or has it. The score is a fixed-point logit in 1024ths; `calibration.json` reads \
                      it as a probability."
                .to_owned(),
            intended_use: INTENDED_USE.to_owned(),
            limits: LIMITS.iter().copied().map(str::to_owned).collect(),
            method: method(config),
            seed: config.seed,
            epoch_best: fitted.epoch_best,
            epochs: fitted.epochs,
            change_control: change_control(&config.name, &config.schema, TRAINED_PROTOCOL),
        }
    }

    /// Of a model trained elsewhere.
    pub fn imported(import: &Import) -> Self {
        Self {
            name: import.name.clone(),
            source: import.source.clone(),
            summary:
                "Scores, hour by hour, what it was trained to score elsewhere; here its scores were read against the \
                      labels of the calibration stays. The score is a fixed-point logit in 1024ths; `calibration.json` \
                      reads it as a probability."
                    .to_owned(),
            intended_use: INTENDED_USE.to_owned(),
            limits: IMPORTED_LIMITS.iter().copied().map(str::to_owned).collect(),
            method: format!(
                "The weights were trained elsewhere and read from {}. Scales, thresholds, calibration, baselines and guard \
                 were fitted here, to the stays named here.",
                import.origin
            ),
            seed: 0,
            epoch_best: 0,
            epochs: 0,
            change_control: change_control(&import.name, &import.schema, IMPORTED_PROTOCOL),
        }
    }

    /// Of a package that is rounded anew.
    pub fn of_card(card: &ModelCard) -> Self {
        Self {
            name: card.name.clone(),
            source: card.data.clone(),
            summary: card.summary.clone(),
            intended_use: card.intended_use.clone(),
            limits: card.limits.clone(),
            method: card.training.method.clone(),
            seed: card.training.seed,
            epoch_best: card.training.epoch_best,
            epochs: card.training.epochs,
            change_control: card.change_control.clone(),
        }
    }

    /// The card of the model, not yet evaluated on other stays.
    pub fn card(
        self,
        schema: &FeatureSchema,
        network: &IntegerNetwork,
        measured: Measured,
        alarm: &dyn Alarm,
    ) -> ModelCard {
        ModelCard {
            name: self.name,
            summary: self.summary,
            intended_use: self.intended_use,
            limits: self.limits,
            schema_hash: hex::encode(schema.hash()),
            network_hash: hex::encode(network.hash()),
            dims: network.dims(),
            data: self.source,
            training: TrainingRecord {
                method: self.method,
                seed: self.seed,
                data_hash: measured.data_hash,
                stays_fitted: measured.stays_fitted,
                stays_selection: measured.stays_selection,
                stays_septic: measured.stays_septic,
                rows: measured.rows,
                epoch_best: self.epoch_best,
                epochs: self.epochs,
                quantisation_error_max: measured.quantisation_error_max,
                quantisation_auroc_loss: measured.quantisation_auroc_loss,
            },
            alarm: alarm.description(),
            operating_points: measured.operating_points,
            selection: measured.figures,
            evaluations: Vec::new(),
            change_control: self.change_control,
        }
    }
}

/// How the network was fitted, in words.
fn method(config: &TrainConfig) -> String {
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

/// The change-control fields of a new model; whoever proposes it may say more.
fn change_control(name: &str, schema: &FeatureSchema, protocol: &str) -> ChangeControl {
    ChangeControl {
        modification: format!(
            "New weights, thresholds and calibration for {name} (schema {}). Later versions may be retrained on more stays, \
             recalibrated for a site or given other thresholds; another intended use is a new device, not a modification.",
            schema.name()
        ),
        protocol: protocol.to_owned(),
        impact: "Benefit: earlier attention at a fixed number of alerts. Risks: missed sepsis, false alerts and their \
                 fatigue, groups of patients served worse, drift of practice. They are held by thresholds set by alert \
                 budget, by figures per group in this card, by a clinician who decides, and by the registry's \
                 suspension, which stops the model within one block."
            .to_owned(),
    }
}

const INTENDED_USE: &str = "Research and demonstration: drawing the attention of a clinician who decides, and starting a \
                            preventive-care process that a clinician carries out. Not a medical device.";

const TRAINED_PROTOCOL: &str = "Training is repeatable from the seed and the data named here. Before use: the evaluation on stays that training \
     never saw, side by side with NEWS2, SIRS, the clock and a logistic regression; no figure below the version it \
     replaces by more than its interval, and no group of patients worse off; integers against floats within the stated \
     loss; then a vote on this content hash. A site measures calibration and alarm burden on its own stays first.";

const IMPORTED_PROTOCOL: &str = "Training is not repeatable from here: its record lies with whoever trained the model. Before use: that record, with \
     data and licence; the evaluation on stays that neither training nor this import has seen, side by side with NEWS2, \
     SIRS, the clock and a logistic regression; no figure below the version it replaces by more than its interval, and no \
     group of patients worse off; integers against floats within the stated loss; then a vote on this content hash. A \
     site measures calibration and alarm burden on its own stays first.";

const IMPORTED_LIMITS: [&str; 4] = [
    "Never the only ground for treating, or for not treating, a patient.",
    "Trained elsewhere: what on, how and under which terms is not known here. If the calibration stays were among the \
     training stays, every figure here flatters.",
    "Calibrated on the stays named here. Other hospitals measure other things at other times; measure there before use, \
     and recalibrate.",
    "Windows unlike the calibration data are marked by the guard. The mark is a warning, not a correction: their scores \
     may be wrong in either direction.",
];

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
