//! Audit mode: one proof for a whole batch of windows.
pub mod batch;
pub mod circuit;
pub mod engine;
pub mod equations;
pub mod keys;
pub mod plan;
pub mod tree;
pub use batch::{AuditBatch, AuditWindow};
pub use engine::{AuditError, AuditKeys, AuditKeysError, AuditProof, calldata, calldata_bytes, verifier_solidity, verify};
pub use keys::{AuditKeyError, AuditVerifyingKey};
pub use plan::{AuditPlan, AuditPlanError};
pub use tree::{AuditPublic, AuditTree};
