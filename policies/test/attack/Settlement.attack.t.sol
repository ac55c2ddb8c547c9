// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Vm} from "forge-std/Vm.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {IMandateRegistry} from "../../src/interfaces/IMandateRegistry.sol";
import {CareCoordinator} from "../../src/settlement/CareCoordinator.sol";
import {CarePool} from "../../src/settlement/CarePool.sol";
import {OracleRegistry} from "../../src/registries/OracleRegistry.sol";
import {CareFixture} from "../support/CareFixture.sol";
import {ReentrantToken} from "./ReentrantToken.sol";

/// @notice Attacks on what is signed and what is paid.
contract SettlementAttacks is CareFixture {
    /// Order of secp256k1.
    uint256 private constant CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    function setUp() public {
        setUpCare();
    }

    // ---------------------------------------------------------------- re-entrancy

    /// The token calls back while a provider is paid: to be paid again, to lapse the case, and into the pool.
    function test_reentrancyByAMaliciousToken() public {
        ReentrantToken evil = _rebuildWith();
        bytes32 triggerId = coordinator.trigger(goodRequest());
        bytes memory attendance = sign(patient, coordinator.attendanceDigest(triggerId, provider));
        bytes[6] memory calls = [
            abi.encodeCall(coordinator.fulfil, (triggerId, provider, attendance)),
            abi.encodeCall(coordinator.lapse, (triggerId)),
            abi.encodeCall(pool.payOwed, (address(this))),
            abi.encodeCall(pool.serveExits, (1)),
            abi.encodeCall(pool.fund, (0)),
            abi.encodeCall(pool.payPremium, (0))
        ];
        uint256 state = vm.snapshotState();
        for (uint256 i = 0; i < calls.length; ++i) {
            evil.arm(i < 2 ? address(coordinator) : address(pool), calls[i]);
            coordinator.fulfil(triggerId, provider, attendance);
            assertEq(evil.accepted(), 0);
            assertEq(evil.refused(), 1);
            assertEq(evil.balanceOf(provider), BENEFIT);
            assertEq(evil.balanceOf(address(pool)), pool.totalAssets());
            vm.revertToState(state);
        }
    }

    /// The token calls back while somebody who left is paid, to be paid again.
    function test_reentrancyOnTheWayOut() public {
        ReentrantToken evil = _rebuildWith();
        pool.deposit(10 ether, address(this));
        pool.requestExit(pool.balanceOf(address(this)));
        skip(EXIT_DELAY);
        pool.serveExits(1);
        uint256 before = evil.balanceOf(address(this));
        evil.arm(address(pool), abi.encodeCall(pool.payOwed, (address(this))));
        pool.payOwed(address(this));
        assertEq(evil.refused(), 1);
        assertEq(evil.balanceOf(address(this)), before + 10 ether);
    }

    // ---------------------------------------------------------------- signatures

    /// The same signature with the other s verifies in bare ecrecover and is refused here.
    function test_malleableSignatures() public {
        ICareCoordinator.TriggerRequest memory request_ = goodRequest();
        bytes memory good = request_.oracleSignature;
        request_.oracleSignature = _mirrored(good);
        bytes32 digest = coordinator.attestationDigest(mandateId, request_.windowEnd, SCHEMA, request_.commitment);
        assertEq(_ecrecover(digest, request_.oracleSignature), oracle.addr);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.BadOracleSignature.selector, oracle.addr));
        coordinator.trigger(request_);
        request_.oracleSignature = good;
        bytes32 triggerId = coordinator.trigger(request_);

        bytes memory attendance = _mirrored(sign(patient, coordinator.attendanceDigest(triggerId, provider)));
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.BadAttendanceSignature.selector, triggerId));
        coordinator.fulfil(triggerId, provider, attendance);
        bytes memory revocation = _mirrored(sign(patient, mandates.revocationDigest(mandateId)));
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.BadMandateSignature.selector, mandateId));
        mandates.revoke(mandateId, revocation);
    }

    function test_replayOnAnotherChain() public {
        ICareCoordinator.TriggerRequest memory request_ = goodRequest();
        bytes memory revocation = sign(patient, mandates.revocationDigest(mandateId));
        uint256 home = block.chainid;
        vm.chainId(home + 1);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.BadOracleSignature.selector, oracle.addr));
        coordinator.trigger(request_);
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.BadMandateSignature.selector, mandateId));
        mandates.revoke(mandateId, revocation);
        vm.chainId(home);
        coordinator.trigger(request_);
    }

    /// Another deployment on the same chain: what was signed for one coordinator says nothing to the other.
    function test_replayOnAnotherContract() public {
        ICareCoordinator.TriggerRequest memory request_ = goodRequest();
        bytes32 triggerId = coordinator.trigger(request_);
        bytes memory attendance = sign(patient, coordinator.attendanceDigest(triggerId, provider));
        _redeployCoordinator(token);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.BadOracleSignature.selector, oracle.addr));
        coordinator.trigger(request_);

        request_.oracleSignature =
            sign(oracle, coordinator.attestationDigest(mandateId, request_.windowEnd, SCHEMA, request_.commitment));
        assertEq(coordinator.trigger(request_), triggerId);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.BadAttendanceSignature.selector, triggerId));
        coordinator.fulfil(triggerId, provider, attendance);
    }

    // ---------------------------------------------------------------- front-running

    /// Whoever sees a consent on its way can send it first, and has only paid the gas: it is the same consent. With terms of
    /// their own they need another key, and with another key the identifier is another.
    function test_frontRunningAMandate() public {
        Vm.Wallet memory victim = vm.createWallet("victim");
        IMandateRegistry.Mandate memory wanted = mandateOf(victim, policyId, oracle.addr);
        bytes memory signature = sign(victim, mandates.mandateDigest(wanted));

        Vm.Wallet memory thief = vm.createWallet("thief");
        IMandateRegistry.Mandate memory taken = mandateOf(victim, policyId, thief.addr);
        vm.startPrank(thief.addr);
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.BadMandateSignature.selector, wanted.id));
        mandates.grant(taken, signature);
        taken.key = thief.addr;
        bytes memory own = sign(thief, mandates.mandateDigest(taken));
        vm.expectRevert(
            abi.encodeWithSelector(
                IMandateRegistry.MandateIdMismatch.selector, wanted.id, mandates.mandateIdOf(thief.addr)
            )
        );
        mandates.grant(taken, own);

        mandates.grant(wanted, signature);
        vm.stopPrank();
        (IMandateRegistry.Mandate memory stored,) = mandates.mandateOf(wanted.id);
        assertEq(keccak256(abi.encode(stored)), keccak256(abi.encode(wanted)));
    }

    // ---------------------------------------------------------------- the queue

    /// A thousand tiny exits before an honest one, and one too large for what is free: the honest one is served, since anyone
    /// may serve in steps, those who cancel cost a step only, and the large one takes what there is and lets nobody wait
    /// for more than is set aside.
    function test_aGriefedQueue() public {
        address griefer = makeAddr("griefer");
        address honest = makeAddr("honest");
        _deposit(griefer, 100 ether);
        _deposit(honest, 100 ether);
        vm.startPrank(griefer);
        for (uint256 i = 0; i < 1000; ++i) {
            pool.requestExit(1);
        }
        for (uint256 i = 0; i < 500; ++i) {
            pool.cancelExit(2 * i);
        }
        pool.requestExit(pool.balanceOf(griefer));
        vm.stopPrank();
        uint256 shares = pool.balanceOf(honest);
        vm.prank(honest);
        pool.requestExit(shares);

        skip(EXIT_DELAY);
        for (uint256 i = 0; i < 11; ++i) {
            uint256 gas = gasleft();
            pool.serveExits(100);
            assertLt(gas - gasleft(), 3_000_000);
        }
        assertApproxEqAbs(pool.owedTo(honest), 100 ether, 1);
        pool.payOwed(honest);
        assertApproxEqAbs(token.balanceOf(honest), 100 ether, 1);
    }

    /// Whoever is first cannot make the second's deposit round to nothing: gifts do not count, and a premium paid to raise
    /// the price is mostly the virtual shares' and the owner's.
    function test_inflatedFirstShare() public {
        deploy();
        address attacker = makeAddr("attacker");
        address victim = makeAddr("victim");
        _deposit(attacker, 1);
        vm.startPrank(treasury);
        token.approve(address(pool), type(uint256).max);
        assertTrue(token.transfer(address(pool), 100 ether));
        pool.payPremium(100 ether);
        vm.stopPrank();
        _deposit(victim, 10 ether);
        assertGt(pool.convertToAssets(pool.balanceOf(victim)), 9.99 ether);
        assertLt(pool.convertToAssets(pool.balanceOf(attacker)), 51 ether);
    }

    // ---------------------------------------------------------------- clock edges

    function test_clockEdgesOfTheCoolDown() public {
        uint64 border = uint64((block.timestamp / COOL_DOWN + 1) * COOL_DOWN);
        vm.warp(border);
        bytes32 last = coordinator.trigger(request(mandateId, border - 1, THRESHOLD));
        ICareCoordinator.TriggerRequest memory same = request(mandateId, border - 1, THRESHOLD + 1);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.NullifierUsed.selector, last));
        coordinator.trigger(same);
        bytes32 next = coordinator.trigger(request(mandateId, border, THRESHOLD));
        assertNotEq(last, next);
        vm.warp(border + COOL_DOWN - 1);
        ICareCoordinator.TriggerRequest memory edge = request(mandateId, border + COOL_DOWN - 1, THRESHOLD);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.NullifierUsed.selector, next));
        coordinator.trigger(edge);
    }

    function test_clockEdgesOfExpiry() public {
        uint64 expires = uint64(block.timestamp + 90 days);
        vm.warp(expires);
        ICareCoordinator.TriggerRequest memory late = request(mandateId, expires - 1, THRESHOLD);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.MandateNotLive.selector, mandateId));
        coordinator.trigger(late);
        vm.warp(expires - 1);
        bytes32 triggerId = coordinator.trigger(late);
        // Started in time, it is settled after the mandate's end, until the deadline's last second.
        bytes memory attendance = sign(patient, coordinator.attendanceDigest(triggerId, provider));
        vm.warp(coordinator.triggerOf(triggerId).deadline);
        coordinator.fulfil(triggerId, provider, attendance);
    }

    // ---------------------------------------------------------------- steps

    function _rebuildWith() private returns (ReentrantToken evil) {
        evil = new ReentrantToken();
        assertTrue(evil.transfer(treasury, 500_000 ether));
        _redeployCoordinator(evil);
        evil.approve(address(pool), type(uint256).max);
    }

    /// A coordinator, pool and oracle registry of their own, over the same registries and in the given token.
    function _redeployCoordinator(IERC20 asset) private {
        uint256 nonce = vm.getNonce(address(this));
        address next = vm.computeCreateAddress(address(this), nonce + 2);
        oracles = new OracleRegistry(asset, next, oracleRules(), address(timelock), guardian);
        pool = new CarePool(asset, next, address(timelock), EXIT_DELAY);
        coordinator = new CareCoordinator(
            ICareCoordinator.Wiring(models, verifier, audits, policies, oracles, mandates, credentials, pool)
        );
        vm.prank(address(timelock));
        oracles.admitOracle(oracle.addr);
        vm.startPrank(treasury);
        asset.approve(address(oracles), type(uint256).max);
        asset.approve(address(pool), type(uint256).max);
        oracles.payBond(oracle.addr, MINIMUM_BOND);
        pool.fund(2 * uint256(BENEFIT));
        vm.stopPrank();
    }

    function _deposit(address who, uint256 amount) private {
        vm.prank(treasury);
        assertTrue(token.transfer(who, amount));
        vm.startPrank(who);
        token.approve(address(pool), amount);
        pool.deposit(amount, who);
        vm.stopPrank();
    }

    function _mirrored(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, bytes32 s, uint8 v) = _split(signature);
        return abi.encodePacked(r, bytes32(CURVE_ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27));
    }

    function _ecrecover(bytes32 digest, bytes memory signature) private pure returns (address) {
        (bytes32 r, bytes32 s, uint8 v) = _split(signature);
        return ecrecover(digest, v, r, s);
    }

    function _split(bytes memory signature) private pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
            v := byte(0, mload(add(signature, 0x60)))
        }
    }
}
