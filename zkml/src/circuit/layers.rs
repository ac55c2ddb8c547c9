//! Freivalds' check of all layers, and of all that must be equal elsewhere, in one running sum.
//!
//! A layer claims `T_o = b_o + sum_i W_oi x_i` for each of its neurons. All `T` and `x` are fixed by the first phase;
//! then `r` (node challenge) and `s` (layer challenge) are drawn, and the second phase shows
//!
//! ```text
//! sum over layers l of  s^(layers + 1 - l) * ( sum_o r^o T_o  -  sum_o r^o b_o  -  sum_i (sum_o r^o W_oi) x_i )
//!   +  s^(layers + 1) * ( sum_j r^j (element_j absorbed by the hash  -  element_j packed from the features)
//!                         + r^d (commitment - digest)  +  r^(d + 1) (score - requantised output) )    =  0
//! ```
//!
//! If one equation were wrong, this would hold for at most some thousand values of `r` and `s` out of 2^254. `weight` is
//! the innermost sum over `o`, built by Horner's rule over the rows of a node; `place` is `r^o` of the node itself as a
//! neuron of its layer, or what a feature is worth within its element; `sum` is the whole. No equation wraps around the
//! modulus: weights have 32 bits, inputs 20, widths 10.
//!
//! # Convolutions
//!
//! A convolution has `T_(t,o) = b_o + sum over k and c of W_okc x_(t+k,c)`, and its neuron `(t,o)` is number
//! `t * outputs + o`. So with `z = r^outputs` the input `x_(t,c)` is given with the weight
//!
//! ```text
//! v_(t,c)  =  sum_k z^(t-k) sum_o r^o W_okc  =  z * v_(t-1,c)  +  sum_o r^o W_otc
//! ```
//!
//! whose last term is there only while `t` is less than the kernel. Hence each tap's weights stand in the rows of one
//! step's nodes, and a *jump* brings the weight of the same channel one step before along. Over the last steps `v` goes on
//! to outputs `t` at which the window reaches past the end. They are claimed like all others by *virtual* nodes, which
//! feed nothing: the prover says what they are, and since each has a power of `r` of its own, that changes nothing about
//! the real ones.

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{ConstraintSystem, Expression, VirtualCells},
    poly::Rotation,
};

use super::{
    codes::{Kind, Selectors, is, mark},
    columns::{Challenges, Columns, FirstPhaseValues, SecondPhaseValues},
    hash::{ABSORBED_LANES, ABSORBED_ROWS_UP, feature_step},
    layout::Layout,
    node::{Node, Number},
    plan::Plan,
};
use crate::statement::PublicInputs;

/// Gates of the running sums.
pub fn configure(meta: &mut ConstraintSystem<Fr>, columns: &Columns, plan: &Plan) {
    configure_sums(meta, columns, plan);
    configure_seams(meta, columns, plan);
}

fn configure_sums(meta: &mut ConstraintSystem<Fr>, columns: &Columns, plan: &Plan) {
    meta.create_gate("layers", |cells| {
        let on = Selectors::query(cells, columns);
        let mut running =
            |column| [Rotation::cur(), Rotation::prev()].map(|rotation| cells.query_advice(column, rotation));
        let [weight, weight_before] = running(columns.weight);
        let [place, place_before] = running(columns.place);
        let [sum, sum_before] = running(columns.sum);
        let powers = Powers::query(cells, columns, plan);
        let lanes: Vec<_> = columns.lanes.iter().map(|&lane| cells.query_fixed(lane, Rotation::cur())).collect();
        let jumped = jumped(cells, columns, plan);
        let terms = terms(cells, columns, &on, &powers, [&weight, &place]);

        let r = powers.node.clone();
        let s = powers.layer;
        let one = || Expression::constant(Fr::ONE);
        // This row's weights by powers of r, and the power of r that lifts the rows before it over them.
        let start = (Expression::constant(Fr::ZERO), one());
        let (dot, lift) =
            lanes.into_iter().fold(start, |(dot, power), lane| (dot + lane * power.clone(), power * r.clone()));
        let step = on.within.clone() + on.node * r + on.next_feature * feature_step();
        vec![
            // Weights are summed up anew for each node.
            on.on.clone() * (weight - dot) - on.within * lift * weight_before.clone() - jumped,
            // 1 at the first node of a layer, r times more at each further one.
            on.on.clone() * place - on.layer.clone() - step * place_before,
            // Where a layer begins, the biases of the layer before are given and all that was is lifted by s.
            on.on * (sum - sum_before.clone())
                - on.layer * ((s.clone() - one()) * sum_before - s * weight_before)
                - terms,
        ]
    });
}

/// Ties the sums down where they begin and end. The statement's public values enter at the opening; at the closing seam
/// there are none.
fn configure_seams(meta: &mut ConstraintSystem<Fr>, columns: &Columns, plan: &Plan) {
    meta.create_gate("seams", |cells| {
        let on = Selectors::query(cells, columns);
        let powers = Powers::query(cells, columns, plan);
        let [commitment, score] =
            [Rotation::prev(), Rotation::cur()].map(|rotation| cells.query_instance(columns.public, rotation));
        let mut at = |column, rotation| cells.query_advice(column, rotation);
        let cell = at(columns.cell, Rotation::cur());
        let [weight, sum, tally] =
            [columns.weight, columns.sum, columns.tally].map(|column| at(column, Rotation::cur()));
        let sum_before = at(columns.sum, Rotation::prev());
        let public = powers.digest * commitment + powers.score * score;
        vec![
            on.seam.clone() * weight,
            on.seam.clone() * tally,
            on.seam.clone() * (sum - public),
            // Before the opening there is nothing; before the closing all claims of all layers hold.
            on.seam.clone() * sum_before,
            // What is left in its lane after the digest was taken out of it.
            on.seam * cell,
        ]
    });
}

/// The powers of the challenges that stand in the sum beside columns.
struct Powers<T> {
    /// `r`.
    node: T,
    /// `s`.
    layer: T,
    /// `s^(layers + 1)`: what the statement's equations are lifted by at the end.
    statement: T,
    /// Power of `r` of commitment and digest.
    digest: T,
    /// Power of `r` of the score.
    score: T,
}

impl<T: Number> Powers<T> {
    fn new(node: T, layer: T, plan: &Plan) -> Self {
        let elements = 2 * plan.permutations();
        Self {
            statement: power(&layer, plan.shape.layers.len() + 1),
            digest: power(&node, elements),
            score: power(&node, elements + 1),
            node,
            layer,
        }
    }
}

impl Powers<Expression<Fr>> {
    fn query(cells: &mut VirtualCells<'_, Fr>, columns: &Columns, plan: &Plan) -> Self {
        let [node, layer] =
            [columns.node_challenge, columns.layer_challenge].map(|challenge| cells.query_challenge(challenge));
        Self::new(node, layer, plan)
    }
}

/// What the row's node claims and gives, or the hash takes in.
fn terms(
    cells: &mut VirtualCells<'_, Fr>,
    columns: &Columns,
    on: &Selectors<Expression<Fr>>,
    powers: &Powers<Expression<Fr>>,
    [weight, place]: [&Expression<Fr>; 2],
) -> Expression<Fr> {
    let node = Node::query(cells, columns);
    let absorbed = ABSORBED_ROWS_UP.map(|rows_up| cells.query_advice(columns.limb, Rotation(-(rows_up as i32))));
    let factors = ABSORBED_LANES.map(|lane| cells.query_fixed(columns.lanes[lane], Rotation::cur()));
    on.neuron.clone() * neuron_term(&node, powers, weight, place)
        - on.output.clone() * output_term(&node, powers)
        - on.feature.clone() * feature_term(&node, powers, weight, place)
        + on.absorb.clone() * absorbed_term(&absorbed, &factors, powers, place)
}

fn neuron_term<T: Number>(node: &Node<T>, powers: &Powers<T>, weight: &T, place: &T) -> T {
    powers.layer.clone() * place.clone() * node.pre_activation() - weight.clone() * node.rectified()
}

fn output_term<T: Number>(node: &Node<T>, powers: &Powers<T>) -> T {
    powers.statement.clone() * powers.score.clone() * node.requantised()
}

fn feature_term<T: Number>(node: &Node<T>, powers: &Powers<T>, weight: &T, place: &T) -> T {
    powers.layer.clone() * place.clone() * node.digit() + weight.clone() * node.feature()
}

fn absorbed_term<T: Number>(elements: &[T; 2], factors: &[T; 2], powers: &Powers<T>, place: &T) -> T {
    let [first, second] = [0, 1].map(|index| factors[index].clone() * elements[index].clone());
    powers.statement.clone() * place.clone() * (first + powers.node.clone() * second)
}

/// The weight of the step before, on rows where the weights of a convolution go on from it.
fn jumped(cells: &mut VirtualCells<'_, Fr>, columns: &Columns, plan: &Plan) -> Expression<Fr> {
    let zero = Expression::constant(Fr::ZERO);
    let Some(column) = columns.jump else { return zero };
    let code = cells.query_fixed(column, Rotation::cur());
    let r = cells.query_challenge(columns.node_challenge);
    let jumps = plan.jumps();
    let terms = (1..).zip(&jumps).map(|(number, jump)| {
        let rows_back = i32::try_from(jump.rows_back).expect("a plan's widths are small");
        let weight = cells.query_advice(columns.weight, Rotation(-rows_back));
        is(&code, number, jumps.len() as u64) * power(&r, jump.power) * weight
    });
    terms.fold(zero, |sum, term| sum + term)
}

/// By squaring, so that an expression of a large power stays small.
fn power<T: Number>(base: &T, exponent: usize) -> T {
    match exponent {
        0 => T::constant(Fr::ONE),
        1 => base.clone(),
        _ => {
            let root = power(base, exponent / 2);
            let square = root.clone() * root;
            if exponent.is_multiple_of(2) { square } else { square * base.clone() }
        }
    }
}

/// The sums of the second phase, row by row as the gates have them. `tally` is left at 0: see
/// [`range`](super::range).
pub fn sums(
    layout: &Layout,
    first: &FirstPhaseValues,
    public: &PublicInputs,
    challenges: &Challenges,
) -> SecondPhaseValues {
    let (plan, fixed) = (&layout.plan, &layout.fixed);
    let zero = || vec![Fr::ZERO; plan.rows_used()];
    let mut values = SecondPhaseValues { weight: zero(), place: zero(), sum: zero(), tally: zero() };
    let powers = Powers::new(challenges.node, challenges.layer, plan);
    let [commitment, score] = public.instances();
    values.sum[layout.opening] = powers.digest * commitment + powers.score * score;

    let lane_powers: Vec<Fr> =
        std::iter::successors(Some(Fr::ONE), |power| Some(*power * challenges.node)).take(plan.lanes + 1).collect();
    let jumps: Vec<(usize, Fr)> =
        plan.jumps().iter().map(|jump| (jump.rows_back, power(&challenges.node, jump.power))).collect();
    let feature_step = feature_step();
    for row in layout.opening + 1..layout.hash.closing {
        let (weight, place, sum) = (values.weight[row - 1], values.place[row - 1], values.sum[row - 1]);
        let dot: Fr = fixed.lanes.iter().zip(&lane_powers).map(|(lane, power)| lane[row] * power).sum();
        let (weight, place, sum) = match fixed.mark[row] {
            mark::LAYER => (dot, Fr::ONE, (sum - weight) * challenges.layer),
            mark::NODE => (dot, place * challenges.node, sum),
            mark::NEXT_FEATURE => (dot, place * feature_step, sum),
            _ => (weight * lane_powers[plan.lanes] + dot, place, sum),
        };
        let jump = (fixed.jump[row] as usize).checked_sub(1).map(|index| jumps[index]);
        let weight = jump.map_or(weight, |(rows_back, power)| weight + power * values.weight[row - rows_back]);
        values.weight[row] = weight;
        values.place[row] = place;
        values.sum[row] = sum + term(layout, first, row, &powers, weight, place);
    }
    values
}

/// [`terms`] of one row.
fn term(layout: &Layout, first: &FirstPhaseValues, row: usize, powers: &Powers<Fr>, weight: Fr, place: Fr) -> Fr {
    let node = || Node::read(&first.limb, &first.cell, row);
    match layout.fixed.kind[row] {
        Kind::Neuron => {
            let is_output = layout.fixed.mark[row] == mark::LAYER;
            let output = if is_output { output_term(&node(), powers) } else { Fr::ZERO };
            neuron_term(&node(), powers, &weight, &place) - output
        }
        Kind::Feature => -feature_term(&node(), powers, &weight, &place),
        Kind::Absorb => {
            let elements = ABSORBED_ROWS_UP.map(|rows_up| first.limb[row - rows_up]);
            let factors = ABSORBED_LANES.map(|lane| layout.fixed.lanes[lane][row]);
            absorbed_term(&elements, &factors, powers, &place)
        }
        Kind::Plain | Kind::Seam | Kind::FullRound | Kind::PartialRounds => Fr::ZERO,
    }
}
