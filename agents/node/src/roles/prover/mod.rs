//! Hop 6: from a proof request to a receipt, and beside it from the ledger to [audits](audit) of every window.
//!
//! Runs the network again in integers, proves, verifies the proof, and only then publishes. A request whose window
//! does not open its commitment or does not give its score is refused before any work is done on it. Alerts and audits
//! have engines and threads of their own, so that an alert never waits for an audit; the audits' threads have the lower
//! priority.

pub mod alert;
pub mod audit;
pub mod lanes;
pub mod memory;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hygeia_protocol::message::ProofRequest;
use hygeia_protocol::registry::Model;
use hygeia_protocol::subject::Stream;
use hygeia_zkml::engine::{self, Engine};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::alert::AlertProofs;
use self::audit::{Audits, OpenAlerts};
use self::lanes::{Lanes, PROOF_WITHIN, TURN_WITHIN};
use super::{Site, patience};
use crate::bus::Job;
use crate::chain::registry::{ProofSystem, Registries};
use crate::cli::{ProverArgs, Role};
use crate::engines::ApprovedEngine;
use crate::journal::{self, Journal};
use crate::keys::{self, KeySettings};
use crate::models;
use crate::models::host::Host;
use crate::models::store::ModelStore;
use crate::telemetry::Loop;
use crate::telemetry::queues::{self, Watched};
use crate::telemetry::trace;

/// Name of the queue all provers share.
const QUEUE: &str = "prover";
/// Pause before a request comes again whose model's engine is not open yet.
const ENGINE_PAUSE: Duration = Duration::from_secs(2);

/// Alerts in hand at a time: one for each of two engines, and one more to be turned away where an engine is stuck. Any
/// beyond these are another prover's.
const IN_HAND_MAX: usize = 3;

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
    /// The features are no statement that could be proved.
    #[error("the features are no valid statement")]
    Statement(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The engine failed; its message names no value.
    #[error("the engine failed")]
    Engine(#[source] engine::ProveError),
    /// The engine has not been opened in all the time that a proof is tried for.
    #[error("the engine is not open")]
    NotReady,
    /// The proof did not come in its time.
    #[error("the engine gave no proof in its time")]
    Late,
    /// Others wait for the same engine.
    #[error("the engine has too many to prove")]
    Busy,
    /// The thread of the proof ended without an answer.
    #[error("the prover panicked")]
    Panicked,
}

impl ProveError {
    fn of_engine(error: engine::ProveError) -> Self {
        match error {
            engine::ProveError::Statement(_) | engine::ProveError::Input(_) => Self::Statement(Box::new(error)),
            error => Self::Engine(error),
        }
    }

    /// Whether another attempt may end otherwise.
    fn is_passing(&self) -> bool {
        match self {
            Self::OtherModel | Self::WrongCommitment | Self::WrongScore | Self::Statement(_) => false,
            Self::Engine(_) | Self::NotReady | Self::Late | Self::Busy | Self::Panicked => true,
        }
    }

    /// The stable label, in metrics and in the journal.
    fn label(&self) -> &'static str {
        match self {
            Self::OtherModel => "other_model",
            Self::WrongCommitment => "wrong_commitment",
            Self::WrongScore => "wrong_score",
            Self::Statement(_) => "statement",
            Self::Engine(_) => "engine",
            Self::NotReady => "engine_not_ready",
            Self::Late => "engine_late",
            Self::Busy => "engine_busy",
            Self::Panicked => "engine_panicked",
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
    let proofs = AlertProofs {
        bus: site.bus.clone(),
        journal: Journal::open(&site.bus, journal::PROVER, site.metrics.clone()).await?,
        metrics: site.metrics.clone(),
        lanes: Lanes::new(PROOF_WITHIN, TURN_WITHIN),
        rules: alert::retry_rules(args.proof_retry_s),
    };
    let prover = Prover { engines: engines.clone(), registries, site: site.clone(), alerts: alerts.clone(), proofs };
    let prover = Arc::new(prover);
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
    proofs: AlertProofs,
}

impl Prover {
    async fn work(self: Arc<Self>) -> Result<()> {
        let queue = alert::queue(&self.site.bus).await?;
        let places = Arc::new(Semaphore::new(IN_HAND_MAX));
        self.site.metrics.ready();
        let watched = Watched { stream: Stream::ProofRequests, durable: QUEUE.to_owned(), word: "prove" };
        queues::watch(self.site.bus.clone(), self.site.metrics.clone(), watched, self.site.stop.clone());
        let watchdog = self.site.metrics.watchdog();
        loop {
            // A place is free again within the time of a proof, whatever an engine does.
            let place = places.clone().acquire_owned();
            let place = watchdog.while_waiting(Loop::Prover, place).await.context("the places are never closed")?;
            let next = watchdog.while_waiting(Loop::Prover, queue.next_of::<ProofRequest>(&self.site.stop)).await?;
            let Some((request, job)) = next else { break };
            let prover = self.clone();
            tokio::spawn(trace::in_role(Role::Prover, async move {
                let alert = request.alert_id;
                let _open = prover.alerts.begin();
                // The end of the process does not wait for a proof; without an acknowledgement the request comes again.
                let handled = tokio::select! {
                    () = prover.site.stop.cancelled() => Ok(()),
                    handled = prover.handle(request, job) => handled,
                };
                if let Err(reason) = handled {
                    tracing::error!(%alert, reason = format!("{reason:#}"), "a proof request is left for later");
                }
                drop(place);
            }));
        }
        watchdog.ended(Loop::Prover);
        Ok(())
    }

    async fn handle(&self, request: ProofRequest, job: Job) -> Result<()> {
        match self.engine_for(&request).transpose() {
            Some(engine) => self.proofs.handle(request, job, engine).await,
            None if self.proofs.is_over(&request) => self.proofs.handle(request, job, Err(ProveError::NotReady)).await,
            // Approved, and its keys are being opened.
            None => Ok(job.later(ENGINE_PAUSE).await?),
        }
    }

    /// The engine of the proof system that the policy's model is approved under; nothing while it is being opened.
    fn engine_for(&self, request: &ProofRequest) -> Result<Option<Arc<dyn Engine>>, ProveError> {
        let view = self.registries.view();
        let policy = view.policy(&request.policy).filter(|policy| policy.is_live);
        let policy = policy.filter(|policy| policy.model.package == request.model).ok_or(ProveError::OtherModel)?;
        Ok(self.engines.table().get(&policy.model.id).map(|ready| ready.engine.clone()))
    }
}
