// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ICareCoordinator} from "../interfaces/ICareCoordinator.sol";
import {ICarePool} from "../interfaces/ICarePool.sol";
import {ICredentialRegistry} from "../interfaces/ICredentialRegistry.sol";
import {IInferenceVerifier} from "../interfaces/IInferenceVerifier.sol";
import {IMandateRegistry} from "../interfaces/IMandateRegistry.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {IOracleRegistry} from "../interfaces/IOracleRegistry.sol";
import {IPolicyRegistry} from "../interfaces/IPolicyRegistry.sol";
import {ScoreField} from "../libraries/ScoreField.sol";

/// @title CareCoordinator
contract CareCoordinator is ICareCoordinator, EIP712 {
    bytes32 private constant ATTESTATION_TYPEHASH =
        keccak256("WindowAttestation(bytes32 mandateId,uint64 windowEnd,bytes32 schema,bytes32 commitment)");
    bytes32 private constant ATTENDANCE_TYPEHASH = keccak256("Attendance(bytes32 triggerId,address provider)");

    IModelRegistry private immutable MODELS;
    IInferenceVerifier private immutable VERIFIER;
    IPolicyRegistry private immutable POLICIES;
    IOracleRegistry private immutable ORACLES;
    IMandateRegistry private immutable MANDATES;
    ICredentialRegistry private immutable CREDENTIALS;
    ICarePool private immutable POOL;

    mapping(bytes32 triggerId => Trigger) private _triggers;

    constructor(Wiring memory wiring_) EIP712("Hygeia", "1") {
        address ours = wiring_.pool.coordinator();
        if (ours != address(this)) revert PoolNotOurs(address(wiring_.pool), ours);
        MODELS = wiring_.models;
        VERIFIER = wiring_.verifier;
        POLICIES = wiring_.policies;
        ORACLES = wiring_.oracles;
        MANDATES = wiring_.mandates;
        CREDENTIALS = wiring_.credentials;
        POOL = wiring_.pool;
    }

    // ---------------------------------------------------------------- starting care

    /// @inheritdoc ICareCoordinator
    function trigger(TriggerRequest calldata request) external returns (bytes32 triggerId) {
        IPolicyRegistry.Policy memory policy = POLICIES.policyOf(request.policyId);
        if (policy.status != IPolicyRegistry.Status.Active) revert PolicyNotActive(request.policyId);
        IModelRegistry.Service memory service = MODELS.serviceOf(policy.modelId);
        if (service.status != IModelRegistry.Status.Active) revert ModelNotActive(policy.modelId);

        _requireConsent(request);
        _requireRecent(request.windowEnd, policy.maxAttestationAgeSeconds);
        uint256 scoreInput = ScoreField.encode(request.score);
        if (request.score < policy.threshold) revert ScoreBelowThreshold(request.score, policy.threshold);
        triggerId = nullifierOf(request.mandateId, request.policyId, request.windowEnd, policy.coolDownSeconds);
        if (nullifierUsed(triggerId)) revert NullifierUsed(triggerId);
        _requireAttested(request, service.schemaHash);
        _requireProved(policy.modelId, request, scoreInput);

        uint64 deadline = uint64(block.timestamp) + policy.fulfilWithinSeconds;
        _triggers[triggerId] = Trigger(request.mandateId, policy.benefit, deadline, Status.Open);
        emit CareTriggered(triggerId, request.policyId, request.mandateId, policy.modelId, policy.benefit, deadline);
        POOL.reserve(policy.benefit);
    }

    // ---------------------------------------------------------------- settling care

    /// @inheritdoc ICareCoordinator
    function fulfil(bytes32 triggerId, address provider, bytes calldata attendanceSignature) external {
        Trigger storage open = _requireOpen(triggerId);
        if (block.timestamp > open.deadline) revert DeadlinePassed(triggerId, open.deadline);
        if (!CREDENTIALS.isCredentialed(provider)) revert ProviderNotCredentialed(provider);
        address key = MANDATES.keyOf(open.mandateId);
        if (!_isSignedBy(key, attendanceDigest(triggerId, provider), attendanceSignature)) {
            revert BadAttendanceSignature(triggerId);
        }
        open.status = Status.Fulfilled;
        emit CareFulfilled(triggerId, provider, open.benefit);
        POOL.pay(provider, open.benefit);
    }

    /// @inheritdoc ICareCoordinator
    function lapse(bytes32 triggerId) external {
        Trigger storage open = _requireOpen(triggerId);
        if (block.timestamp <= open.deadline) revert DeadlineNotReached(triggerId, open.deadline);
        open.status = Status.Lapsed;
        emit CareLapsed(triggerId, open.benefit);
        POOL.release(open.benefit);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc ICareCoordinator
    function nullifierUsed(bytes32 nullifier) public view returns (bool) {
        return _triggers[nullifier].status != Status.Unknown;
    }

    /// @inheritdoc ICareCoordinator
    function triggerOf(bytes32 triggerId) external view returns (Trigger memory) {
        return _triggers[triggerId];
    }

    /// @inheritdoc ICareCoordinator
    function wiring() external view returns (Wiring memory) {
        return Wiring(MODELS, VERIFIER, POLICIES, ORACLES, MANDATES, CREDENTIALS, POOL);
    }

    /// @inheritdoc ICareCoordinator
    function nullifierOf(bytes32 mandateId, bytes32 policyId, uint64 windowEnd, uint32 coolDownSeconds)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(mandateId, policyId, windowEnd / coolDownSeconds));
    }

    /// @inheritdoc ICareCoordinator
    function attestationDigest(bytes32 mandateId, uint64 windowEnd, bytes32 schema, bytes32 commitment)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(ATTESTATION_TYPEHASH, mandateId, windowEnd, schema, commitment)));
    }

    /// @inheritdoc ICareCoordinator
    function attendanceDigest(bytes32 triggerId, address provider) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(ATTENDANCE_TYPEHASH, triggerId, provider)));
    }

    // ---------------------------------------------------------------- checks

    function _requireConsent(TriggerRequest calldata request) private view {
        if (!MANDATES.isLive(request.mandateId, request.policyId, request.oracle)) {
            revert MandateNotLive(request.mandateId);
        }
        if (!ORACLES.isActive(request.oracle)) revert OracleNotActive(request.oracle);
    }

    function _requireRecent(uint64 windowEnd, uint32 maxAgeSeconds) private view {
        if (windowEnd > block.timestamp) revert AttestationInFuture(windowEnd, block.timestamp);
        if (block.timestamp - windowEnd > maxAgeSeconds) {
            revert AttestationTooOld(windowEnd, block.timestamp - maxAgeSeconds);
        }
    }

    function _requireAttested(TriggerRequest calldata request, bytes32 schema) private view {
        bytes32 digest = attestationDigest(request.mandateId, request.windowEnd, schema, request.commitment);
        if (!_isSignedBy(request.oracle, digest, request.oracleSignature)) revert BadOracleSignature(request.oracle);
    }

    function _requireProved(bytes32 modelId, TriggerRequest calldata request, uint256 scoreInput) private view {
        uint256[2] memory publicInputs = [uint256(request.commitment), scoreInput];
        try VERIFIER.verifyPublicInputs(modelId, publicInputs, request.proof) {}
        catch (bytes memory reason) {
            revert ProofRejected(modelId, reason);
        }
    }

    function _requireOpen(bytes32 triggerId) private view returns (Trigger storage open) {
        open = _triggers[triggerId];
        if (open.status != Status.Open) revert TriggerNotOpen(triggerId, open.status);
    }

    function _isSignedBy(address expected, bytes32 digest, bytes calldata signature) private pure returns (bool) {
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        return failure == ECDSA.RecoverError.NoError && signer == expected;
    }
}
