// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IGuarded} from "./IGuarded.sol";

/// @title Registry of the oracles that attest windows
/// @notice An oracle is a signing key inside a hospital's trust domain. Governance admits it; it counts once its bond is
/// paid in full, until it is suspended or removed. After removal the bond stays locked for a delay, so that a removed
/// oracle can still be held to what it signed, and then goes back to the oracle.
/// @dev Assumes of the bond token that a transfer moves exactly the amount named: governance chooses the token at
/// deployment. The owner is the timelock.
interface IOracleRegistry is IGuarded {
    /// @notice Where an oracle stands.
    enum Status {
        Unknown,
        Admitted,
        Suspended,
        Removed
    }

    /// @notice An oracle's record.
    /// @param bond What is held for it, in the bond token's smallest unit.
    /// @param removedAt When it was removed; zero before.
    /// @param status Where it stands.
    struct Oracle {
        uint128 bond;
        uint64 removedAt;
        Status status;
    }

    /// @notice Governance admitted an oracle, for the first time or again after a removal.
    event OracleAdmitted(address indexed oracle);

    /// @notice A bond was paid in.
    event OracleBonded(address indexed oracle, address indexed from, uint128 amount, uint128 bond);

    /// @notice An oracle's signatures stopped counting.
    event OracleSuspended(address indexed oracle, address indexed by);

    /// @notice A suspended oracle's signatures count again.
    event OracleReinstated(address indexed oracle);

    /// @notice An oracle was removed; its bond is free after the delay.
    event OracleRemoved(address indexed oracle, uint64 bondFreeAt);

    /// @notice A removed oracle took its bond.
    event BondWithdrawn(address indexed oracle, uint128 amount);

    /// @notice The step is not possible from where the oracle stands.
    error WrongOracleStatus(address oracle, Status actual);

    /// @notice The bond is locked until a later time.
    error BondLocked(address oracle, uint64 freeAt);

    /// @notice An address or an amount that must not be zero is.
    error InvalidOracleArgument();

    /// @notice Admits an oracle. Only the owner.
    function admitOracle(address oracle) external;

    /// @notice Pays into an admitted oracle's bond from the caller's tokens. Anyone.
    function payBond(address oracle, uint128 amount) external;

    /// @notice Stops an oracle's signatures from counting at once. The guardian or the owner.
    function suspendOracle(address oracle) external;

    /// @notice Lets a suspended oracle's signatures count again. Only the owner.
    function reinstateOracle(address oracle) external;

    /// @notice Removes an oracle and starts the delay on its bond. Only the owner.
    function removeOracle(address oracle) external;

    /// @notice Takes the caller's bond after removal and delay.
    function withdrawBond() external;

    /// @notice Whether the oracle's signatures count now.
    function isActive(address oracle) external view returns (bool);

    /// @notice An oracle's record; all zero where it is unknown.
    function oracleOf(address oracle) external view returns (Oracle memory);

    /// @notice The token that bonds are paid in.
    function bondToken() external view returns (IERC20);

    /// @notice The lowest bond with which an oracle counts.
    function minimumBond() external view returns (uint128);

    /// @notice How long a removed oracle's bond stays locked.
    function unbondingSeconds() external view returns (uint64);
}
