//! The comparison of broker, journal and chain: books that agree give nothing, and each thing that is taken out of them
//! is found.

use std::collections::BTreeSet;

use hygeia_protocol::bytes::{Address, B32};
use hygeia_protocol::journal::Fact;
use hygeia_protocol::reconcile::{
    Books, ChainTrigger, Finding, QueueState, Repair, Rules, StoredReceipt, StoredSettlement, TriggerKey,
};
use hygeia_protocol::submission::Landing;

use crate::submission::hash;

const RULES: Rules = Rules { confirmations: 2, grace_ms: 1_000 };
const HOUR_MS: u64 = 3_600_000;
const NOW_MS: u64 = 1_000 * HOUR_MS;

fn receipt(n: u64) -> B32 {
    hash(100 + n)
}

fn landing(n: u64) -> Landing {
    Landing { tx: hash(200 + n), block: 10 + n }
}

fn message(n: u64) -> B32 {
    hash(300 + n)
}

fn key(n: u64) -> TriggerKey {
    TriggerKey { policy: hash(1), mandate: hash(400 + n), commitment: hash(500 + n) }
}

fn stored(n: u64, place: u64) -> StoredReceipt {
    StoredReceipt { receipt: receipt(n), key: key(n), place, stored_at_ms: NOW_MS - 10_000, message: message(n) }
}

fn settled(n: u64, landing: Option<Landing>) -> StoredSettlement {
    StoredSettlement { receipt: receipt(n), landing, stored_at_ms: NOW_MS - 5_000, message: message(10 + n) }
}

fn trigger(n: u64) -> ChainTrigger {
    ChainTrigger { trigger: hash(600 + n), key: Some(key(n)), landing: landing(n) }
}

/// Three receipts: two triggered, one refused; an audit; the journal tells of all of it.
fn books() -> Books {
    let made = |n| Fact::ReceiptMade { alert: hash(700 + n), receipt: receipt(n), message: message(n) };
    let sent = |n| Fact::TriggerSubmitted {
        receipt: receipt(n),
        signer: Address::new([1; 20]),
        nonce: n,
        transaction: landing(n).tx,
    };
    let done = |n| {
        let Landing { tx, block } = landing(n);
        Fact::TriggerSettled { receipt: receipt(n), transaction: tx, block, message: message(10 + n) }
    };
    let refused = Fact::TriggerRefused { receipt: receipt(2), reason: "NullifierUsed".into(), message: message(12) };
    let audit = Fact::AuditRecorded { batch: hash(9), root: hash(8), transaction: hash(7), message: hash(6) };
    let facts = [made(0), made(1), made(2), sent(0), sent(1), done(0), done(1), refused, audit];
    Books {
        now_ms: NOW_MS,
        queue: QueueState { done_to: 3, given_to: 3 },
        open: BTreeSet::new(),
        receipts: vec![stored(0, 1), stored(1, 2), stored(2, 3)],
        settlements: vec![settled(0, Some(landing(0))), settled(1, Some(landing(1))), settled(2, None)],
        roots: BTreeSet::from([hash(8), hash(5)]),
        head: 100,
        triggers: vec![trigger(0), trigger(1)],
        recorded_roots: vec![hash(8)],
        journal: facts.map(|fact| (NOW_MS - 4_000, fact)).to_vec(),
        is_whole: true,
    }
}

/// What books give that were changed.
fn found(change: impl FnOnce(&mut Books)) -> Vec<Finding> {
    let mut changed = books();
    change(&mut changed);
    changed.compare(RULES).findings.into_iter().collect()
}

fn missing(n: u64) -> Finding {
    let Landing { tx: transaction, block } = landing(n);
    Finding::SettlementMissing { receipt: receipt(n), trigger: hash(600 + n), transaction, block }
}

#[test]
fn books_that_agree_give_nothing() {
    assert_eq!(found(|_| {}), []);
    assert_eq!(Books::default().compare(RULES).findings, BTreeSet::new());
}

#[test]
fn a_deleted_settlement_is_missing() {
    assert_eq!(
        found(|books| {
            books.settlements.remove(0);
        }),
        [missing(0)]
    );
    // Not while the trigger may still be taken out.
    assert_eq!(
        found(|books| {
            books.settlements.remove(1);
            books.head = 12;
        }),
        []
    );
    assert_eq!(
        found(|books| {
            books.settlements.remove(1);
            books.head = 13;
        }),
        [missing(1)]
    );
}

#[test]
fn a_trigger_that_was_given_up_and_landed_is_missing_too() {
    let found = found(|books| {
        let Landing { tx, block } = landing(2);
        books.triggers.push(ChainTrigger { landing: Landing { tx, block }, ..trigger(2) });
    });
    assert_eq!(found, [missing(2)]);
}

#[test]
fn a_settlement_without_its_trigger_is_unfounded_once_the_node_has_come_so_far() {
    let gone = Finding::SettlementUnfounded { receipt: receipt(1), transaction: landing(1).tx };
    assert_eq!(
        found(|books| {
            books.triggers.remove(1);
        }),
        [gone]
    );
    let mut behind = books();
    behind.triggers.clear();
    behind.head = 12;
    let comparison = behind.compare(RULES);
    assert_eq!(comparison.undecided, 1, "block 11 needs 13");
    let first = Finding::SettlementUnfounded { receipt: receipt(0), transaction: landing(0).tx };
    assert_eq!(comparison.findings.into_iter().collect::<Vec<_>>(), [first]);
    // It landed again in another transaction.
    let again = Landing { tx: hash(999), block: 50 };
    let found = found(|books| books.triggers[1].landing = again);
    let expected = Finding::SettlementMissing {
        receipt: receipt(1),
        trigger: hash(601),
        transaction: again.tx,
        block: again.block,
    };
    assert_eq!(found, [expected]);
}

#[test]
fn the_newest_settlement_counts() {
    let refused_later =
        |books: &mut Books| books.settlements.push(StoredSettlement { message: message(10), ..settled(0, None) });
    assert_eq!(found(refused_later), [missing(0)]);
    assert_eq!(
        found(|books| {
            refused_later(books);
            books.settlements.push(settled(0, Some(landing(0))));
        }),
        []
    );
}

#[test]
fn a_receipt_that_nobody_works_on_is_forgotten() {
    let forgotten = Finding::ReceiptForgotten { receipt: receipt(2) };
    let without = |change: fn(&mut Books)| {
        found(|books| {
            books.settlements.remove(2);
            change(books);
        })
    };
    assert_eq!(without(|_| {}), [forgotten]);
    assert_eq!(
        without(|books| {
            books.open.insert(receipt(2));
        }),
        [forgotten],
        "acknowledged: nobody goes on with it"
    );
    assert_eq!(without(|books| books.queue = QueueState { done_to: 2, given_to: 2 }), [], "it waits in the queue");
    assert_eq!(without(|books| books.queue.done_to = 2), [], "a steward has had it for some seconds");
    assert_eq!(
        without(|books| {
            books.queue.done_to = 2;
            books.open.insert(receipt(2));
            books.receipts[2].stored_at_ms = NOW_MS - 10 * HOUR_MS;
        }),
        [],
        "its submission is under way"
    );
    assert_eq!(
        without(|books| {
            books.queue.done_to = 2;
            books.receipts[2].stored_at_ms = NOW_MS - 2 * HOUR_MS;
        }),
        [forgotten],
        "behind one that is stuck"
    );
}

#[test]
fn a_receipt_that_was_given_to_the_stewards_again_is_in_work() {
    let gone_again = |done_to| {
        found(|books| {
            books.triggers.remove(1);
            books.receipts.push(StoredReceipt { place: 4, stored_at_ms: NOW_MS - 1_000, ..stored(1, 4) });
            books.queue = QueueState { done_to, given_to: 4 };
        })
    };
    assert_eq!(gone_again(3), []);
    assert_eq!(gone_again(4).len(), 1, "and looked at again when that is over");
}

#[test]
fn a_trigger_of_nobody_is_told_of() {
    let stranger = ChainTrigger { key: None, landing: landing(7), trigger: hash(607) };
    let unknown = Finding::TriggerUnknown { trigger: hash(607), transaction: landing(7).tx };
    assert_eq!(found(|books| books.triggers.push(stranger)), [unknown]);
    assert_eq!(found(|books| books.triggers.push(ChainTrigger { key: Some(key(7)), ..stranger })), [unknown]);
    assert_eq!(
        found(|books| {
            books.triggers.push(stranger);
            books.is_whole = false;
        }),
        [],
        "its receipt may be older than what was read"
    );
    // Two policies on one window are two triggers: the other's is not this receipt's.
    let other_policy = TriggerKey { policy: hash(2), ..key(0) };
    let unfounded = Finding::SettlementUnfounded { receipt: receipt(0), transaction: landing(0).tx };
    assert_eq!(found(|books| books.triggers[0].key = Some(other_policy)), [unfounded]);
}

#[test]
fn what_the_journal_does_not_tell_of_is_a_gap() {
    for place in [0, 1, 2, 5, 6, 7] {
        let mut fact = None;
        let found = found(|books| fact = Some(books.journal.remove(place).1));
        let [Finding::JournalGap { message, .. }] = found[..] else { panic!("{place}: {found:?}") };
        assert_eq!(fact.and_then(|fact| fact.message().copied()), Some(message));
    }
    let early = Rules { grace_ms: 10_001, ..RULES };
    let mut young = books();
    young.journal.remove(0);
    assert_eq!(young.compare(early).findings.len(), 0, "its writer may be about to tell");
    // A repair fills it.
    let repaired = Fact::Repaired { receipt: receipt(0), finding: "journal_gap".into(), message: message(0) };
    young.journal.push((NOW_MS, repaired));
    assert_eq!(young.compare(RULES).findings.len(), 0);
}

#[test]
fn a_receipt_that_only_the_journal_knows_is_lost() {
    let lost = Finding::ReceiptLost { receipt: receipt(2) };
    assert_eq!(
        found(|books| {
            books.receipts.remove(2);
        }),
        [lost]
    );
    assert_eq!(
        found(|books| {
            books.receipts.remove(2);
            books.journal.iter_mut().for_each(|(at_ms, _)| *at_ms = 0);
            books.now_ms = 400 * 24 * HOUR_MS;
        }),
        [],
        "the broker keeps none so long"
    );
}

#[test]
fn audits_are_compared_both_ways() {
    assert_eq!(
        found(|books| {
            books.roots.remove(&hash(8));
        }),
        [Finding::AuditUnknown { root: hash(8) }]
    );
    assert_eq!(found(|books| books.recorded_roots.clear()), [Finding::AuditUnfounded { root: hash(8) }]);
}

#[test]
fn each_kind_has_its_name_and_its_repair() {
    let unfounded = Finding::SettlementUnfounded { receipt: receipt(0), transaction: hash(1) };
    let gap = Finding::JournalGap { receipt: receipt(0), message: hash(1) };
    let unknown = Finding::TriggerUnknown { trigger: hash(1), transaction: hash(1) };
    for (finding, kind, repair) in [
        (missing(0), "settlement_missing", Repair::PublishSettlement),
        (unfounded, "settlement_unfounded", Repair::SubmitAgain),
        (Finding::ReceiptForgotten { receipt: receipt(0) }, "receipt_forgotten", Repair::SubmitAgain),
        (gap, "journal_gap", Repair::NoteInJournal),
        (unknown, "trigger_unknown", Repair::TellPeople),
        (Finding::ReceiptLost { receipt: receipt(0) }, "receipt_lost", Repair::TellPeople),
        (Finding::AuditUnknown { root: hash(1) }, "audit_unknown", Repair::TellPeople),
        (Finding::AuditUnfounded { root: hash(1) }, "audit_unfounded", Repair::TellPeople),
    ] {
        assert_eq!((finding.kind(), finding.repair()), (kind, repair));
        assert!(Finding::KINDS.contains(&kind));
    }
}
