//! One range argument for all limbs: a logarithmic derivative over two tables in one column.
//!
//! With `a` and `g` drawn after limbs and multiplicities are fixed, the second phase shows
//!
//! ```text
//! sum over rows of  1/(a + g + limb 0) + 1/(a + g + limb 1) + 1/(a + g u + limb 2) + 1/(a + g u + limb 3)
//!                   -  multiplicity / (a + g u + table)   =  0
//! ```
//!
//! where `u` is the code of the row's unit: 1 beside neurons, where the table holds the numbers below 2^10, and 2 beside
//! features, where it holds those below 2^6. A limb outside its table would leave a pole that no multiplicity can cancel.
//! (Haböck, eprint 2022/1530; see [`circuit::range`](crate::circuit::range) for the argument in full.) Three fractions
//! stand in a column of their own, the other two go straight into the balance, which also takes up the totals of the
//! [`sums`](super::sums). Multiplicities and tables stand in cells of the hash that full rounds leave
//! free.

use halo2_axiom::{
    halo2curves::{
        bn256::Fr,
        ff::{BatchInvert, Field, PrimeField},
    },
    plonk::{ConstraintSystem, Expression},
    poly::Rotation,
};

use super::{
    codes::unit,
    columns::{Challenges, Columns, FirstPhaseRow, FixedRow},
    layout::Layout,
    units::Limbs,
};
use crate::audit::equations::{LIMB_BITS, UPPER_INPUT_BITS};

/// Gates of the fractions. The balance's first and last value are tied down in [`sums`](super::sums).
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("range", |cells| {
        // The masking column stands in no constraint; to be opened it has to be asked for.
        let _ = cells.query_advice(columns.mask, Rotation::cur());
        let limbs = Limbs::query(cells, columns);
        let fraction = cells.query_advice(columns.fraction, Rotation::cur());
        let [balance, next] =
            [Rotation::cur(), Rotation::next()].map(|rotation| cells.query_advice(columns.balance, rotation));
        let multiplicity = cells.query_advice(columns.extra[1], Rotation::cur());
        let range = cells.query_challenge(columns.range_challenge);
        let tag = cells.query_challenge(columns.table_challenge);
        let [unit, bus, full, table] = [columns.unit, columns.bus, columns.full, columns.constants[3]]
            .map(|column| cells.query_fixed(column, Rotation::cur()));

        let of_neuron = range.clone() + tag.clone();
        let of_unit = range + tag * unit.clone();
        let [first, second, third, last] = limbs.0;
        let (first, second) = (of_neuron.clone() + first, of_neuron + second);
        let (third, last) = (of_unit.clone() + third, of_unit.clone() + last);
        let table = of_unit + table;
        // Full rounds on which nothing is absorbed; `bus` is 0 or 1 on full rounds. Scaled by the unit, as `full` is.
        let has_table = full * (Expression::Constant(Fr::ONE) - bus);
        let two_fractions = first.clone() * second.clone();
        vec![
            unit.clone()
                * (fraction.clone() * two_fractions.clone() * third.clone() - (first + second) * third - two_fractions),
            unit * ((next - balance - fraction) * table.clone() * last.clone() - table)
                + has_table * multiplicity * last,
        ]
    });
}

/// How often each number of each table is looked up: beside neurons, beside features.
pub fn multiplicities(layout: &Layout, limbs: impl Iterator<Item = (u64, [Fr; 4])>) -> [Vec<u64>; 2] {
    let mut counts = [vec![0; 1 << LIMB_BITS], vec![0; 1 << UPPER_INPUT_BITS]];
    debug_assert_eq!(layout.tables[0].len(), counts[0].len());
    let mut count = |code: u64, limb: &Fr| {
        let table = &mut counts[usize::from(code == unit::INPUTS)];
        // A limb that no table has is not counted; then the argument fails, as it must.
        if let Some(times) = small(limb).and_then(|number| table.get_mut(number)) {
            *times += 1;
        }
    };
    for (code, [first, second, third, last]) in limbs {
        count(unit::NEURON, &first);
        count(unit::NEURON, &second);
        count(code, &third);
        count(code, &last);
    }
    counts
}

/// The fractions of each row of a window: those of three limbs, and what else the balance takes.
pub fn fractions(fixed: &[FixedRow], rows: &[FirstPhaseRow], challenges: &Challenges) -> Vec<[Fr; 2]> {
    let mut inverses: Vec<Fr> = fixed.iter().zip(rows).flat_map(|(fixed, row)| poles(fixed, row, challenges)).collect();
    inverses.iter_mut().batch_invert();
    let of_row = |(inverses, (fixed, row)): (&[Fr], (&FixedRow, &FirstPhaseRow))| {
        let multiplicity = if fixed.full != 0 && fixed.bus == 0 { row.extra[1] } else { Fr::ZERO };
        [inverses[0] + inverses[1] + inverses[2], inverses[3] - multiplicity * inverses[4]]
    };
    inverses.chunks_exact(5).zip(fixed.iter().zip(rows)).map(of_row).collect()
}

/// What is inverted on a row: four limbs and a table's number, shifted.
fn poles(fixed: &FixedRow, row: &FirstPhaseRow, challenges: &Challenges) -> [Fr; 5] {
    let of_neuron = challenges.range + challenges.table;
    let of_unit = challenges.range + challenges.table * Fr::from(fixed.unit);
    let [first, second, third, last] = row.limbs;
    [of_neuron + first, of_neuron + second, of_unit + third, of_unit + last, of_unit + fixed.constants[3]]
}

fn small(element: &Fr) -> Option<usize> {
    let bytes = element.to_repr();
    let (low, high) = bytes.split_at(2);
    high.iter().all(|&byte| byte == 0).then(|| usize::from(u16::from_le_bytes([low[0], low[1]])))
}
