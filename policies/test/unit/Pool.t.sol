// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {ICarePool} from "../../src/interfaces/ICarePool.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice Shares in the pool and the way out of it. The fixture's grant of twenty benefits is the timelock's.
contract PoolTest is CareFixture {
    uint256 private constant GRANT = 20 * uint256(BENEFIT);
    uint256 private constant STAKE = 1000 ether;

    address private funder = makeAddr("funder");

    function setUp() public {
        setUpCare();
        _deposit(funder, STAKE);
    }

    // ---------------------------------------------------------------- shares

    function test_grantsAreTheOwnersShares() public view {
        assertEq(pool.convertToAssets(pool.balanceOf(address(timelock))), GRANT);
        assertEq(pool.totalAssets(), GRANT + STAKE);
        assertEq(pool.convertToAssets(pool.balanceOf(funder)), STAKE);
        assertEq(pool.decimals(), 24);
    }

    function test_mintTakesWhatTheSharesCost() public {
        address second = makeAddr("second funder");
        vm.prank(treasury);
        assertTrue(token.transfer(second, STAKE));
        vm.startPrank(second);
        token.approve(address(pool), STAKE);
        uint256 assets = pool.mint(5e24, second);
        assertEq(assets, 5 ether);
        assertEq(pool.balanceOf(second), 5e24);
    }

    function test_premiumsAndLossesAreEveryHolders() public {
        vm.prank(treasury);
        pool.payPremium(GRANT + STAKE);
        assertApproxEqAbs(pool.convertToAssets(pool.balanceOf(funder)), 2 * STAKE, 1);
        bytes32 triggerId = coordinator.trigger(goodRequest());
        assertApproxEqAbs(pool.convertToAssets(pool.balanceOf(funder)), 2 * STAKE, 1);
        coordinator.fulfil(triggerId, provider, sign(patient, coordinator.attendanceDigest(triggerId, provider)));
        assertEq(pool.totalAssets(), 2 * (GRANT + STAKE) - BENEFIT);
        assertLt(pool.convertToAssets(pool.balanceOf(funder)), 2 * STAKE);
    }

    function test_aPremiumBeforeTheFirstShareIsTheOwners() public {
        deploy();
        vm.startPrank(treasury);
        token.approve(address(pool), STAKE);
        pool.payPremium(STAKE);
        assertEq(pool.convertToAssets(pool.balanceOf(address(timelock))), STAKE);
    }

    function test_withdrawAndRedeemAreClosed() public {
        assertEq(pool.maxWithdraw(funder), 0);
        assertEq(pool.maxRedeem(funder), 0);
        vm.startPrank(funder);
        vm.expectRevert(abi.encodeWithSelector(ERC4626.ERC4626ExceededMaxWithdraw.selector, funder, 1, 0));
        pool.withdraw(1, funder, funder);
        vm.expectRevert(abi.encodeWithSelector(ERC4626.ERC4626ExceededMaxRedeem.selector, funder, 1, 0));
        pool.redeem(1, funder, funder);
    }

    // ---------------------------------------------------------------- leaving

    function test_whoLeavesIsPaidAfterTheDelay() public {
        uint256 exitId = _requestExit(funder, pool.balanceOf(funder));
        skip(EXIT_DELAY - 1);
        pool.serveExits(10);
        assertEq(pool.owed(), 0);
        skip(1);
        vm.expectEmit(address(pool));
        emit ICarePool.ExitServed(exitId, funder, STAKE * 1e6, STAKE);
        pool.serveExits(10);
        assertEq(pool.owedTo(funder), STAKE);
        assertEq(pool.owed(), STAKE);
        assertEq(pool.totalAssets(), GRANT);
        pool.payOwed(funder);
        assertEq(token.balanceOf(funder), STAKE);
        pool.payOwed(funder);
        assertEq(token.balanceOf(funder), STAKE);
        assertEq(pool.owed(), 0);
    }

    /// Who asks to leave after a trigger bears its benefit like everybody else.
    function test_nobodyLeavesBetweenATriggerAndItsPayment() public {
        bytes32 triggerId = coordinator.trigger(goodRequest());
        _requestExit(funder, pool.balanceOf(funder));
        skip(1 days);
        coordinator.fulfil(triggerId, provider, sign(patient, coordinator.attendanceDigest(triggerId, provider)));
        skip(EXIT_DELAY);
        pool.serveExits(1);
        assertApproxEqAbs(pool.owedTo(funder), STAKE * (GRANT + STAKE - BENEFIT) / (GRANT + STAKE), 1);
    }

    function test_theQueueStandsBehindReservedBenefits() public {
        vm.prank(address(timelock));
        pool.withdrawSurplus(treasury, GRANT);
        coordinator.trigger(goodRequest());
        _requestExit(funder, pool.balanceOf(funder));
        skip(EXIT_DELAY);
        pool.serveExits(10);
        // All but the reserved benefit, and the rest waits at the head of the queue.
        assertApproxEqAbs(pool.owedTo(funder), STAKE - BENEFIT, 1);
        assertLe(pool.available(), 1);
        (uint256 next, uint256 end) = pool.queue();
        assertEq(next, 0);
        assertEq(end, 1);
        assertGt(pool.exitOf(0).shares, 0);
        pool.serveExits(10);
        _lapse();
        pool.serveExits(10);
        (next,) = pool.queue();
        assertEq(next, 1);
        assertApproxEqAbs(pool.owedTo(funder), STAKE, 1);
    }

    function test_servedInTurnAndNoMoreThanAsked() public {
        address second = makeAddr("second funder");
        _deposit(second, STAKE);
        _requestExit(funder, pool.balanceOf(funder));
        _requestExit(second, pool.balanceOf(second));
        skip(EXIT_DELAY);
        pool.serveExits(1);
        assertEq(pool.owedTo(funder), STAKE);
        assertEq(pool.owedTo(second), 0);
        pool.serveExits(1);
        assertEq(pool.owedTo(second), STAKE);
        assertEq(pool.exitOf(2).owner, address(0));
    }

    function test_whoStaysAfterAllGetsItsSharesBack() public {
        uint256 shares = pool.balanceOf(funder);
        uint256 exitId = _requestExit(funder, shares);
        _deposit(makeAddr("second funder"), STAKE);
        _requestExit(makeAddr("second funder"), 1e24);
        vm.expectRevert(abi.encodeWithSelector(ICarePool.NotExitOwner.selector, exitId, address(this)));
        pool.cancelExit(exitId);
        vm.expectRevert(abi.encodeWithSelector(ICarePool.NotExitOwner.selector, 7, address(this)));
        pool.cancelExit(7);
        vm.prank(funder);
        pool.cancelExit(exitId);
        assertEq(pool.balanceOf(funder), shares);
        skip(EXIT_DELAY);
        pool.serveExits(10);
        (uint256 next,) = pool.queue();
        assertEq(next, 2);
        assertEq(pool.owedTo(funder), 0);
        assertEq(pool.owedTo(makeAddr("second funder")), 1 ether);
    }

    function test_anExitNeedsShares() public {
        vm.expectRevert(ICarePool.InvalidPoolArgument.selector);
        pool.requestExit(0);
        vm.expectRevert();
        pool.requestExit(1);
    }

    // ---------------------------------------------------------------- surplus

    function test_surplusIsForTheOwnersShares() public {
        vm.startPrank(address(timelock));
        vm.expectRevert();
        pool.withdrawSurplus(treasury, GRANT + 1);
        pool.withdrawSurplus(treasury, GRANT);
        assertEq(pool.balanceOf(address(timelock)), 0);
        assertEq(pool.convertToAssets(pool.balanceOf(funder)), STAKE);
    }

    function test_surplusIsBehindReservationsAndExits() public {
        coordinator.trigger(goodRequest());
        _requestExit(funder, pool.balanceOf(funder));
        uint256 free = GRANT - BENEFIT;
        vm.startPrank(address(timelock));
        vm.expectRevert(abi.encodeWithSelector(ICarePool.InsufficientFunds.selector, free, free + 1));
        pool.withdrawSurplus(treasury, free + 1);
        pool.withdrawSurplus(treasury, free);
        vm.expectRevert(abi.encodeWithSelector(ICarePool.InsufficientFunds.selector, 0, 1));
        pool.withdrawSurplus(treasury, 1);
    }

    function test_surplusIsTheOwners() public {
        vm.prank(funder);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, funder));
        pool.withdrawSurplus(funder, 1);
    }

    /// A pool that has paid out everything sells no shares for nothing; a grant gives the old ones their worth again.
    function test_aRuinedPoolIsRestoredByAGrant() public {
        deploy();
        vm.startPrank(treasury);
        token.approve(address(pool), type(uint256).max);
        pool.deposit(STAKE, funder);
        vm.stopPrank();
        for (uint256 i = 0; i < 20; ++i) {
            vm.startPrank(address(coordinator));
            pool.reserve(STAKE);
            pool.pay(provider, STAKE);
            vm.stopPrank();
            assertEq(pool.maxDeposit(funder), 0);
            assertEq(pool.maxMint(funder), 0);
            vm.startPrank(treasury);
            vm.expectRevert(abi.encodeWithSelector(ERC4626.ERC4626ExceededMaxDeposit.selector, treasury, 1, 0));
            pool.deposit(1, treasury);
            pool.fund(STAKE);
            vm.stopPrank();
            assertApproxEqAbs(pool.convertToAssets(pool.balanceOf(funder)), STAKE, 1);
        }
        assertEq(pool.balanceOf(address(timelock)), 0);
        assertEq(pool.maxDeposit(funder), type(uint128).max - STAKE);
    }

    /// Tokens that nobody asked for change no price.
    function testFuzz_aGiftMovesNothing(uint96 gift) public {
        uint256 shares = pool.balanceOf(funder);
        gift = uint96(bound(gift, 0, token.balanceOf(treasury)));
        vm.prank(treasury);
        assertTrue(token.transfer(address(pool), gift));
        assertEq(pool.convertToAssets(shares), STAKE);
        assertEq(pool.totalAssets(), GRANT + STAKE);
    }

    /// In and out is never a gain, whatever the price.
    function testFuzz_roundTripIsNoGain(uint96 stake, uint96 premium) public {
        address second = makeAddr("second funder");
        stake = uint96(bound(stake, 1, 100_000 ether));
        premium = uint96(bound(premium, 0, 100_000 ether));
        vm.prank(treasury);
        pool.payPremium(premium);
        _deposit(second, stake);
        uint256 shares = pool.balanceOf(second);
        if (shares == 0) return;
        _requestExit(second, shares);
        skip(EXIT_DELAY);
        pool.serveExits(1);
        assertLe(pool.owedTo(second), stake);
    }

    // ---------------------------------------------------------------- steps

    function _deposit(address who, uint256 amount) private {
        vm.prank(treasury);
        assertTrue(token.transfer(who, amount));
        vm.startPrank(who);
        token.approve(address(pool), amount);
        pool.deposit(amount, who);
        vm.stopPrank();
    }

    function _requestExit(address who, uint256 shares) private returns (uint256 exitId) {
        vm.prank(who);
        return pool.requestExit(shares);
    }

    function _lapse() private {
        bytes32 triggerId =
            coordinator.nullifierOf(mandateId, policyId, uint64(block.timestamp - EXIT_DELAY - 10 minutes), COOL_DOWN);
        skip(FULFIL_WITHIN + 1);
        coordinator.lapse(triggerId);
    }
}
