// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {PoseidonBn254} from "./PoseidonBn254.sol";
import {ScoreField} from "./ScoreField.sol";

/// @title The tree over the windows of an audit
/// @notice Leaf `b` has the id `b`, node `t` the id `leaves + t` and stands above the ids `2 t` and `2 t + 1`; the last node
/// is the root. With a power of two of leaves this is the usual perfect tree. The tag of the nodes binds the number of
/// leaves, so no path fits a tree of another shape.
/// @dev Callers keep the numbers within the tree: at least two leaves, and an index below them.
library AuditTree {
    /// SHA-256 of "hygeia/audit-leaf/v1", reduced by the field order; a test works it out.
    uint256 internal constant LEAF_TAG = 0x24d607bf439a0964800aa8b7d568bf3f4834c1b7df3ab41bd77bcb9d02da1e92;

    /// @notice The digest of a real window's leaf.
    function leafOf(uint256 commitment, uint256 scoreInput) internal pure returns (uint256) {
        return PoseidonBn254.hash(LEAF_TAG, commitment, scoreInput);
    }

    /// @notice The capacity of the nodes of a tree with this many leaves.
    function nodeTagOf(uint256 leaves) internal pure returns (uint256) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint256(sha256(abi.encodePacked("hygeia/audit-node/v1", uint64(leaves)))) % ScoreField.MODULUS;
    }

    /// @notice How many digests lie beside the way from a leaf to the root.
    function depthOf(uint256 index, uint256 leaves) internal pure returns (uint256 depth) {
        for (uint256 id = index; id + 2 < 2 * leaves; id = leaves + id / 2) {
            ++depth;
        }
    }

    /// @notice The root that a path leads to; the path has as many digests as `depthOf` says.
    function rootOf(uint256 leaf, uint256 index, uint256 leaves, bytes32[] calldata path)
        internal
        pure
        returns (uint256 digest)
    {
        uint256 tag = nodeTagOf(leaves);
        uint256 id = index;
        digest = leaf;
        for (uint256 i = 0; i < path.length; ++i) {
            uint256 sibling = uint256(path[i]);
            (uint256 left, uint256 right) = id % 2 == 1 ? (sibling, digest) : (digest, sibling);
            digest = PoseidonBn254.hash(tag, left, right);
            id = leaves + id / 2;
        }
    }
}
