// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {IERCZKMLRegistry} from "../../src/interfaces/IERCZKMLRegistry.sol";
import {IERCZKMLStorageExtension} from "../../src/interfaces/IERCZKMLStorageExtension.sol";
import {IERCZKMLVerifier} from "../../src/interfaces/IERCZKMLVerifier.sol";
import {IGuarded} from "../../src/interfaces/IGuarded.sol";
import {IInferenceVerifier} from "../../src/interfaces/IInferenceVerifier.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ScoreField} from "../../src/libraries/ScoreField.sol";
import {CareFixture} from "../support/CareFixture.sol";
import {StandInEzklVerifier, TalkativeVerifier} from "../support/StandInVerifier.sol";

/// @notice The model registry's life of a model and the verifier's refusals, including what ERC-7992 asks of both.
contract ModelsTest is CareFixture {
    bytes32 private constant COMMITMENT = bytes32(uint256(7));

    function setUp() public {
        setUpCare();
    }

    // ---------------------------------------------------------------- registry, ERC-7992

    function test_interfaceIds() public view {
        assertTrue(models.supportsInterface(type(IERCZKMLRegistry).interfaceId));
        assertTrue(models.supportsInterface(type(IERC165).interfaceId));
        assertTrue(verifier.supportsInterface(type(IERCZKMLVerifier).interfaceId));
        assertFalse(models.supportsInterface(0xffffffff));
        // The draft's functions alone make up its identifiers.
        assertEq(
            type(IERCZKMLRegistry).interfaceId,
            bytes4(keccak256("registerModel((bytes32,bytes32,bytes32,bytes4,string))"))
                ^ bytes4(keccak256("updateModel(uint256,(bytes32,bytes32,bytes32,bytes4,string))"))
                ^ bytes4(keccak256("deprecateModel(uint256)")) ^ bytes4(keccak256("getModel(uint256)"))
        );
        assertEq(
            type(IERCZKMLVerifier).interfaceId,
            bytes4(keccak256("verifyInference(uint256,bytes32,bytes,bytes)"))
                ^ bytes4(keccak256("proofSystemOf(uint256)")) ^ bytes4(keccak256("registry()"))
        );
    }

    function test_getModelAnswersForTheTimelock() public view {
        (IERCZKMLRegistry.ModelCommitment memory commitment, bool deprecated, address modelOwner) =
            models.getModel(uint256(modelId));
        assertEq(commitment.uri, "v1");
        assertFalse(deprecated);
        assertEq(modelOwner, address(timelock));
    }

    function test_registeredIsNotYetApproved() public {
        vm.startPrank(address(timelock));
        bytes32 id = bytes32(models.registerModel(commitmentOf("v2")));
        assertEq(id, models.modelIdOf(commitmentOf("v2")));
        assertFalse(models.isActive(id));
        models.approveRegistered(id, bindingTo(address(standIn)), evidence(), changeControl());
        assertTrue(models.isActive(id));
    }

    function test_aModelIsNeverEdited() public {
        vm.prank(address(timelock));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelImmutable.selector, modelId));
        models.updateModel(uint256(modelId), commitmentOf("v2"));
    }

    function test_deprecationIsFinal() public {
        vm.startPrank(address(timelock));
        vm.expectEmit(address(models));
        emit IERCZKMLRegistry.ModelDeprecated(uint256(modelId));
        models.deprecateModel(uint256(modelId));
        (, bool deprecated,) = models.getModel(uint256(modelId));
        assertTrue(deprecated);
        bytes memory refused =
            abi.encodeWithSelector(IModelRegistry.WrongModelStatus.selector, modelId, IModelRegistry.Status.Deprecated);
        vm.expectRevert(refused);
        models.deprecateModel(uint256(modelId));
        vm.expectRevert(refused);
        models.reinstateModel(modelId);
        vm.expectRevert(refused);
        models.approveRegistered(modelId, bindingTo(address(standIn)), evidence(), changeControl());
    }

    function testFuzz_unknownModels(uint256 id) public {
        vm.assume(id != uint256(modelId));
        bytes memory refused = abi.encodeWithSelector(IERCZKMLRegistry.ModelNotFound.selector, id);
        vm.expectRevert(refused);
        models.getModel(id);
        vm.expectRevert(refused);
        models.deprecateModel(id);
        vm.expectRevert(refused);
        verifier.proofSystemOf(id);
    }

    // ---------------------------------------------------------------- registry, who may do what

    function testFuzz_onlyTheTimelockWrites(address stranger) public {
        vm.assume(stranger != address(timelock));
        IERCZKMLRegistry.ModelCommitment memory commitment = commitmentOf("v2");
        IModelRegistry.ServiceBinding memory binding = bindingTo(address(standIn));
        bytes memory refused = abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger);
        bytes memory notOwner =
            abi.encodeWithSelector(IERCZKMLRegistry.NotModelOwner.selector, uint256(modelId), stranger);
        vm.startPrank(stranger);
        vm.expectRevert(refused);
        models.registerModel(commitment);
        vm.expectRevert(refused);
        models.approveModel(commitment, binding, evidence(), changeControl());
        vm.expectRevert(refused);
        models.approveRegistered(modelId, binding, evidence(), changeControl());
        vm.expectRevert(refused);
        models.reinstateModel(modelId);
        vm.expectRevert(refused);
        models.setGuardian(stranger);
        vm.expectRevert(notOwner);
        models.deprecateModel(uint256(modelId));
        vm.expectRevert(notOwner);
        models.updateModel(uint256(modelId), commitment);
    }

    function test_theGuardianOnlyStops() public {
        vm.prank(guardian);
        models.suspendModel(modelId);
        assertFalse(models.isActive(modelId));
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, guardian));
        models.reinstateModel(modelId);
        vm.expectRevert(abi.encodeWithSelector(IGuarded.NotGuardian.selector, address(this)));
        models.suspendModel(modelId);
    }

    function test_refusesIncompleteModels() public {
        vm.startPrank(address(timelock));
        IERCZKMLRegistry.ModelCommitment memory commitment = commitmentOf("v2");
        commitment.vkHash = 0;
        vm.expectRevert(IModelRegistry.IncompleteModel.selector);
        models.registerModel(commitment);

        commitment = commitmentOf("v2");
        IModelRegistry.ServiceBinding memory binding = bindingTo(address(standIn));
        IModelRegistry.ChangeControl memory change = changeControl();
        binding.verifier = makeAddr("no code here");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.VerifierHasNoCode.selector, binding.verifier));
        models.approveModel(commitment, binding, evidence(), change);
        binding = bindingTo(address(standIn));
        binding.schemaHash = 0;
        vm.expectRevert(IModelRegistry.IncompleteModel.selector);
        models.approveModel(commitment, binding, evidence(), change);
        change.impact = "";
        vm.expectRevert(IModelRegistry.IncompleteChangeControl.selector);
        models.approveModel(commitment, bindingTo(address(standIn)), evidence(), change);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelExists.selector, modelId));
        models.registerModel(commitmentOf("v1"));
    }

    // ---------------------------------------------------------------- verifier

    function test_verifyInferenceLeavesAnEvent() public {
        bytes memory output = abi.encode(int256(-42));
        bytes memory proof = standIn.proofOf(uint256(COMMITMENT), ScoreField.encode(-42));
        vm.expectEmit(address(verifier));
        emit IERCZKMLVerifier.InferenceVerified(uint256(modelId), COMMITMENT, output, address(this));
        verifier.verifyInference(uint256(modelId), COMMITMENT, output, proof);
        assertEq(verifier.proofSystemOf(uint256(modelId)), PROOF_SYSTEM_ID);
        assertEq(verifier.registry(), address(models));
    }

    function test_verifyInferenceRefusesOtherOutputs() public {
        bytes memory proof = standIn.proofOf(uint256(COMMITMENT), 42);
        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        verifier.verifyInference(uint256(modelId), COMMITMENT, abi.encode(int256(43)), proof);
        vm.expectRevert(IERCZKMLVerifier.OutputMismatch.selector);
        verifier.verifyInference(uint256(modelId), COMMITMENT, abi.encode(int256(42), 0), proof);
        vm.expectRevert(IERCZKMLVerifier.OutputMismatch.selector);
        verifier.verifyInference(uint256(modelId), COMMITMENT, abi.encode(ScoreField.MODULUS + 42), proof);
        vm.expectRevert(IERCZKMLVerifier.InputCommitmentMismatch.selector);
        verifier.verifyInference(
            uint256(modelId), bytes32(uint256(COMMITMENT) + ScoreField.MODULUS), abi.encode(int256(42)), proof
        );
    }

    function test_verifierRefusesModelsNotInService() public {
        uint256[2] memory inputs = [uint256(COMMITMENT), 42];
        bytes memory proof = standIn.proofOf(inputs[0], inputs[1]);
        verifier.verifyPublicInputs(modelId, inputs, proof);

        vm.expectRevert(_notInService(bytes32(0), IModelRegistry.Status.Unknown));
        verifier.verifyPublicInputs(bytes32(0), inputs, proof);
        vm.prank(guardian);
        models.suspendModel(modelId);
        vm.expectRevert(_notInService(modelId, IModelRegistry.Status.Suspended));
        verifier.verifyPublicInputs(modelId, inputs, proof);
        vm.prank(address(timelock));
        models.deprecateModel(uint256(modelId));
        vm.expectRevert(
            abi.encodeWithSelector(IERCZKMLVerifier.VerificationRefused_ModelDeprecated.selector, uint256(modelId))
        );
        verifier.verifyPublicInputs(modelId, inputs, proof);
    }

    /// A verifier that accepts everything and answers `true` follows another convention, so it is refused.
    function test_verifierRefusesAnAnswer() public {
        address talkative = address(new TalkativeVerifier());
        vm.prank(address(timelock));
        bytes32 id = models.approveModel(commitmentOf("talkative"), bindingTo(talkative), evidence(), changeControl());
        bytes memory proof = standIn.proofOf(1, 2);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.UnexpectedVerifierAnswer.selector, talkative));
        verifier.verifyPublicInputs(id, [uint256(1), 2], proof);
    }

    function test_verifierRefusesAnAddressWithoutCode() public {
        bytes memory proof = standIn.proofOf(1, 2);
        vm.etch(address(standIn), "");
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.VerifierHasNoCode.selector, address(standIn)));
        verifier.verifyPublicInputs(modelId, [uint256(1), 2], proof);
    }

    function test_verifierRefusesUnknownProofSystem() public {
        IERCZKMLRegistry.ModelCommitment memory commitment = commitmentOf("ezkl");
        commitment.proofSystemId = bytes4(keccak256("ezkl-23"));
        vm.prank(address(timelock));
        bytes32 id = models.approveModel(commitment, bindingTo(address(standIn)), evidence(), changeControl());
        bytes memory proof = standIn.proofOf(1, 2);
        vm.expectRevert(
            abi.encodeWithSelector(IERCZKMLVerifier.UnsupportedProofSystem.selector, commitment.proofSystemId)
        );
        verifier.verifyPublicInputs(id, [uint256(1), 2], proof);
    }

    function testFuzz_verifierRefusesAliases(uint256 commitment, uint256 score) public {
        commitment = bound(commitment, ScoreField.MODULUS, type(uint256).max);
        score = bound(score, ScoreField.MODULUS, type(uint256).max);
        bytes memory proof = standIn.proofOf(commitment % ScoreField.MODULUS, 2);
        vm.expectRevert(
            abi.encodeWithSelector(IInferenceVerifier.PublicInputNotCanonical.selector, uint256(0), commitment)
        );
        verifier.verifyPublicInputs(modelId, [commitment, 2], proof);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.PublicInputNotCanonical.selector, uint256(1), score));
        verifier.verifyPublicInputs(modelId, [uint256(1), score], proof);
    }

    // ---------------------------------------------------------------- EZKL

    function test_ezklProofsAreAskedInTheirOwnWay() public {
        (bytes32 id, StandInEzklVerifier ezkl) = _approveEzkl();
        bytes memory proof = ezkl.proofOf(uint256(COMMITMENT), ScoreField.encode(-42));
        verifier.verifyInference(uint256(id), COMMITMENT, abi.encode(int256(-42)), proof);
        assertEq(verifier.proofSystemOf(uint256(id)), verifier.EZKL_PROOF_SYSTEM_ID());

        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        verifier.verifyInference(uint256(id), COMMITMENT, abi.encode(int256(-41)), proof);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.ProofLengthMismatch.selector, 32, 33));
        verifier.verifyInference(uint256(id), COMMITMENT, abi.encode(int256(-42)), bytes.concat(proof, hex"00"));
        ezkl.lie();
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.UnexpectedVerifierAnswer.selector, address(ezkl)));
        verifier.verifyInference(uint256(id), COMMITMENT, abi.encode(int256(-42)), proof);
    }

    function test_ezklVerifierWithoutCodeIsRefused() public {
        (bytes32 id, StandInEzklVerifier ezkl) = _approveEzkl();
        bytes memory proof = ezkl.proofOf(1, 2);
        vm.etch(address(ezkl), "");
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.VerifierHasNoCode.selector, address(ezkl)));
        verifier.verifyPublicInputs(id, [uint256(1), 2], proof);
    }

    // ---------------------------------------------------------------- storage extension

    function test_storedInferencesAreReadBack() public {
        assertTrue(verifier.supportsInterface(type(IERCZKMLStorageExtension).interfaceId));
        assertEq(
            type(IERCZKMLStorageExtension).interfaceId,
            bytes4(keccak256("verifyAndStoreInference(uint256,bytes32,bytes,bytes)"))
                ^ bytes4(keccak256("getInference(bytes32)"))
        );
        bytes memory output = abi.encode(int256(42));
        bytes memory proof = standIn.proofOf(uint256(COMMITMENT), 42);
        bytes32 expected = keccak256(abi.encodePacked(uint256(modelId), COMMITMENT, output));
        vm.expectEmit(address(verifier));
        emit IERCZKMLStorageExtension.InferenceStored(expected);
        assertEq(verifier.verifyAndStoreInference(uint256(modelId), COMMITMENT, output, proof), expected);
        verifier.verifyAndStoreInference(uint256(modelId), COMMITMENT, output, proof);
        (uint256 id, bytes32 commitment, bytes memory stored) = verifier.getInference(expected);
        assertEq(id, uint256(modelId));
        assertEq(commitment, COMMITMENT);
        assertEq(stored, output);

        proof[0] ^= 0x01;
        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        verifier.verifyAndStoreInference(uint256(modelId), COMMITMENT, output, proof);
        (id,,) = verifier.getInference(keccak256("unknown"));
        assertEq(id, 0);
    }

    // ---------------------------------------------------------------- evidence

    function test_evidenceIsPartOfAnApproval() public {
        assertEq(keccak256(abi.encode(models.evidenceOf(modelId))), keccak256(abi.encode(evidence())));
        assertEq(models.evidenceOf(0).cardHash, 0);
        for (uint256 i = 0; i < 3; ++i) {
            IModelRegistry.Evidence memory bad = evidence();
            if (i == 0) bad.cardHash = 0;
            if (i == 1) bad.fidelityHash = 0;
            if (i == 2) bad.evaluationHash = 0;
            vm.prank(address(timelock));
            vm.expectRevert(IModelRegistry.IncompleteModel.selector);
            models.approveModel(commitmentOf("v2"), bindingTo(address(standIn)), bad, changeControl());
        }
    }

    // ---------------------------------------------------------------- steps

    function _approveEzkl() private returns (bytes32 id, StandInEzklVerifier ezkl) {
        ezkl = new StandInEzklVerifier();
        IERCZKMLRegistry.ModelCommitment memory commitment = commitmentOf("ezkl");
        commitment.proofSystemId = verifier.EZKL_PROOF_SYSTEM_ID();
        IModelRegistry.ServiceBinding memory binding = bindingTo(address(ezkl));
        binding.proofLength = 32;
        vm.prank(address(timelock));
        id = models.approveModel(commitment, binding, evidence(), changeControl());
    }

    function _notInService(bytes32 id, IModelRegistry.Status status) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IInferenceVerifier.ModelNotInService.selector, id, status);
    }
}
