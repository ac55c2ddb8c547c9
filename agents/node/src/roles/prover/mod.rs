//! Hop 6: from a proof request to a receipt, and beside it from the ledger to [audits](audit) of every window.
//!
//! Runs the network again in integers, proves, verifies the proof, and only then publishes. A request whose window
//! does not open its commitment or does not give its score is refused before any work is done on it. Alerts and audits
//! have engines and threads of their own, so that an alert never waits for an audit; the audits' threads have the lower
//! priority.

pub mod audit;
pub mod memory;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hygeia_protocol::message::{B32, HexBytes, Message, ProofRequest, Receipt, V1};
use hygeia_protocol::registry::Model;
use hygeia_protocol::subject::{self, Stream};
use hygeia_zkml::Salt;
use hygeia_zkml::engine::Engine;
use thiserror::Error;
use tokio::task::JoinSet;

use self::audit::{Audits, OpenAlerts};
use super::{Site, patience};
use crate::bus::{Job, WorkQueue};
use crate::chain::registry::{ProofSystem, Registries};
use crate::cli::ProverArgs;
use crate::clock::now_ms;
use crate::engines::ApprovedEngine;
use crate::keys::{self, KeySettings};
use crate::models;
use crate::models::host::Host;
use crate::models::store::ModelStore;
use crate::telemetry::Counter;

/// Name of the queue all provers share.
const QUEUE: &str = "prover";
/// Pause before a request comes again whose model's engine is not open yet.
const ENGINE_PAUSE: Duration = Duration::from_secs(2);

/// Why a request gets no proof.
#[derive(Debug, Error)]
pub enum ProveError {
    /// The request is for another model, or under another policy, than this prover holds keys for.
    #[error("the request names another model or policy")]
    OtherModel,
    /// The window's commitment is not that of its features and salt.
    #[error("the window does not open its commitment")]
    WrongCommitment,
    /// The network gives another score than the alert carried.
    #[error("the network gives another score than was alerted")]
    WrongScore,
    /// The engine failed; its message names no value.
    #[error("the engine failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ProveError {
    fn label(&self) -> &'static str {
        match self {
            Self::OtherModel => "other_model",
            Self::WrongCommitment => "wrong_commitment",
            Self::WrongScore => "wrong_score",
            Self::Engine(_) => "engine",
        }
    }
}

/// Runs the prover until the site stops.
pub async fn run(site: Site, args: ProverArgs) -> Result<()> {
    let chain = site.chain(None).await?;
    keys::allow_on(chain.chain_id, args.circuit.srs.is_none())?;
    let chain_id = chain.chain_id;
    let (registries, store) = models::follow(&site, chain).await?;

    tracing::info!(keys = %args.keys_dir.display(), "opening the proving keys (made when absent)");
    let settings = KeySettings {
        keys_dir: args.keys_dir.clone(),
        threads: args.threads,
        circuit: args.circuit.clone(),
        placement: args.placement()?,
    };
    let engines = engines(&site, &registries, store, &args, &settings, chain_id);
    engines.first_ready(patience(&site.connect)).await?;
    let alerts = OpenAlerts::default();
    let prover = Prover { engines: engines.clone(), registries, site: site.clone(), alerts: alerts.clone() };
    let auditing = async {
        match args.no_audit {
            true => Ok(()),
            false => audit_each(&site, &engines, &args, &settings, alerts).await,
        }
    };
    tokio::try_join!(prover.work(), auditing)?;
    Ok(())
}

/// Engines of all approved models, opened in the background as approvals come.
fn engines(
    site: &Site,
    registries: &Registries,
    store: ModelStore,
    args: &ProverArgs,
    settings: &KeySettings,
    chain_id: u64,
) -> Host<ApprovedEngine> {
    let (settings, ezkl) = (settings.clone(), args.ezkl.clone());
    let open = move |model: Model, package| {
        let (settings, ezkl) = (settings.clone(), ezkl.clone());
        async move { ApprovedEngine::open((&model).into(), package, &settings, &ezkl, chain_id).await }
    };
    Host::start(registries.clone(), store, open, site.metrics_of(QUEUE), site.stop.clone())
}

/// Audits every model of this project's own proof system, each from when its engine is ready. What a model scored before
/// it was suspended is still to be proved, so its audits go on.
async fn audit_each(
    site: &Site,
    engines: &Host<ApprovedEngine>,
    args: &ProverArgs,
    settings: &KeySettings,
    alerts: OpenAlerts,
) -> Result<()> {
    let mut tables = engines.changes();
    let mut audited = BTreeSet::new();
    let mut running = JoinSet::new();
    loop {
        let table = tables.borrow_and_update().clone();
        for (_, ready) in table.iter().filter(|(_, ready)| ready.model.proof_system == ProofSystem::Native) {
            if audited.insert(ready.model.package) {
                let audits = Audits::new(site.clone(), ready.package.clone(), args, settings.clone())?;
                running.spawn(audits.run(alerts.clone()));
            }
        }
        tokio::select! {
            () = site.stop.cancelled() => break,
            changed = tables.changed() => if changed.is_err() { break },
            Some(ended) = running.join_next() => ended??,
        }
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

struct Prover {
    site: Site,
    engines: Host<ApprovedEngine>,
    registries: Registries,
    alerts: OpenAlerts,
}

impl Prover {
    async fn work(&self) -> Result<()> {
        let mut queue = WorkQueue::open(&self.site.bus, Stream::ProofRequests, QUEUE).await?;
        self.site.metrics.ready();
        while let Some((request, job)) = queue.next_of(&self.site.stop).await? {
            self.handle(request, job).await?;
        }
        Ok(())
    }

    async fn handle(&self, request: ProofRequest, job: Job) -> Result<()> {
        let alert = request.alert_id;
        let engine = match self.engine_for(&request) {
            Ok(Some(engine)) => engine,
            // Approved, and its keys are being opened.
            Ok(None) => return Ok(job.later(ENGINE_PAUSE).await?),
            Err(error) => {
                self.failed(alert, &error);
                return Ok(job.done().await?);
            }
        };
        let _open = self.alerts.begin();
        match job.while_working(prove(request, engine)).await {
            Ok(receipt) => {
                self.site
                    .bus
                    .publish(Stream::Receipts, subject::RECEIPT.to_owned(), &receipt.message_id(), receipt.encode())
                    .await?;
                self.site.metrics.count(Counter::ProofsPublished, "");
                tracing::info!(%alert, prove_ms = receipt.prove_ms, "proof verified and published");
            }
            Err(error) => self.failed(alert, &error),
        }
        Ok(job.done().await?)
    }

    fn failed(&self, alert: B32, error: &ProveError) {
        self.site.metrics.count(Counter::ProofsFailed, error.label());
        tracing::error!(%alert, kind = error.label(), "no proof for an alert: this is an incident");
    }

    /// The engine of the proof system that the policy's model is approved under; nothing while it is being opened.
    fn engine_for(&self, request: &ProofRequest) -> Result<Option<Arc<dyn Engine>>, ProveError> {
        let view = self.registries.view();
        let policy = view.policy(&request.policy).filter(|policy| policy.is_live);
        let policy = policy.filter(|policy| policy.model.package == request.model).ok_or(ProveError::OtherModel)?;
        Ok(self.engines.table().get(&policy.model.id).map(|ready| ready.engine.clone()))
    }
}

async fn prove(request: ProofRequest, engine: Arc<dyn Engine>) -> Result<Receipt, ProveError> {
    check(&request, engine.as_ref())?;
    let prover = engine.clone();
    let features = request.window.features.clone();
    let salt = Salt::new(*request.window.salt.expose());
    let started = Instant::now();
    let proof = tokio::task::spawn_blocking(move || prover.prove(&features, &salt))
        .await
        .map_err(|e| ProveError::Engine(Box::new(e)))?
        .map_err(|e| ProveError::Engine(Box::new(e)))?;
    if proof.public.score != request.score {
        return Err(ProveError::WrongScore);
    }
    Ok(receipt(request, engine.as_ref(), proof.bytes, started.elapsed()))
}

/// Refuses a window that does not open its commitment, before any work is done on it.
fn check(request: &ProofRequest, engine: &dyn Engine) -> Result<(), ProveError> {
    let window = &request.window;
    let salt = Salt::new(*window.salt.expose());
    let commitment = engine
        .commitment_scheme()
        .commit(*window.schema.as_bytes(), &window.features, &salt)
        .map_err(|e| ProveError::Engine(Box::new(e)))?;
    match commitment.to_bytes() == *window.commitment.as_bytes() {
        true => Ok(()),
        false => Err(ProveError::WrongCommitment),
    }
}

fn receipt(request: ProofRequest, engine: &dyn Engine, proof: Vec<u8>, took: Duration) -> Receipt {
    let circuit = B32::new(engine.circuit_hash());
    Receipt {
        v: V1,
        receipt_id: Receipt::id(&request.alert_id, &circuit),
        alert_id: request.alert_id,
        mandate: request.window.mandate,
        policy: request.policy,
        model: request.model,
        circuit,
        verifying_key: B32::new(engine.verifying_key_hash()),
        proof_system: engine.proof_system_id().to_owned(),
        commitment: request.window.commitment,
        score: request.score,
        proof: HexBytes::new(proof),
        end: request.window.end,
        oracle: request.window.oracle,
        signature: request.window.signature,
        proved_at_ms: now_ms(),
        prove_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}
