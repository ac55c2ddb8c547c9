//! The permutation's rounds, one full round or four partial ones on a row.
//!
//! ```text
//! cells       full round          single partial      four partial rounds
//! state       S-box inputs x0-2   x0, lanes 1 and 2   x of the first round, lanes 1 and 2
//! power       x0^4, x1^4, x2^4    x0^4, 1, 1          x^4, the square of the second x, the third x
//! extra       (free)              (free)              fourth power of the third x, square of the fourth
//! ```
//!
//! With `x^4` in a cell the S-box `x^5` has degree 2, which leaves three degrees for selecting rows. A single partial round
//! is a full round whose second and third power are 1. In four partial rounds the second and the fourth S-box input are
//! no cells but sums of degree 2, whose squares are; so the next state has degree 4.
//!
//! What leaves a row is the state of the next one. A row without rounds leaves its constants and what it absorbs.

use std::ops::Range;

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{ConstraintSystem, Expression, VirtualCells},
    poly::Rotation,
};
use hygeia_gpu_kernels::poseidon::{self, State};

use super::{
    codes::{bus, feed},
    columns::{Columns, FirstPhaseRow},
    rounds::{self, four_partial_rounds, full_round, partial_round},
    units::Limbs,
    window::{HashRow, WindowRow},
};
use crate::circuit::codes::is;

/// Gates of the hash.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("powers", |cells| {
        let row = Cells::query(cells, columns);
        let four = row.four_rounds();
        let [full, single] = [row.full.clone(), is(&row.feed, feed::SINGLE, feed::LAST)];
        let one = || Expression::Constant(Fr::ONE);
        vec![
            row.unit.clone() * (row.power[0].clone() - fourth(&row.state[0])),
            full.clone() * (row.power[1].clone() - fourth(&row.state[1]))
                + single.clone() * (row.power[1].clone() - one())
                + row.four.clone() * (row.power[1].clone() - square(&four.second)),
            full * (row.power[2].clone() - fourth(&row.state[2]))
                + single * (row.power[2].clone() - one())
                + row.four.clone() * (row.power[2].clone() - four.third),
            row.four.clone() * (row.extra[0].clone() - fourth(&row.power[2])),
            row.four.clone() * (row.extra[1].clone() - square(&four.fourth)),
        ]
    });
    meta.create_gate("state", |cells| {
        let row = Cells::query(cells, columns);
        let four = row.four_rounds();
        let [single, leaf, salt] = [feed::SINGLE, feed::LEAF, feed::SALT].map(|code| is(&row.feed, code, feed::LAST));
        let absorbs = is(&row.bus, bus::ABSORB, bus::LAST) + is(&row.bus, bus::CHILDREN, bus::LAST);
        let score = Limbs::query(cells, columns).score();
        let mixed = row.mixed();
        let all_lanes = row.full.clone() + single;
        // A leaf begins with its tag and its score; of the state before it only lane 1 stays, the commitment.
        let outer_lanes = all_lanes.clone() - leaf.clone();
        let added = |lane: usize| row.unit.clone() * (row.next[lane].clone() - row.constants[lane].clone());
        vec![
            added(0) - outer_lanes.clone() * mixed[0].clone() - row.four.clone() * four.next[0].clone(),
            added(1)
                - all_lanes * mixed[1].clone()
                - row.four.clone() * (four.next[1].clone() - row.constants[1].clone())
                - (absorbs.clone() + salt) * row.extra[0].clone(),
            added(2)
                - outer_lanes * mixed[2].clone()
                - row.four.clone() * (four.next[2].clone() - row.constants[2].clone())
                - absorbs * row.extra[1].clone()
                - leaf * score,
        ]
    });
}

/// Fills the rows of a permutation from the state before the first S-boxes, and returns the state after the last round.
pub fn fill(layout: &[WindowRow], rows: &mut [FirstPhaseRow], range: Range<usize>, mut state: State) -> State {
    for (layout, row) in layout[range.clone()].iter().zip(&mut rows[range]) {
        row.state = state;
        state = match layout.hash {
            HashRow::Full(round) => {
                row.power = state.each_ref().map(quad);
                full_round(round, &state)
            }
            HashRow::Single(round) => {
                row.power = [quad(&state[0]), Fr::ONE, Fr::ONE];
                partial_round(round, &state)
            }
            HashRow::Four(first) => {
                let four = four_partial_rounds(first, &state);
                let [second, third, fourth] = four.inputs;
                row.power = [quad(&state[0]), second.square(), third];
                row.extra = [quad(&third), fourth.square()];
                four.next
            }
            HashRow::Idle => unreachable!("the rows of a permutation have rounds"),
        };
    }
    state
}

/// Writes the state after the last round to the row that gives it out. The power of lane 0 is asked for on every row.
pub fn end(row: &mut FirstPhaseRow, state: State) {
    row.state = state;
    row.power[0] = quad(&state[0]);
}

/// State before the first S-boxes of a permutation that begins with a tag and two elements.
pub fn begin(tag: Fr, message: [Fr; 2]) -> State {
    absorb(&[tag, Fr::ZERO, Fr::ZERO], message)
}

/// State before the first S-boxes of a permutation that goes on from a state and absorbs two elements.
pub fn absorb(state: &State, [first, second]: [Fr; 2]) -> State {
    let added = rounds::constants()[0];
    [state[0] + added[0], state[1] + first + added[1], state[2] + second + added[2]]
}

fn quad(x: &Fr) -> Fr {
    x.square().square()
}

/// The cells of a row.
struct Cells {
    state: [Expression<Fr>; 3],
    next: [Expression<Fr>; 3],
    power: [Expression<Fr>; 3],
    extra: [Expression<Fr>; 2],
    constants: [Expression<Fr>; 4],
    full: Expression<Fr>,
    four: Expression<Fr>,
    feed: Expression<Fr>,
    bus: Expression<Fr>,
    unit: Expression<Fr>,
}

/// Four partial rounds, as expressions of a row's cells.
struct FourRounds {
    /// Degree 2.
    second: Expression<Fr>,
    /// Degree 4.
    third: Expression<Fr>,
    /// Degree 2.
    fourth: Expression<Fr>,
    /// Degree 4.
    next: [Expression<Fr>; 3],
}

impl Cells {
    fn query(cells: &mut VirtualCells<'_, Fr>, columns: &Columns) -> Self {
        Self {
            state: columns.state.map(|column| cells.query_advice(column, Rotation::cur())),
            next: columns.state.map(|column| cells.query_advice(column, Rotation::next())),
            power: columns.power.map(|column| cells.query_advice(column, Rotation::cur())),
            extra: columns.extra.map(|column| cells.query_advice(column, Rotation::cur())),
            constants: columns.constants.map(|column| cells.query_fixed(column, Rotation::cur())),
            full: cells.query_fixed(columns.full, Rotation::cur()),
            four: cells.query_fixed(columns.four, Rotation::cur()),
            feed: cells.query_fixed(columns.feed, Rotation::cur()),
            bus: cells.query_fixed(columns.bus, Rotation::cur()),
            unit: cells.query_fixed(columns.unit, Rotation::cur()),
        }
    }

    /// The state after S-boxes on all lanes and the matrix. Degree 2.
    fn mixed(&self) -> [Expression<Fr>; 3] {
        let boxed: [_; 3] = std::array::from_fn(|lane| self.power[lane].clone() * self.state[lane].clone());
        poseidon::constants().mds.map(|row| sum(row.into_iter().zip(boxed.clone())))
    }

    fn four_rounds(&self) -> FourRounds {
        let matrix = &poseidon::constants().mds;
        let [_, second_added, third_added, fourth_added] = self.constants.clone();
        let mut lanes = [1, 2].map(Combination::of);
        // Lane 0 after a round, and lanes 1 and 2, given the S-box of lane 0.
        let mix = |boxed: Combination, lanes: [Combination; 2]| -> [Combination; 3] {
            matrix.map(|row| boxed.times(row[0]).plus(lanes[0].times(row[1])).plus(lanes[1].times(row[2])))
        };
        let [second, lane1, lane2] = mix(Combination::of(0), lanes);
        lanes = [lane1, lane2];
        // The second S-box is what makes the third input, a cell, of the lanes and the constant.
        let inverse = matrix[0][0].invert().expect("no entry of the matrix is zero");
        let from_lanes = lanes[0].times(matrix[0][1]).plus(lanes[1].times(matrix[0][2]));
        let second_boxed = Combination::of(3).minus(Combination::of(4)).minus(from_lanes).times(inverse);
        let [_, lane1, lane2] = mix(second_boxed, lanes);
        lanes = [lane1, lane2];
        let [fourth, lane1, lane2] = mix(Combination::of(5), lanes);
        lanes = [lane1, lane2];
        let next = mix(Combination::of(6), lanes);

        let first_boxed = self.power[0].clone() * self.state[0].clone();
        let third = self.power[2].clone();
        let third_boxed = self.extra[0].clone() * third.clone();
        let zero = || Expression::Constant(Fr::ZERO);
        let basis = |fourth_boxed| {
            let [_, lane1, lane2] = self.state.clone();
            [first_boxed.clone(), lane1, lane2, third.clone(), third_added.clone(), third_boxed.clone(), fourth_boxed]
        };
        let second = second.on(basis(zero())) + second_added;
        let fourth = fourth.on(basis(zero())) + fourth_added;
        let second_boxed = square(&self.power[1]) * second.clone();
        let fourth_boxed = square(&self.extra[1]) * fourth.clone();
        let third = second_boxed * matrix[0][0] + from_lanes.on(basis(zero())) + third_added.clone();
        FourRounds { second, third, fourth, next: next.map(|lane| lane.on(basis(fourth_boxed.clone()))) }
    }
}

/// A linear combination of seven things: the first S-box, lanes 1 and 2 before it, the third S-box input, the constant
/// in it, the third and the fourth S-box.
#[derive(Clone, Copy)]
struct Combination([Fr; 7]);

impl Combination {
    fn of(index: usize) -> Self {
        let mut coefficients = [Fr::ZERO; 7];
        coefficients[index] = Fr::ONE;
        Self(coefficients)
    }

    fn times(self, by: Fr) -> Self {
        Self(self.0.map(|coefficient| coefficient * by))
    }

    fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|index| self.0[index] + other.0[index]))
    }

    fn minus(self, other: Self) -> Self {
        self.plus(other.times(-Fr::ONE))
    }

    fn on(self, basis: [Expression<Fr>; 7]) -> Expression<Fr> {
        sum(self.0.into_iter().zip(basis))
    }
}

/// Sum of products; terms with the coefficient 0 are left out.
fn sum(terms: impl IntoIterator<Item = (Fr, Expression<Fr>)>) -> Expression<Fr> {
    let products = terms.into_iter().filter(|(by, _)| *by != Fr::ZERO).map(|(by, term)| term * by);
    products.reduce(|sum, product| sum + product).unwrap_or(Expression::Constant(Fr::ZERO))
}

fn square(x: &Expression<Fr>) -> Expression<Fr> {
    x.clone() * x.clone()
}

fn fourth(x: &Expression<Fr>) -> Expression<Fr> {
    square(&square(x))
}
