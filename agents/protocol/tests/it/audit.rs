//! Scored windows to orders of batches: every window once, whatever is lost or repeated on the way.

use std::collections::BTreeMap;

use hygeia_protocol::audit::{
    AfterFailure, AuditCollector, AuditEvent, AuditRules, DELIVERIES_MAX, TRIES_MAX, after_failure,
};
use hygeia_protocol::message::{AUDIT_WINDOWS_MAX, AuditOrder, B32, Message, ScoredWindow, V1, WindowToAudit};
use proptest::prelude::*;

const RULES: AuditRules = AuditRules { windows_max: 3, wait_ms: 1_000 };

fn b32(number: u64) -> B32 {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    B32::new(bytes)
}

fn model() -> B32 {
    B32::new([7; 32])
}

fn line(window: u64) -> ScoredWindow {
    ScoredWindow {
        v: V1,
        window_id: b32(window),
        window_sequence: window,
        mandate: b32(0),
        end: window,
        model: model(),
        score: -5,
        commitment: b32(1),
        scored_at_ms: 0,
        engine: "integer".into(),
        outcome: "quiet".into(),
        outside_validated_range: false,
    }
}

fn scored(collector: &mut AuditCollector, ledger: u64, window: u64) -> Option<AuditOrder> {
    collector.step(AuditEvent::Scored { ledger, stored_at_ms: ledger * 100, line: &line(window) }, 0)
}

fn windows(order: &AuditOrder) -> Vec<u64> {
    order.windows.iter().map(|window| window.sequence).collect()
}

#[test]
fn a_full_batch_closes_at_once() {
    let mut collector = AuditCollector::new(model(), RULES);
    assert_eq!(scored(&mut collector, 1, 11), None);
    assert_eq!(scored(&mut collector, 2, 12), None);
    let order = scored(&mut collector, 3, 13).unwrap();
    assert_eq!((windows(&order), order.ledger_to), (vec![11, 12, 13], 3));
    assert!(order.is_consistent());
    assert_eq!(collector.waiting(), 0);
}

#[test]
fn a_batch_that_is_not_full_closes_when_its_oldest_window_has_waited() {
    let mut collector = AuditCollector::new(model(), RULES);
    assert_eq!(collector.step(AuditEvent::Idle, u64::MAX), None, "nothing is collected");
    assert_eq!(scored(&mut collector, 1, 11), None);
    assert_eq!(scored(&mut collector, 2, 12), None);
    assert_eq!(collector.step(AuditEvent::Idle, 1_099), None);
    let order = collector.step(AuditEvent::Idle, 1_100).unwrap();
    assert_eq!(windows(&order), [11, 12]);
    assert_eq!(collector.step(AuditEvent::Idle, u64::MAX), None);
}

#[test]
fn a_backlog_fills_batches_however_old_it_is() {
    let mut collector = AuditCollector::new(model(), RULES);
    let step = |collector: &mut AuditCollector, ledger| {
        collector.step(AuditEvent::Scored { ledger, stored_at_ms: 0, line: &line(ledger) }, u64::MAX)
    };
    let orders: Vec<_> = (1..=7).filter_map(|ledger| step(&mut collector, ledger)).collect();
    assert_eq!(orders.iter().map(windows).collect::<Vec<_>>(), [[1, 2, 3], [4, 5, 6]]);
}

#[test]
fn a_flush_waits_for_what_it_names_and_for_nothing_else() {
    let mut collector = AuditCollector::new(model(), RULES);
    assert_eq!(collector.step(AuditEvent::Flush { ledger_to: 2 }, 0), None);
    assert_eq!(scored(&mut collector, 1, 11), None);
    assert_eq!(windows(&scored(&mut collector, 2, 12).unwrap()), [11, 12]);
    assert_eq!(scored(&mut collector, 3, 13), None, "the flush is over");
    assert_eq!(windows(&collector.step(AuditEvent::Flush { ledger_to: 3 }, 0).unwrap()), [13]);
    assert_eq!(collector.step(AuditEvent::Flush { ledger_to: 4 }, 0), None);
    assert_eq!(collector.step(AuditEvent::Skipped { ledger: 4 }, 0), None, "there is nothing to order");
    assert_eq!(scored(&mut collector, 5, 15), None, "the flush is over");
}

#[test]
fn a_flush_of_what_was_read_does_not_wait_for_one_that_names_more() {
    let mut collector = AuditCollector::new(model(), RULES);
    assert_eq!(collector.step(AuditEvent::Flush { ledger_to: 9 }, 0), None);
    assert_eq!(scored(&mut collector, 1, 11), None);
    assert_eq!(windows(&collector.step(AuditEvent::Flush { ledger_to: 1 }, 0).unwrap()), [11]);
}

#[test]
fn windows_of_another_model_and_repetitions_are_left_out() {
    let mut collector = AuditCollector::new(model(), RULES);
    assert_eq!(scored(&mut collector, 1, 11), None);
    let other = ScoredWindow { model: b32(9), ..line(12) };
    assert_eq!(collector.step(AuditEvent::Scored { ledger: 2, stored_at_ms: 0, line: &other }, 0), None);
    assert_eq!(scored(&mut collector, 3, 11), None, "the same window again");
    assert_eq!(scored(&mut collector, 3, 13), None, "the same place of the ledger again");
    let order = collector.step(AuditEvent::Flush { ledger_to: 3 }, 0).unwrap();
    assert_eq!((windows(&order), order.ledger_to), (vec![11], 3));
}

#[test]
fn a_batch_is_named_by_all_that_is_in_it() {
    let window = |window_id, sequence, score| WindowToAudit { window_id: b32(window_id), sequence, score };
    let (first, second) = (window(1, 1, 1), window(2, 2, 2));
    let order = AuditOrder::new(model(), vec![first, second], 2);
    assert!(order.is_consistent());
    let tampered: [Vec<WindowToAudit>; 6] = [
        vec![second, first],
        vec![first],
        vec![first, second, second],
        vec![first, window(2, 2, 3)],
        vec![first, window(2, 3, 2)],
        vec![first, window(3, 2, 2)],
    ];
    for windows in tampered {
        assert!(!AuditOrder { windows: windows.clone(), ..order.clone() }.is_consistent(), "{windows:?}");
    }
    assert!(!AuditOrder { model: b32(8), ..order.clone() }.is_consistent());
    assert!(!AuditOrder::new(model(), Vec::new(), 2).is_consistent(), "an empty batch proves nothing");
    assert!(!AuditOrder::new(model(), vec![first; AUDIT_WINDOWS_MAX + 1], 2).is_consistent());
}

#[test]
fn the_largest_order_can_be_sent() {
    let widest = WindowToAudit { window_id: B32::new([0xff; 32]), sequence: u64::MAX, score: i64::MIN };
    let order = AuditOrder::new(model(), vec![widest; AUDIT_WINDOWS_MAX], u64::MAX);
    let bytes = order.encode();
    assert!(bytes.len() <= AuditOrder::BYTES_MAX, "{} bytes", bytes.len());
    assert!(AuditOrder::decode(&bytes).unwrap() == order);
}

#[test]
fn a_batch_is_put_aside_after_its_tries() {
    for (tries, deliveries, expected) in [
        (1, 1, AfterFailure::TryAgain),
        (TRIES_MAX - 1, DELIVERIES_MAX, AfterFailure::TryAgain),
        (TRIES_MAX, 1, AfterFailure::PutAside),
        (1, DELIVERIES_MAX + 1, AfterFailure::PutAside),
    ] {
        assert_eq!(after_failure(tries, deliveries), expected, "{tries} tries, {deliveries} deliveries");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A collector is lost at random places, with or without its last order having been stored, and starts again from the
    /// stored orders; lines are repeated in the ledger; batches close by size, time and flush.
    #[test]
    fn every_window_is_ordered_exactly_once(
        ledger in prop::collection::vec(0..40_u64, 1..120),
        events in prop::collection::vec((0..8_u8, 0..3_000_u64), 1..400),
        windows_max in 1..12_usize,
    ) {
        let rules = AuditRules { windows_max, wait_ms: 1_000 };
        let mut orders: Vec<AuditOrder> = Vec::new();
        let restarted = |orders: &[AuditOrder]| {
            let mut collector = AuditCollector::new(model(), rules);
            orders.iter().for_each(|order| collector.ordered(order));
            collector
        };
        let mut collector = restarted(&orders);
        let mut next = 0;
        let mut now_ms = 0;
        for (kind, later_ms) in events {
            now_ms += later_ms;
            let (order, is_lost) = match kind {
                0 => { collector = restarted(&orders); next = collector.read_to(); (None, false) }
                1 => (collector.step(AuditEvent::Idle, now_ms), false),
                2 => (collector.step(AuditEvent::Flush { ledger_to: later_ms % 100 }, now_ms), false),
                _ => {
                    let Some(&window) = ledger.get(usize::try_from(next).unwrap()) else { continue };
                    next += 1;
                    let line = line(window);
                    let event = AuditEvent::Scored { ledger: next, stored_at_ms: now_ms, line: &line };
                    (collector.step(event, now_ms), kind == 3)
                }
            };
            if let Some(order) = order {
                prop_assert!(order.is_consistent() && order.windows.len() <= windows_max);
                if is_lost {
                    collector = restarted(&orders);
                    next = collector.read_to();
                } else {
                    orders.push(order);
                }
            }
        }
        let mut times: BTreeMap<u64, usize> = BTreeMap::new();
        orders.iter().flat_map(windows).for_each(|window| *times.entry(window).or_default() += 1);
        prop_assert!(times.values().all(|&times| times == 1), "{times:?}");
        // Whatever was read and is not ordered is still waiting; so one flush orders the rest.
        while let Some(&window) = ledger.get(usize::try_from(next).unwrap()) {
            next += 1;
            orders.extend(scored(&mut collector, next, window));
        }
        orders.extend(collector.step(AuditEvent::Flush { ledger_to: next }, now_ms));
        let mut ordered: Vec<u64> = orders.iter().flat_map(windows).collect();
        ordered.sort_unstable();
        let mut all = ledger;
        all.sort_unstable();
        all.dedup();
        prop_assert_eq!(ordered, all);
    }
}
