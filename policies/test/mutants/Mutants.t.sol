// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {Promises} from "../invariant/Promises.sol";
import {
    CredulousAudits,
    CredulousMandates,
    CredulousModels,
    CredulousOracles,
    CredulousPolicies,
    CredulousVerifier,
    ForgetfulCoordinator,
    ForgetfulOracles,
    ForgetfulPool,
    ForgetfulToken,
    LavishPool,
    Mutant,
    ObligingPolicies,
    OpenPolicies
} from "./Mutant.sol";

/// @notice Each promise can be broken: with one check taken out of one contract, the same predicate that the invariants hold
/// turns false. Each test first goes the same way without the mutant and finds the promise kept.
contract MutantsTest is Promises {
    function setUp() public {
        setUpAudit();
    }

    // ---------------------------------------------------------------- money

    function test_solvency_aPoolThatPaysOffItsBooks() public {
        _fulfil(coordinator.trigger(goodRequest()));
        assertTrue(poolIsSolvent());
        skip(COOL_DOWN);
        _install(address(pool), address(new ForgetfulPool(_copyOf(address(pool)))));
        _fulfil(coordinator.trigger(goodRequest()));
        assertFalse(poolIsSolvent());
    }

    function test_solvency_aPoolThatGivesAwayWhatIsReserved() public {
        coordinator.trigger(goodRequest());
        uint256 all = token.balanceOf(address(pool));
        vm.prank(address(timelock));
        vm.expectRevert();
        pool.withdrawSurplus(treasury, all);
        assertTrue(poolIsSolvent());
        _install(address(pool), address(new LavishPool(_copyOf(address(pool)))));
        vm.prank(address(timelock));
        pool.withdrawSurplus(treasury, all);
        assertFalse(poolIsSolvent());
    }

    function test_oneBenefit_aCoordinatorThatForgets() public {
        bytes32 triggerId = coordinator.trigger(goodRequest());
        coordinator.trigger(request(grantMandate(vm.createWallet("second"), policyId, oracle.addr), _now(), THRESHOLD));
        _fulfil(triggerId);
        bytes memory attendance = sign(patient, coordinator.attendanceDigest(triggerId, provider));
        vm.expectRevert();
        coordinator.fulfil(triggerId, provider, attendance);
        assertTrue(oneBenefitEach(1));
        address mutant = address(new ForgetfulCoordinator(_copyOf(address(coordinator)), pool, BENEFIT));
        _install(address(coordinator), mutant);
        coordinator.fulfil(triggerId, provider, attendance);
        assertFalse(oneBenefitEach(1));
    }

    function test_bonds_aRegistryThatForgets() public {
        address[] memory bonded = new address[](2);
        (bonded[0], bonded[1]) = (oracle.addr, makeAddr("second oracle"));
        vm.prank(address(timelock));
        oracles.admitOracle(bonded[1]);
        vm.prank(treasury);
        oracles.payBond(bonded[1], MINIMUM_BOND);
        vm.startPrank(oracle.addr);
        vm.expectRevert();
        oracles.withdrawBond();
        assertTrue(bondsAreCovered(bonded));
        vm.stopPrank();
        address mutant = address(new ForgetfulOracles(_copyOf(address(oracles)), token, MINIMUM_BOND));
        _install(address(oracles), mutant);
        vm.prank(oracle.addr);
        oracles.withdrawBond();
        assertFalse(bondsAreCovered(bonded));
    }

    function test_votes_aTokenThatLeavesThemBehind() public {
        address[] memory holders = new address[](2);
        (holders[0], holders[1]) = (treasury, makeAddr("holder"));
        uint256 elsewhere = token.balanceOf(address(pool)) + token.balanceOf(address(oracles));
        vm.startPrank(treasury);
        token.delegate(treasury);
        assertTrue(token.transfer(holders[1], 1 ether));
        assertEq(token.getVotes(treasury), SUPPLY - elsewhere - 1 ether);
        assertTrue(votesAreTheSupplyDelegated(holders));
        vm.stopPrank();
        _install(address(token), address(new ForgetfulToken(_copyOf(address(token)))));
        vm.prank(treasury);
        assertTrue(token.transfer(holders[1], 1 ether));
        assertFalse(votesAreTheSupplyDelegated(holders));
    }

    // ---------------------------------------------------------------- no trigger without every condition

    function test_conditions_mandate() public {
        mandates.revoke(mandateId, sign(patient, mandates.revocationDigest(mandateId)));
        _startsWrongly(address(mandates), address(new CredulousMandates(_copyOf(address(mandates)))), true);
    }

    function test_conditions_model() public {
        vm.prank(guardian);
        models.suspendModel(modelId);
        _startsWrongly(address(models), address(new CredulousModels(_copyOf(address(models)))), true);
    }

    function test_conditions_policy() public {
        vm.prank(guardian);
        policies.suspendPolicy(policyId);
        _startsWrongly(address(policies), address(new CredulousPolicies(_copyOf(address(policies)))), true);
    }

    function test_conditions_oracle() public {
        vm.prank(oracle.addr);
        oracles.unbond();
        _startsWrongly(address(oracles), address(new CredulousOracles(_copyOf(address(oracles)))), true);
    }

    function test_conditions_proof() public {
        _startsWrongly(address(verifier), address(new CredulousVerifier(_copyOf(address(verifier)))), false);
    }

    function test_conditions_audit() public {
        Audited memory audited = auditedRequest(3);
        audited.path[0] = bytes32(uint256(audited.path[0]) ^ 1);
        assertFalse(mayStart(audited.request, false));
        vm.expectRevert();
        send(audited);
        _install(address(audits), address(new CredulousAudits(_copyOf(address(audits)))));
        send(audited);
        assertEq(pool.reserved(), BENEFIT);
    }

    // ---------------------------------------------------------------- power

    function test_power_aRegistryThatAnybodyWrites() public {
        address stranger = makeAddr("stranger");
        assertFalse(isOpenTo(stranger));
        _install(address(policies), address(new OpenPolicies(_copyOf(address(policies)))));
        assertTrue(isOpenTo(stranger));
    }

    function test_power_aGuardianWhoStarts() public {
        vm.prank(guardian);
        policies.suspendPolicy(policyId);
        assertFalse(isOpenTo(guardian));
        _install(address(policies), address(new ObligingPolicies(_copyOf(address(policies)))));
        assertTrue(isOpenTo(guardian));
        assertFalse(isOpenTo(makeAddr("stranger")));
    }

    // ---------------------------------------------------------------- steps

    /// One condition is broken already: the contracts refuse, and with the mutant accept what the predicate forbids.
    function _startsWrongly(address place, address mutant, bool proved) private {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        if (!proved) bad.proof[0] ^= 0x01;
        assertFalse(mayStart(bad, proved));
        vm.expectRevert();
        coordinator.trigger(bad);
        _install(place, mutant);
        assertFalse(mayStart(bad, proved));
        coordinator.trigger(bad);
    }

    function _fulfil(bytes32 triggerId) private {
        coordinator.fulfil(triggerId, provider, sign(patient, coordinator.attendanceDigest(triggerId, provider)));
    }

    function _now() private view returns (uint64) {
        return uint64(block.timestamp);
    }

    /// The same code in another place, for a mutant to fall back on.
    function _copyOf(address original) private returns (address copy) {
        copy = address(uint160(uint256(keccak256(abi.encode("copy", original)))));
        vm.etch(copy, original.code);
    }

    function _install(address place, address mutant) private {
        vm.etch(place, mutant.code);
    }
}
