// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {stdJson} from "forge-std/StdJson.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {IERCZKMLVerifier} from "../../src/interfaces/IERCZKMLVerifier.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice The verifier generated from the shipped model's verifying key, with a real proof: generated/Halo2Verifier.json
/// (compiled by tools/compile-verifier.mjs) and generated/proof.json ({"commitment", "score", "proof"}, written with it).
/// A verifier that the compiler emptied would refuse the first test, one that it opened the others.
contract GeneratedVerifierTest is CareFixture {
    using stdJson for string;

    bytes32 private commitment;
    int256 private score;
    bytes private proof;

    function setUp() public {
        setUpCare();
        string memory vector = vm.readFile("generated/proof.json");
        commitment = vector.readBytes32(".commitment");
        score = vector.readInt(".score");
        proof = vector.readBytes(".proof");

        IModelRegistry.ServiceBinding memory binding =
            bindingTo(_deployed(vm.readFile("generated/Halo2Verifier.json").readBytes(".bytecode")));
        binding.proofLength = uint32(proof.length);
        vm.startPrank(address(timelock));
        modelId = models.approveModel(commitmentOf("generated"), binding, evidence(), changeControl());
        IPolicyRegistry.Terms memory reached = terms();
        reached.threshold = score;
        policyId = policies.approvePolicy(reached);
        vm.stopPrank();
        mandateId = grantMandate(vm.createWallet("patient of the generated verifier"), policyId, oracle.addr);
    }

    function test_acceptsARealProof() public {
        verifier.verifyInference(uint256(modelId), commitment, abi.encode(score), proof);
    }

    function test_triggersOnARealProof() public {
        coordinator.trigger(_request());
        assertEq(pool.reserved(), BENEFIT);
    }

    function test_refusesAnotherScore() public {
        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        verifier.verifyInference(uint256(modelId), commitment, abi.encode(score + 1), proof);
    }

    function test_refusesAnotherCommitment() public {
        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        verifier.verifyInference(uint256(modelId), bytes32(uint256(commitment) ^ 1), abi.encode(score), proof);
    }

    /// Every 32-byte word of the proof counts. A word that is no point of the curve makes the curve's precompile burn all
    /// the gas it was given: each call gets enough for one verification and no more.
    function test_refusesEachTamperedWord() public {
        for (uint256 i = 31; i < proof.length; i += 32) {
            bytes memory tampered = bytes.concat(proof);
            tampered[i] ^= 0x01;
            vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
            verifier.verifyInference{gas: 2_000_000}(uint256(modelId), commitment, abi.encode(score), tampered);
        }
    }

    function _request() private returns (ICareCoordinator.TriggerRequest memory real) {
        real = request(mandateId, uint64(block.timestamp), score);
        real.commitment = commitment;
        real.oracleSignature =
            sign(oracle, coordinator.attestationDigest(mandateId, real.windowEnd, SCHEMA, commitment));
        real.proof = proof;
    }

    function _deployed(bytes memory bytecode) private returns (address target) {
        assembly ("memory-safe") {
            target := create(0, add(bytecode, 0x20), mload(bytecode))
        }
        assertGt(target.code.length, 0, "the generated verifier does not deploy");
    }
}
