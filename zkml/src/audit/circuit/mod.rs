//! The audit circuit: many windows, one tree, generated from a network's description.
//!
//! ```text
//! rows               what lies there
//! 0 ..               the windows, one after the other, each on the same number of rows (window)
//! then               a period of totals: each row's sums over all windows, and their factors (sums)
//! then               the end of the balance
//! last 6             blinding
//! ```
//!
//! Thirteen advice columns of the first phase hold the hash, the limbs and random masks; six of the second hold sums,
//! their factors, and the balance of everything. There is no permutation argument: what must be equal in two places is
//! one more linear equation. [`window`] places one window, [`layout`] a model, and each gate stands beside the function
//! that satisfies it: [`permutation`], [`units`], [`range`], [`sums`].
//!
//! All gates have degree 5 or less, which is asserted when columns are configured and again when a key is made or read.

pub mod codes;
pub mod columns;
pub mod layout;
pub mod permutation;
pub mod range;
pub mod rounds;
pub mod sums;
pub mod units;
pub mod window;
pub mod witness;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use halo2_axiom::{
    circuit::{Layouter, Region, SimpleFloorPlanner, Value},
    halo2curves::bn256::Fr,
    plonk::{Advice, Circuit, Column, ConstraintSystem, Error, Fixed},
};

use super::plan::AuditPlan;
use crate::circuit::{DEGREE, gate_degree};
use columns::{Challenges, Columns, FirstPhaseRow, FixedRow, SecondPhaseRow};
use layout::Layout;
use window::Window;
use witness::Witness;

/// The circuit of one model, with or without a witness.
#[derive(Clone)]
pub struct AuditCircuit {
    layout: Arc<Layout>,
    witness: Option<Arc<Witness>>,
}

impl AuditCircuit {
    /// The circuit alone, to generate keys.
    pub fn without_witness(layout: Arc<Layout>) -> Self {
        Self { layout, witness: None }
    }

    /// The circuit with a witness, to prove.
    pub fn with_witness(layout: Arc<Layout>, witness: Arc<Witness>) -> Self {
        Self { layout, witness: Some(witness) }
    }
}

impl Circuit<Fr> for AuditCircuit {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = AuditPlan;

    fn params(&self) -> AuditPlan {
        self.layout.plan.clone()
    }

    fn without_witnesses(&self) -> Self {
        Self::without_witness(Arc::clone(&self.layout))
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> Columns {
        unreachable!("halo2-axiom is built with circuit-params and configures with a plan")
    }

    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, plan: AuditPlan) -> Columns {
        configure(meta, &plan)
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        synthesize(&self.layout, self.witness.as_deref(), second_phase, &columns, &mut layouter)
    }
}

/// Columns and gates.
fn configure(meta: &mut ConstraintSystem<Fr>, plan: &AuditPlan) -> Columns {
    let columns = Columns::allocate(meta);
    permutation::configure(meta, &columns);
    units::configure(meta, &columns);
    range::configure(meta, &columns);
    sums::configure(meta, &columns, Window::new(plan.inputs, plan.neurons).period);
    assert!(gate_degree(meta) <= DEGREE, "gates are built to stay at degree {DEGREE}");
    columns
}

/// All that the second phase holds.
fn second_phase(layout: &Layout, witness: &Witness, challenges: &Challenges) -> Vec<SecondPhaseRow> {
    sums::second_phase(layout, &witness.rows, witness.public().instances(), challenges)
}

/// Writes all columns. Regions of halo2-axiom begin at row 0, so rows here are rows of the circuit.
///
/// Key generation knows no witness and no challenge, and stops after the first phase. A mock prover runs this once for
/// each phase, a real one once for both.
fn synthesize(
    layout: &Layout,
    witness: Option<&Witness>,
    second: impl Fn(&Layout, &Witness, &Challenges) -> Vec<SecondPhaseRow>,
    columns: &Columns,
    layouter: &mut impl Layouter<Fr>,
) -> Result<(), Error> {
    layouter.assign_region(
        || "first phase",
        |mut region| {
            assign_fixed_columns(&mut region, columns, &layout.fixed);
            if let Some(witness) = witness {
                assign_first_phase(&mut region, columns, &witness.rows);
                assign_column(&mut region, columns.mask, witness.mask.iter().copied());
            }
            Ok(())
        },
    )?;

    layouter.next_phase();
    let (Some(witness), Some(challenges)) = (witness, known_challenges(columns, layouter)) else {
        return Ok(());
    };
    let second = second(layout, witness, &challenges);
    layouter.assign_region(
        || "second phase",
        |mut region| {
            assign_second_phase(&mut region, columns, &second);
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
        equation: known(columns.equation_challenge)?,
        window: known(columns.window_challenge)?,
        range: known(columns.range_challenge)?,
        table: known(columns.table_challenge)?,
    })
}

fn assign_fixed_columns(region: &mut Region<'_, Fr>, columns: &Columns, rows: &[FixedRow]) {
    let mut assign = |column: Column<Fixed>, value: &dyn Fn(&FixedRow) -> Fr| {
        for (row, values) in rows.iter().enumerate() {
            region.assign_fixed(column, row, value(values));
        }
    };
    for (index, &column) in columns.constants.iter().enumerate() {
        assign(column, &|row| row.constants[index]);
    }
    assign(columns.full, &|row| Fr::from(row.full));
    assign(columns.four, &|row| Fr::from(row.four));
    assign(columns.feed, &|row| Fr::from(row.feed));
    assign(columns.bus, &|row| Fr::from(row.bus));
    assign(columns.unit, &|row| Fr::from(row.unit));
    assign(columns.stage, &|row| Fr::from(row.stage));
    for (index, &column) in columns.coefficients.iter().enumerate() {
        assign(column, &|row| row.coefficients[index]);
    }
}

fn assign_first_phase(region: &mut Region<'_, Fr>, columns: &Columns, rows: &[FirstPhaseRow]) {
    let mut assign = |column, value: &dyn Fn(&FirstPhaseRow) -> Fr| {
        assign_column(region, column, rows.iter().map(value));
    };
    for lane in 0..3 {
        assign(columns.state[lane], &|row| row.state[lane]);
        assign(columns.power[lane], &|row| row.power[lane]);
    }
    for index in 0..2 {
        assign(columns.extra[index], &|row| row.extra[index]);
    }
    for index in 0..4 {
        assign(columns.limbs[index], &|row| row.limbs[index]);
    }
}

fn assign_second_phase(region: &mut Region<'_, Fr>, columns: &Columns, rows: &[SecondPhaseRow]) {
    let mut assign = |column, value: &dyn Fn(&SecondPhaseRow) -> Fr| {
        assign_column(region, column, rows.iter().map(value));
    };
    for place in 0..2 {
        assign(columns.sums[place], &|row| row.sums[place]);
        assign(columns.factors[place], &|row| row.factors[place]);
    }
    assign(columns.fraction, &|row| row.fraction);
    assign(columns.balance, &|row| row.balance);
}

fn assign_column(region: &mut Region<'_, Fr>, column: Column<Advice>, values: impl Iterator<Item = Fr>) {
    for (row, value) in values.enumerate() {
        region.assign_advice(column, row, Value::known(value));
    }
}
