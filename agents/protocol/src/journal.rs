//! The journal of everything that leads to money: chains of entries, each with the hash of the one before it.
//!
//! An entry that is edited, dropped, inserted or moved breaks its chain at a place that can be named; the last entry is
//! held by an anchor that is kept elsewhere. An entry names what it tells of by digests that stand on the bus already: it
//! never holds anything of a patient.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use serde::{Deserialize, Serialize};

use crate::bytes::{Address, B32};
use crate::digest::Digest;
use crate::message::{Message, V1};

/// What happened. `message` is the [`message_hash`] of the message that says so on the bus. An entry is written before what
/// it tells of is stored: after a crash in between it is written again, and nothing stands that the journal does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fact {
    /// A prover took up an alert.
    ProofAccepted {
        /// The alert.
        alert: B32,
        /// The proof request.
        message: B32,
    },
    /// An alert gets no proof.
    ProofSetAside {
        /// The alert.
        alert: B32,
        /// One of our own labels.
        reason: String,
        /// The proof request.
        message: B32,
    },
    /// A proof was made and verified, and its receipt is about to be stored.
    ReceiptMade {
        /// The alert.
        alert: B32,
        /// The receipt.
        receipt: B32,
        /// The receipt's message.
        message: B32,
    },
    /// A transaction is about to be sent. Written before it is, so that none leaves unrecorded.
    TriggerSubmitted {
        /// The receipt that it carries.
        receipt: B32,
        /// Who pays for it.
        signer: Address,
        /// Its nonce.
        nonce: u64,
        /// Its hash.
        transaction: B32,
    },
    /// The chain took a trigger for good.
    TriggerSettled {
        /// The receipt.
        receipt: B32,
        /// The transaction.
        transaction: B32,
        /// Its block.
        block: u64,
        /// The settlement.
        message: B32,
    },
    /// The chain refuses a trigger.
    TriggerRefused {
        /// The receipt.
        receipt: B32,
        /// Name of the contract's error.
        reason: String,
        /// The settlement.
        message: B32,
    },
    /// A trigger was given up: its time was over and the chain, asked last, did not have it.
    TriggerGivenUp {
        /// The receipt.
        receipt: B32,
        /// The settlement.
        message: B32,
    },
    /// An audit was recorded on chain.
    AuditRecorded {
        /// The batch.
        batch: B32,
        /// Root of its windows.
        root: B32,
        /// The transaction.
        transaction: B32,
        /// The audited batch.
        message: B32,
    },
    /// The reconciler repaired something.
    Repaired {
        /// The receipt that it is about.
        receipt: B32,
        /// Label of the finding.
        finding: String,
        /// The message that was published, or that the journal had not told of.
        message: B32,
    },
}

/// One link of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalEntry {
    /// Version.
    pub v: V1,
    /// Entries before this one.
    pub index: u64,
    /// [`JournalEntry::hash`] of the entry before; zeros for the first.
    pub previous: B32,
    /// When it was written.
    pub at_ms: u64,
    /// What happened.
    pub fact: Fact,
}

/// Where a chain ends: what the next entry follows, and what an anchor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainEnd {
    /// Entries so far.
    pub entries: u64,
    /// Hash of the last one; zeros where there is none.
    pub hash: B32,
}

/// The first place where a chain does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLink {
    /// Bytes that are no entry.
    #[error("what stands at {index} is no entry")]
    Unreadable {
        /// Entries before it.
        index: u64,
    },
    /// An entry says that it stands elsewhere: some before it are missing, were inserted or moved.
    #[error("the entry at {index} says that it stands at {found}")]
    Misplaced {
        /// Where it stands.
        index: u64,
        /// Where it says that it stands.
        found: u64,
    },
    /// An entry follows another one than the one before it.
    #[error("the entry at {index} does not follow the one before it")]
    NotLinked {
        /// Where it stands.
        index: u64,
    },
    /// The chain is shorter than it was.
    #[error("the chain ends after {entries} entries and had {anchored}")]
    CutOff {
        /// How many there are.
        entries: u64,
        /// How many there were.
        anchored: u64,
    },
    /// The anchored entry is another one now.
    #[error("the entry at {index} is not the one that was anchored")]
    NotAnchored {
        /// Where it stands.
        index: u64,
    },
}

/// Walks a chain from its first entry.
#[derive(Clone, Debug)]
pub struct ChainWalk {
    end: ChainEnd,
    anchor: Option<ChainEnd>,
    /// Where the anchored entry was to stand and another one does. Told of last: a break before it says more.
    not_anchored: Option<u64>,
}

impl ChainEnd {
    /// Before the first entry.
    pub const START: ChainEnd = ChainEnd { entries: 0, hash: B32::new([0; 32]) };

    /// Where a writer goes on after bytes that are no entry. It begins anew and holds on to the bytes, so that whoever
    /// walks the chain is told of them; a writer that stopped would let anybody with a pencil stop the care.
    #[must_use]
    pub fn after_unreadable(bytes: &[u8]) -> ChainEnd {
        ChainEnd { entries: 0, hash: Digest::new("hygeia/journal-unreadable/v1").field(bytes).finish() }
    }

    /// Where a writer goes on that finds the chain shorter than its anchor: anew, holding on to the end that was cut off, so
    /// that the cut shows for good.
    #[must_use]
    pub fn after_cut(anchor: ChainEnd) -> ChainEnd {
        let digest = Digest::new("hygeia/journal-cut/v1").integer(anchor.entries).field(anchor.hash.as_bytes());
        ChainEnd { entries: 0, hash: digest.finish() }
    }

    /// The entry that goes here.
    #[must_use]
    pub const fn next(self, fact: Fact, at_ms: u64) -> JournalEntry {
        JournalEntry { v: V1, index: self.entries, previous: self.hash, at_ms, fact }
    }
}

impl JournalEntry {
    /// The hash that the next entry holds: over every field.
    #[must_use]
    pub fn hash(&self) -> B32 {
        self.identity(Digest::new(Self::TYPE)).finish()
    }

    /// The end of the chain after this entry.
    #[must_use]
    pub fn end(&self) -> ChainEnd {
        ChainEnd { entries: self.index.saturating_add(1), hash: self.hash() }
    }
}

impl Message for JournalEntry {
    const TYPE: &'static str = "hygeia/journal-entry/v1";

    /// Digests, numbers and a label.
    const BYTES_MAX: usize = 2 * 1024;

    /// An entry is its content and its place: the same fact written twice is two entries.
    fn identity(&self, digest: Digest) -> Digest {
        let placed = digest.integer(self.index).field(self.previous.as_bytes()).integer(self.at_ms);
        self.fact.absorbed(placed)
    }
}

impl Fact {
    /// The stable name: in the journal, in a metric's label, on the command line.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Fact::ProofAccepted { .. } => "proof_accepted",
            Fact::ProofSetAside { .. } => "proof_set_aside",
            Fact::ReceiptMade { .. } => "receipt_made",
            Fact::TriggerSubmitted { .. } => "trigger_submitted",
            Fact::TriggerSettled { .. } => "trigger_settled",
            Fact::TriggerRefused { .. } => "trigger_refused",
            Fact::TriggerGivenUp { .. } => "trigger_given_up",
            Fact::AuditRecorded { .. } => "audit_recorded",
            Fact::Repaired { .. } => "repaired",
        }
    }

    /// Hash of the message that it tells of, where there is one.
    #[must_use]
    pub const fn message(&self) -> Option<&B32> {
        match self {
            Fact::ProofAccepted { message, .. }
            | Fact::ProofSetAside { message, .. }
            | Fact::ReceiptMade { message, .. }
            | Fact::TriggerSettled { message, .. }
            | Fact::TriggerRefused { message, .. }
            | Fact::TriggerGivenUp { message, .. }
            | Fact::AuditRecorded { message, .. }
            | Fact::Repaired { message, .. } => Some(message),
            Fact::TriggerSubmitted { .. } => None,
        }
    }

    fn absorbed(&self, digest: Digest) -> Digest {
        let digest = digest.field(self.kind().as_bytes());
        let with = |ids: &[&[u8]]| ids.iter().fold(digest.clone(), |digest, id| digest.field(id));
        match self {
            Fact::ProofAccepted { alert, message } => with(&[alert.as_bytes(), message.as_bytes()]),
            Fact::ProofSetAside { alert, reason, message } => {
                with(&[alert.as_bytes(), reason.as_bytes(), message.as_bytes()])
            }
            Fact::ReceiptMade { alert, receipt, message } => {
                with(&[alert.as_bytes(), receipt.as_bytes(), message.as_bytes()])
            }
            Fact::TriggerSubmitted { receipt, signer, nonce, transaction } => {
                with(&[receipt.as_bytes(), signer.as_bytes(), transaction.as_bytes()]).integer(*nonce)
            }
            Fact::TriggerSettled { receipt, transaction, block, message } => {
                with(&[receipt.as_bytes(), transaction.as_bytes(), message.as_bytes()]).integer(*block)
            }
            Fact::TriggerRefused { receipt, reason, message } => {
                with(&[receipt.as_bytes(), reason.as_bytes(), message.as_bytes()])
            }
            Fact::TriggerGivenUp { receipt, message } => with(&[receipt.as_bytes(), message.as_bytes()]),
            Fact::AuditRecorded { batch, root, transaction, message } => {
                with(&[batch.as_bytes(), root.as_bytes(), transaction.as_bytes(), message.as_bytes()])
            }
            Fact::Repaired { receipt, finding, message } => {
                with(&[receipt.as_bytes(), finding.as_bytes(), message.as_bytes()])
            }
        }
    }
}

impl ChainWalk {
    /// A walk of a chain that had come to `anchor`.
    #[must_use]
    pub const fn new(anchor: Option<ChainEnd>) -> ChainWalk {
        ChainWalk { end: ChainEnd::START, anchor, not_anchored: None }
    }

    /// Takes the next message of the chain.
    ///
    /// # Errors
    /// [`BrokenLink`] where it does not follow from the ones before.
    pub fn step(&mut self, bytes: &[u8]) -> Result<JournalEntry, BrokenLink> {
        let index = self.end.entries;
        let entry = JournalEntry::decode(bytes).map_err(|_| BrokenLink::Unreadable { index })?;
        if entry.index != index {
            return Err(BrokenLink::Misplaced { index, found: entry.index });
        }
        if entry.previous != self.end.hash {
            return Err(BrokenLink::NotLinked { index });
        }
        self.end = entry.end();
        if self.anchor.is_some_and(|anchor| anchor.entries == self.end.entries && anchor.hash != self.end.hash) {
            self.not_anchored = Some(index);
        }
        Ok(entry)
    }

    /// Every message was taken: where the chain ends.
    ///
    /// # Errors
    /// [`BrokenLink::CutOff`] where it had come further, [`BrokenLink::NotAnchored`] where it had come elsewhere.
    pub fn finish(self) -> Result<ChainEnd, BrokenLink> {
        let entries = self.end.entries;
        if let Some(index) = self.not_anchored {
            return Err(BrokenLink::NotAnchored { index });
        }
        match self.anchor {
            Some(anchor) if anchor.entries > entries => Err(BrokenLink::CutOff { entries, anchored: anchor.entries }),
            _ => Ok(self.end),
        }
    }
}

/// The hash under which the journal names a message. A message with a salt in it cannot be guessed from this; no other
/// message that the journal tells of holds anything of a patient.
#[must_use]
pub fn message_hash(bytes: &[u8]) -> B32 {
    Digest::new("hygeia/message-hash/v1").field(bytes).finish()
}
