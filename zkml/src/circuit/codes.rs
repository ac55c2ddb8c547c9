//! Selector columns that carry a small code instead of a bit.
//!
//! A fixed column costs 32 bytes of proof and some 7,400 gas, so rows of different sorts share one column and tell
//! themselves apart by a number. A gate is switched on by [`is`], the Lagrange polynomial that is 1 at its code and 0 at
//! all others; it costs as many degrees as the column has codes besides 0, which is why sorts are grouped by the degree
//! of their gates.

use halo2_axiom::{halo2curves::bn256::Fr, plonk::Expression};

/// What a row's step is. Codes of the column `step`.
pub mod step {
    /// No running sum.
    pub const OFF: u64 = 0;
    /// A row of the network: weights, limbs, range table.
    pub const LINEAR: u64 = 1;
    /// Two partial rounds of the hash.
    pub const TWO_PARTIAL_ROUNDS: u64 = 2;
    /// Greatest code.
    pub const LAST: u64 = 2;
}

/// Where a running sum stands. Codes of the column `mark` on linear rows.
pub mod mark {
    /// Within a node: its weight sum goes on.
    pub const WITHIN: u64 = 0;
    /// A node of the same layer begins.
    pub const NODE: u64 = 1;
    /// A layer begins.
    pub const LAYER: u64 = 2;
    /// Greatest code.
    pub const LAST: u64 = 2;
}

/// Where the sums are tied down. Codes of the column `mark` on rows that are not linear.
pub mod border {
    /// The row before the first linear row: all sums are 0 here.
    pub const OPENING: u64 = 1;
    /// The row after the last linear row: all sums were 0 there.
    pub const CLOSING: u64 = 2;
}

/// What the four limbs that end at a row are. Codes of the column `unit`.
pub mod unit {
    /// Sign and three limbs of a hidden neuron.
    pub const HIDDEN: u64 = 1;
    /// Sign and three limbs of the output.
    pub const OUTPUT: u64 = 2;
    /// Greatest code.
    pub const LAST: u64 = 2;
}

/// What feeds the hash. Codes of the column `feed`.
pub mod feed {
    /// A feature that begins a packed element.
    pub const FIRST_FEATURE: u64 = 1;
    /// A feature that is appended to the element of the node before it.
    pub const NEXT_FEATURE: u64 = 2;
    /// Two elements enter the state of the hash.
    pub const ABSORB: u64 = 3;
    /// Greatest code.
    pub const LAST: u64 = 3;
}

/// Rounds of the hash that are not two partial ones. Codes of the column `round`.
pub mod round {
    /// A full round.
    pub const FULL: u64 = 1;
    /// One partial round, for their number is odd.
    pub const ONE_PARTIAL: u64 = 2;
    /// Greatest code.
    pub const LAST: u64 = 2;
}

/// 1 where the column holds `code`, 0 where it holds any other code from 0 to `last`. Degree `last`.
pub fn is(column: &Expression<Fr>, code: u64, last: u64) -> Expression<Fr> {
    let others = (0..=last).filter(|&other| other != code);
    let scale: Fr = others.clone().map(|other| Fr::from(code) - Fr::from(other)).product();
    let inverse = scale.invert().expect("codes are distinct and small");
    let factors = others.map(|other| minus(column, other));
    factors.reduce(|product, factor| product * factor).expect("a column has more than one code") * inverse
}

/// 1 where the column holds 1 or 2, 0 where it holds 0 or 3. Degree 2: `x (3 - x) / 2`.
pub fn is_one_or_two(column: &Expression<Fr>) -> Expression<Fr> {
    let half = Fr::from(2).invert().expect("two is not zero");
    column.clone() * (Expression::Constant(Fr::from(3)) - column.clone()) * half
}

fn minus(column: &Expression<Fr>, code: u64) -> Expression<Fr> {
    if code == 0 { column.clone() } else { column.clone() - Expression::Constant(Fr::from(code)) }
}
