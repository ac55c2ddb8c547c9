//! Two models over the same windows, counted in one go, in pieces, and by hand.

use hygeia_protocol::message::{Message, V1};
use hygeia_protocol::shadow::{Comparison, DIFFERENCE_BINS, Opinion, Pair, ShadowReport, Tally, bin_of};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::{Triage, TriageOutcome, TriagePolicy};
use proptest::prelude::*;

use crate::submission::hash;

fn policy(threshold: i64) -> TriagePolicy {
    TriagePolicy { threshold, clear_below: threshold - 256, cool_down_s: 7_200, escalation_step: 1_024 }
}

fn pair(mandate: u64, hour: u64, approved: i64, candidate: i64) -> Pair {
    let opinion = |score: i64| Opinion { score, is_outside: score > 3_000 };
    Pair {
        mandate: hash(mandate),
        end: Timestamp::from_seconds(1_767_225_600 + hour * 3_600),
        approved: opinion(approved),
        candidate: opinion(candidate),
    }
}

fn counted(pairs: &[Pair]) -> Comparison {
    let mut tally = Tally::new(policy(0), policy(500));
    for pair in pairs {
        tally.take(pair);
    }
    tally.report()
}

#[test]
fn each_window_counts_once_in_each_table() {
    let pairs = [pair(1, 0, 10, 600), pair(1, 1, 10, 400), pair(1, 2, -10, 500), pair(2, 0, -300, -4_000)];
    let counted = counted(&pairs);
    assert_eq!(counted.windows, 4);
    let over = (counted.both_over, counted.approved_over, counted.candidate_over, counted.neither_over);
    assert_eq!((over, counted.agreed()), ((1, 1, 1, 1), 2));
    assert_eq!(
        (counted.approved.alerts, counted.candidate.alerts),
        (1, 2),
        "the candidate's alarm was over in between"
    );
    assert_eq!(counted.difference_sum, 590 + 390 + 510 - 3_700);
    assert_eq!((counted.difference_magnitude_sum, counted.difference_magnitude_max), (590 + 390 + 510 + 3_700, 3_700));
    assert_eq!(counted.difference_histogram.iter().sum::<u64>(), 4);
    assert_eq!(counted.difference_histogram[0], 1, "-3700 lies beyond the lowest bin");
}

#[test]
fn differences_fall_into_their_bins() {
    let cases =
        [(i64::MIN, 0), (-2_049, 0), (-2_048, 1), (-1, 16), (0, 17), (127, 17), (128, 18), (2_047, 32), (2_048, 33)];
    for (difference, bin) in cases {
        assert_eq!(bin_of(difference), bin, "{difference}");
    }
    assert_eq!(bin_of(i64::MAX), DIFFERENCE_BINS - 1);
}

#[test]
fn what_was_dropped_is_told_and_counts_nowhere_else() {
    let mut tally = Tally::new(policy(0), policy(0));
    tally.dropped(3);
    let report = tally.report();
    assert_eq!((report.dropped, report.windows), (3, 0));
    assert_eq!(tally.report().dropped, 0, "told once");
}

#[test]
fn a_report_names_what_it_is_about_and_not_what_it_counted() {
    let report = |comparison: Comparison, to_ms: u64| ShadowReport {
        v: V1,
        approved: hash(1),
        policy: hash(2),
        candidate: hash(3),
        approved_threshold: 0,
        candidate_threshold: 500,
        by: hash(4),
        from_ms: 1,
        to_ms,
        comparison,
    };
    let some = report(counted(&[pair(1, 0, 10, 600)]), 9);
    assert_eq!(ShadowReport::decode(&some.encode()).unwrap(), some);
    assert_eq!(some.message_id(), report(Comparison::default(), 9).message_id());
    assert_ne!(some.message_id(), report(Comparison::default(), 10).message_id());
    assert!(!String::from_utf8(some.encode()).unwrap().contains(&hash(9).to_hex()), "no mandate");
}

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    let scores = (0..3u64, -5_000..5_000i64, -5_000..5_000i64);
    proptest::collection::vec(scores, 0..80).prop_map(|scores| {
        let with_hour = |(hour, (mandate, approved, candidate))| pair(mandate, hour as u64, approved, candidate);
        scores.into_iter().enumerate().map(with_hour).collect()
    })
}

proptest! {
    /// Counted in pieces and added up, or in one go: the same, and the same as by hand.
    #[test]
    fn comparisons_add_up(pairs in pairs(), cut in 0..80usize) {
        let mut tally = Tally::new(policy(0), policy(500));
        let mut sum = Comparison::default();
        for (index, pair) in pairs.iter().enumerate() {
            if index == cut {
                sum.add(&tally.report());
            }
            tally.take(pair);
        }
        sum.add(&tally.report());
        prop_assert_eq!(&sum, &counted(&pairs));

        prop_assert_eq!(sum.windows, pairs.len() as u64);
        let by_hand = |threshold: i64, score: fn(&Pair) -> i64| {
            let mut calls = (0, 0);
            for mandate in 0..3 {
                let mut triage = Triage::new(policy(threshold));
                for pair in pairs.iter().filter(|pair| pair.mandate == hash(mandate)) {
                    match triage.step(score(pair), pair.end) {
                        TriageOutcome::Alert { escalation: true } => calls.1 += 1,
                        TriageOutcome::Alert { escalation: false } => calls.0 += 1,
                        _ => {}
                    }
                }
            }
            calls
        };
        prop_assert_eq!((sum.approved.alerts, sum.approved.escalations), by_hand(0, |pair| pair.approved.score));
        prop_assert_eq!((sum.candidate.alerts, sum.candidate.escalations), by_hand(500, |pair| pair.candidate.score));
        prop_assert_eq!(sum.both_over + sum.approved_over + sum.candidate_over + sum.neither_over, sum.windows);
    }
}
