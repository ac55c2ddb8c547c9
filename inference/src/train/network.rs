//! The float network in candle: what the gradient descends on.

use candle_core::{DType, Device, Result, Tensor, Var};

use super::Architecture;
use crate::quantise::{FloatConv1d, FloatDense, FloatLayer};
use crate::schema::HOURS;
use crate::sequence::Sequence;

/// Layers with their weights as variables.
pub(super) struct Network(Vec<Stage>);

/// One layer. Activations are `[rows, nodes]`, those of a convolution step-major.
enum Stage {
    /// Weights `[out, in]`, bias `[out]`.
    Dense(Var, Var),
    /// Weights `[out, kernel * channels]`, bias `[out]`.
    Conv1d { channels: usize, kernel: usize, weights: Var, bias: Var },
    /// Mean over the steps.
    MeanPool { channels: usize },
}

impl Network {
    /// Weights uniform in +-sqrt(6 / inputs) (He et al. 2015), biases 0.
    pub(super) fn new(architecture: &Architecture, inputs: usize, draw: &mut Sequence) -> Result<Self> {
        let mut stages = Vec::new();
        let (hidden, mut width) = match architecture {
            Architecture::Mlp { hidden } => (hidden, inputs),
            Architecture::Conv1d { channels, kernel, hidden } => {
                let mut before = inputs / HOURS;
                for &out in channels {
                    let (weights, bias) = parameters(out, kernel * before, draw)?;
                    stages.push(Stage::Conv1d { channels: before, kernel: *kernel, weights, bias });
                    before = out;
                }
                stages.push(Stage::MeanPool { channels: before });
                (hidden, before)
            }
        };
        for out in hidden.iter().copied().chain(std::iter::once(1)) {
            let (weights, bias) = parameters(out, width, draw)?;
            stages.push(Stage::Dense(weights, bias));
            width = out;
        }
        Ok(Self(stages))
    }

    /// The same layers with weights of their own.
    pub(super) fn copy(&self) -> Result<Self> {
        let copy = |var: &Var| Var::from_tensor(&var.as_tensor().copy()?);
        let stage = |stage: &Stage| {
            Ok(match stage {
                Stage::Dense(weights, bias) => Stage::Dense(copy(weights)?, copy(bias)?),
                Stage::Conv1d { channels, kernel, weights, bias } => {
                    Stage::Conv1d { channels: *channels, kernel: *kernel, weights: copy(weights)?, bias: copy(bias)? }
                }
                Stage::MeanPool { channels } => Stage::MeanPool { channels: *channels },
            })
        };
        self.0.iter().map(stage).collect::<Result<_>>().map(Self)
    }

    /// Weights and biases, layer by layer.
    pub(super) fn variables(&self) -> Vec<Var> {
        let parameters = |stage: &Stage| match stage {
            Stage::Dense(weights, bias) | Stage::Conv1d { weights, bias, .. } => vec![weights.clone(), bias.clone()],
            Stage::MeanPool { .. } => Vec::new(),
        };
        self.0.iter().flat_map(parameters).collect()
    }

    /// Logits `[rows]` of inputs `[rows, in]`; `drop` changes the activations after each ReLU.
    pub(super) fn forward(&self, x: &Tensor, mut drop: impl FnMut(Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let mut x = x.clone();
        for (index, stage) in self.0.iter().enumerate() {
            let hidden = index + 1 < self.0.len();
            x = stage.forward(&x)?;
            if hidden && !matches!(stage, Stage::MeanPool { .. }) {
                x = drop(x.relu()?)?;
            }
        }
        x.squeeze(1)
    }

    /// The layers as plain numbers.
    pub(super) fn to_layers(&self) -> Result<Vec<FloatLayer>> {
        let layer = |stage: &Stage| {
            Ok(match stage {
                Stage::Dense(weights, bias) => {
                    FloatDense { weights: weights.to_vec2::<f32>()?, bias: bias.to_vec1::<f32>()? }.into()
                }
                Stage::Conv1d { channels, kernel, weights, bias } => FloatConv1d {
                    channels: *channels,
                    kernel: *kernel,
                    weights: weights.to_vec2::<f32>()?,
                    bias: bias.to_vec1::<f32>()?,
                }
                .into(),
                Stage::MeanPool { channels } => FloatLayer::MeanPool { channels: *channels },
            })
        };
        self.0.iter().map(layer).collect()
    }
}

impl Stage {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(weights, bias) => x.matmul(&weights.t()?)?.broadcast_add(bias),
            Self::Conv1d { channels, kernel, weights, bias } => {
                let (rows, nodes) = x.dims2()?;
                let steps = x.reshape((rows, nodes / channels, *channels))?;
                let steps_out = nodes / channels + 1 - kernel;
                let taps = (0..*kernel).map(|tap| steps.narrow(1, tap, steps_out)).collect::<Result<Vec<_>>>()?;
                let seen = Tensor::cat(&taps, 2)?.reshape((rows * steps_out, kernel * channels))?;
                let out = seen.matmul(&weights.t()?)?.broadcast_add(bias)?;
                out.reshape((rows, steps_out * bias.dims1()?))
            }
            Self::MeanPool { channels } => {
                let (rows, nodes) = x.dims2()?;
                x.reshape((rows, nodes / channels, *channels))?.mean(1)
            }
        }
    }
}

fn parameters(outputs: usize, inputs: usize, draw: &mut Sequence) -> Result<(Var, Var)> {
    let bound = (6.0 / inputs as f64).sqrt();
    let flat: Vec<f32> = (0..inputs * outputs).map(|_| ((2.0 * draw.unit() - 1.0) * bound) as f32).collect();
    let weights = Tensor::from_vec(flat, (outputs, inputs), &Device::Cpu)?;
    Ok((Var::from_tensor(&weights)?, Var::from_tensor(&Tensor::zeros(outputs, DType::F32, &Device::Cpu)?)?))
}

/// Sets a share of the activations to 0 and scales up the others.
pub(super) fn drop_out(x: Tensor, share: f64, draw: &mut Sequence) -> Result<Tensor> {
    if share == 0.0 {
        return Ok(x);
    }
    let kept = (1.0 / (1.0 - share)) as f32;
    let mask: Vec<f32> = (0..x.elem_count()).map(|_| if draw.unit() < share { 0.0 } else { kept }).collect();
    let mask = Tensor::from_vec(mask, x.dims(), x.device())?;
    x * mask
}
