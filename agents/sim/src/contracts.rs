//! The seam to the real contracts: where they run, they answer beside the model, and the two must say the same.

use std::fmt::Debug;

use crate::call::Call;
use crate::governance::Decision;

/// The block that something happens in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Its number.
    pub block: u64,
    /// Its time, in seconds since the epoch.
    pub time_s: u64,
}

/// Contracts on a chain of their own, founded for a ward.
pub trait Contracts: Debug {
    /// Governance's decision is carried out.
    fn decide(&mut self, what: Decision, at: At);

    /// Whether a trigger would be refused; changes nothing.
    fn refuses(&mut self, call: &Call, at: At) -> bool;

    /// Carries a trigger out; whether it had its effect.
    fn trigger(&mut self, call: &Call, at: At) -> bool;

    /// Undoes everything after a block.
    fn roll_back(&mut self, to_block: u64);
}

/// Founds contracts for a ward of so many patients.
pub type NewContracts = fn(u64) -> Box<dyn Contracts>;
