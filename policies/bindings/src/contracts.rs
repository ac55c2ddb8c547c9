//! The generated bindings. Each contract has a module of its own, since the interface types that its ABI names
//! (`IModelRegistry`, `IPolicyRegistry`, …) are generated next to it and would clash otherwise.
#![expect(
    missing_docs,
    clippy::too_many_arguments,
    reason = "generated from ABIs; the documentation stands in the NatSpec of policies/src/interfaces"
)]

macro_rules! contract {
    ($(#[$doc:meta])* $module:ident, $name:ident, $abi:literal) => {
        $(#[$doc])*
        pub mod $module {
            alloy::sol!(
                #[sol(rpc, all_derives)]
                $name,
                $abi
            );
        }
    };
}

contract!(
    /// The governance token.
    hygeia_token, HygeiaToken, "../abi/HygeiaToken.json"
);
contract!(
    /// The governor.
    hygeia_governor, HygeiaGovernor, "../abi/HygeiaGovernor.json"
);
contract!(
    /// The timelock, owner of the registries and the pool.
    hygeia_timelock, HygeiaTimelock, "../abi/HygeiaTimelock.json"
);
contract!(
    /// The registry of approved models.
    model_registry, ModelRegistry, "../abi/ModelRegistry.json"
);
contract!(
    /// The verifier of inference proofs.
    inference_verifier, InferenceVerifier, "../abi/InferenceVerifier.json"
);
contract!(
    /// The registry of approved care policies.
    policy_registry, PolicyRegistry, "../abi/PolicyRegistry.json"
);
contract!(
    /// The registry of bonded oracles.
    oracle_registry, OracleRegistry, "../abi/OracleRegistry.json"
);
contract!(
    /// The registry of patients' mandates.
    mandate_registry, MandateRegistry, "../abi/MandateRegistry.json"
);
contract!(
    /// The registry of care providers' credentials.
    credential_registry, CredentialRegistry, "../abi/CredentialRegistry.json"
);
contract!(
    /// The fund that benefits are paid from.
    care_pool, CarePool, "../abi/CarePool.json"
);
contract!(
    /// The ledger of verified audits.
    audit_ledger, AuditLedger, "../abi/AuditLedger.json"
);
contract!(
    /// The registry of agents by ERC-8004, for a chain that has none.
    agent_identity_registry, AgentIdentityRegistry, "../abi/AgentIdentityRegistry.json"
);
contract!(
    /// The registry of validations by ERC-8004, for a chain that has none.
    agent_validation_registry, AgentValidationRegistry, "../abi/AgentValidationRegistry.json"
);
contract!(
    /// The validator that answers ERC-8004's validation registry.
    inference_validator, InferenceValidator, "../abi/InferenceValidator.json"
);
contract!(
    /// The contract that starts and settles care.
    care_coordinator, CareCoordinator, "../abi/CareCoordinator.json"
);
