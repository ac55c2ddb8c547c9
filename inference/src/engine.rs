//! The batch engine: scores of many windows at once, computed by candle on integers held exactly in floats.
//!
//! A float type is exact for a network when no sum of any part of a neuron's terms exceeds the integers it can
//! represent: 2^24 for `f32`, 2^53 for `f64`. Then no operation rounds, the order of summation and fused
//! multiply-add make no difference, and the engine gives the reference's scores on every device.

use candle_core::{DType, Device, Tensor};
use serde::Serialize;

use crate::network::{self, IntegerNetwork, NetworkError, SHIFT};

/// A float type that holds a network's sums exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Accumulator {
    /// Every integer up to 2^24.
    F32,
    /// Every integer up to 2^53.
    F64,
}

/// Rows computed at once: larger batches are split, so that one call's memory is bounded.
const BATCH_ROWS_MAX: usize = 4096;

/// An integer network on a device.
pub struct CandleEngine {
    network: IntegerNetwork,
    layers: Vec<Layer>,
    dtype: DType,
    device: Device,
}

/// Weights `[in, out]` and bias `[1, out]`; of a convolution, `in` is what one output sees.
struct Layer {
    conv: Option<Conv>,
    weights: Tensor,
    bias: Tensor,
}

/// Shape of a convolution.
struct Conv {
    steps_out: usize,
    channels: usize,
    kernel: usize,
}

/// Why an engine could not be built or a batch not be scored.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No float type of the device holds this network's sums exactly.
    #[error("sums of the network may exceed 2^53: no float type computes it exactly")]
    NotExact,
    /// A row is not an input of the network.
    #[error("row {row} of the batch")]
    Input {
        /// The row.
        row: usize,
        /// What is wrong with it.
        source: NetworkError,
    },
    /// The device failed.
    #[error("the device failed")]
    Device(#[from] candle_core::Error),
}

impl Accumulator {
    /// The narrowest that holds every sum up to this magnitude, or a refusal.
    pub fn of(partial_sum_max: i64) -> Result<Self, EngineError> {
        match partial_sum_max {
            ..=0x100_0000 => Ok(Self::F32),
            0x100_0001..=0x20_0000_0000_0000 => Ok(Self::F64),
            _ => Err(EngineError::NotExact),
        }
    }

    /// `f32` or `f64`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

impl CandleEngine {
    /// Puts a network on a device, in the narrowest float type that computes it exactly.
    pub fn new(network: &IntegerNetwork, device: &Device) -> Result<Self, EngineError> {
        let dtype = match Accumulator::of(network.partial_sum_max())? {
            Accumulator::F32 => DType::F32,
            Accumulator::F64 => DType::F64,
        };
        let layers = network.layers().iter().zip(network.dims());
        let layers =
            layers.map(|(layer, inputs)| Layer::new(layer, inputs, dtype, device)).collect::<Result<_, _>>()?;
        Ok(Self { network: network.clone(), layers, dtype, device: device.clone() })
    }

    /// The score of each row, exactly as [`IntegerNetwork::evaluate`] gives it.
    pub fn score_batch<R: AsRef<[i32]>>(&self, rows: &[R]) -> Result<Vec<i64>, EngineError> {
        for (row, input) in rows.iter().enumerate() {
            self.network.check_input(input.as_ref()).map_err(|source| EngineError::Input { row, source })?;
        }
        let mut scores = Vec::with_capacity(rows.len());
        for batch in rows.chunks(BATCH_ROWS_MAX) {
            scores.extend(self.score_chunk(batch)?);
        }
        Ok(scores)
    }

    /// The float type in use: `f32` or `f64`.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    fn score_chunk<R: AsRef<[i32]>>(&self, rows: &[R]) -> Result<Vec<i64>, EngineError> {
        let width = self.network.input_bounds().len();
        // Inputs are 16-bit integers: exact in either type.
        let flat: Vec<f32> = rows.iter().flat_map(|row| row.as_ref()).map(|&x| x as f32).collect();
        let mut x = Tensor::from_vec(flat, (rows.len(), width), &self.device)?.to_dtype(self.dtype)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let t = layer.pre_activations(&x)?;
            // A power of two divides exactly; the floor is the shift's.
            let y = (t * (1.0 / f64::from(1u32 << SHIFT)))?.floor()?;
            x = if index + 1 < self.layers.len() { y.relu()? } else { y };
        }
        // Scores are within [-2^20, 2^20): exact in `f64` and `i64`.
        let scores = x.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        Ok(scores.into_iter().map(|score| score as i64).collect())
    }
}

impl Layer {
    fn new(layer: &network::Layer, inputs: usize, dtype: DType, device: &Device) -> Result<Self, EngineError> {
        let conv = match layer {
            network::Layer::Dense(_) => None,
            network::Layer::Conv1d(conv) => {
                let steps_out = conv.steps_out(inputs).expect("an accepted network's layers fit each other");
                Some(Conv { steps_out, channels: conv.channels, kernel: conv.kernel })
            }
        };
        let (outputs, row) = (layer.weights().len(), layer.weights()[0].len());
        let flat: Vec<f64> = layer.weights().iter().flatten().copied().map(f64::from).collect();
        let weights = Tensor::from_vec(flat, (outputs, row), device)?.t()?.contiguous()?.to_dtype(dtype)?;
        // Biases stay below 2^30 by the network's bounds.
        let bias: Vec<f64> = layer.bias().iter().map(|&bias| bias as f64).collect();
        let bias = Tensor::from_vec(bias, (1, outputs), device)?.to_dtype(dtype)?;
        Ok(Self { conv, weights, bias })
    }

    /// `b + W x` of inputs `[rows, in]`, step-major as they are.
    fn pre_activations(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let Some(conv) = &self.conv else { return self.affine(x) };
        let rows = x.dim(0)?;
        let t = self.affine(&conv.unfold(x)?)?;
        t.reshape((rows, ()))
    }

    fn affine(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        x.matmul(&self.weights)?.broadcast_add(&self.bias)
    }
}

impl Conv {
    /// What each output step sees, one row each: `[rows * steps_out, kernel * channels]`.
    fn unfold(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let x = x.reshape((x.dim(0)?, (), self.channels))?;
        let taps = (0..self.kernel).map(|tap| x.narrow(1, tap, self.steps_out));
        let unfolded = Tensor::cat(&taps.collect::<candle_core::Result<Vec<_>>>()?, 2)?;
        unfolded.reshape(((), self.kernel * self.channels))
    }
}
