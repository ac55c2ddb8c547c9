//! The metrics, one line each.

use super::{Kind, Label, Metric};
use crate::cli::Role::{self, Gateway, Oracle, Prover, Sentinel, Steward};

/// Seconds from a datum to what follows from it: fine below the 50 ms that an alert may take, coarse above.
const LATENCY_S: &[f64] =
    &[0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Seconds of one publication: a tenth of a millisecond on a quiet machine, seconds when the broker is away.
const ROUND_TRIP_S: &[f64] =
    &[0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Seconds of a proof: an alert's takes tenths of a second, an audit's seconds to minutes.
const PROOF_S: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Seconds to finality: a few blocks of any chain, and what a bumped fee adds.
const SETTLEMENT_S: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
/// Windows of one batch, up to the most that are scored at a time.
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Why an observation is refused: the labels of `hygeia_protocol::observation::Rejection`.
const REJECTIONS: Option<Label> = kind(&[
    "too_large",
    "malformed",
    "unsupported_version",
    "unknown_code",
    "wrong_unit",
    "implausible_value",
    "future_time",
    "duplicate",
    "replayed_sequence",
    "too_late",
    "bad_identifier",
]);
/// Why an audit or a window of it fails.
const AUDIT_FAILURES: Option<Label> = kind(&[
    "audit_batch_size",
    "audit_window",
    "audit_proof_system",
    "audit_panicked",
    "audit_self_verification",
    "audit_inconsistent",
    "audit_memory",
]);
/// Why an alert has no proof, or not yet.
const PROOF_FAILURES: Option<Label> = kind(&[
    "other_model",
    "wrong_commitment",
    "wrong_score",
    "statement",
    "engine",
    "engine_not_ready",
    "engine_late",
    "engine_busy",
    "engine_panicked",
]);
/// What the journal tells of.
const JOURNAL_FACTS: Option<Label> = kind(&[
    "proof_accepted",
    "proof_set_aside",
    "receipt_made",
    "trigger_submitted",
    "trigger_settled",
    "trigger_refused",
    "trigger_given_up",
    "audit_recorded",
    "repaired",
]);
/// What journal, broker and chain may disagree about.
const RECONCILER_KINDS: Option<Label> = kind(&[
    "settlement_missing",
    "settlement_unfounded",
    "receipt_forgotten",
    "trigger_unknown",
    "journal_gap",
    "receipt_lost",
    "audit_unknown",
    "audit_unfounded",
]);
/// The contracts' errors that a trigger may meet, and the ends that a submission gives itself.
const TRIGGER_REFUSALS: Option<Label> = kind(&[
    "PolicyNotActive",
    "ModelNotActive",
    "MandateNotLive",
    "OracleNotActive",
    "AttestationTooOld",
    "AttestationInFuture",
    "ScoreBelowThreshold",
    "NullifierUsed",
    "DailyCapReached",
    "PoolCapReached",
    "BadOracleSignature",
    "ProofNotExpected",
    "ProofRejected",
    "InsufficientFunds",
    "UnknownError",
    "Exhausted",
    "GaveUp",
]);
/// The queues that jobs wait in.
const QUEUES: Option<Label> = kind(&["prove", "receipts", "audit_orders"]);
/// The roles whose patients are spread over partitions.
const PARTITIONED: Option<Label> = kind(&["oracle", "sentinel"]);
/// The streams, by the last part of their names.
const STREAMS: Option<Label> = kind(&[
    "HYGEIA_OBS",
    "HYGEIA_WINDOW",
    "HYGEIA_ALERT",
    "HYGEIA_PROVE",
    "HYGEIA_RECEIPT",
    "HYGEIA_SETTLEMENT",
    "HYGEIA_LEDGER",
    "HYGEIA_AUDIT_ORDER",
    "HYGEIA_AUDIT",
    "HYGEIA_DEAD",
    "HYGEIA_JOURNAL",
    "HYGEIA_SHADOW",
    "HYGEIA_OUTCOME",
]);

const fn kind(values: &'static [&'static str]) -> Option<Label> {
    Some(Label { name: "kind", values })
}

/// One enum of metrics with its table: variant, name, unit, label, roles, help.
macro_rules! metrics {
    ($(#[$doc:meta])* $group:ident of $kind:expr; $($variant:ident $name:literal $unit:literal
        ($label:expr) [$($role:ident)*] ($buckets:expr) $help:literal)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $group { $(#[doc = $help] $variant,)* }

        impl $group {
            /// Every one, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its line of the table.
            pub const fn metric(self) -> Metric {
                const ROLES: &[&[Role]] = &[$(&[$($role,)*],)*];
                match self {
                    $(Self::$variant => Metric {
                        name: $name, kind: $kind, unit: $unit, help: $help, label: $label, buckets: $buckets,
                        roles: ROLES[Self::$variant as usize],
                    },)*
                }
            }
        }
    };
}

metrics! {
    /// What is counted.
    Counter of Kind::Counter;
    ObservationsAccepted "hygeia_observations_accepted_total" "observations" (None) [Oracle] (&[])
        "Observations taken into a patient's window"
    ObservationsDeadLettered "hygeia_observations_dead_lettered_total" "observations" (REJECTIONS) [Oracle] (&[])
        "Observations of the stream refused and dead-lettered, by reason"
    ObservationsRefused "hygeia_observations_refused_total" "observations" (REJECTIONS) [Gateway] (&[])
        "Observations refused at the gateway, whose sender is told, by reason"
    WindowsAttested "hygeia_windows_attested_total" "windows" (None) [Oracle] (&[])
        "Windows attested and published"
    WindowsWithheld "hygeia_windows_withheld_total" "windows"
        (kind(&["not_enrolled", "mandate_not_live", "proof_system_unknown", "schema_not_ready", "schema_not_approved"]))
        [Oracle] (&[])
        "Windows not attested, by reason"
    WindowsScored "hygeia_windows_scored_total" "windows" (None) [Sentinel] (&[])
        "Windows scored"
    WindowsOutsideRange "hygeia_windows_outside_validated_range_total" "windows" (None) [Sentinel] (&[])
        "Windows unlike those the model was validated on"
    AlertsRaised "hygeia_alerts_raised_total" "alerts" (kind(&["new", "escalation"])) [Sentinel] (&[])
        "Alerts published, by kind"
    AlertsSuppressed "hygeia_alerts_suppressed_total" "alerts"
        (kind(&["suppressed_cool_down", "suppressed_out_of_order", "suppressed_rate_limit", "suppressed_patient_limit",
            "suppressed_ward_limit", "suppressed_policy_limit"])) [Sentinel] (&[])
        "Alerts held back, by reason"
    ProofsPublished "hygeia_proofs_published_total" "proofs" (None) [Prover] (&[])
        "Proofs of alerts verified and published"
    ProofsFailed "hygeia_proofs_failed_total" "proofs"
        (PROOF_FAILURES) [Prover] (&[])
        "Proof requests that ended without a proof, by error"
    ProofsRetried "hygeia_proofs_retried_total" "proofs" (PROOF_FAILURES) [Prover] (&[])
        "Attempts at an alert's proof that failed and are made again, by error"
    WindowsAudited "hygeia_windows_audited_total" "windows" (None) [Prover] (&[])
        "Windows proved in audit mode, their receipts published"
    WindowsNotAudited "hygeia_windows_not_audited_total" "windows"
        (kind(&["audit_window_missing", "audit_other_message", "audit_other_schema", "audit_wrong_commitment",
            "audit_wrong_score"])) [Prover] (&[])
        "Windows left out of an audit and dead-lettered, by reason"
    AuditsPublished "hygeia_audits_published_total" "audits" (None) [Prover] (&[])
        "Audit proofs made, verified and published"
    AuditsFailed "hygeia_audits_failed_total" "audits" (AUDIT_FAILURES) [Prover] (&[])
        "Failed attempts at an audit proof, by error"
    AuditsPutAside "hygeia_audits_put_aside_total" "audits" (AUDIT_FAILURES) [Prover] (&[])
        "Audits given up and dead-lettered, by last error"
    TriggersAccepted "hygeia_triggers_accepted_total" "triggers" (None) [Steward] (&[])
        "Care triggers accepted by the chain, and final"
    TriggersRefused "hygeia_triggers_refused_total" "triggers" (TRIGGER_REFUSALS) [Steward] (&[])
        "Receipts refused by the chain, by the contract's error"
    PartitionFenced "hygeia_partition_fenced_total" "partitions" (PARTITIONED) [Oracle Sentinel] (&[])
        "Times this owner's messages were refused because another had taken the partition over"
    ReplayedEntries "hygeia_replayed_entries_total" "messages" (PARTITIONED) [Oracle Sentinel] (&[])
        "Messages read again to rebuild a partition's state"
    SimilarCasesUnavailable "hygeia_similar_cases_unavailable_total" "alerts" (None) [Sentinel] (&[])
        "Alerts that went out without similar cases because the memory of cases gave no answer in time"
    WindowsLeft "hygeia_windows_left_total" "windows"
        (kind(&["mandate_unknown", "unconfirmed", "model_not_ready", "no_consent", "not_live", "other_schema",
            "no_room_to_wait"])) [Sentinel] (&[])
        "Windows left unscored, by reason"
    CaseWritesFailed "hygeia_case_writes_failed_total" "attempts" (kind(&["away", "refused", "deletion"])) [Sentinel] (&[])
        "Attempts at writing to the store of cases that failed; what failed is tried again"
    CaseMandatesForgotten "hygeia_case_mandates_forgotten_total" "mandates" (None) [Sentinel] (&[])
        "Revoked mandates whose cases were deleted"
    ShadowDropped "hygeia_shadow_dropped_total" "windows" (None) [Sentinel] (&[])
        "Windows that a model in shadow mode did not score because it had fallen behind"
    TriggersGivenUp "hygeia_triggers_given_up_total" "triggers" (None) [Steward] (&[])
        "Triggers given up because their time was over"
    JournalEntries "hygeia_journal_entries_total" "entries" (JOURNAL_FACTS) [Prover Steward] (&[])
        "Entries appended to the journal of what leads to money, by kind"
    JournalBreaks "hygeia_journal_breaks_total" "breaks" (kind(&["unreadable", "cut_off"])) [Prover Steward] (&[])
        "Times a writer found that its chain of the journal does not hold together"
    ReconcilerFindings "hygeia_reconciler_findings_total" "findings" (RECONCILER_KINDS) [Steward] (&[])
        "What journal, broker and chain disagreed about, counted anew in each comparison, by kind"
    ReconcilerRepairs "hygeia_reconciler_repairs_total" "findings" (RECONCILER_KINDS) [Steward] (&[])
        "Findings that the reconciler set right, by kind"
    ReconcilerRuns "hygeia_reconciler_runs_total" "comparisons" (kind(&["agrees", "differs", "failed"])) [Steward] (&[])
        "Comparisons of journal, broker and chain, by outcome"
    PublishRetries "hygeia_publish_retries_total" "messages" (STREAMS) [] (&[])
        "Publications that the broker did not confirm and that were tried again, by stream"
    SpansDropped "hygeia_spans_dropped_total" "spans" (kind(&["queue_full", "export_failed"])) [] (&[])
        "Spans of kept traces that did not reach the collector, by reason"
}

metrics! {
    /// What is measured now. One that was never set is not shown.
    Gauge of Kind::Gauge;
    AuditWindowsWaiting "hygeia_audit_windows_waiting" "windows" (None) [Prover] (&[])
        "Scored windows whose audit batch has not closed yet"
    AuditBatchesWaiting "hygeia_audit_batches_waiting" "batches" (None) [Prover] (&[])
        "Closed audit batches that no prover has taken up yet"
    QueueWaiting "hygeia_queue_waiting" "messages" (QUEUES) [Prover Steward] (&[])
        "Messages of a queue that nobody holds yet"
    QueueInHand "hygeia_queue_in_hand" "messages" (QUEUES) [Prover Steward] (&[])
        "Messages of a queue that are being worked on"
    Partitions "hygeia_partitions" "partitions" (None) [Oracle Sentinel] (&[])
        "Partitions that the network's patients are spread over"
    PartitionsOwned "hygeia_partitions_owned" "partitions" (PARTITIONED) [Oracle Sentinel] (&[])
        "Partitions that this process owns"
    OutboxInFlight "hygeia_outbox_in_flight" "messages" (PARTITIONED) [Oracle Sentinel] (&[])
        "Messages sent whose storage the broker has not confirmed yet"
    SnapshotBytes "hygeia_snapshot_bytes" "bytes" (PARTITIONED) [Oracle Sentinel] (&[])
        "Size of the last snapshots of the owned partitions"
    DriftDistance "hygeia_drift_distance" "distance" (None) [Sentinel] (&[])
        "Distance of the served windows to the population the model was validated on"
    DriftAlarm "hygeia_drift_alarm" "0 or 1" (None) [Sentinel] (&[])
        "1 while the distance is above its limit"
    ModelsLive "hygeia_models_live" "models" (kind(&["oracle", "sentinel", "prover"])) [Oracle Sentinel Prover] (&[])
        "Approved models that are ready here, by role"
    StewardInFlight "hygeia_steward_in_flight" "transactions" (None) [Steward] (&[])
        "Receipts on their way to the chain"
    SignerBalance "hygeia_signer_balance_ether" "ether" (None) [Steward] (&[])
        "Coins left to the poorest of the accounts that pay for transactions"
    ReceiptsWaiting "hygeia_receipts_waiting" "receipts" (None) [Steward] (&[])
        "Receipts that no steward has taken up yet"
    TransactionsHeldBack "hygeia_transactions_held_back" "transactions" (None) [Steward] (&[])
        "Transactions that wait because of their payer's limit"
    ReconcilerOpen "hygeia_reconciler_open" "findings" (None) [Steward] (&[])
        "Findings of the last comparison that are left to people"
    HeadBlock "hygeia_chain_head_block" "block number" (None) [Oracle Sentinel Prover] (&[])
        "Number of the newest block that was read"
    BrokerUnsafe "hygeia_broker_unsafe" "0 or 1" (None) [] (&[])
        "1 when the broker confirms messages before they are on its disk"
    LoopStuck "hygeia_loop_stuck" "0 or 1"
        (kind(&["oracle", "sentinel", "prover", "auditor", "collector", "steward", "gateway"])) [] (&[])
        "1 while a loop has not come round within the time it promised"
}

metrics! {
    /// Moments whose age is shown. One that never came is not shown.
    Moment of Kind::Gauge;
    Observation "hygeia_observation_age_seconds" "seconds" (None) [Oracle] (&[])
        "Time since an observation was last read from the stream"
    Window "hygeia_window_age_seconds" "seconds" (None) [Oracle Sentinel] (&[])
        "Time since a window was last attested (oracle) or scored (sentinel)"
    Block "hygeia_block_age_seconds" "seconds" (None) [Oracle Sentinel Prover] (&[])
        "Time since a new block was last seen"
    RegistryView "hygeia_registry_view_age_seconds" "seconds" (None) [Oracle Sentinel Prover] (&[])
        "Time since the registries were last read without an error"
}

metrics! {
    /// What is distributed.
    Histogram of Kind::Histogram;
    AlertLatency "hygeia_alert_latency_seconds" "seconds" (None) [Sentinel] (LATENCY_S)
        "From the storage of an observation to the storage of the alert it led to"
    WindowLatency "hygeia_window_latency_seconds" "seconds" (None) [Oracle] (LATENCY_S)
        "From the storage of an observation to the storage of the window it closed"
    ScoringBatch "hygeia_scoring_batch_windows" "windows" (None) [Sentinel] (BATCH)
        "Windows scored at a time"
    ProofTime "hygeia_proof_seconds" "seconds" (None) [Prover] (PROOF_S)
        "Time of one alert's proof, its own verification included"
    AuditProofTime "hygeia_audit_proof_seconds" "seconds" (None) [Prover] (PROOF_S)
        "Time of one audit's proof, its own verification included"
    SettlementTime "hygeia_settlement_seconds" "seconds" (None) [Steward] (SETTLEMENT_S)
        "From a receipt in hand to the chain's final answer"
    PublishRoundTrip "hygeia_publish_round_trip_seconds" "seconds" (None) [] (ROUND_TRIP_S)
        "From sending a message to the broker's confirmation that it is stored"
}

metrics! {
    /// The process itself, as the system sees it. Names are those that every Prometheus client uses.
    Process of Kind::Gauge;
    BuildInfo "hygeia_build_info" "1" (Some(Label { name: "version", values: &[] })) [] (&[])
        "Always 1; the label is the program's version"
    ResidentMemory "process_resident_memory_bytes" "bytes" (None) [] (&[])
        "Memory of this process that is in main memory"
    OpenFiles "process_open_fds" "files" (None) [] (&[])
        "Open file descriptors"
    OpenFilesMax "process_max_fds" "files" (None) [] (&[])
        "Most file descriptors that may be open"
    Threads "process_threads" "threads" (None) [] (&[])
        "Threads of this process"
    StartTime "process_start_time_seconds" "seconds since the epoch" (None) [] (&[])
        "When the process began"
}

metrics! {
    /// What the process has used up, as the system counts it.
    Used of Kind::Counter;
    ProcessorTime "process_cpu_seconds_total" "seconds" (None) [] (&[])
        "Processor time taken, in user and kernel mode"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use alloy::sol_types::SolInterface as _;
    use hygeia_policies::care_coordinator::CareCoordinator::CareCoordinatorErrors;
    use hygeia_policies::care_pool::CarePool::CarePoolErrors;
    use hygeia_protocol::reconcile::Finding;
    use hygeia_protocol::subject::Stream;

    use super::*;

    fn words(label: Option<Label>) -> BTreeSet<&'static str> {
        label.unwrap().values.iter().copied().collect()
    }

    #[test]
    fn refusals_are_the_contracts_own_names_or_ends_of_a_submission() {
        let coordinator = CareCoordinatorErrors::selectors().filter_map(CareCoordinatorErrors::name_by_selector);
        let pool = CarePoolErrors::selectors().filter_map(CarePoolErrors::name_by_selector);
        let known: BTreeSet<&str> = coordinator.chain(pool).chain(["UnknownError", "Exhausted", "GaveUp"]).collect();
        let unknown: Vec<_> = words(TRIGGER_REFUSALS).into_iter().filter(|word| !known.contains(word)).collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }

    #[test]
    fn every_kind_of_finding_is_a_word() {
        let words = words(RECONCILER_KINDS);
        let unknown: Vec<_> = Finding::KINDS.into_iter().filter(|kind| !words.contains(kind)).collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }

    #[test]
    fn every_stream_is_a_word() {
        let words = words(STREAMS);
        for stream in Stream::ALL {
            assert!(words.contains(stream.name()), "{}", stream.name());
        }
    }
}
