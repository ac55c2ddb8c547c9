// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IGuarded} from "../interfaces/IGuarded.sol";

/// @title Base of the registries: an owner who writes, a guardian who can only stop
abstract contract Guarded is IGuarded, Ownable {
    /// @inheritdoc IGuarded
    address public guardian;

    modifier onlyGuardian() {
        if (msg.sender != guardian && msg.sender != owner()) revert NotGuardian(msg.sender);
        _;
    }

    constructor(address owner_, address guardian_) Ownable(owner_) {
        _setGuardian(guardian_);
    }

    /// @inheritdoc IGuarded
    function setGuardian(address current) external onlyOwner {
        _setGuardian(current);
    }

    function _setGuardian(address current) private {
        emit GuardianChanged(guardian, current);
        guardian = current;
    }
}
