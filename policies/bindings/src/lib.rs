//! Rust bindings of the Hygeia contracts: one module per contract, generated from the committed ABI and bytecode, and the
//! encodings that Rust and Solidity must agree on, held together by the vectors in `policies/test/vectors`.
//!
//! This crate never opens a connection, holds a key or decides anything: it only names and encodes.
//!
//! Each contract module has the contract's calls, events and errors, `new(address, provider)` for a deployed instance and
//! `deploy(provider, …)` for a new one. Errors that reach a caller from deeper contracts are told apart by
//! [`refusal::name`].

mod contracts;
pub mod ids;
pub mod refusal;
pub mod typed_data;

pub use contracts::{
    agent_identity_registry, agent_validation_registry, audit_ledger, care_coordinator, care_pool, credential_registry,
    hygeia_governor, hygeia_timelock, hygeia_token, inference_validator, inference_verifier, mandate_registry,
    model_registry, oracle_registry, policy_registry,
};

pub use agent_identity_registry::AgentIdentityRegistry;
pub use agent_validation_registry::AgentValidationRegistry;
pub use audit_ledger::AuditLedger;
pub use care_coordinator::CareCoordinator;
pub use care_pool::CarePool;
pub use credential_registry::CredentialRegistry;
pub use hygeia_governor::HygeiaGovernor;
pub use hygeia_timelock::HygeiaTimelock;
pub use hygeia_token::HygeiaToken;
pub use inference_validator::InferenceValidator;
pub use inference_verifier::InferenceVerifier;
pub use mandate_registry::MandateRegistry;
pub use model_registry::ModelRegistry;
pub use oracle_registry::OracleRegistry;
pub use policy_registry::PolicyRegistry;

/// What `CareCoordinator.trigger` takes.
pub use care_coordinator::ICareCoordinator::TriggerRequest;
/// What a model's identifier is made of.
pub use model_registry::IERCZKMLRegistry::ModelCommitment;
/// What a model is bound to when it is approved, what voters had before them, the change control text that comes with the
/// approval, and what verifies the model's audits.
pub use model_registry::IModelRegistry::{AuditBinding, ChangeControl, Evidence, ServiceBinding};
/// What an oracle registry goes by.
pub use oracle_registry::IOracleRegistry::Rules as OracleRules;
/// The terms of a care policy, which governance votes on and the policy's identifier is made of.
pub use policy_registry::IPolicyRegistry::Terms as PolicyTerms;
