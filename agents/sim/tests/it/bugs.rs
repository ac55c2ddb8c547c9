//! Each planted bug is found, by the invariant that speaks of it, and its schedule gets shorter.

use hygeia_sim::invariant::Violation;
use hygeia_sim::run::{Ended, PlantedBug, Setup, run};
use hygeia_sim::shrink::shrink;

const PATIENTS: u64 = 8;
const HOURS: u64 = 12;
const SEEDS_MAX: u64 = 200;
const SHRINK_RUNS_MAX: u32 = 40;

/// The first seed that finds the bug.
fn find(bug: PlantedBug, is_order_watched: bool) -> (Setup, Ended) {
    let setups =
        (0..SEEDS_MAX).map(|seed| Setup { bug: Some(bug), is_order_watched, ..Setup::of_seed(seed, PATIENTS, HOURS) });
    let mut runs = setups.map(|setup| (run(setup.clone()), setup));
    let found = runs.find(|(ended, _)| ended.outcome.is_err());
    let (ended, setup) = found.unwrap_or_else(|| panic!("{bug:?} is not found in {SEEDS_MAX} seeds"));
    (setup, ended)
}

/// Finds the bug, and a schedule for it that the same seed without the bug bears.
fn check(bug: PlantedBug, is_order_watched: bool, is_expected: impl Fn(&Violation) -> bool) {
    let (setup, ended) = find(bug, is_order_watched);
    let violation = ended.outcome.clone().unwrap_err();
    assert!(is_expected(&violation), "{bug:?}: seed {} finds {violation}", setup.seed);
    let shortest = shrink(&setup, &ended, SHRINK_RUNS_MAX);
    assert!(shortest.faults.len() < setup.faults.len(), "{bug:?}: no fault could be left out");
    assert!(shortest.ended.outcome.is_err_and(|violation| is_expected(&violation)));
    let sound = Setup { bug: None, is_order_watched: true, ..setup.with_faults(shortest.faults) };
    assert_eq!(run(sound).outcome, Ok(()), "{bug:?}");
}

#[test]
fn an_acknowledgement_before_the_publication() {
    check(PlantedBug::AckBeforePublish, true, |v| matches!(v, Violation::AckFirst { .. }));
    check(PlantedBug::AckBeforePublish, false, |v| *v == Violation::NotAtRest { missing: "a proof" });
}

#[test]
fn a_snapshot_before_the_publication() {
    check(PlantedBug::SnapshotBeforePublish, true, |v| {
        matches!(v, Violation::PositionFirst { .. } | Violation::WindowLost)
    });
}

#[test]
fn a_lost_nullifier() {
    check(PlantedBug::NullifierLost, true, |v| matches!(v, Violation::TwoNonces { .. } | Violation::Settlement { .. }));
}

#[test]
fn a_stale_owner_that_publishes() {
    check(PlantedBug::StaleOwnerPublishes, true, |v| {
        matches!(v, Violation::StaleOwner { .. } | Violation::NotOnceInOrder { .. })
    });
}

#[test]
fn a_cool_down_that_a_restart_resets() {
    check(PlantedBug::CoolDownReset, true, |v| {
        matches!(v, Violation::CoolDown { .. } | Violation::OtherDecision { .. } | Violation::OtherOutcome { .. })
    });
}

#[test]
fn a_swap_of_models_that_drops_a_window() {
    check(PlantedBug::SwapDropsAWindow, true, |v| {
        matches!(v, Violation::PositionFirst { .. } | Violation::NotAtRest { .. })
    });
}

#[test]
fn orders_that_a_collector_forgets() {
    check(PlantedBug::OrdersForgotten, true, |v| matches!(v, Violation::OrderedTwice { .. }));
}
