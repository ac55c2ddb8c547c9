// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {CareCoordinator} from "../../src/settlement/CareCoordinator.sol";
import {CareFixture} from "../support/CareFixture.sol";
import {CareHandler} from "./CareHandler.sol";

/// @notice The world the handler acts on: it knows the keys, plays the timelock and the guardian, and says of each trigger
/// whether every condition for it holds, worked out from the registries and not from the coordinator.
abstract contract CareDriver is CareFixture {
    mapping(uint256 patient => uint256) private _generation;
    mapping(bytes32 mandateId => uint256 privateKey) private _keys;

    function coordinator_() external view returns (CareCoordinator) {
        return coordinator;
    }

    function prepare(uint256 patientIndex, int256 score, uint256 age)
        external
        returns (ICareCoordinator.TriggerRequest memory prepared, bool allowed)
    {
        Vm.Wallet memory wallet = _wallet(patientIndex);
        bytes32 id = mandates.mandateIdOf(wallet.addr);
        uint64 windowEnd = uint64(block.timestamp - age);
        prepared = request(id, windowEnd, score);
        bytes32 nullifier = keccak256(abi.encode(id, policyId, windowEnd / COOL_DOWN));
        allowed = policies.isActive(policyId) && models.isActive(modelId) && mandates.isLive(id, policyId, oracle.addr)
            && oracles.isActive(oracle.addr) && age <= MAX_AGE && score >= THRESHOLD
            && coordinator.triggerOf(nullifier).benefit == 0
            && token.balanceOf(address(pool)) >= pool.reserved() + BENEFIT;
    }

    function renewMandate(uint256 patientIndex) external {
        if (mandates.isLive(mandates.mandateIdOf(_wallet(patientIndex).addr), policyId, oracle.addr)) return;
        ++_generation[patientIndex];
        grantMandate(_wallet(patientIndex), policyId, oracle.addr);
    }

    function revokeMandate(uint256 patientIndex) external {
        Vm.Wallet memory wallet = _wallet(patientIndex);
        bytes32 id = mandates.mandateIdOf(wallet.addr);
        if (!mandates.isLive(id, policyId, oracle.addr)) return;
        mandates.revoke(id, sign(wallet, mandates.revocationDigest(id)));
    }

    /// @return The benefit paid, zero where the trigger could not be fulfilled.
    function fulfil(bytes32 triggerId) external returns (uint256) {
        ICareCoordinator.Trigger memory record = coordinator.triggerOf(triggerId);
        Vm.Wallet memory wallet = _walletOf(record.mandateId);
        bool possible = record.status == ICareCoordinator.Status.Open && block.timestamp <= record.deadline;
        bytes memory attendance = sign(wallet, coordinator.attendanceDigest(triggerId, provider));
        try coordinator.fulfil(triggerId, provider, attendance) {
            require(possible, "fulfilled what was not open");
            return record.benefit;
        } catch {
            require(!possible, "refused what was open");
            return 0;
        }
    }

    function lapse(bytes32 triggerId) external {
        ICareCoordinator.Trigger memory record = coordinator.triggerOf(triggerId);
        bool possible = record.status == ICareCoordinator.Status.Open && block.timestamp > record.deadline;
        try coordinator.lapse(triggerId) {
            require(possible, "lapsed what could not lapse");
        } catch {
            require(!possible, "refused what could lapse");
        }
    }

    function fund(uint256 amount) external returns (uint256) {
        uint256 held = token.balanceOf(treasury);
        if (amount > held) amount = held;
        vm.prank(treasury);
        pool.fund(amount);
        return amount;
    }

    function withdrawSurplus(uint256 amount) external returns (uint256) {
        amount = bound(amount, 0, pool.available());
        vm.prank(address(timelock));
        pool.withdrawSurplus(treasury, amount);
        return amount;
    }

    function setModel(bool active) external {
        if (models.isActive(modelId) == active) return;
        vm.prank(active ? address(timelock) : guardian);
        active ? models.reinstateModel(modelId) : models.suspendModel(modelId);
    }

    function setPolicy(bool active) external {
        if (policies.isActive(policyId) == active) return;
        vm.prank(active ? address(timelock) : guardian);
        active ? policies.reinstatePolicy(policyId) : policies.suspendPolicy(policyId);
    }

    function setOracle(bool active) external {
        if (oracles.isActive(oracle.addr) == active) return;
        vm.prank(active ? address(timelock) : guardian);
        active ? oracles.reinstateOracle(oracle.addr) : oracles.suspendOracle(oracle.addr);
    }

    function _wallet(uint256 patientIndex) internal returns (Vm.Wallet memory wallet) {
        wallet = vm.createWallet(
            string.concat("ward patient ", vm.toString(patientIndex), "/", vm.toString(_generation[patientIndex]))
        );
        _keys[mandates.mandateIdOf(wallet.addr)] = wallet.privateKey;
    }

    function _walletOf(bytes32 id) private returns (Vm.Wallet memory) {
        return vm.createWallet(_keys[id]);
    }
}

/// @notice What holds whatever a ward does.
contract CareInvariants is CareDriver {
    CareHandler private handler;

    function setUp() public {
        setUpCare();
        skip(1 days);
        // The provider's credential must outlive the longest run: 128 calls of at most two days each.
        issue(credentialOf(provider, "renewed", uint64(block.timestamp + 3650 days)));
        handler = new CareHandler(this, token.balanceOf(address(pool)));
        targetContract(address(handler));
    }

    /// The pool can pay everything it has promised.
    function invariant_poolIsSolvent() public view {
        assertGe(token.balanceOf(address(pool)), pool.reserved());
    }

    /// What is reserved is the sum of the benefits of the open triggers.
    function invariant_reservedIsOwedToOpenTriggers() public view {
        uint256 owed;
        for (uint256 i = 0; i < handler.triggersCount(); ++i) {
            ICareCoordinator.Trigger memory record = coordinator.triggerOf(handler.triggers(i));
            if (record.status == ICareCoordinator.Status.Open) owed += record.benefit;
        }
        assertEq(pool.reserved(), owed);
    }

    /// Every token is accounted for.
    function invariant_moneyIsConserved() public view {
        assertEq(token.balanceOf(address(pool)) + handler.withdrawn() + handler.paid(), handler.funded());
        assertEq(token.balanceOf(provider), handler.paid());
    }

    /// One benefit at most for each nullifier.
    function invariant_oneBenefitPerNullifier() public view {
        for (uint256 i = 0; i < handler.triggersCount(); ++i) {
            bytes32 triggerId = handler.triggers(i);
            assertLe(handler.timesPaid(triggerId), 1);
            for (uint256 j = 0; j < i; ++j) {
                assertNotEq(handler.triggers(j), triggerId);
            }
        }
    }

    /// No trigger without live mandate, approved model, approved policy, bonded oracle, recent window and score.
    function invariant_noTriggerWithoutEveryCondition() public view {
        assertEq(handler.wronglyAccepted(), 0);
    }
}
