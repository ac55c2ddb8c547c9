// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERCZKMLRegistry} from "../../src/interfaces/IERCZKMLRegistry.sol";
import {IERCZKMLVerifier} from "../../src/interfaces/IERCZKMLVerifier.sol";
import {IAuditLedger} from "../../src/interfaces/IAuditLedger.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {IInferenceVerifier} from "../../src/interfaces/IInferenceVerifier.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ScoreField} from "../../src/libraries/ScoreField.sol";
import {AuditFixture} from "../support/AuditFixture.sol";

/// @notice Takes any call, does nothing and answers with nothing.
contract SilentContract {
    fallback() external {}
}

/// @notice Refuses with nothing, as a verifier that ran out of gas.
contract ExhaustedContract {
    fallback() external {
        assembly ("memory-safe") {
            invalid()
        }
    }
}

/// @notice Attacks on what is proved.
contract VerifierAttacks is AuditFixture {
    function setUp() public {
        setUpAudit();
    }

    /// A verifier that has to answer and does not has verified nothing. (One that has to revert and does not cannot be told
    /// from one that accepts: that it belongs to the key is what voters check.)
    function test_aVerifierThatReturnsNothing() public {
        IERCZKMLRegistry.ModelCommitment memory commitment = commitmentOf("ezkl");
        commitment.proofSystemId = verifier.EZKL_PROOF_SYSTEM_ID();
        address silent = address(new SilentContract());
        vm.prank(address(timelock));
        bytes32 id = models.approveModel(commitment, bindingTo(silent), evidence(), changeControl());
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.UnexpectedVerifierAnswer.selector, silent));
        verifier.verifyPublicInputs(id, [uint256(1), 2], new bytes(PROOF_LENGTH));
    }

    function test_aVerifierThatBurnsItsGas() public {
        address exhausted = address(new ExhaustedContract());
        vm.prank(address(timelock));
        bytes32 id = models.approveModel(commitmentOf("exhausted"), bindingTo(exhausted), evidence(), changeControl());
        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        verifier.verifyPublicInputs{gas: 1_000_000}(id, [uint256(1), 2], new bytes(PROOF_LENGTH));
    }

    /// An address without code accepts every call: refused at approval, and again at each use.
    function test_aVerifierAddressWithoutCode() public {
        address empty = makeAddr("no code here");
        vm.prank(address(timelock));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.VerifierHasNoCode.selector, empty));
        models.approveModel(commitmentOf("empty"), bindingTo(empty), evidence(), changeControl());

        ICareCoordinator.TriggerRequest memory good = goodRequest();
        bytes memory auditProof = auditVerifier.proofOf(7, 3);
        vm.etch(address(standIn), "");
        vm.etch(address(auditVerifier), "");
        bytes memory reason = abi.encodeWithSelector(IInferenceVerifier.VerifierHasNoCode.selector, address(standIn));
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.ProofRejected.selector, modelId, reason));
        coordinator.trigger(good);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.VerifierHasNoCode.selector, address(auditVerifier)));
        audits.recordAudit(modelId, LEAVES, bytes32(uint256(7)), 3, auditProof);
    }

    /// Each public value has one encoding: a proof of one number never passes as another that is congruent to it.
    function testFuzz_aliasesOfPublicValues(uint256 times) public {
        uint256 multiple = bound(times, 1, 5) * ScoreField.MODULUS;
        bytes memory proof = standIn.proofOf(5, 9);
        bytes memory auditProof = auditVerifier.proofOf(7, 3);
        verifier.verifyPublicInputs(modelId, [uint256(5), 9], proof);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.PublicInputNotCanonical.selector, 0, 5 + multiple));
        verifier.verifyPublicInputs(modelId, [5 + multiple, 9], proof);
        vm.expectRevert(abi.encodeWithSelector(IInferenceVerifier.PublicInputNotCanonical.selector, 1, 9 + multiple));
        verifier.verifyPublicInputs(modelId, [uint256(5), 9 + multiple], proof);
        vm.expectRevert(abi.encodeWithSelector(IAuditLedger.DigestNotCanonical.selector, 7 + multiple));
        audits.recordAudit(modelId, LEAVES, bytes32(7 + multiple), 3, auditProof);
    }

    /// The same leaf under an alias of its commitment, with the oracle's signature over the alias.
    function test_aliasOfAnAuditedCommitment() public {
        Audited memory audited = auditedRequest(1);
        uint256 alias_ = uint256(audited.request.commitment) + ScoreField.MODULUS;
        audited.request.commitment = bytes32(alias_);
        audited.request.oracleSignature = sign(
            oracle,
            coordinator.attestationDigest(mandateId, audited.request.windowEnd, SCHEMA, audited.request.commitment)
        );
        bytes memory reason = abi.encodeWithSelector(IAuditLedger.DigestNotCanonical.selector, alias_);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.ProofRejected.selector, modelId, reason));
        send(audited);
    }

    /// A proof is for one model: another model's, with another key, does not pass.
    function test_aProofOfAnotherModel() public {
        ICareCoordinator.TriggerRequest memory good = goodRequest();
        good.proof = auditVerifier.proofOf(uint256(good.commitment), ScoreField.encode(good.score));
        bytes memory reason = abi.encodeWithSelector(IERCZKMLVerifier.InvalidProof.selector);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.ProofRejected.selector, modelId, reason));
        coordinator.trigger(good);
    }
}
