//! Scales chosen from data: where between two layers precision does most good.
//!
//! A factor on what a hidden neuron gives, taken back by the next layer, leaves the floats' score as it is. It moves
//! precision: a factor above 1 makes the neuron's own weights and its output finer and the weights that read it coarser.
//! Powers of two are tried, first one for each layer, then one for each neuron, each kept when it brings the integers'
//! scores of the calibration rows closer to the floats' on average. What would leave the circuit's ranges is brought back
//! into them as ever.

use super::wide::{self, Wide};
use super::{FloatLayer, ONE, QuantiseError, float_score, folded, network_of};
use crate::kernel::IntegerEngine;
use crate::network::IntegerNetwork;

/// Calibration rows looked at: more change no choice and cost time.
const ROWS_MAX: usize = 2048;
/// Powers of two tried for a layer.
const LAYER_EXPONENTS: std::ops::RangeInclusive<i8> = -4..=6;
/// Least and greatest power of two of a neuron.
const EXPONENT_MAX: i8 = 10;
/// Changes of a neuron's power of two that are tried.
const CHANGES: [i8; 8] = [1, -1, 2, -2, 4, -4, 8, -8];
/// Passes over all neurons.
const PASSES: usize = 3;
/// A pass that gains less than this share of the error is the last.
const GAIN_MIN: f64 = 0.01;

/// An integer network with the scales chosen for it.
#[derive(Clone, Debug)]
pub struct Scaled {
    /// The network.
    pub network: IntegerNetwork,
    /// By hidden layer: power of two of each neuron's factor. Neurons that share weights share one: it stands once, and
    /// the list repeats over the layer.
    pub exponents: Vec<Vec<i8>>,
    /// Rows the scales were chosen on.
    pub rows: usize,
    /// Mean distance of the integers' scores from the floats' on them without the factors, in logits.
    pub error_mean_before: f64,
    /// The same with them.
    pub error_mean: f64,
}

/// Rounds layers like [`quantise`](super::quantise), with scales chosen on calibration rows. The same rows give the same
/// network.
pub fn quantise_scaled(
    layers: &[FloatLayer],
    input_bounds: &[(i32, i32)],
    rows: &[Vec<i32>],
) -> Result<Scaled, QuantiseError> {
    let folded = folded(layers, input_bounds.len())?;
    let periods = wide::periods(&folded, input_bounds.len());
    let plain = network_of(folded.clone(), input_bounds)?;
    for row in rows {
        plain.check_input(row)?;
    }
    let step = rows.len().div_ceil(ROWS_MAX).max(1);
    let rows: Vec<&[i32]> = rows.iter().step_by(step).map(Vec::as_slice).collect();
    let floats = rows.iter().map(|row| float_score(layers, row)).collect();
    let mut search = Search { folded, input_bounds, rows, floats, scores: Vec::new() };
    let exponents: Vec<Vec<i8>> = periods.iter().map(|&period| vec![0; period]).collect();
    let error_mean_before = search.error(&plain);
    let mut best = Best { network: plain, exponents, error: error_mean_before };
    if !search.rows.is_empty() {
        search.layers(&mut best);
        search.neurons(&mut best);
    }
    let Best { network, exponents, error } = best;
    Ok(Scaled { network, exponents, rows: search.rows.len(), error_mean_before, error_mean: error })
}

struct Search<'a> {
    folded: Vec<Wide>,
    input_bounds: &'a [(i32, i32)],
    rows: Vec<&'a [i32]>,
    floats: Vec<f64>,
    scores: Vec<i64>,
}

/// The best found so far.
struct Best {
    network: IntegerNetwork,
    exponents: Vec<Vec<i8>>,
    error: f64,
}

impl Search<'_> {
    /// One power of two for all neurons of a layer.
    fn layers(&mut self, best: &mut Best) {
        for layer in 0..best.exponents.len() {
            for exponent in LAYER_EXPONENTS {
                let mut exponents = best.exponents.clone();
                exponents[layer].fill(exponent);
                self.consider(exponents, best);
            }
        }
    }

    /// Coordinate descent over the neurons.
    fn neurons(&mut self, best: &mut Best) {
        for _ in 0..PASSES {
            let before = best.error;
            for layer in 0..best.exponents.len() {
                for neuron in 0..best.exponents[layer].len() {
                    // A single step may change nothing where a weight rounds to 0 before and after it.
                    while CHANGES.iter().any(|&change| self.shift(layer, neuron, change, best)) {}
                }
            }
            if best.error > before * (1.0 - GAIN_MIN) {
                return;
            }
        }
    }

    /// Whether another power of two is better.
    fn shift(&mut self, layer: usize, neuron: usize, change: i8, best: &mut Best) -> bool {
        let mut exponents = best.exponents.clone();
        exponents[layer][neuron] += change;
        exponents[layer][neuron].abs() <= EXPONENT_MAX && self.consider(exponents, best)
    }

    /// Keeps these exponents when they are better. Some give no acceptable network: they are not.
    fn consider(&mut self, exponents: Vec<Vec<i8>>, best: &mut Best) -> bool {
        let mut scaled = self.folded.clone();
        wide::scale(&mut scaled, &exponents);
        let Ok(network) = network_of(scaled, self.input_bounds) else { return false };
        let error = self.error(&network);
        let better = error < best.error;
        if better {
            *best = Best { network, exponents, error };
        }
        better
    }

    /// Mean distance from the floats, in logits.
    fn error(&mut self, network: &IntegerNetwork) -> f64 {
        self.scores.clear();
        IntegerEngine::new(network)
            .score_into(&self.rows, &mut self.scores)
            .expect("rows were checked, and all candidates have the same inputs");
        let distance = |(&score, float): (&i64, &f64)| (score as f64 / ONE - float).abs();
        self.scores.iter().zip(&self.floats).map(distance).sum::<f64>() / self.scores.len().max(1) as f64
    }
}
