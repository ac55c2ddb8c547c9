//! Works off the orders, one proof at a time: waits for alerts and memory, proves, stores what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::AuditOrder;
use hygeia_protocol::subject::{self, Stream};
use hygeia_zkml::audit::{AuditBatch, AuditKeys, AuditPlan};

use super::job::{self, JobEnd};
use super::publish::{self, Cost, Leaf};
use super::windows::{self, Kept, Statement};
use super::{Audits, OpenAlerts, megabytes};
use crate::bus::{Job, Lookup, SlowQueue};
use crate::keys;
use crate::roles::Site;
use crate::roles::prover::memory;
use crate::telemetry::queues::{self as queue_gauges, Watched};
use crate::telemetry::{Counter, Gauge, Histogram, Loop, processor_time};

/// How long a job waits for memory before its order is given back.
const MEMORY_PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at the memory.
const MEMORY_PAUSE: Duration = Duration::from_secs(2);
/// How long an order may take, its waiting for alerts and memory included, before the auditor counts as stuck.
const AUDIT_MAX: Duration = Duration::from_secs(2 * 3600);
/// Pause before an order that was given back comes again.
const RETURN_PAUSE: Duration = Duration::from_secs(30);

/// Proves what is ordered until the site stops.
pub async fn run(audits: &Audits, alerts: OpenAlerts) -> Result<()> {
    let site = &audits.site;
    let started = Instant::now();
    let opening = keys::open_audit_keys(&audits.model, &audits.plan, &audits.settings);
    let keys = tokio::select! {
        () = site.stop.cancelled() => return Ok(()),
        keys = opening => Arc::new(keys?),
    };
    let key = keys.verifying_key();
    tracing::info!(verifying_key = hex::encode(key.hash()), took_ms = millis(started.elapsed()), "audit keys ready");
    let model = B32::new(audits.model.hash());
    let durable = format!("auditor-{}", model.to_hex());
    let queue = SlowQueue::open(&site.bus, Stream::AuditOrders, subject::audit_order(&model), &durable).await?;
    let worker = Worker {
        site,
        model,
        audits_of: audits,
        statement: Statement { network: audits.model.network().clone(), schema_hash: audits.model.schema().hash() },
        windows: Lookup::open(&site.bus, Stream::Windows).await?,
        audits: Lookup::open(&site.bus, Stream::Audits).await?,
        keys,
        alerts,
    };
    let watched = Watched { stream: Stream::AuditOrders, durable, word: "audit_orders" };
    queue_gauges::watch(site.bus.clone(), site.metrics.clone(), watched, site.stop.clone());
    let watchdog = site.metrics.watchdog();
    while let Some((order, job)) =
        watchdog.while_waiting(Loop::Auditor, queue.next_of::<AuditOrder>(&site.stop)).await?
    {
        watchdog.within(Loop::Auditor, AUDIT_MAX);
        site.metrics.set(Gauge::AuditBatchesWaiting, queue.waiting().await?);
        worker.take(&order, job).await?;
        site.metrics.set(Gauge::AuditBatchesWaiting, queue.waiting().await?);
    }
    watchdog.ended(Loop::Auditor);
    Ok(())
}

struct Worker<'a> {
    site: &'a Site,
    audits_of: &'a Audits,
    model: B32,
    statement: Statement,
    windows: Lookup,
    audits: Lookup,
    /// For every batch that these hold.
    keys: Arc<AuditKeys>,
    alerts: OpenAlerts,
}

/// What becomes of an order.
enum After {
    /// Everything it led to is stored.
    Done,
    /// It could not be worked on now.
    Later,
    /// The process ends: the order is for another, or for the next start.
    Stopped,
}

impl Worker<'_> {
    async fn take(&self, order: &AuditOrder, job: Job) -> Result<()> {
        match job.while_working(self.work(order, &job)).await? {
            After::Done => job.done().await?,
            After::Later => job.later(RETURN_PAUSE).await?,
            After::Stopped => job.later(Duration::ZERO).await?,
        }
        Ok(())
    }

    async fn work(&self, order: &AuditOrder, job: &Job) -> Result<After> {
        let (sequence, deliveries) = job.place()?;
        if self.audits.last_of(&subject::audited_batch(&order.batch_id)).await?.is_some() {
            return Ok(After::Done);
        }
        if !order.is_consistent() || order.model != self.model {
            self.put_aside(order, sequence, "audit_inconsistent").await?;
            return Ok(After::Done);
        }
        let kept = self.collect(order).await?;
        if kept.is_empty() {
            return Ok(After::Done);
        }
        let leaves: Vec<Leaf> =
            kept.iter().map(|kept| Leaf { window_id: kept.window_id, partition: kept.partition }).collect();
        let batch: Arc<AuditBatch> = Arc::new(kept.into_iter().map(|kept| kept.witness).collect());
        tokio::select! {
            () = self.site.stop.cancelled() => return Ok(After::Stopped),
            () = self.alerts.none() => {}
        }
        if !self.memory_is_there(order).await? {
            return Ok(if self.site.stop.is_cancelled() { After::Stopped } else { After::Later });
        }
        self.prove(order, &leaves, &batch, sequence, deliveries).await
    }

    /// The windows that can be proved; each other one is dead-lettered with its reason.
    async fn collect(&self, order: &AuditOrder) -> Result<Vec<Kept>> {
        let mut kept = Vec::with_capacity(order.windows.len());
        for window in windows::of_order(order, &self.statement, &self.windows).await? {
            match window {
                Ok(window) => kept.push(window),
                Err((wanted, reason)) => {
                    tracing::error!(
                        batch = %order.batch_id, window = %wanted.window_id, kind = reason.label(),
                        "a window is left out of its audit: this is an incident"
                    );
                    self.site.metrics.count(Counter::WindowsNotAudited, reason.label());
                    publish::dead_letter(&self.site.bus, reason.label(), wanted.window_id, wanted.sequence).await?;
                }
            }
        }
        Ok(kept)
    }

    async fn prove(
        &self,
        order: &AuditOrder,
        leaves: &[Leaf],
        batch: &Arc<AuditBatch>,
        sequence: u64,
        deliveries: u64,
    ) -> Result<After> {
        let keys = self.keys_for(order).await?;
        let (started, cpu_before_ms) = (Instant::now(), millis(processor_time()));
        let memory_mb = megabytes(memory::needed(keys.plan()));
        tracing::info!(batch = %order.batch_id, windows = batch.len(), memory_mb, deliveries, "proving an audit");
        let failed = |error: &_| {
            let kind = job::label(error);
            self.site.metrics.count(Counter::AuditsFailed, kind);
            tracing::error!(batch = %order.batch_id, kind, "an audit proof failed: this is an incident");
        };
        match job::run(&keys, batch, deliveries, &self.site.stop, failed).await {
            JobEnd::Stopped => Ok(After::Stopped),
            JobEnd::PutAside(reason) => {
                self.put_aside(order, sequence, reason).await?;
                Ok(After::Done)
            }
            JobEnd::Proved(proof) => {
                let cost = Cost {
                    wall_ms: millis(started.elapsed()),
                    cpu_ms: millis(processor_time()).saturating_sub(cpu_before_ms),
                };
                publish::publish(&self.site.bus, order, leaves, &proof, keys.verifying_key(), cost).await?;
                self.site.metrics.took(Histogram::AuditProofTime, started.elapsed());
                self.site.metrics.add(Counter::WindowsAudited, "", u64::from(proof.public.count()));
                self.site.metrics.count(Counter::AuditsPublished, "");
                tracing::info!(
                    batch = %order.batch_id, windows = proof.public.count(), prove_ms = cost.wall_ms,
                    "audit verified and published"
                );
                Ok(After::Done)
            }
        }
    }

    async fn put_aside(&self, order: &AuditOrder, sequence: u64, reason: &'static str) -> Result<()> {
        self.site.metrics.count(Counter::AuditsPutAside, reason);
        tracing::error!(batch = %order.batch_id, kind = reason, "an audit is put aside: this is an incident");
        Ok(publish::dead_letter(&self.site.bus, reason, order.batch_id, sequence).await?)
    }

    /// The circuit for a batch: that of the settings, or one as large as an order of earlier, larger settings needs.
    fn plan_for(&self, order: &AuditOrder) -> Result<AuditPlan> {
        let own = self.keys.plan();
        match order.windows.len() {
            windows if windows <= own.slots => Ok(own.clone()),
            windows => Ok(keys::audit_plan_holding(self.audits_of.model.network(), windows)?),
        }
    }

    async fn keys_for(&self, order: &AuditOrder) -> Result<Arc<AuditKeys>> {
        let plan = self.plan_for(order)?;
        if plan == *self.keys.plan() {
            return Ok(self.keys.clone());
        }
        let Audits { model, settings, .. } = self.audits_of;
        tracing::info!(batch = %order.batch_id, windows = plan.slots, "the order is larger than --audit-windows; opening keys for it");
        Ok(Arc::new(keys::open_audit_keys(model, &plan, settings).await?))
    }

    /// Waits until there is memory for a proof; `false` when there is none within the patience, or the site stops.
    async fn memory_is_there(&self, order: &AuditOrder) -> Result<bool> {
        let needed = memory::needed(&self.plan_for(order)?);
        let until = Instant::now() + MEMORY_PATIENCE;
        loop {
            let Some(short) = memory::look().filter(|memory| memory.available < needed) else { return Ok(true) };
            let (needed_mb, available_mb) = (megabytes(needed), megabytes(short.available));
            if Instant::now() >= until {
                self.site.metrics.count(Counter::AuditsFailed, "audit_memory");
                tracing::error!(
                    batch = %order.batch_id, needed_mb, available_mb,
                    "no memory for an audit proof; its order is given back. Set --audit-windows lower, or add memory"
                );
                return Ok(false);
            }
            tracing::warn!(batch = %order.batch_id, needed_mb, available_mb, "an audit proof waits for memory");
            tokio::select! {
                () = self.site.stop.cancelled() => return Ok(false),
                () = tokio::time::sleep(MEMORY_PAUSE) => {}
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
