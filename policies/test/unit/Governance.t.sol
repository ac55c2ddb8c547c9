// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERCZKMLRegistry} from "../../src/interfaces/IERCZKMLRegistry.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {Deployment} from "../support/Deployment.sol";
import {StandInVerifier} from "../support/StandInVerifier.sol";

/// @notice The one way into the registries: propose, vote, queue, wait, execute.
contract GovernanceTest is Deployment {
    string private constant DESCRIPTION = "Approve model v1 and the policy it serves";
    bytes32 private constant PROPOSER_ROLE = keccak256("PROPOSER_ROLE");
    bytes32 private constant EXECUTOR_ROLE = keccak256("EXECUTOR_ROLE");
    bytes32 private constant CANCELLER_ROLE = keccak256("CANCELLER_ROLE");

    address private member = makeAddr("member");
    address private minnow = makeAddr("minnow");

    address[] private targets;
    uint256[] private values;
    bytes[] private calls;
    bytes32 private modelId;
    bytes32 private policyId;

    function setUp() public {
        deploy();
        vm.startPrank(treasury);
        // The quorum is four per cent of the supply.
        assertTrue(token.transfer(member, SUPPLY * 5 / 100));
        assertTrue(token.transfer(minnow, SUPPLY * 1 / 100));
        vm.stopPrank();
        vm.prank(member);
        token.delegate(member);
        vm.prank(minnow);
        token.delegate(minnow);
        skip(1);
        _fillProposal();
    }

    function test_aProposalBecomesAModelAndAPolicy() public {
        uint256 proposalId = _propose(member);
        _vote(proposalId, member);
        governor.queue(targets, values, calls, keccak256(bytes(DESCRIPTION)));
        assertFalse(models.isActive(modelId));
        skip(TIMELOCK_DELAY);
        governor.execute(targets, values, calls, keccak256(bytes(DESCRIPTION)));
        assertTrue(models.isActive(modelId));
        assertTrue(policies.isActive(policyId));
        assertEq(uint8(governor.state(proposalId)), uint8(IGovernor.ProposalState.Executed));
    }

    function test_theTimelockHoldsWhatPassed() public {
        uint256 proposalId = _propose(member);
        _vote(proposalId, member);
        governor.queue(targets, values, calls, keccak256(bytes(DESCRIPTION)));
        skip(TIMELOCK_DELAY - 1);
        vm.expectRevert();
        governor.execute(targets, values, calls, keccak256(bytes(DESCRIPTION)));
    }

    function test_withoutAQuorumNothingHappens() public {
        uint256 proposalId = _propose(member);
        _vote(proposalId, minnow);
        assertEq(uint8(governor.state(proposalId)), uint8(IGovernor.ProposalState.Defeated));
    }

    function test_votesBorrowedAfterTheProposalDoNotCount() public {
        uint256 proposalId = _propose(member);
        skip(governor.votingDelay() + 1);
        address borrower = makeAddr("borrower");
        vm.prank(treasury);
        assertTrue(token.transfer(borrower, SUPPLY / 2));
        vm.startPrank(borrower);
        token.delegate(borrower);
        assertEq(governor.castVote(proposalId, 1), 0);
    }

    function test_aLateQuorumProlongsTheVote() public {
        uint256 proposalId = _propose(member);
        uint256 deadline = governor.proposalDeadline(proposalId);
        vm.warp(deadline - 1);
        vm.prank(member);
        governor.castVote(proposalId, 1);
        assertEq(governor.proposalDeadline(proposalId), deadline - 1 + governor.lateQuorumVoteExtension());
    }

    function test_theGuardianCancelsButDoesNotApprove() public {
        uint256 proposalId = _propose(member);
        _vote(proposalId, member);
        governor.queue(targets, values, calls, keccak256(bytes(DESCRIPTION)));
        vm.prank(guardian);
        governor.cancel(targets, values, calls, keccak256(bytes(DESCRIPTION)));
        assertEq(uint8(governor.state(proposalId)), uint8(IGovernor.ProposalState.Canceled));

        vm.prank(guardian);
        vm.expectRevert();
        governor.propose(targets, values, calls, "by the guardian");
    }

    function test_theDeployerHoldsNothing() public {
        address[3] memory accounts = [address(this), guardian, treasury];
        bytes32[4] memory roles = [bytes32(0), PROPOSER_ROLE, CANCELLER_ROLE, EXECUTOR_ROLE];
        for (uint256 i = 0; i < accounts.length; ++i) {
            for (uint256 j = 0; j < roles.length; ++j) {
                assertFalse(timelock.hasRole(roles[j], accounts[i]));
            }
        }
        assertTrue(timelock.hasRole(PROPOSER_ROLE, address(governor)));
        assertTrue(timelock.hasRole(EXECUTOR_ROLE, address(0)));
        assertTrue(timelock.hasRole(bytes32(0), address(timelock)));
        address[5] memory owners =
            [models.owner(), policies.owner(), oracles.owner(), credentials.owner(), pool.owner()];
        for (uint256 i = 0; i < owners.length; ++i) {
            assertEq(owners[i], address(timelock));
        }

        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, address(this), PROPOSER_ROLE
            )
        );
        timelock.schedule(address(models), 0, "", 0, 0, TIMELOCK_DELAY);
    }

    function testFuzz_votesAreTheSupplyDelegated(uint96 amount) public {
        address holder = makeAddr("holder");
        uint256 held = bound(amount, 0, token.balanceOf(treasury));
        vm.prank(treasury);
        assertTrue(token.transfer(holder, held));
        assertEq(token.getVotes(holder), 0);
        vm.prank(holder);
        token.delegate(member);
        assertEq(token.getVotes(member), token.balanceOf(member) + token.balanceOf(holder));
    }

    function test_theTokensClockIsInSeconds() public view {
        assertEq(token.CLOCK_MODE(), "mode=timestamp");
        assertEq(token.clock(), block.timestamp);
        assertEq(governor.clock(), block.timestamp);
        assertEq(governor.CLOCK_MODE(), "mode=timestamp");
    }

    /// ERC-2612: an allowance by signature, once.
    function test_permit() public {
        Vm.Wallet memory holder = vm.createWallet("permitting holder");
        bytes32 permit = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                holder.addr,
                member,
                7,
                token.nonces(holder.addr),
                block.timestamp
            )
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(holder, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), permit)));
        token.permit(holder.addr, member, 7, block.timestamp, v, r, s);
        assertEq(token.allowance(holder.addr, member), 7);
        vm.expectRevert();
        token.permit(holder.addr, member, 7, block.timestamp, v, r, s);
    }

    function test_everyProposalIsQueued() public {
        assertTrue(governor.proposalNeedsQueuing(_propose(member)));
    }

    // ---------------------------------------------------------------- steps

    function _fillProposal() private {
        IERCZKMLRegistry.ModelCommitment memory commitment = IERCZKMLRegistry.ModelCommitment({
            modelHash: keccak256("model"),
            circuitHash: keccak256("circuit"),
            vkHash: keccak256("vk"),
            proofSystemId: verifier.PROOF_SYSTEM_ID(),
            uri: "v1"
        });
        modelId = models.modelIdOf(commitment);
        IPolicyRegistry.Terms memory terms = IPolicyRegistry.Terms(
            modelId, 1200, keccak256("care"), 50 ether, 12 hours, 2 hours, 3 days, 10, 10, address(0), 0
        );
        policyId = policies.policyIdOf(terms);
        StandInVerifier standIn = new StandInVerifier("key");
        targets = [address(models), address(policies)];
        values = [0, 0];
        calls = [
            abi.encodeCall(
                models.approveModel,
                (
                    commitment,
                    IModelRegistry.ServiceBinding(keccak256("schema"), address(standIn), 2400),
                    IModelRegistry.Evidence(keccak256("card"), keccak256("fidelity"), keccak256("evaluation")),
                    IModelRegistry.ChangeControl("modification", "protocol", "impact")
                )
            ),
            abi.encodeCall(policies.approvePolicy, (terms))
        ];
    }

    function _propose(address proposer) private returns (uint256) {
        vm.prank(proposer);
        return governor.propose(targets, values, calls, DESCRIPTION);
    }

    function _vote(uint256 proposalId, address voter) private {
        skip(governor.votingDelay() + 1);
        vm.prank(voter);
        governor.castVote(proposalId, 1);
        skip(governor.votingPeriod() + 1);
    }
}
