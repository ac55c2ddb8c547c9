//! Deterministic simulation of Hygeia's agents: from one seed a ward over hours of modelled time, every state machine of
//! `hygeia-protocol` (window, triage, submission, audit orders), faults, and invariants checked at every step.
//!
//! What runs: the machines and the wire types, as they are in the product: window, triage, lease, submission, audit orders.
//! What is modelled: JetStream (places, message ids and how long they are remembered, conditional appends, shared queues
//! with redelivery, key-value pairs with revisions, loss of power), the network, the prover's time and failures, wall
//! clocks that are wrong, the chain (blocks, nonces, fees, re-orgs, one nullifier once, which models are approved). What
//! is mirrored and not run: the product's asynchronous roles; the [`drivers`] follow their order of effects and must be
//! changed with them. What is absent: several networks on one broker, consent that changes, the real contracts (the seam
//! for them is [`contracts`]).
//!
//! This crate never reads a clock, a file or a socket, and no crate of the product depends on it. The same seed, sizes
//! and faults give the same run, event by event.

pub mod broker;
pub mod call;
pub mod chain;
pub mod cli;
pub mod contracts;
pub mod drivers;
pub mod governance;
pub mod invariant;
pub mod port;
pub mod process;
pub mod rng;
pub mod run;
pub mod schedule;
pub mod shrink;
pub mod sweep;
pub mod ward;
pub mod world;
