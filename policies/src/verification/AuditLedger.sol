// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IAuditLedger} from "../interfaces/IAuditLedger.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {AuditTree} from "../libraries/AuditTree.sol";
import {ProofCall} from "../libraries/ProofCall.sol";
import {ScoreField} from "../libraries/ScoreField.sol";

/// @title AuditLedger
contract AuditLedger is IAuditLedger {
    /// @inheritdoc IAuditLedger
    IModelRegistry public immutable registry;

    mapping(bytes32 modelId => mapping(bytes32 root => Audit)) private _audits;

    constructor(IModelRegistry registry_) {
        registry = registry_;
    }

    /// @inheritdoc IAuditLedger
    function recordAudit(bytes32 modelId, uint32 leaves, bytes32 root, uint32 count, bytes calldata proof) external {
        IModelRegistry.Status status = registry.serviceOf(modelId).status;
        if (status != IModelRegistry.Status.Active) revert ModelNotInService(modelId, status);
        IModelRegistry.AuditBinding memory binding = registry.auditBindingOf(modelId, leaves);
        if (binding.verifier == address(0)) revert AuditVerifierUnknown(modelId, leaves);
        _requireCanonical(uint256(root));
        if (count == 0 || count > leaves) revert CountOutOfRange(count, leaves);
        if (_audits[modelId][root].recordedAt != 0) revert AuditExists(modelId, root);
        ProofCall.requireRaw(binding.verifier, binding.proofLength, uint256(root), count, proof);

        _audits[modelId][root] = Audit(leaves, count, uint64(block.timestamp));
        emit AuditRecorded(modelId, root, leaves, count);
    }

    /// @inheritdoc IAuditLedger
    function requireIncluded(
        bytes32 modelId,
        bytes32 root,
        uint256 index,
        bytes32 commitment,
        uint256 scoreInput,
        bytes32[] calldata path
    ) external view {
        Audit memory audit = _audits[modelId][root];
        if (audit.recordedAt == 0) revert AuditUnknown(modelId, root);
        if (index >= audit.count) revert LeafNotInAudit(index, audit.count);
        uint256 steps = AuditTree.depthOf(index, audit.leaves);
        if (path.length != steps) revert PathLengthMismatch(steps, path.length);
        _requireCanonical(uint256(commitment));
        _requireCanonical(scoreInput);
        for (uint256 i = 0; i < steps; ++i) {
            _requireCanonical(uint256(path[i]));
        }
        uint256 leaf = AuditTree.leafOf(uint256(commitment), scoreInput);
        if (AuditTree.rootOf(leaf, index, audit.leaves, path) != uint256(root)) revert PathNotToRoot(root);
    }

    /// @inheritdoc IAuditLedger
    function auditOf(bytes32 modelId, bytes32 root) external view returns (Audit memory) {
        return _audits[modelId][root];
    }

    function _requireCanonical(uint256 value) private pure {
        if (value >= ScoreField.MODULUS) revert DigestNotCanonical(value);
    }
}
