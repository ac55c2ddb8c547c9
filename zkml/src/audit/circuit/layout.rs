//! A model laid out on rows: the values of all fixed columns.
//!
//! The rows of a window repeat in every slot, up to the coefficients, the range tables, and the first slot's node, which
//! does not count: the tree has one node less than windows.

use halo2_axiom::halo2curves::{bn256::Fr, ff::Field};
use hygeia_gpu_kernels::poseidon::State;
use hygeia_inference::IntegerNetwork;

use super::{
    codes::{bus_code, feed_code, stage, unit_code},
    columns::FixedRow,
    rounds,
    window::{Feed, HashRow, Window, WindowRow},
};
use crate::{
    audit::{
        equations::{self, LIMB_BITS, Term, UPPER_INPUT_BITS},
        plan::{AuditPlan, AuditPlanError},
        tree::{leaf_tag, node_tag},
    },
    statement::domain_tag,
};

/// Capacity tags of the three kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tags {
    /// Of a window's commitment.
    pub window: Fr,
    /// Of a leaf.
    pub leaf: Fr,
    /// Of a node.
    pub node: Fr,
}

/// A model laid out on rows. Two models of one shape differ in coefficients and tags alone.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The shape.
    pub plan: AuditPlan,
    /// The rows of one window.
    pub window: Window,
    /// Values of the fixed columns: the windows, a period of totals, and the last row of the balance.
    pub fixed: Vec<FixedRow>,
    /// Rows of the range tables, by number: beside neurons, beside features.
    pub tables: [Vec<usize>; 2],
    /// Tags of what is hashed.
    pub tags: Tags,
}

impl Layout {
    /// Lays a network out on a plan.
    pub fn new(plan: AuditPlan, network: &IntegerNetwork, schema_hash: [u8; 32]) -> Result<Self, AuditPlanError> {
        plan.check()?;
        let dims = network.dims();
        let (inputs, neurons) = (dims[0], dims[1..].iter().sum());
        if (plan.inputs, plan.neurons) != (inputs, neurons) {
            return Err(AuditPlanError::Shape { inputs, neurons });
        }
        let window = Window::new(inputs, neurons);
        let tags = Tags { window: domain_tag(schema_hash, inputs), leaf: leaf_tag(), node: node_tag(plan.slots) };
        let of_window: Vec<FixedRow> = window.rows.iter().map(|row| fixed_row(row, &tags)).collect();
        let mut fixed = of_window.repeat(plan.slots);
        fixed.resize((plan.slots + 1) * window.period + 1, FixedRow::default());
        let mut layout = Self { plan, window, fixed, tables: [Vec::new(), Vec::new()], tags };
        layout.lay_out_digests();
        layout.lay_out_stages();
        layout.lay_out_tables();
        layout.lay_out_coefficients(network);
        Ok(layout)
    }

    /// Rows of one slot.
    pub fn slot(&self, slot: usize) -> std::ops::Range<usize> {
        slot * self.window.period..(slot + 1) * self.window.period
    }

    /// Digests of nodes count without a flag, but for the first slot's, which is none.
    fn lay_out_digests(&mut self) {
        for slot in 1..self.plan.slots {
            let row = self.slot(slot).start + self.window.node;
            self.fixed[row].constants[3] = Fr::ONE;
        }
    }

    fn lay_out_stages(&mut self) {
        let (first, totals) = (self.slot(0), self.slot(self.plan.slots));
        let last = totals.end;
        self.fixed[first].iter_mut().for_each(|row| row.stage = stage::START);
        self.fixed[totals].iter_mut().for_each(|row| row.stage = stage::TOTALS);
        self.fixed[0].stage = stage::EDGE;
        self.fixed[last].stage = stage::EDGE;
    }

    /// The tables take the first rows they find; rows left over repeat the number 0.
    fn lay_out_tables(&mut self) {
        let period = self.window.period;
        let rows_with_table = |of_inputs: bool| {
            let rows = &self.window.rows;
            let holds = move |&row: &usize| {
                let row = &rows[row % period];
                row.holds_table() && row.is_inputs() == of_inputs
            };
            (0..self.plan.slots * period).filter(holds)
        };
        let tables = [
            rows_with_table(false).take(1 << LIMB_BITS).collect(),
            rows_with_table(true).take(1 << UPPER_INPUT_BITS).collect(),
        ];
        for table in &tables {
            let table: &Vec<usize> = table;
            for (number, &row) in (0_u64..).zip(table) {
                self.fixed[row].constants[3] = Fr::from(number);
            }
        }
        self.tables = tables;
    }

    /// Beside the last window stands the equation whose power of the challenge is 0, before it that of 1, and so on.
    fn lay_out_coefficients(&mut self, network: &IntegerNetwork) {
        let (children, leaf, node) = (self.window.children, self.window.leaf, self.window.node);
        // Links: leaves are multiplied by the window challenge once for each slot, nodes once, children not at all.
        *self.coefficient(0, children, 0) = -Fr::ONE;
        *self.coefficient(self.plan.slots - 1, leaf, 1) = Fr::ONE;
        *self.coefficient(0, node, 1) = Fr::ONE;
        // Flags of leaves, then those of nodes.
        *self.coefficient(1, leaf, 0) = Fr::ONE;
        *self.coefficient(2, node, 0) = Fr::ONE;
        for (index, equation) in equations::of_network(network).into_iter().enumerate() {
            for (term, by) in equation {
                let (row, place) = self.place(term);
                *self.coefficient(equations::EQUATIONS_BEFORE_ELEMENTS + index, row, place) += by;
            }
        }
    }

    fn coefficient(&mut self, equation: usize, row: usize, place: usize) -> &mut Fr {
        let slot = self.plan.slots - 1 - equation;
        let row = self.slot(slot).start + row;
        &mut self.fixed[row].coefficients[place]
    }

    /// Row and place of a number in its window.
    fn place(&self, term: Term) -> (usize, usize) {
        match term {
            Term::Digit(index) => (self.window.inputs[index / 2], index % 2),
            Term::Sum(index) => (self.window.neurons[index], 0),
            Term::Activation(index) => (self.window.neurons[index], 1),
            Term::Element(index) => (self.window.absorptions[index / 2], index % 2),
            Term::One => (self.window.children, 1),
        }
    }
}

fn fixed_row(row: &WindowRow, tags: &Tags) -> FixedRow {
    let unit = unit_code(row);
    let on = |is_on: bool| if is_on { unit } else { 0 };
    FixedRow {
        constants: constants(row, tags),
        full: on(matches!(row.hash, HashRow::Full(_))),
        four: on(matches!(row.hash, HashRow::Four(_))),
        feed: feed_code(row),
        bus: bus_code(row),
        unit,
        ..FixedRow::default()
    }
}

/// What a row adds: to the state of the next row, and beside four partial rounds to its own S-box inputs.
fn constants(row: &WindowRow, tags: &Tags) -> [Fr; 4] {
    let before = |round: usize| -> State { rounds::constants()[round] };
    let begin = |tag: Fr| {
        let [lane0, lane1, lane2] = before(0);
        [lane0 + tag, lane1, lane2]
    };
    let lanes = match (row.feed, row.hash) {
        (Feed::BeginWindow, _) => begin(tags.window),
        (Feed::BeginLeaf, _) => begin(tags.leaf),
        (Feed::BeginNode, _) => begin(tags.node),
        (Feed::Absorb | Feed::Salt, _) => before(0),
        (Feed::None, HashRow::Full(round) | HashRow::Single(round)) => before(round + 1),
        (Feed::None, HashRow::Four(first)) => {
            let [next, second, third, fourth] = [4, 1, 2, 3].map(|after| before(first + after)[0]);
            return [next, second, third, fourth];
        }
        (Feed::None, HashRow::Idle) => [Fr::ZERO; 3],
    };
    let [lane0, lane1, lane2] = lanes;
    [lane0, lane1, lane2, Fr::ZERO]
}
