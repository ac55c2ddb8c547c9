//! Runs without a planted bug, and what they meet on the way.

use hygeia_sim::broker::Sync;
use hygeia_sim::invariant::Violation;
use hygeia_sim::run::{Setup, run};
use hygeia_sim::schedule::Fault;
use hygeia_sim::world::Met;

const PATIENTS: u64 = 5;
const HOURS: u64 = 10;
/// Seeds that a machine with other work runs in some seconds; `cargo xtask sim` runs more.
const SEEDS: u64 = 60;

#[test]
fn every_invariant_holds_and_every_kind_of_fault_is_met() {
    let mut sum = [0; 10];
    let mut alerts = 0;
    for seed in 0..SEEDS {
        let ended = run(Setup::of_seed(seed, PATIENTS, HOURS));
        assert_eq!(ended.outcome, Ok(()), "seed {seed}, step {}", ended.steps);
        alerts += ended.counts.alerts;
        let met = met(ended.met);
        sum = std::array::from_fn(|place| sum[place] + met[place]);
    }
    assert!(alerts > 2 * 60, "{alerts} alerts are too few to say anything");
    assert!(sum.iter().all(|&times| times > 0), "{sum:?}");
}

fn met(met: Met) -> [u64; 10] {
    let Met { ends, redeliveries, duplicates, repeated_alerts, late_orders, .. } = met;
    let Met { taken_out, forgotten, silences, sent_again, failed_proofs, .. } = met;
    [
        ends,
        redeliveries,
        duplicates,
        repeated_alerts,
        late_orders,
        taken_out,
        forgotten,
        silences,
        sent_again,
        failed_proofs,
    ]
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
    assert_eq!((ended.outcome, ended.met.ends, ended.met.failed_proofs), (Ok(()), 0, 0));
}

/// What the runbook warns of: the broker's default loses what it has acknowledged.
#[test]
fn a_broker_that_writes_now_and_then_loses_messages() {
    let found = (0..20).map(|seed| run(Setup { sync: Sync::Interval, ..Setup::of_seed(seed, PATIENTS, HOURS) }));
    let lost = |violation: Violation| matches!(violation, Violation::BrokerForgot { .. });
    assert!(found.filter_map(|ended| ended.outcome.err()).any(lost));
}

/// Found here: minutes without room in a block used up the attempts that a submission once had, then the nodes forgot the
/// transaction, and the trigger was given up although its nonce was free. Attempts no longer end anything.
#[test]
fn a_trigger_outlives_a_congestion_and_two_reorgs() {
    let setup = Setup::of_seed(16, 8, 12);
    let faults = [25, 26, 30].map(|place| setup.faults[place]).to_vec();
    assert!(matches!(faults[..], [Fault::Congestion { .. }, Fault::Reorg { .. }, Fault::Reorg { .. }]));
    let ended = run(setup.with_faults(faults));
    assert_eq!((ended.outcome, ended.counts.given_up), (Ok(()), 0));
}
