//! Proving and verifying keys of a model: made once, kept by content, opened by roles and commands.

use std::path::Path;

use anyhow::{Context, Result};
use hygeia_inference::IntegerNetwork;
use hygeia_inference::package::ModelPackage;
use hygeia_zkml::audit::plan::K_MAX;
use hygeia_zkml::audit::{AuditKeys, AuditPlan, AuditPlanError, AuditVerifyingKey};
use hygeia_zkml::engine::Engine as _;
use hygeia_zkml::engine::native::{EngineConfig, NativeEngine};
use tokio::sync::oneshot;

use crate::cli::KeysArgs;
use crate::models;

/// How far the threads of audits step back behind those of alerts, in units of `nice`.
const AUDIT_NICE: i32 = 10;

/// Opens the engine of a model, making its keys under `keys_dir` when they are not there. `threads` 0 means all cores.
pub async fn open_engine(model: &ModelPackage, keys_dir: &Path, threads: usize) -> Result<NativeEngine> {
    let (network, schema, dir) = (model.network().clone(), model.schema().hash(), keys_dir.to_owned());
    std::fs::create_dir_all(&dir)?;
    let config = EngineConfig { threads, ..EngineConfig::default() };
    let open = move || NativeEngine::open_development(&network, schema, &dir, &config);
    let engine = tokio::task::spawn_blocking(open).await??;
    Ok(engine)
}

/// The audit circuit for about this many windows: the fewest rows that hold them or at most a tenth fewer, filled up.
pub fn audit_plan(network: &IntegerNetwork, windows: usize) -> Result<AuditPlan, AuditPlanError> {
    let holds = |plan: &AuditPlan| plan.slots * 10 >= windows * 9;
    let filled = (1..=K_MAX).filter_map(|k| AuditPlan::filling(network, k).ok()).find(holds);
    filled.map_or_else(|| AuditPlan::for_windows(network, windows), Ok)
}

/// Opens the audit keys of a model, making them under `keys_dir` when they are not there. Audits are in no hurry, so their
/// threads leave the processor to others.
pub async fn open_audit_keys(
    model: &ModelPackage,
    keys_dir: &Path,
    plan: &AuditPlan,
    threads: usize,
) -> Result<AuditKeys> {
    let (network, schema, dir, plan) =
        (model.network().clone(), model.schema().hash(), keys_dir.to_owned(), plan.clone());
    std::fs::create_dir_all(&dir)?;
    let config = EngineConfig { threads, ..EngineConfig::default() };
    let (answer, opened) = oneshot::channel();
    let open = move || {
        // Of this thread alone; those that it starts have it from this one.
        if let Err(reason) = rustix::process::setpriority_process(None, AUDIT_NICE) {
            tracing::warn!(%reason, "audits run at the priority of alerts");
        }
        let keys = AuditKeys::open_development(&network, schema, &plan, &dir, &config);
        // Nobody waits any more where the process ends.
        let _ = answer.send(keys);
    };
    std::thread::Builder::new().name("audit-keys".to_owned()).spawn(open)?;
    Ok(opened.await.context("opening the audit keys panicked")??)
}

/// The verifying key of an audit circuit, from where proving keys are kept.
pub fn audit_verifying_key(keys_dir: &Path, circuit: &[u8; 32]) -> Result<AuditVerifyingKey> {
    let named = |origin: &str| keys_dir.join(format!("{}{origin}.audit.vk", hex::encode(circuit)));
    let found = [named(""), named("-development-insecure")].into_iter().find(|path| path.exists());
    let path = found.with_context(|| {
        format!(
            "{} holds no audit key of circuit {}; name it with --verifying-key",
            keys_dir.display(),
            hex::encode(circuit)
        )
    })?;
    Ok(AuditVerifyingKey::load(&path)?)
}

/// `hygeia keys`: makes the keys and says what they are.
pub async fn command(args: &KeysArgs) -> Result<()> {
    let model = models::load(args.model.as_deref())?;
    eprintln!("making or opening the keys of model {} under {}", hex::encode(model.hash()), args.keys_dir.display());
    let engine = open_engine(&model, &args.keys_dir, 0).await?;
    println!("model          {}", hex::encode(model.hash()));
    println!("schema         {}", hex::encode(model.schema().hash()));
    println!("circuit        {}", hex::encode(engine.circuit_hash()));
    println!("verifying key  {}", hex::encode(engine.verifying_key_hash()));
    println!("proof          {} bytes", engine.verifying_key().proof_bytes());
    println!("keys           {}", args.keys_dir.display());
    Ok(())
}
