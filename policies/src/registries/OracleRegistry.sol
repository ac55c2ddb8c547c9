// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Guarded} from "../access/Guarded.sol";
import {IOracleRegistry} from "../interfaces/IOracleRegistry.sol";

/// @title OracleRegistry
contract OracleRegistry is IOracleRegistry, Guarded {
    using SafeERC20 for IERC20;

    /// @inheritdoc IOracleRegistry
    IERC20 public immutable bondToken;
    /// @inheritdoc IOracleRegistry
    uint128 public immutable minimumBond;
    /// @inheritdoc IOracleRegistry
    uint64 public immutable unbondingSeconds;

    mapping(address oracle => Oracle) private _oracles;

    constructor(IERC20 bondToken_, uint128 minimumBond_, uint64 unbondingSeconds_, address owner_, address guardian_)
        Guarded(owner_, guardian_)
    {
        if (address(bondToken_) == address(0) || minimumBond_ == 0) revert InvalidOracleArgument();
        bondToken = bondToken_;
        minimumBond = minimumBond_;
        unbondingSeconds = unbondingSeconds_;
    }

    // ---------------------------------------------------------------- governance

    /// @inheritdoc IOracleRegistry
    function admitOracle(address oracle) external onlyOwner {
        if (oracle == address(0)) revert InvalidOracleArgument();
        Oracle storage record = _oracles[oracle];
        if (record.status != Status.Unknown && record.status != Status.Removed) {
            revert WrongOracleStatus(oracle, record.status);
        }
        record.status = Status.Admitted;
        record.removedAt = 0;
        emit OracleAdmitted(oracle);
    }

    /// @inheritdoc IOracleRegistry
    function suspendOracle(address oracle) external onlyGuardian {
        _move(oracle, Status.Admitted, Status.Suspended);
        emit OracleSuspended(oracle, msg.sender);
    }

    /// @inheritdoc IOracleRegistry
    function reinstateOracle(address oracle) external onlyOwner {
        _move(oracle, Status.Suspended, Status.Admitted);
        emit OracleReinstated(oracle);
    }

    /// @inheritdoc IOracleRegistry
    function removeOracle(address oracle) external onlyOwner {
        Oracle storage record = _oracles[oracle];
        if (record.status != Status.Admitted && record.status != Status.Suspended) {
            revert WrongOracleStatus(oracle, record.status);
        }
        record.status = Status.Removed;
        record.removedAt = uint64(block.timestamp);
        emit OracleRemoved(oracle, record.removedAt + unbondingSeconds);
    }

    // ---------------------------------------------------------------- bond

    /// @inheritdoc IOracleRegistry
    function payBond(address oracle, uint128 amount) external {
        Oracle storage record = _oracles[oracle];
        if (amount == 0) revert InvalidOracleArgument();
        if (record.status != Status.Admitted) revert WrongOracleStatus(oracle, record.status);
        record.bond += amount;
        emit OracleBonded(oracle, msg.sender, amount, record.bond);
        bondToken.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IOracleRegistry
    function withdrawBond() external {
        Oracle storage record = _oracles[msg.sender];
        if (record.status != Status.Removed) revert WrongOracleStatus(msg.sender, record.status);
        uint64 freeAt = record.removedAt + unbondingSeconds;
        if (block.timestamp < freeAt) revert BondLocked(msg.sender, freeAt);
        uint128 amount = record.bond;
        record.bond = 0;
        emit BondWithdrawn(msg.sender, amount);
        bondToken.safeTransfer(msg.sender, amount);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IOracleRegistry
    function isActive(address oracle) external view returns (bool) {
        Oracle storage record = _oracles[oracle];
        return record.status == Status.Admitted && record.bond >= minimumBond;
    }

    /// @inheritdoc IOracleRegistry
    function oracleOf(address oracle) external view returns (Oracle memory) {
        return _oracles[oracle];
    }

    function _move(address oracle, Status from, Status to) private {
        Oracle storage record = _oracles[oracle];
        if (record.status != from) revert WrongOracleStatus(oracle, record.status);
        record.status = to;
    }
}
