// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice What a case may come to beside the patient's signature: an attendance code, or an arbiter whom somebody asked.
contract DisputesTest is CareFixture {
    bytes32 private constant EVIDENCE = keccak256("evidence and salt");

    Vm.Wallet private code = vm.createWallet("attendance code");
    bytes32 private triggerId;
    uint64 private deadline;

    function setUp() public {
        setUpCare();
        triggerId = coordinator.trigger(goodRequest());
        deadline = coordinator.triggerOf(triggerId).deadline;
    }

    // ---------------------------------------------------------------- attendance code

    function test_theCodePaysWhoWasGivenIt() public {
        coordinator.fulfilWithCode(triggerId, provider, _attendance(provider));
        assertEq(token.balanceOf(provider), BENEFIT);
        ICareCoordinator.AttendanceCode memory again = _attendance(provider);
        vm.expectRevert(_notOpen(ICareCoordinator.Status.Fulfilled));
        coordinator.fulfilWithCode(triggerId, provider, again);
    }

    /// Whoever sees the code's signature on its way cannot turn it to another provider.
    function test_theCodesSignatureIsForOneProvider() public {
        address other = makeAddr("other provider");
        issue(credentialOf(other, "other licence", uint64(block.timestamp + 1 days)));
        ICareCoordinator.AttendanceCode memory attendance = _attendance(provider);
        _refusesCode(other, attendance);
    }

    function test_theCodeIsTheMandateKeysForThisTrigger() public {
        ICareCoordinator.AttendanceCode memory attendance = _attendance(provider);
        attendance.mandateSignature = sign(oracle, coordinator.attendanceCodeDigest(triggerId, code.addr));
        _refusesCode(provider, attendance);
        attendance.mandateSignature = sign(patient, coordinator.attendanceCodeDigest(keccak256("other"), code.addr));
        _refusesCode(provider, attendance);
        attendance = _attendance(provider);
        attendance.code = makeAddr("other code");
        _refusesCode(provider, attendance);
    }

    // ---------------------------------------------------------------- dispute

    function test_theArbiterPaysTheClaimant() public {
        vm.expectEmit(address(coordinator));
        emit ICareCoordinator.CareDisputed(triggerId, provider, arbiter, EVIDENCE);
        _dispute();
        assertEq(coordinator.claimantOf(triggerId), provider);
        vm.warp(deadline + ARBITRATION);
        vm.expectEmit(address(coordinator));
        emit ICareCoordinator.DisputeResolved(triggerId, provider, true);
        vm.prank(arbiter);
        coordinator.resolve(triggerId, true);
        assertEq(token.balanceOf(provider), BENEFIT);
        assertEq(coordinator.usageOf(policyId).open, 0);
    }

    function test_aRefusedClaimOpensTheCaseAgain() public {
        _dispute();
        vm.prank(arbiter);
        coordinator.resolve(triggerId, false);
        assertEq(coordinator.claimantOf(triggerId), address(0));
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.DisputedBefore.selector, triggerId, provider));
        coordinator.dispute(triggerId, EVIDENCE);
        coordinator.fulfil(triggerId, provider, sign(patient, coordinator.attendanceDigest(triggerId, provider)));
    }

    /// Without a decision the benefit goes back: no person can hold it by doing nothing.
    function test_withoutADecisionTheBenefitLapses() public {
        _dispute();
        vm.warp(deadline + ARBITRATION);
        vm.expectRevert(
            abi.encodeWithSelector(
                ICareCoordinator.DeadlineNotReached.selector, triggerId, deadline + uint64(ARBITRATION)
            )
        );
        coordinator.lapse(triggerId);
        skip(1);
        vm.prank(arbiter);
        vm.expectRevert(
            abi.encodeWithSelector(ICareCoordinator.DeadlinePassed.selector, triggerId, deadline + uint64(ARBITRATION))
        );
        coordinator.resolve(triggerId, true);
        coordinator.lapse(triggerId);
        assertEq(pool.reserved(), 0);
    }

    function test_theSignaturePaysWhileTheDisputeGoesOn() public {
        _dispute();
        address other = makeAddr("other provider");
        issue(credentialOf(other, "other licence", uint64(block.timestamp + 1 days)));
        coordinator.fulfil(triggerId, other, sign(patient, coordinator.attendanceDigest(triggerId, other)));
        assertEq(token.balanceOf(other), BENEFIT);
        vm.prank(arbiter);
        vm.expectRevert(_notOpen(ICareCoordinator.Status.Fulfilled));
        coordinator.resolve(triggerId, true);
    }

    function test_onlyTheArbiterDecidesAndOnlyDisputes() public {
        vm.prank(arbiter);
        vm.expectRevert(_notOpen(ICareCoordinator.Status.Open));
        coordinator.resolve(triggerId, true);
        _dispute();
        address[3] memory others = [guardian, address(timelock), provider];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.NotArbiter.selector, others[i], arbiter));
            coordinator.resolve(triggerId, true);
        }
    }

    function test_onlyACredentialedProviderDisputesAndInTime() public {
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.ProviderNotCredentialed.selector, address(this)));
        coordinator.dispute(triggerId, EVIDENCE);
        vm.warp(deadline + 1);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.DeadlinePassed.selector, triggerId, deadline));
        coordinator.dispute(triggerId, EVIDENCE);
        vm.warp(deadline);
        _dispute();
        vm.prank(provider);
        vm.expectRevert(_notOpen(ICareCoordinator.Status.Disputed));
        coordinator.dispute(triggerId, EVIDENCE);
    }

    function test_aClaimantWithoutCredentialIsNotPaid() public {
        _dispute();
        vm.prank(issuer.addr);
        credentials.revokeCredential(provider);
        vm.prank(arbiter);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.ProviderNotCredentialed.selector, provider));
        coordinator.resolve(triggerId, true);
    }

    function test_aPolicyWithoutArbiterHasNoDisputes() public {
        IPolicyRegistry.Terms memory plain = terms();
        plain.arbiter = address(0);
        plain.arbitrationSeconds = 0;
        vm.prank(address(timelock));
        policyId = policies.approvePolicy(plain);
        bytes32 id = grantMandate(vm.createWallet("second patient"), policyId, oracle.addr);
        triggerId = coordinator.trigger(request(id, uint64(block.timestamp), THRESHOLD));
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.NoArbiter.selector, policyId));
        coordinator.dispute(triggerId, EVIDENCE);
    }

    // ---------------------------------------------------------------- steps

    function _dispute() private {
        vm.prank(provider);
        coordinator.dispute(triggerId, EVIDENCE);
    }

    function _attendance(address to) private returns (ICareCoordinator.AttendanceCode memory) {
        return ICareCoordinator.AttendanceCode({
            code: code.addr,
            mandateSignature: sign(patient, coordinator.attendanceCodeDigest(triggerId, code.addr)),
            codeSignature: sign(code, coordinator.attendanceDigest(triggerId, to))
        });
    }

    function _refusesCode(address to, ICareCoordinator.AttendanceCode memory attendance) private {
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.BadAttendanceSignature.selector, triggerId));
        coordinator.fulfilWithCode(triggerId, to, attendance);
    }

    function _notOpen(ICareCoordinator.Status status) private view returns (bytes memory) {
        return abi.encodeWithSelector(ICareCoordinator.TriggerNotOpen.selector, triggerId, status);
    }
}
