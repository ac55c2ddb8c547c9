//! Hop 6: from a proof request to a receipt, and beside it from the ledger to [audits](audit) of every window.
//!
//! Runs the network again in integers, proves, verifies the proof, and only then publishes. A request whose window
//! does not open its commitment or does not give its score is refused before any work is done on it. Alerts and audits
//! have engines and threads of their own, so that an alert never waits for an audit; the audits' threads have the lower
//! priority.

pub mod audit;
pub mod memory;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hygeia_protocol::message::{B32, HexBytes, Message, ProofRequest, Receipt, V1};
use hygeia_protocol::subject::{self, Stream};
use hygeia_zkml::Salt;
use hygeia_zkml::engine::Engine;
use thiserror::Error;

use self::audit::{Audits, OpenAlerts};
use super::Site;
use super::sentinel::wait_for_approval;
use crate::bus::{Job, WorkQueue};
use crate::chain::registry::{ProofSystem, Registries};
use crate::cli::ProverArgs;
use crate::clock::now_ms;
use crate::engines::Engines;
use crate::keys::{self, KeySettings};
use crate::models;
use crate::telemetry::queues::{self, Watched};
use crate::telemetry::schema::events::{Attribute, SpanName};
use crate::telemetry::trace;
use crate::telemetry::trace::{Span, Value};
use crate::telemetry::{Counter, Histogram, Loop};

/// Name of the queue all provers share.
const QUEUE: &str = "prover";

/// How long one alert's proof may take before the prover counts as stuck: hundreds of times what it takes on a processor.
const PROOF_MAX: Duration = Duration::from_secs(15 * 60);

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
    let model = models::load(site.connect.model.as_deref())?;
    let chain = site.chain(None).await?;
    keys::allow_on(chain.chain_id, args.circuit.srs.is_none())?;
    let chain_id = chain.chain_id;
    let registries = Registries::watch(chain, site.deployment.clone(), site.stop.clone()).await?;
    wait_for_approval(&site, &registries, model.hash()).await?;

    tracing::info!(keys = %args.keys_dir.display(), "opening the proving keys (made when absent)");
    let settings = KeySettings {
        keys_dir: args.keys_dir.clone(),
        threads: args.threads,
        circuit: args.circuit.clone(),
        placement: args.placement()?,
    };
    let approved = registries.models_of(model.hash());
    let engines = Engines::open(&model, &approved, &settings, &args.ezkl, chain_id).await?;
    let alerts = OpenAlerts::default();
    let is_audited = approved.iter().any(|approved| approved.proof_system == ProofSystem::Native);
    let audits = match !args.no_audit && is_audited {
        true => Some(Audits::new(site.clone(), model.clone(), &args, settings)?),
        false => None,
    };
    let prover = Prover { engines, model_hash: model.hash(), registries, site, alerts: alerts.clone() };
    let auditing = async {
        match audits {
            Some(audits) => audits.run(alerts).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(prover.work(), auditing)?;
    Ok(())
}

struct Prover {
    site: Site,
    engines: Engines,
    model_hash: [u8; 32],
    registries: Registries,
    alerts: OpenAlerts,
}

impl Prover {
    async fn work(&self) -> Result<()> {
        let mut queue = WorkQueue::open(&self.site.bus, Stream::ProofRequests, QUEUE).await?;
        self.site.metrics.ready();
        let watched = Watched { stream: Stream::ProofRequests, durable: QUEUE.to_owned(), word: "prove" };
        queues::watch(self.site.bus.clone(), self.site.metrics.clone(), watched, self.site.stop.clone());
        let watchdog = self.site.metrics.watchdog();
        while let Some((request, job)) = watchdog.while_waiting(Loop::Prover, queue.next_of(&self.site.stop)).await? {
            watchdog.within(Loop::Prover, PROOF_MAX);
            let mut span = Span::after(SpanName::Proof, job.trace());
            let context = span.context();
            trace::within(context, self.handle(request, job, &mut span)).await?;
            span.end();
        }
        watchdog.ended(Loop::Prover);
        Ok(())
    }

    async fn handle(&self, request: ProofRequest, job: Job, span: &mut Span) -> Result<()> {
        let alert = request.alert_id;
        span.tell(Attribute::Policy, Value::Id(request.policy));
        span.tell(Attribute::Model, Value::Id(request.model));
        let started = Instant::now();
        let _open = self.alerts.begin();
        match job.while_working(self.prove(request)).await {
            Ok(receipt) => {
                span.tell(Attribute::Receipt, Value::Id(receipt.receipt_id));
                self.site.metrics.took(Histogram::ProofTime, started.elapsed());
                self.site
                    .bus
                    .publish(Stream::Receipts, subject::RECEIPT.to_owned(), &receipt.message_id(), receipt.encode())
                    .await?;
                self.site.metrics.count(Counter::ProofsPublished, "");
                tracing::info!(%alert, prove_ms = receipt.prove_ms, "proof verified and published");
            }
            Err(error) => {
                span.fail(error.label());
                self.site.metrics.count(Counter::ProofsFailed, error.label());
                tracing::error!(%alert, kind = error.label(), "no proof for an alert: this is an incident");
            }
        }
        Ok(job.done().await?)
    }

    async fn prove(&self, request: ProofRequest) -> Result<Receipt, ProveError> {
        let engine = self.engine_for(&request)?;
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

    /// The engine of the proof system that the policy's model is approved under.
    fn engine_for(&self, request: &ProofRequest) -> Result<Arc<dyn Engine>, ProveError> {
        if request.model.as_bytes() != &self.model_hash {
            return Err(ProveError::OtherModel);
        }
        let policies = self.registries.policies_of(self.model_hash);
        let policy = policies.iter().find(|policy| policy.id == request.policy).ok_or(ProveError::OtherModel)?;
        self.engines.of(&policy.model_id).ok_or(ProveError::OtherModel)
    }
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
