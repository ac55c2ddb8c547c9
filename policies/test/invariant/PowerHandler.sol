// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CommonBase} from "forge-std/Base.sol";
import {StdUtils} from "forge-std/StdUtils.sol";
import {PowerDriver} from "./PowerInvariants.t.sol";

/// @notice What governance, the guardian, oracles, reporters and holders do in any order, and what strangers try.
contract PowerHandler is CommonBase, StdUtils {
    PowerDriver private immutable WORLD;

    /// Attempts without the right to them that went through.
    uint256 public breaches;
    uint64 private _window;

    constructor(PowerDriver world) {
        WORLD = world;
    }

    function payBond(uint256 index, uint128 amount) external {
        WORLD.payBond(index, uint128(bound(amount, 1, 500 ether)));
    }

    function unbond(uint256 index) external {
        WORLD.unbond(index);
    }

    function withdrawBond(uint256 index) external {
        WORLD.withdrawBond(index);
    }

    function slash(uint256 index) external {
        WORLD.slash(index, ++_window);
    }

    function accept(uint256 index) external {
        WORLD.accept(index);
    }

    function fundRewards(uint128 amount) external {
        WORLD.fundRewards(uint128(bound(amount, 0, 10 ether)));
    }

    function claimReward(uint256 index) external {
        WORLD.claimReward(index);
    }

    function setOracle(uint256 index, uint8 dice) external {
        WORLD.setOracle(index, dice % 4 != 0);
    }

    function setPolicyAndModel(bool active) external {
        WORLD.setPolicyAndModel(active);
    }

    function transfer(uint256 from, uint256 to, uint256 amount) external {
        WORLD.transfer(from, to, amount);
    }

    function delegate(uint256 from, uint256 to) external {
        WORLD.delegate(from, to);
    }

    function tryWhatIsNotOurs(bool asTheGuardian) external {
        if (WORLD.isOpen(asTheGuardian)) ++breaches;
    }

    function pass(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1 minutes, 10 days));
    }
}
