//! The names of the contracts' errors, for a caller who sees only the bytes a call reverted with.

use alloy::sol_types::SolError;

use crate::agent_identity_registry::AgentIdentityRegistry::AgentIdentityRegistryErrors;
use crate::agent_validation_registry::AgentValidationRegistry::AgentValidationRegistryErrors;
use crate::audit_ledger::AuditLedger::AuditLedgerErrors;
use crate::care_coordinator::CareCoordinator::{CareCoordinatorErrors, ProofRejected};
use crate::care_pool::CarePool::CarePoolErrors;
use crate::credential_registry::CredentialRegistry::CredentialRegistryErrors;
use crate::hygeia_governor::HygeiaGovernor::HygeiaGovernorErrors;
use crate::hygeia_timelock::HygeiaTimelock::HygeiaTimelockErrors;
use crate::hygeia_token::HygeiaToken::HygeiaTokenErrors;
use crate::inference_verifier::InferenceVerifier::InferenceVerifierErrors;
use crate::mandate_registry::MandateRegistry::MandateRegistryErrors;
use crate::model_registry::ModelRegistry::ModelRegistryErrors;
use crate::oracle_registry::OracleRegistry::OracleRegistryErrors;
use crate::policy_registry::PolicyRegistry::PolicyRegistryErrors;

/// The name of the error that a call to one of our contracts reverted with, if it is one of ours or of OpenZeppelin's in the ABI of ours.
///
/// ```
/// use hygeia_policies::{care_coordinator::CareCoordinator::PolicyNotActive, refusal};
/// use alloy::sol_types::SolError;
///
/// let reverted = PolicyNotActive { policyId: Default::default() }.abi_encode();
/// assert_eq!(refusal::name(&reverted), Some("PolicyNotActive"));
/// assert_eq!(refusal::name(b"\x00\x01"), None);
/// ```
pub fn name(reverted: &[u8]) -> Option<&'static str> {
    let selector: [u8; 4] = reverted.first_chunk().copied()?;
    CareCoordinatorErrors::name_by_selector(selector)
        .or_else(|| CarePoolErrors::name_by_selector(selector))
        .or_else(|| InferenceVerifierErrors::name_by_selector(selector))
        .or_else(|| AuditLedgerErrors::name_by_selector(selector))
        .or_else(|| MandateRegistryErrors::name_by_selector(selector))
        .or_else(|| OracleRegistryErrors::name_by_selector(selector))
        .or_else(|| PolicyRegistryErrors::name_by_selector(selector))
        .or_else(|| ModelRegistryErrors::name_by_selector(selector))
        .or_else(|| CredentialRegistryErrors::name_by_selector(selector))
        .or_else(|| HygeiaGovernorErrors::name_by_selector(selector))
        .or_else(|| HygeiaTimelockErrors::name_by_selector(selector))
        .or_else(|| HygeiaTokenErrors::name_by_selector(selector))
        .or_else(|| AgentIdentityRegistryErrors::name_by_selector(selector))
        .or_else(|| AgentValidationRegistryErrors::name_by_selector(selector))
}

/// The name of the verifier's error inside a `ProofRejected`, if `reverted` is one and the verifier gave a reason.
pub fn proof_rejection(reverted: &[u8]) -> Option<&'static str> {
    name(&ProofRejected::abi_decode(reverted).ok()?.reason)
}
