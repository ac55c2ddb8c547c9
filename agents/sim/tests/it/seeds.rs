//! Runs without a planted bug, and what they meet on the way.

use hygeia_sim::broker::Sync;
use hygeia_sim::invariant::{Counts, Violation};
use hygeia_sim::run::{Setup, run};
use hygeia_sim::world::Met;

const PATIENTS: u64 = 8;
const HOURS: u64 = 12;
/// Seeds that a machine with other work runs in some seconds; `cargo xtask sim` runs more.
const SEEDS: u64 = 40;

#[test]
fn every_invariant_holds_and_every_kind_of_fault_is_met() {
    let mut met = [0; 12];
    let mut counts = [0; 3];
    for seed in 0..SEEDS {
        let ended = run(Setup::of_seed(seed, PATIENTS, HOURS));
        assert_eq!(ended.outcome, Ok(()), "seed {seed}, step {}", ended.steps);
        met = add(met, of_met(ended.met));
        let Counts { alerts, by_second_model, settlements, .. } = ended.counts;
        counts = add(counts, [alerts, by_second_model, settlements]);
    }
    assert!(counts.iter().all(|&count| count > 2 * 40), "{counts:?} are too few to say anything");
    assert!(met.iter().all(|&times| times > 0), "{met:?}");
}

#[test]
fn where_many_call_at_once_some_are_held_back_and_no_escalation() {
    let ended = (0..6).map(|seed| run(Setup::of_seed(seed, 120, 6)));
    let held_back: usize = ended.map(|ended| ended.outcome.map(|()| ended.counts.held_back).unwrap()).sum();
    assert!(held_back > 0);
}

fn of_met(met: Met) -> [u64; 12] {
    let Met { ends, redeliveries, duplicates, fenced, restored, spoiled, late_orders, .. } = met;
    let Met { taken_out, forgotten, silences, sent_again, failed_proofs, .. } = met;
    [
        ends,
        redeliveries,
        duplicates,
        fenced,
        restored,
        spoiled,
        late_orders,
        taken_out,
        forgotten,
        silences,
        sent_again,
        failed_proofs,
    ]
}

fn add<T: Copy + std::ops::Add<Output = T>, const N: usize>(one: [T; N], other: [T; N]) -> [T; N] {
    std::array::from_fn(|place| one[place] + other[place])
}

#[test]
fn a_seed_gives_the_same_run_again_and_another_one_another() {
    let first = run(Setup::of_seed(3, PATIENTS, HOURS));
    assert_eq!(run(Setup::of_seed(3, PATIENTS, HOURS)), first);
    assert_ne!(run(Setup::of_seed(4, PATIENTS, HOURS)), first);
}

#[test]
fn without_faults_nothing_goes_wrong_and_nothing_ends() {
    let ended = run(Setup::of_seed(0, PATIENTS, HOURS).with_faults(Vec::new()));
    assert_eq!((ended.outcome, ended.met.ends, ended.met.fenced, ended.met.failed_proofs), (Ok(()), 0, 0, 0));
}

/// What the runbook warns of: the broker's default loses what it has acknowledged.
#[test]
fn a_broker_that_writes_now_and_then_loses_messages() {
    let found = (0..20).map(|seed| run(Setup { sync: Sync::Interval, ..Setup::of_seed(seed, PATIENTS, HOURS) }));
    let lost = |violation: Violation| matches!(violation, Violation::BrokerForgot { .. });
    assert!(found.filter_map(|ended| ended.outcome.err()).any(lost));
}
