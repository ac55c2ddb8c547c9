// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IAuditLedger} from "../interfaces/IAuditLedger.sol";
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
    bytes32 private constant ATTENDANCE_CODE_TYPEHASH = keccak256("AttendanceCode(bytes32 triggerId,address code)");

    /// A request that passed every check but that of its proof.
    struct Case {
        IPolicyRegistry.StartTerms policy;
        uint256 scoreInput;
        bytes32 triggerId;
    }

    IModelRegistry private immutable MODELS;
    IInferenceVerifier private immutable VERIFIER;
    IAuditLedger private immutable AUDITS;
    IPolicyRegistry private immutable POLICIES;
    IOracleRegistry private immutable ORACLES;
    IMandateRegistry private immutable MANDATES;
    ICredentialRegistry private immutable CREDENTIALS;
    ICarePool private immutable POOL;

    /// @inheritdoc ICareCoordinator
    mapping(bytes32 triggerId => address) public claimantOf;

    mapping(bytes32 triggerId => Trigger) private _triggers;
    mapping(bytes32 triggerId => mapping(address claimant => bool)) private _disputedBefore;
    mapping(bytes32 policyId => Usage) private _usage;

    constructor(Wiring memory wiring_) EIP712("Hygeia", "1") {
        address ours = wiring_.oracles.coordinator();
        if (ours != address(this)) revert OraclesNotOurs(address(wiring_.oracles), ours);
        ours = wiring_.pool.coordinator();
        if (ours != address(this)) revert PoolNotOurs(address(wiring_.pool), ours);
        MODELS = wiring_.models;
        VERIFIER = wiring_.verifier;
        AUDITS = wiring_.audits;
        POLICIES = wiring_.policies;
        ORACLES = wiring_.oracles;
        MANDATES = wiring_.mandates;
        CREDENTIALS = wiring_.credentials;
        POOL = wiring_.pool;
    }

    // ---------------------------------------------------------------- starting care

    /// @inheritdoc ICareCoordinator
    function trigger(TriggerRequest calldata request) external returns (bytes32 triggerId) {
        Case memory case_ = _requireStartable(request);
        _requireProved(case_, request);
        return _start(case_, request);
    }

    /// @inheritdoc ICareCoordinator
    function triggerAudited(TriggerRequest calldata request, bytes32 root, uint256 index, bytes32[] calldata path)
        external
        returns (bytes32 triggerId)
    {
        Case memory case_ = _requireStartable(request);
        _requireAudited(case_, request, root, index, path);
        return _start(case_, request);
    }

    // ---------------------------------------------------------------- settling care

    /// @inheritdoc ICareCoordinator
    function fulfil(bytes32 triggerId, address provider, bytes calldata attendanceSignature) external {
        (address key, bytes32 policyId) = _requirePayable(triggerId, provider);
        if (!_isSignedBy(key, attendanceDigest(triggerId, provider), attendanceSignature)) {
            revert BadAttendanceSignature(triggerId);
        }
        _pay(triggerId, policyId, provider);
    }

    /// @inheritdoc ICareCoordinator
    function fulfilWithCode(bytes32 triggerId, address provider, AttendanceCode calldata attendance) external {
        (address key, bytes32 policyId) = _requirePayable(triggerId, provider);
        if (
            !_isSignedBy(key, attendanceCodeDigest(triggerId, attendance.code), attendance.mandateSignature)
                || !_isSignedBy(attendance.code, attendanceDigest(triggerId, provider), attendance.codeSignature)
        ) revert BadAttendanceSignature(triggerId);
        _pay(triggerId, policyId, provider);
    }

    /// @inheritdoc ICareCoordinator
    function dispute(bytes32 triggerId, bytes32 evidence) external {
        Trigger storage open = _triggers[triggerId];
        if (open.status != Status.Open) revert TriggerNotOpen(triggerId, open.status);
        (, bytes32 policyId) = _requirePayable(triggerId, msg.sender);
        address arbiter = POLICIES.policyOf(policyId).arbiter;
        if (arbiter == address(0)) revert NoArbiter(policyId);
        if (_disputedBefore[triggerId][msg.sender]) revert DisputedBefore(triggerId, msg.sender);
        _disputedBefore[triggerId][msg.sender] = true;
        claimantOf[triggerId] = msg.sender;
        open.status = Status.Disputed;
        emit CareDisputed(triggerId, msg.sender, arbiter, evidence);
    }

    /// @inheritdoc ICareCoordinator
    function resolve(bytes32 triggerId, bool attended) external {
        Trigger storage disputed = _triggers[triggerId];
        if (disputed.status != Status.Disputed) revert TriggerNotOpen(triggerId, disputed.status);
        (, bytes32 policyId, bytes4 class) = MANDATES.scopeOf(disputed.mandateId);
        IPolicyRegistry.Policy memory policy = POLICIES.policyOf(policyId);
        if (msg.sender != policy.arbiter) revert NotArbiter(msg.sender, policy.arbiter);
        uint64 decideBy = disputed.deadline + policy.arbitrationSeconds;
        if (block.timestamp > decideBy) revert DeadlinePassed(triggerId, decideBy);
        address claimant = claimantOf[triggerId];
        emit DisputeResolved(triggerId, claimant, attended);
        if (attended) {
            if (!CREDENTIALS.isOfClass(claimant, class)) revert ProviderNotCredentialed(claimant);
            _pay(triggerId, policyId, claimant);
        } else {
            claimantOf[triggerId] = address(0);
            disputed.status = Status.Open;
        }
    }

    /// @inheritdoc ICareCoordinator
    function lapse(bytes32 triggerId) external {
        Trigger storage open = _requireOpen(triggerId);
        (, bytes32 policyId,) = MANDATES.scopeOf(open.mandateId);
        uint64 deadline = open.deadline;
        if (open.status == Status.Disputed) deadline += POLICIES.policyOf(policyId).arbitrationSeconds;
        if (block.timestamp <= deadline) revert DeadlineNotReached(triggerId, deadline);
        open.status = Status.Lapsed;
        --_usage[policyId].open;
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
    function usageOf(bytes32 policyId) external view returns (Usage memory) {
        return _usage[policyId];
    }

    /// @inheritdoc ICareCoordinator
    function wiring() external view returns (Wiring memory) {
        return Wiring(MODELS, VERIFIER, AUDITS, POLICIES, ORACLES, MANDATES, CREDENTIALS, POOL);
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

    /// @inheritdoc ICareCoordinator
    function attendanceCodeDigest(bytes32 triggerId, address code) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(ATTENDANCE_CODE_TYPEHASH, triggerId, code)));
    }

    // ---------------------------------------------------------------- checks of what starts care

    /// Every check but that of the proof.
    function _requireStartable(TriggerRequest calldata request) private view returns (Case memory case_) {
        IPolicyRegistry.StartTerms memory policy = POLICIES.startTermsOf(request.policyId);
        if (policy.status != IPolicyRegistry.Status.Active) revert PolicyNotActive(request.policyId);
        IModelRegistry.Service memory service = MODELS.serviceOf(policy.modelId);
        if (service.status != IModelRegistry.Status.Active) revert ModelNotActive(policy.modelId);

        _requireConsent(request);
        _requireRecent(request.windowEnd, policy.maxAttestationAgeSeconds);
        case_.scoreInput = ScoreField.encode(request.score);
        if (request.score < policy.threshold) revert ScoreBelowThreshold(request.score, policy.threshold);
        case_.triggerId = nullifierOf(request.mandateId, request.policyId, request.windowEnd, policy.coolDownSeconds);
        if (nullifierUsed(case_.triggerId)) revert NullifierUsed(case_.triggerId);
        _requireUnderCaps(request.policyId, policy);
        _requireAttested(request, service.schemaHash);
        case_.policy = policy;
    }

    function _requireConsent(TriggerRequest calldata request) private view {
        if (!MANDATES.isLiveFor(request.mandateId, request.policyId, request.oracle, msg.sender)) {
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

    function _requireUnderCaps(bytes32 policyId, IPolicyRegistry.StartTerms memory policy) private view {
        Usage memory usage = _usage[policyId];
        if (usage.day == _today() && usage.startsOfDay >= policy.startsPerDayMax) {
            revert DailyCapReached(policyId, policy.startsPerDayMax);
        }
        if (usage.open >= policy.openMax) revert PoolCapReached(policyId, policy.openMax);
    }

    function _requireAttested(TriggerRequest calldata request, bytes32 schema) private view {
        bytes32 digest = attestationDigest(request.mandateId, request.windowEnd, schema, request.commitment);
        if (!_isSignedBy(request.oracle, digest, request.oracleSignature)) revert BadOracleSignature(request.oracle);
    }

    function _requireProved(Case memory case_, TriggerRequest calldata request) private view {
        bytes32 modelId = case_.policy.modelId;
        uint256[2] memory publicInputs = [uint256(request.commitment), case_.scoreInput];
        try VERIFIER.verifyPublicInputs(modelId, publicInputs, request.proof) {}
        catch (bytes memory reason) {
            revert ProofRejected(modelId, reason);
        }
    }

    function _requireAudited(
        Case memory case_,
        TriggerRequest calldata request,
        bytes32 root,
        uint256 index,
        bytes32[] calldata path
    ) private view {
        if (request.proof.length != 0) revert ProofNotExpected(request.proof.length);
        bytes32 modelId = case_.policy.modelId;
        try AUDITS.requireIncluded(modelId, root, index, request.commitment, case_.scoreInput, path) {}
        catch (bytes memory reason) {
            revert ProofRejected(modelId, reason);
        }
    }

    // ---------------------------------------------------------------- steps

    function _start(Case memory case_, TriggerRequest calldata request) private returns (bytes32 triggerId) {
        IPolicyRegistry.StartTerms memory policy = case_.policy;
        triggerId = case_.triggerId;
        Usage memory usage = _usage[request.policyId];
        uint32 startsBefore = usage.day == _today() ? usage.startsOfDay : 0;
        _usage[request.policyId] = Usage({open: usage.open + 1, day: _today(), startsOfDay: startsBefore + 1});
        uint64 deadline = uint64(block.timestamp) + policy.fulfilWithinSeconds;
        _triggers[triggerId] = Trigger(request.mandateId, policy.benefit, deadline, Status.Open);
        emit CareTriggered(triggerId, request.policyId, request.mandateId, policy.modelId, policy.benefit, deadline);
        ORACLES.recordAccepted(request.oracle);
        POOL.reserve(policy.benefit);
    }

    function _pay(bytes32 triggerId, bytes32 policyId, address provider) private {
        Trigger storage open = _triggers[triggerId];
        open.status = Status.Fulfilled;
        --_usage[policyId].open;
        emit CareFulfilled(triggerId, provider, open.benefit);
        POOL.pay(provider, open.benefit);
    }

    function _requirePayable(bytes32 triggerId, address provider) private view returns (address key, bytes32 policyId) {
        Trigger storage open = _requireOpen(triggerId);
        if (block.timestamp > open.deadline) revert DeadlinePassed(triggerId, open.deadline);
        bytes4 class;
        (key, policyId, class) = MANDATES.scopeOf(open.mandateId);
        if (!CREDENTIALS.isOfClass(provider, class)) revert ProviderNotCredentialed(provider);
    }

    /// Open or disputed: its benefit is still set aside.
    function _requireOpen(bytes32 triggerId) private view returns (Trigger storage open) {
        open = _triggers[triggerId];
        if (open.status != Status.Open && open.status != Status.Disputed) {
            revert TriggerNotOpen(triggerId, open.status);
        }
    }

    function _isSignedBy(address expected, bytes32 digest, bytes calldata signature) private pure returns (bool) {
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        return failure == ECDSA.RecoverError.NoError && signer == expected;
    }

    function _today() private view returns (uint32) {
        return uint32(block.timestamp / 1 days);
    }
}
