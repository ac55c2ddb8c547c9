//! The steps of a replay, each from a bundle alone: no broker, no chain, no clock.

use candle_core::Device;
use hygeia_inference::engine::CandleEngine;
use hygeia_inference::package::ModelPackage;
use hygeia_inference::serve::ServingEngine;
use hygeia_protocol::message::{Alert, AttestedWindow, B32};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::{Triage, TriageOutcome};

use super::bundle::{Bundle, Judged};
use super::{Finding, Step, Verdict, proof, rebuild};
use crate::alarm::triage_policy;
use crate::explain;

/// Every step's finding, in order.
pub fn check(bundle: &Bundle) -> Vec<Finding> {
    let model = bundle.model().ok();
    let by_model = |judge: fn(&Bundle, &ModelPackage) -> Verdict| match &model {
        Some(model) => judge(bundle, model),
        None => Verdict::NotChecked("there is no model".to_owned()),
    };
    [
        (Step::Identity, identity(bundle)),
        (Step::Ledger, ledger(bundle)),
        (Step::Model, package(bundle, model.as_ref())),
        (Step::Observations, by_model(rebuild::observations)),
        (Step::Commitment, proof::commitment(bundle)),
        (Step::Signature, proof::signature(bundle)),
        (Step::Score, by_model(score)),
        (Step::Engines, by_model(engines)),
        (Step::Explanation, by_model(explanation)),
        (Step::Decision, decision(bundle)),
        (Step::Receipt, proof::receipt(bundle)),
        (Step::Key, proof::key(bundle)),
        (Step::Proof, proof::proof(bundle)),
    ]
    .into_iter()
    .map(|(step, verdict)| Finding { step, verdict })
    .collect()
}

/// `Same` where every part is equal; else names those that are not.
pub(super) fn all_same(parts: &[(&str, bool)]) -> Verdict {
    let differing: Vec<&str> = parts.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    match differing.as_slice() {
        [] => Verdict::Same,
        names => Verdict::Differs(names.join(", ")),
    }
}

fn identity(bundle: &Bundle) -> Verdict {
    let Bundle { alert, window, .. } = bundle;
    all_same(&[
        ("the window's id", window.window_id == AttestedWindow::id(&window.mandate, window.end, &window.schema)),
        ("the alert's window", alert.window_id == window.window_id),
        ("the alert's mandate", alert.mandate == window.mandate),
        ("the alert's time", alert.end == window.end),
        ("the alert's id", alert.alert_id == Alert::id(&window.window_id, &alert.policy, &alert.model)),
    ])
}

fn ledger(bundle: &Bundle) -> Verdict {
    let Bundle { alert, window, .. } = bundle;
    let Some(line) = &bundle.line else {
        return Verdict::NotChecked("the ledger has no line of this window any more".to_owned());
    };
    all_same(&[
        ("window", line.window_id == window.window_id),
        ("mandate", line.mandate == window.mandate),
        ("time", line.end == window.end),
        ("model", line.model == alert.model),
        ("score", line.score == alert.score),
        ("commitment", line.commitment == window.commitment),
        ("mark of the guard", line.outside_validated_range == alert.outside_validated_range),
    ])
}

fn package(bundle: &Bundle, model: Option<&ModelPackage>) -> Verdict {
    let Some(model) = model else {
        return match bundle.package.as_slice() {
            [] => Verdict::NotChecked("the package is not here: name its folder with --model".to_owned()),
            _ => Verdict::Differs("the files are no package".to_owned()),
        };
    };
    all_same(&[
        ("the package's hash", bundle.alert.model == B32::new(model.hash())),
        ("the window's schema", bundle.window.schema == B32::new(model.schema().hash())),
    ])
}

fn score(bundle: &Bundle, model: &ModelPackage) -> Verdict {
    match model.network().evaluate(&bundle.window.features) {
        Ok(evaluation) => same_score("the reference", evaluation.score, bundle.alert.score),
        Err(_) => Verdict::Differs("the network takes no such features".to_owned()),
    }
}

fn engines(bundle: &Bundle, model: &ModelPackage) -> Verdict {
    let rows = [&bundle.window.features];
    let serving = ServingEngine::new(model.network(), &Device::Cpu).and_then(|engine| engine.score_batch(&rows));
    let candle = CandleEngine::new(model.network(), &Device::Cpu).and_then(|engine| engine.score_batch(&rows));
    for (name, scores) in [("the serving kernels", serving), ("candle", candle)] {
        let verdict = match scores.as_deref() {
            Ok([score]) => same_score(name, *score, bundle.alert.score),
            _ => Verdict::Differs(format!("{name}: no score")),
        };
        if verdict != Verdict::Same {
            return verdict;
        }
    }
    Verdict::Same
}

fn same_score(who: &str, computed: i64, claimed: i64) -> Verdict {
    match computed == claimed {
        true => Verdict::Same,
        false => Verdict::Differs(format!("{who}: {computed}, the alert: {claimed}")),
    }
}

fn explanation(bundle: &Bundle, model: &ModelPackage) -> Verdict {
    let Bundle { alert, window, .. } = bundle;
    let Ok(evaluation) = model.network().evaluate(&window.features) else {
        return Verdict::Differs("the network takes no such features".to_owned());
    };
    let outside = !model.guard().judge(&window.features, &evaluation.activations).is_inside();
    let probability = model.calibration().probability_ppm(evaluation.score);
    let contributions = explain::contributions(model, &window.clinical, &window.features);
    all_same(&[
        ("probability", alert.probability_ppm == Some(probability)),
        ("mark of the guard", alert.outside_validated_range == outside),
        ("contributions", contributions.is_ok_and(|contributions| contributions == alert.contributions)),
    ])
}

fn decision(bundle: &Bundle) -> Verdict {
    let alert = &bundle.alert;
    if alert.score < alert.threshold {
        return Verdict::Differs("the score is below the threshold".to_owned());
    }
    let Some(approved) = &bundle.approved else {
        return Verdict::NotChecked("the policy's terms are the chain's to say: name it with --chain".to_owned());
    };
    if alert.threshold != approved.threshold {
        return Verdict::Differs(format!("threshold {}, the policy's: {}", alert.threshold, approved.threshold));
    }
    if approved.package != alert.model {
        return Verdict::Differs("the policy names another model".to_owned());
    }
    let newest = bundle.history.last();
    if newest != Some(&Judged { end: alert.end, score: alert.score, is_held_back: false }) {
        return Verdict::NotChecked("the ledger's scores do not reach to this window".to_owned());
    }
    let mut triage = Triage::new(triage_policy(approved.threshold, approved.cool_down_s));
    let mut outcome = None;
    for judged in &bundle.history {
        let before = triage.clone();
        outcome = Some(triage.step(judged.score, Timestamp::from_seconds(judged.end)));
        // Nobody was called, so no cool-down began.
        if judged.is_held_back {
            triage.take_back(&before);
        }
    }
    match outcome {
        Some(TriageOutcome::Alert { escalation }) if escalation == alert.escalation => Verdict::Same,
        outcome => Verdict::Differs(format!(
            "triage says {}, the alert {}",
            outcome.map_or("nothing", TriageOutcome::label),
            TriageOutcome::Alert { escalation: alert.escalation }.label()
        )),
    }
}
