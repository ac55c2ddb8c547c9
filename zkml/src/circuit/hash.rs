//! The commitment's Poseidon hash, laid out downwards in the one column `cell`.
//!
//! Every step takes six rows: three lanes of the state, three cells of scratch; the next step's first three rows are its
//! result. A permutation takes 38 steps: one that absorbs two elements, 4 full rounds, one partial round alone and 56
//! in pairs, 4 full rounds. In a partial round only lane 0 has an S-box and a constant (see
//! [`Constants::round_compact`](hygeia_gpu_kernels::poseidon::Constants)). Constants stand in the weight columns.

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{ConstraintSystem, Expression},
    poly::Rotation,
};
use hygeia_gpu_kernels::poseidon::{self, FULL_ROUNDS, PARTIAL_ROUNDS, RATE, ROUNDS, State, WIDTH};

use super::{
    codes::{feed, is, round, step},
    columns::{Columns, FixedValues},
    node::Number,
    plan::Plan,
};

/// Rows of one step.
const ROWS_PER_STEP: usize = 2 * WIDTH;
/// Rows of one permutation: absorption, full rounds, the odd partial round, pairs of partial rounds.
pub const ROWS_PER_PERMUTATION: usize = ROWS_PER_STEP * (1 + FULL_ROUNDS + 1 + PARTIAL_ROUNDS / 2);
/// Rows of the last permutation's result.
pub const ROWS_AFTER: usize = WIDTH;
/// Scratch cells, counted from a step's first row, that take the two elements of an absorption.
const ABSORBED_AT: [usize; RATE] = [WIDTH, WIDTH + 2];

/// Where the hash lies.
#[derive(Debug, Clone)]
pub struct HashLayout {
    /// The capacity tag, a constant of the circuit.
    pub tag: Fr,
    /// First row.
    pub start: usize,
    /// Pairs of rows of `cell` that must hold the same: a packed element, and where it is absorbed.
    pub copies: Vec<(usize, usize)>,
    /// Row of the digest.
    pub digest_row: usize,
}

/// Rounds of one step after the absorption.
enum Rounds {
    Full(usize),
    OnePartial(usize),
    TwoPartial(usize),
}

/// Writes selectors and constants. `elements` are the rows that hold the packed features; the salt comes after them.
pub fn lay_out(plan: &Plan, tag: Fr, elements: &[usize], fixed: &mut FixedValues) -> HashLayout {
    let start = plan.hash_start();
    let inputs = elements.len() + 1;
    for permutation in 0..plan.permutations() {
        let row = start + permutation * ROWS_PER_PERMUTATION;
        fixed.feed[row] = feed::ABSORB;
        let is_first = permutation == 0;
        let is_full = permutation * RATE + 1 < inputs;
        fixed.lanes[0][row] = if is_first { tag } else { Fr::ZERO };
        fixed.lanes[1][row] = Fr::from(u64::from(!is_first));
        fixed.lanes[2][row] = Fr::from(u64::from(is_full));
        for (index, rounds) in schedule().into_iter().enumerate() {
            lay_out_rounds(&rounds, row + (index + 1) * ROWS_PER_STEP, fixed);
        }
    }
    let copies = elements.iter().enumerate().map(|(index, &row)| (row, absorbed_row(start, index))).collect();
    let digest_row = start + plan.permutations() * ROWS_PER_PERMUTATION + 1;
    HashLayout { tag, start, copies, digest_row }
}

/// Fills `cell` with the hash of a message, and returns the digest.
pub fn fill(layout: &HashLayout, message: &[Fr], cell: &mut [Fr]) -> Fr {
    let mut state = [layout.tag, Fr::ZERO, Fr::ZERO];
    let mut before = [Fr::ZERO; WIDTH];
    let mut row = layout.start;
    for block in message.chunks(RATE) {
        cell[row..row + WIDTH].copy_from_slice(&before);
        for ((lane, &element), at) in state[1..].iter_mut().zip(block).zip(ABSORBED_AT) {
            *lane += element;
            cell[row + at] = element;
        }
        row += ROWS_PER_STEP;
        for rounds in schedule() {
            cell[row..row + WIDTH].copy_from_slice(&state);
            let scratch = apply_rounds(&rounds, &mut state);
            cell[row + WIDTH..row + ROWS_PER_STEP].copy_from_slice(&scratch);
            row += ROWS_PER_STEP;
        }
        before = state;
    }
    cell[row..row + WIDTH].copy_from_slice(&state);
    state[1]
}

/// Gate of the hash.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("hash", |cells| {
        let mut three_from = |first: usize| -> [Expression<Fr>; WIDTH] {
            std::array::from_fn(|index| {
                let rotation = i32::try_from(first + index).expect("a step has nine rows");
                cells.query_advice(columns.cell, Rotation(rotation))
            })
        };
        let (state, scratch, next) = (three_from(0), three_from(WIDTH), three_from(2 * WIDTH));
        let constant: [Expression<Fr>; 4] =
            std::array::from_fn(|lane| cells.query_fixed(columns.lanes[lane], Rotation::cur()));
        let mut code = |column| cells.query_fixed(column, Rotation::cur());
        let (step, feed, round) = (code(columns.step), code(columns.feed), code(columns.round));
        let full = is(&round, round::FULL, round::LAST);
        let one_partial = is(&round, round::ONE_PARTIAL, round::LAST);
        let two_partial = is(&step, step::TWO_PARTIAL_ROUNDS, step::LAST);
        let absorb = is(&feed, feed::ABSORB, feed::LAST);
        [
            absorb_constraints(&absorb, &state, &scratch, &next, &constant),
            full_round_constraints(&full, &state, &scratch, &next, &constant),
            one_partial_constraints(&one_partial, &state, &scratch, &next, &constant),
            two_partial_constraints(&two_partial, &state, &scratch, &next, &constant),
        ]
        .concat()
    });
}

type Cells = [Expression<Fr>; WIDTH];
type Constants = [Expression<Fr>; 4];

/// The first absorption starts from the tag, later ones go on from the state: constants are the tag or 0, then 0 or 1,
/// then whether there is a second element.
fn absorb_constraints(on: &Expression<Fr>, s: &Cells, a: &Cells, next: &Cells, k: &Constants) -> Vec<Expression<Fr>> {
    let carried = |lane: usize| k[1].clone() * s[lane].clone();
    vec![
        on.clone() * (next[0].clone() - k[0].clone() - carried(0)),
        on.clone() * (next[1].clone() - carried(1) - a[0].clone()),
        on.clone() * (next[2].clone() - carried(2) - k[2].clone() * a[2].clone()),
    ]
}

/// Scratch holds the squares, so that x^5 has degree 3.
fn full_round_constraints(
    on: &Expression<Fr>,
    s: &Cells,
    a: &Cells,
    next: &Cells,
    k: &Constants,
) -> Vec<Expression<Fr>> {
    let x: Cells = std::array::from_fn(|lane| s[lane].clone() + k[lane].clone());
    let boxed: Cells = std::array::from_fn(|lane| square(&a[lane]) * x[lane].clone());
    let mixed = apply_matrix(&boxed);
    let squares = (0..WIDTH).map(|lane| on.clone() * (a[lane].clone() - square(&x[lane])));
    let results = (0..WIDTH).map(|lane| on.clone() * (next[lane].clone() - mixed[lane].clone()));
    squares.chain(results).collect()
}

/// Scratch holds square and fifth power of lane 0.
fn one_partial_constraints(
    on: &Expression<Fr>,
    s: &Cells,
    a: &Cells,
    next: &Cells,
    k: &Constants,
) -> Vec<Expression<Fr>> {
    let (sbox, mixed) = first_partial_round(on, s, a, k);
    let results = (0..WIDTH).map(|lane| on.clone() * (next[lane].clone() - mixed[lane].clone()));
    sbox.into_iter().chain(results).collect()
}

/// Scratch holds square and fifth power of the first round's lane 0, and the square of the second's.
fn two_partial_constraints(
    on: &Expression<Fr>,
    s: &Cells,
    a: &Cells,
    next: &Cells,
    k: &Constants,
) -> Vec<Expression<Fr>> {
    let (mut constraints, [lane0, lane1, lane2]) = first_partial_round(on, s, a, k);
    let x = lane0 + k[1].clone();
    constraints.push(on.clone() * (a[2].clone() - square(&x)));
    let mixed = apply_matrix(&[square(&a[2]) * x, lane1, lane2]);
    constraints.extend((0..WIDTH).map(|lane| on.clone() * (next[lane].clone() - mixed[lane].clone())));
    constraints
}

/// S-box on lane 0 through two scratch cells, then the matrix; the result is linear in the cells.
fn first_partial_round(on: &Expression<Fr>, s: &Cells, a: &Cells, k: &Constants) -> (Vec<Expression<Fr>>, Cells) {
    let x = s[0].clone() + k[0].clone();
    let constraints = vec![on.clone() * (a[0].clone() - square(&x)), on.clone() * (a[1].clone() - square(&a[0]) * x)];
    (constraints, apply_matrix(&[a[1].clone(), s[1].clone(), s[2].clone()]))
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

/// The rounds of a permutation, step by step.
fn schedule() -> Vec<Rounds> {
    let mut steps = Vec::with_capacity(ROWS_PER_PERMUTATION / ROWS_PER_STEP - 1);
    let mut index = 0;
    while index < ROUNDS {
        let partial_left = (FULL_ROUNDS / 2 + PARTIAL_ROUNDS).saturating_sub(index);
        let (rounds, count) = if poseidon::is_full_round(index) {
            (Rounds::Full(index), 1)
        } else if partial_left % 2 == 1 {
            (Rounds::OnePartial(index), 1)
        } else {
            (Rounds::TwoPartial(index), 2)
        };
        steps.push(rounds);
        index += count;
    }
    steps
}

fn lay_out_rounds(rounds: &Rounds, row: usize, fixed: &mut FixedValues) {
    let constants = &poseidon::constants().round_compact;
    match *rounds {
        Rounds::Full(index) => {
            fixed.round[row] = round::FULL;
            for (lane, &constant) in constants[index].iter().enumerate() {
                fixed.lanes[lane][row] = constant;
            }
        }
        Rounds::OnePartial(index) => {
            fixed.round[row] = round::ONE_PARTIAL;
            fixed.lanes[0][row] = constants[index][0];
        }
        Rounds::TwoPartial(index) => {
            fixed.step[row] = step::TWO_PARTIAL_ROUNDS;
            fixed.lanes[0][row] = constants[index][0];
            fixed.lanes[1][row] = constants[index + 1][0];
        }
    }
}

/// Applies the rounds of a step to the state, and returns its scratch cells.
fn apply_rounds(rounds: &Rounds, state: &mut State) -> State {
    let poseidon::Constants { round_compact, mds, .. } = poseidon::constants();
    match *rounds {
        Rounds::Full(index) => {
            let x: State = std::array::from_fn(|lane| state[lane] + round_compact[index][lane]);
            *state = poseidon::apply(mds, &x.map(poseidon::pow5));
            x.map(|x| x.square())
        }
        Rounds::OnePartial(index) => {
            let (square, fifth) = apply_partial(state, round_compact[index][0]);
            [square, fifth, Fr::ZERO]
        }
        Rounds::TwoPartial(index) => {
            let (square, fifth) = apply_partial(state, round_compact[index][0]);
            let (square_of_second, _) = apply_partial(state, round_compact[index + 1][0]);
            [square, fifth, square_of_second]
        }
    }
}

/// One partial round; returns square and fifth power of lane 0.
fn apply_partial(state: &mut State, constant: Fr) -> (Fr, Fr) {
    let x = state[0] + constant;
    let fifth = poseidon::pow5(x);
    *state = poseidon::apply(&poseidon::constants().mds, &[fifth, state[1], state[2]]);
    (x.square(), fifth)
}

/// Row of `cell` where the input of this index is absorbed.
fn absorbed_row(start: usize, input: usize) -> usize {
    start + (input / RATE) * ROWS_PER_PERMUTATION + ABSORBED_AT[input % RATE]
}
