//! The engine that serves: the integer kernels on a processor, candle on a GPU. Both give the reference's scores.

use candle_core::Device;

use crate::engine::{Accumulator, CandleEngine, EngineError};
use crate::kernel::{IntegerEngine, RowError};
use crate::network::IntegerNetwork;

/// An integer network on a device, by the means that are fastest there.
pub enum ServingEngine {
    /// The integer kernels, which allocate nothing from one batch to the next.
    Processor(IntegerEngine),
    /// candle, which makes its tensors anew with every batch.
    Candle(CandleEngine),
}

impl ServingEngine {
    /// Puts a network on a device. What no float type computes exactly is refused on all of them.
    pub fn new(network: &IntegerNetwork, device: &Device) -> Result<Self, EngineError> {
        Accumulator::of(network.partial_sum_max())?;
        match device {
            Device::Cpu => Ok(Self::Processor(IntegerEngine::new(network))),
            _ => CandleEngine::new(network, device).map(Self::Candle),
        }
    }

    /// What computes, for the record: `integer-avx2`, `candle-f64`.
    pub fn name(&self) -> String {
        match self {
            Self::Processor(engine) => format!("integer-{}", engine.units().name()),
            Self::Candle(engine) => format!("candle-{}", engine.dtype().as_str()),
        }
    }

    /// The score of each row, exactly as [`IntegerNetwork::evaluate`] gives it.
    pub fn score_batch<R: AsRef<[i32]>>(&self, rows: &[R]) -> Result<Vec<i64>, EngineError> {
        let mut scores = Vec::with_capacity(rows.len());
        self.score_into(rows, &mut scores)?;
        Ok(scores)
    }

    /// Appends the score of each row. After an error `scores` is as it was.
    pub fn score_into<R: AsRef<[i32]>>(&self, rows: &[R], scores: &mut Vec<i64>) -> Result<(), EngineError> {
        match self {
            Self::Processor(engine) => Ok(engine.score_into(rows, scores)?),
            Self::Candle(engine) => {
                scores.extend(engine.score_batch(rows)?);
                Ok(())
            }
        }
    }
}

impl From<RowError> for EngineError {
    fn from(RowError { row, source }: RowError) -> Self {
        Self::Input { row, source }
    }
}
