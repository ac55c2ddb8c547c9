//! What the voters decide: which models and policies stand in the registries, block by block.
//!
//! It never runs a vote: a decision of the seed is put into the next block when its time comes, and a re-org can take it
//! out for a while.

use hygeia_protocol::bytes::B32;

use crate::chain::CONFIRMATIONS;
use crate::rng::Rng;
use crate::ward::{HOUR_MS, MODELS};

/// What draws decisions, as a key for random numbers.
const KEY: u64 = 0x60;

/// One decision about a model and the policy that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The model may run from now on.
    Approve(B32),
    /// It may not, until it is approved again.
    Suspend(B32),
}

/// A decision in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The block.
    pub block: u64,
    /// What was decided.
    pub what: Decision,
}

/// What a watcher is told: all decisions on the chain as it is at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Seen {
    /// The newest block.
    pub head: u64,
    /// In the order of their blocks.
    pub decisions: Vec<Decided>,
}

impl Seen {
    /// Whether a model may run: an approval counts once it is final, a suspension as soon as it is seen.
    #[must_use]
    pub fn is_live(&self, model: &B32) -> bool {
        let of_model = |decided: &&Decided| match &decided.what {
            Decision::Approve(of) | Decision::Suspend(of) => of == model,
        };
        let counts = |decided: &&Decided| match decided.what {
            Decision::Approve(_) => decided.block == 0 || decided.block + CONFIRMATIONS <= self.head,
            Decision::Suspend(_) => true,
        };
        // A young approval does not lift a suspension, and a suspension stands although an approval follows it.
        let newest = self.decisions.iter().filter(of_model).rfind(counts);
        newest.is_some_and(|decided| matches!(decided.what, Decision::Approve(_)))
    }

    /// The models that may run.
    pub fn live(&self) -> impl Iterator<Item = B32> + '_ {
        MODELS.into_iter().filter(|model| self.is_live(model))
    }
}

/// What is decided in the hours of a run, and when: a second model comes, the first one goes and, in every other run,
/// comes back. At any time one may run.
#[must_use]
pub fn draw(seed: u64, hours: u64) -> Vec<(u64, Decision)> {
    let mut rng = Rng::of(seed, &[KEY]);
    let [first, second] = MODELS;
    let end_ms = hours * HOUR_MS;
    let approved_ms = rng.between(end_ms / 8, end_ms / 2);
    let suspended_ms = rng.between(approved_ms + HOUR_MS / 2, end_ms);
    let back_ms = suspended_ms + rng.between(HOUR_MS / 4, end_ms / 2);
    let mut decisions = vec![(approved_ms, Decision::Approve(second)), (suspended_ms, Decision::Suspend(first))];
    if rng.once_in(2) {
        decisions.push((back_ms, Decision::Approve(first)));
    }
    decisions.retain(|(at_ms, _)| *at_ms < end_ms);
    decisions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(decisions: &[(u64, Decision)], head: u64, is_live: bool) {
        let decisions = decisions.iter().map(|&(block, what)| Decided { block, what }).collect();
        assert_eq!(Seen { head, decisions }.is_live(&MODELS[0]), is_live);
    }

    #[test]
    fn an_approval_waits_for_confirmations_and_a_suspension_does_not() {
        let (approve, suspend) = (Decision::Approve(MODELS[0]), Decision::Suspend(MODELS[0]));
        check(&[], 9, false);
        check(&[(5, approve)], 6, false);
        check(&[(5, approve)], 7, true);
        check(&[(5, approve), (9, suspend)], 9, false);
        check(&[(5, approve), (9, suspend), (10, approve)], 11, false);
        check(&[(5, approve), (9, suspend), (10, approve)], 12, true);
        check(&[(5, approve), (9, Decision::Suspend(MODELS[1]))], 9, true);
    }
}
