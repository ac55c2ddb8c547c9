//! One range argument for all limbs: a logarithmic derivative over the table of the numbers below 2^10.
//!
//! With `a` drawn after limbs and counts are fixed, the second phase shows
//!
//! ```text
//! sum over linear rows of  1 / (a + limb)  -  count / (a + table)   =  0
//! ```
//!
//! A limb outside the table would leave a pole that no count can cancel: its multiplicity, at most the number of rows,
//! is not 0 modulo the field's characteristic. So the identity fails but for some 2^12 values of `a` out of 2^254.
//! (Haböck, eprint 2022/1530.) It costs two columns where halo2's own lookup takes three, and both are blinded like
//! any other advice column. Every linear row is looked up; unused ones hold 0.

use halo2_axiom::{
    halo2curves::{
        bn256::Fr,
        ff::{BatchInvert, Field},
    },
    plonk::ConstraintSystem,
    poly::Rotation,
};

use super::{
    codes::{is, step},
    columns::Columns,
    layout::Layout,
    plan::TABLE_ROWS,
};

/// Gate of the running sum. Its first and last value are tied down with those of the layers.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("range", |cells| {
        // The masking column stands in no constraint; to be opened it has to be asked for.
        let _ = cells.query_advice(columns.mask, Rotation::cur());
        let a = cells.query_challenge(columns.range_challenge);
        let mut at = |column| cells.query_advice(column, Rotation::cur());
        let (limb, count, tally) = (at(columns.limb), at(columns.count), at(columns.tally));
        let tally_before = cells.query_advice(columns.tally, Rotation::prev());
        let table = cells.query_fixed(columns.table, Rotation::cur());
        let step = cells.query_fixed(columns.step, Rotation::cur());
        let (limb, table) = (a.clone() + limb, a + table);
        vec![
            is(&step, step::LINEAR, step::LAST)
                * ((tally - tally_before) * limb.clone() * table.clone() - table + count * limb),
        ]
    });
}

/// How often each table row is looked up, given the limbs of all rows.
pub fn counts(layout: &Layout, limbs: &[u64]) -> Vec<Fr> {
    let mut looked_up = vec![0_u64; TABLE_ROWS];
    for &limb in &limbs[1..layout.plan.hash_start()] {
        let number = usize::try_from(limb).expect("a limb has ten bits");
        looked_up[number] += 1;
    }
    let mut counts = vec![Fr::ZERO; layout.plan.rows_used()];
    for (count, times) in counts[1..].iter_mut().zip(looked_up) {
        *count = Fr::from(times);
    }
    counts
}

/// The running sum.
pub fn tally(layout: &Layout, limb: &[Fr], count: &[Fr], a: Fr) -> Vec<Fr> {
    let rows = 1..layout.plan.hash_start();
    let mut inverses: Vec<Fr> =
        rows.clone().flat_map(|row| [a + limb[row], a + Fr::from(layout.fixed.table[row])]).collect();
    inverses.iter_mut().batch_invert();
    let mut tally = vec![Fr::ZERO; layout.plan.rows_used()];
    for (row, inverse) in rows.zip(inverses.chunks_exact(2)) {
        tally[row] = tally[row - 1] + inverse[0] - count[row] * inverse[1];
    }
    tally
}
