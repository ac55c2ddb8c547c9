//! The crate from the outside: every accepting case with its tampered twin, and the machines under
//! random schedules.

mod audit;
mod chain;
mod charts;
mod journal;
mod lease;
mod message;
mod observation;
mod reconcile;
mod registry;
mod shadow;
mod subject;
mod submission;
mod triage;
mod triage_pack;
mod window;
mod window_pack;
