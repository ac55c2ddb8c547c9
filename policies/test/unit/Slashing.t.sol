// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IOracleRegistry} from "../../src/interfaces/IOracleRegistry.sol";
import {OracleRegistry} from "../../src/registries/OracleRegistry.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice An oracle is rewarded for attestations that started care, and loses its bond for two that cannot both be honest.
contract SlashingTest is CareFixture {
    uint128 private constant REWARD = 3 ether;

    address private reporter = makeAddr("reporter");

    function setUp() public {
        setUpCare();
    }

    // ---------------------------------------------------------------- slashing

    function test_equivocationCostsTheBond() public {
        coordinator.trigger(goodRequest());
        IOracleRegistry.Equivocation memory evidence_ = _equivocation();
        uint128 share = MINIMUM_BOND * REPORTER_SHARE_BPS / 10_000;
        vm.expectEmit(address(oracles));
        emit IOracleRegistry.OracleSlashed(oracle.addr, reporter, MINIMUM_BOND, share);
        vm.prank(reporter);
        oracles.slash(evidence_);

        assertEq(token.balanceOf(reporter), share);
        assertEq(oracles.rewardBudget(), MINIMUM_BOND - share);
        IOracleRegistry.Oracle memory record = oracles.oracleOf(oracle.addr);
        assertEq(uint8(record.status), uint8(IOracleRegistry.Status.Jailed));
        assertEq(record.bond, 0);
        assertEq(record.accepted, 0);
        assertFalse(oracles.isActive(oracle.addr));
    }

    function test_slashedOncePerWindow() public {
        IOracleRegistry.Equivocation memory evidence_ = _equivocation();
        oracles.slash(evidence_);
        vm.expectRevert(_wrongStatus(IOracleRegistry.Status.Jailed));
        oracles.slash(evidence_);

        skip(JAIL);
        vm.prank(address(timelock));
        oracles.reinstateOracle(oracle.addr);
        vm.prank(treasury);
        oracles.payBond(oracle.addr, MINIMUM_BOND);
        vm.expectRevert(
            abi.encodeWithSelector(
                IOracleRegistry.AlreadySlashed.selector, oracle.addr, evidence_.mandateId, evidence_.windowEnd
            )
        );
        oracles.slash(evidence_);
        ++evidence_.windowEnd;
        _resign(evidence_);
        oracles.slash(evidence_);
    }

    function test_jailIsLongerThanAVote() public {
        oracles.slash(_equivocation());
        uint64 until = uint64(block.timestamp) + JAIL;
        vm.startPrank(address(timelock));
        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(IOracleRegistry.OracleInJail.selector, oracle.addr, until));
        oracles.reinstateOracle(oracle.addr);
        vm.expectRevert(_wrongStatus(IOracleRegistry.Status.Jailed));
        oracles.removeOracle(oracle.addr);
        vm.expectRevert(_wrongStatus(IOracleRegistry.Status.Jailed));
        oracles.admitOracle(oracle.addr);
        vm.warp(until);
        oracles.reinstateOracle(oracle.addr);
        assertFalse(oracles.isActive(oracle.addr));
    }

    function test_whoLeftIsStillHeldToWhatItSigned() public {
        vm.prank(oracle.addr);
        oracles.unbond();
        skip(UNBONDING - 1);
        oracles.slash(_equivocation());
        skip(1);
        vm.prank(oracle.addr);
        vm.expectRevert(_wrongStatus(IOracleRegistry.Status.Jailed));
        oracles.withdrawBond();
    }

    function test_refusesWhatIsNoEquivocation() public {
        bytes memory refused = abi.encodeWithSelector(IOracleRegistry.NoEquivocation.selector, oracle.addr);
        IOracleRegistry.Equivocation memory bad = _equivocation();
        bad.secondCommitment = bad.firstCommitment;
        bad.secondSignature = bad.firstSignature;
        vm.expectRevert(refused);
        oracles.slash(bad);
        bad = _equivocation();
        bad.windowEnd += 1;
        vm.expectRevert(refused);
        oracles.slash(bad);
        bad = _equivocation();
        bad.secondSignature = sign(
            patient, coordinator.attestationDigest(bad.mandateId, bad.windowEnd, bad.schema, bad.secondCommitment)
        );
        vm.expectRevert(refused);
        oracles.slash(bad);
        bad = _equivocation();
        bad.firstSignature = "";
        vm.expectRevert(refused);
        oracles.slash(bad);
    }

    // ---------------------------------------------------------------- leaving

    function test_anOracleLeavesByItself() public {
        vm.prank(oracle.addr);
        oracles.unbond();
        assertFalse(oracles.isActive(oracle.addr));
        skip(UNBONDING);
        vm.prank(oracle.addr);
        oracles.withdrawBond();
        assertEq(token.balanceOf(oracle.addr), MINIMUM_BOND);
        vm.expectRevert(
            abi.encodeWithSelector(
                IOracleRegistry.WrongOracleStatus.selector, address(this), IOracleRegistry.Status.Unknown
            )
        );
        oracles.unbond();
    }

    // ---------------------------------------------------------------- rewards

    function test_acceptedAttestationsAreRewarded() public {
        _fundRewards(10 * REWARD);
        coordinator.trigger(goodRequest());
        skip(COOL_DOWN);
        coordinator.trigger(goodRequest());
        assertEq(oracles.oracleOf(oracle.addr).accepted, 2);
        vm.expectEmit(address(oracles));
        emit IOracleRegistry.RewardPaid(oracle.addr, 2, 2 * REWARD);
        oracles.claimReward(oracle.addr);
        assertEq(token.balanceOf(oracle.addr), 2 * REWARD);
        assertEq(oracles.rewardBudget(), 8 * REWARD);
        oracles.claimReward(oracle.addr);
        assertEq(token.balanceOf(oracle.addr), 2 * REWARD);
    }

    function test_whatTheBudgetDoesNotReachStaysClaimable() public {
        _fundRewards(REWARD + 1);
        coordinator.trigger(goodRequest());
        skip(COOL_DOWN);
        coordinator.trigger(goodRequest());
        oracles.claimReward(oracle.addr);
        assertEq(token.balanceOf(oracle.addr), REWARD);
        assertEq(oracles.oracleOf(oracle.addr).accepted, 1);
        _fundRewards(REWARD);
        oracles.claimReward(oracle.addr);
        assertEq(token.balanceOf(oracle.addr), 2 * REWARD);
    }

    function test_theBudgetIsGovernances() public {
        _fundRewards(REWARD);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        oracles.withdrawRewards(address(this), 1);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        oracles.setReward(1);
        vm.startPrank(address(timelock));
        vm.expectRevert(abi.encodeWithSelector(IOracleRegistry.BudgetExceeded.selector, REWARD, REWARD + 1));
        oracles.withdrawRewards(reporter, REWARD + 1);
        oracles.withdrawRewards(reporter, REWARD);
        assertEq(token.balanceOf(reporter), REWARD);
        oracles.setReward(0);
        vm.expectRevert(IOracleRegistry.InvalidOracleArgument.selector);
        oracles.claimReward(oracle.addr);
    }

    function test_onlyTheCoordinatorCountsAttestations() public {
        vm.expectRevert(abi.encodeWithSelector(IOracleRegistry.NotCoordinator.selector, address(this)));
        oracles.recordAccepted(oracle.addr);
    }

    function test_refusesAShareAboveTheWhole() public {
        IOracleRegistry.Rules memory rules = oracleRules();
        rules.reporterShareBps = 10_001;
        vm.expectRevert(IOracleRegistry.InvalidOracleArgument.selector);
        new OracleRegistry(token, address(coordinator), rules, address(timelock), guardian);
        rules.reporterShareBps = 10_000;
        new OracleRegistry(token, address(coordinator), rules, address(timelock), guardian);
        vm.expectRevert(IOracleRegistry.InvalidOracleArgument.selector);
        new OracleRegistry(token, address(0), rules, address(timelock), guardian);
    }

    // ---------------------------------------------------------------- steps

    function _equivocation() private returns (IOracleRegistry.Equivocation memory evidence_) {
        evidence_.oracle = oracle.addr;
        evidence_.mandateId = mandateId;
        evidence_.windowEnd = uint64(block.timestamp);
        evidence_.schema = SCHEMA;
        evidence_.firstCommitment = bytes32(uint256(1));
        evidence_.secondCommitment = bytes32(uint256(2));
        _resign(evidence_);
    }

    function _resign(IOracleRegistry.Equivocation memory evidence_) private {
        (bytes32 id, uint64 end, bytes32 schema) = (evidence_.mandateId, evidence_.windowEnd, evidence_.schema);
        evidence_.firstSignature =
            sign(oracle, coordinator.attestationDigest(id, end, schema, evidence_.firstCommitment));
        evidence_.secondSignature =
            sign(oracle, coordinator.attestationDigest(id, end, schema, evidence_.secondCommitment));
    }

    function _fundRewards(uint128 amount) private {
        vm.prank(address(timelock));
        oracles.setReward(REWARD);
        vm.prank(treasury);
        oracles.fundRewards(amount);
    }

    function _wrongStatus(IOracleRegistry.Status status) private view returns (bytes memory) {
        return abi.encodeWithSelector(IOracleRegistry.WrongOracleStatus.selector, oracle.addr, status);
    }
}
