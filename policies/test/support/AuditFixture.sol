// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {AuditTree} from "../../src/libraries/AuditTree.sol";
import {PoseidonBn254} from "../../src/libraries/PoseidonBn254.sol";
import {ScoreField} from "../../src/libraries/ScoreField.sol";
import {CareFixture} from "./CareFixture.sol";
import {StandInVerifier} from "./StandInVerifier.sol";

/// @notice A model with an audit verifier and one audit of the fixture's oracle's windows, recorded.
abstract contract AuditFixture is CareFixture {
    uint32 internal constant LEAVES = 12;
    uint32 internal constant COUNT = 9;

    struct AuditReceipt {
        uint256 leaves;
        uint256 index;
        bytes32 commitment;
        int256 score;
        bytes32[] path;
        bytes32 root;
    }

    /// What `triggerAudited` takes.
    struct Audited {
        ICareCoordinator.TriggerRequest request;
        bytes32 root;
        uint256 index;
        bytes32[] path;
    }

    StandInVerifier internal auditVerifier;

    function setUpAudit() internal {
        setUpCare();
        auditVerifier = new StandInVerifier("audit key");
        vm.prank(address(timelock));
        models.approveAuditVerifier(modelId, auditBinding(LEAVES));
    }

    function auditBinding(uint32 leaves) internal view returns (IModelRegistry.AuditBinding memory) {
        return IModelRegistry.AuditBinding(address(auditVerifier), PROOF_LENGTH, leaves, keccak256("audit vk"));
    }

    function send(Audited memory audited) internal returns (bytes32) {
        return coordinator.triggerAudited(audited.request, audited.root, audited.index, audited.path);
    }

    /// @notice A request that the coordinator accepts now, for the window at a leaf of a recorded audit.
    function auditedRequest(uint256 index) internal returns (Audited memory audited) {
        return auditedRequest(index, LEAVES, COUNT);
    }

    function auditedRequest(uint256 index, uint32 leaves, uint32 count) internal returns (Audited memory audited) {
        audited.request = request(mandateId, uint64(block.timestamp), THRESHOLD);
        audited.request.proof = "";
        audited.index = index;
        uint256[] memory digests = new uint256[](2 * leaves - 1);
        for (uint256 leaf = 0; leaf < count; ++leaf) {
            digests[leaf] = AuditTree.leafOf(uint256(keccak256(abi.encode(leaf))) % ScoreField.MODULUS, leaf);
        }
        digests[index] = AuditTree.leafOf(uint256(audited.request.commitment), ScoreField.encode(THRESHOLD));
        uint256 tag = AuditTree.nodeTagOf(leaves);
        for (uint256 node = 0; node + 1 < leaves; ++node) {
            digests[leaves + node] = PoseidonBn254.hash(tag, digests[2 * node], digests[2 * node + 1]);
        }
        audited.path = new bytes32[](AuditTree.depthOf(index, leaves));
        uint256 id = index;
        for (uint256 step = 0; step < audited.path.length; ++step) {
            audited.path[step] = bytes32(digests[id ^ 1]);
            id = leaves + id / 2;
        }
        uint256 root = digests[2 * leaves - 2];
        audited.root = bytes32(root);
        if (audits.auditOf(modelId, audited.root).recordedAt == 0) {
            audits.recordAudit(modelId, leaves, audited.root, count, auditVerifier.proofOf(root, count));
        }
    }
}
