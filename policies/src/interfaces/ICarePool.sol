// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title The fund that care benefits are paid from
/// @notice Holds one ERC-20. The coordinator reserves benefits, pays them out or releases them; the owner, which is the
/// timelock, may take only what is not reserved. Invariant: the pool's balance is never below what is reserved.
/// @dev The pool keeps the sum of the reservations. Which trigger a reservation belongs to, and that it is paid or
/// released once, is the coordinator's to know: the pool assumes of its coordinator, fixed at deployment, that it pays or
/// releases no more than it reserved, and reverts where the sum shows otherwise. Of the token it assumes that a transfer
/// moves exactly the amount named; it may call back, since every state-changing function refuses re-entry.
interface ICarePool {
    /// @notice The pool was paid into.
    event PoolFunded(address indexed from, uint256 amount);

    /// @notice A benefit was set aside.
    event BenefitReserved(uint256 amount, uint256 reserved);

    /// @notice A benefit set aside was freed.
    event BenefitReleased(uint256 amount, uint256 reserved);

    /// @notice A benefit set aside was paid.
    event BenefitPaid(address indexed to, uint256 amount, uint256 reserved);

    /// @notice The owner took funds that were not reserved.
    event SurplusWithdrawn(address indexed to, uint256 amount);

    /// @notice Less is free than is asked for.
    error InsufficientFunds(uint256 available, uint256 required);

    /// @notice Less is reserved than is to be paid or released.
    error ReservationExceeded(uint256 reserved, uint256 requested);

    /// @notice The caller is not the coordinator.
    error NotCoordinator(address caller);

    /// @notice An address that must not be zero is.
    error InvalidPoolArgument();

    /// @notice Pays into the pool from the caller's tokens. Anyone.
    function fund(uint256 amount) external;

    /// @notice Sets a benefit aside. Only the coordinator.
    function reserve(uint256 amount) external;

    /// @notice Frees a benefit that was set aside. Only the coordinator.
    function release(uint256 amount) external;

    /// @notice Pays a benefit that was set aside. Only the coordinator.
    function pay(address to, uint256 amount) external;

    /// @notice Takes funds that are not reserved. Only the owner.
    function withdrawSurplus(address to, uint256 amount) external;

    /// @notice The token benefits are paid in.
    function asset() external view returns (IERC20);

    /// @notice The contract that reserves, pays and releases.
    function coordinator() external view returns (address);

    /// @notice What is set aside for triggers that are neither fulfilled nor lapsed.
    function reserved() external view returns (uint256);

    /// @notice What may be set aside now.
    function available() external view returns (uint256);
}
