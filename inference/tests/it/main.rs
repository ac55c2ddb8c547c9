//! Tests of the crate through its public interface.

#[cfg(feature = "candle")]
mod engine;
mod explain;
mod network;
mod package;
mod schema;
#[cfg(feature = "candle")]
mod training;
