//! The integer network: the one meaning of a score, which engine and circuit must reproduce bit for bit.
//!
//! All numbers are fixed-point integers with ten binary digits after the point. A layer computes `T = b + W x`
//! exactly (twenty digits after the point), then `y = T >> 10`, the floor; hidden layers keep `max(y, 0)`, the last
//! layer keeps `y`, whose single value is the score: a logit in 1024ths. Nothing saturates: a network is accepted
//! only when interval arithmetic shows that no input within its bounds can leave the circuit's ranges.

mod bounds;
mod layer;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use bounds::{ACTIVATION_LIMIT, INPUT_LIMIT, NeuronBound, PRE_ACTIVATION_LIMIT};
pub use layer::{Conv1d, Dense, Layer, steps_out};

/// Binary digits dropped after each layer. The circuit's limbs are laid out for this number.
pub const SHIFT: u32 = 10;
/// Most layers a network may have.
pub const LAYERS_MAX: usize = 8;
/// Most neurons a layer, or inputs a network, may have.
pub const WIDTH_MAX: usize = 1024;

/// A network that has passed every bound check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawNetwork", into = "RawNetwork")]
pub struct IntegerNetwork {
    input_bounds: Vec<(i32, i32)>,
    layers: Vec<Layer>,
    bounds: Vec<Vec<NeuronBound>>,
}

/// All that the evaluation of one input computes, layer by layer: what fills a circuit.
#[derive(Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// `T` of each neuron of each layer.
    pub pre: Vec<Vec<i64>>,
    /// Output of each neuron of each layer, after shift and, on hidden layers, ReLU. The input is not repeated.
    pub activations: Vec<Vec<i64>>,
    /// The single output of the last layer.
    pub score: i64,
}

/// Why a network or an input was refused. Layers, neurons and inputs are counted from 0.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NetworkError {
    /// The number of layers is 0 or above [`LAYERS_MAX`].
    #[error("a network has 1 to {LAYERS_MAX} layers, not {0}")]
    LayerCount(usize),
    /// The network drops another number of digits than [`SHIFT`].
    #[error("a network shifts by {SHIFT}, not by {0}")]
    Shift(u32),
    /// A layer, or the input, is empty or wider than [`WIDTH_MAX`].
    #[error("layer {layer} is {width} wide, allowed are 1 to {WIDTH_MAX}")]
    Width {
        /// The layer.
        layer: usize,
        /// Its width.
        width: usize,
    },
    /// A row of weights does not fit the layer before it, or weights and biases differ in number.
    #[error("layer {layer}, neuron {neuron}: shape does not fit")]
    Shape {
        /// The layer.
        layer: usize,
        /// The neuron.
        neuron: usize,
    },
    /// The inputs of a convolution are no whole steps of its channels, or fewer steps than its kernel.
    #[error("layer {layer}: a convolution over {kernel} steps of {channels} channels does not take {inputs} inputs")]
    Steps {
        /// The layer.
        layer: usize,
        /// Channels of its input.
        channels: usize,
        /// Steps that one output sees.
        kernel: usize,
        /// Inputs it is given.
        inputs: usize,
    },
    /// The last layer has more than one neuron.
    #[error("the last layer has one neuron, not {0}")]
    OutputWidth(usize),
    /// An input's interval is empty or leaves the 16-bit range.
    #[error("interval of input {0} is empty or leaves the 16-bit range")]
    InputInterval(usize),
    /// Some input could drive `T` of this neuron out of [-2^30, 2^30).
    #[error("layer {layer}, neuron {neuron}: pre-activation may leave [-2^30, 2^30)")]
    PreActivation {
        /// The layer.
        layer: usize,
        /// The neuron.
        neuron: usize,
    },
    /// Some input could drive the output of this hidden neuron to 2^20 or above.
    #[error("layer {layer}, neuron {neuron}: activation may reach 2^20")]
    Activation {
        /// The layer.
        layer: usize,
        /// The neuron.
        neuron: usize,
    },
    /// An input to evaluate has the wrong length.
    #[error("the network takes {expected} inputs, not {actual}")]
    InputLength {
        /// What the network takes.
        expected: usize,
        /// What it was given.
        actual: usize,
    },
    /// An input to evaluate is outside its bounds. The value is not told.
    #[error("input {0} is outside its bounds")]
    InputOutOfBounds(usize),
}

impl IntegerNetwork {
    /// Accepts layers for inputs within `input_bounds` (inclusive), or says which neuron is in the way.
    pub fn new(layers: Vec<Layer>, input_bounds: Vec<(i32, i32)>) -> Result<Self, NetworkError> {
        check_shape(&layers, input_bounds.len())?;
        let bounds = bounds::propagate(&layers, &input_bounds)?;
        Ok(Self { input_bounds, layers, bounds })
    }

    /// The reference evaluation, in integers.
    pub fn evaluate(&self, input: &[i32]) -> Result<Evaluation, NetworkError> {
        self.check_input(input)?;
        let mut x: Vec<i64> = input.iter().copied().map(i64::from).collect();
        let mut pre = Vec::with_capacity(self.layers.len());
        let mut activations: Vec<Vec<i64>> = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let hidden = index + 1 < self.layers.len();
            let t = layer.pre_activations(&x, self.bounds[index].len());
            x = t.iter().map(|&t| activate(t, hidden)).collect();
            pre.push(t);
            activations.push(x.clone());
        }
        Ok(Evaluation { pre, activations, score: x[0] })
    }

    /// The score alone.
    pub fn score(&self, input: &[i32]) -> Result<i64, NetworkError> {
        Ok(self.evaluate(input)?.score)
    }

    /// Whether an input has the right length and stays within the bounds the network was accepted for.
    pub fn check_input(&self, input: &[i32]) -> Result<(), NetworkError> {
        if input.len() != self.input_bounds.len() {
            return Err(NetworkError::InputLength { expected: self.input_bounds.len(), actual: input.len() });
        }
        let outside = |(&x, &(low, high)): (&i32, &(i32, i32))| x < low || x > high;
        match input.iter().zip(&self.input_bounds).position(outside) {
            Some(index) => Err(NetworkError::InputOutOfBounds(index)),
            None => Ok(()),
        }
    }

    /// SHA-256 of the canonical bytes: input bounds, then each layer's kind, shape, weights and biases, all big-endian.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"hygeia/network/v2");
        hasher.update(SHIFT.to_be_bytes());
        hasher.update((self.input_bounds.len() as u64).to_be_bytes());
        for (low, high) in &self.input_bounds {
            hasher.update(low.to_be_bytes());
            hasher.update(high.to_be_bytes());
        }
        hasher.update((self.layers.len() as u64).to_be_bytes());
        for layer in &self.layers {
            match layer {
                Layer::Dense(_) => hasher.update([0]),
                Layer::Conv1d(conv) => {
                    hasher.update([1]);
                    hasher.update((conv.channels as u64).to_be_bytes());
                    hasher.update((conv.kernel as u64).to_be_bytes());
                }
            }
            hasher.update((layer.weights().len() as u64).to_be_bytes());
            for (row, bias) in layer.weights().iter().zip(layer.bias()) {
                row.iter().for_each(|weight| hasher.update(weight.to_be_bytes()));
                hasher.update(bias.to_be_bytes());
            }
        }
        hasher.finalize().into()
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Number of inputs, then of neurons of each layer, such as `[64, 64, 32, 1]`. A convolution has a neuron for each
    /// channel at each step.
    pub fn dims(&self) -> Vec<usize> {
        std::iter::once(self.input_bounds.len()).chain(self.bounds.iter().map(Vec::len)).collect()
    }

    /// Binary digits dropped after each layer: [`SHIFT`].
    pub fn shift(&self) -> u32 {
        SHIFT
    }

    /// Least and greatest value of each input, both inclusive.
    pub fn input_bounds(&self) -> &[(i32, i32)] {
        &self.input_bounds
    }

    /// What interval arithmetic found for each neuron of each layer.
    pub fn bounds(&self) -> &[Vec<NeuronBound>] {
        &self.bounds
    }

    /// No sum of any part of the terms of any neuron exceeds this magnitude, in whatever order it is taken.
    pub fn partial_sum_max(&self) -> i64 {
        self.bounds.iter().flatten().map(|bound| bound.partial_sum_max).max().unwrap_or(0)
    }
}

/// Floor of `t` over 2^10, and ReLU on hidden layers.
fn activate(t: i64, hidden: bool) -> i64 {
    let y = t >> SHIFT;
    if hidden { y.max(0) } else { y }
}

fn check_shape(layers: &[Layer], inputs: usize) -> Result<(), NetworkError> {
    if layers.is_empty() || layers.len() > LAYERS_MAX {
        return Err(NetworkError::LayerCount(layers.len()));
    }
    check_width(0, inputs)?;
    let mut width = inputs;
    for (index, layer) in layers.iter().enumerate() {
        check_width(index, layer.weights().len())?;
        width = layer.outputs(width).ok_or_else(|| misfit(index, layer, width))?;
        check_width(index, width)?;
    }
    if width == 1 { Ok(()) } else { Err(NetworkError::OutputWidth(width)) }
}

fn check_width(layer: usize, width: usize) -> Result<(), NetworkError> {
    if (1..=WIDTH_MAX).contains(&width) { Ok(()) } else { Err(NetworkError::Width { layer, width }) }
}

/// Why a layer does not take this number of inputs, or is not whole.
fn misfit(index: usize, layer: &Layer, inputs: usize) -> NetworkError {
    let row = match layer {
        Layer::Dense(_) => inputs,
        Layer::Conv1d(conv) if conv.steps_out(inputs).is_some() => conv.channels * conv.kernel,
        &Layer::Conv1d(Conv1d { channels, kernel, .. }) => {
            return NetworkError::Steps { layer: index, channels, kernel, inputs };
        }
    };
    let (weights, bias) = (layer.weights(), layer.bias());
    let neuron = weights.iter().position(|weights| weights.len() != row);
    NetworkError::Shape { layer: index, neuron: neuron.unwrap_or_else(|| weights.len().min(bias.len())) }
}

/// Shows no activation: they tell about the patient.
impl std::fmt::Debug for Evaluation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluation").field("layers", &self.pre.len()).finish_non_exhaustive()
    }
}

/// The JSON form of a network, not yet checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNetwork {
    shift: u32,
    input_bounds: Vec<(i32, i32)>,
    layers: Vec<Layer>,
}

impl TryFrom<RawNetwork> for IntegerNetwork {
    type Error = NetworkError;

    fn try_from(raw: RawNetwork) -> Result<Self, NetworkError> {
        if raw.shift != SHIFT {
            return Err(NetworkError::Shift(raw.shift));
        }
        Self::new(raw.layers, raw.input_bounds)
    }
}

impl From<IntegerNetwork> for RawNetwork {
    fn from(network: IntegerNetwork) -> Self {
        Self { shift: SHIFT, input_bounds: network.input_bounds, layers: network.layers }
    }
}
