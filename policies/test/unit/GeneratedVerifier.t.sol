// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERCZKMLVerifier} from "../../src/interfaces/IERCZKMLVerifier.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {RealProof} from "../support/RealProof.sol";

/// @notice The verifier generated from the shipped model's verifying key, with a real proof. A verifier that the compiler
/// emptied would refuse the first test, one that it opened the others.
contract GeneratedVerifierTest is RealProof {
    function setUp() public {
        setUpCare();
        loadProof();
        IModelRegistry.ServiceBinding memory binding = bindingTo(deployVerifier());
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
        coordinator.trigger(realRequest());
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
}
