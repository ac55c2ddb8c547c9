// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {Test} from "forge-std/Test.sol";
import {IAgentValidationRegistry} from "../../src/interfaces/IAgentValidationRegistry.sol";
import {IERC8004ValidationRegistry} from "../../src/interfaces/IERC8004ValidationRegistry.sol";
import {AgentIdentityRegistry} from "../../src/registries/AgentIdentityRegistry.sol";
import {AgentValidationRegistry} from "../../src/verification/AgentValidationRegistry.sol";

/// @notice Who may ask and who may answer, and what stands there then.
contract AgentValidationTest is Test {
    bytes32 private constant REQUEST = keccak256("payload");

    address private owner = makeAddr("owner");
    address private validator = makeAddr("validator");
    address private second = makeAddr("second validator");

    AgentIdentityRegistry private agents = new AgentIdentityRegistry();
    AgentValidationRegistry private validations = new AgentValidationRegistry(agents);
    uint256 private agentId;

    function setUp() public {
        vm.warp(1_790_000_000);
        vm.prank(owner);
        agentId = agents.register("https://prover.example/agent.json");
    }

    // ---------------------------------------------------------------- asking

    function test_theOwnerAsks() public {
        vm.expectEmit(address(validations));
        emit IERC8004ValidationRegistry.ValidationRequest(validator, agentId, "ipfs://payload", REQUEST);
        _ask(validator, REQUEST);
        (address by, uint256 of_, uint8 response, bytes32 evidence, string memory tag, uint256 updated) =
            validations.getValidationStatus(REQUEST);
        assertEq(by, validator);
        assertEq(of_, agentId);
        assertEq(response, 0);
        assertEq(evidence, 0);
        assertEq(tag, "");
        assertEq(updated, block.timestamp);
        assertEq(validations.getAgentValidations(agentId).length, 1);
        assertEq(validations.getValidatorRequests(validator)[0], REQUEST);
        assertEq(validations.getIdentityRegistry(), address(agents));
    }

    function test_operatorsAsk() public {
        vm.startPrank(owner);
        agents.approve(second, agentId);
        agents.setApprovalForAll(validator, true);
        vm.stopPrank();
        vm.prank(second);
        validations.validationRequest(validator, agentId, "", REQUEST);
        vm.prank(validator);
        validations.validationRequest(validator, agentId, "", keccak256("another"));
        assertEq(validations.getAgentValidations(agentId).length, 2);
    }

    function test_strangersDoNot() public {
        vm.prank(second);
        vm.expectRevert(abi.encodeWithSelector(IAgentValidationRegistry.NotAgentOperator.selector, agentId, second));
        validations.validationRequest(validator, agentId, "", REQUEST);
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 99));
        validations.validationRequest(validator, 99, "", REQUEST);
        vm.prank(owner);
        vm.expectRevert(IAgentValidationRegistry.NoValidator.selector);
        validations.validationRequest(address(0), agentId, "", REQUEST);
    }

    function test_aHashIsAskedForOnce() public {
        _ask(validator, REQUEST);
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(IAgentValidationRegistry.RequestExists.selector, REQUEST));
        validations.validationRequest(second, agentId, "", REQUEST);
    }

    // ---------------------------------------------------------------- answering

    function test_theNamedOneAnswers() public {
        _ask(validator, REQUEST);
        skip(1 hours);
        vm.expectEmit(address(validations));
        emit IERC8004ValidationRegistry.ValidationResponse(
            validator, agentId, REQUEST, 40, "ipfs://evidence", keccak256("evidence"), "soft"
        );
        vm.prank(validator);
        validations.validationResponse(REQUEST, 40, "ipfs://evidence", keccak256("evidence"), "soft");
        (,, uint8 response, bytes32 evidence, string memory tag, uint256 updated) =
            validations.getValidationStatus(REQUEST);
        assertEq(response, 40);
        assertEq(evidence, keccak256("evidence"));
        assertEq(tag, "soft");
        assertEq(updated, block.timestamp);
        _answer(validator, REQUEST, 100, "hard");
        (,, response,, tag,) = validations.getValidationStatus(REQUEST);
        assertEq(response, 100);
        assertEq(tag, "hard");
    }

    function test_othersDoNot() public {
        vm.expectRevert(abi.encodeWithSelector(IAgentValidationRegistry.UnknownRequest.selector, REQUEST));
        validations.getValidationStatus(REQUEST);
        vm.expectRevert(abi.encodeWithSelector(IAgentValidationRegistry.UnknownRequest.selector, REQUEST));
        validations.validationResponse(REQUEST, 100, "", 0, "");
        _ask(validator, REQUEST);
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(IAgentValidationRegistry.NotValidator.selector, REQUEST, owner));
        validations.validationResponse(REQUEST, 100, "", 0, "");
    }

    function testFuzz_anAnswerIsUpTo100(uint8 response) public {
        _ask(validator, REQUEST);
        vm.prank(validator);
        if (response > 100) {
            vm.expectRevert(abi.encodeWithSelector(IAgentValidationRegistry.ResponseOutOfRange.selector, response));
        }
        validations.validationResponse(REQUEST, response, "", 0, "");
        (,, uint8 stands,,,) = validations.getValidationStatus(REQUEST);
        assertEq(stands, response > 100 ? 0 : response);
    }

    // ---------------------------------------------------------------- summaries

    function test_aSummaryCountsWhatIsAnswered() public {
        _requireSummary(new address[](0), "", 0, 0);
        _ask(validator, REQUEST);
        _requireSummary(new address[](0), "", 0, 0);
        _answer(validator, REQUEST, 100, "zkml");
        _ask(second, keccak256("b"));
        _answer(second, keccak256("b"), 0, "zkml");
        _ask(second, keccak256("c"));
        _answer(second, keccak256("c"), 1, "re-run");
        _requireSummary(new address[](0), "", 3, 33);
        _requireSummary(new address[](0), "zkml", 2, 50);
        address[] memory trusted = new address[](1);
        trusted[0] = second;
        _requireSummary(trusted, "", 2, 0);
        _requireSummary(trusted, "re-run", 1, 1);
        _requireSummary(trusted, "unheard", 0, 0);
        trusted[0] = owner;
        _requireSummary(trusted, "", 0, 0);
    }

    function _requireSummary(address[] memory trusted, string memory tag, uint64 count, uint8 average) private view {
        (uint64 counted, uint8 mean) = validations.getSummary(agentId, trusted, tag);
        assertEq(counted, count);
        assertEq(mean, average);
    }

    function _ask(address of_, bytes32 request) private {
        vm.prank(owner);
        validations.validationRequest(of_, agentId, "ipfs://payload", request);
    }

    function _answer(address by, bytes32 request, uint8 response, string memory tag) private {
        vm.prank(by);
        validations.validationResponse(request, response, "", 0, tag);
    }
}
