//! The same computation in 32-bit products, for what 16 bits do not hold.

use super::{BLOCK, SHIFT};
use crate::network::IntegerNetwork;

/// Two layers' activations of one window.
pub(super) struct WideBlock {
    x: Vec<i32>,
    y: Vec<i32>,
}

impl WideBlock {
    pub fn new(width: usize) -> Self {
        Self { x: Vec::with_capacity(width), y: Vec::with_capacity(width) }
    }

    /// Scores rows that were found to be inputs of the network.
    pub fn score<R: AsRef<[i32]>>(&mut self, network: &IntegerNetwork, rows: &[R], scores: &mut [i32; BLOCK]) {
        for (row, score) in rows.iter().zip(scores) {
            self.x.clear();
            self.x.extend_from_slice(row.as_ref());
            for (index, (layer, bounds)) in network.layers().iter().zip(network.bounds()).enumerate() {
                let hidden = index + 1 < network.layers().len();
                self.y.clear();
                for neuron in 0..bounds.len() {
                    let (first, weights) = layer.weights_of(neuron);
                    let products = weights.iter().zip(&self.x[first..]).map(|(&weight, &x)| weight.wrapping_mul(x));
                    let sum = products.fold(0, i32::wrapping_add);
                    // The bias is meant modulo 2^32, like all of the sum.
                    let y = sum.wrapping_add(layer.bias_of(neuron) as i32) >> SHIFT;
                    self.y.push(if hidden { y.max(0) } else { y });
                }
                std::mem::swap(&mut self.x, &mut self.y);
            }
            *score = self.x[0];
        }
    }
}
