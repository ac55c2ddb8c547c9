//! Tests of the crate through its public interface.

#[cfg(feature = "candle")]
mod engine;
#[cfg(feature = "candle")]
mod evaluation;
mod explain;
#[cfg(feature = "candle")]
mod learning;
mod network;
mod package;
mod schema;
#[cfg(feature = "candle")]
mod training;
