//! From float weights to an [`IntegerNetwork`] that passes its bound checks.
//!
//! ReLU is positively homogeneous: a hidden neuron may be scaled down and the next layer's weights of it scaled up by
//! the same factor without changing the network's output. That is how worst cases are brought into the circuit's
//! ranges. Only when the score itself could leave its range is the output scaled, which keeps the order of scores.

use crate::network::{Dense, IntegerNetwork, NetworkError, PRE_ACTIVATION_LIMIT, SHIFT};

/// Worst case aimed at, as a share of the range: the rest takes up what rounding adds.
const FILL: f64 = 0.97;
/// Half of what a shift drops. Added to each bias it turns the shift's floor into rounding to nearest.
const HALF: f64 = (1u64 << (SHIFT - 1)) as f64;
/// 1.0 as a weight or an activation.
const ONE: f64 = (1u64 << SHIFT) as f64;

/// A fully connected layer in floats.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatDense {
    /// Weights by output, then input.
    pub weights: Vec<Vec<f32>>,
    /// Biases by output.
    pub bias: Vec<f32>,
}

/// Why float layers have no integer form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum QuantiseError {
    /// A weight or bias is infinite or not a number.
    #[error("layer {0} has a weight that is not finite")]
    NotFinite(usize),
    /// The integers do not form an acceptable network.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Rounds layers that take `x / 1024` for an integer input `x` within `input_bounds`.
pub fn quantise(layers: &[FloatDense], input_bounds: &[(i32, i32)]) -> Result<IntegerNetwork, QuantiseError> {
    let finite =
        |layer: &FloatDense| layer.weights.iter().flatten().chain(&layer.bias).all(|weight| weight.is_finite());
    if let Some(index) = layers.iter().position(|layer| !finite(layer)) {
        return Err(QuantiseError::NotFinite(index));
    }
    let mut wide: Vec<Wide> = layers.iter().map(Wide::from_float).collect();
    fit(&mut wide, input_bounds);
    let integers = wide.iter().map(Wide::round).collect();
    Ok(IntegerNetwork::new(integers, input_bounds.to_vec())?)
}

/// The score of floats, in logits, computed in double precision: what the integers approximate.
pub fn float_score(layers: &[FloatDense], input: &[i32]) -> f64 {
    let mut x: Vec<f64> = input.iter().map(|&x| f64::from(x) / ONE).collect();
    for (index, layer) in layers.iter().enumerate() {
        let hidden = index + 1 < layers.len();
        let neuron = |(row, &bias): (&Vec<f32>, &f32)| {
            let y = f64::from(bias) + row.iter().zip(&x).map(|(&w, &x)| f64::from(w) * x).sum::<f64>();
            if hidden { y.max(0.0) } else { y }
        };
        x = layer.weights.iter().zip(&layer.bias).map(neuron).collect();
    }
    x[0]
}

/// A layer in double precision, so that scaling loses nothing.
struct Wide {
    weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

impl Wide {
    fn from_float(layer: &FloatDense) -> Self {
        Self {
            weights: layer.weights.iter().map(|row| row.iter().copied().map(f64::from).collect()).collect(),
            bias: layer.bias.iter().copied().map(f64::from).collect(),
        }
    }

    fn scale_neuron(&mut self, neuron: usize, factor: f64) {
        self.weights[neuron].iter_mut().for_each(|weight| *weight *= factor);
        self.bias[neuron] *= factor;
    }

    fn scale_input(&mut self, input: usize, factor: f64) {
        self.weights.iter_mut().filter_map(|row| row.get_mut(input)).for_each(|weight| *weight *= factor);
    }

    /// Least and greatest pre-activation of a neuron over all inputs within the intervals.
    fn interval(&self, neuron: usize, inputs: &[(f64, f64)]) -> (f64, f64) {
        let mut ends = (self.bias[neuron], self.bias[neuron]);
        for (weight, &(low, high)) in self.weights[neuron].iter().zip(inputs) {
            ends.0 += (weight * low).min(weight * high);
            ends.1 += (weight * low).max(weight * high);
        }
        ends
    }

    fn round(&self) -> Dense {
        Dense {
            weights: self.weights.iter().map(|row| row.iter().map(|w| (w * ONE).round() as i32).collect()).collect(),
            bias: self.bias.iter().map(|b| (b * ONE * ONE + HALF).round() as i64).collect(),
        }
    }
}

/// Scales neurons whose worst case would leave the range, layer by layer.
fn fit(layers: &mut [Wide], input_bounds: &[(i32, i32)]) {
    let limit = FILL * PRE_ACTIVATION_LIMIT as f64 / (ONE * ONE);
    let mut intervals: Vec<(f64, f64)> =
        input_bounds.iter().map(|&(low, high)| (f64::from(low) / ONE, f64::from(high) / ONE)).collect();
    for index in 0..layers.len() {
        let (done, next) = layers.split_at_mut(index + 1);
        let layer = &mut done[index];
        let mut outputs = Vec::with_capacity(layer.bias.len());
        for neuron in 0..layer.bias.len().min(layer.weights.len()) {
            let (low, high) = layer.interval(neuron, &intervals);
            let factor = (limit / low.abs().max(high.abs())).min(1.0);
            if factor < 1.0 {
                layer.scale_neuron(neuron, factor);
                if let Some(next) = next.first_mut() {
                    next.scale_input(neuron, 1.0 / factor);
                }
            }
            outputs.push(((low * factor).max(0.0), (high * factor).max(0.0)));
        }
        intervals = outputs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(scale: f32) -> Vec<FloatDense> {
        vec![
            FloatDense { weights: vec![vec![scale, -0.5], vec![0.25, scale]], bias: vec![0.125, -1.0] },
            FloatDense { weights: vec![vec![1.5, -2.0]], bias: vec![0.5] },
        ]
    }

    #[test]
    fn integers_follow_the_floats() {
        let layers = layers(0.75);
        let network = quantise(&layers, &[(-4096, 4096); 2]).unwrap();
        for input in [[0, 0], [1024, -1024], [4096, 4096], [-4096, 77]] {
            let error = network.score(&input).unwrap() as f64 / ONE - float_score(&layers, &input);
            assert!(error.abs() < 0.01, "{error}");
        }
    }

    #[test]
    fn large_weights_are_scaled_into_range_without_changing_the_score() {
        let mut layers = layers(400.0);
        layers[1].weights = vec![vec![0.01, -0.02]];
        let network = quantise(&layers, &[(-4096, 4096); 2]).unwrap();
        let worst = network.bounds()[0][0].pre_max;
        assert!(worst < PRE_ACTIVATION_LIMIT && worst > PRE_ACTIVATION_LIMIT / 10 * 9);
        let input = [2048, -100];
        let error = network.score(&input).unwrap() as f64 / ONE - float_score(&layers, &input);
        assert!(error.abs() < 0.5, "{error}");
    }

    #[test]
    fn refuses_weights_that_are_not_finite() {
        assert_eq!(quantise(&layers(f32::NAN), &[(-4096, 4096); 2]), Err(QuantiseError::NotFinite(0)));
    }
}
