//! Suites over the way of a datum, one for each of its costs, and what they have in common: arguments, models, what is
//! measured, and the record of a machine.
//!
//! The suites lie in `benches/`, what they gave on named machines in `records/`. No crate depends on this one, and it
//! never holds product logic.

pub mod arguments;
pub mod chain;
pub mod load;
pub mod measure;
pub mod models;
pub mod process;
pub mod record;
pub mod trend;
pub mod worker;

pub use arguments::Arguments;
