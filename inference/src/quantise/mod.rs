//! From float weights to an [`IntegerNetwork`] that passes its bound checks.
//!
//! ReLU is positively homogeneous: a hidden neuron may be scaled down and the next layer's weights of it scaled up by
//! the same factor without changing the network's output. That is how worst cases are brought into the circuit's
//! ranges. Only when the score itself could leave its range is the output scaled, which keeps the order of scores.
//! Neurons that share their weights share the factor: all steps of a channel of a convolution.

mod scale;
mod wide;

use crate::network::{IntegerNetwork, NetworkError, SHIFT, steps_out};

pub use scale::{Scaled, quantise_scaled};
use wide::Wide;

/// 1.0 as a weight or an activation.
const ONE: f64 = (1u64 << SHIFT) as f64;

/// A layer in floats. ReLU follows every layer with weights but the last.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatLayer {
    /// Every neuron sees all inputs.
    Dense(FloatDense),
    /// A convolution over time.
    Conv1d(FloatConv1d),
    /// The mean of each channel over all steps. A dense layer follows, which takes it into its weights.
    MeanPool {
        /// Channels of its input, and its number of outputs.
        channels: usize,
    },
}

/// A fully connected layer in floats.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatDense {
    /// Weights by output, then input.
    pub weights: Vec<Vec<f32>>,
    /// Biases by output.
    pub bias: Vec<f32>,
}

/// A convolution in floats: valid, stride 1, activations step-major, as [`Conv1d`](crate::network::Conv1d) has them.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatConv1d {
    /// Channels of the input.
    pub channels: usize,
    /// Steps that one output sees.
    pub kernel: usize,
    /// Weights by output channel, then `tap * channels + channel`.
    pub weights: Vec<Vec<f32>>,
    /// Biases by output channel.
    pub bias: Vec<f32>,
}

/// Why float layers have no integer form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum QuantiseError {
    /// A weight or bias is infinite or not a number.
    #[error("layer {0} has a weight that is not finite")]
    NotFinite(usize),
    /// The inputs of a pooling layer are no whole steps of its channels, or no dense layer over its channels follows.
    #[error("layer {0} pools what is no whole number of steps, or is not followed by a dense layer over its channels")]
    Pool(usize),
    /// The integers do not form an acceptable network.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Rounds layers that take `x / 1024` for an integer input `x` within `input_bounds`.
///
/// The network has a layer for each one with weights: pooling is folded into the dense layer after it.
pub fn quantise(layers: &[FloatLayer], input_bounds: &[(i32, i32)]) -> Result<IntegerNetwork, QuantiseError> {
    network_of(folded(layers, input_bounds.len())?, input_bounds)
}

/// The factors of a network's neurons against the float layers it was rounded from: by layer, then output or output
/// channel. They are told from the weights, so rounding leaves them slightly off.
pub fn factors_of(layers: &[FloatLayer], network: &IntegerNetwork) -> Result<Vec<Vec<f64>>, QuantiseError> {
    let folded = folded(layers, network.input_bounds().len())?;
    Ok(wide::factors_between(&folded, network.layers()))
}

/// The layers with weights, after a check that all of these are numbers.
fn folded(layers: &[FloatLayer], inputs: usize) -> Result<Vec<Wide>, QuantiseError> {
    let finite = |layer: &FloatLayer| {
        let (weights, bias) = layer.parameters();
        weights.iter().flatten().chain(bias).all(|weight| weight.is_finite())
    };
    match layers.iter().position(|layer| !finite(layer)) {
        Some(index) => Err(QuantiseError::NotFinite(index)),
        None => fold(layers, inputs),
    }
}

/// Brings layers into the circuit's ranges and rounds them.
fn network_of(mut layers: Vec<Wide>, input_bounds: &[(i32, i32)]) -> Result<IntegerNetwork, QuantiseError> {
    wide::fit(&mut layers, input_bounds);
    let integers = layers.iter().map(Wide::round).collect();
    Ok(IntegerNetwork::new(integers, input_bounds.to_vec())?)
}

/// The score of floats, in logits, computed in double precision: what the integers approximate.
///
/// The layers fit each other and the input, as [`quantise`] has found.
pub fn float_score(layers: &[FloatLayer], input: &[i32]) -> f64 {
    let mut x: Vec<f64> = input.iter().map(|&x| f64::from(x) / ONE).collect();
    for (index, layer) in layers.iter().enumerate() {
        x = layer.outputs(&x);
        let hidden = index + 1 < layers.len();
        if hidden && !matches!(layer, FloatLayer::MeanPool { .. }) {
            x.iter_mut().for_each(|y| *y = y.max(0.0));
        }
    }
    x[0]
}

impl FloatLayer {
    /// Weights by output or output channel, and biases; none of a layer that has none.
    pub fn parameters(&self) -> (&[Vec<f32>], &[f32]) {
        match self {
            Self::Dense(FloatDense { weights, bias }) | Self::Conv1d(FloatConv1d { weights, bias, .. }) => {
                (weights, bias)
            }
            Self::MeanPool { .. } => (&[], &[]),
        }
    }

    /// What the layer makes of its inputs, before an activation.
    fn outputs(&self, x: &[f64]) -> Vec<f64> {
        let (weights, bias) = self.parameters();
        let affine = |row: &[f32], bias: f32, x: &[f64]| {
            f64::from(bias) + row.iter().zip(x).map(|(&w, &x)| f64::from(w) * x).sum::<f64>()
        };
        let neurons =
            |x: &[f64]| -> Vec<f64> { weights.iter().zip(bias).map(|(row, &bias)| affine(row, bias, x)).collect() };
        match self {
            Self::Dense(_) => neurons(x),
            Self::Conv1d(conv) => {
                let steps = steps_out(x.len(), conv.channels, conv.kernel).unwrap_or(0);
                (0..steps).flat_map(|step| neurons(&x[step * conv.channels..])).collect()
            }
            &Self::MeanPool { channels } => {
                let steps = x.len() / channels;
                let mean = |channel| x[channel..].iter().step_by(channels).sum::<f64>() / steps as f64;
                (0..channels).map(mean).collect()
            }
        }
    }
}

impl From<FloatDense> for FloatLayer {
    fn from(dense: FloatDense) -> Self {
        Self::Dense(dense)
    }
}

impl From<FloatConv1d> for FloatLayer {
    fn from(conv: FloatConv1d) -> Self {
        Self::Conv1d(conv)
    }
}

/// The layers with weights, each pooling layer folded into the dense one after it.
///
/// Where a layer does not fit its inputs the widths after it are unknown: such a network is refused in the end, and
/// until then only a pooling layer needs to know.
fn fold(layers: &[FloatLayer], inputs: usize) -> Result<Vec<Wide>, QuantiseError> {
    let mut folded: Vec<Wide> = Vec::with_capacity(layers.len());
    let mut width = Some(inputs);
    let mut pooled = None;
    for (index, layer) in layers.iter().enumerate() {
        if let FloatLayer::MeanPool { channels } = *layer {
            let steps = width.and_then(|width| steps_out(width, channels, 1)).filter(|_| pooled.is_none());
            pooled = Some((channels, steps.ok_or(QuantiseError::Pool(index))?));
            continue;
        }
        let mut wide = Wide::from_float(layer);
        if let Some((channels, steps)) = pooled.take() {
            wide = wide.after_pool(channels, steps).ok_or(QuantiseError::Pool(index - 1))?;
        }
        width = width.and_then(|width| wide.outputs(width));
        folded.push(wide);
    }
    if pooled.is_some() { Err(QuantiseError::Pool(layers.len() - 1)) } else { Ok(folded) }
}

#[cfg(test)]
mod tests;
