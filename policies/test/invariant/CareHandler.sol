// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CommonBase} from "forge-std/Base.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {Vm} from "forge-std/Vm.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {CareDriver} from "./CareInvariants.t.sol";

/// @notice What a whole ward of patients, providers, funders, the guardian and governance may do, in any order. Every call
/// is one that the contracts must accept or one that the handler expects to be refused, so an unexpected revert fails.
contract CareHandler is CommonBase, StdUtils {
    uint256 private constant PATIENTS = 6;

    CareDriver private immutable WORLD;

    /// Triggers that the handler saw accepted, in order.
    bytes32[] public triggers;
    mapping(bytes32 triggerId => uint256) public timesPaid;
    uint256 public funded;
    uint256 public withdrawn;
    uint256 public paid;
    /// Triggers accepted although a condition of theirs did not hold.
    uint256 public wronglyAccepted;

    constructor(CareDriver world, uint256 funded_) {
        WORLD = world;
        funded = funded_;
    }

    function triggersCount() external view returns (uint256) {
        return triggers.length;
    }

    // ---------------------------------------------------------------- patients and oracles

    function trigger(uint256 patient, int64 score, uint256 age, uint8 dice) external {
        // Mostly acceptable, so that runs get somewhere; the edges lie inside.
        score = int64(bound(score, 1100, 3000));
        age = bound(age, 0, 150 minutes);
        (ICareCoordinator.TriggerRequest memory request, bool allowed) =
            WORLD.prepare(patient % PATIENTS, score, age, dice % 8 != 0);
        try WORLD.coordinator_().trigger(request) returns (bytes32 triggerId) {
            if (!allowed) ++wronglyAccepted;
            triggers.push(triggerId);
        } catch (bytes memory reason) {
            // A refusal of what is allowed is a bug, and fail_on_revert shows it.
            if (allowed) revert(string(reason));
        }
    }

    function triggerAudited(uint256 patient, int64 score, uint256 age, uint8 dice) external {
        score = int64(bound(score, 1100, 3000));
        age = bound(age, 0, 150 minutes);
        (ICareCoordinator.TriggerRequest memory request, bytes32 root, bytes32[] memory path, bool allowed) =
            WORLD.prepareAudited(patient % PATIENTS, score, age, dice % 8 != 0);
        try WORLD.coordinator_().triggerAudited(request, root, 0, path) returns (bytes32 triggerId) {
            if (!allowed) ++wronglyAccepted;
            triggers.push(triggerId);
        } catch (bytes memory reason) {
            if (allowed) revert(string(reason));
        }
    }

    function revokeMandate(uint256 patient) external {
        WORLD.revokeMandate(patient % PATIENTS);
    }

    function grantMandate(uint256 patient) external {
        WORLD.renewMandate(patient % PATIENTS);
    }

    // ---------------------------------------------------------------- settlement

    function fulfil(uint256 index) external {
        if (triggers.length == 0) return;
        bytes32 triggerId = triggers[index % triggers.length];
        _notePaid(triggerId, WORLD.fulfil(triggerId));
    }

    function dispute(uint256 index) external {
        if (triggers.length == 0) return;
        WORLD.dispute(triggers[index % triggers.length]);
    }

    function resolve(uint256 index, uint8 dice) external {
        if (triggers.length == 0) return;
        bytes32 triggerId = triggers[index % triggers.length];
        _notePaid(triggerId, WORLD.resolve(triggerId, dice % 2 == 0));
    }

    function lapse(uint256 index) external {
        if (triggers.length == 0) return;
        WORLD.lapse(triggers[index % triggers.length]);
    }

    // ---------------------------------------------------------------- funders, guardian, governance, time

    function fund(uint256 amount) external {
        funded += WORLD.fund(bound(amount, 1, 1000 ether));
    }

    function deposit(uint256 amount) external {
        funded += WORLD.deposit(bound(amount, 1, 1000 ether));
    }

    function payPremium(uint256 amount) external {
        funded += WORLD.payPremium(bound(amount, 1, 100 ether));
    }

    function requestExit(uint256 shares) external {
        WORLD.requestExit(shares);
    }

    function serveExits(uint8 countMax) external {
        WORLD.pool_().serveExits(countMax);
    }

    function payOwed() external {
        withdrawn += WORLD.payOwed();
    }

    function withdrawSurplus(uint256 amount) external {
        withdrawn += WORLD.withdrawSurplus(amount);
    }

    function setModel(uint8 dice) external {
        WORLD.setModel(dice % 4 != 0);
    }

    function setPolicy(uint8 dice) external {
        WORLD.setPolicy(dice % 4 != 0);
    }

    function setOracle(uint8 dice) external {
        WORLD.setOracle(dice % 4 != 0);
    }

    function pass(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1 minutes, 2 days));
    }

    function _notePaid(bytes32 triggerId, uint256 benefit) private {
        if (benefit == 0) return;
        ++timesPaid[triggerId];
        paid += benefit;
    }
}
