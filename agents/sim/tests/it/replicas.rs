//! One kind of trouble with replicas at a time, and what it must and must not lead to.

use hygeia_protocol::subject::Partition;
use hygeia_sim::process::{Process, Role};
use hygeia_sim::run::{Ended, Setup, run};
use hygeia_sim::schedule::Fault;
use hygeia_sim::sweep::sweep;
use hygeia_sim::ward::{HOUR_MS, PARTITIONS};

const PATIENTS: u64 = 24;
const HOURS: u64 = 8;
const MINUTE_MS: u64 = 60_000;

/// Runs with these faults alone, which must leave nothing behind.
fn check(seed: u64, faults: Vec<Fault>) -> Ended {
    let ended = run(Setup::of_seed(seed, PATIENTS, HOURS).with_faults(faults));
    assert_eq!(ended.outcome, Ok(()), "seed {seed}, step {}", ended.steps);
    ended
}

#[test]
fn who_stands_still_for_longer_than_a_lease_is_fenced_and_its_process_goes_on() {
    let pause = |process, hour| Fault::Pause { process, at_ms: hour * HOUR_MS, for_ms: 20 * MINUTE_MS };
    let faults = [Process::Oracle(0), Process::Sentinel(0), Process::Oracle(1), Process::Sentinel(1)];
    let faults: Vec<Fault> = faults.into_iter().zip(2..).map(|(process, hour)| pause(process, hour)).collect();
    let ended: Vec<Ended> = (0..4).map(|seed| check(seed, faults.clone())).collect();
    assert!(ended.iter().any(|ended| ended.met.fenced > 0), "nobody ran into a fence");
    assert!(ended.iter().all(|ended| ended.met.ends == 0), "a fence ends a partition and no process");
}

#[test]
fn who_is_cut_off_for_longer_than_a_lease_is_followed_by_another() {
    let cut = |process, hour| Fault::Cut { process, at_ms: hour * HOUR_MS, for_ms: 25 * MINUTE_MS };
    let ended = check(1, vec![cut(Process::Oracle(0), 2), cut(Process::Sentinel(1), 4)]);
    assert!(ended.met.restored > 0, "what is taken over goes on from a snapshot");
}

#[test]
fn a_rolling_restart_hands_over_and_runs_into_no_fence() {
    let processes = [Process::Oracle(0), Process::Oracle(1), Process::Sentinel(0), Process::Sentinel(1)];
    let stop = |(process, n)| Fault::Stop { process, at_ms: 4 * HOUR_MS + n * MINUTE_MS };
    let ended = check(0, processes.into_iter().zip(0..).map(stop).collect());
    assert_eq!((ended.met.ends, ended.met.fenced), (4, 0));
    assert!(ended.met.restored >= u64::from(PARTITIONS), "{} partitions went on from a snapshot", ended.met.restored);
}

#[test]
fn a_damaged_snapshot_is_put_aside_and_state_is_made_anew() {
    // A restart leaves snapshots behind; they are damaged before another one needs them.
    let stop = |process| Fault::Stop { process, at_ms: 4 * HOUR_MS };
    let rot = |role| (0..PARTITIONS).map(move |n| Fault::Rot { role, partition: Partition(n), at_ms: 5 * HOUR_MS });
    let kill = |process| Fault::Kill { process, at_ms: 5 * HOUR_MS + 1, down_ms: 15 * MINUTE_MS };
    let mut faults = vec![stop(Process::Oracle(0)), stop(Process::Sentinel(0))];
    faults.extend(rot(Role::Oracle).chain(rot(Role::Sentinel)));
    faults.extend([Process::Oracle(0), Process::Oracle(1), Process::Sentinel(0), Process::Sentinel(1)].map(kill));
    let ended = check(0, faults);
    assert!(ended.met.spoiled > 0);
}

/// Found here: a sentinel is killed between an alert and the request for its proof, and the model is suspended before another
/// one takes over. What people were told still gets its proof and its line.
#[test]
fn an_alert_whose_model_is_suspended_before_its_line_stands_is_completed() {
    let setup = Setup::of_seed(696, 200, 24);
    let faults = [119, 121, 123].map(|place| setup.faults[place]).to_vec();
    assert!(matches!(faults[..], [Fault::Stop { .. }, Fault::Stop { .. }, Fault::Call { .. }]));
    assert_eq!(run(setup.with_faults(faults)).outcome, Ok(()));
}

#[test]
fn threads_change_nothing_but_the_time_that_seeds_take() {
    let setup = |seed| Setup::of_seed(seed, 4, 4);
    let mut told = Vec::new();
    let failed = sweep(3, 5, 2, setup, |seed, ended| told.push((seed, ended.clone())));
    assert_eq!(failed, None);
    told.sort_by_key(|(seed, _)| *seed);
    assert_eq!(told, (3..8).map(|seed| (seed, run(setup(seed)))).collect::<Vec<_>>());
}
