// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IAgentValidationRegistry} from "../../src/interfaces/IAgentValidationRegistry.sol";
import {IERC8004ValidationRegistry} from "../../src/interfaces/IERC8004ValidationRegistry.sol";
import {IERCZKMLVerifier} from "../../src/interfaces/IERCZKMLVerifier.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice A request is answered with 100 where its inference is proved, and otherwise not at all.
contract ValidatorTest is CareFixture {
    bytes32 private constant COMMITMENT = bytes32(uint256(7));

    address private operator = makeAddr("operator");
    uint256 private agentId;
    bytes private output = abi.encode(int256(42));
    bytes private proof;

    function setUp() public {
        setUpCare();
        proof = standIn.proofOf(uint256(COMMITMENT), 42);
        vm.prank(operator);
        agentId = agents.register("https://prover.example/agent.json");
    }

    function test_theDraftsSignature() public pure {
        assertEq(
            IERC8004ValidationRegistry.validationResponse.selector,
            bytes4(keccak256("validationResponse(bytes32,uint8,string,bytes32,string)"))
        );
    }

    function test_aProvedInferencePasses() public {
        bytes32 requestHash = _ask(address(validator));
        vm.prank(makeAddr("passer-by"));
        assertEq(validator.validate(uint256(modelId), COMMITMENT, output, proof), requestHash);
        (address by, uint256 of_, uint8 response,, string memory tag,) = validations.getValidationStatus(requestHash);
        assertEq(by, address(validator));
        assertEq(of_, agentId);
        assertEq(response, 100);
        assertEq(tag, "zkml-inference");
        assertEq(address(validator.verifier()), address(verifier));
        assertEq(address(validator.validations()), address(validations));
    }

    function test_anotherInferenceIsNotAnswered() public {
        output = abi.encode(int256(43));
        _ask(address(validator));
        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        validator.validate(uint256(modelId), COMMITMENT, output, proof);
        (uint64 count,) = validations.getSummary(agentId, new address[](0), "");
        assertEq(count, 0);
    }

    function test_onlyRequestsThatNameTheValidator() public {
        bytes32 requestHash = validator.requestHashOf(uint256(modelId), COMMITMENT, output, proof);
        vm.expectRevert(abi.encodeWithSelector(IAgentValidationRegistry.UnknownRequest.selector, requestHash));
        validator.validate(uint256(modelId), COMMITMENT, output, proof);
        _ask(makeAddr("another validator"));
        vm.expectRevert(
            abi.encodeWithSelector(IAgentValidationRegistry.NotValidator.selector, requestHash, address(validator))
        );
        validator.validate(uint256(modelId), COMMITMENT, output, proof);
    }

    function _ask(address of_) private returns (bytes32 requestHash) {
        requestHash = validator.requestHashOf(uint256(modelId), COMMITMENT, output, proof);
        vm.prank(operator);
        validations.validationRequest(of_, agentId, "ipfs://payload", requestHash);
    }
}
