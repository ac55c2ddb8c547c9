//! One range argument for all limbs: a logarithmic derivative over the table of the numbers below 2^10.
//!
//! With `a` drawn after limbs and counts are fixed, the second phase shows
//!
//! ```text
//! sum over rows of the network of  1 / (a + limb)  -  count / (a + number)   =  0
//! ```
//!
//! A limb outside the table would leave a pole that no count can cancel: its multiplicity, at most the number of rows,
//! is not 0 modulo the field's characteristic. So the identity fails but for some 2^12 values of `a` out of 2^254.
//! (Haböck, eprint 2022/1530.) It costs one column and a part of another where halo2's own lookup takes three, and
//! both are blinded like any other advice column.
//!
//! The column `table` holds one more than each number, so that 0 says that nothing is looked up on a row: outside the
//! network. Counts stand in `cell`, which on the last row of a node has a sign instead; there, and on rows that are left
//! over, `table` repeats the number 0 and nothing is counted.

use halo2_axiom::{
    halo2curves::{
        bn256::Fr,
        ff::{BatchInvert, Field},
    },
    plonk::{ConstraintSystem, Expression},
    poly::Rotation,
};

use super::{
    codes::{Kind, Selectors},
    columns::{Columns, FirstPhaseValues},
    layout::Layout,
    plan::TABLE_ROWS,
};

/// Gate of the running sum. It begins at the seam and ends at the output.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("range", |cells| {
        // The masking column stands in no constraint; to be opened it has to be asked for.
        let _ = cells.query_advice(columns.mask, Rotation::cur());
        let on = Selectors::query(cells, columns);
        let a = cells.query_challenge(columns.range_challenge);
        let mut at = |column| cells.query_advice(column, Rotation::cur());
        let (limb, count, tally) = (at(columns.limb), at(columns.cell), at(columns.tally));
        let tally_before = cells.query_advice(columns.tally, Rotation::prev());
        let table = cells.query_fixed(columns.table, Rotation::cur());
        let (limb, number) = (a.clone() + limb, a + table.clone() - Expression::Constant(Fr::ONE));
        vec![
            table
                * ((tally.clone() - tally_before) * limb.clone() * number.clone() - number
                    + on.not_last * count * limb),
            on.output * tally,
        ]
    });
}

/// Writes the table beside the network, as far as rows have room for a count.
///
/// Returns the row of each number.
pub fn lay_out(rows: std::ops::Range<usize>, kind: &[Kind], table: &mut [u64]) -> Vec<usize> {
    table[rows.clone()].fill(1);
    let entries: Vec<usize> = rows.filter(|&row| kind[row] == Kind::Plain).take(TABLE_ROWS).collect();
    assert_eq!(entries.len(), TABLE_ROWS, "a plan has rows for the whole table");
    for (number, &row) in (1..).zip(&entries) {
        table[row] = number;
    }
    entries
}

/// Writes how often each number is looked up into `cell`, given the limbs of all rows of the network.
pub fn count(layout: &Layout, limbs: &[u64], cell: &mut [Fr]) {
    let mut looked_up = vec![0_u64; TABLE_ROWS];
    for &limb in &limbs[layout.network_rows()] {
        let number = usize::try_from(limb).expect("a limb has ten bits");
        looked_up[number] += 1;
    }
    for (&row, times) in layout.table_rows.iter().zip(looked_up) {
        cell[row] = Fr::from(times);
    }
}

/// The running sum; on rows of the hash its scratch cells.
pub fn tally(layout: &Layout, first: &FirstPhaseValues, a: Fr) -> Vec<Fr> {
    let mut tally = first.scratch.clone();
    let rows = layout.network_rows();
    let number = |row: usize| a + Fr::from(layout.fixed.table[row]) - Fr::ONE;
    let mut inverses: Vec<Fr> = rows.clone().flat_map(|row| [a + first.limb[row], number(row)]).collect();
    inverses.iter_mut().batch_invert();
    for (row, inverse) in rows.zip(inverses.chunks_exact(2)) {
        let counts = layout.fixed.kind[row] == Kind::Plain;
        let counted = if counts { first.cell[row] * inverse[1] } else { Fr::ZERO };
        tally[row] = tally[row - 1] + inverse[0] - counted;
    }
    tally
}
