//! The layers of an integer network. Each neuron of each layer weighs one contiguous run of its inputs.

use serde::{Deserialize, Serialize};

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Layer {
    /// Every neuron sees all inputs.
    Dense(Dense),
    /// Every neuron sees a few consecutive steps, and neurons of one channel share their weights.
    Conv1d(Conv1d),
}

/// A fully connected layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Weights by output, then input; 1024 is 1.0.
    pub weights: Vec<Vec<i32>>,
    /// Biases by output; 2^20 is 1.0.
    pub bias: Vec<i64>,
}

/// A convolution over time: valid, so without padding, and with stride 1.
///
/// Activations are step-major: that of a channel at a step is number `step * channels + channel`. There are
/// `inputs / channels - kernel + 1` steps of outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv1d {
    /// Channels of the input.
    pub channels: usize,
    /// Steps that one output sees.
    pub kernel: usize,
    /// Weights by output channel, then `tap * channels + channel`; 1024 is 1.0.
    pub weights: Vec<Vec<i32>>,
    /// Biases by output channel; 2^20 is 1.0.
    pub bias: Vec<i64>,
}

impl Layer {
    /// Number of neurons over this number of inputs, or nothing when the layer does not take so many or is not whole:
    /// a row of another length, more biases than rows.
    pub fn outputs(&self, inputs: usize) -> Option<usize> {
        let (row, repeats) = match self {
            Self::Dense(_) => (inputs, 1),
            Self::Conv1d(conv) => (conv.kernel.checked_mul(conv.channels)?, conv.steps_out(inputs)?),
        };
        let is_whole =
            self.weights().iter().all(|weights| weights.len() == row) && self.bias().len() == self.weights().len();
        if is_whole { self.weights().len().checked_mul(repeats) } else { None }
    }

    /// Bias of a neuron.
    pub fn bias_of(&self, neuron: usize) -> i64 {
        self.bias()[neuron % self.bias().len()]
    }

    /// The weights of a neuron, and the input that the first of them belongs to; the others follow without a gap.
    pub fn weights_of(&self, neuron: usize) -> (usize, &[i32]) {
        match self {
            Self::Dense(dense) => (0, &dense.weights[neuron]),
            Self::Conv1d(conv) => {
                let (step, channel) = (neuron / conv.weights.len(), neuron % conv.weights.len());
                (step * conv.channels, &conv.weights[channel])
            }
        }
    }

    /// The terms of a neuron: each input it weighs, with the weight.
    pub fn terms_of(&self, neuron: usize) -> impl Iterator<Item = (usize, i32)> {
        let (first, weights) = self.weights_of(neuron);
        weights.iter().enumerate().map(move |(index, &weight)| (first + index, weight))
    }

    /// Weights by output, or output channel.
    pub fn weights(&self) -> &[Vec<i32>] {
        match self {
            Self::Dense(dense) => &dense.weights,
            Self::Conv1d(conv) => &conv.weights,
        }
    }

    /// Biases by output, or output channel.
    pub fn bias(&self) -> &[i64] {
        match self {
            Self::Dense(dense) => &dense.bias,
            Self::Conv1d(conv) => &conv.bias,
        }
    }

    /// `b + W x` of `neurons` neurons. The caller's bounds make overflow impossible.
    pub(super) fn pre_activations(&self, x: &[i64], neurons: usize) -> Vec<i64> {
        let pre_activation = |neuron| {
            let (first, weights) = self.weights_of(neuron);
            let products = weights.iter().zip(&x[first..]).map(|(&weight, &x)| i64::from(weight) * x);
            self.bias_of(neuron) + products.sum::<i64>()
        };
        (0..neurons).map(pre_activation).collect()
    }
}

impl Conv1d {
    /// Steps of the output over this number of inputs; nothing when the inputs are no whole steps, or too few.
    pub fn steps_out(&self, inputs: usize) -> Option<usize> {
        steps_out(inputs, self.channels, self.kernel)
    }
}

/// Steps that a convolution gives over this number of inputs; nothing when the inputs are no whole steps, or fewer than
/// its kernel.
pub fn steps_out(inputs: usize, channels: usize, kernel: usize) -> Option<usize> {
    let is_whole = kernel > 0 && channels > 0 && inputs.is_multiple_of(channels);
    if is_whole { (inputs / channels + 1).checked_sub(kernel).filter(|&steps| steps > 0) } else { None }
}

impl From<Dense> for Layer {
    fn from(dense: Dense) -> Self {
        Self::Dense(dense)
    }
}

impl From<Conv1d> for Layer {
    fn from(conv: Conv1d) -> Self {
        Self::Conv1d(conv)
    }
}
