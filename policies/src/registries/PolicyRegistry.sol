// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Guarded} from "../access/Guarded.sol";
import {IPolicyRegistry} from "../interfaces/IPolicyRegistry.sol";

/// @title PolicyRegistry
contract PolicyRegistry is IPolicyRegistry, Guarded {
    bytes32 private constant POLICY_DOMAIN = keccak256("hygeia/policy/v1");

    /// What is read as care starts comes first and fills three slots.
    struct Record {
        StartTerms start;
        address arbiter;
        uint32 arbitrationSeconds;
        bytes32 careCode;
    }

    mapping(bytes32 policyId => Record) private _policies;

    constructor(address owner_, address guardian_) Guarded(owner_, guardian_) {}

    // ---------------------------------------------------------------- approval

    /// @inheritdoc IPolicyRegistry
    function approvePolicy(Terms calldata terms) external onlyOwner returns (bytes32 policyId) {
        _requireValid(terms);
        policyId = policyIdOf(terms);
        if (_policies[policyId].start.status != Status.Unknown) revert PolicyExists(policyId);
        _policies[policyId] = Record({
            start: StartTerms({
                modelId: terms.modelId,
                benefit: terms.benefit,
                coolDownSeconds: terms.coolDownSeconds,
                maxAttestationAgeSeconds: terms.maxAttestationAgeSeconds,
                fulfilWithinSeconds: terms.fulfilWithinSeconds,
                startsPerDayMax: terms.startsPerDayMax,
                // In range: checked above.
                threshold: int64(terms.threshold),
                openMax: terms.openMax,
                status: Status.Active
            }),
            arbiter: terms.arbiter,
            arbitrationSeconds: terms.arbitrationSeconds,
            careCode: terms.careCode
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
        StartTerms storage policy = _policies[policyId].start;
        if (policy.status == Status.Unknown || policy.status == Status.Retired) {
            revert WrongPolicyStatus(policyId, policy.status);
        }
        policy.status = Status.Retired;
        emit PolicyRetired(policyId);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IPolicyRegistry
    function isActive(bytes32 policyId) external view returns (bool) {
        return _policies[policyId].start.status == Status.Active;
    }

    /// @inheritdoc IPolicyRegistry
    function startTermsOf(bytes32 policyId) external view returns (StartTerms memory) {
        return _policies[policyId].start;
    }

    /// @inheritdoc IPolicyRegistry
    function policyOf(bytes32 policyId) external view returns (Policy memory) {
        Record memory record = _policies[policyId];
        return Policy({
            modelId: record.start.modelId,
            threshold: record.start.threshold,
            careCode: record.careCode,
            benefit: record.start.benefit,
            coolDownSeconds: record.start.coolDownSeconds,
            maxAttestationAgeSeconds: record.start.maxAttestationAgeSeconds,
            fulfilWithinSeconds: record.start.fulfilWithinSeconds,
            status: record.start.status,
            startsPerDayMax: record.start.startsPerDayMax,
            openMax: record.start.openMax,
            arbiter: record.arbiter,
            arbitrationSeconds: record.arbitrationSeconds
        });
    }

    /// @inheritdoc IPolicyRegistry
    function policyIdOf(Terms calldata terms) public pure returns (bytes32 policyId) {
        return keccak256(abi.encode(POLICY_DOMAIN, terms));
    }

    // ---------------------------------------------------------------- steps

    function _move(bytes32 policyId, Status from, Status to) private {
        StartTerms storage policy = _policies[policyId].start;
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
