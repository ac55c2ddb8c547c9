//! The Hygeia agents: the roles, their edges to the broker and the chain, and the demo that runs them all.
//! Everything here carries out what the state machines of `hygeia-protocol` decide.
//!
//! This crate never decides what a state machine decides, and never puts patient data into a log, an error or a label.

pub mod alarm;
pub mod bus;
pub mod chain;
pub mod cli;
pub mod clock;
pub mod convert;
pub mod demo;
pub mod drift;
pub mod engines;
pub mod enrolment;
pub mod explain;
pub mod gov;
pub mod journal;
pub mod keys;
pub mod load;
pub mod memory;
pub mod models;
pub mod partition;
pub mod reconcile;
pub mod replay;
pub mod roles;
pub mod shadow;
pub mod telemetry;
pub mod top;
pub mod verifier;
pub mod verify;
