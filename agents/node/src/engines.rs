//! The proof engines of approved models: one for each proof system that governance approved a package under.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use hygeia_inference::package::ModelPackage;
use hygeia_zkml::engine::Engine;
use hygeia_zkml::{EzklConfig, EzklEngine};

use crate::chain::registry::{ApprovedModel, ProofSystem};
use crate::cli::{CircuitArgs, EngineKind, EzklArgs};
use crate::keys::{self, KeySettings};

/// Rows that a reference string has for EZKL's circuits, as a power of two: how many one needs shows when it is compiled.
const EZKL_LOGROWS: u32 = 17;

/// The engine of a model under the keys that it is approved under.
#[derive(Clone)]
pub struct ApprovedEngine {
    /// The model.
    pub model: ApprovedModel,
    /// Its package.
    pub package: Arc<ModelPackage>,
    /// What proves.
    pub engine: Arc<dyn Engine>,
}

impl ApprovedEngine {
    /// Opens the engine of an approved model, making keys that are absent. Keys that are not those that were approved are
    /// refused.
    pub async fn open(
        model: ApprovedModel,
        package: Arc<ModelPackage>,
        settings: &KeySettings,
        ezkl: &EzklArgs,
        chain_id: u64,
    ) -> Result<Self> {
        let kind = match model.proof_system {
            ProofSystem::Native => EngineKind::Native,
            ProofSystem::Ezkl => EngineKind::Ezkl,
            ProofSystem::Other => bail!("model {} is approved under a proof system that is not known here", model.id),
        };
        let engine = open(kind, &package, settings, ezkl).await?;
        // A file may hold the development string too.
        keys::allow_on(chain_id, engine.is_development())?;
        if (engine.circuit_hash(), engine.verifying_key_hash()) != (model.circuit, model.verifying_key) {
            bail!("the chain approves model {} under no keys that are here", hex::encode(package.hash()));
        }
        let (name, key) = (engine.name(), hex::encode(engine.verifying_key_hash()));
        tracing::info!(engine = name, key, "engine ready");
        Ok(Self { model, package, engine })
    }
}

/// Opens an engine of a model, making its keys when they are not there.
pub async fn open(
    kind: EngineKind,
    model: &ModelPackage,
    settings: &KeySettings,
    ezkl: &EzklArgs,
) -> Result<Arc<dyn Engine>> {
    Ok(match kind {
        EngineKind::Ezkl => Arc::new(open_ezkl(model, settings, ezkl).await?),
        EngineKind::Native => Arc::new(keys::open_alert_keys(model, settings).await?),
    })
}

/// Opens EZKL's circuit of a model, compiling it when it is not there.
pub async fn open_ezkl(model: &ModelPackage, settings: &KeySettings, ezkl: &EzklArgs) -> Result<EzklEngine> {
    let (model, settings, ezkl) = (model.clone(), settings.clone(), ezkl.clone());
    tokio::task::spawn_blocking(move || open_ezkl_blocking(&model, &settings, &ezkl)).await?
}

/// [`open_ezkl`] on the calling thread: a minute where the circuit is to be compiled.
pub fn open_ezkl_blocking(model: &ModelPackage, settings: &KeySettings, ezkl: &EzklArgs) -> Result<EzklEngine> {
    let (network, schema, folder) = (model.network(), model.schema().hash(), &settings.keys_dir);
    let config = config(ezkl, settings.threads)?;
    std::fs::create_dir_all(folder)?;
    match &settings.circuit {
        CircuitArgs { srs: None, .. } => Ok(EzklEngine::open_development(network, schema, folder, &config)?),
        circuit => {
            let srs = keys::reference_string(EZKL_LOGROWS, folder, circuit)?;
            Ok(EzklEngine::open(network, schema, &srs, folder, &config)?)
        }
    }
}

fn config(args: &EzklArgs, threads: usize) -> Result<EzklConfig> {
    // Workers run in folders of their own.
    let python = std::path::absolute(&args.ezkl_python)?;
    exists(&python)?;
    let mut config = EzklConfig::new(python);
    config.threads = threads;
    config.memory_bytes = u64::from(args.ezkl_memory_mib.get()) << 20;
    config.gpu = args.ezkl_gpu;
    Ok(config)
}

fn exists(python: &Path) -> Result<()> {
    python.try_exists().ok().filter(|exists| *exists).map(drop).with_context(|| {
        format!(
            "{} is missing: a model is approved under EZKL's proof system, which needs a Python with the package `ezkl`; \
             run `cargo xtask setup`, or name another with --ezkl-python",
            python.display()
        )
    })
}
