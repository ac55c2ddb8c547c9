//! A whole network under a simulated ward: how it is started, watched and judged. What the suites `throughput` and `soak`
//! have in common.

pub mod outcome;
pub mod sample;
pub mod scene;
pub mod threshold;
pub mod watch;
