//! The reconciler: compares journal, broker and chain, says where they differ and sets right what a machine may.
//!
//! [`hygeia_protocol::reconcile`] compares; this module reads the three books ([`read`]), carries the repairs out
//! ([`repair`]) and reports. A repair is as idempotent as what it repairs, so several stewards may run at once. It never
//! takes the broker's word for the chain's.

mod read;
mod repair;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hygeia_protocol::reconcile::{Finding, GRACE_MS, Rules};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bucket, Bus, BusError};
use crate::chain::{Chain, Deployment};
use crate::cli::money::ReconcileArgs;
use crate::clock::now_ms;
use crate::journal::{self, Journal};
use crate::telemetry::{Counter, Gauge, Metrics};

pub use read::Depth;

/// Bucket with the last report.
const REPORT_BUCKET: &str = "hygeia_reconcile";
/// Its key.
const REPORT_KEY: &str = "last";
/// Receipts and settlements that the steward's own runs read, newest first: some days' worth of the largest hospital. The
/// command reads all of them.
const NEWEST: u64 = 10_000;

/// Compares and repairs.
pub struct Reconciler {
    bus: Bus,
    chain: Chain,
    deployment: Deployment,
    rules: Rules,
    journal: Arc<Journal>,
    metrics: Metrics,
    reports: Bucket,
    seen: read::Seen,
}

/// What a run found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// When the run began.
    pub at_ms: u64,
    /// Receipts that were looked at.
    pub receipts: usize,
    /// Settlements likewise.
    pub settlements: usize,
    /// Triggers on chain likewise.
    pub triggers: usize,
    /// Entries of the journal likewise.
    pub entries: usize,
    /// The chain's newest block.
    pub head: u64,
    /// Settlements whose block the node has not come to.
    pub undecided: u64,
    /// What differs.
    pub findings: Vec<Found>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What it is.
    pub kind: &'static str,
    /// The receipt, the trigger or the root that it is about.
    pub id: String,
    /// What was done.
    pub done: Done,
}

/// What was done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It is set right.
    Repaired,
    /// It is for people to look at.
    LeftToPeople,
    /// The run was asked to look only, or the repair has to wait for another's work.
    Left,
}

impl Report {
    /// How many findings nobody has set right.
    pub fn open(&self) -> usize {
        self.findings.iter().filter(|found| found.done != Done::Repaired).count()
    }
}

impl Reconciler {
    /// A reconciler of one network.
    pub async fn open(
        bus: Bus,
        chain: Chain,
        deployment: Deployment,
        confirmations: u64,
        journal: Arc<Journal>,
        metrics: Metrics,
    ) -> Result<Self, BusError> {
        let reports = bus.bucket(REPORT_BUCKET).await?;
        let rules = Rules { confirmations, grace_ms: GRACE_MS };
        Ok(Self { bus, chain, deployment, rules, journal, metrics, reports, seen: read::Seen::default() })
    }

    /// How long a message may stand before the journal tells of it.
    pub fn set_grace(&mut self, grace: Duration) {
        self.rules.grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    }

    /// Compares once, and repairs unless it is only to look.
    pub async fn once(&mut self, depth: Depth, only_look: bool) -> Result<Report> {
        let read = read::read(&self.bus, &self.chain, &self.deployment, depth, &mut self.seen).await?;
        let comparison = read.books.compare(self.rules);
        let mut findings = Vec::new();
        for finding in &comparison.findings {
            self.metrics.count(Counter::ReconcilerFindings, finding.kind());
            let done = if only_look { Done::Left } else { self.repair(finding, &read).await? };
            tracing::warn!(kind = finding.kind(), id = repair::id_of(finding), ?done, "the books differ");
            if done == Done::Repaired {
                self.metrics.count(Counter::ReconcilerRepairs, finding.kind());
            }
            findings.push(Found { kind: finding.kind(), id: repair::id_of(finding), done });
        }
        let report = Report {
            at_ms: read.books.now_ms,
            receipts: read.books.receipts.len(),
            settlements: read.books.settlements.len(),
            triggers: read.books.triggers.len(),
            entries: read.books.journal.len(),
            head: read.books.head,
            undecided: comparison.undecided,
            findings,
        };
        self.metrics.set(Gauge::ReconcilerOpen, u64::try_from(report.open()).unwrap_or(u64::MAX));
        self.metrics.count(Counter::ReconcilerRuns, if report.findings.is_empty() { "agrees" } else { "differs" });
        self.reports.put(REPORT_KEY, serde_json::to_vec(&report)?).await?;
        Ok(report)
    }

    async fn repair(&self, finding: &Finding, read: &read::Read) -> Result<Done> {
        repair::Repairs { bus: &self.bus, chain: &self.chain, journal: &self.journal, read }.carry_out(finding).await
    }
}

/// Compares every so often until `stop`; never where the time is zero. A run that fails is counted and made again.
pub async fn run(mut reconciler: Reconciler, every: Duration, stop: CancellationToken) -> Result<()> {
    if every.is_zero() {
        return Ok(());
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
        let run = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            run = reconciler.once(Depth::Newest(NEWEST), false) => run,
        };
        if let Err(reason) = run {
            reconciler.metrics.count(Counter::ReconcilerRuns, "failed");
            tracing::warn!(reason = format!("{reason:#}"), "the books could not be compared");
        }
    }
}

/// `hygeia reconcile`: compares once and says what it found; true where everything agrees.
pub async fn command(args: &ReconcileArgs, metrics: Metrics) -> Result<bool> {
    let connect = &args.connect;
    let patience = crate::roles::patience(connect);
    let deployment = Deployment::load(&connect.deployment)?;
    let bus = Bus::open(&connect.broker.settings(&connect.nats)?, patience).await?;
    bus.ensure_streams().await?;
    let chain = Chain::connect(&connect.chain, &[], patience).await?;
    chain.expect(&deployment)?;
    let journal = Arc::new(Journal::open(&bus, journal::STEWARD, metrics.clone()).await?);
    let mut reconciler = Reconciler::open(bus, chain, deployment, args.confirmations, journal, metrics).await?;
    reconciler.set_grace(Duration::from_secs(args.grace_s));
    let report = reconciler.once(args.newest.map_or(Depth::All, Depth::Newest), args.look).await?;
    match args.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => print(&report),
    }
    Ok(report.findings.is_empty())
}

fn print(report: &Report) {
    println!(
        "{} receipts, {} settlements, {} triggers to block {}, {} journal entries",
        report.receipts, report.settlements, report.triggers, report.head, report.entries
    );
    for Found { kind, id, done } in &report.findings {
        let done = match done {
            Done::Repaired => "repaired",
            Done::LeftToPeople => "look at it",
            Done::Left => "left",
        };
        println!("{kind:<22} {id}  {done}");
    }
    if report.undecided > 0 {
        println!("{} settlements are of blocks that the node has not come to", report.undecided);
    }
    if report.findings.is_empty() {
        println!("everything agrees ({} s)", now_ms().saturating_sub(report.at_ms) / 1_000);
    }
}
