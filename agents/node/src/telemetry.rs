//! The telemetry schema: every metric and label value of the node stands here. Changing one is a change of interface.
//!
//! A label never holds anything about a patient: it is one of a fixed set of words.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::{Router, http::StatusCode, routing::get};
use tokio_util::sync::CancellationToken;

/// Names of the counters, with what they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Observations accepted into a patient's window.
    ObservationsAccepted,
    /// Observations of the stream refused and dead-lettered; label: the reason.
    ObservationsDeadLettered,
    /// Observations refused at the gateway, whose sender is told; label: the reason.
    ObservationsRefused,
    /// Windows attested and published.
    WindowsAttested,
    /// Windows not attested; label: why (no mandate, mandate not live).
    WindowsWithheld,
    /// Windows scored.
    WindowsScored,
    /// Windows unlike those the model was validated on.
    WindowsOutsideRange,
    /// Alerts published; label: `new` or `escalation`.
    AlertsRaised,
    /// Alerts held back; label: why (cool-down, patient's limit, ward's limit).
    AlertsSuppressed,
    /// Proofs made, verified and published.
    ProofsPublished,
    /// Proof requests that ended without a proof; label: the error's variant.
    ProofsFailed,
    /// Windows proved in audit mode, their receipts published.
    WindowsAudited,
    /// Windows left out of an audit, and dead-lettered; label: why.
    WindowsNotAudited,
    /// Audit proofs made, verified and published.
    AuditsPublished,
    /// Attempts at an audit proof that failed; label: the error's variant.
    AuditsFailed,
    /// Audits given up and dead-lettered; label: the last failure.
    AuditsPutAside,
    /// Triggers accepted by the chain.
    TriggersAccepted,
    /// Receipts the chain refused; label: the contract's error.
    TriggersRefused,
    /// Times a message was refused because another owns the partition by now; label: the role.
    PartitionFenced,
    /// Messages read again to rebuild a partition's state; label: the role.
    ReplayedEntries,
    /// Windows left unscored; label: why.
    WindowsLeft,
    /// Windows that a candidate in shadow mode did not come to.
    ShadowDropped,
    /// Triggers given up: their time was over.
    TriggersGivenUp,
    /// Attempts at an alert's proof that failed and are made again; label: the error's variant.
    ProofsRetried,
    /// Entries of the journal; label: their kind.
    JournalEntries,
    /// What the reconciler found; label: the kind.
    ReconcilerFindings,
    /// What it set right; label: the kind.
    ReconcilerRepairs,
    /// Runs of the reconciler; label: `agrees`, `differs` or `failed`.
    ReconcilerRuns,
}

impl Counter {
    fn name_and_help(self) -> (&'static str, &'static str) {
        match self {
            Self::ObservationsAccepted => ("hygeia_observations_accepted_total", "Observations taken into a window"),
            Self::ObservationsDeadLettered => {
                ("hygeia_observations_dead_lettered_total", "Observations refused, by reason")
            }
            Self::ObservationsRefused => {
                ("hygeia_observations_refused_total", "Observations refused at the gateway, by reason")
            }
            Self::WindowsAttested => ("hygeia_windows_attested_total", "Windows attested and published"),
            Self::WindowsWithheld => ("hygeia_windows_withheld_total", "Windows not attested, by reason"),
            Self::WindowsScored => ("hygeia_windows_scored_total", "Windows scored"),
            Self::WindowsOutsideRange => {
                ("hygeia_windows_outside_validated_range_total", "Windows unlike those the model was validated on")
            }
            Self::AlertsRaised => ("hygeia_alerts_raised_total", "Alerts published, by kind"),
            Self::AlertsSuppressed => ("hygeia_alerts_suppressed_total", "Alerts held back, by reason"),
            Self::ProofsPublished => ("hygeia_proofs_published_total", "Proofs verified and published"),
            Self::ProofsFailed => ("hygeia_proofs_failed_total", "Proof requests without a proof, by error"),
            Self::WindowsAudited => ("hygeia_windows_audited_total", "Windows proved in audit mode"),
            Self::WindowsNotAudited => ("hygeia_windows_not_audited_total", "Windows left out of an audit, by reason"),
            Self::AuditsPublished => ("hygeia_audits_published_total", "Audit proofs verified and published"),
            Self::AuditsFailed => ("hygeia_audits_failed_total", "Failed attempts at an audit proof, by error"),
            Self::AuditsPutAside => ("hygeia_audits_put_aside_total", "Audits given up, by last error"),
            Self::TriggersAccepted => ("hygeia_triggers_accepted_total", "Care triggers accepted by the chain"),
            Self::PartitionFenced => ("hygeia_partition_fenced_total", "Partitions lost to a newer owner, by role"),
            Self::WindowsLeft => ("hygeia_windows_left_total", "Windows left unscored, by reason"),
            Self::ShadowDropped => ("hygeia_shadow_dropped_total", "Windows that a candidate did not come to"),
            Self::ReplayedEntries => ("hygeia_replayed_entries_total", "Messages read again to rebuild state, by role"),
            Self::TriggersRefused => ("hygeia_triggers_refused_total", "Receipts refused by the chain, by error"),
            Self::TriggersGivenUp => ("hygeia_triggers_given_up_total", "Triggers given up when their time was over"),
            Self::ProofsRetried => ("hygeia_proofs_retried_total", "Failed attempts at an alert's proof, by error"),
            Self::JournalEntries => ("hygeia_journal_entries_total", "Entries of the journal, by kind"),
            Self::ReconcilerFindings => ("hygeia_reconciler_findings_total", "Findings of the reconciler, by kind"),
            Self::ReconcilerRepairs => ("hygeia_reconciler_repairs_total", "Findings set right, by kind"),
            Self::ReconcilerRuns => ("hygeia_reconciler_runs_total", "Runs of the reconciler, by outcome"),
        }
    }
}

/// Names of the gauges, with what they measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gauge {
    /// Scored windows whose audit batch has not closed yet.
    AuditWindowsWaiting,
    /// Closed audit batches that no prover has taken up yet.
    AuditBatchesWaiting,
    /// Partitions that this process owns; label: the role.
    PartitionsOwned,
    /// Messages of a partition on their way to the broker; label: the role.
    OutboxInFlight,
    /// Size of the last snapshot of a partition; label: the role.
    SnapshotBytes,
    /// Approved models that are ready; label: the role.
    ModelsLive,
    /// Receipts that this steward brings to the chain now.
    StewardInFlight,
    /// Receipts that no steward has taken up yet.
    ReceiptsWaiting,
    /// Transactions held back by the limit of their payer.
    TransactionsHeldBack,
    /// What the last run of the reconciler found and nobody has set right.
    ReconcilerOpen,
}

impl Gauge {
    fn name_and_help(self) -> (&'static str, &'static str) {
        match self {
            Self::AuditWindowsWaiting => ("hygeia_audit_windows_waiting", "Scored windows in an open audit batch"),
            Self::AuditBatchesWaiting => ("hygeia_audit_batches_waiting", "Closed audit batches nobody proves yet"),
            Self::PartitionsOwned => ("hygeia_partitions_owned", "Partitions this process owns, by role"),
            Self::OutboxInFlight => ("hygeia_outbox_in_flight", "Messages on their way to the broker, by role"),
            Self::SnapshotBytes => ("hygeia_snapshot_bytes", "Size of a partition's last snapshot, by role"),
            Self::ModelsLive => ("hygeia_models_live", "Approved models that are ready, by role"),
            Self::StewardInFlight => ("hygeia_steward_in_flight", "Receipts on their way to the chain"),
            Self::ReceiptsWaiting => ("hygeia_receipts_waiting", "Receipts that no steward has taken up yet"),
            Self::TransactionsHeldBack => ("hygeia_transactions_held_back", "Transactions beyond their payer's limit"),
            Self::ReconcilerOpen => ("hygeia_reconciler_open", "Findings of the last run that are left to people"),
        }
    }
}

/// The counters of one process. Cheap to clone: all clones count together.
#[derive(Clone, Default)]
pub struct Metrics {
    // Held for nanoseconds per increment; a lock keeps label sets open without unsafe code.
    counts: Arc<Mutex<BTreeMap<(Counter, String), u64>>>,
    gauges: Arc<Mutex<BTreeMap<(Gauge, String), f64>>>,
    ready: Arc<AtomicBool>,
}

impl Metrics {
    /// Adds one to `counter` under `label` (empty for none).
    pub fn count(&self, counter: Counter, label: &str) {
        self.add(counter, label, 1);
    }

    /// Adds `number` to `counter` under `label` (empty for none).
    pub fn add(&self, counter: Counter, label: &str, number: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((counter, label.to_owned())).or_default() += number;
    }

    /// Sets what a gauge shows.
    pub fn set(&self, gauge: Gauge, value: u64) {
        self.set_to(gauge, "", value as f64);
    }

    /// Sets what a gauge shows under `label` (empty for none).
    pub fn set_to(&self, gauge: Gauge, label: &str, value: f64) {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).insert((gauge, label.to_owned()), value);
    }

    /// The role has connected and rebuilt its state: `/readyz` answers 200 from now on.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Prometheus' text format.
    pub fn render(&self) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let mut last = "";
        for ((counter, label), value) in counts.iter() {
            let (name, help) = counter.name_and_help();
            if name != last {
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
                last = name;
            }
            let _ = match label.as_str() {
                "" => writeln!(text, "{name} {value}"),
                label => writeln!(text, "{name}{{kind=\"{label}\"}} {value}"),
            };
        }
        for ((gauge, label), value) in self.gauges.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let (name, help) = gauge.name_and_help();
            if name != last {
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
                last = name;
            }
            let _ = match label.as_str() {
                "" => writeln!(text, "{name} {value}"),
                label => writeln!(text, "{name}{{kind=\"{label}\"}} {value}"),
            };
        }
        text
    }
}

/// Serves `/healthz`, `/readyz` and `/metrics` until `stop`.
pub async fn serve_health(address: SocketAddr, metrics: Metrics, stop: CancellationToken) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address} for health checks"))?;
    let ready = metrics.clone();
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(move || async move {
                match ready.ready.load(Ordering::Acquire) {
                    true => (StatusCode::OK, "ready\n"),
                    false => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
                }
            }),
        )
        .route("/metrics", get(move || async move { metrics.render() }));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

/// Sends the program's own log to standard error, as JSON lines or for a person's eyes.
pub fn init_log(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HYGEIA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,async_nats=warn,alloy_rpc_client=off"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second initialisation (several roles in one test process) is harmless and ignored.
    let _ = if json { builder.json().try_init() } else { builder.compact().try_init() };
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn renders_prometheus_text() {
        let metrics = Metrics::default();
        metrics.count(Counter::ObservationsAccepted, "");
        metrics.count(Counter::AlertsRaised, "new");
        metrics.count(Counter::AlertsRaised, "new");
        metrics.count(Counter::AlertsRaised, "escalation");
        metrics.add(Counter::WindowsAudited, "", 239);
        metrics.set(Gauge::AuditBatchesWaiting, 2);
        metrics.set(Gauge::AuditBatchesWaiting, 1);
        expect![[r#"
            # HELP hygeia_observations_accepted_total Observations taken into a window
            # TYPE hygeia_observations_accepted_total counter
            hygeia_observations_accepted_total 1
            # HELP hygeia_alerts_raised_total Alerts published, by kind
            # TYPE hygeia_alerts_raised_total counter
            hygeia_alerts_raised_total{kind="escalation"} 1
            hygeia_alerts_raised_total{kind="new"} 2
            # HELP hygeia_windows_audited_total Windows proved in audit mode
            # TYPE hygeia_windows_audited_total counter
            hygeia_windows_audited_total 239
            # HELP hygeia_audit_batches_waiting Closed audit batches nobody proves yet
            # TYPE hygeia_audit_batches_waiting gauge
            hygeia_audit_batches_waiting 1
        "#]]
        .assert_eq(&metrics.render());
    }
}
