//! Faults on the real parts: roles and broker killed and stopped, a broker that loses its disk or its leader, a chain
//! that re-organises or restarts, clocks that jump, a prover without memory. After each everything comes to rest again,
//! and the counts match: nothing lost, nothing twice.
//!
//! With `HYGEIA_FAULT_RECORD` naming a file, every recovery time is appended to it as a line of JSON; `cargo xtask
//! faults` makes a record of them. Times are reported, never asserted.

#[path = "../support/mod.rs"]
mod support;

mod broker;
mod chain;
mod clock;
mod cluster;
mod memory;
mod proxy;
mod roles;
mod scene;
mod tally;
