//! Wire types, subjects and the pure state machines (window, triage, lease, submission) of Hygeia's agents.
//! Every byte that reaches an agent becomes a checked value here, and every decision an agent takes
//! between two messages is a `step` of a machine of this crate.
//!
//! This crate never performs IO and never reads a clock: the caller passes bytes and the time in, and
//! carries out what comes back. Nothing it prints (`Debug`, `Display`, an error) holds a measurement, a
//! salt or an identifier of a patient.

pub mod audit;
pub mod bytes;
pub mod code;
pub mod digest;
pub mod identity;
pub mod journal;
pub mod lease;
pub mod message;
pub mod observation;
pub mod pack;
pub mod reconcile;
pub mod registry;
pub mod retry;
pub mod shadow;
pub mod subject;
pub mod submission;
pub mod time;
pub mod triage;
pub mod window;

mod decimal;
mod wire;
