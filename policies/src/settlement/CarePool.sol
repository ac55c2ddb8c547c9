// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ICarePool} from "../interfaces/ICarePool.sol";

/// @title CarePool
contract CarePool is ICarePool, Ownable, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @inheritdoc ICarePool
    IERC20 public immutable asset;
    /// @inheritdoc ICarePool
    address public immutable coordinator;
    /// @inheritdoc ICarePool
    uint256 public reserved;

    modifier onlyCoordinator() {
        if (msg.sender != coordinator) revert NotCoordinator(msg.sender);
        _;
    }

    constructor(IERC20 asset_, address coordinator_, address owner_) Ownable(owner_) {
        if (address(asset_) == address(0) || coordinator_ == address(0)) revert InvalidPoolArgument();
        asset = asset_;
        coordinator = coordinator_;
    }

    // ---------------------------------------------------------------- funding

    /// @inheritdoc ICarePool
    function fund(uint256 amount) external nonReentrant {
        emit PoolFunded(msg.sender, amount);
        asset.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc ICarePool
    function withdrawSurplus(address to, uint256 amount) external onlyOwner nonReentrant {
        _requireAvailable(amount);
        emit SurplusWithdrawn(to, amount);
        asset.safeTransfer(to, amount);
    }

    // ---------------------------------------------------------------- benefits

    /// @inheritdoc ICarePool
    function reserve(uint256 amount) external onlyCoordinator nonReentrant {
        _requireAvailable(amount);
        reserved += amount;
        emit BenefitReserved(amount, reserved);
    }

    /// @inheritdoc ICarePool
    function release(uint256 amount) external onlyCoordinator nonReentrant {
        _unreserve(amount);
        emit BenefitReleased(amount, reserved);
    }

    /// @inheritdoc ICarePool
    function pay(address to, uint256 amount) external onlyCoordinator nonReentrant {
        _unreserve(amount);
        emit BenefitPaid(to, amount, reserved);
        asset.safeTransfer(to, amount);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc ICarePool
    function available() public view returns (uint256) {
        return asset.balanceOf(address(this)) - reserved;
    }

    function _requireAvailable(uint256 amount) private view {
        uint256 free = available();
        if (amount > free) revert InsufficientFunds(free, amount);
    }

    function _unreserve(uint256 amount) private {
        if (amount > reserved) revert ReservationExceeded(reserved, amount);
        reserved -= amount;
    }
}
