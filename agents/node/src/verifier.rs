//! `hygeia gen-verifier`: the Solidity verifier of a model's circuit, and a proof that it must accept.
//!
//! Keys are made anew at each call and kept nowhere, so that what is written is what this program's circuits give.

use std::path::Path;

use anyhow::{Context, Result};
use hygeia_inference::package::ModelPackage;
use hygeia_inference::schema::ClinicalState;
use hygeia_zkml::Placement;
use hygeia_zkml::audit::{self, AuditBatch, AuditKeys, AuditReceipt, AuditWindow};
use hygeia_zkml::engine::Engine;
use hygeia_zkml::engine::native::{EngineConfig, NativeEngine};
use hygeia_zkml::statement::Salt;
use serde_json::{Value, json};

use crate::cli::{EngineKind, GenVerifierArgs};
use crate::keys::KeySettings;
use crate::{engines, keys, models};

/// Windows under the sample of an audit: a few, so that the tree has padding too.
const SAMPLE_WINDOWS: u8 = 5;
/// The one of them whose receipt is in the sample.
const SAMPLE_RECEIPT: usize = 2;

/// Writes the contract, and the proof when one is asked for.
pub fn command(args: &GenVerifierArgs) -> Result<()> {
    let model = models::load(args.model.as_deref())?;
    let scratch = tempfile::tempdir()?;
    match (args.audit_windows, args.engine) {
        (None, EngineKind::Native) => of_alerts(args, &model, scratch.path()),
        (None, EngineKind::Ezkl) => of_ezkl(args, &model, scratch.path()),
        (Some(windows), _) => of_audits(args, &model, windows, scratch.path()),
    }
}

fn of_alerts(args: &GenVerifierArgs, model: &ModelPackage, scratch: &Path) -> Result<()> {
    let config = EngineConfig { goal: args.circuit.goal.into(), ..EngineConfig::default() };
    let k = NativeEngine::plan(model.network(), config.goal)?.k;
    let srs = keys::reference_string(k, scratch, &args.circuit)?;
    let engine = NativeEngine::new(model.network(), model.schema().hash(), &srs, &config)?;
    write(&args.out, &hygeia_zkml::contract::verifier_solidity(engine.verifying_key())?)?;
    match &args.proof {
        Some(path) => write(path, &pretty(&alert_sample(model, &engine)?)?),
        None => Ok(()),
    }
}

fn of_ezkl(args: &GenVerifierArgs, model: &ModelPackage, scratch: &Path) -> Result<()> {
    let settings = KeySettings {
        keys_dir: scratch.to_owned(),
        threads: 0,
        circuit: args.circuit.clone(),
        placement: Placement::Cpu,
    };
    let engine = engines::open_ezkl_blocking(model, &settings, &args.ezkl)?;
    write(&args.out, engine.contract())?;
    match &args.proof {
        Some(path) => write(path, &pretty(&alert_sample(model, &engine)?)?),
        None => Ok(()),
    }
}

fn of_audits(args: &GenVerifierArgs, model: &ModelPackage, windows: usize, scratch: &Path) -> Result<()> {
    let plan = keys::audit_plan(model.network(), windows)?;
    let config = EngineConfig::default();
    let srs = keys::reference_string(plan.k, scratch, &args.circuit)?;
    let keys = AuditKeys::generate(model.network(), model.schema().hash(), &plan, &srs, &config)?;
    write(&args.out, &audit::verifier_solidity(keys.verifying_key())?)?;
    match &args.proof {
        Some(path) => write(path, &pretty(&audit_sample(model, &keys)?)?),
        None => Ok(()),
    }
}

/// A proof about a window of nobody's: every value unmeasured, the salt public.
fn alert_sample(model: &ModelPackage, engine: &dyn Engine) -> Result<Value> {
    let features = model.schema().features(&ClinicalState::default());
    let proof = engine.prove(&features, &Salt::new([0; 16]))?;
    Ok(json!({
        "commitment": prefixed(&proof.public.commitment.to_bytes()),
        "score": proof.public.score.to_string(),
        "proof": prefixed(&proof.bytes),
    }))
}

/// A proof about some windows of nobody's, told apart by their salts alone, and the receipt of one.
fn audit_sample(model: &ModelPackage, keys: &AuditKeys) -> Result<Value> {
    let features = model.schema().features(&ClinicalState::default());
    let window = |salt| AuditWindow::new(features.clone(), Salt::new([salt; 16]));
    let batch: AuditBatch = (0..SAMPLE_WINDOWS).map(window).collect();
    let proof = keys.prove(&batch)?;
    let receipt = AuditReceipt::of(&proof, SAMPLE_RECEIPT).context("the sample has this window")?;
    Ok(json!({
        "root": prefixed(&proof.public.root()),
        "count": proof.public.count(),
        "leaves": keys.verifying_key().leaves(),
        "proof": prefixed(&proof.bytes),
        "receipt": receipt,
    }))
}

fn prefixed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn pretty(value: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
