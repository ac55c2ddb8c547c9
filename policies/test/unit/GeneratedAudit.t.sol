// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {stdJson} from "forge-std/StdJson.sol";
import {IAuditLedger} from "../../src/interfaces/IAuditLedger.sol";
import {IERCZKMLVerifier} from "../../src/interfaces/IERCZKMLVerifier.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {ScoreField} from "../../src/libraries/ScoreField.sol";
import {RealProof} from "../support/RealProof.sol";

/// @notice The audit verifier generated from the shipped model's audit key, a real audit and a receipt out of it, as a prover
/// hands it to a patient (generated/audit-proof.json): recorded on its proof, and care started on the receipt.
contract GeneratedAuditTest is RealProof {
    using stdJson for string;

    uint32 private leaves;
    uint32 private count;
    bytes private auditProof;
    Audited private audited;

    function setUp() public {
        setUpCare();
        string memory vector = vm.readFile("generated/audit-proof.json");
        leaves = uint32(vector.readUint(".leaves"));
        count = uint32(vector.readUint(".count"));
        auditProof = vector.readBytes(".proof");
        commitment = vector.readBytes32(".receipt.commitment");
        score = vector.readInt(".receipt.score");

        vm.startPrank(address(timelock));
        models.approveAuditVerifier(
            modelId,
            IModelRegistry.AuditBinding({
                verifier: deployVerifier("generated/AuditVerifier.json"),
                proofLength: uint32(auditProof.length),
                leaves: leaves,
                vkHash: keccak256("audit vk")
            })
        );
        IPolicyRegistry.Terms memory reached = terms();
        reached.threshold = score;
        policyId = policies.approvePolicy(reached);
        vm.stopPrank();
        mandateId = grantMandate(vm.createWallet("audited patient"), policyId, oracle.addr);

        audited.request = realRequest();
        audited.root = vector.readBytes32(".root");
        audited.index = vector.readUint(".receipt.index");
        audited.path = vector.readBytes32Array(".receipt.path");
    }

    function test_startsCareOnARealReceipt() public {
        _record();
        bytes32 triggerId = send(audited);
        assertEq(coordinator.triggerOf(triggerId).mandateId, mandateId);
        assertEq(pool.reserved(), BENEFIT);
    }

    /// Under the same root no other score, place or commitment.
    function test_refusesAnythingElseOfTheReceipt() public {
        _record();
        uint256 input = ScoreField.encode(score);
        audits.requireIncluded(modelId, audited.root, audited.index, commitment, input, audited.path);
        bytes memory refused = abi.encodeWithSelector(IAuditLedger.PathNotToRoot.selector, audited.root);
        vm.expectRevert(refused);
        audits.requireIncluded(modelId, audited.root, audited.index, commitment, input + 1, audited.path);
        vm.expectRevert(refused);
        audits.requireIncluded(modelId, audited.root, audited.index ^ 1, commitment, input, audited.path);
        vm.expectRevert(refused);
        audits.requireIncluded(
            modelId, audited.root, audited.index, bytes32(uint256(commitment) ^ 1), input, audited.path
        );
    }

    function test_refusesAnotherRootOrCount() public {
        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        audits.recordAudit(modelId, leaves, bytes32(uint256(audited.root) ^ 1), count, auditProof);
        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        audits.recordAudit(modelId, leaves, audited.root, count + 1, auditProof);
    }

    function test_refusesEachTamperedWord() public {
        for (uint256 i = 31; i < auditProof.length; i += 32) {
            bytes memory tampered = bytes.concat(auditProof);
            tampered[i] ^= 0x01;
            vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
            audits.recordAudit{gas: 2_000_000}(modelId, leaves, audited.root, count, tampered);
        }
    }

    function _record() private {
        audits.recordAudit(modelId, leaves, audited.root, count, auditProof);
    }
}
