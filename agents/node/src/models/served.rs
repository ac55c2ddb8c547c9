//! A model that is warm: its engine built, and tried against the integer reference.

use std::sync::Arc;

use candle_core::Device;
use hygeia_inference::engine::EngineError;
use hygeia_inference::network::{IntegerNetwork, NetworkError};
use hygeia_inference::package::ModelPackage;
use hygeia_inference::serve::ServingEngine;
use hygeia_protocol::bytes::B32;
use thiserror::Error;

/// Made-up windows that an engine is tried on, beside the two that lie at the bounds of every feature.
const TRIALS: u64 = 62;

/// Why a model cannot be served.
#[derive(Debug, Error)]
pub enum WarmUpError {
    /// The device does not take the network, or failed.
    #[error("the engine could not be built or did not answer")]
    Engine(#[from] EngineError),
    /// The reference does not take what the bounds allow.
    #[error("the integer reference refuses a window within its own bounds")]
    Reference(#[from] NetworkError),
    /// The engine scores otherwise than the reference.
    #[error("engine {engine} scores trial window {trial} otherwise than the integer reference")]
    Differs {
        /// What computed.
        engine: String,
        /// Which made-up window.
        trial: usize,
    },
}

/// A model ready to score.
pub struct Served {
    /// The package.
    pub model: Arc<ModelPackage>,
    /// Its content hash; hashed once, asked for with every window.
    pub hash: B32,
    /// Hash of its feature schema, likewise.
    pub schema: B32,
    /// What scores.
    pub engine: ServingEngine,
    /// What computes, for the ledger; named once.
    pub engine_name: String,
}

impl Served {
    /// Builds the engine of a package on a device and lets it score windows whose scores the integer reference gives.
    /// Blocks for milliseconds.
    pub fn warm_up(model: Arc<ModelPackage>, device: &Device) -> Result<Self, WarmUpError> {
        let engine = ServingEngine::new(model.network(), device)?;
        let engine_name = engine.name();
        let trials = trials(model.network());
        for (trial, (row, score)) in trials.iter().zip(engine.score_batch(&trials)?).enumerate() {
            if model.network().score(row)? != score {
                return Err(WarmUpError::Differs { engine: engine_name, trial });
            }
        }
        let (hash, schema) = (B32::new(model.hash()), B32::new(model.schema().hash()));
        Ok(Self { model, hash, schema, engine, engine_name })
    }
}

/// Windows within a network's bounds: the lowest, the highest, and some from a fixed sequence.
fn trials(network: &IntegerNetwork) -> Vec<Vec<i32>> {
    let bounds = network.input_bounds();
    let lowest = bounds.iter().map(|(low, _)| *low).collect();
    let highest = bounds.iter().map(|(_, high)| *high).collect();
    let mut state = 0;
    let between = |(low, high): &(i32, i32), random: u64| {
        let span = u64::try_from(i64::from(*high) - i64::from(*low)).unwrap_or(0) + 1;
        i32::try_from(i64::from(*low) + i64::try_from(random % span).unwrap_or(0)).unwrap_or(*low)
    };
    let mut row = || bounds.iter().map(|bound| between(bound, next(&mut state))).collect();
    [lowest, highest].into_iter().chain((0..TRIALS).map(|_| row())).collect()
}

/// SplitMix64: the same windows at every start.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_model_warms_up_on_trials_that_differ() {
        let package = Arc::new(ModelPackage::default_model().clone());
        let served = Served::warm_up(package.clone(), &Device::Cpu).unwrap();
        assert_eq!(served.hash.into_bytes(), package.hash());
        let trials = trials(package.network());
        assert_eq!(trials.len() as u64, TRIALS + 2);
        let scores: std::collections::BTreeSet<i64> = served.engine.score_batch(&trials).unwrap().into_iter().collect();
        assert!(scores.len() > 30, "the trials reach many scores");
    }
}
