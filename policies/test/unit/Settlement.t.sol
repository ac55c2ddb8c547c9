// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {ICarePool} from "../../src/interfaces/ICarePool.sol";
import {OracleRegistry} from "../../src/registries/OracleRegistry.sol";
import {CareCoordinator} from "../../src/settlement/CareCoordinator.sol";
import {CarePool} from "../../src/settlement/CarePool.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice A trigger ends in exactly one of two ways: a credentialed provider is paid, or the benefit is freed.
contract SettlementTest is CareFixture {
    bytes32 private triggerId;

    function setUp() public {
        setUpCare();
        triggerId = coordinator.trigger(goodRequest());
    }

    // ---------------------------------------------------------------- fulfil

    function test_fulfilPaysTheProvider() public {
        uint256 funded = token.balanceOf(address(pool));
        bytes memory attendance = _attendance();
        vm.expectEmit(address(coordinator));
        emit ICareCoordinator.CareFulfilled(triggerId, provider, BENEFIT);
        vm.prank(makeAddr("relayer"));
        coordinator.fulfil(triggerId, provider, attendance);

        assertEq(token.balanceOf(provider), BENEFIT);
        assertEq(token.balanceOf(address(pool)), funded - BENEFIT);
        assertEq(pool.reserved(), 0);
        assertEq(uint8(coordinator.triggerOf(triggerId).status), uint8(ICareCoordinator.Status.Fulfilled));
    }

    function test_fulfilHoldsThroughTheDeadline() public {
        bytes memory attendance = _attendance();
        uint64 deadline = coordinator.triggerOf(triggerId).deadline;
        vm.warp(deadline + 1);
        _refuses(abi.encodeWithSelector(ICareCoordinator.DeadlinePassed.selector, triggerId, deadline), attendance);
        vm.warp(deadline);
        coordinator.fulfil(triggerId, provider, attendance);
    }

    function test_fulfilAfterTheMandateWasRevoked() public {
        mandates.revoke(mandateId, sign(patient, mandates.revocationDigest(mandateId)));
        coordinator.fulfil(triggerId, provider, _attendance());
    }

    function test_refusesToPayTwice() public {
        bytes memory attendance = _attendance();
        coordinator.fulfil(triggerId, provider, attendance);
        _refuses(_notOpen(triggerId, ICareCoordinator.Status.Fulfilled), attendance);
    }

    function test_refusesUnknownTrigger() public {
        vm.expectRevert(_notOpen(bytes32(0), ICareCoordinator.Status.Unknown));
        coordinator.fulfil(bytes32(0), provider, "");
    }

    function test_refusesProviderWithoutCredential() public {
        address quack = makeAddr("quack");
        bytes memory attendance = sign(patient, coordinator.attendanceDigest(triggerId, quack));
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.ProviderNotCredentialed.selector, quack));
        coordinator.fulfil(triggerId, quack, attendance);
    }

    function test_refusesProviderWhoseCredentialWasRevoked() public {
        bytes memory attendance = _attendance();
        vm.prank(issuer.addr);
        credentials.revokeCredential(provider);
        _refuses(abi.encodeWithSelector(ICareCoordinator.ProviderNotCredentialed.selector, provider), attendance);
    }

    function test_refusesAttendanceSignedByAnother() public {
        bytes memory attendance = sign(oracle, coordinator.attendanceDigest(triggerId, provider));
        _refuses(abi.encodeWithSelector(ICareCoordinator.BadAttendanceSignature.selector, triggerId), attendance);
    }

    function test_refusesAttendanceForAnotherProvider() public {
        bytes memory attendance = sign(patient, coordinator.attendanceDigest(triggerId, makeAddr("other")));
        _refuses(abi.encodeWithSelector(ICareCoordinator.BadAttendanceSignature.selector, triggerId), attendance);
    }

    // ---------------------------------------------------------------- lapse

    function test_lapseFreesTheBenefit() public {
        uint256 free = pool.available();
        skip(FULFIL_WITHIN + 1);
        vm.expectEmit(address(coordinator));
        emit ICareCoordinator.CareLapsed(triggerId, BENEFIT);
        coordinator.lapse(triggerId);
        assertEq(pool.available(), free + BENEFIT);
        assertEq(pool.reserved(), 0);
    }

    function test_refusesToLapseBeforeTheDeadlineIsOver() public {
        uint64 deadline = coordinator.triggerOf(triggerId).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.DeadlineNotReached.selector, triggerId, deadline));
        coordinator.lapse(triggerId);
    }

    function test_refusesToLapseTwice() public {
        skip(FULFIL_WITHIN + 1);
        coordinator.lapse(triggerId);
        vm.expectRevert(_notOpen(triggerId, ICareCoordinator.Status.Lapsed));
        coordinator.lapse(triggerId);
    }

    function test_lapseDoesNotFreeTheNullifier() public {
        skip(FULFIL_WITHIN + 1);
        coordinator.lapse(triggerId);
        assertTrue(coordinator.nullifierUsed(triggerId));
    }

    // ---------------------------------------------------------------- pool

    function test_onlyTheCoordinatorMovesBenefits() public {
        bytes memory refused = abi.encodeWithSelector(ICarePool.NotCoordinator.selector, address(this));
        vm.expectRevert(refused);
        pool.reserve(1);
        vm.expectRevert(refused);
        pool.release(1);
        vm.expectRevert(refused);
        pool.pay(address(this), 1);
    }

    function test_poolRefusesMoreThanIsReserved() public {
        bytes memory refused =
            abi.encodeWithSelector(ICarePool.ReservationExceeded.selector, uint256(BENEFIT), uint256(BENEFIT) + 1);
        vm.startPrank(address(coordinator));
        vm.expectRevert(refused);
        pool.release(uint256(BENEFIT) + 1);
        vm.expectRevert(refused);
        pool.pay(provider, uint256(BENEFIT) + 1);
    }

    function testFuzz_surplusIsWhatIsNotReserved(uint256 amount) public {
        uint256 free = pool.available();
        vm.startPrank(address(timelock));
        amount = bound(amount, free + 1, type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(ICarePool.InsufficientFunds.selector, free, amount));
        pool.withdrawSurplus(treasury, amount);
        pool.withdrawSurplus(treasury, free);
        assertEq(token.balanceOf(address(pool)), pool.reserved());
    }

    function test_onlyTheTimelockTakesSurplus() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        pool.withdrawSurplus(address(this), 1);
    }

    function test_poolRefusesZeroAddresses() public {
        vm.expectRevert(ICarePool.InvalidPoolArgument.selector);
        new CarePool(token, address(0), address(timelock), EXIT_DELAY);
    }

    function test_coordinatorRefusesTheOraclesOfAnother() public {
        ICareCoordinator.Wiring memory wiring = coordinator.wiring();
        vm.expectRevert(
            abi.encodeWithSelector(ICareCoordinator.OraclesNotOurs.selector, address(oracles), address(coordinator))
        );
        new CareCoordinator(wiring);
    }

    function test_coordinatorRefusesThePoolOfAnotherWithItsOwnOracles() public {
        ICareCoordinator.Wiring memory wiring = coordinator.wiring();
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        wiring.oracles = new OracleRegistry(token, next, oracleRules(), address(timelock), guardian);
        vm.expectRevert(
            abi.encodeWithSelector(ICareCoordinator.PoolNotOurs.selector, address(pool), address(coordinator))
        );
        new CareCoordinator(wiring);
    }

    function _attendance() private returns (bytes memory) {
        return sign(patient, coordinator.attendanceDigest(triggerId, provider));
    }

    function _refuses(bytes memory reason, bytes memory attendance) private {
        vm.expectRevert(reason);
        coordinator.fulfil(triggerId, provider, attendance);
    }

    function _notOpen(bytes32 id, ICareCoordinator.Status status) private pure returns (bytes memory) {
        return abi.encodeWithSelector(ICareCoordinator.TriggerNotOpen.selector, id, status);
    }
}
