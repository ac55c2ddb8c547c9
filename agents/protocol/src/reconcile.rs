//! The reconciler's comparison: what the broker, the journal and the chain say of the same triggers, and where they differ.
//!
//! The chain is the truth of a settlement, the broker of what is still to be done, the journal of what was done. This
//! module never looks at any of them: it is handed [`Books`] and gives [`Finding`]s, each with its [`Repair`].

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes::B32;
use crate::journal::Fact;
use crate::submission::Landing;

/// A receipt that the broker holds and no steward has in hand is looked for again after this long, where nothing else
/// says that it is being worked on: longer than a receipt waits for a signer, far shorter than a patient waits for care.
const IN_HAND_MS_MAX: u64 = 3_600_000;
/// A message may stand for this long before the journal is held against it: the journal is read last, but a broker of
/// several servers may answer from one that is behind.
pub const GRACE_MS: u64 = 120_000;
/// Journal entries older than this may tell of messages that the broker has let go by: it keeps them for 400 days.
const MESSAGE_KEPT_MS: u64 = 390 * 86_400_000;

/// What ties a trigger on chain to a receipt: the commitment is salted, so no two windows share it, and a window that
/// two policies apply to has two triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TriggerKey {
    /// The care policy.
    pub policy: B32,
    /// The mandate.
    pub mandate: B32,
    /// The commitment.
    pub commitment: B32,
}

/// A receipt as the broker holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredReceipt {
    /// The receipt.
    pub receipt: B32,
    /// What its trigger is found by.
    pub key: TriggerKey,
    /// Its place in the stream.
    pub place: u64,
    /// When it was stored.
    pub stored_at_ms: u64,
    /// Hash of the message.
    pub message: B32,
}

/// A settlement as the broker holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSettlement {
    /// The receipt that it is about.
    pub receipt: B32,
    /// Transaction and block where care was triggered; nothing where the chain refused or it was given up.
    pub landing: Option<Landing>,
    /// When it was stored.
    pub stored_at_ms: u64,
    /// Hash of the message.
    pub message: B32,
}

/// A trigger as the chain tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainTrigger {
    /// The contract's id.
    pub trigger: B32,
    /// What its receipt is found by; nothing where the transaction was not sent to the contract itself.
    pub key: Option<TriggerKey>,
    /// Its transaction and block.
    pub landing: Landing,
}

/// How far the stewards have come with their queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct QueueState {
    /// Every place up to here was acknowledged.
    pub done_to: u64,
    /// The newest place that was given to a steward.
    pub given_to: u64,
}

/// Everything that is compared. To be read in the order of the fields: what comes later may know more than what came
/// before, and never less.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// When the reading began.
    pub now_ms: u64,
    /// The stewards' queue.
    pub queue: QueueState,
    /// Receipts whose stored submission has not ended.
    pub open: BTreeSet<B32>,
    /// Receipts in the order of their places; a receipt may stand several times.
    pub receipts: Vec<StoredReceipt>,
    /// Settlements in the order of their places.
    pub settlements: Vec<StoredSettlement>,
    /// Roots of the audited batches.
    pub roots: BTreeSet<B32>,
    /// The newest block.
    pub head: u64,
    /// Triggers on chain.
    pub triggers: Vec<ChainTrigger>,
    /// Roots that the ledger of audits on chain holds.
    pub recorded_roots: Vec<B32>,
    /// The journal's facts with their times, all chains.
    pub journal: Vec<(u64, Fact)>,
    /// False where only the newest part of the streams was read: then a trigger without a receipt may have an older one.
    pub is_whole: bool,
}

/// How strict the comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Blocks on top of a transaction's own until it is final.
    pub confirmations: u64,
    /// How long a message may stand before the journal tells of it.
    pub grace_ms: u64,
}

/// Something that does not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// The chain triggered care on a receipt for good, and its newest settlement does not say so.
    SettlementMissing {
        /// The receipt.
        receipt: B32,
        /// The contract's id of the trigger.
        trigger: B32,
        /// The transaction.
        transaction: B32,
        /// Its block.
        block: u64,
    },
    /// The newest settlement says that care was triggered, and the chain has no such trigger: it was re-organised away.
    SettlementUnfounded {
        /// The receipt.
        receipt: B32,
        /// The transaction that the settlement names.
        transaction: B32,
    },
    /// A receipt was taken off the queue, and neither a settlement nor the chain knows it.
    ReceiptForgotten {
        /// The receipt.
        receipt: B32,
    },
    /// Care was triggered on no receipt of this network.
    TriggerUnknown {
        /// The contract's id of the trigger.
        trigger: B32,
        /// The transaction.
        transaction: B32,
    },
    /// The journal does not tell of a message that stands.
    JournalGap {
        /// The receipt that it is about.
        receipt: B32,
        /// Hash of the message.
        message: B32,
    },
    /// The journal tells of a receipt that does not stand.
    ReceiptLost {
        /// The receipt.
        receipt: B32,
    },
    /// The chain holds an audit of no batch of this network.
    AuditUnknown {
        /// The root.
        root: B32,
    },
    /// The journal says that an audit was recorded, and the chain does not hold it.
    AuditUnfounded {
        /// The root.
        root: B32,
    },
}

/// What sets a finding right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Publish the settlement that the chain bears out.
    PublishSettlement,
    /// Begin the submission again and give the receipt to the stewards once more.
    SubmitAgain,
    /// Write into the journal that it was missing there.
    NoteInJournal,
    /// Nothing that a machine should do: people are told.
    TellPeople,
}

/// What a comparison gave.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Comparison {
    /// What does not agree, each once.
    pub findings: BTreeSet<Finding>,
    /// Settlements that could not be judged: the node that was asked has not come to their block.
    pub undecided: u64,
}

impl Finding {
    /// The stable name: in metrics, in the journal, on the command line.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Finding::SettlementMissing { .. } => "settlement_missing",
            Finding::SettlementUnfounded { .. } => "settlement_unfounded",
            Finding::ReceiptForgotten { .. } => "receipt_forgotten",
            Finding::TriggerUnknown { .. } => "trigger_unknown",
            Finding::JournalGap { .. } => "journal_gap",
            Finding::ReceiptLost { .. } => "receipt_lost",
            Finding::AuditUnknown { .. } => "audit_unknown",
            Finding::AuditUnfounded { .. } => "audit_unfounded",
        }
    }

    /// Every name that [`Finding::kind`] gives.
    pub const KINDS: [&'static str; 8] = [
        "settlement_missing",
        "settlement_unfounded",
        "receipt_forgotten",
        "trigger_unknown",
        "journal_gap",
        "receipt_lost",
        "audit_unknown",
        "audit_unfounded",
    ];

    /// What sets it right.
    #[must_use]
    pub const fn repair(&self) -> Repair {
        match self {
            Finding::SettlementMissing { .. } => Repair::PublishSettlement,
            Finding::SettlementUnfounded { .. } | Finding::ReceiptForgotten { .. } => Repair::SubmitAgain,
            Finding::JournalGap { .. } => Repair::NoteInJournal,
            Finding::TriggerUnknown { .. }
            | Finding::ReceiptLost { .. }
            | Finding::AuditUnknown { .. }
            | Finding::AuditUnfounded { .. } => Repair::TellPeople,
        }
    }
}

impl Books {
    /// Compares.
    #[must_use]
    pub fn compare(&self, rules: Rules) -> Comparison {
        let view = View::of(self, rules);
        let mut comparison = Comparison::default();
        for (receipt, stored) in &view.receipts {
            match view.judge(*receipt, stored) {
                Judgement::Agrees => {}
                Judgement::Undecided => comparison.undecided = comparison.undecided.saturating_add(1),
                Judgement::Differs(finding) => drop(comparison.findings.insert(finding)),
            }
        }
        comparison.findings.extend(view.unknown_triggers());
        comparison.findings.extend(view.journal_gaps());
        comparison.findings.extend(view.lost_receipts());
        comparison.findings.extend(view.audits());
        comparison
    }
}

enum Judgement {
    Agrees,
    Undecided,
    Differs(Finding),
}

/// The books by what is looked up in them.
struct View<'a> {
    books: &'a Books,
    rules: Rules,
    /// The newest copy of each receipt.
    receipts: BTreeMap<B32, &'a StoredReceipt>,
    /// The newest settlement of each receipt.
    settlements: BTreeMap<B32, &'a StoredSettlement>,
    triggers: BTreeMap<TriggerKey, &'a ChainTrigger>,
    /// Messages that the journal tells of.
    told: BTreeSet<B32>,
}

impl<'a> View<'a> {
    fn of(books: &'a Books, rules: Rules) -> View<'a> {
        View {
            books,
            rules,
            receipts: books.receipts.iter().map(|stored| (stored.receipt, stored)).collect(),
            settlements: books.settlements.iter().map(|stored| (stored.receipt, stored)).collect(),
            triggers: books.triggers.iter().filter_map(|trigger| Some((trigger.key?, trigger))).collect(),
            told: books.journal.iter().filter_map(|(_, fact)| fact.message().copied()).collect(),
        }
    }

    fn is_final(&self, landing: Landing) -> bool {
        landing.block.saturating_add(self.rules.confirmations) <= self.books.head
    }

    fn judge(&self, receipt: B32, stored: &StoredReceipt) -> Judgement {
        if self.is_in_work(stored) {
            return Judgement::Agrees;
        }
        let settled = self.settlements.get(&receipt).map(|settlement| settlement.landing);
        let on_chain = self.triggers.get(&stored.key);
        match (settled, on_chain) {
            (Some(Some(known)), Some(trigger)) if known.tx == trigger.landing.tx => Judgement::Agrees,
            (_, Some(trigger)) if self.is_final(trigger.landing) => Judgement::Differs(Finding::SettlementMissing {
                receipt,
                trigger: trigger.trigger,
                transaction: trigger.landing.tx,
                block: trigger.landing.block,
            }),
            // On its way to being final: whoever sent it may say so, or the next comparison does.
            (_, Some(_)) | (Some(None), None) => Judgement::Agrees,
            (Some(Some(known)), None) if !self.is_final(known) => Judgement::Undecided,
            (Some(Some(known)), None) => {
                Judgement::Differs(Finding::SettlementUnfounded { receipt, transaction: known.tx })
            }
            (None, None) => Judgement::Differs(Finding::ReceiptForgotten { receipt }),
        }
    }

    /// Whether a steward has it or will get it.
    fn is_in_work(&self, stored: &StoredReceipt) -> bool {
        let queue = self.books.queue;
        if stored.place <= queue.done_to {
            return false;
        }
        if stored.place > queue.given_to || self.books.open.contains(&stored.receipt) {
            return true;
        }
        // Given out, and behind one that is not acknowledged: the broker does not say whether this one is.
        let settled = self.settlements.get(&stored.receipt);
        let is_settled = settled.is_some_and(|settlement| settlement.stored_at_ms >= stored.stored_at_ms);
        !is_settled && self.books.now_ms.saturating_sub(stored.stored_at_ms) < IN_HAND_MS_MAX
    }

    fn unknown_triggers(&self) -> impl Iterator<Item = Finding> {
        let keys: BTreeSet<TriggerKey> = self.books.receipts.iter().map(|stored| stored.key).collect();
        let named: BTreeSet<B32> = self.settlements.values().filter_map(|s| Some(s.landing?.tx)).collect();
        let unknown = |trigger: &&ChainTrigger| {
            let is_known = trigger.key.is_some_and(|key| keys.contains(&key));
            self.books.is_whole && !is_known && !named.contains(&trigger.landing.tx) && self.is_final(trigger.landing)
        };
        let finding = |trigger: &ChainTrigger| Finding::TriggerUnknown {
            trigger: trigger.trigger,
            transaction: trigger.landing.tx,
        };
        self.books.triggers.iter().filter(unknown).map(finding).collect::<Vec<_>>().into_iter()
    }

    /// Messages that have stood long enough for the journal to tell of them.
    fn journal_gaps(&self) -> impl Iterator<Item = Finding> {
        let latest_ms = self.books.now_ms.saturating_sub(self.rules.grace_ms);
        let receipts = self.books.receipts.iter().map(|r| (r.receipt, r.message, r.stored_at_ms));
        let settlements = self.books.settlements.iter().map(|s| (s.receipt, s.message, s.stored_at_ms));
        receipts
            .chain(settlements)
            .filter(move |(_, message, at_ms)| *at_ms <= latest_ms && !self.told.contains(message))
            .map(|(receipt, message, _)| Finding::JournalGap { receipt, message })
    }

    fn lost_receipts(&self) -> impl Iterator<Item = Finding> {
        let oldest_ms = self.books.now_ms.saturating_sub(MESSAGE_KEPT_MS);
        self.books.journal.iter().filter_map(move |(at_ms, fact)| match fact {
            Fact::ReceiptMade { receipt, .. }
                if self.books.is_whole && *at_ms >= oldest_ms && !self.receipts.contains_key(receipt) =>
            {
                Some(Finding::ReceiptLost { receipt: *receipt })
            }
            _ => None,
        })
    }

    fn audits(&self) -> impl Iterator<Item = Finding> {
        let books = self.books;
        let unknown = books.recorded_roots.iter().filter(|root| books.is_whole && !books.roots.contains(root));
        let unfounded = books.journal.iter().filter_map(|(_, fact)| match fact {
            Fact::AuditRecorded { root, .. } if books.is_whole && !books.recorded_roots.contains(root) => {
                Some(Finding::AuditUnfounded { root: *root })
            }
            _ => None,
        });
        unknown.map(|root| Finding::AuditUnknown { root: *root }).chain(unfounded)
    }
}
