// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IGuarded} from "./IGuarded.sol";

/// @title Registry of the care policies that governance approved
/// @notice A care policy says at which score of which model which preventive care is started, and what it pays. Policies
/// are versioned by content: other terms are another policy identifier, and approved terms never change.
///
/// Identifiers: `policyId = keccak256(abi.encode(keccak256("hygeia/policy/v1"), modelId, threshold, careCode, benefit,
/// coolDownSeconds, maxAttestationAgeSeconds, fulfilWithinSeconds, startsPerDayMax, openMax, arbiter,
/// arbitrationSeconds))`.
/// @dev The owner is the timelock. Whether the model a policy names is in service is not looked at here: the coordinator
/// asks the model registry at each trigger.
interface IPolicyRegistry is IGuarded {
    /// @notice Where a policy stands. Retired is final.
    enum Status {
        Unknown,
        Active,
        Suspended,
        Retired
    }

    /// @notice What governance votes on.
    /// @param modelId The model whose score counts.
    /// @param threshold Lowest score that starts care, in the model's score units.
    /// @param careCode Which care is started: keccak256 of a terminology's code, for example a SNOMED CT procedure.
    /// @param benefit What the provider is paid, in the pool token's smallest unit.
    /// @param coolDownSeconds Length of the periods in which a mandate can start this care once.
    /// @param maxAttestationAgeSeconds How old the end of a window may be when care is started.
    /// @param fulfilWithinSeconds How long a provider has before the reserved benefit lapses.
    /// @param startsPerDayMax Daily cap: how often this care can be started in a day, counted from midnight UTC.
    /// @param openMax Pool cap: how many benefits of this policy the pool can have set aside at once.
    /// @param arbiter Who decides a disputed case; zero where none can be disputed.
    /// @param arbitrationSeconds How long after a case's deadline the arbiter may decide; zero where there is none.
    struct Terms {
        bytes32 modelId;
        int256 threshold;
        bytes32 careCode;
        uint128 benefit;
        uint32 coolDownSeconds;
        uint32 maxAttestationAgeSeconds;
        uint32 fulfilWithinSeconds;
        uint32 startsPerDayMax;
        uint32 openMax;
        address arbiter;
        uint32 arbitrationSeconds;
    }

    /// @notice What the hot path reads of a policy: three storage slots.
    struct StartTerms {
        bytes32 modelId;
        uint128 benefit;
        uint32 coolDownSeconds;
        uint32 maxAttestationAgeSeconds;
        uint32 fulfilWithinSeconds;
        uint32 startsPerDayMax;
        int64 threshold;
        uint32 openMax;
        Status status;
    }

    /// @notice Terms and status side by side.
    struct Policy {
        bytes32 modelId;
        int256 threshold;
        bytes32 careCode;
        uint128 benefit;
        uint32 coolDownSeconds;
        uint32 maxAttestationAgeSeconds;
        uint32 fulfilWithinSeconds;
        Status status;
        uint32 startsPerDayMax;
        uint32 openMax;
        address arbiter;
        uint32 arbitrationSeconds;
    }

    /// @notice A policy was approved and may be acted on.
    event PolicyApproved(bytes32 indexed policyId, bytes32 indexed modelId, Terms terms);

    /// @notice A policy was taken out of service.
    event PolicySuspended(bytes32 indexed policyId, address indexed by);

    /// @notice A suspended policy was put back into service.
    event PolicyReinstated(bytes32 indexed policyId);

    /// @notice A policy was withdrawn for good.
    event PolicyRetired(bytes32 indexed policyId);

    /// @notice The same terms were approved before.
    error PolicyExists(bytes32 policyId);

    /// @notice A term that must not be zero is, the threshold lies outside the range of a score, or there is an arbiter
    /// without time to decide or time without an arbiter.
    error InvalidTerms();

    /// @notice The step is not possible from where the policy stands.
    error WrongPolicyStatus(bytes32 policyId, Status actual);

    /// @notice Approves a policy. Only the owner.
    /// @return policyId The identifier of the policy, now active.
    function approvePolicy(Terms calldata terms) external returns (bytes32 policyId);

    /// @notice Takes an active policy out of service at once. The guardian or the owner.
    function suspendPolicy(bytes32 policyId) external;

    /// @notice Puts a suspended policy back into service. Only the owner.
    function reinstatePolicy(bytes32 policyId) external;

    /// @notice Withdraws a policy for good. Only the owner.
    function retirePolicy(bytes32 policyId) external;

    /// @notice Whether the policy may be acted on now.
    function isActive(bytes32 policyId) external view returns (bool);

    /// @notice What the coordinator reads of a policy as care starts; all zero where it is unknown.
    function startTermsOf(bytes32 policyId) external view returns (StartTerms memory);

    /// @notice A policy; all zero where it is unknown.
    function policyOf(bytes32 policyId) external view returns (Policy memory);

    /// @notice The identifier that terms have.
    function policyIdOf(Terms calldata terms) external pure returns (bytes32 policyId);
}
