//! What the program tells of itself: numbers, traces, log lines, and whether it is well.
//!
//! All of it follows the [`schema`], and none of it ever holds anything about a patient: no identity, no mandate, no value.

pub mod document;
pub mod health;
pub mod level;
pub mod log;
pub mod metrics;
mod process;
pub mod queues;
mod render;
pub mod schema;
pub mod trace;
pub mod watchdog;

pub use health::Health;
pub use log::init as init_log;
pub use metrics::{Metrics, process};
pub use process::processor_time;
pub use schema::metrics::{Counter, Gauge, Histogram, Moment};
pub use watchdog::Loop;
