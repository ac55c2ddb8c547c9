// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title A registry with a guardian who can only stop
/// @notice The owner, a timelock behind the governor, writes. The guardian takes things out of service at once and can
/// do nothing else: whatever puts something into service goes through a vote.
interface IGuarded {
    /// @notice The guardian was replaced.
    event GuardianChanged(address indexed previous, address indexed current);

    /// @notice The caller is neither the guardian nor the owner.
    error NotGuardian(address caller);

    /// @notice Who may suspend. The zero address means that only the owner may.
    function guardian() external view returns (address);

    /// @notice Replaces the guardian. Only the owner.
    function setGuardian(address current) external;
}
