//! Feature schema, training, integer reference and candle engine of Hygeia's risk models.
//!
//! A clinical state becomes a vector of integers ([`schema`]), the vector becomes a fixed-point score by integer
//! arithmetic alone ([`network`]), and everything that fixes the two travels as one content-hashed [`package`].
//! What is served is what is proved: the candle engine computes the same integers as the reference, bit for bit.
//!
//! This crate never talks to a broker or a chain, never reads a clock to decide anything, and never puts a
//! measurement into an error text.
//!
//! Without the feature `candle` neither candle nor the readers of training data are compiled.

pub mod drift;
pub mod explain;
pub mod guard;
pub mod kernel;
pub mod metrics;
pub mod network;
pub mod news2;
pub mod onnx;
pub mod package;
pub mod quantise;
pub mod schema;
pub mod score;
pub mod sirs;

mod sequence;

#[cfg(feature = "candle")]
pub mod certify;
#[cfg(feature = "candle")]
pub mod dataset;
#[cfg(feature = "candle")]
pub mod engine;
#[cfg(feature = "candle")]
pub mod evaluate;
#[cfg(feature = "candle")]
pub mod serve;
#[cfg(feature = "candle")]
pub mod train;

pub use explain::{Contribution, Explanation, explain};
pub use network::{Conv1d, Dense, Evaluation, IntegerNetwork, Layer, NetworkError};
pub use package::{Calibration, ModelCard, ModelPackage, PackageError};
pub use schema::{ClinicalState, Feature, FeatureSchema, Reading, SchemaError, Sex, Source, Unit, Variable};
pub use score::{ByScore, ScoreName};
