//! The columns of the circuit, and the values that fill them.

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{Advice, Challenge, Column, ConstraintSystem, FirstPhase, Fixed, Instance, SecondPhase},
};

/// Columns and challenges, as the constraint system knows them.
#[derive(Debug, Clone)]
pub struct Columns {
    /// Phase 1. Signs and limbs; every cell on a linear row is looked up in `table`.
    pub limb: Column<Advice>,
    /// Phase 1. Packed features, the score, and the state of the hash. The only advice column with copies.
    pub cell: Column<Advice>,
    /// Phase 1. How often each row of `table` is looked up.
    pub count: Column<Advice>,
    /// Phase 1. Random values, constrained by nothing, opened at one point: they mask the opening proof.
    pub mask: Column<Advice>,
    /// Phase 2. Weights of a node, combined by powers of the node challenge.
    pub weight: Column<Advice>,
    /// Phase 2. Power of the node challenge that belongs to a node's place in its layer.
    pub place: Column<Advice>,
    /// Phase 2. Running sum over all layers of what the next layer claims less what this one gives.
    pub sum: Column<Advice>,
    /// Phase 2. Running sum of the range argument.
    pub tally: Column<Advice>,
    /// Weights; on rows of the hash, its constants.
    pub lanes: Vec<Column<Fixed>>,
    /// The numbers below 2^10, on the first linear rows.
    pub table: Column<Fixed>,
    /// Codes of [`step`](super::codes::step).
    pub step: Column<Fixed>,
    /// Codes of [`mark`](super::codes::mark) and [`border`](super::codes::border).
    pub mark: Column<Fixed>,
    /// Codes of [`unit`](super::codes::unit).
    pub unit: Column<Fixed>,
    /// Codes of [`feed`](super::codes::feed).
    pub feed: Column<Fixed>,
    /// Codes of [`round`](super::codes::round).
    pub round: Column<Fixed>,
    /// Commitment, then score.
    pub public: Column<Instance>,
    /// Combines the nodes of a layer.
    pub node_challenge: Challenge,
    /// Combines the layers.
    pub layer_challenge: Challenge,
    /// Shifts limbs and table of the range argument.
    pub range_challenge: Challenge,
}

impl Columns {
    /// Allocates all columns. Their order is part of every key.
    pub fn allocate(meta: &mut ConstraintSystem<Fr>, lanes: usize) -> Self {
        let [limb, cell, count, mask] = std::array::from_fn(|_| meta.advice_column());
        let public = meta.instance_column();
        let [node_challenge, layer_challenge, range_challenge] =
            std::array::from_fn(|_| meta.challenge_usable_after(FirstPhase));
        let [weight, place, sum, tally] = std::array::from_fn(|_| meta.advice_column_in(SecondPhase));
        let lanes = (0..lanes).map(|_| meta.fixed_column()).collect();
        let [table, step, mark, unit, feed, round] = std::array::from_fn(|_| meta.fixed_column());
        meta.enable_equality(cell);
        meta.enable_equality(public);
        Self {
            limb,
            cell,
            count,
            mask,
            weight,
            place,
            sum,
            tally,
            lanes,
            table,
            step,
            mark,
            unit,
            feed,
            round,
            public,
            node_challenge,
            layer_challenge,
            range_challenge,
        }
    }
}

/// Values of the fixed columns, by row.
#[derive(Debug, Clone)]
pub struct FixedValues {
    /// By lane, then row.
    pub lanes: Vec<Vec<Fr>>,
    /// Range table.
    pub table: Vec<u64>,
    /// Codes.
    pub step: Vec<u64>,
    /// Codes.
    pub mark: Vec<u64>,
    /// Codes.
    pub unit: Vec<u64>,
    /// Codes.
    pub feed: Vec<u64>,
    /// Codes.
    pub round: Vec<u64>,
}

impl FixedValues {
    /// All zero.
    pub fn zero(lanes: usize, rows: usize) -> Self {
        let codes = vec![0; rows];
        Self {
            lanes: vec![vec![Fr::ZERO; rows]; lanes],
            table: codes.clone(),
            step: codes.clone(),
            mark: codes.clone(),
            unit: codes.clone(),
            feed: codes.clone(),
            round: codes,
        }
    }
}

/// What the prover commits to before it knows a challenge. Holds features and salt in the clear: never printed.
#[derive(Clone)]
pub struct FirstPhaseValues {
    /// Signs and limbs.
    pub limb: Vec<Fr>,
    /// Packed features, score, hash.
    pub cell: Vec<Fr>,
    /// Multiplicities.
    pub count: Vec<Fr>,
    /// Random values for every row.
    pub mask: Vec<Fr>,
}

/// What follows from the first phase and the challenges.
#[derive(Clone)]
pub struct SecondPhaseValues {
    /// Combined weights.
    pub weight: Vec<Fr>,
    /// Powers of the node challenge.
    pub place: Vec<Fr>,
    /// Sum over the layers.
    pub sum: Vec<Fr>,
    /// Sum of the range argument.
    pub tally: Vec<Fr>,
}

/// The challenges of the second phase.
#[derive(Debug, Clone, Copy)]
pub struct Challenges {
    /// Combines the nodes of a layer.
    pub node: Fr,
    /// Combines the layers.
    pub layer: Fr,
    /// Shifts limbs and table.
    pub range: Fr,
}
