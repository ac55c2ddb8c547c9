//! The proof engines of a model: one for each proof system that governance approved it under.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use hygeia_inference::package::ModelPackage;
use hygeia_protocol::bytes::B32;
use hygeia_zkml::engine::Engine;
use hygeia_zkml::{EzklConfig, EzklEngine};

use crate::chain::registry::{ApprovedModel, ProofSystem};
use crate::cli::{CircuitArgs, EngineKind, EzklArgs};
use crate::keys::{self, KeySettings};

/// Rows that a reference string has for EZKL's circuits, as a power of two: how many one needs shows when it is compiled.
const EZKL_LOGROWS: u32 = 17;

/// Engines by the identifier of the approved model whose proofs they make.
pub struct Engines {
    by_model: HashMap<B32, Arc<dyn Engine>>,
}

impl Engines {
    /// Opens what the chain approves of a package, making keys that are absent. An engine whose keys are not those that
    /// were approved is refused, and a package without any engine left is an error.
    pub async fn open(
        model: &ModelPackage,
        approved: &[ApprovedModel],
        settings: &KeySettings,
        ezkl: &EzklArgs,
        chain_id: u64,
    ) -> Result<Self> {
        let mut by_model = HashMap::new();
        for (system, kind) in [(ProofSystem::Native, EngineKind::Native), (ProofSystem::Ezkl, EngineKind::Ezkl)] {
            let of_system: Vec<_> = approved.iter().filter(|other| other.proof_system == system).collect();
            if of_system.is_empty() {
                continue;
            }
            let engine = open(kind, model, settings, ezkl).await?;
            // A file may hold the development string too.
            keys::allow_on(chain_id, engine.is_development())?;
            let keys = (engine.circuit_hash(), engine.verifying_key_hash());
            let matching = of_system.into_iter().filter(|other| (other.circuit, other.verifying_key) == keys);
            let before = by_model.len();
            by_model.extend(matching.map(|other| (other.id, engine.clone())));
            let (engine, key) = (engine.name(), hex::encode(keys.1));
            if by_model.len() == before {
                tracing::warn!(engine, key, "the chain approves other keys than these: the engine is not used");
            } else {
                tracing::info!(engine, key, "engine ready");
            }
        }
        if by_model.is_empty() {
            bail!("the chain approves model {} under no keys that are here", hex::encode(model.hash()));
        }
        Ok(Self { by_model })
    }

    /// The engine that proves for an approved model.
    pub fn of(&self, model: &B32) -> Option<Arc<dyn Engine>> {
        self.by_model.get(model).cloned()
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
