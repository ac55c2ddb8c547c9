//! What of a network decides the shape of its circuit.

use hygeia_inference::{IntegerNetwork, Layer, network::steps_out};
use serde::{Deserialize, Serialize};

use super::PlanError;
use crate::statement::FEATURES_MAX;

/// Most layers of a network.
const LAYERS_MAX: usize = 8;

/// Number of inputs, and the layers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Features.
    pub inputs: usize,
    /// Layers; the last has one output.
    pub layers: Vec<LayerShape>,
}

/// Shape of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerShape {
    /// Every neuron sees all inputs.
    Dense {
        /// Neurons.
        outputs: usize,
    },
    /// A convolution over time with more than one step of outputs.
    Conv1d {
        /// Channels of the input.
        channels: usize,
        /// Steps that one output sees.
        kernel: usize,
        /// Channels of the output.
        outputs: usize,
    },
}

impl Shape {
    /// The shape of a network. A convolution whose window spans all steps is a dense layer.
    pub fn of(network: &IntegerNetwork) -> Self {
        let layers = network.layers().iter().zip(network.dims()).map(|(layer, inputs)| {
            let outputs = layer.weights().len();
            match layer {
                Layer::Conv1d(conv) if conv.steps_out(inputs) != Some(1) => {
                    LayerShape::Conv1d { channels: conv.channels, kernel: conv.kernel, outputs }
                }
                Layer::Conv1d(_) | Layer::Dense(_) => LayerShape::Dense { outputs },
            }
        });
        Self { inputs: network.input_bounds().len(), layers: layers.collect() }
    }

    /// A network of dense layers, given its inputs and the neurons of each layer.
    pub fn dense(dims: &[usize]) -> Self {
        let layers = dims.iter().skip(1).map(|&outputs| LayerShape::Dense { outputs });
        Self { inputs: dims.first().copied().unwrap_or(0), layers: layers.collect() }
    }

    /// Nodes of each layer, inputs first; 0 from where layers do not fit each other.
    pub fn dims(&self) -> Vec<usize> {
        let widths = self.layers.iter().scan(self.inputs, |width, layer| {
            *width = layer.width(*width).unwrap_or(0);
            Some(*width)
        });
        std::iter::once(self.inputs).chain(widths).collect()
    }

    /// Nodes of a layer; layer 0 is the input.
    pub fn width(&self, layer: usize) -> usize {
        self.layers[..layer].iter().fold(self.inputs, |width, layer| layer.width(width).unwrap_or(0))
    }

    /// Nodes that a layer has beyond those of the network: the outputs of a convolution whose window reaches past the
    /// last step. See [`layers`](super::super::layers).
    pub fn virtual_nodes(&self, layer: usize) -> usize {
        match layer.checked_sub(1).map(|before| self.layers[before]) {
            Some(LayerShape::Conv1d { kernel, outputs, .. }) => (kernel - 1) * outputs,
            _ => 0,
        }
    }

    /// All nodes of a layer, real and virtual.
    pub fn claims(&self, layer: usize) -> usize {
        self.width(layer) + self.virtual_nodes(layer)
    }

    pub(super) fn check(&self) -> Result<(), PlanError> {
        let dims = self.dims();
        let is_valid = (1..=LAYERS_MAX).contains(&self.layers.len())
            && dims.iter().all(|width| (1..=FEATURES_MAX).contains(width))
            && self.layers.iter().all(|layer| layer.outputs() <= FEATURES_MAX)
            && dims.last() == Some(&1);
        if is_valid { Ok(()) } else { Err(PlanError::Shape(dims)) }
    }
}

impl LayerShape {
    fn outputs(self) -> usize {
        match self {
            Self::Dense { outputs } | Self::Conv1d { outputs, .. } => outputs,
        }
    }

    /// Nodes of this layer over this number of inputs.
    fn width(self, inputs: usize) -> Option<usize> {
        match self {
            Self::Dense { outputs } => Some(outputs),
            Self::Conv1d { channels, kernel, outputs } => {
                let steps = steps_out(inputs, channels, kernel).filter(|&steps| steps > 1)?;
                steps.checked_mul(outputs)
            }
        }
    }
}
