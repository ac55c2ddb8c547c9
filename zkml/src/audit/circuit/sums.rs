//! One check of all linear equations of all windows.
//!
//! Each row has two places: numbers of its window that equations speak about. Two columns of the second phase sum a place
//! over the windows, `sum' = w sum + number`, with a challenge `w`. Two more build the place's factor over the equations,
//! `factor' = e factor + coefficient`: the fixed columns hold the coefficients of one equation beside each window, the
//! last equation first, so that equation `i` ends up with `e^i`. After the last window stand the totals, and there
//!
//! ```text
//! sum over places of  factor * sum  =  sum over equations i, windows b of  e^i w^(slots - 1 - b) (equation i in window b)
//! ```
//!
//! must be 0. All numbers are fixed before `e` and `w` are drawn, so one equation that is wrong in one window leaves a
//! polynomial that is not 0, of some 2^13 in degree, and the check fails but for so many challenges out of 2^254. Each
//! weight is multiplied once for all windows, and each number once for all equations.
//!
//! Equations 0 to 2 are of another kind. **Equation 0** links the tree: node `t` has the id `slots + t`, leaf `b` the id
//! `b`, and a digest is added with `w^(2 slots - 1 - id)` where it comes out and taken off where it goes in, the root
//! beside the public value. A window holds one node, whose children's ids advance by two a window: hence `w^2` on that row;
//! hence also the factor of `w` instead of `e` where digests come out, which brings leaves above nodes. **Equation 1** says
//! that as many leaves count as is public, **equation 2** that no node needs a flag to count.

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{ConstraintSystem, Expression},
    poly::Rotation,
};

use super::{
    codes::{bus, stage, unit},
    columns::{Challenges, Columns, FirstPhaseRow, FixedRow, SecondPhaseRow},
    layout::Layout,
    units::Limbs,
};
use crate::circuit::{codes::is, node::Number};

/// Gates of sums, factors and their totals, and the ends of the balance.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns, period: usize) {
    let next_window = Rotation(i32::try_from(period).expect("a plan's windows are short"));
    meta.create_gate("sums", |cells| {
        let sums = columns.sums.map(|column| cells.query_advice(column, Rotation::cur()));
        let next = columns.sums.map(|column| cells.query_advice(column, next_window));
        let node = Node {
            limbs: Limbs::query(cells, columns),
            extra: columns.extra.map(|column| cells.query_advice(column, Rotation::cur())),
            digest: cells.query_advice(columns.state[1], Rotation::cur()),
            counts_always: cells.query_fixed(columns.constants[3], Rotation::cur()),
        };
        let window = cells.query_challenge(columns.window_challenge);
        let [unit, bus] = [columns.unit, columns.bus].map(|column| cells.query_fixed(column, Rotation::cur()));
        let [neuron, inputs] = [unit::NEURON, unit::INPUTS].map(|code| is(&unit, code, unit::LAST));
        let [absorb, children, out] = [bus::ABSORB, bus::CHILDREN, bus::OUT].map(|code| is(&bus, code, bus::LAST));
        let two = Fr::from(unit::INPUTS);

        let [at_neuron, at_inputs] = [node.of_neuron(), node.of_inputs()];
        let [at_absorb, at_children, at_out] =
            [node.of_absorption(), node.of_children(&window, &sums[0]), node.of_digest(&window, &sums[0])];
        // Rows of the tree have the unit of a neuron, but are none.
        let neuron = neuron - absorb.clone() - children.clone() - out.clone();
        let place = |place: usize| {
            unit.clone() * (next[place].clone() - window.clone() * sums[place].clone())
                - neuron.clone() * at_neuron[place].clone()
                - inputs.clone() * at_inputs[place].clone() * two
                - absorb.clone() * at_absorb[place].clone()
                - children.clone() * at_children[place].clone()
                - out.clone() * at_out[place].clone()
        };
        vec![place(0), place(1)]
    });
    meta.create_gate("factors", |cells| {
        let factors = columns.factors.map(|column| cells.query_advice(column, Rotation::cur()));
        let next = columns.factors.map(|column| cells.query_advice(column, next_window));
        let coefficients = columns.coefficients.map(|column| cells.query_fixed(column, Rotation::cur()));
        let equation = cells.query_challenge(columns.equation_challenge);
        let window = cells.query_challenge(columns.window_challenge);
        let [unit, bus] = [columns.unit, columns.bus].map(|column| cells.query_fixed(column, Rotation::cur()));
        let out = is(&bus, bus::OUT, bus::LAST);
        let step = |place: usize| {
            let (factor, coefficient) = (factors[place].clone(), coefficients[place].clone());
            unit.clone() * (next[place].clone() - equation.clone() * factor - coefficient)
        };
        let (factor, coefficient) = (factors[1].clone(), coefficients[1].clone());
        let one = Expression::Constant(Fr::ONE);
        let instead = (window.clone() - equation.clone()) * factor + (window - one) * coefficient;
        vec![step(0), step(1) - out * instead]
    });
    meta.create_gate("totals", |cells| {
        let stage = cells.query_fixed(columns.stage, Rotation::cur());
        let [start, totals, edge] =
            [stage::START, stage::TOTALS, stage::EDGE].map(|code| is(&stage, code, stage::LAST));
        let sums = columns.sums.map(|column| cells.query_advice(column, Rotation::cur()));
        let factors = columns.factors.map(|column| cells.query_advice(column, Rotation::cur()));
        let [balance, next] =
            [Rotation::cur(), Rotation::next()].map(|rotation| cells.query_advice(columns.balance, rotation));
        let [root, count] =
            [Rotation::cur(), Rotation::next()].map(|rotation| cells.query_instance(columns.public, rotation));
        let equation = cells.query_challenge(columns.equation_challenge);
        let window = cells.query_challenge(columns.window_challenge);
        let starts = start + edge.clone();
        let [first, second] = [0, 1].map(|place| factors[place].clone() * sums[place].clone());
        let public = equation * count - window * root;
        let zero = sums.into_iter().chain(factors).map(|cell| starts.clone() * cell);
        zero.chain([
            totals * (next - balance.clone() - first - second),
            // Public values are 0 beyond the first two, so this is 0 on the last row.
            edge * (balance - public),
        ])
        .collect::<Vec<_>>()
    });
}

/// All that the second phase holds: the windows, a period of totals, and the last row of the balance. `public` are root
/// and count.
pub fn second_phase(
    layout: &Layout,
    rows: &[FirstPhaseRow],
    public: [Fr; 2],
    challenges: &Challenges,
) -> Vec<SecondPhaseRow> {
    let period = layout.window.period;
    let windows = layout.plan.slots * period;
    let mut values = vec![SecondPhaseRow::ZERO; windows + period + 1];
    for row in 0..windows {
        let (fixed, first, second) = (&layout.fixed[row], &rows[row], values[row]);
        values[row + period].sums = next_sums(fixed, first, &second, challenges);
        values[row + period].factors = next_factors(fixed, &second, challenges);
    }
    let fractions = super::range::fractions(&layout.fixed[..windows], rows, challenges);
    let [root, count] = public;
    let mut balance = challenges.equation * count - challenges.window * root;
    for (row, value) in values.iter_mut().enumerate() {
        value.balance = balance;
        let SecondPhaseRow { sums, factors, .. } = *value;
        match fractions.get(row) {
            Some(&[fraction, others]) => {
                value.fraction = fraction;
                balance += fraction + others;
            }
            None => balance += sums[0] * factors[0] + sums[1] * factors[1],
        }
    }
    values
}

fn next_sums(fixed: &FixedRow, first: &FirstPhaseRow, second: &SecondPhaseRow, challenges: &Challenges) -> [Fr; 2] {
    let node = Node {
        limbs: Limbs(first.limbs),
        extra: first.extra,
        digest: first.state[1],
        counts_always: fixed.constants[3],
    };
    let sums = second.sums;
    let added = match (fixed.bus, fixed.unit) {
        (bus::ABSORB, _) => node.of_absorption(),
        (bus::CHILDREN, _) => node.of_children(&challenges.window, &sums[0]),
        (bus::OUT, _) => node.of_digest(&challenges.window, &sums[0]),
        (_, unit::INPUTS) => node.of_inputs(),
        _ => node.of_neuron(),
    };
    std::array::from_fn(|place| challenges.window * sums[place] + added[place])
}

fn next_factors(fixed: &FixedRow, second: &SecondPhaseRow, challenges: &Challenges) -> [Fr; 2] {
    let [first, last] = second.factors;
    let by_equation = |factor: Fr, coefficient: Fr| challenges.equation * factor + coefficient;
    let last = match fixed.bus {
        bus::OUT => challenges.window * (last + fixed.coefficients[1]),
        _ => by_equation(last, fixed.coefficients[1]),
    };
    [by_equation(first, fixed.coefficients[0]), last]
}

/// What a row adds to its two sums: numbers, or expressions.
struct Node<T> {
    limbs: Limbs<T>,
    extra: [T; 2],
    digest: T,
    counts_always: T,
}

impl<T: Number> Node<T> {
    fn of_neuron(&self) -> [T; 2] {
        [self.limbs.sum(), self.limbs.activation()]
    }

    fn of_inputs(&self) -> [T; 2] {
        self.limbs.digits()
    }

    fn of_absorption(&self) -> [T; 2] {
        self.extra.clone()
    }

    /// `sum' = w^2 (sum + w left + right)`, and beside it 1 for every window.
    fn of_children(&self, window: &T, sum: &T) -> [T; 2] {
        let [left, right] = self.extra.clone();
        let square = window.clone() * window.clone();
        let children = square * (sum.clone() + window.clone() * left + right) - window.clone() * sum.clone();
        [children, T::constant(Fr::ONE)]
    }

    /// `sum' = sum - flag`, and beside it the digest if it counts.
    fn of_digest(&self, window: &T, sum: &T) -> [T; 2] {
        let flag = self.limbs.0[3].clone();
        let flags = sum.clone() - window.clone() * sum.clone() - flag.clone();
        [flags, (self.counts_always.clone() + flag) * self.digest.clone()]
    }
}
