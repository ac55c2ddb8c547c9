// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IModelRegistry} from "./IModelRegistry.sol";

/// @title Ledger of audits: roots under which every window of a batch was proved
/// @notice An audit is one proof that under a Merkle root stand `count` real windows, each leaf holding the commitment to a
/// window and the model's score of it. `recordAudit` verifies the proof once and keeps the root; from then on each window is
/// shown with its path alone.
///
/// The tree: leaf `b` is `H(leafTag, commitment, score)` with the score as a field element, or 0 where there is padding.
/// Leaf `b` has the id `b`, node `t` the id `leaves + t` and stands above the ids `2 t` and `2 t + 1`; the last node is the
/// root. Node digests are `H(nodeTag, left, right)`. `H` is Poseidon over the BN254 scalar field with the tag as the
/// capacity; `leafTag` is SHA-256 of "hygeia/audit-leaf/v1" and `nodeTag` that of "hygeia/audit-node/v1" followed by the
/// number of leaves as eight big-endian bytes, both reduced by the field order.
/// @dev Assumptions made of a model's audit verifier, which is generated from the audit circuit's verifying key: it takes
/// root and count as 32-byte big-endian words followed by the proof as raw calldata, reverts where the proof does not hold
/// and returns nothing where it does. Its circuit puts the real windows first, so that leaf `b` is one where `b < count`. It
/// is known to reduce public inputs and to ignore trailing calldata, so both are refused here. Of the model registry it is
/// assumed that a binding, once there, never changes.
interface IAuditLedger {
    /// @notice What is known of a root.
    /// @param leaves Leaves of its tree, padding included.
    /// @param count How many of them are real windows; they come first.
    /// @param recordedAt When it was recorded, in seconds since the epoch; zero where it was not.
    struct Audit {
        uint32 leaves;
        uint32 count;
        uint64 recordedAt;
    }

    /// @notice An audit's proof was verified and its root recorded.
    event AuditRecorded(bytes32 indexed modelId, bytes32 indexed root, uint32 leaves, uint32 count);

    /// @notice The model is not in service.
    error ModelNotInService(bytes32 modelId, IModelRegistry.Status status);

    /// @notice The model has no verifier for audits of this many leaves.
    error AuditVerifierUnknown(bytes32 modelId, uint32 leaves);

    /// @notice The count is zero or more than the leaves.
    error CountOutOfRange(uint32 count, uint32 leaves);

    /// @notice A digest or a commitment is not reduced modulo the field order.
    error DigestNotCanonical(uint256 value);

    /// @notice The root is recorded for this model already.
    error AuditExists(bytes32 modelId, bytes32 root);

    /// @notice No such root is recorded for this model.
    error AuditUnknown(bytes32 modelId, bytes32 root);

    /// @notice The leaf is not one of the audit's real windows.
    error LeafNotInAudit(uint256 index, uint32 count);

    /// @notice The path is longer or shorter than from this leaf to the root.
    error PathLengthMismatch(uint256 expected, uint256 actual);

    /// @notice The path does not lead from this leaf to the root.
    error PathNotToRoot(bytes32 root);

    /// @notice Verifies an audit's proof and records its root. Anyone. Reverts with the errors of `IInferenceVerifier` where
    /// the proof's length, the verifier's code or answer, or the proof itself is wrong.
    /// @param modelId The model, which must be in service.
    /// @param leaves Leaves of the tree, for which the model must have a verifier.
    /// @param root The tree's root, a field element in big-endian order.
    /// @param count Real windows under the root.
    /// @param proof The proof.
    function recordAudit(bytes32 modelId, uint32 leaves, bytes32 root, uint32 count, bytes calldata proof) external;

    /// @notice Reverts unless a window stands under a recorded root. Whether the model is in service now is not looked at.
    /// @param modelId The model.
    /// @param root The recorded root.
    /// @param index The window's leaf.
    /// @param commitment The window's commitment.
    /// @param scoreInput The window's score as a field element.
    /// @param path Digests beside the way from the leaf to the root, leaf first.
    function requireIncluded(
        bytes32 modelId,
        bytes32 root,
        uint256 index,
        bytes32 commitment,
        uint256 scoreInput,
        bytes32[] calldata path
    ) external view;

    /// @notice What is known of a root of this model; all zero where it is not recorded.
    function auditOf(bytes32 modelId, bytes32 root) external view returns (Audit memory);

    /// @notice The registry that bindings are read from.
    function registry() external view returns (IModelRegistry);
}
