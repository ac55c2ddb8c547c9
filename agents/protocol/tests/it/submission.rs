//! A trigger's way to the chain: by hand, and through a chain that loses, re-orders and re-organises.

use expect_test::{Expect, expect};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::submission::{Action, Event, FailReason, Landing, SendFailure, Submission, SubmissionConfig};
use hygeia_protocol::time::Timestamp;
use proptest::prelude::*;

use crate::chain::{Fault, World, fault, op};

pub(crate) const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

pub(crate) fn hash(n: u64) -> B32 {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&n.to_be_bytes());
    B32::new(bytes)
}

fn number(tx: B32) -> u64 {
    u64::from_be_bytes(tx.as_bytes()[24..].try_into().unwrap())
}

fn checked(final_nonce: u64, next_nonce: u64) -> Event {
    Event::Checked { settled: None, final_nonce, next_nonce }
}

fn settled(tx: u64, block: u64) -> Event {
    let landing = Landing { tx: hash(tx), block };
    Event::Checked { settled: Some(landing), final_nonce: 0, next_nonce: 0 }
}

fn sent(tx: u64, nonce: u64) -> Event {
    Event::Sent { tx: hash(tx), nonce }
}

fn failed(kind: SendFailure) -> Event {
    Event::SendFailed { kind }
}

fn receipt(tx: u64, block: u64, success: bool) -> Event {
    Event::Receipt { tx: hash(tx), block, success }
}

fn missing(tx: u64) -> Event {
    Event::ReceiptMissing { tx: hash(tx) }
}

fn head(number: u64) -> Event {
    Event::Head { number }
}

fn show(action: Action) -> String {
    match action {
        Action::CheckSettled => "check".into(),
        Action::Send { nonce, fee_bump_percent, attempt } => {
            format!("send #{attempt} nonce {nonce} fee +{fee_bump_percent}%")
        }
        Action::AskReceipt { tx } => format!("ask tx {}", number(tx)),
        Action::Done { tx, block } => format!("done tx {} in block {block}", number(tx)),
        Action::Fail { reason } => format!("fail: {reason}"),
    }
}

/// An hour to try in.
const CONFIG: SubmissionConfig = SubmissionConfig {
    confirmations: 2,
    resend_after_s: 30,
    retry_after_s: 1,
    answer_within_s: 15,
    fee_bump_percent: 13,
    fee_bump_percent_max: 300,
    give_up_after_s: 3_600,
};

/// Feeds the events at their seconds after the start, with a restart from a checkpoint before each.
fn check(events: &[(u64, Event)], expected: Expect) {
    let mut submission = Submission::new(CONFIG, hash(0));
    let mut lines = Vec::new();
    for &(second, event) in events {
        let checkpoint = serde_json::to_vec(&submission).unwrap();
        submission = serde_json::from_slice(&checkpoint).unwrap();
        let actions = submission.step(event, START.plus_seconds(second));
        let actions: Vec<_> = actions.into_iter().map(show).collect();
        lines.push(format!("{second}s: {}", actions.join(", ")).trim_end().to_owned());
    }
    expected.assert_eq(&lines.join("\n"));
}

use Event::{Requested, Tick};

#[test]
fn the_plain_way() {
    check(
        &[
            (0, Requested),
            (0, checked(7, 7)),
            (0, sent(1, 7)),
            (12, head(100)),
            (12, receipt(1, 100, true)),
            (24, head(101)),
            (24, receipt(1, 100, true)),
            (36, head(102)),
            (36, receipt(1, 100, true)),
            (40, Requested),
            (40, Tick),
        ],
        expect![[r#"
            0s: check
            0s: send #1 nonce 7 fee +0%
            0s:
            12s: ask tx 1
            12s:
            24s: ask tx 1
            24s:
            36s: ask tx 1
            36s: done tx 1 in block 100
            40s: done tx 1 in block 100
            40s:"#]],
    );
}

#[test]
fn what_is_settled_already_is_not_sent_again() {
    check(
        &[(0, head(100)), (0, Requested), (0, settled(9, 50))],
        expect![[r#"
            0s:
            0s: check
            0s: done tx 9 in block 50"#]],
    );
    check(
        &[(0, head(100)), (0, Requested), (0, settled(9, 100)), (12, head(102)), (12, receipt(9, 100, true))],
        expect![[r#"
            0s:
            0s: check
            0s:
            12s: ask tx 9
            12s: done tx 9 in block 100"#]],
    );
}

#[test]
fn a_transaction_that_stays_out_is_sent_again_with_its_nonce_and_a_higher_fee() {
    check(
        &[
            (0, Requested),
            (0, checked(7, 7)),
            (0, sent(1, 7)),
            (29, Tick),
            (30, Tick),
            (30, checked(7, 8)),
            (30, failed(SendFailure::Underpriced)),
            (30, sent(2, 7)),
            (36, head(100)),
            (36, missing(1)),
            (36, receipt(2, 100, true)),
            (60, head(102)),
            (60, receipt(2, 100, true)),
        ],
        expect![[r#"
            0s: check
            0s: send #1 nonce 7 fee +0%
            0s:
            29s:
            30s: check
            30s: send #2 nonce 7 fee +13%
            30s: send #3 nonce 7 fee +28%
            30s:
            36s: ask tx 1, ask tx 2
            36s:
            36s:
            60s: ask tx 2
            60s: done tx 2 in block 100"#]],
    );
}

#[test]
fn a_transaction_lost_in_a_re_org_keeps_its_nonce() {
    check(
        &[
            (0, Requested),
            (0, checked(7, 7)),
            (0, sent(1, 7)),
            (12, head(100)),
            (12, receipt(1, 100, true)),
            (24, head(101)),
            (24, missing(1)),
            (24, checked(7, 8)),
            (24, sent(1, 7)),
            (36, head(102)),
            (36, receipt(1, 102, true)),
            (60, head(104)),
            (60, receipt(1, 102, true)),
        ],
        expect![[r#"
            0s: check
            0s: send #1 nonce 7 fee +0%
            0s:
            12s: ask tx 1
            12s:
            24s: ask tx 1
            24s: check
            24s: send #2 nonce 7 fee +0%
            24s:
            36s: ask tx 1
            36s:
            60s: ask tx 1
            60s: done tx 1 in block 102"#]],
    );
}

#[test]
fn a_restart_looks_at_the_chain_first() {
    check(
        &[
            (0, Requested),
            (0, checked(7, 7)),
            // Killed between sending and hearing of it.
            (5, Requested),
            (5, checked(7, 8)),
            (5, failed(SendFailure::NonceTooLow)),
            (5, settled(1, 100)),
            (36, head(102)),
            (36, receipt(1, 100, true)),
        ],
        expect![[r#"
            0s: check
            0s: send #1 nonce 7 fee +0%
            5s: check
            5s: send #2 nonce 7 fee +0%
            5s: check
            5s:
            36s: ask tx 1
            36s: done tx 1 in block 100"#]],
    );
}

#[test]
fn a_nonce_spent_by_another_is_left_only_when_that_is_final() {
    check(
        &[
            (0, Requested),
            (0, checked(7, 7)),
            (0, sent(1, 7)),
            (30, Tick),
            (30, checked(7, 8)),
            (30, failed(SendFailure::NonceTooLow)),
            (30, checked(7, 8)),
            (36, head(101)),
            (36, checked(7, 8)),
            (36, missing(1)),
            (48, head(102)),
            (48, checked(8, 8)),
            (48, sent(2, 8)),
        ],
        expect![[r#"
            0s: check
            0s: send #1 nonce 7 fee +0%
            0s:
            30s: check
            30s: send #2 nonce 7 fee +13%
            30s: check
            30s: ask tx 1
            36s: check
            36s: ask tx 1
            36s:
            48s: check
            48s: send #3 nonce 8 fee +0%
            48s:"#]],
    );
}

#[test]
fn a_nonce_that_was_out_when_the_steward_was_killed_is_not_left_at_once() {
    check(
        &[
            (0, Requested),
            (0, checked(7, 7)),
            (5, Requested),
            (5, checked(7, 8)),
            (5, failed(SendFailure::NonceTooLow)),
            (5, checked(7, 8)),
            (36, head(102)),
            (36, checked(8, 8)),
        ],
        expect![[r#"
            0s: check
            0s: send #1 nonce 7 fee +0%
            5s: check
            5s: send #2 nonce 7 fee +0%
            5s: check
            5s:
            36s: check
            36s: send #3 nonce 8 fee +0%"#]],
    );
}

#[test]
fn a_nonce_that_no_node_ever_saw_is_left_at_once() {
    check(
        &[
            (0, Requested),
            (0, checked(7, 7)),
            (0, failed(SendFailure::NonceTooLow)),
            (0, checked(7, 8)),
            (0, sent(1, 8)),
        ],
        expect![[r#"
            0s: check
            0s: send #1 nonce 7 fee +0%
            0s: check
            0s: send #2 nonce 8 fee +0%
            0s:"#]],
    );
}

#[test]
fn a_refusal_is_the_end_unless_somebody_else_had_the_effect() {
    let refusal = failed(SendFailure::Reverted { selector: Some([1, 2, 3, 4]) });
    check(
        &[(0, Requested), (0, checked(7, 7)), (0, refusal), (0, checked(7, 7)), (9, Requested)],
        expect![[r#"
            0s: check
            0s: send #1 nonce 7 fee +0%
            0s: check
            0s: fail: the contract refuses the trigger
            9s: fail: the contract refuses the trigger"#]],
    );
    check(
        &[(0, head(100)), (0, Requested), (0, checked(7, 7)), (0, refusal), (0, settled(9, 98))],
        expect![[r#"
            0s:
            0s: check
            0s: send #1 nonce 7 fee +0%
            0s: check
            0s: done tx 9 in block 98"#]],
    );
}

#[test]
fn a_reverted_transaction_fails_when_it_is_final() {
    check(
        &[
            (0, Requested),
            (0, checked(7, 7)),
            (0, sent(1, 7)),
            (12, head(100)),
            (12, receipt(1, 100, false)),
            (36, head(102)),
            (36, receipt(1, 100, false)),
            (36, checked(8, 8)),
        ],
        expect![[r#"
            0s: check
            0s: send #1 nonce 7 fee +0%
            0s:
            12s: ask tx 1
            12s:
            36s: ask tx 1
            36s: check
            36s: fail: the contract refuses the trigger"#]],
    );
}

#[test]
fn a_refusal_after_an_unheard_attempt_waits_for_that_attempt_once() {
    let refusal = failed(SendFailure::Reverted { selector: None });
    check(
        &[
            (0, Requested),
            (0, checked(7, 7)),
            (0, failed(SendFailure::Transient)),
            (1, Tick),
            (1, checked(7, 8)),
            (1, refusal),
            (1, checked(7, 8)),
            (61, Tick),
            (61, checked(7, 8)),
            (61, refusal),
            (61, checked(7, 8)),
        ],
        expect![[r#"
            0s: check
            0s: send #1 nonce 7 fee +0%
            0s:
            1s: check
            1s: send #2 nonce 7 fee +0%
            1s: check
            1s:
            61s: check
            61s: send #3 nonce 7 fee +13%
            61s: check
            61s: fail: the contract refuses the trigger"#]],
    );
}

#[test]
fn attempts_shape_the_waits_and_end_nothing() {
    let mut events = vec![(0, Requested), (0, checked(7, 7))];
    for attempt in 1..=12 {
        events.push((attempt * 100, failed(SendFailure::Transient)));
        events.push((attempt * 100 + 63, Tick));
        events.push((attempt * 100 + 64, Tick));
        events.push((attempt * 100 + 64, checked(7, 8)));
    }
    events.extend([(1_300, sent(1, 7)), (1_301, head(100)), (1_301, receipt(1, 100, true))]);
    events.extend([(1_302, head(102)), (1_302, receipt(1, 100, true))]);
    check(
        &events,
        expect![[r#"
        0s: check
        0s: send #1 nonce 7 fee +0%
        100s:
        163s: check
        164s:
        164s: send #2 nonce 7 fee +0%
        200s:
        263s: check
        264s:
        264s: send #3 nonce 7 fee +0%
        300s:
        363s: check
        364s:
        364s: send #4 nonce 7 fee +0%
        400s:
        463s: check
        464s:
        464s: send #5 nonce 7 fee +0%
        500s:
        563s: check
        564s:
        564s: send #6 nonce 7 fee +0%
        600s:
        663s: check
        664s:
        664s: send #7 nonce 7 fee +0%
        700s:
        763s:
        764s: check
        764s: send #8 nonce 7 fee +0%
        800s:
        863s:
        864s: check
        864s: send #9 nonce 7 fee +0%
        900s:
        963s:
        964s: check
        964s: send #10 nonce 7 fee +0%
        1000s:
        1063s:
        1064s: check
        1064s: send #11 nonce 7 fee +0%
        1100s:
        1163s:
        1164s: check
        1164s: send #12 nonce 7 fee +0%
        1200s:
        1263s:
        1264s: check
        1264s: send #13 nonce 7 fee +0%
        1300s:
        1301s: ask tx 1
        1301s:
        1302s: ask tx 1
        1302s: done tx 1 in block 100"#]],
    );
}

#[test]
fn nothing_is_given_up_before_the_chain_was_asked() {
    let late = [(0, Requested), (0, checked(7, 7)), (0, sent(1, 7)), (3_599, head(100)), (3_599, missing(1))];
    let over = |last: &[(u64, Event)]| {
        [&late[..], &[(3_600, Tick), (3_614, Tick), (3_615, Tick), (9_000, Tick)], last].concat()
    };
    check(
        &over(&[(9_001, checked(7, 8))]),
        expect![[r#"
        0s: check
        0s: send #1 nonce 7 fee +0%
        0s:
        3599s: ask tx 1
        3599s:
        3600s: check
        3614s:
        3615s: check
        9000s: check
        9001s: fail: the time allowed is over, and the chain does not have the effect"#]],
    );
    check(
        &over(&[(9_001, head(300)), (9_001, settled(1, 100))]),
        expect![[r#"
        0s: check
        0s: send #1 nonce 7 fee +0%
        0s:
        3599s: ask tx 1
        3599s:
        3600s: check
        3614s:
        3615s: check
        9000s: check
        9001s:
        9001s: done tx 1 in block 100"#]],
    );
}

#[test]
fn a_fee_that_is_never_enough_rises_to_its_bound_and_then_waits() {
    let mut events = vec![(0, Requested), (0, checked(7, 7))];
    events.extend([(0, failed(SendFailure::Underpriced)); 13]);
    events.extend([(64, Tick), (64, checked(7, 7)), (65, sent(1, 7))]);
    check(
        &events,
        expect![[r#"
        0s: check
        0s: send #1 nonce 7 fee +0%
        0s: send #2 nonce 7 fee +13%
        0s: send #3 nonce 7 fee +28%
        0s: send #4 nonce 7 fee +45%
        0s: send #5 nonce 7 fee +64%
        0s: send #6 nonce 7 fee +86%
        0s: send #7 nonce 7 fee +111%
        0s: send #8 nonce 7 fee +139%
        0s: send #9 nonce 7 fee +171%
        0s: send #10 nonce 7 fee +207%
        0s: send #11 nonce 7 fee +247%
        0s: send #12 nonce 7 fee +293%
        0s: send #13 nonce 7 fee +300%
        0s:
        64s: check
        64s: send #14 nonce 7 fee +300%
        65s:"#]],
    );
}

#[test]
fn a_transaction_that_is_sent_again_and_again_is_looked_after_less_often() {
    let mut events = vec![(0, Requested), (0, checked(7, 7)), (0, sent(1, 7))];
    let mut second = 0;
    for (tx, wait) in [(2, 30), (3, 60), (4, 120), (5, 240), (6, 240)] {
        events.push((second + wait - 1, Tick));
        second += wait;
        events.extend([(second, Tick), (second, checked(7, 8)), (second, sent(tx, 7))]);
    }
    check(
        &events,
        expect![[r#"
        0s: check
        0s: send #1 nonce 7 fee +0%
        0s:
        29s:
        30s: check
        30s: send #2 nonce 7 fee +13%
        30s:
        89s:
        90s: check
        90s: send #3 nonce 7 fee +28%
        90s:
        209s:
        210s: check
        210s: send #4 nonce 7 fee +45%
        210s:
        449s:
        450s: check
        450s: send #5 nonce 7 fee +64%
        450s:
        689s:
        690s: check
        690s: send #6 nonce 7 fee +86%
        690s:"#]],
    );
}

#[test]
fn one_that_has_ended_begins_again_with_its_nonce() {
    let mut ended = Submission::new(CONFIG, hash(0));
    for event in [Requested, checked(7, 7), sent(1, 7), head(102), receipt(1, 100, true)] {
        ended.step(event, START);
    }
    assert_eq!(ended.end(), Some(Action::Done { tx: hash(1), block: 100 }));
    let later = START.plus_seconds(9_000);
    // Taken out by a re-org and the nonce free again: the same nonce, so that both cannot land.
    let mut reopened = ended.clone().reopened();
    assert_eq!(reopened.end(), None);
    assert_eq!(reopened.step(Requested, later), [Action::CheckSettled]);
    let sends = reopened.step(checked(7, 7), later);
    assert!(matches!(sends[..], [Action::Send { nonce: 7, .. }]), "{sends:?}");
    // Spent for good by something else: the next.
    let mut spent = ended.reopened();
    spent.step(Requested, later);
    let sends = spent.step(checked(9, 11), later);
    assert!(matches!(sends[..], [Action::Send { nonce: 11, .. }]), "{sends:?}");
}

#[test]
fn an_unanswered_question_is_asked_again() {
    check(
        &[
            (0, Requested),
            (14, Tick),
            (15, Tick),
            (15, checked(7, 7)),
            (29, Tick),
            (30, Tick),
            (30, checked(7, 8)),
            (30, sent(1, 7)),
            (31, receipt(1, 100, true)),
            (40, Tick),
            (46, Tick),
        ],
        expect![[r#"
            0s: check
            14s:
            15s: check
            15s: send #1 nonce 7 fee +0%
            29s:
            30s: check
            30s: send #2 nonce 7 fee +0%
            30s:
            31s:
            40s:
            46s: ask tx 1"#]],
    );
}

#[test]
fn a_nonce_that_may_be_out_is_not_given_back() {
    let over = START.plus_seconds(3_600);
    for (answer, exposed) in
        [(None, true), (Some(SendFailure::Transient), true), (Some(SendFailure::Reverted { selector: None }), false)]
    {
        let mut submission = Submission::new(CONFIG, hash(0));
        submission.step(Requested, START);
        submission.step(checked(7, 7), START);
        if let Some(kind) = answer {
            submission.step(failed(kind), START);
        }
        submission.step(Tick, over);
        submission.step(checked(7, 8), over);
        assert_eq!(submission.nonce(), Some(7));
        assert_eq!(submission.is_exposed(), exposed, "{answer:?}");
        assert!(matches!(submission.end(), Some(Action::Fail { .. })));
    }
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let mut submission = Submission::new(CONFIG, hash(0));
    submission.step(Requested, START);
    submission.step(checked(7, 7), START);
    submission.step(sent(1, 7), START);
    let before = submission.clone();
    for event in [
        sent(9, 8),
        sent(1, 7),
        checked(50, 50),
        settled(9, 1),
        failed(SendFailure::NonceTooLow),
        receipt(9, 1, true),
        missing(1),
        missing(9),
        Tick,
    ] {
        assert_eq!(submission.step(event, START), [], "{event:?}");
        assert_eq!(submission, before, "{event:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn one_effect_at_most_and_always_an_end(
        first in fault(),
        schedule in prop::collection::vec((op(), fault()), 0..80),
        afterwards in prop::collection::vec(op(), 0..20),
    ) {
        let mut world = World::new();
        world.feed(Event::Requested, first);
        for (op, fault) in schedule {
            world.apply(op, fault);
        }
        let refuses = world.refuses;
        world.run_fairly(400);
        prop_assert!(world.ended.is_some(), "no end in 400 fair blocks: {:?}", world.submission);
        if let Some(Action::Fail { reason }) = world.ended {
            // Nobody's fault but the schedule's: with a contract that accepts, only a schedule that used
            // up the time leaves a submission without an effect.
            let excused = refuses || world.settled().is_some() || !world.is_on_its_way();
            prop_assert!(excused || reason != FailReason::GaveUp);
        }
        let done = world.ended;
        for op in afterwards {
            world.apply(op, Fault::None);
        }
        if let Some(end) = done {
            world.assert_end(end);
        }
    }

    #[test]
    fn without_faults_it_is_done(our_account in prop::collection::vec(any::<bool>(), 0..6)) {
        let mut world = World::new();
        for taken in our_account {
            world.mine(None, taken, false);
        }
        world.feed(Event::Requested, Fault::None);
        world.run_fairly(5);
        let done = matches!(world.ended, Some(Action::Done { .. }));
        prop_assert!(done);
        prop_assert_eq!(world.pool.len(), 1);
    }
}
