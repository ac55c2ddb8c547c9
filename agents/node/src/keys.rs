//! Proving and verifying keys of a model: made once, kept by content, opened by roles and commands.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hygeia_inference::IntegerNetwork;
use hygeia_inference::package::ModelPackage;
use hygeia_zkml::Placement;
use hygeia_zkml::audit::plan::K_MAX;
use hygeia_zkml::audit::{AuditKeys, AuditPlan, AuditPlanError, AuditVerifyingKey};
use hygeia_zkml::engine::Engine as _;
use hygeia_zkml::engine::native::{EngineConfig, NativeEngine, Srs, SrsProgress, local_chain};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::cli::{CircuitArgs, KeysArgs};
use crate::models;

/// How far the threads of audits step back behind those of alerts, in units of `nice`.
const AUDIT_NICE: i32 = 10;
/// Time between two lines about a stage that takes long.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// How keys are opened.
#[derive(Debug, Clone)]
pub struct KeySettings {
    /// Where they are kept; made there when absent.
    pub keys_dir: PathBuf,
    /// Threads one proof may use; 0 for as many as there are cores.
    pub threads: usize,
    /// Reference string and goal.
    pub circuit: CircuitArgs,
    /// Where proofs are made.
    pub placement: Placement,
}

impl KeySettings {
    /// Keys from the development string.
    pub fn development(keys_dir: &Path, threads: usize) -> Self {
        Self { keys_dir: keys_dir.to_owned(), threads, circuit: CircuitArgs::default(), placement: Placement::Cpu }
    }

    fn config(&self) -> EngineConfig {
        EngineConfig { threads: self.threads, goal: self.circuit.goal.into(), placement: self.placement.clone() }
    }
}

/// Keys from the development string met a chain on which something could depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "keys from the development reference string are refused on chain {chain_id}: its secret is public, so anybody could \
     prove anything; give a ceremony's string with --srs FILE (a .ptau or halo2 file), or use a local chain (31337, 1337)"
)]
pub struct DevelopmentKeys {
    /// The chain.
    pub chain_id: u64,
}

/// Refuses keys from the development string on every chain but a local one.
pub fn allow_on(chain_id: u64, is_development: bool) -> Result<(), DevelopmentKeys> {
    if is_development && !local_chain(chain_id) { Err(DevelopmentKeys { chain_id }) } else { Ok(()) }
}

/// Opens the engine of a model on keys from the development string, making them when they are not there.
pub async fn open_engine(model: &ModelPackage, keys_dir: &Path, threads: usize) -> Result<NativeEngine> {
    open_alert_keys(model, &KeySettings::development(keys_dir, threads)).await
}

/// Opens the engine of a model, making its keys when they are not there.
pub async fn open_alert_keys(model: &ModelPackage, settings: &KeySettings) -> Result<NativeEngine> {
    let (network, schema, settings) = (model.network().clone(), model.schema().hash(), settings.clone());
    std::fs::create_dir_all(&settings.keys_dir)?;
    let open = move || -> Result<NativeEngine> {
        let config = settings.config();
        let srs =
            reference_string(NativeEngine::plan(&network, config.goal)?.k, &settings.keys_dir, &settings.circuit)?;
        Ok(NativeEngine::open(&network, schema, &srs, &settings.keys_dir, &config)?)
    };
    tokio::task::spawn_blocking(open).await?
}

/// Opens the audit keys of a model, making them when they are not there. Audits are in no hurry, so their threads leave
/// the processor to others.
pub async fn open_audit_keys(model: &ModelPackage, plan: &AuditPlan, settings: &KeySettings) -> Result<AuditKeys> {
    let (network, schema) = (model.network().clone(), model.schema().hash());
    let (plan, settings) = (plan.clone(), settings.clone());
    std::fs::create_dir_all(&settings.keys_dir)?;
    let open = move || -> Result<AuditKeys> {
        // Of this thread alone; those that it starts have it from this one.
        if let Err(reason) = rustix::process::setpriority_process(None, AUDIT_NICE) {
            tracing::warn!(%reason, "audits run at the priority of alerts");
        }
        let srs = reference_string(plan.k, &settings.keys_dir, &settings.circuit)?;
        Ok(AuditKeys::open(&network, schema, &plan, &srs, &settings.keys_dir, &settings.config())?)
    };
    let (answer, opened) = oneshot::channel();
    // Nobody waits any more where the process ends.
    let run = move || drop(answer.send(open()));
    std::thread::Builder::new().name("audit-keys".to_owned()).spawn(run)?;
    opened.await.context("opening the audit keys panicked")?
}

/// The reference string for circuits of `2^k` rows: from the file that is named, else the development string, which is
/// kept in `keys_dir`. Blocks; a large file takes minutes, so what was made of a file whose hash is pinned is kept there
/// too, under that hash.
pub fn reference_string(k: u32, keys_dir: &Path, circuit: &CircuitArgs) -> Result<Srs> {
    let Some(path) = &circuit.srs else { return Ok(Srs::development_cached(k, keys_dir)?) };
    let Some(hash) = circuit.srs_sha256 else { return read_string(k, path, None) };
    let kept = keys_dir.join(format!("srs-{}-k{k}.bin", hex::encode(hash)));
    if kept.exists() {
        return Ok(Srs::read(&kept)?.trimmed(k)?);
    }
    let srs = read_string(k, path, Some(hash))?;
    srs.write(&kept)?;
    Ok(srs)
}

fn read_string(k: u32, path: &Path, hash: Option<[u8; 32]>) -> Result<Srs> {
    let mut said = Instant::now();
    let mut say = |progress: SrsProgress| match progress {
        SrsProgress::Reading { bytes, of } if said.elapsed() > SAY_EVERY || bytes == of => {
            said = Instant::now();
            tracing::info!(megabytes = bytes / 1_000_000, of = of / 1_000_000, "reading the reference string");
        }
        SrsProgress::Reading { .. } => {}
        SrsProgress::Lagrange => tracing::info!(k, "computing its Lagrange form"),
        SrsProgress::Checking => tracing::info!(k, "checking that its points are powers of one secret"),
    };
    let srs = Srs::open(path, hash, k, &mut say)?;
    if let Some(origin) = srs.origin() {
        let sha256 = hex::encode(origin.sha256);
        tracing::info!(sha256, "reference string read; pinned with --srs-sha256 it is kept, and not read again");
    }
    Ok(srs)
}

/// The audit circuit for about this many windows: the fewest rows that hold them or at most a tenth fewer, filled up.
pub fn audit_plan(network: &IntegerNetwork, windows: usize) -> Result<AuditPlan, AuditPlanError> {
    audit_plan_holding(network, (windows * 9).div_ceil(10))
}

/// The audit circuit with the fewest rows that hold so many windows, filled up.
pub fn audit_plan_holding(network: &IntegerNetwork, windows: usize) -> Result<AuditPlan, AuditPlanError> {
    let filled = (1..=K_MAX).filter_map(|k| AuditPlan::filling(network, k).ok()).find(|plan| plan.slots >= windows);
    filled.map_or_else(|| AuditPlan::for_windows(network, windows), Ok)
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
    let settings = KeySettings {
        keys_dir: args.keys_dir.clone(),
        threads: 0,
        circuit: args.circuit.clone(),
        placement: Placement::Cpu,
    };
    if settings.circuit.srs.is_none() {
        eprintln!(
            "No --srs: the keys come from the development reference string. Its secret is public, so whoever likes can prove \
             anything with them: they are for a local chain (31337, 1337), and refused on every other."
        );
    }
    let engine = staged("keys of alerts", open_alert_keys(&model, &settings)).await?;
    println!("model          {}", hex::encode(model.hash()));
    println!("schema         {}", hex::encode(model.schema().hash()));
    println!("plan           {}", engine.verifying_key().plan());
    println!("circuit        {}", hex::encode(engine.circuit_hash()));
    println!("verifying key  {}", hex::encode(engine.verifying_key_hash()));
    println!("proof          {} bytes", engine.verifying_key().proof_bytes());
    if let Some(windows) = args.audit_windows {
        let plan = audit_plan(model.network(), windows)?;
        let keys = staged("keys of audits", open_audit_keys(&model, &plan, &settings)).await?;
        let key = keys.verifying_key();
        println!("audit plan     {} windows in a proof, 2^{} rows", plan.slots, plan.k);
        println!("audit circuit  {}", hex::encode(key.circuit_hash()));
        println!("audit key      {}", hex::encode(key.hash()));
        println!("audit proof    {} bytes", key.proof_bytes());
    }
    println!("keys           {}", args.keys_dir.display());
    Ok(())
}

/// Says on standard error that a stage runs, how long it has, and how long it took.
async fn staged<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let started = Instant::now();
    eprintln!("{what}: making or opening");
    let mut tick = tokio::time::interval(SAY_EVERY);
    tick.tick().await;
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => {
                eprintln!("{what}: {:.1} s", started.elapsed().as_secs_f64());
                return result;
            }
            _ = tick.tick() => eprintln!("{what}: {} s so far", started.elapsed().as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn development_keys_stay_on_local_chains() {
        for (chain_id, is_development, is_allowed) in
            [(31_337, true, true), (1_337, true, true), (1, true, false), (5, true, false), (1, false, true)]
        {
            assert_eq!(allow_on(chain_id, is_development).is_ok(), is_allowed, "chain {chain_id}, {is_development}");
        }
        let said = allow_on(5, true).unwrap_err().to_string();
        assert!(said.contains("chain 5") && said.contains("--srs"), "{said}");
    }

    /// The committed test file of the reader: real, small, and nobody's ceremony.
    const STRING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../zkml/testdata/powers-of-tau-6.ptau");

    #[test]
    fn a_pinned_string_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let string = dir.path().join("string.ptau");
        std::fs::copy(STRING, &string).unwrap();
        let circuit = |srs_sha256| CircuitArgs { srs: Some(string.clone()), srs_sha256, ..CircuitArgs::default() };
        let first = reference_string(4, dir.path(), &circuit(None)).unwrap();
        let hash = first.origin().unwrap().sha256;
        assert!(!first.is_development());
        let mut other = hash;
        other[0] ^= 1;
        assert!(reference_string(4, dir.path(), &circuit(Some(other))).is_err(), "another hash is pinned");
        reference_string(4, dir.path(), &circuit(Some(hash))).unwrap();
        std::fs::remove_file(&string).unwrap();
        let kept = reference_string(4, dir.path(), &circuit(Some(hash))).unwrap();
        assert_eq!((kept.k(), kept.is_development()), (4, false));
        assert!(reference_string(4, dir.path(), &circuit(Some(other))).is_err(), "nothing is kept under another hash");
        assert!(reference_string(5, dir.path(), &circuit(Some(hash))).is_err(), "nor for another size");
    }

    #[test]
    fn an_audit_plan_fills_its_rows() {
        let model = ModelPackage::default_model();
        for windows in [64, 128, 256, 512, 1024, 2048, 4096] {
            let plan = audit_plan(model.network(), windows).unwrap();
            plan.check().unwrap();
            assert!(plan.slots * 10 >= windows * 9, "{windows}: {plan:?}");
            if let Ok(exact) = AuditPlan::for_windows(model.network(), windows) {
                assert!(plan.k <= exact.k, "{windows}: {plan:?} has more rows than {exact:?}");
            }
            let holding = audit_plan_holding(model.network(), plan.slots).unwrap();
            assert_eq!(holding, plan, "a batch that fills one is held by the same");
        }
        assert!(audit_plan(model.network(), 8192).is_err(), "no circuit holds so many");
    }
}
