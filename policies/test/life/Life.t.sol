// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {IERCZKMLVerifier} from "../../src/interfaces/IERCZKMLVerifier.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IOracleRegistry} from "../../src/interfaces/IOracleRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {RealProof} from "../support/RealProof.sol";

/// @notice The whole life with the generated verifier and a real proof: deploy, distribute, delegate, propose, vote, queue,
/// execute, mandate, trigger, fulfil, paid; and the ways it may go instead: lapse, dispute, revoke, suspend, slash. Nothing
/// is done as the timelock: whatever governance decides goes through a vote.
contract LifeTest is RealProof {
    Vm.Wallet private holder = vm.createWallet("mandate key");
    address private voter = makeAddr("voter");

    address[] private targets;
    uint256[] private values;
    bytes[] private calls;

    function setUp() public {
        loadProof();
        deploy();
        _distribute();
        _approveByVote();
        issue(credentialOf(provider, "licence and salt", uint64(block.timestamp + 365 days)));
        _payIn();
        mandateId = grantMandate(holder, policyId, oracle.addr);
    }

    // ---------------------------------------------------------------- the ways it goes

    function test_paid() public {
        bytes32 triggerId = coordinator.trigger(realRequest());
        assertEq(pool.reserved(), BENEFIT);
        coordinator.fulfil(triggerId, provider, sign(holder, coordinator.attendanceDigest(triggerId, provider)));
        assertEq(token.balanceOf(provider), BENEFIT);
        assertEq(pool.reserved(), 0);
        assertEq(oracles.oracleOf(oracle.addr).accepted, 1);
    }

    function test_lapsed() public {
        uint256 free = pool.available();
        bytes32 triggerId = coordinator.trigger(realRequest());
        skip(FULFIL_WITHIN + 1);
        coordinator.lapse(triggerId);
        assertEq(pool.available(), free);
        bytes memory late = sign(holder, coordinator.attendanceDigest(triggerId, provider));
        vm.expectRevert();
        coordinator.fulfil(triggerId, provider, late);
    }

    function test_disputed() public {
        bytes32 triggerId = coordinator.trigger(realRequest());
        vm.prank(provider);
        coordinator.dispute(triggerId, keccak256("visit record and salt"));
        vm.prank(arbiter);
        coordinator.resolve(triggerId, true);
        assertEq(token.balanceOf(provider), BENEFIT);
    }

    function test_revoked() public {
        ICareCoordinator.TriggerRequest memory request_ = realRequest();
        mandates.revoke(mandateId, sign(holder, mandates.revocationDigest(mandateId)));
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.MandateNotLive.selector, mandateId));
        coordinator.trigger(request_);
    }

    /// The guardian stops the model at once; what it takes to start it again is a vote.
    function test_suspended() public {
        vm.prank(guardian);
        models.suspendModel(modelId);
        ICareCoordinator.TriggerRequest memory request_ = realRequest();
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.ModelNotActive.selector, modelId));
        coordinator.trigger(request_);
        delete targets;
        delete values;
        delete calls;
        _add(address(models), abi.encodeCall(models.reinstateModel, (modelId)));
        _decide("Put the model back into service");
        coordinator.trigger(realRequest());
    }

    function test_slashed() public {
        ICareCoordinator.TriggerRequest memory first = realRequest();
        IOracleRegistry.Equivocation memory shown;
        (shown.oracle, shown.mandateId, shown.windowEnd, shown.schema) =
        (oracle.addr, mandateId, first.windowEnd, SCHEMA);
        (shown.firstCommitment, shown.firstSignature) = (commitment, first.oracleSignature);
        shown.secondCommitment = bytes32(uint256(commitment) ^ 1);
        shown.secondSignature =
            sign(oracle, coordinator.attestationDigest(mandateId, first.windowEnd, SCHEMA, shown.secondCommitment));
        address reporter = makeAddr("reporter");
        vm.prank(reporter);
        oracles.slash(shown);
        assertEq(token.balanceOf(reporter), MINIMUM_BOND * REPORTER_SHARE_BPS / 10_000);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.OracleNotActive.selector, oracle.addr));
        coordinator.trigger(first);
    }

    /// An agent has its inference validated by a contract that trusts nobody; a forged one stays unanswered.
    function test_validated() public {
        address operator = makeAddr("operator of a prover");
        vm.startPrank(operator);
        uint256 agentId = agents.register("https://prover.example/agent.json");
        bytes memory output = abi.encode(score);
        bytes32 asked = validator.requestHashOf(uint256(modelId), commitment, output, proof);
        validations.validationRequest(address(validator), agentId, "https://prover.example/payload", asked);
        bytes memory forged = abi.encode(score + 1);
        bytes32 askedForged = validator.requestHashOf(uint256(modelId), commitment, forged, proof);
        validations.validationRequest(address(validator), agentId, "https://prover.example/forged", askedForged);
        vm.stopPrank();
        validator.validate(uint256(modelId), commitment, output, proof);
        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        validator.validate(uint256(modelId), commitment, forged, proof);
        (,, uint8 response,,,) = validations.getValidationStatus(asked);
        assertEq(response, 100);
        address[] memory trusted = new address[](1);
        trusted[0] = address(validator);
        (uint64 count, uint8 average) = validations.getSummary(agentId, trusted, "");
        assertEq(count, 1);
        assertEq(average, 100);
    }

    // ---------------------------------------------------------------- how it starts

    function _distribute() private {
        vm.prank(treasury);
        assertTrue(token.transfer(voter, SUPPLY / 10));
        vm.prank(voter);
        token.delegate(voter);
        skip(1);
    }

    function _approveByVote() private {
        IModelRegistry.ServiceBinding memory binding = bindingTo(deployVerifier());
        binding.proofLength = uint32(proof.length);
        modelId = models.modelIdOf(commitmentOf("generated"));
        IPolicyRegistry.Terms memory wanted = terms();
        wanted.threshold = score;
        policyId = policies.policyIdOf(wanted);
        _add(
            address(models),
            abi.encodeCall(models.approveModel, (commitmentOf("generated"), binding, evidence(), changeControl()))
        );
        _add(address(policies), abi.encodeCall(policies.approvePolicy, (wanted)));
        _add(address(oracles), abi.encodeCall(oracles.admitOracle, (oracle.addr)));
        _add(address(credentials), abi.encodeCall(credentials.addIssuer, (issuer.addr)));
        _decide("Approve the model, its policy, an oracle and an issuer");
        assertTrue(models.isActive(modelId) && policies.isActive(policyId) && credentials.isIssuer(issuer.addr));
    }

    function _payIn() private {
        vm.startPrank(treasury);
        token.approve(address(oracles), MINIMUM_BOND);
        oracles.payBond(oracle.addr, MINIMUM_BOND);
        token.approve(address(pool), 20 * uint256(BENEFIT));
        pool.fund(20 * uint256(BENEFIT));
        vm.stopPrank();
    }

    function _add(address target, bytes memory data) private {
        targets.push(target);
        values.push(0);
        calls.push(data);
    }

    /// Propose, vote, queue, wait, execute.
    function _decide(string memory description) private {
        vm.prank(voter);
        uint256 proposalId = governor.propose(targets, values, calls, description);
        skip(governor.votingDelay() + 1);
        vm.prank(voter);
        governor.castVote(proposalId, 1);
        skip(governor.votingPeriod());
        governor.queue(targets, values, calls, keccak256(bytes(description)));
        skip(TIMELOCK_DELAY);
        governor.execute(targets, values, calls, keccak256(bytes(description)));
    }
}
