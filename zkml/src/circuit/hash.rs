//! The commitment's Poseidon hash: the state downwards in the column `cell`, beside it scratch cells.
//!
//! Every step takes three rows; the next three rows of `cell` are its result. A permutation takes 28 steps: one that
//! absorbs two elements, 4 full rounds, 19 times three partial rounds, 4 full rounds. In a partial round only lane 0
//! has an S-box and a constant (see
//! [`Constants::round_compact`](hygeia_gpu_kernels::poseidon::Constants)). Constants stand in the weight columns.
//!
//! ```text
//! row   cell      limb: absorb    full round    partial rounds                     tally: partial rounds
//! -2    lane 0          element   square 0      square of the first S-box's input
//! -1    lane 1          element   square 1      result of the first S-box          result of the second
//!  0    lane 2                    square 2      square of the second's input       square of the third's input
//! ```
//!
//! After the last permutation one more step absorbs the digest's negative into its lane, which leaves 0 there. So the
//! digest is an element that the hash takes in like any other, and all of them are compared in one way, by
//! [`layers`](super::layers): packed elements with the features, the digest with the public commitment.

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{ConstraintSystem, Expression},
    poly::Rotation,
};
use hygeia_gpu_kernels::poseidon::{self, FULL_ROUNDS, PARTIAL_ROUNDS, RATE, State, WIDTH};

use super::{
    codes::{Kind, Selectors, mark},
    columns::{Columns, FirstPhaseValues, FixedValues},
    node::Number,
    plan::Plan,
};
use crate::statement::{FEATURE_BITS, FEATURES_PER_ELEMENT};

/// Rows of one step.
pub const ROWS_PER_STEP: usize = WIDTH;
/// Partial rounds of one step.
const PARTIAL_ROUNDS_PER_STEP: usize = 3;
/// Rows of one permutation: absorption, full rounds, triples of partial rounds.
pub const ROWS_PER_PERMUTATION: usize = ROWS_PER_STEP * (1 + FULL_ROUNDS + PARTIAL_ROUNDS / PARTIAL_ROUNDS_PER_STEP);
/// Rows after the last step, which hold its result; the closing seam stands on the middle one.
pub const ROWS_AFTER: usize = WIDTH;
/// Rows above a step's last that hold the two elements of an absorption.
pub const ABSORBED_ROWS_UP: [usize; RATE] = [2, 1];
/// Weight columns that hold, on a row of absorption, what each of its two elements counts for in the sum.
pub const ABSORBED_LANES: [usize; RATE] = [2, 3];

/// Where the hash lies.
#[derive(Debug, Clone)]
pub struct HashLayout {
    /// The capacity tag, a constant of the circuit.
    pub tag: Fr,
    /// First row.
    pub start: usize,
    /// Row of the seam at which the running sums end.
    pub closing: usize,
}

/// What a step does.
enum Step {
    Absorb,
    FullRound(usize),
    PartialRounds(usize),
}

/// Writes codes and constants.
pub fn lay_out(plan: &Plan, tag: Fr, fixed: &mut FixedValues) -> HashLayout {
    let start = plan.hash_start();
    let mut last = start + ROWS_PER_STEP - 1;
    for permutation in 0..plan.permutations() {
        for step in schedule() {
            lay_out_step(plan, &step, permutation, tag, last, fixed);
            last += ROWS_PER_STEP;
        }
    }
    // The digest is taken in with a factor of 1, its neighbour not at all.
    fixed.kind[last] = Kind::Absorb;
    fixed.lanes[1][last] = Fr::ONE;
    fixed.lanes[ABSORBED_LANES[0]][last] = Fr::ONE;
    let closing = last + 2;
    fixed.mark[start..closing].iter_mut().filter(|mark| **mark == mark::OFF).for_each(|mark| *mark = mark::WITHIN);
    fixed.kind[closing] = Kind::Seam;
    HashLayout { tag, start, closing }
}

/// Fills state and scratch with the hash of a message, and returns the digest.
pub fn fill(layout: &HashLayout, message: &[Fr], values: &mut FirstPhaseValues) -> Fr {
    let mut state = [layout.tag, Fr::ZERO, Fr::ZERO];
    let mut before = [Fr::ZERO; WIDTH];
    let mut row = layout.start;
    for block in message.chunks(RATE) {
        for step in schedule() {
            let (limb, scratch) = match step {
                Step::Absorb => absorb(&mut state, block),
                Step::FullRound(index) => apply_full_round(&mut state, index),
                Step::PartialRounds(index) => apply_partial_rounds(&mut state, index),
            };
            values.cell[row..row + WIDTH].copy_from_slice(&before);
            values.limb[row..row + WIDTH].copy_from_slice(&limb);
            values.scratch[row..row + WIDTH].copy_from_slice(&scratch);
            before = state;
            row += ROWS_PER_STEP;
        }
    }
    let [capacity, digest, neighbour] = state;
    values.cell[row..row + WIDTH].copy_from_slice(&state);
    values.limb[row..row + WIDTH].copy_from_slice(&[-digest, Fr::ZERO, Fr::ZERO]);
    values.cell[row + WIDTH..row + 2 * WIDTH].copy_from_slice(&[capacity, Fr::ZERO, neighbour]);
    digest
}

/// Gate of the hash.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("hash", |cells| {
        let mut three_from = |column, first: i32| -> Cells {
            std::array::from_fn(|index| cells.query_advice(column, Rotation(first + index as i32)))
        };
        let (state, limb, next) =
            (three_from(columns.cell, -2), three_from(columns.limb, -2), three_from(columns.cell, 1));
        let scratch = [-1, 0].map(|rotation| cells.query_advice(columns.tally, Rotation(rotation)));
        let constant: Cells = std::array::from_fn(|lane| cells.query_fixed(columns.lanes[lane], Rotation::cur()));
        let on = Selectors::query(cells, columns);
        [
            gated(&on.absorb, absorb_constraints(&state, &limb, &next, &constant)),
            gated(&on.full_round, full_round_constraints(&state, &limb, &next, &constant)),
            gated(&on.partial_rounds, partial_rounds_constraints(&state, &limb, &scratch, &next, &constant)),
        ]
        .concat()
    });
}

type Cells = [Expression<Fr>; WIDTH];

fn gated(on: &Expression<Fr>, constraints: Vec<Expression<Fr>>) -> Vec<Expression<Fr>> {
    constraints.into_iter().map(|constraint| on.clone() * constraint).collect()
}

/// The first absorption starts from the tag, later ones go on from the state: constants are the tag or 0, then 0 or 1.
fn absorb_constraints(s: &Cells, a: &Cells, next: &Cells, k: &Cells) -> Vec<Expression<Fr>> {
    let carried = |lane: usize| k[1].clone() * s[lane].clone();
    vec![
        next[0].clone() - k[0].clone() - carried(0),
        next[1].clone() - carried(1) - a[0].clone(),
        next[2].clone() - carried(2) - a[1].clone(),
    ]
}

/// Scratch holds the squares, so that x^5 has degree 3.
fn full_round_constraints(s: &Cells, a: &Cells, next: &Cells, k: &Cells) -> Vec<Expression<Fr>> {
    let x: Cells = std::array::from_fn(|lane| s[lane].clone() + k[lane].clone());
    let mixed = apply_matrix(&std::array::from_fn(|lane| square(&a[lane]) * x[lane].clone()));
    let squares = (0..WIDTH).map(|lane| a[lane].clone() - square(&x[lane]));
    let results = (0..WIDTH).map(|lane| next[lane].clone() - mixed[lane].clone());
    squares.chain(results).collect()
}

/// Scratch holds the squares of all three S-boxes' inputs and the results of the first two.
fn partial_rounds_constraints(
    s: &Cells,
    a: &Cells,
    b: &[Expression<Fr>; 2],
    next: &Cells,
    k: &Cells,
) -> Vec<Expression<Fr>> {
    let first = s[0].clone() + k[0].clone();
    let [m0, m1, m2] = apply_matrix(&[a[1].clone(), s[1].clone(), s[2].clone()]);
    let second = m0 + k[1].clone();
    let [m0, m1, m2] = apply_matrix(&[b[0].clone(), m1, m2]);
    let third = m0 + k[2].clone();
    let mixed = apply_matrix(&[square(&b[1]) * third.clone(), m1, m2]);
    let mut constraints = vec![
        a[0].clone() - square(&first),
        a[1].clone() - square(&a[0]) * first,
        a[2].clone() - square(&second),
        b[0].clone() - square(&a[2]) * second,
        b[1].clone() - square(&third),
    ];
    constraints.extend((0..WIDTH).map(|lane| next[lane].clone() - mixed[lane].clone()));
    constraints
}

fn square(x: &Expression<Fr>) -> Expression<Fr> {
    x.clone() * x.clone()
}

fn apply_matrix(state: &Cells) -> Cells {
    let mds = &poseidon::constants().mds;
    std::array::from_fn(|row| {
        let products = mds[row].iter().zip(state).map(|(&entry, lane)| lane.clone() * entry);
        products.reduce(|sum, product| sum + product).unwrap_or_else(|| Expression::constant(Fr::ZERO))
    })
}

/// The steps of a permutation.
fn schedule() -> impl Iterator<Item = Step> {
    let (half, after) = (FULL_ROUNDS / 2, FULL_ROUNDS / 2 + PARTIAL_ROUNDS);
    std::iter::once(Step::Absorb)
        .chain((0..half).map(Step::FullRound))
        .chain((half..after).step_by(PARTIAL_ROUNDS_PER_STEP).map(Step::PartialRounds))
        .chain((after..after + half).map(Step::FullRound))
}

/// Writes the step whose last row is `last`.
fn lay_out_step(plan: &Plan, step: &Step, permutation: usize, tag: Fr, last: usize, fixed: &mut FixedValues) {
    let constants = &poseidon::constants().round_compact;
    let constants: [Fr; WIDTH] = match *step {
        Step::Absorb => {
            fixed.kind[last] = Kind::Absorb;
            for (slot, lane) in ABSORBED_LANES.into_iter().enumerate() {
                fixed.lanes[lane][last] = element_factor(plan, RATE * permutation + slot);
            }
            // Places are told apart by the elements before them.
            fixed.mark[last + 1..=last + RATE].fill(mark::NODE);
            let begins = permutation == 0;
            fixed.lanes[0][last] = if begins { tag } else { Fr::ZERO };
            fixed.lanes[1][last] = Fr::from(u64::from(!begins));
            return;
        }
        Step::FullRound(index) => {
            fixed.kind[last] = Kind::FullRound;
            constants[index]
        }
        Step::PartialRounds(index) => {
            fixed.kind[last] = Kind::PartialRounds;
            std::array::from_fn(|round| constants[index + round][0])
        }
    };
    for (lane, constant) in constants.into_iter().enumerate() {
        fixed.lanes[lane][last] = constant;
    }
}

/// What the element of this index counts for in the sum, besides a power of the node challenge.
///
/// Features begin at a place of 1 and each is worth 2^-16 of the one before it, so that the last of an element is worth
/// what the element counts for. The salt counts for nothing. What fills up the last block counts like an element without
/// features, so that it must be 0.
fn element_factor(plan: &Plan, index: usize) -> Fr {
    let (elements, inputs) = (plan.elements(), plan.shape.inputs);
    match index {
        index if index == elements => Fr::ZERO,
        index if index > elements => Fr::ONE,
        index => {
            let last_feature = ((index + 1) * FEATURES_PER_ELEMENT).min(inputs) - 1;
            // Between one element's last feature and the next one's first lies a power of the challenge instead.
            feature_step().pow_vartime([(last_feature - index) as u64])
        }
    }
}

/// What a feature is worth of the one before it in its element: 2^-16.
pub fn feature_step() -> Fr {
    Fr::from(1 << FEATURE_BITS).invert().expect("a power of two is not zero")
}

/// Takes a block in; the scratch cells hold its elements.
fn absorb(state: &mut State, block: &[Fr]) -> (State, State) {
    let mut limb = [Fr::ZERO; WIDTH];
    for ((lane, &element), rows_up) in state[1..].iter_mut().zip(block).zip(ABSORBED_ROWS_UP) {
        *lane += element;
        limb[WIDTH - 1 - rows_up] = element;
    }
    (limb, [Fr::ZERO; WIDTH])
}

fn apply_full_round(state: &mut State, index: usize) -> (State, State) {
    let poseidon::Constants { round_compact, mds, .. } = poseidon::constants();
    let x: State = std::array::from_fn(|lane| state[lane] + round_compact[index][lane]);
    *state = poseidon::apply(mds, &x.map(poseidon::pow5));
    (x.map(|x| x.square()), [Fr::ZERO; WIDTH])
}

fn apply_partial_rounds(state: &mut State, index: usize) -> (State, State) {
    let poseidon::Constants { round_compact, mds, .. } = poseidon::constants();
    let [(square1, fifth1), (square2, fifth2), (square3, _)]: [_; PARTIAL_ROUNDS_PER_STEP] =
        std::array::from_fn(|round| {
            let x = state[0] + round_compact[index + round][0];
            let fifth = poseidon::pow5(x);
            *state = poseidon::apply(mds, &[fifth, state[1], state[2]]);
            (x.square(), fifth)
        });
    ([square1, fifth1, square2], [Fr::ZERO, fifth2, square3])
}
