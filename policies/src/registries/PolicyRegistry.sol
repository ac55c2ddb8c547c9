// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Guarded} from "../access/Guarded.sol";
import {IPolicyRegistry} from "../interfaces/IPolicyRegistry.sol";

/// @title PolicyRegistry
contract PolicyRegistry is IPolicyRegistry, Guarded {
    bytes32 private constant POLICY_DOMAIN = keccak256("hygeia/policy/v1");

    mapping(bytes32 policyId => Policy) private _policies;

    constructor(address owner_, address guardian_) Guarded(owner_, guardian_) {}

    // ---------------------------------------------------------------- approval

    /// @inheritdoc IPolicyRegistry
    function approvePolicy(Terms calldata terms) external onlyOwner returns (bytes32 policyId) {
        _requireValid(terms);
        policyId = policyIdOf(terms);
        if (_policies[policyId].status != Status.Unknown) revert PolicyExists(policyId);
        _policies[policyId] = Policy({
            modelId: terms.modelId,
            threshold: terms.threshold,
            careCode: terms.careCode,
            benefit: terms.benefit,
            coolDownSeconds: terms.coolDownSeconds,
            maxAttestationAgeSeconds: terms.maxAttestationAgeSeconds,
            fulfilWithinSeconds: terms.fulfilWithinSeconds,
            status: Status.Active,
            startsPerDayMax: terms.startsPerDayMax,
            openMax: terms.openMax,
            arbiter: terms.arbiter,
            arbitrationSeconds: terms.arbitrationSeconds
        });
        emit PolicyApproved(policyId, terms.modelId, terms);
    }

    /// @inheritdoc IPolicyRegistry
    function suspendPolicy(bytes32 policyId) external onlyGuardian {
        _move(policyId, Status.Active, Status.Suspended);
        emit PolicySuspended(policyId, msg.sender);
    }

    /// @inheritdoc IPolicyRegistry
    function reinstatePolicy(bytes32 policyId) external onlyOwner {
        _move(policyId, Status.Suspended, Status.Active);
        emit PolicyReinstated(policyId);
    }

    /// @inheritdoc IPolicyRegistry
    function retirePolicy(bytes32 policyId) external onlyOwner {
        Policy storage policy = _policies[policyId];
        if (policy.status == Status.Unknown || policy.status == Status.Retired) {
            revert WrongPolicyStatus(policyId, policy.status);
        }
        policy.status = Status.Retired;
        emit PolicyRetired(policyId);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IPolicyRegistry
    function isActive(bytes32 policyId) external view returns (bool) {
        return _policies[policyId].status == Status.Active;
    }

    /// @inheritdoc IPolicyRegistry
    function policyOf(bytes32 policyId) external view returns (Policy memory) {
        return _policies[policyId];
    }

    /// @inheritdoc IPolicyRegistry
    function policyIdOf(Terms calldata terms) public pure returns (bytes32 policyId) {
        return keccak256(abi.encode(POLICY_DOMAIN, terms));
    }

    // ---------------------------------------------------------------- steps

    function _move(bytes32 policyId, Status from, Status to) private {
        Policy storage policy = _policies[policyId];
        if (policy.status != from) revert WrongPolicyStatus(policyId, policy.status);
        policy.status = to;
    }

    function _requireValid(Terms calldata terms) private pure {
        if (
            terms.modelId == 0 || terms.careCode == 0 || terms.benefit == 0 || terms.coolDownSeconds == 0
                || terms.maxAttestationAgeSeconds == 0 || terms.fulfilWithinSeconds == 0 || terms.startsPerDayMax == 0
                || terms.openMax == 0 || (terms.arbiter == address(0)) != (terms.arbitrationSeconds == 0)
                || terms.threshold < type(int64).min || terms.threshold > type(int64).max
        ) revert InvalidTerms();
    }
}
