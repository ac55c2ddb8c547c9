//! The shortest schedule found that still fails: faults are left out while any invariant is still broken.

use crate::invariant::Violation;
use crate::run::{Ended, Setup, run};
use crate::schedule::Fault;

/// A schedule and how its run ended.
#[derive(Clone, Debug)]
pub struct Shortest {
    /// Places of its faults in the schedule of the seed.
    pub kept: Vec<usize>,
    /// The faults.
    pub faults: Vec<Fault>,
    /// The run.
    pub ended: Ended,
    /// Runs that it took.
    pub runs: u32,
}

/// Leaves faults out of a failing run, halves first and single ones last, in `runs_max` runs at most.
#[must_use]
pub fn shrink(setup: &Setup, failed: &Ended, runs_max: u32) -> Shortest {
    let faults = |kept: &[usize]| kept.iter().map(|&place| setup.faults[place]).collect::<Vec<_>>();
    let mut kept: Vec<usize> = (0..setup.faults.len()).collect();
    // What was to happen after the failure cannot have led to it.
    kept.retain(|&place| setup.faults[place].at_ms() <= failed.at_ms);
    let mut ended = run(setup.with_faults(faults(&kept)));
    if !is_same(&ended, failed) {
        kept = (0..setup.faults.len()).collect();
        ended = failed.clone();
    }
    let mut runs = 1;
    let mut length = kept.len().div_ceil(2);
    while length > 0 && runs < runs_max {
        let mut at = 0;
        let mut is_shorter = false;
        while at < kept.len() && runs < runs_max {
            let rest = [&kept[..at], &kept[(at + length).min(kept.len())..]].concat();
            let tried = run(setup.with_faults(faults(&rest)));
            runs += 1;
            if is_same(&tried, failed) {
                (kept, ended, is_shorter) = (rest, tried, true);
            } else {
                at += length;
            }
        }
        length = if length == 1 && is_shorter { 1 } else { length / 2 };
    }
    let faults = faults(&kept);
    Shortest { kept, faults, ended, runs }
}

/// The same invariant is broken, whoever it is about.
fn is_same(tried: &Ended, failed: &Ended) -> bool {
    let kind = |ended: &Ended| ended.outcome.as_ref().err().map(std::mem::discriminant::<Violation>);
    kind(tried).is_some() && kind(tried) == kind(failed)
}
