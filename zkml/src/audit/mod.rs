//! Audit mode: one proof for a whole batch of windows, so that every inference is proved and not only those that raised
//! an alert.
//!
//! The statement, for the model fixed in the verifying key: *I know `count` windows, each a commitment's features and
//! salt, and the Merkle tree over `H(commitment, score)` of each, with the score that the model gives them, has this
//! root.* Commitment and score are those of [`statement`](crate::statement), bit for bit. Public are root and count
//! ([`AuditPublic`]); a chain verifies one proof whatever the number of windows. Each leaf's path is an [`AuditReceipt`],
//! which a patient keeps and checks offline against the root.
//!
//! A proof has a fixed number of slots; those without a window hold padding, whose leaf is 0 and which does not count. Two
//! equal windows are two leaves: the count says how many leaves are proved, not that all are different.
//!
//! [`equations`] says what a model is to the circuit, [`plan`] how large the circuit gets, [`circuit`] what it is made of,
//! and [`AuditKeys`] proves.

mod batch;
pub mod circuit;
mod engine;
pub mod equations;
mod keys;
pub mod plan;
mod receipt;
mod tree;

#[cfg(test)]
mod tests;

pub use batch::{AuditBatch, AuditWindow};
pub use circuit::witness::WitnessError;
pub use engine::{
    AuditError, AuditKeys, AuditKeysError, AuditProof, calldata, calldata_bytes, verifier_solidity, verify,
};
pub use keys::{AuditKeyError, AuditVerifyingKey};
pub use plan::{AuditPlan, AuditPlanError};
pub use receipt::{AuditReceipt, ReceiptError};
pub use tree::{AuditPublic, AuditTree};
