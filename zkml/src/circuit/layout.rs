//! Where everything of one model lies: the values of the fixed columns and the rows a witness fills.

use halo2_axiom::halo2curves::{bn256::Fr, ff::Field};
use hygeia_inference::IntegerNetwork;

use super::{
    codes::{border, feed, mark, step, unit},
    columns::FixedValues,
    hash::{self, HashLayout},
    plan::{Plan, PlanError, TABLE_ROWS},
};
use crate::statement::{FEATURES_PER_ELEMENT, domain_tag, field_from_i64};

/// A model laid out on rows. Two models of one shape differ in `fixed.lanes` alone.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The shape.
    pub plan: Plan,
    /// Values of the fixed columns.
    pub fixed: FixedValues,
    /// By layer, then node: the row of its last limb. Features and the score stand on these rows too.
    pub nodes: Vec<Vec<usize>>,
    /// Rows of the hash.
    pub hash: HashLayout,
}

impl Layout {
    /// Lays a network out on the smallest plan for its shape.
    pub fn new(network: &IntegerNetwork, schema_hash: [u8; 32]) -> Result<Self, PlanError> {
        Self::on_plan(Plan::smallest(&network.dims())?, network, schema_hash)
    }

    /// Lays a network out on a given plan.
    pub fn on_plan(plan: Plan, network: &IntegerNetwork, schema_hash: [u8; 32]) -> Result<Self, PlanError> {
        plan.check()?;
        if plan.dims != network.dims() {
            return Err(PlanError::Shape(network.dims()));
        }
        let mut fixed = FixedValues::zero(plan.lanes, plan.rows_used());
        let nodes = lay_out_network(&plan, network, &mut fixed);
        lay_out_table(&plan, &mut fixed);
        lay_out_borders(&plan, &mut fixed);
        let tag = domain_tag(schema_hash, plan.dims[0]);
        let hash = hash::lay_out(&plan, tag, &element_rows(&nodes[0]), &mut fixed);
        Ok(Self { plan, fixed, nodes, hash })
    }

    /// Row on which the score stands.
    pub fn score_row(&self) -> usize {
        self.nodes[self.nodes.len() - 1][0]
    }
}

/// Gives each node its block of rows, layer by layer, and each layer a last block for its biases.
///
/// ```text
/// layer begins   mark LAYER   ┐
///                             │ node 0: four limbs end on its last row, which carries the code of its unit;
///   weights of node 0         ┘ its weights fill the last rows, highest outputs first
///   node begins  mark NODE    ┐
///                             │ node 1 ...
///   weights of node 1         ┘
///   biases                      a block of weights only: those of a node that is always 1
/// next layer     mark LAYER     takes the biases from the row before it
/// ```
fn lay_out_network(plan: &Plan, network: &IntegerNetwork, fixed: &mut FixedValues) -> Vec<Vec<usize>> {
    let mut next_row = 1;
    let mut nodes = Vec::with_capacity(plan.dims.len());
    for (layer, &width) in plan.dims.iter().enumerate() {
        let outgoing = network.layers().get(layer);
        let mut rows = Vec::with_capacity(width);
        for node in 0..width {
            fixed.mark[next_row] = if node == 0 { mark::LAYER } else { mark::NODE };
            next_row += plan.node_rows(layer);
            let last = next_row - 1;
            lay_out_unit(plan, layer, node, last, fixed);
            if let Some(outgoing) = outgoing {
                let weight_of = |(_, weight)| field_from_i64(i64::from(weight));
                let weight_to = |output| outgoing.terms_of(output).find(|&(input, _)| input == node);
                let weights: Vec<Fr> =
                    (0..plan.dims[layer + 1]).map(|output| weight_to(output).map_or(Fr::ZERO, weight_of)).collect();
                lay_out_weights(plan, &weights, last, fixed);
            }
            rows.push(last);
        }
        if let Some(outgoing) = outgoing {
            fixed.mark[next_row] = mark::NODE;
            next_row += plan.weight_rows(layer);
            let biases: Vec<Fr> =
                (0..plan.dims[layer + 1]).map(|output| field_from_i64(outgoing.bias_of(output))).collect();
            lay_out_weights(plan, &biases, next_row - 1, fixed);
        }
        nodes.push(rows);
    }
    fixed.step[1..plan.hash_start()].fill(step::LINEAR);
    nodes
}

/// Says what the four limbs that end on this row are.
fn lay_out_unit(plan: &Plan, layer: usize, node: usize, row: usize, fixed: &mut FixedValues) {
    if layer == 0 {
        let begins_element = node.is_multiple_of(FEATURES_PER_ELEMENT);
        fixed.feed[row] = if begins_element { feed::FIRST_FEATURE } else { feed::NEXT_FEATURE };
    } else if layer + 1 < plan.dims.len() {
        fixed.unit[row] = unit::HIDDEN;
    } else {
        fixed.unit[row] = unit::OUTPUT;
    }
}

/// Writes the weights of one node towards all outputs, so that the block's last row ends with output 0.
fn lay_out_weights(plan: &Plan, weights: &[Fr], last: usize, fixed: &mut FixedValues) {
    for (rows_up, chunk) in weights.chunks(plan.lanes).enumerate() {
        for (lane, &weight) in chunk.iter().enumerate() {
            fixed.lanes[lane][last - rows_up] = weight;
        }
    }
}

/// The range table lies beside the first linear rows; the other linear rows repeat its 0.
fn lay_out_table(plan: &Plan, fixed: &mut FixedValues) {
    debug_assert!(plan.linear_rows() >= TABLE_ROWS);
    for (number, cell) in (0..TABLE_ROWS as u64).zip(&mut fixed.table[1..]) {
        *cell = number;
    }
}

fn lay_out_borders(plan: &Plan, fixed: &mut FixedValues) {
    fixed.mark[0] = border::OPENING;
    fixed.mark[plan.hash_start()] = border::CLOSING;
}

/// Rows on which a packed element is complete: at its last feature.
fn element_rows(features: &[usize]) -> Vec<usize> {
    features.chunks(FEATURES_PER_ELEMENT).map(|chunk| chunk[chunk.len() - 1]).collect()
}
