//! Where everything of one model lies: the values of the fixed columns and the rows a witness fills.

use std::ops::Range;

use hygeia_inference::{IntegerNetwork, Layer, network::SHIFT};

use super::{
    codes::{Kind, mark},
    columns::FixedValues,
    hash::{self, HashLayout},
    plan::{Goal, LIMBS, Plan, PlanError, ROWS_BEFORE, Shape},
    range,
};
use crate::statement::{FEATURES_PER_ELEMENT, domain_tag, field_from_i64};

/// Sums of virtual nodes lie in `[-2^30, 2^30)`, as those of real ones.
const SUM_LIMIT: i64 = hygeia_inference::network::PRE_ACTIVATION_LIMIT;

/// A model laid out on rows. Two models of one shape differ in `fixed.lanes` alone.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The shape.
    pub plan: Plan,
    /// Values of the fixed columns.
    pub fixed: FixedValues,
    /// Row of the seam at which the running sums begin.
    pub opening: usize,
    /// By layer, then node, virtual ones last: the row of its last limb.
    pub nodes: Vec<Vec<usize>>,
    /// Row of each entry of the range table.
    pub table_rows: Vec<usize>,
    /// Rows of the hash.
    pub hash: HashLayout,
}

impl Layout {
    /// Lays a network out on the plan that serves a goal best.
    pub fn new(network: &IntegerNetwork, schema_hash: [u8; 32], goal: Goal) -> Result<Self, PlanError> {
        Self::on_plan(Plan::choose(&Shape::of(network), goal)?, network, schema_hash)
    }

    /// Lays a network out on a given plan.
    pub fn on_plan(plan: Plan, network: &IntegerNetwork, schema_hash: [u8; 32]) -> Result<Self, PlanError> {
        plan.check()?;
        if plan.shape != Shape::of(network) {
            return Err(PlanError::Shape(network.dims()));
        }
        check_borders(&plan, network)?;
        let mut fixed = FixedValues::zero(plan.lanes, plan.rows_used());
        let opening = ROWS_BEFORE - 1;
        fixed.kind[opening] = Kind::Seam;
        let nodes = Pen { plan: &plan, fixed: &mut fixed, next_row: ROWS_BEFORE }.lay_out_network(network);
        let table_rows = range::lay_out(ROWS_BEFORE..plan.hash_start(), &fixed.kind, &mut fixed.table);
        let hash = hash::lay_out(&plan, domain_tag(schema_hash, plan.shape.inputs), &mut fixed);
        Ok(Self { plan, fixed, opening, nodes, table_rows, hash })
    }

    /// Row on which the output ends.
    pub fn score_row(&self) -> usize {
        self.nodes[self.nodes.len() - 1][0]
    }

    /// Rows of the network, on which limbs are looked up.
    pub fn network_rows(&self) -> Range<usize> {
        self.opening + 1..self.hash.start
    }
}

/// Pre-activations of the virtual nodes of a layer, given its inputs.
///
/// They are those of a convolution whose input goes on with zeros.
pub fn virtual_sums(plan: &Plan, layer: usize, network_layer: &Layer, inputs: &[i64]) -> Vec<i64> {
    let real = plan.shape.width(layer);
    let sum = |neuron| {
        let within = network_layer.terms_of(neuron).filter(|&(input, _)| input < inputs.len());
        network_layer.bias_of(neuron) + within.map(|(input, weight)| i64::from(weight) * inputs[input]).sum::<i64>()
    };
    (real..plan.shape.claims(layer)).map(sum).collect()
}

/// Writes the network from top to bottom.
///
/// ```text
/// layer begins   mark LAYER   ┐
///                             │ node 0: three limbs end on its last row, which carries the node's kind;
///   weights of node 0         ┘ its weights fill the last rows, highest outputs first
///   node begins  mark NODE    ┐
///                             │ node 1 ...
///   weights of node 1         ┘
///   biases       mark NODE      a block of weights only: those of a node that is always 1
/// next layer     mark LAYER     takes the biases from the row before it
///   ...
///   output                      three rows, the middle one with its bias and the last one with mark LAYER
/// ```
struct Pen<'p> {
    plan: &'p Plan,
    fixed: &'p mut FixedValues,
    next_row: usize,
}

impl Pen<'_> {
    fn lay_out_network(mut self, network: &IntegerNetwork) -> Vec<Vec<usize>> {
        let mut nodes = Vec::with_capacity(network.layers().len() + 1);
        for (layer, outgoing) in network.layers().iter().enumerate() {
            let real = (0..self.plan.shape.width(layer)).map(|node| self.lay_out_node(layer, node, outgoing)).collect();
            let virtual_nodes = 0..self.plan.shape.virtual_nodes(layer);
            nodes.push([real, virtual_nodes.map(|_| self.lay_out_virtual_node()).collect::<Vec<_>>()].concat());
            self.lay_out_biases(layer, outgoing);
        }
        nodes.push(vec![self.next_row - 1]);
        assert_eq!(self.next_row, self.plan.hash_start(), "the plan counts the rows that are laid out");
        nodes
    }

    /// Lays out one node with its weights towards the next layer, and returns its last row.
    fn lay_out_node(&mut self, layer: usize, node: usize, outgoing: &Layer) -> usize {
        let (first, last) = self.begin(self.plan.node_rows(layer));
        let within_element = layer == 0 && !node.is_multiple_of(FEATURES_PER_ELEMENT);
        self.fixed.mark[first] = match node {
            0 => mark::LAYER,
            _ if within_element => mark::NEXT_FEATURE,
            _ => mark::NODE,
        };
        self.fixed.kind[last] = if layer == 0 { Kind::Feature } else { Kind::Neuron };
        match self.plan.jump(layer) {
            None => {
                let outputs = 0..self.plan.shape.width(layer + 1);
                // A dense layer, or a convolution that is one: every neuron weighs all inputs from the first on.
                self.lay_out_weights(outputs.map(|output| i64::from(outgoing.weights()[output][node])), last);
            }
            Some(jump) => {
                let Layer::Conv1d(conv) = outgoing else { unreachable!("only convolutions have jumps") };
                let (step, channel) = (node / conv.channels, node % conv.channels);
                if step < conv.kernel {
                    let of_tap = conv.weights.iter().map(|row| i64::from(row[step * conv.channels + channel]));
                    self.lay_out_weights(of_tap, last);
                }
                if step > 0 {
                    let number = self.plan.jumps().iter().position(|other| *other == jump).map_or(0, |index| index + 1);
                    self.fixed.jump[last + 1 - self.plan.weight_rows(layer)] = number as u64;
                }
            }
        }
        last
    }

    fn lay_out_virtual_node(&mut self) -> usize {
        let (first, last) = self.begin(LIMBS);
        self.fixed.mark[first] = mark::NODE;
        self.fixed.kind[last] = Kind::Neuron;
        last
    }

    /// Lays out the biases of the next layer, and after the last ones the output itself.
    fn lay_out_biases(&mut self, layer: usize, outgoing: &Layer) {
        if layer + 1 < self.plan.shape.layers.len() {
            let (first, last) = self.begin(self.plan.bias_rows(layer));
            self.fixed.mark[first] = mark::NODE;
            self.lay_out_weights((0..self.plan.shape.claims(layer + 1)).map(|output| outgoing.bias_of(output)), last);
        } else {
            let (_, last) = self.begin(self.plan.padding_rows() + LIMBS);
            self.fixed.kind[last] = Kind::Neuron;
            self.fixed.mark[last] = mark::LAYER;
            self.fixed.mark[last - 1] = mark::NODE;
            self.lay_out_weights(std::iter::once(outgoing.bias_of(0)), last - 1);
        }
    }

    /// The first and the last of so many new rows. All sums go on over them but where a caller says otherwise.
    fn begin(&mut self, rows: usize) -> (usize, usize) {
        let first = self.next_row;
        self.next_row += rows;
        self.fixed.mark[first..self.next_row].fill(mark::WITHIN);
        (first, self.next_row - 1)
    }

    /// Writes weights towards all outputs, so that the block's last row ends with output 0.
    fn lay_out_weights(&mut self, weights: impl Iterator<Item = i64>, last: usize) {
        let lanes = self.plan.lanes;
        for (output, weight) in weights.enumerate() {
            self.fixed.lanes[output % lanes][last - output / lanes] = field_from_i64(weight);
        }
    }
}

/// Whether the sums of all virtual nodes stay in range, whatever the inputs.
fn check_borders(plan: &Plan, network: &IntegerNetwork) -> Result<(), PlanError> {
    let mut intervals: Vec<(i64, i64)> =
        network.input_bounds().iter().map(|&(low, high)| (i64::from(low), i64::from(high))).collect();
    for (index, (layer, bounds)) in network.layers().iter().zip(network.bounds()).enumerate() {
        let real = plan.shape.width(index + 1);
        for neuron in real..plan.shape.claims(index + 1) {
            let mut ends = (layer.bias_of(neuron), layer.bias_of(neuron));
            for (input, weight) in layer.terms_of(neuron).filter(|&(input, _)| input < intervals.len()) {
                let (low, high) = intervals[input];
                let (low, high) = (i64::from(weight) * low, i64::from(weight) * high);
                ends = (ends.0 + low.min(high), ends.1 + low.max(high));
            }
            if ends.0 < -SUM_LIMIT || ends.1 >= SUM_LIMIT {
                return Err(PlanError::Border(index));
            }
        }
        intervals = bounds.iter().map(|b| ((b.pre_min >> SHIFT).max(0), (b.pre_max >> SHIFT).max(0))).collect();
    }
    Ok(())
}
