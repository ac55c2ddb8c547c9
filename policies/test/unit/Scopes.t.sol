// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {ICredentialRegistry} from "../../src/interfaces/ICredentialRegistry.sol";
import {IMandateRegistry} from "../../src/interfaces/IMandateRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice What a mandate may narrow (operator, class of providers) and what a policy caps (starts in a day, benefits set
/// aside at once).
contract ScopesTest is CareFixture {
    address private operator = makeAddr("operator");

    function setUp() public {
        setUpCare();
    }

    // ---------------------------------------------------------------- operator and class

    function test_onlyTheMandatedOperatorStartsCare() public {
        IMandateRegistry.Mandate memory narrow = mandateOf(vm.createWallet("narrow"), policyId, oracle.addr);
        narrow.operator = operator;
        mandateId = grant(vm.createWallet("narrow"), narrow);
        assertTrue(mandates.isLive(mandateId, policyId, oracle.addr));
        assertTrue(mandates.isLiveFor(mandateId, policyId, oracle.addr, operator));
        assertFalse(mandates.isLiveFor(mandateId, policyId, oracle.addr, address(this)));
        assertFalse(mandates.isLiveFor(mandateId, policyId, oracle.addr, address(0)));
        (IMandateRegistry.Mandate memory stored,) = mandates.mandateOf(mandateId);
        assertEq(keccak256(abi.encode(stored)), keccak256(abi.encode(narrow)));

        ICareCoordinator.TriggerRequest memory good = goodRequest();
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.MandateNotLive.selector, mandateId));
        coordinator.trigger(good);
        vm.prank(operator);
        coordinator.trigger(good);
    }

    function test_onlyTheMandatedClassIsPaid() public {
        Vm.Wallet memory wallet = vm.createWallet("wants a physician");
        IMandateRegistry.Mandate memory narrow = mandateOf(wallet, policyId, oracle.addr);
        narrow.providerClass = bytes4(keccak256("http://snomed.info/sct|309343006"));
        mandateId = grant(wallet, narrow);
        bytes32 triggerId = coordinator.trigger(goodRequest());
        bytes memory attendance = sign(wallet, coordinator.attendanceDigest(triggerId, provider));
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.ProviderNotCredentialed.selector, provider));
        coordinator.fulfil(triggerId, provider, attendance);

        vm.prank(issuer.addr);
        credentials.revokeCredential(provider);
        ICredentialRegistry.Credential memory physician =
            credentialOf(provider, "a physician's", uint64(block.timestamp + 1 days));
        physician.class = narrow.providerClass;
        issue(physician);
        coordinator.fulfil(triggerId, provider, attendance);
        assertEq(token.balanceOf(provider), BENEFIT);
    }

    function test_scopeIsPartOfWhatTheKeySigns() public {
        Vm.Wallet memory wallet = vm.createWallet("narrow");
        IMandateRegistry.Mandate memory mandate = mandateOf(wallet, policyId, oracle.addr);
        bytes memory signature = sign(wallet, mandates.mandateDigest(mandate));
        mandate.operator = operator;
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.BadMandateSignature.selector, mandate.id));
        mandates.grant(mandate, signature);
        mandate.operator = address(0);
        mandate.providerClass = NURSE;
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.BadMandateSignature.selector, mandate.id));
        mandates.grant(mandate, signature);
    }

    function test_scopeOutlivesRevocation() public {
        mandates.revoke(mandateId, sign(patient, mandates.revocationDigest(mandateId)));
        (address key, bytes32 ofPolicy, bytes4 class) = mandates.scopeOf(mandateId);
        assertEq(key, patient.addr);
        assertEq(mandates.keyOf(mandateId), patient.addr);
        assertEq(ofPolicy, policyId);
        assertEq(class, bytes4(0));
        (key,,) = mandates.scopeOf(0);
        assertEq(key, address(0));
    }

    // ---------------------------------------------------------------- caps

    function test_dailyCapEndsAtMidnight() public {
        _approveCapped(2, 10);
        // The middle of a day, so that the cool-down does not decide.
        vm.warp((block.timestamp / 1 days) * 1 days + 12 hours);
        _startFor("first");
        _startFor("second");
        ICareCoordinator.TriggerRequest memory third = _requestFor("third");
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.DailyCapReached.selector, policyId, uint32(2)));
        coordinator.trigger(third);
        vm.warp((block.timestamp / 1 days + 1) * 1 days - 1);
        third = _requestFor("third at the last second");
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.DailyCapReached.selector, policyId, uint32(2)));
        coordinator.trigger(third);
        skip(1);
        _startFor("fourth");
        ICareCoordinator.Usage memory usage = coordinator.usageOf(policyId);
        assertEq(usage.startsOfDay, 1);
        assertEq(usage.day, block.timestamp / 1 days);
        assertEq(usage.open, 3);
    }

    function test_poolCapCountsWhatIsSetAside() public {
        _approveCapped(10, 2);
        bytes32 first = _startFor("first");
        _startFor("second");
        ICareCoordinator.TriggerRequest memory third = _requestFor("third");
        vm.expectRevert(abi.encodeWithSelector(ICareCoordinator.PoolCapReached.selector, policyId, uint32(2)));
        coordinator.trigger(third);

        Vm.Wallet memory wallet = vm.createWallet("first");
        coordinator.fulfil(first, provider, sign(wallet, coordinator.attendanceDigest(first, provider)));
        bytes32 last = coordinator.trigger(third);
        assertEq(coordinator.usageOf(policyId).open, 2);
        skip(FULFIL_WITHIN + 1);
        coordinator.lapse(last);
        assertEq(coordinator.usageOf(policyId).open, 1);
    }

    /// Another policy's starts do not count.
    function test_capsAreThePolicysOwn() public {
        bytes32 other = policyId;
        coordinator.trigger(goodRequest());
        _approveCapped(1, 1);
        _startFor("first");
        assertEq(coordinator.usageOf(other).open, 1);
    }

    function test_termsWithoutCapsOrWithHalfAnArbiterAreRefused() public {
        vm.startPrank(address(timelock));
        IPolicyRegistry.Terms memory bad = terms();
        bad.startsPerDayMax = 0;
        _refusesTerms(bad);
        bad = terms();
        bad.openMax = 0;
        _refusesTerms(bad);
        bad = terms();
        bad.arbiter = address(0);
        _refusesTerms(bad);
        bad = terms();
        bad.arbitrationSeconds = 0;
        _refusesTerms(bad);
        bad.arbiter = address(0);
        policies.approvePolicy(bad);
    }

    // ---------------------------------------------------------------- steps

    function _approveCapped(uint32 startsPerDayMax, uint32 openMax) private {
        IPolicyRegistry.Terms memory capped = terms();
        capped.startsPerDayMax = startsPerDayMax;
        capped.openMax = openMax;
        vm.prank(address(timelock));
        policyId = policies.approvePolicy(capped);
    }

    function _requestFor(string memory name) private returns (ICareCoordinator.TriggerRequest memory) {
        bytes32 id = grantMandate(vm.createWallet(name), policyId, oracle.addr);
        return request(id, uint64(block.timestamp), THRESHOLD);
    }

    function _startFor(string memory name) private returns (bytes32) {
        return coordinator.trigger(_requestFor(name));
    }

    function _refusesTerms(IPolicyRegistry.Terms memory bad) private {
        vm.expectRevert(IPolicyRegistry.InvalidTerms.selector);
        policies.approvePolicy(bad);
    }
}
