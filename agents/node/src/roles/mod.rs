//! The roles: each a loop that takes messages in, lets a pure state machine decide, and stores what follows.

pub mod gateway;
pub mod oracle;
pub mod prover;
pub mod sentinel;
pub mod steward;

use std::time::Duration;

use anyhow::{Context, Result};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hygeia_protocol::lease::{LeaseRules, MemberId};
use rand::RngCore as _;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, SyncMode, sync_mode};
use crate::chain::{Chain, Deployment};
use crate::cli::{Connect, GatewayArgs, OracleArgs, ProverArgs, Role, SentinelArgs, StewardArgs};
use crate::models::host::RoleMetrics;
use crate::partition::Replica;
use crate::telemetry::trace::{self, Exporter};
use crate::telemetry::{self, Gauge, Health, Metrics};

/// What every role starts from.
#[derive(Clone)]
pub struct Site {
    /// The broker.
    pub bus: Bus,
    /// The contracts' addresses.
    pub deployment: Deployment,
    /// How to reach the chain again with a signer.
    pub connect: Connect,
    /// This process among the replicas of its roles.
    pub member: MemberId,
    /// The process's counters.
    pub metrics: Metrics,
    /// Cancelled when the process is asked to end.
    pub stop: CancellationToken,
}

impl Site {
    /// Connects to broker and chain; creates the streams; serves health checks when asked to.
    pub async fn open(connect: &Connect, stop: CancellationToken) -> Result<Self> {
        let member = connect.replica.member.clone().map_or_else(random_member, Ok)?;
        // Before anything is logged: lines and spans tell replicas apart by the name that leases do.
        telemetry::log::name_member(member.as_str());
        let metrics = telemetry::process().clone();
        if let Some(collector) = &connect.telemetry.otlp {
            trace::install(Exporter::start(collector, connect.telemetry.trace_sample)?);
        }
        if let Some(address) = connect.health_addr {
            let health = Health { metrics: metrics.clone(), log_from_anywhere: connect.telemetry.log_from_anywhere };
            let serve = telemetry::health::serve(address, health, stop.clone());
            tokio::spawn(async move {
                if let Err(reason) = serve.await {
                    tracing::error!(reason = format!("{reason:#}"), "health checks are not served");
                }
            });
        }
        let deployment = Deployment::load(&connect.deployment)?;
        let bus = Bus::open(&connect.broker.settings(&connect.nats)?, patience(connect)).await?;
        bus.ensure_streams().await?;
        say_how_safe(connect.broker.nats_monitor.as_deref(), &metrics).await;
        metrics.set(Gauge::Partitions, connect.partitions.get().into());
        Ok(Self { bus, deployment, connect: connect.clone(), member, metrics, stop })
    }

    /// This process as a replica of a role whose work is spread over partitions.
    pub fn replica(&self) -> Replica {
        let Connect { partitions, replica, .. } = &self.connect;
        Replica {
            bus: self.bus.clone(),
            member: self.member.clone(),
            rules: LeaseRules { partitions: *partitions, ttl_ms: replica.lease_s * 1_000 },
            metrics: self.metrics.clone(),
            stop: self.stop.clone(),
        }
    }

    /// Where a role counts what it has ready.
    pub fn metrics_of(&self, role: &'static str) -> RoleMetrics {
        RoleMetrics { metrics: self.metrics.clone(), role }
    }

    /// A connection to the chain, sending as `signer` when given.
    pub async fn chain(&self, signer: Option<alloy::signers::local::PrivateKeySigner>) -> Result<Chain> {
        let chain = Chain::connect(&self.connect.chain, signer.as_slice(), patience(&self.connect)).await?;
        chain.expect(&self.deployment)?;
        Ok(chain)
    }
}

/// The settings of the roles to run; a role without settings cannot be run.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Settings of the oracle.
    pub oracle: Option<OracleArgs>,
    /// Settings of the sentinel.
    pub sentinel: Option<SentinelArgs>,
    /// Settings of the prover.
    pub prover: Option<ProverArgs>,
    /// Settings of the steward.
    pub steward: Option<StewardArgs>,
    /// Settings of the gateway.
    pub gateway: Option<GatewayArgs>,
}

/// Runs roles in this process until `stop` or until one of them fails; then all are stopped and drained.
pub async fn run_roles(roles: Vec<Role>, connect: Connect, plan: Plan, stop: CancellationToken) -> Result<()> {
    if let [only] = roles.as_slice() {
        trace::one_role(*only);
    }
    let site = Site::open(&connect, stop.clone()).await?;
    let mut running = tokio::task::JoinSet::new();
    for role in roles {
        let (site, plan) = (site.clone(), plan.clone());
        let missing = || format!("the settings of the {} are missing", role.name());
        site.metrics.runs(role);
        let run: BoxFuture<'static, Result<()>> = match role {
            Role::Oracle => oracle::run(site, plan.oracle.with_context(missing)?).boxed(),
            Role::Sentinel => sentinel::run(site, plan.sentinel.with_context(missing)?).boxed(),
            Role::Prover => prover::run(site, plan.prover.with_context(missing)?).boxed(),
            Role::Steward => steward::run(site, plan.steward.with_context(missing)?).boxed(),
            Role::Gateway => gateway::run(site, plan.gateway.with_context(missing)?).boxed(),
        };
        running.spawn(trace::in_role(role, run));
    }
    let mut first_error = None;
    while let Some(ended) = running.join_next().await {
        let result = ended.unwrap_or_else(|panic| Err(anyhow::anyhow!("a role panicked: {panic}")));
        if let Err(error) = result {
            stop.cancel();
            first_error.get_or_insert(error);
        }
    }
    trace::finish().await;
    first_error.map_or(Ok(()), Err)
}

/// Says once whether the broker may lose what it has acknowledged.
async fn say_how_safe(monitor: Option<&str>, metrics: &Metrics) {
    let Some(monitor) = monitor else {
        tracing::info!(
            "whether the broker syncs what it acknowledges is not known: give --nats-monitor to have it checked"
        );
        return;
    };
    let mode = sync_mode(monitor).await;
    if let Ok(SyncMode::Always | SyncMode::Every(_)) = mode {
        metrics.set(Gauge::BrokerUnsafe, u64::from(!matches!(mode, Ok(SyncMode::Always))));
    }
    match mode {
        Ok(SyncMode::Always) => tracing::info!("the broker syncs what it acknowledges"),
        Ok(SyncMode::Every(interval)) => tracing::warn!(
            interval_s = interval.as_secs(),
            "a power failure may cost what the broker acknowledged: set jetstream.sync_interval to always (runbook: broker-unsafe)"
        ),
        Ok(SyncMode::NoJetStream) => tracing::warn!(monitor, "this is not the broker's monitoring address"),
        Err(reason) => tracing::warn!(reason = %reason, "whether the broker syncs what it acknowledges is not known"),
    }
}

/// A name that no other process has.
fn random_member() -> Result<MemberId> {
    let mut name = [0; 8];
    rand::rngs::OsRng.fill_bytes(&mut name);
    Ok(MemberId::new(&hex::encode(name))?)
}

/// How long a role keeps trying at start.
pub fn patience(connect: &Connect) -> Duration {
    Duration::from_secs(connect.patience_s)
}

/// The value of a flag a role cannot run without.
pub fn required<T>(value: Option<T>, flag: &str, what: &str) -> Result<T> {
    value.with_context(|| format!("{flag} is needed: {what}"))
}
