// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice Attacks on governance.
contract PowerAttacks is CareFixture {
    string private constant DESCRIPTION = "hand the policies over";

    address private attacker = makeAddr("attacker");
    address private member = makeAddr("member");
    address[] private targets;
    uint256[] private values = [0];
    bytes[] private calls;

    function setUp() public {
        setUpCare();
        vm.startPrank(treasury);
        token.delegate(treasury);
        assertTrue(token.transfer(member, SUPPLY / 10));
        vm.stopPrank();
        vm.prank(member);
        token.delegate(member);
        skip(1);
        targets = [address(policies)];
        calls = [abi.encodeCall(policies.setGuardian, (attacker))];
    }

    /// Half of the supply, borrowed for one transaction: it can neither propose nor vote, since both count what was held
    /// before.
    function test_flashLoanedVotes() public {
        vm.prank(member);
        uint256 proposalId = governor.propose(targets, values, calls, DESCRIPTION);
        skip(governor.votingDelay() + 1);
        uint256 half = SUPPLY / 2;
        vm.prank(treasury);
        assertTrue(token.transfer(attacker, half));
        vm.startPrank(attacker);
        token.delegate(attacker);
        assertEq(token.getVotes(attacker), half);
        assertEq(governor.castVote(proposalId, 1), 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                IGovernor.GovernorInsufficientProposerVotes.selector, attacker, 0, governor.proposalThreshold()
            )
        );
        governor.propose(targets, values, calls, "my own");
        assertTrue(token.transfer(treasury, half));
        vm.stopPrank();
        (, uint256 votesFor,) = governor.proposalVotes(proposalId);
        assertEq(votesFor, 0);
    }

    /// Below the threshold nobody proposes; above it a proposal is made once, and the guardian sweeps what is left.
    function test_proposalSpam() public {
        uint256 threshold = governor.proposalThreshold();
        vm.prank(treasury);
        assertTrue(token.transfer(attacker, threshold - 1));
        vm.startPrank(attacker);
        token.delegate(attacker);
        skip(1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IGovernor.GovernorInsufficientProposerVotes.selector, attacker, threshold - 1, threshold
            )
        );
        governor.propose(targets, values, calls, DESCRIPTION);
        vm.stopPrank();

        vm.startPrank(member);
        uint256 first = governor.propose(targets, values, calls, DESCRIPTION);
        vm.expectRevert();
        governor.propose(targets, values, calls, DESCRIPTION);
        vm.stopPrank();
        for (uint256 i = 0; i < 20; ++i) {
            vm.prank(member);
            uint256 spam = governor.propose(targets, values, calls, vm.toString(i));
            vm.prank(guardian);
            governor.cancel(targets, values, calls, keccak256(bytes(vm.toString(i))));
            assertEq(uint8(governor.state(spam)), uint8(IGovernor.ProposalState.Canceled));
        }
        assertEq(uint8(governor.state(first)), uint8(IGovernor.ProposalState.Pending));
    }

    /// Around the vote, around the delay, around the roles: every way to the registries but the whole one is closed.
    function test_timelockByPass() public {
        bytes32 proposer = timelock.PROPOSER_ROLE();
        vm.startPrank(attacker);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, attacker));
        policies.setGuardian(attacker);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, attacker, proposer)
        );
        timelock.schedule(address(policies), 0, calls[0], 0, 0, TIMELOCK_DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, attacker, bytes32(0))
        );
        timelock.grantRole(proposer, attacker);
        vm.expectRevert(abi.encodeWithSelector(TimelockController.TimelockUnauthorizedCaller.selector, attacker));
        timelock.updateDelay(0);
        vm.expectRevert();
        timelock.execute(address(policies), 0, calls[0], 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IGovernor.GovernorOnlyExecutor.selector, attacker));
        governor.relay(address(policies), 0, calls[0]);
        vm.stopPrank();

        vm.prank(member);
        uint256 proposalId = governor.propose(targets, values, calls, DESCRIPTION);
        bytes32 hash = keccak256(bytes(DESCRIPTION));
        vm.expectRevert();
        governor.queue(targets, values, calls, hash);
        skip(governor.votingDelay() + 1);
        vm.prank(member);
        governor.castVote(proposalId, 1);
        vm.expectRevert();
        governor.execute(targets, values, calls, hash);
        skip(governor.votingPeriod());
        governor.queue(targets, values, calls, hash);
        skip(TIMELOCK_DELAY - 1);
        vm.expectRevert();
        governor.execute(targets, values, calls, hash);
        skip(1);
        governor.execute(targets, values, calls, hash);
        assertEq(policies.guardian(), attacker);
    }
}
