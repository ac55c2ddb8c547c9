// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A token that, once armed, makes a call of its own in the middle of each transfer.
contract ReentrantToken is ERC20 {
    address private _target;
    bytes private _call;
    uint256 public refused;
    uint256 public accepted;

    constructor() ERC20("Reentrant", "RE") {
        _mint(msg.sender, 1_000_000 ether);
    }

    function arm(address target, bytes calldata call_) external {
        (_target, _call) = (target, call_);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0)) return;
        (bool ok,) = _target.call(_call);
        if (ok) ++accepted;
        else ++refused;
    }
}
