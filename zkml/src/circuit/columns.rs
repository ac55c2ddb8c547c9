//! The columns of the circuit, and the values that fill them.

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{Advice, Challenge, Column, ConstraintSystem, FirstPhase, Fixed, Instance, SecondPhase},
};

use super::{codes::Kind, plan::Plan};

/// Advice columns.
pub const ADVICE_COLUMNS: usize = 7;
/// Fixed columns besides weights and the one for jumps.
pub const CODE_COLUMNS: usize = 4;

/// Columns and challenges, as the constraint system knows them. No column has copies: what must be equal on different
/// rows is compared by a random combination, see [`layers`](super::layers).
#[derive(Debug, Clone)]
pub struct Columns {
    /// Phase 1. On rows of the network limbs, each looked up in `table`; on those of the hash absorbed elements and
    /// scratch.
    pub limb: Column<Advice>,
    /// Phase 1. Signs of neurons; how often each entry of `table` is looked up; the state of the hash.
    pub cell: Column<Advice>,
    /// Phase 1. Random values, constrained by nothing, opened at one point: they mask the opening proof.
    pub mask: Column<Advice>,
    /// Phase 2. Weights of a node, combined by powers of the node challenge.
    pub weight: Column<Advice>,
    /// Phase 2. Power of the node challenge that belongs to a node's place in its layer.
    pub place: Column<Advice>,
    /// Phase 2. Running sum over all layers of what the next layer claims less what this one gives.
    pub sum: Column<Advice>,
    /// Phase 2. Running sum of the range argument; on rows of the hash, scratch.
    pub tally: Column<Advice>,
    /// Weights; on rows of the hash, its constants.
    pub lanes: Vec<Column<Fixed>>,
    /// One more than each number below 2^10, on rows of the network; 0 on all others.
    pub table: Column<Fixed>,
    /// Codes of [`mark`](super::codes::mark).
    pub mark: Column<Fixed>,
    /// First code of [`Kind`].
    pub unit: Column<Fixed>,
    /// Second code of [`Kind`].
    pub round: Column<Fixed>,
    /// Where the weights of a convolution go on from those of the step before: number of the jump, or 0. There is no
    /// such column when there is no convolution.
    pub jump: Option<Column<Fixed>>,
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
    pub fn allocate(meta: &mut ConstraintSystem<Fr>, plan: &Plan) -> Self {
        let [limb, cell, mask] = std::array::from_fn(|_| meta.advice_column());
        let public = meta.instance_column();
        let [node_challenge, layer_challenge, range_challenge] =
            std::array::from_fn(|_| meta.challenge_usable_after(FirstPhase));
        let [weight, place, sum, tally] = std::array::from_fn(|_| meta.advice_column_in(SecondPhase));
        let lanes = (0..plan.lanes).map(|_| meta.fixed_column()).collect();
        let [table, mark, unit, round]: [_; CODE_COLUMNS] = std::array::from_fn(|_| meta.fixed_column());
        let jump = (!plan.jumps().is_empty()).then(|| meta.fixed_column());
        Self {
            limb,
            cell,
            mask,
            weight,
            place,
            sum,
            tally,
            lanes,
            table,
            mark,
            unit,
            round,
            jump,
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
    pub mark: Vec<u64>,
    /// What the row holds.
    pub kind: Vec<Kind>,
    /// Numbers of jumps.
    pub jump: Vec<u64>,
}

impl FixedValues {
    /// All zero.
    pub fn zero(lanes: usize, rows: usize) -> Self {
        Self {
            lanes: vec![vec![Fr::ZERO; rows]; lanes],
            table: vec![0; rows],
            mark: vec![0; rows],
            kind: vec![Kind::Plain; rows],
            jump: vec![0; rows],
        }
    }
}

/// What the prover commits to before it knows a challenge. Holds features and salt in the clear: never printed.
#[derive(Clone)]
pub struct FirstPhaseValues {
    /// Limbs; elements and scratch of the hash.
    pub limb: Vec<Fr>,
    /// Signs, multiplicities, state of the hash.
    pub cell: Vec<Fr>,
    /// Random values for every row.
    pub mask: Vec<Fr>,
    /// Further scratch of the hash, by row. It follows from the columns above, and is committed to in the second phase.
    pub scratch: Vec<Fr>,
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
    /// Sum of the range argument, scratch of the hash.
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
