//! Weights in the order in which the tiles read them.

use super::{BLOCK, SHIFT};
use crate::network::{IntegerNetwork, Layer, NeuronBound};

/// Elements that lie behind the last activation of a block: a tile reads in whole vectors.
pub(super) const TAIL: usize = 64;

/// All layers in 16 bits, for vectors of some number of lanes.
pub(super) struct Packed {
    pub hidden: Vec<PackedLayer>,
    pub last: PackedRow,
}

/// A hidden layer. A row is what one window, or one step of it, gives the layer to see.
pub(super) struct PackedLayer {
    /// Inputs of a row, by two; an odd last one is paired with a weight of 0.
    pub pairs: usize,
    /// Outputs of a row.
    pub outputs: usize,
    /// Rows of a window.
    pub steps: usize,
    /// By vector of outputs, then pair of inputs: the two weights of each output.
    pub weights: Vec<i16>,
    /// By output, filled up to whole vectors.
    pub bias: Vec<i32>,
    /// Whether an activation may have more than 15 bits.
    pub may_be_wide: bool,
    /// Where each row of a block starts in the layer's input.
    pub starts: Vec<u32>,
    /// Where its outputs start.
    pub targets: Vec<u32>,
}

/// The last layer: one output, which sees everything.
pub(super) struct PackedRow {
    /// Filled up with 0 to whole vectors of 16-bit elements.
    pub weights: Vec<i16>,
    pub bias: i32,
    /// Inputs of a window.
    pub width: usize,
}

impl Packed {
    /// Nothing when a weight does not fit into 16 bits.
    pub fn new(network: &IntegerNetwork, lanes: usize) -> Option<Self> {
        let dims = network.dims();
        let (last, hidden) = network.layers().split_last()?;
        let layer = |((layer, dims), bounds): ((&Layer, &[usize]), &Vec<NeuronBound>)| {
            let may_be_wide = bounds.iter().any(|bound| bound.pre_max >> SHIFT > i64::from(i16::MAX));
            PackedLayer::new(layer, dims[0], dims[1], lanes, may_be_wide)
        };
        let hidden = hidden.iter().zip(dims.windows(2)).zip(network.bounds()).map(layer).collect::<Option<_>>()?;
        let (first, weights) = last.weights_of(0);
        debug_assert_eq!((first, Some(&weights.len())), (0, dims.iter().rev().nth(1)), "one neuron sees everything");
        let mut row = narrow(weights)?;
        row.resize(row.len().next_multiple_of(2 * lanes), 0);
        // The bias is meant modulo 2^32, like the sum it starts.
        let last = PackedRow { weights: row, bias: last.bias_of(0) as i32, width: weights.len() };
        Some(Self { hidden, last })
    }
}

impl PackedLayer {
    fn new(layer: &Layer, width_in: usize, width_out: usize, lanes: usize, may_be_wide: bool) -> Option<Self> {
        let rows: Vec<Vec<i16>> = layer.weights().iter().map(|row| narrow(row)).collect::<Option<_>>()?;
        let (outputs, pairs) = (rows.len(), rows[0].len().div_ceil(2));
        let weight =
            |output: usize, input: usize| rows.get(output).and_then(|row| row.get(input)).copied().unwrap_or(0);
        let mut weights = Vec::with_capacity(outputs.next_multiple_of(lanes) * 2 * pairs);
        for vector in 0..outputs.div_ceil(lanes) {
            for pair in 0..pairs {
                for output in vector * lanes..(vector + 1) * lanes {
                    weights.extend([weight(output, 2 * pair), weight(output, 2 * pair + 1)]);
                }
            }
        }
        let mut bias: Vec<i32> = layer.bias().iter().map(|&bias| bias as i32).collect();
        bias.resize(outputs.next_multiple_of(lanes), 0);
        let (steps, stride) = match layer {
            Layer::Dense(_) => (1, 0),
            Layer::Conv1d(conv) => (width_out / outputs, conv.channels),
        };
        let each = |f: &dyn Fn(usize, usize) -> usize| {
            let rows = (0..BLOCK).flat_map(|window| (0..steps).map(move |step| (window, step)));
            rows.map(|(window, step)| f(window, step) as u32).collect()
        };
        let starts = each(&|window, step| window * width_in + step * stride);
        let targets = each(&|window, step| window * width_out + step * outputs);
        Some(Self { pairs, outputs, steps, weights, bias, may_be_wide, starts, targets })
    }
}

fn narrow(weights: &[i32]) -> Option<Vec<i16>> {
    weights.iter().map(|&weight| i16::try_from(weight).ok()).collect()
}
