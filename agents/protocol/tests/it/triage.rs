//! Scores to calls.

use expect_test::{Expect, expect};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::triage::{SuppressReason, Triage, TriageOutcome, TriagePolicy};
use proptest::prelude::*;

const HOUR_S: u64 = 3_600;

const POLICY: TriagePolicy =
    TriagePolicy { threshold: 1000, clear_below: 800, cool_down_s: 4 * 3_600, escalation_step: 300 };

/// One score an hour.
fn check(scores: &[i64], expected: Expect) {
    let mut triage = Triage::new(POLICY);
    let lines: Vec<_> = (1..)
        .zip(scores)
        .map(|(hour, &score)| {
            let outcome = triage.step(score, Timestamp::from_seconds(hour * HOUR_S));
            format!("{hour}h {score} {}", outcome.label())
        })
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn an_alert_repeats_after_the_cool_down() {
    check(
        &[999, 1000, 1100, 1299, 1100, 1100, 1100],
        expect![[r#"
            1h 999 quiet
            2h 1000 alert
            3h 1100 suppressed_cool_down
            4h 1299 suppressed_cool_down
            5h 1100 suppressed_cool_down
            6h 1100 alert
            7h 1100 suppressed_cool_down"#]],
    );
}

#[test]
fn an_escalation_passes_the_cool_down_and_starts_it_again() {
    check(
        &[1000, 1300, 1599, 1600, 1300, 1300, 1300, 1300],
        expect![[r#"
            1h 1000 alert
            2h 1300 escalation
            3h 1599 suppressed_cool_down
            4h 1600 escalation
            5h 1300 suppressed_cool_down
            6h 1300 suppressed_cool_down
            7h 1300 suppressed_cool_down
            8h 1300 alert"#]],
    );
}

#[test]
fn an_alert_is_over_below_the_lower_mark_only() {
    check(
        &[1000, 900, 800, 799, 700, 1000, 1000, 1000, 799, 1000],
        expect![[r#"
            1h 1000 alert
            2h 900 quiet
            3h 800 quiet
            4h 799 cleared
            5h 700 quiet
            6h 1000 alert
            7h 1000 suppressed_cool_down
            8h 1000 suppressed_cool_down
            9h 799 cleared
            10h 1000 alert"#]],
    );
}

#[test]
fn a_new_episode_inside_the_cool_down_calls_only_if_it_is_worse() {
    check(
        &[1200, 0, 1499, 1500, 0, 0, 0, 0, 1900],
        expect![[r#"
            1h 1200 alert
            2h 0 cleared
            3h 1499 suppressed_cool_down
            4h 1500 escalation
            5h 0 cleared
            6h 0 quiet
            7h 0 quiet
            8h 0 quiet
            9h 1900 alert"#]],
    );
}

#[test]
fn a_window_delivered_again_gets_its_first_outcome_and_an_older_one_none() {
    let mut triage = Triage::new(POLICY);
    let at = |hour: u64| Timestamp::from_seconds(hour * HOUR_S);
    let alert = TriageOutcome::Alert { escalation: false };
    let out_of_order = TriageOutcome::Suppressed { reason: SuppressReason::OutOfOrder };
    assert_eq!(triage.step(1000, at(5)), alert);
    let after_one = triage.clone();
    assert_eq!(triage.step(1000, at(5)), alert);
    assert_eq!(triage.step(9000, at(4)), out_of_order);
    assert_eq!(triage, after_one);
    assert_eq!(triage.step(0, at(6)), TriageOutcome::Cleared);
    assert_eq!(triage.step(0, at(6)), TriageOutcome::Cleared);
    assert_eq!(triage.step(0, at(7)), TriageOutcome::Quiet);
}

#[test]
fn another_policy_keeps_what_was_raised() {
    let mut triage = Triage::new(POLICY);
    let at = |hour: u64| Timestamp::from_seconds(hour * HOUR_S);
    triage.step(1000, at(1));
    triage.set_policy(TriagePolicy { threshold: 500, clear_below: 400, ..POLICY });
    let cool_down = TriageOutcome::Suppressed { reason: SuppressReason::CoolDown };
    assert_eq!(triage.step(600, at(2)), cool_down);
    assert_eq!(triage.step(399, at(3)), TriageOutcome::Cleared);
}

#[test]
fn extreme_scores_and_policies_do_not_overflow() {
    for step in [i64::MIN, 0, 1, i64::MAX] {
        let policy =
            TriagePolicy { threshold: i64::MIN, clear_below: i64::MAX, cool_down_s: u32::MAX, escalation_step: step };
        let mut triage = Triage::new(policy);
        let ends = [1, 2, 3, u64::MAX].map(Timestamp::from_seconds);
        for (end, score) in ends.into_iter().zip([i64::MIN, i64::MAX, i64::MAX, i64::MIN]) {
            triage.step(score, end);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_two_alerts_inside_a_cool_down_and_no_escalation_held_back(
        steps in prop::collection::vec((0..3_000_i64, 0..3_u64), 1..80),
        cool_down_h in 0..8_u32,
        escalation_step in 1..600_i64,
        clear_below in 0..2_000_i64,
    ) {
        let policy = TriagePolicy {
            threshold: 1000, clear_below, cool_down_s: cool_down_h * 3_600, escalation_step,
        };
        let mut triage = Triage::new(policy);
        let mut now = Timestamp::from_seconds(1_000 * HOUR_S);
        let mut last_end = None;
        let mut last_alert: Option<(i64, Timestamp)> = None;
        for (score, hours) in steps {
            now = now.plus_seconds(hours * HOUR_S);
            if last_end == Some(now) {
                continue;
            }
            last_end = Some(now);
            // A checkpoint between any two steps changes nothing.
            let checkpoint = serde_json::to_vec(&triage).unwrap();
            triage = serde_json::from_slice(&checkpoint).unwrap();
            let outcome = triage.step(score, now);
            let cooling = last_alert.is_some_and(|(_, at)| {
                now.seconds_since(at) < u64::from(policy.cool_down_s)
            });
            let worse = last_alert.is_some_and(|(last, _)| score >= last + escalation_step);
            match outcome {
                TriageOutcome::Alert { escalation } => {
                    prop_assert!(score >= policy.threshold);
                    prop_assert!(!cooling || escalation);
                    prop_assert!(!escalation || worse);
                    last_alert = Some((score, now));
                }
                TriageOutcome::Suppressed { reason } => {
                    prop_assert_eq!(reason, SuppressReason::CoolDown);
                    prop_assert!(score >= policy.threshold && cooling && !worse);
                }
                TriageOutcome::Cleared => prop_assert!(score < policy.clear_below),
                TriageOutcome::Quiet => prop_assert!(score < policy.threshold),
            }
        }
    }
}

/// A call that nobody got begins no cool-down: the next window calls. The twin that got through holds the next one back.
#[test]
fn an_alert_that_was_taken_back_leaves_no_cool_down() {
    let at = |hour: u64| Timestamp::from_seconds(hour * HOUR_S);
    let mut triage = Triage::new(POLICY);
    let before = triage.clone();
    assert_eq!(triage.step(1000, at(1)), TriageOutcome::Alert { escalation: false });
    let mut called = triage.clone();
    triage.take_back(&before);
    assert_eq!(triage.step(1000, at(1)), TriageOutcome::Alert { escalation: false }, "delivered again");
    triage.take_back(&before);
    assert_eq!(triage.step(1000, at(2)), TriageOutcome::Alert { escalation: false });
    assert_eq!(called.step(1000, at(2)), TriageOutcome::Suppressed { reason: SuppressReason::CoolDown });

    // Within an episode what was called for before stands.
    let before = called.clone();
    assert_eq!(called.step(1300, at(3)), TriageOutcome::Alert { escalation: true });
    called.take_back(&before);
    assert_eq!(called.step(1100, at(4)), TriageOutcome::Suppressed { reason: SuppressReason::CoolDown });
    assert_eq!(called.step(700, at(5)), TriageOutcome::Cleared);
}
