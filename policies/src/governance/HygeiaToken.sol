// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";

/// @title HygeiaToken
/// @notice The governance token. The whole supply is minted once, at deployment: there is no minter, so the supply is its
/// own cap. Votes count from the moment a holder delegates, and are measured in seconds (ERC-6372), not in blocks.
contract HygeiaToken is ERC20, ERC20Permit, ERC20Votes {
    /// @param holder Who receives the whole supply.
    /// @param supply The supply in the smallest unit, 18 decimals.
    constructor(address holder, uint256 supply) ERC20("Hygeia", "HYG") ERC20Permit("Hygeia") {
        _mint(holder, supply);
    }

    /// @notice The clock that votes are counted by: seconds since the epoch.
    function clock() public view override returns (uint48) {
        return uint48(block.timestamp);
    }

    /// @notice The clock's kind, as ERC-6372 writes it.
    // forge-lint: disable-next-line(mixed-case-function)
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    /// @inheritdoc ERC20Permit
    function nonces(address holder) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(holder);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }
}
