// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC165, IERC165} from "@openzeppelin/contracts/utils/introspection/ERC165.sol";
import {Guarded} from "../access/Guarded.sol";
import {IERCZKMLRegistry} from "../interfaces/IERCZKMLRegistry.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";

/// @title ModelRegistry
contract ModelRegistry is IModelRegistry, Guarded, ERC165 {
    bytes32 private constant MODEL_DOMAIN = keccak256("hygeia/model/v1");

    mapping(bytes32 modelId => ModelCommitment) private _commitments;
    mapping(bytes32 modelId => Service) private _services;
    mapping(bytes32 modelId => Evidence) private _evidence;
    mapping(bytes32 modelId => mapping(uint32 leaves => AuditBinding)) private _auditBindings;

    constructor(address owner_, address guardian_) Guarded(owner_, guardian_) {}

    // ---------------------------------------------------------------- ERC-7992

    /// @inheritdoc IERCZKMLRegistry
    function registerModel(ModelCommitment calldata commitment) external onlyOwner returns (uint256 modelId) {
        return uint256(_register(commitment));
    }

    /// @inheritdoc IERCZKMLRegistry
    /// @dev Always reverts: a model is never edited.
    function updateModel(uint256 modelId, ModelCommitment calldata) external view {
        _requireModelOwner(modelId);
        revert ModelImmutable(modelId);
    }

    /// @inheritdoc IERCZKMLRegistry
    function deprecateModel(uint256 modelId) external {
        _requireModelOwner(modelId);
        Service storage service = _services[bytes32(modelId)];
        if (service.status == Status.Deprecated) revert WrongModelStatus(bytes32(modelId), service.status);
        service.status = Status.Deprecated;
        emit ModelDeprecated(modelId);
    }

    /// @inheritdoc IERCZKMLRegistry
    function getModel(uint256 modelId)
        external
        view
        returns (ModelCommitment memory commitment, bool deprecated, address modelOwner)
    {
        Status status = _requireKnown(modelId);
        return (_commitments[bytes32(modelId)], status == Status.Deprecated, owner());
    }

    // ---------------------------------------------------------------- approval

    /// @inheritdoc IModelRegistry
    function approveModel(
        ModelCommitment calldata commitment,
        ServiceBinding calldata binding,
        Evidence calldata evidence,
        ChangeControl calldata change
    ) external onlyOwner returns (bytes32 modelId) {
        modelId = _register(commitment);
        _approve(modelId, binding, evidence, change);
    }

    /// @inheritdoc IModelRegistry
    function approveRegistered(
        bytes32 modelId,
        ServiceBinding calldata binding,
        Evidence calldata evidence,
        ChangeControl calldata change
    ) external onlyOwner {
        _approve(modelId, binding, evidence, change);
    }

    /// @inheritdoc IModelRegistry
    function approveAuditVerifier(bytes32 modelId, AuditBinding calldata binding) external onlyOwner {
        Status status = _services[modelId].status;
        if (status != Status.Active && status != Status.Suspended) revert WrongModelStatus(modelId, status);
        if (binding.vkHash == 0 || binding.proofLength == 0 || binding.leaves < 2) revert IncompleteModel();
        if (binding.verifier.code.length == 0) revert VerifierHasNoCode(binding.verifier);
        AuditBinding storage bound = _auditBindings[modelId][binding.leaves];
        if (bound.verifier != address(0)) revert AuditVerifierExists(modelId, binding.leaves);
        _auditBindings[modelId][binding.leaves] = binding;
        emit AuditVerifierApproved(modelId, binding);
    }

    /// @inheritdoc IModelRegistry
    function suspendModel(bytes32 modelId) external onlyGuardian {
        _move(modelId, Status.Active, Status.Suspended);
        emit ModelSuspended(modelId, msg.sender);
    }

    /// @inheritdoc IModelRegistry
    function reinstateModel(bytes32 modelId) external onlyOwner {
        _move(modelId, Status.Suspended, Status.Active);
        emit ModelReinstated(modelId);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IModelRegistry
    function isActive(bytes32 modelId) external view returns (bool) {
        return _services[modelId].status == Status.Active;
    }

    /// @inheritdoc IModelRegistry
    function serviceOf(bytes32 modelId) external view returns (Service memory) {
        return _services[modelId];
    }

    /// @inheritdoc IModelRegistry
    function auditBindingOf(bytes32 modelId, uint32 leaves) external view returns (AuditBinding memory) {
        return _auditBindings[modelId][leaves];
    }

    /// @inheritdoc IModelRegistry
    function evidenceOf(bytes32 modelId) external view returns (Evidence memory) {
        return _evidence[modelId];
    }

    /// @inheritdoc IModelRegistry
    function modelOf(bytes32 modelId) external view returns (ModelCommitment memory, Service memory) {
        return (_commitments[modelId], _services[modelId]);
    }

    /// @inheritdoc IModelRegistry
    function modelIdOf(ModelCommitment calldata commitment) public pure returns (bytes32 modelId) {
        return keccak256(
            abi.encode(
                MODEL_DOMAIN,
                commitment.modelHash,
                commitment.circuitHash,
                commitment.vkHash,
                commitment.proofSystemId,
                keccak256(bytes(commitment.uri))
            )
        );
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(ERC165, IERC165) returns (bool) {
        return interfaceId == type(IERCZKMLRegistry).interfaceId || super.supportsInterface(interfaceId);
    }

    // ---------------------------------------------------------------- steps

    function _register(ModelCommitment calldata commitment) private returns (bytes32 modelId) {
        if (
            commitment.modelHash == 0 || commitment.circuitHash == 0 || commitment.vkHash == 0
                || commitment.proofSystemId == 0
        ) revert IncompleteModel();
        modelId = modelIdOf(commitment);
        Service storage service = _services[modelId];
        if (service.status != Status.Unknown) revert ModelExists(modelId);
        _commitments[modelId] = commitment;
        service.status = Status.Registered;
        service.proofSystemId = commitment.proofSystemId;
        emit ModelRegistered(uint256(modelId), owner(), commitment);
    }

    function _approve(
        bytes32 modelId,
        ServiceBinding calldata binding,
        Evidence calldata evidence,
        ChangeControl calldata change
    ) private {
        if (
            binding.schemaHash == 0 || binding.proofLength == 0 || evidence.cardHash == 0 || evidence.fidelityHash == 0
                || evidence.evaluationHash == 0
        ) revert IncompleteModel();
        if (binding.verifier.code.length == 0) revert VerifierHasNoCode(binding.verifier);
        if (
            bytes(change.modification).length == 0 || bytes(change.protocol).length == 0
                || bytes(change.impact).length == 0
        ) revert IncompleteChangeControl();
        _move(modelId, Status.Registered, Status.Active);
        Service storage service = _services[modelId];
        service.schemaHash = binding.schemaHash;
        service.verifier = binding.verifier;
        service.proofLength = binding.proofLength;
        _evidence[modelId] = evidence;
        emit ModelApproved(modelId, binding, evidence, change);
    }

    function _move(bytes32 modelId, Status from, Status to) private {
        Service storage service = _services[modelId];
        if (service.status != from) revert WrongModelStatus(modelId, service.status);
        service.status = to;
    }

    function _requireModelOwner(uint256 modelId) private view {
        _requireKnown(modelId);
        if (msg.sender != owner()) revert NotModelOwner(modelId, msg.sender);
    }

    function _requireKnown(uint256 modelId) private view returns (Status status) {
        status = _services[bytes32(modelId)].status;
        if (status == Status.Unknown) revert ModelNotFound(modelId);
    }
}
