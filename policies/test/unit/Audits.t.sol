// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {IAuditLedger} from "../../src/interfaces/IAuditLedger.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {IERCZKMLVerifier} from "../../src/interfaces/IERCZKMLVerifier.sol";
import {IInferenceVerifier} from "../../src/interfaces/IInferenceVerifier.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {AuditTree} from "../../src/libraries/AuditTree.sol";
import {PoseidonBn254} from "../../src/libraries/PoseidonBn254.sol";
import {ScoreField} from "../../src/libraries/ScoreField.sol";
import {AuditFixture} from "../support/AuditFixture.sol";
import {TalkativeVerifier} from "../support/StandInVerifier.sol";

/// @notice The hash and the tree against test/vectors/audit.json, which is worked out from the definitions in zkml, and what
/// the ledger and the coordinator make of a recorded root.
contract AuditsTest is AuditFixture {
    using stdJson for string;

    uint256 private constant RECEIPTS = 6;

    string private vectors;

    function setUp() public {
        setUpAudit();
        vectors = vm.readFile("test/vectors/audit.json");
    }

    // ---------------------------------------------------------------- hash and tree

    function test_hashes() public view {
        for (uint256 i = 0; i < 6; ++i) {
            string memory at_ = string.concat(".hashes[", vm.toString(i), "]");
            uint256 tag = uint256(vectors.readBytes32(string.concat(at_, ".tag")));
            uint256 left = uint256(vectors.readBytes32(string.concat(at_, ".left")));
            uint256 right = uint256(vectors.readBytes32(string.concat(at_, ".right")));
            uint256 digest = uint256(vectors.readBytes32(string.concat(at_, ".digest")));
            assertEq(PoseidonBn254.hash(tag, left, right), digest);
            assertNotEq(PoseidonBn254.hash(tag, left, addmod(right, 1, ScoreField.MODULUS)), digest);
        }
    }

    function test_leafTag() public view {
        assertEq(AuditTree.LEAF_TAG, uint256(vectors.readBytes32(".leafTag")));
        assertEq(AuditTree.LEAF_TAG, uint256(sha256("hygeia/audit-leaf/v1")) % ScoreField.MODULUS);
    }

    /// Trees of 2, 5, 6, 8, 12 and 16 leaves: a receipt holds in its own place of its own tree and nowhere else.
    function test_receipts() public view {
        for (uint256 i = 0; i < RECEIPTS; ++i) {
            AuditReceipt memory receipt = _receipt(i);
            uint256 input = ScoreField.encode(receipt.score);
            assertEq(this.rootOf(receipt, input, receipt.index, receipt.leaves), uint256(receipt.root));
            assertNotEq(this.rootOf(receipt, input + 1, receipt.index, receipt.leaves), uint256(receipt.root));
            assertNotEq(this.rootOf(receipt, input, receipt.index ^ 1, receipt.leaves), uint256(receipt.root));
            assertNotEq(this.rootOf(receipt, input, receipt.index, receipt.leaves + 1), uint256(receipt.root));
            assertEq(AuditTree.depthOf(receipt.index, receipt.leaves), receipt.path.length);
        }
    }

    /// The same receipts through the ledger: each holds under its own root, and under it only its own score.
    function test_receiptsInTheLedger() public {
        for (uint256 i = 0; i < RECEIPTS; ++i) {
            AuditReceipt memory receipt = _receipt(i);
            uint32 leaves = uint32(receipt.leaves);
            uint32 count = uint32(vectors.readUint(string.concat(".receipts[", vm.toString(i), "].count")));
            if (models.auditBindingOf(modelId, leaves).verifier == address(0)) {
                vm.prank(address(timelock));
                models.approveAuditVerifier(modelId, auditBinding(leaves));
            }
            bytes32 root = receipt.root;
            audits.recordAudit(modelId, leaves, root, count, auditVerifier.proofOf(uint256(root), count));
            uint256 input = ScoreField.encode(receipt.score);
            audits.requireIncluded(modelId, root, receipt.index, receipt.commitment, input, receipt.path);
            vm.expectRevert(abi.encodeWithSelector(IAuditLedger.PathNotToRoot.selector, root));
            audits.requireIncluded(modelId, root, receipt.index, receipt.commitment, input + 1, receipt.path);
        }
    }

    function rootOf(AuditReceipt calldata receipt, uint256 scoreInput, uint256 index, uint256 leaves)
        external
        pure
        returns (uint256)
    {
        return AuditTree.rootOf(AuditTree.leafOf(uint256(receipt.commitment), scoreInput), index, leaves, receipt.path);
    }

    // ---------------------------------------------------------------- binding

    function test_auditVerifierIsBoundOnceByTheTimelock() public {
        IModelRegistry.AuditBinding memory binding = auditBinding(16);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        models.approveAuditVerifier(modelId, binding);
        vm.startPrank(address(timelock));
        vm.expectEmit(address(models));
        emit IModelRegistry.AuditVerifierApproved(modelId, binding);
        models.approveAuditVerifier(modelId, binding);
        assertEq(models.auditBindingOf(modelId, 16).verifier, binding.verifier);
        assertEq(models.auditBindingOf(modelId, 17).verifier, address(0));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.AuditVerifierExists.selector, modelId, uint32(16)));
        models.approveAuditVerifier(modelId, binding);
    }

    function test_auditVerifierNeedsAModelAndEveryField() public {
        vm.startPrank(address(timelock));
        bytes32 registered = bytes32(models.registerModel(commitmentOf("v9")));
        IModelRegistry.AuditBinding memory binding = auditBinding(16);
        vm.expectRevert(
            abi.encodeWithSelector(
                IModelRegistry.WrongModelStatus.selector, registered, IModelRegistry.Status.Registered
            )
        );
        models.approveAuditVerifier(registered, binding);

        bytes memory incomplete = abi.encodeWithSelector(IModelRegistry.IncompleteModel.selector);
        binding.vkHash = 0;
        vm.expectRevert(incomplete);
        models.approveAuditVerifier(modelId, binding);
        binding = auditBinding(16);
        binding.proofLength = 0;
        vm.expectRevert(incomplete);
        models.approveAuditVerifier(modelId, binding);
        vm.expectRevert(incomplete);
        models.approveAuditVerifier(modelId, auditBinding(1));
        binding = auditBinding(16);
        binding.verifier = makeAddr("no code here");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.VerifierHasNoCode.selector, binding.verifier));
        models.approveAuditVerifier(modelId, binding);

        models.suspendModel(modelId);
        models.approveAuditVerifier(modelId, auditBinding(16));
    }

    // ---------------------------------------------------------------- recording

    function test_recordedOnce() public {
        bytes memory proof = auditVerifier.proofOf(7, 3);
        vm.expectEmit(address(audits));
        emit IAuditLedger.AuditRecorded(modelId, bytes32(uint256(7)), LEAVES, 3);
        vm.prank(makeAddr("passer-by"));
        audits.recordAudit(modelId, LEAVES, bytes32(uint256(7)), 3, proof);
        IAuditLedger.Audit memory audit = audits.auditOf(modelId, bytes32(uint256(7)));
        assertEq(audit.leaves, LEAVES);
        assertEq(audit.count, 3);
        assertEq(audit.recordedAt, block.timestamp);
        _refuses(7, 3, proof, abi.encodeWithSelector(IAuditLedger.AuditExists.selector, modelId, bytes32(uint256(7))));
    }

    function test_refusesWhatTheProofDoesNotSay() public {
        bytes memory proof = auditVerifier.proofOf(7, 3);
        bytes memory invalid = abi.encodeWithSelector(IERCZKMLVerifier.InvalidProof.selector);
        _refuses(8, 3, proof, invalid);
        _refuses(7, 4, proof, invalid);
        proof[0] ^= 0x01;
        _refuses(7, 3, proof, invalid);
        _refuses(
            7,
            3,
            bytes.concat(proof, hex"00"),
            abi.encodeWithSelector(
                IInferenceVerifier.ProofLengthMismatch.selector, uint256(PROOF_LENGTH), uint256(PROOF_LENGTH) + 1
            )
        );
    }

    function test_refusesCountsAndRootsOutOfRange() public {
        _refuses(
            7,
            0,
            auditVerifier.proofOf(7, 0),
            abi.encodeWithSelector(IAuditLedger.CountOutOfRange.selector, uint32(0), LEAVES)
        );
        _refuses(
            7,
            LEAVES + 1,
            auditVerifier.proofOf(7, LEAVES + 1),
            abi.encodeWithSelector(IAuditLedger.CountOutOfRange.selector, LEAVES + 1, LEAVES)
        );
        uint256 alias_ = ScoreField.MODULUS + 7;
        _refuses(
            alias_,
            3,
            auditVerifier.proofOf(7, 3),
            abi.encodeWithSelector(IAuditLedger.DigestNotCanonical.selector, alias_)
        );
        audits.recordAudit(modelId, LEAVES, bytes32(uint256(9)), LEAVES, auditVerifier.proofOf(9, LEAVES));
    }

    function test_refusesWithoutABindingOrAModelInService() public {
        bytes memory proof = auditVerifier.proofOf(7, 3);
        vm.expectRevert(abi.encodeWithSelector(IAuditLedger.AuditVerifierUnknown.selector, modelId, LEAVES * 2));
        audits.recordAudit(modelId, LEAVES * 2, bytes32(uint256(7)), 3, proof);
        vm.prank(guardian);
        models.suspendModel(modelId);
        _refuses(
            7,
            3,
            proof,
            abi.encodeWithSelector(IAuditLedger.ModelNotInService.selector, modelId, IModelRegistry.Status.Suspended)
        );
    }

    function test_refusesVerifiersOfAnotherKind() public {
        address talkative = address(new TalkativeVerifier());
        IModelRegistry.AuditBinding memory binding = auditBinding(16);
        binding.verifier = talkative;
        vm.prank(address(timelock));
        models.approveAuditVerifier(modelId, binding);
        bytes memory proof = auditVerifier.proofOf(7, 3);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.UnexpectedVerifierAnswer.selector, talkative));
        audits.recordAudit(modelId, 16, bytes32(uint256(7)), 3, proof);
        vm.etch(address(auditVerifier), "");
        _refuses(
            7, 3, proof, abi.encodeWithSelector(IInferenceVerifier.VerifierHasNoCode.selector, address(auditVerifier))
        );
    }

    // ---------------------------------------------------------------- starting care from an audit

    function test_triggersOnARecordedWindow() public {
        Audited memory audited = auditedRequest(4);
        bytes32 expected = coordinator.nullifierOf(mandateId, policyId, audited.request.windowEnd, COOL_DOWN);
        vm.expectEmit(address(coordinator));
        emit ICareCoordinator.CareTriggered(
            expected, policyId, mandateId, modelId, BENEFIT, uint64(block.timestamp) + FULFIL_WITHIN
        );
        assertEq(send(audited), expected);
        assertEq(pool.reserved(), BENEFIT);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.NullifierUsed.selector, expected));
        send(audited);
    }

    function test_auditAndProofShareTheNullifier() public {
        coordinator.trigger(request(mandateId, uint64(block.timestamp), THRESHOLD));
        Audited memory audited = auditedRequest(0);
        bytes32 used = coordinator.nullifierOf(mandateId, policyId, audited.request.windowEnd, COOL_DOWN);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.NullifierUsed.selector, used));
        send(audited);
    }

    function test_refusesAnUnrecordedRoot() public {
        Audited memory audited = auditedRequest(2);
        audited.root = bytes32(uint256(audited.root) ^ 1);
        _refuses(audited, abi.encodeWithSelector(IAuditLedger.AuditUnknown.selector, modelId, audited.root));
    }

    function test_refusesPaddingAndPlacesBeyond() public {
        Audited memory audited = auditedRequest(2);
        audited.index = COUNT;
        _refuses(audited, abi.encodeWithSelector(IAuditLedger.LeafNotInAudit.selector, uint256(COUNT), COUNT));
        audited.index = 2 ** 32 + 2;
        _refuses(audited, abi.encodeWithSelector(IAuditLedger.LeafNotInAudit.selector, audited.index, COUNT));
    }

    function test_refusesPathsThatLeadElsewhere() public {
        Audited memory audited = auditedRequest(2);
        bytes memory elsewhere = abi.encodeWithSelector(IAuditLedger.PathNotToRoot.selector, audited.root);
        audited.index = 3;
        _refuses(audited, elsewhere);
        audited = auditedRequest(2);
        audited.path[1] = bytes32(uint256(audited.path[1]) ^ 1);
        _refuses(audited, elsewhere);
        audited = auditedRequest(2);
        audited.request.score += 1;
        _refuses(audited, elsewhere);
        audited = auditedRequest(2);
        audited.path[0] = bytes32(uint256(audited.path[0]) + ScoreField.MODULUS);
        _refuses(audited, abi.encodeWithSelector(IAuditLedger.DigestNotCanonical.selector, uint256(audited.path[0])));
        audited = auditedRequest(2);
        uint256 steps = audited.path.length;
        bytes32[] memory longer = new bytes32[](steps + 1);
        audited.path = longer;
        _refuses(audited, abi.encodeWithSelector(IAuditLedger.PathLengthMismatch.selector, steps, steps + 1));
    }

    function test_refusesAnotherWindowsCommitment() public {
        Audited memory audited = auditedRequest(2);
        audited.request.commitment = bytes32(uint256(audited.request.commitment) ^ 1);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.BadOracleSignature.selector, oracle.addr));
        send(audited);
        audited.request.oracleSignature = sign(
            oracle,
            coordinator.attestationDigest(mandateId, audited.request.windowEnd, SCHEMA, audited.request.commitment)
        );
        _refuses(audited, abi.encodeWithSelector(IAuditLedger.PathNotToRoot.selector, audited.root));
    }

    function test_refusesAProofBesideAnAudit() public {
        Audited memory audited = auditedRequest(2);
        audited.request.proof = hex"00";
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.ProofNotExpected.selector, uint256(1)));
        send(audited);
    }

    /// The ledger is the model's: another model's root starts nothing under this policy.
    function test_refusesTheAuditOfAnotherModel() public {
        Audited memory audited = auditedRequest(2);
        vm.startPrank(address(timelock));
        modelId = models.approveModel(commitmentOf("other"), bindingTo(address(standIn)), evidence(), changeControl());
        policyId = policies.approvePolicy(terms());
        vm.stopPrank();
        mandateId = grantMandate(vm.createWallet("patient of another model"), policyId, oracle.addr);
        audited.request.policyId = policyId;
        audited.request.mandateId = mandateId;
        audited.request.oracleSignature = sign(
            oracle,
            coordinator.attestationDigest(mandateId, audited.request.windowEnd, SCHEMA, audited.request.commitment)
        );
        _refuses(audited, abi.encodeWithSelector(IAuditLedger.AuditUnknown.selector, modelId, audited.root));
    }

    // ---------------------------------------------------------------- steps

    function _receipt(uint256 i) private view returns (AuditReceipt memory receipt) {
        string memory at_ = string.concat(".receipts[", vm.toString(i), "]");
        receipt.leaves = vectors.readUint(string.concat(at_, ".leaves"));
        receipt.index = vectors.readUint(string.concat(at_, ".index"));
        receipt.commitment = vectors.readBytes32(string.concat(at_, ".commitment"));
        receipt.score = vectors.readInt(string.concat(at_, ".score"));
        receipt.path = vectors.readBytes32Array(string.concat(at_, ".path"));
        receipt.root = vectors.readBytes32(string.concat(at_, ".root"));
    }

    function _refuses(uint256 root, uint32 count, bytes memory proof, bytes memory reason) private {
        vm.expectRevert(reason);
        audits.recordAudit(modelId, LEAVES, bytes32(root), count, proof);
    }

    function _refuses(Audited memory audited, bytes memory reason) private {
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.ProofRejected.selector, modelId, reason));
        send(audited);
    }
}
