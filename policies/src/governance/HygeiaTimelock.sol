// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title HygeiaTimelock
/// @notice The owner of every registry and of the pool. Its one proposer and canceller is the governor, anybody may
/// execute what has waited long enough, and it administers itself: no account holds a role that the votes do not.
/// @dev The governor's address must be known before this contract is deployed, and the governor is deployed after it. A
/// deployer computes it from its own account nonce, so there is no moment at which an account holds an admin role.
contract HygeiaTimelock is TimelockController {
    /// @param minDelaySeconds How long an approved proposal waits before it can be executed.
    /// @param governor The governor.
    constructor(uint256 minDelaySeconds, address governor)
        TimelockController(minDelaySeconds, _only(governor), _only(address(0)), address(0))
    {}

    function _only(address account) private pure returns (address[] memory accounts) {
        accounts = new address[](1);
        accounts[0] = account;
    }
}
