//! Names of streams and subjects, and how patients are spread over partitions.
//!
//! A subject is visible to whoever may look at the broker. It carries a partition, never an identity:
//! the partition is a keyed hash, so that without the key nobody can tell where a pseudonym goes.

use std::fmt;
use std::num::NonZeroU16;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::bytes::B32;
use crate::digest::hmac;
use crate::identity::PatientId;

/// Where proof requests go; any prover takes any of them.
pub const PROVE_REQUEST: &str = "prove.v1.request";
/// Where receipts go.
pub const RECEIPT: &str = "receipt.v1";
/// Where settlements go.
pub const SETTLEMENT: &str = "settlement.v1";
/// Where people's words on alerts go.
pub const OUTCOME: &str = "outcome.v1";

/// A share of the patients; messages of one patient always travel in the same one, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u16);

/// Finds the partition of a patient. `Debug` does not print the key.
#[derive(Clone)]
pub struct Partitioner {
    mac: Hmac<Sha256>,
    partitions: NonZeroU16,
}

/// A JetStream stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Observations as they arrive.
    Observations,
    /// Attested windows, oracle to sentinel.
    Windows,
    /// Alerts to people.
    Alerts,
    /// Proof requests, sentinel to prover.
    ProofRequests,
    /// Receipts, prover to steward.
    Receipts,
    /// What became of a trigger on chain.
    Settlements,
    /// What people say became of an alert.
    Outcomes,
    /// Every scored window.
    Ledger,
    /// Which scored windows are proved together.
    AuditOrders,
    /// Proofs of batches of windows, and each window's receipt.
    Audits,
    /// What was refused, without its content.
    DeadLetters,
    /// Candidates compared with approved models.
    Shadow,
    /// What led to money, in chains of hashes.
    Journal,
}

impl Partitioner {
    /// A partitioner over `partitions` partitions. All agents of one network hold the same key.
    #[must_use]
    pub fn new(key: [u8; 32], partitions: NonZeroU16) -> Partitioner {
        Partitioner { mac: hmac(&key), partitions }
    }

    /// The partition of this patient, below the number of partitions.
    #[must_use]
    pub fn of(&self, patient: &PatientId) -> Partition {
        let tag = self.mac.clone().chain_update(patient.expose()).finalize().into_bytes();
        let (head, _) = tag.split_first_chunk::<8>().expect("an HMAC-SHA256 has 32 bytes");
        let share = u64::from_be_bytes(*head) % u64::from(self.partitions.get());
        Partition(u16::try_from(share).expect("a remainder of a u16 fits in a u16"))
    }

    /// Every partition.
    pub fn all(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.partitions.get()).map(Partition)
    }
}

impl fmt::Debug for Partitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partitioner").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Stream {
    /// Every stream.
    pub const ALL: [Stream; 13] = [
        Stream::Observations,
        Stream::Windows,
        Stream::Alerts,
        Stream::ProofRequests,
        Stream::Receipts,
        Stream::Settlements,
        Stream::Outcomes,
        Stream::Ledger,
        Stream::AuditOrders,
        Stream::Audits,
        Stream::DeadLetters,
        Stream::Shadow,
        Stream::Journal,
    ];

    /// Name of the stream on the broker.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stream::Observations => "HYGEIA_OBS",
            Stream::Windows => "HYGEIA_WINDOW",
            Stream::Alerts => "HYGEIA_ALERT",
            Stream::ProofRequests => "HYGEIA_PROVE",
            Stream::Receipts => "HYGEIA_RECEIPT",
            Stream::Settlements => "HYGEIA_SETTLEMENT",
            Stream::Outcomes => "HYGEIA_OUTCOME",
            Stream::Ledger => "HYGEIA_LEDGER",
            Stream::AuditOrders => "HYGEIA_AUDIT_ORDER",
            Stream::Audits => "HYGEIA_AUDIT",
            Stream::DeadLetters => "HYGEIA_DEAD",
            Stream::Shadow => "HYGEIA_SHADOW",
            Stream::Journal => "HYGEIA_JOURNAL",
        }
    }

    /// The subjects that the stream stores, as a NATS filter.
    #[must_use]
    pub const fn filter(self) -> &'static str {
        match self {
            Stream::Observations => "obs.v1.*",
            Stream::Windows => "window.v1.*",
            Stream::Alerts => "alert.v1.*",
            Stream::ProofRequests => PROVE_REQUEST,
            Stream::Receipts => RECEIPT,
            Stream::Settlements => SETTLEMENT,
            Stream::Outcomes => OUTCOME,
            Stream::Ledger => "ledger.v1.*",
            Stream::AuditOrders => "audit-order.v1.*",
            Stream::Audits => "audit.v1.*.*",
            Stream::DeadLetters => "dead.v1.*",
            Stream::Shadow => "shadow.v1.*",
            Stream::Journal => "journal.v1.*",
        }
    }

    /// Where the stream stores the marks of its fences, as a NATS filter; nothing for a stream that needs none.
    ///
    /// A stateful role may own a partition only one process at a time. Each new owner leaves a mark here, and the broker
    /// refuses what is sent under an earlier one. No reader of the stream's own subjects sees them.
    #[must_use]
    pub const fn fence_filter(self) -> Option<&'static str> {
        match self {
            Stream::Windows => Some("fence.window.v1.*"),
            Stream::Alerts => Some("fence.alert.v1.*"),
            Stream::Ledger => Some("fence.ledger.v1.*"),
            _ => None,
        }
    }
}

/// Where observations of this partition go.
#[must_use]
pub fn observation(partition: Partition) -> String {
    format!("obs.v1.{partition}")
}

/// Where attested windows of this partition go.
#[must_use]
pub fn window(partition: Partition) -> String {
    format!("window.v1.{partition}")
}

/// Where alerts of this partition go.
#[must_use]
pub fn alert(partition: Partition) -> String {
    format!("alert.v1.{partition}")
}

/// Where scored windows of this partition go.
#[must_use]
pub fn ledger(partition: Partition) -> String {
    format!("ledger.v1.{partition}")
}

/// Where orders to audit windows of this model go; each prover of the model takes some of them.
#[must_use]
pub fn audit_order(model: &B32) -> String {
    format!("audit-order.v1.{}", model.to_hex())
}

/// Where the proof of this batch goes: one subject for each, so that it can be asked for.
#[must_use]
pub fn audited_batch(batch: &B32) -> String {
    format!("audit.v1.batch.{}", batch.to_hex())
}

/// Where receipts of audited windows of this partition go.
#[must_use]
pub fn window_receipt(partition: Partition) -> String {
    format!("audit.v1.receipt.{partition}")
}

/// Where a request goes that everything scored so far by this model be ordered at once. No stream stores it.
#[must_use]
pub fn audit_flush(model: &B32) -> String {
    format!("audit-flush.v1.{}", model.to_hex())
}

/// Where dead letters with this reason go. The reason is one of our own labels, never outside text.
#[must_use]
pub fn dead_letter(reason: &'static str) -> String {
    format!("dead.v1.{reason}")
}

/// Where comparisons of this candidate with approved models go.
#[must_use]
pub fn shadow(candidate: &B32) -> String {
    format!("shadow.v1.{}", candidate.to_hex())
}

/// Where the marks of this partition's owners go, in a stream that is fenced.
#[must_use]
pub fn fence(stream: Stream, partition: Partition) -> Option<String> {
    let filter = stream.fence_filter()?;
    Some(format!("{}{partition}", filter.strip_suffix('*')?))
}

/// Where the entries of this chain of the journal go. The chain is named after the role that writes it.
#[must_use]
pub fn journal(chain: &'static str) -> String {
    format!("journal.v1.{chain}")
}

/// The partition that a subject of one of the four partitioned streams names.
#[must_use]
pub fn partition_of(subject: &str) -> Option<Partition> {
    let (stream, partition) = subject.rsplit_once('.')?;
    let partitioned = ["obs.v1", "window.v1", "alert.v1", "ledger.v1"].contains(&stream);
    let canonical = partition == "0" || !partition.starts_with(['0', '+']);
    if partitioned && canonical { partition.parse().ok().map(Partition) } else { None }
}
