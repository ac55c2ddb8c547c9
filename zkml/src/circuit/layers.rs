//! Freivalds' check of all layers in one running sum.
//!
//! A layer claims `T_o = b_o + sum_i W_oi x_i` for each of its neurons. All `T` and `x` are fixed by the first phase;
//! then `r` (node challenge) and `s` (layer challenge) are drawn, and the second phase shows
//!
//! ```text
//! sum over layers l of  s^(layers - l) * ( sum_o r^o T_o  -  sum_o r^o b_o  -  sum_i (sum_o r^o W_oi) x_i )  =  0
//! ```
//!
//! If one equation were wrong, this would hold for at most `width` values of `r` or `layers` values of `s` out of
//! 2^254. `weight` is the innermost sum over `o`, built by Horner's rule over the rows of a node; `place` is `r^o` of the
//! node itself as a neuron of its layer; `sum` is the whole. No equation wraps around the modulus: weights have 32
//! bits, inputs 20, widths 10.

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{ConstraintSystem, Expression},
    poly::Rotation,
};

use super::{
    codes::{border, is, is_one_or_two, mark, step, unit},
    columns::{Challenges, Columns, FirstPhaseValues, SecondPhaseValues},
    layout::Layout,
    node::{Limbs, Number},
};

/// Gates of the running sums.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    configure_sums(meta, columns);
    configure_borders(meta, columns);
}

fn configure_sums(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("layers", |cells| {
        let limbs = Limbs::query(cells, columns);
        let mut running =
            |column| [Rotation::cur(), Rotation::prev()].map(|rotation| cells.query_advice(column, rotation));
        let [weight, weight_before] = running(columns.weight);
        let [place, place_before] = running(columns.place);
        let [sum, sum_before] = running(columns.sum);
        let r = cells.query_challenge(columns.node_challenge);
        let s = cells.query_challenge(columns.layer_challenge);
        let mut code = |column| cells.query_fixed(column, Rotation::cur());
        let (step, mark, unit, feed) = (code(columns.step), code(columns.mark), code(columns.unit), code(columns.feed));
        let lanes: Vec<_> = columns.lanes.iter().map(|&lane| code(lane)).collect();

        let one = || Expression::constant(Fr::ONE);
        let linear = is(&step, step::LINEAR, step::LAST);
        let within = is(&mark, mark::WITHIN, mark::LAST);
        let node = is(&mark, mark::NODE, mark::LAST);
        let layer = is(&mark, mark::LAYER, mark::LAST);
        let hidden = is(&unit, unit::HIDDEN, unit::LAST);

        // This row's weights by powers of r, and the power of r that lifts the rows before it over them.
        let start = (Expression::constant(Fr::ZERO), one());
        let (dot, lift) =
            lanes.into_iter().fold(start, |(dot, power), lane| (dot + lane * power.clone(), power * r.clone()));
        let claimed = s.clone() * place.clone() * is_one_or_two(&unit) * limbs.pre_activation();
        let given = weight.clone() * (is_one_or_two(&feed) * limbs.feature() + hidden * limbs.rectified());
        vec![
            // Weights are summed up anew for each node.
            linear.clone() * (weight - dot - within * lift * weight_before.clone()),
            // 1 at the first node of a layer, r times more at each further one.
            linear.clone() * (place - layer.clone() - (one() - layer.clone() + node * (r - one())) * place_before),
            // Where a layer begins, the biases of the layer before are given and all that was is lifted by s.
            linear * (sum - (one() + layer.clone() * (s.clone() - one())) * sum_before + layer * s * weight_before)
                - (claimed - given),
        ]
    });
}

/// Ties the sums down on the rows before and after the linear ones.
fn configure_borders(meta: &mut ConstraintSystem<Fr>, columns: &Columns) {
    meta.create_gate("borders", |cells| {
        let step = cells.query_fixed(columns.step, Rotation::cur());
        let mark = cells.query_fixed(columns.mark, Rotation::cur());
        let not_linear = Expression::constant(Fr::ONE) - is(&step, step::LINEAR, step::LAST);
        let opening = not_linear.clone() * is(&mark, border::OPENING, mark::LAST);
        let closing = not_linear * is(&mark, border::CLOSING, mark::LAST);
        let mut at = |column, rotation| cells.query_advice(column, rotation);
        vec![
            // The first linear row begins a layer and so takes `sum` and `weight` of this row: both are 0.
            opening.clone() * at(columns.weight, Rotation::cur()),
            opening.clone() * at(columns.sum, Rotation::cur()),
            opening * at(columns.tally, Rotation::cur()),
            // All claims of all layers hold, and all limbs are in the table.
            closing.clone() * at(columns.sum, Rotation::prev()),
            closing * at(columns.tally, Rotation::prev()),
        ]
    });
}

/// The sums of the second phase, row by row as the gates have them. `tally` is left at 0: see
/// [`range`](super::range).
pub fn sums(layout: &Layout, first: &FirstPhaseValues, challenges: &Challenges) -> SecondPhaseValues {
    let zero = || vec![Fr::ZERO; layout.plan.rows_used()];
    let mut values = SecondPhaseValues { weight: zero(), place: zero(), sum: zero(), tally: zero() };
    let powers: Vec<Fr> = std::iter::successors(Some(Fr::ONE), |power| Some(*power * challenges.node))
        .take(layout.plan.lanes + 1)
        .collect();
    for row in 1..layout.plan.hash_start() {
        let (weight, place, sum) = (values.weight[row - 1], values.place[row - 1], values.sum[row - 1]);
        let dot: Fr = layout.fixed.lanes.iter().zip(&powers).map(|(lane, power)| lane[row] * power).sum();
        let (weight, place, sum) = match layout.fixed.mark[row] {
            mark::LAYER => (dot, Fr::ONE, (sum - weight) * challenges.layer),
            mark::NODE => (dot, place * challenges.node, sum),
            _ => (weight * powers[layout.plan.lanes] + dot, place, sum),
        };
        values.weight[row] = weight;
        values.place[row] = place;
        values.sum[row] = sum + unit_term(layout, first, row, challenges.layer * place, weight);
    }
    values
}

/// What the node that ends on this row claims and gives; 0 on other rows.
fn unit_term(layout: &Layout, first: &FirstPhaseValues, row: usize, claim: Fr, weight: Fr) -> Fr {
    let limbs = || Limbs::read(&first.limb, row);
    match (layout.fixed.unit[row], layout.fixed.feed[row]) {
        (unit::HIDDEN, _) => claim * limbs().pre_activation() - weight * limbs().rectified(),
        (unit::OUTPUT, _) => claim * limbs().pre_activation(),
        (_, 0) => Fr::ZERO,
        _ => -(weight * limbs().feature()),
    }
}
