//! The alert circuit: one window, one score, generated from a network's description.
//!
//! ```text
//! rows          what lies there
//! 0, 1          the opening seam: running sums begin with what the public values count for
//! 2 ..          the network, node by node and layer by layer (layout); beside it the range table
//! then          the Poseidon hash of packed features and salt, and the closing seam: all sums are 0
//! last 9        blinding
//! ```
//!
//! Three advice columns of the first phase hold limbs, cells and random masks; four of the second hold three sums of the
//! network and one of the range argument. The fixed columns are the weights, the range table, three columns of
//! selector codes, and one more for convolutions. [`plan`] chooses the size, [`layout`] places a model on it, and each
//! gate stands beside the function that satisfies it: [`node`], [`layers`], [`range`], [`hash`]. There is no permutation
//! argument and no lookup of halo2's: [`layers`] compares what must be equal on different rows.
//!
//! All gates have degree 5 or less. halo2-axiom silently cuts higher degrees off, after which proofs never verify, so
//! [`gate_degree`] is asserted when columns are configured and again when a key is made or read.

pub mod codes;
pub mod columns;
pub mod hash;
pub mod layers;
pub mod layout;
pub mod node;
pub mod plan;
pub mod range;
pub mod witness;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use halo2_axiom::{
    circuit::{Layouter, Region, SimpleFloorPlanner, Value},
    halo2curves::bn256::Fr,
    plonk::{Advice, Circuit, Column, ConstraintSystem, Error, Fixed},
};

use columns::{Challenges, Columns, FixedValues, SecondPhaseValues};
use layout::Layout;
use plan::Plan;
use witness::Witness;

/// Degree of the circuit's polynomials, and the most that halo2-axiom allows for.
pub const DEGREE: usize = 5;

/// The circuit of one model, with or without a witness.
#[derive(Clone)]
pub struct AlertCircuit {
    layout: Arc<Layout>,
    witness: Option<Arc<Witness>>,
}

impl AlertCircuit {
    /// The circuit alone, to generate keys.
    pub fn without_witness(layout: Arc<Layout>) -> Self {
        Self { layout, witness: None }
    }

    /// The circuit with a witness, to prove.
    pub fn with_witness(layout: Arc<Layout>, witness: Witness) -> Self {
        Self { layout, witness: Some(Arc::new(witness)) }
    }
}

impl Circuit<Fr> for AlertCircuit {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = Plan;

    fn params(&self) -> Plan {
        self.layout.plan.clone()
    }

    fn without_witnesses(&self) -> Self {
        Self::without_witness(Arc::clone(&self.layout))
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> Columns {
        unreachable!("halo2-axiom is built with circuit-params and configures with a plan")
    }

    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, plan: Plan) -> Columns {
        configure(meta, &plan)
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let second = |witness: &Witness, challenges: &Challenges| second_phase(&self.layout, witness, challenges);
        synthesize(&self.layout, self.witness.as_deref(), second, &columns, &mut layouter)
    }
}

/// Highest degree of all gates, whatever halo2-axiom makes of it.
pub fn gate_degree(meta: &ConstraintSystem<Fr>) -> usize {
    let polynomials = meta.gates().iter().flat_map(|gate| gate.polynomials());
    polynomials.map(|polynomial| polynomial.degree()).max().unwrap_or(0)
}

/// Columns and gates.
fn configure(meta: &mut ConstraintSystem<Fr>, plan: &Plan) -> Columns {
    let columns = Columns::allocate(meta, plan);
    node::configure(meta, &columns);
    layers::configure(meta, &columns, plan);
    range::configure(meta, &columns);
    hash::configure(meta, &columns);
    assert!(gate_degree(meta) <= DEGREE, "gates are built to stay at degree {DEGREE}");
    columns
}

/// All that the second phase holds.
pub(crate) fn second_phase(layout: &Layout, witness: &Witness, challenges: &Challenges) -> SecondPhaseValues {
    let mut values = layers::sums(layout, &witness.first, &witness.public, challenges);
    values.tally = range::tally(layout, &witness.first, challenges.range);
    values
}

/// Writes all columns. Regions of halo2-axiom begin at row 0, so rows here are rows of the circuit.
///
/// Key generation knows no witness and no challenge, and stops after the first phase. A mock prover runs this once for
/// each phase, a real one once for both.
fn synthesize(
    layout: &Layout,
    witness: Option<&Witness>,
    second: impl Fn(&Witness, &Challenges) -> SecondPhaseValues,
    columns: &Columns,
    layouter: &mut impl Layouter<Fr>,
) -> Result<(), Error> {
    layouter.assign_region(
        || "first phase",
        |mut region| {
            assign_fixed_columns(&mut region, columns, &layout.fixed);
            if let Some(Witness { first, .. }) = witness {
                assign_column(&mut region, columns.limb, &first.limb);
                assign_column(&mut region, columns.cell, &first.cell);
                assign_column(&mut region, columns.mask, &first.mask);
            }
            Ok(())
        },
    )?;

    layouter.next_phase();
    let (Some(witness), Some(challenges)) = (witness, known_challenges(columns, layouter)) else {
        return Ok(());
    };
    let second = second(witness, &challenges);
    layouter.assign_region(
        || "second phase",
        |mut region| {
            assign_column(&mut region, columns.weight, &second.weight);
            assign_column(&mut region, columns.place, &second.place);
            assign_column(&mut region, columns.sum, &second.sum);
            assign_column(&mut region, columns.tally, &second.tally);
            Ok(())
        },
    )
}

fn known_challenges(columns: &Columns, layouter: &impl Layouter<Fr>) -> Option<Challenges> {
    let known = |challenge| {
        let mut value = None;
        layouter.get_challenge(challenge).map(|known| value = Some(known));
        value
    };
    Some(Challenges {
        node: known(columns.node_challenge)?,
        layer: known(columns.layer_challenge)?,
        range: known(columns.range_challenge)?,
    })
}

fn assign_fixed_columns(region: &mut Region<'_, Fr>, columns: &Columns, values: &FixedValues) {
    for (&column, values) in columns.lanes.iter().zip(&values.lanes) {
        assign_fixed_column(region, column, values.iter().copied());
    }
    let units = values.kind.iter().map(|kind| kind.codes()[0]);
    let rounds = values.kind.iter().map(|kind| kind.codes()[1]);
    assign_fixed_column(region, columns.table, values.table.iter().copied().map(Fr::from));
    assign_fixed_column(region, columns.mark, values.mark.iter().copied().map(Fr::from));
    assign_fixed_column(region, columns.unit, units.map(Fr::from));
    assign_fixed_column(region, columns.round, rounds.map(Fr::from));
    if let Some(jump) = columns.jump {
        assign_fixed_column(region, jump, values.jump.iter().copied().map(Fr::from));
    }
}

fn assign_fixed_column(region: &mut Region<'_, Fr>, column: Column<Fixed>, values: impl Iterator<Item = Fr>) {
    for (row, value) in values.enumerate() {
        region.assign_fixed(column, row, value);
    }
}

fn assign_column(region: &mut Region<'_, Fr>, column: Column<Advice>, values: &[Fr]) {
    for (row, &value) in values.iter().enumerate() {
        region.assign_advice(column, row, Value::known(value));
    }
}
