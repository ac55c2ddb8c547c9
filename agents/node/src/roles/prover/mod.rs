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

use std::sync::Arc;

use anyhow::{Context, Result};
use hygeia_protocol::message::ProofRequest;
use hygeia_zkml::engine::{self, Engine};
use thiserror::Error;
use tokio::sync::Semaphore;

use self::alert::AlertProofs;
use self::audit::{Audits, OpenAlerts};
use self::lanes::{Lanes, PROOF_WITHIN, TURN_WITHIN};
use super::Site;
use super::sentinel::wait_for_approval;
use crate::chain::registry::{ProofSystem, Registries};
use crate::cli::ProverArgs;
use crate::engines::Engines;
use crate::journal::{self, Journal};
use crate::keys::{self, KeySettings};
use crate::models;

/// Name of the queue all provers share.
const QUEUE: &str = "prover";

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
            Self::Engine(_) | Self::Late | Self::Busy | Self::Panicked => true,
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
            Self::Late => "engine_late",
            Self::Busy => "engine_busy",
            Self::Panicked => "engine_panicked",
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
    let proofs = AlertProofs {
        bus: site.bus.clone(),
        journal: Journal::open(&site.bus, journal::PROVER, site.metrics.clone()).await?,
        metrics: site.metrics.clone(),
        lanes: Lanes::new(PROOF_WITHIN, TURN_WITHIN),
        rules: alert::retry_rules(args.proof_retry_s),
    };
    let prover = Prover { engines, model_hash: model.hash(), registries, site, alerts: alerts.clone(), proofs };
    let prover = Arc::new(prover);
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
    proofs: AlertProofs,
}

impl Prover {
    async fn work(self: Arc<Self>) -> Result<()> {
        let queue = alert::queue(&self.site.bus).await?;
        let places = Arc::new(Semaphore::new(IN_HAND_MAX));
        self.site.metrics.ready();
        loop {
            let place = places.clone().acquire_owned().await.context("the places are never closed")?;
            let Some((request, job)) = queue.next_of::<ProofRequest>(&self.site.stop).await? else { return Ok(()) };
            let prover = self.clone();
            tokio::spawn(async move {
                let alert = request.alert_id;
                let _open = prover.alerts.begin();
                let engine = prover.engine_for(&request);
                // The end of the process does not wait for a proof; without an acknowledgement the request comes again.
                let handled = tokio::select! {
                    () = prover.site.stop.cancelled() => Ok(()),
                    handled = prover.proofs.handle(request, job, engine) => handled,
                };
                if let Err(reason) = handled {
                    tracing::error!(%alert, reason = format!("{reason:#}"), "a proof request is left for later");
                }
                drop(place);
            });
        }
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
