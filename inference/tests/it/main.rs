//! Tests of the crate through its public interface.

mod archive;
#[cfg(feature = "candle")]
mod engine;
#[cfg(feature = "candle")]
mod evaluation;
mod explain;
mod kernel;
#[cfg(feature = "candle")]
mod learning;
mod network;
mod networks;
mod package;
mod schema;
#[cfg(feature = "candle")]
mod training;
