//! Chains of the journal: what is edited, dropped, swapped, inserted or cut off is found, at its place.

use hygeia_protocol::bytes::{Address, B32};
use hygeia_protocol::journal::{BrokenLink, ChainEnd, ChainWalk, Fact, JournalEntry, message_hash};
use hygeia_protocol::message::Message;

use crate::submission::hash;

/// One fact of each kind.
fn facts() -> Vec<Fact> {
    let (alert, receipt, message, transaction) = (hash(1), hash(2), hash(3), hash(4));
    let reason = || "engine".to_owned();
    vec![
        Fact::ProofAccepted { alert, message },
        Fact::ProofSetAside { alert, reason: reason(), message },
        Fact::ReceiptMade { alert, receipt, message },
        Fact::TriggerSubmitted { receipt, signer: Address::new([5; 20]), nonce: 7, transaction },
        Fact::TriggerSettled { receipt, transaction, block: 100, message },
        Fact::TriggerRefused { receipt, reason: reason(), message },
        Fact::TriggerGivenUp { receipt, message },
        Fact::AuditRecorded { batch: hash(6), root: hash(7), transaction, message },
        Fact::Repaired { receipt, finding: "settlement_missing".to_owned(), message },
    ]
}

fn chain() -> Vec<Vec<u8>> {
    let mut end = ChainEnd::START;
    let mut bytes = Vec::new();
    for (fact, at_ms) in facts().into_iter().zip(1_000..) {
        let entry = end.next(fact, at_ms);
        end = entry.end();
        bytes.push(entry.encode());
    }
    bytes
}

fn end_of(chain: &[Vec<u8>]) -> ChainEnd {
    JournalEntry::decode(chain.last().unwrap()).unwrap().end()
}

fn walk(chain: &[Vec<u8>], anchor: Option<ChainEnd>) -> Result<ChainEnd, BrokenLink> {
    let mut walk = ChainWalk::new(anchor);
    for bytes in chain {
        walk.step(bytes)?;
    }
    walk.finish()
}

#[test]
fn a_chain_that_nobody_touched_holds() {
    let chain = chain();
    let end = end_of(&chain);
    assert_eq!(end.entries, 9);
    assert_eq!(walk(&chain, None), Ok(end));
    assert_eq!(walk(&chain, Some(end)), Ok(end));
    let earlier = end_of(&chain[..4]);
    assert_eq!(walk(&chain, Some(earlier)), Ok(end), "an anchor may be behind: it is written after the entry");
    assert_eq!(walk(&[], None), Ok(ChainEnd::START));
}

/// Every field of every kind, one at a time.
#[test]
fn an_edited_entry_is_found() {
    let whole = chain();
    let end = end_of(&whole);
    let mut edits = 0;
    for (place, bytes) in whole.iter().enumerate() {
        let entry: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        for pointer in ["/at_ms", "/fact/alert", "/fact/receipt", "/fact/message", "/fact/transaction", "/fact/signer"]
            .into_iter()
            .chain(["/fact/nonce", "/fact/block", "/fact/reason", "/fact/finding", "/fact/batch", "/fact/root"])
        {
            let mut edited = entry.clone();
            let Some(field) = edited.pointer_mut(pointer) else { continue };
            *field = match field.clone() {
                serde_json::Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
                serde_json::Value::String(text) if text.starts_with("0x") => {
                    text.replace("0x0", "0x1").replace("0x5", "0x6").into()
                }
                _ => "another".into(),
            };
            assert_ne!(edited, entry, "{pointer} of {place} was not edited");
            let mut chain = whole.clone();
            chain[place] = serde_json::to_vec(&edited).unwrap();
            let found = walk(&chain, Some(end)).unwrap_err();
            let index = place as u64;
            let expected = match place + 1 == whole.len() {
                true => BrokenLink::NotAnchored { index },
                false => BrokenLink::NotLinked { index: index + 1 },
            };
            assert_eq!(found, expected, "{pointer} of {place}");
            edits += 1;
        }
    }
    assert!(edits > 30, "{edits} edits");
}

#[test]
fn a_dropped_entry_is_found() {
    let whole = chain();
    let end = end_of(&whole);
    for place in 0..whole.len() {
        let mut chain = whole.clone();
        chain.remove(place);
        let index = place as u64;
        let expected = match place + 1 == whole.len() {
            true => BrokenLink::CutOff { entries: index, anchored: 9 },
            false => BrokenLink::Misplaced { index, found: index + 1 },
        };
        assert_eq!(walk(&chain, Some(end)), Err(expected), "{place}");
    }
}

#[test]
fn swapped_entries_are_found() {
    let whole = chain();
    for place in 1..whole.len() {
        let mut chain = whole.clone();
        chain.swap(place - 1, place);
        let index = place as u64;
        assert_eq!(walk(&chain, None), Err(BrokenLink::Misplaced { index: index - 1, found: index }));
    }
}

#[test]
fn an_inserted_entry_is_found() {
    let whole = chain();
    let end = end_of(&whole);
    let fact = facts().remove(4);
    for place in 0..=whole.len() {
        let before = whole[..place].last().map_or(ChainEnd::START, |bytes| JournalEntry::decode(bytes).unwrap().end());
        let mut chain = whole.clone();
        chain.insert(place, before.next(fact.clone(), 5).encode());
        let index = place as u64;
        if place == whole.len() {
            // At the end it is an entry like any other: who may append is the broker's to say.
            assert_eq!(walk(&chain, Some(end)).map(|end| end.entries), Ok(10));
            continue;
        }
        assert_eq!(walk(&chain, None), Err(BrokenLink::Misplaced { index: index + 1, found: index }));
    }
}

#[test]
fn what_is_no_entry_is_found_and_does_not_end_the_chain() {
    let mut chain = chain();
    let (index, garbage) = (chain.len() as u64, b"{}".to_vec());
    let next = ChainEnd::after_unreadable(&garbage).next(facts().remove(0), 5);
    chain.extend([garbage.clone(), next.encode()]);
    assert_eq!(walk(&chain, None), Err(BrokenLink::Unreadable { index }));
    assert_ne!(next.previous, ChainEnd::after_unreadable(b"{ }").hash, "the new start holds on to the bytes");
    assert_eq!(walk(&chain[10..], None), Err(BrokenLink::NotLinked { index: 0 }), "and is no first entry");
}

#[test]
fn a_writer_that_goes_on_after_a_cut_does_not_hide_it() {
    let whole = chain();
    let next = ChainEnd::after_cut(end_of(&whole)).next(facts().remove(0), 5);
    let cut = [&whole[..7], &[next.encode()]].concat();
    assert_eq!(walk(&cut, Some(next.end())), Err(BrokenLink::Misplaced { index: 7, found: 0 }));
    let emptied = [next.encode()];
    assert_eq!(walk(&emptied, Some(next.end())), Err(BrokenLink::NotLinked { index: 0 }));
}

#[test]
fn an_entry_is_strict_json_and_names_messages_by_their_hash() {
    let entry = ChainEnd::START.next(facts().remove(3), 1);
    let text = String::from_utf8(entry.encode()).unwrap();
    assert!(text.contains(r#""kind":"trigger_submitted""#), "{text}");
    assert_eq!(JournalEntry::decode(text.as_bytes()), Ok(entry));
    let more = text.replace(r#""nonce":7"#, r#""nonce":7,"name":"x""#);
    assert!(JournalEntry::decode(more.as_bytes()).is_err(), "{more}");
    assert_ne!(message_hash(b"a"), message_hash(b"b"));
    assert_ne!(message_hash(b""), B32::new([0; 32]));
}
