// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Guarded} from "../access/Guarded.sol";
import {ICareCoordinator} from "../interfaces/ICareCoordinator.sol";
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

    /// @inheritdoc IOracleRegistry
    uint64 public immutable jailSeconds;
    /// @inheritdoc IOracleRegistry
    uint16 public immutable reporterShareBps;
    /// @inheritdoc IOracleRegistry
    address public immutable coordinator;
    /// @inheritdoc IOracleRegistry
    uint128 public rewardPerAttestation;
    /// @inheritdoc IOracleRegistry
    uint128 public rewardBudget;

    uint16 private constant WHOLE_BPS = 10_000;

    mapping(address oracle => Oracle) private _oracles;
    /// Windows for which an oracle was slashed, by the hash of oracle, mandate, window end and schema.
    mapping(bytes32 window => bool) private _slashed;

    constructor(IERC20 bondToken_, address coordinator_, Rules memory rules, address owner_, address guardian_)
        Guarded(owner_, guardian_)
    {
        if (
            address(bondToken_) == address(0) || coordinator_ == address(0) || rules.minimumBond == 0
                || rules.reporterShareBps > WHOLE_BPS
        ) revert InvalidOracleArgument();
        bondToken = bondToken_;
        coordinator = coordinator_;
        minimumBond = rules.minimumBond;
        unbondingSeconds = rules.unbondingSeconds;
        jailSeconds = rules.jailSeconds;
        reporterShareBps = rules.reporterShareBps;
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
        record.since = 0;
        emit OracleAdmitted(oracle);
    }

    /// @inheritdoc IOracleRegistry
    function suspendOracle(address oracle) external onlyGuardian {
        Oracle storage record = _oracles[oracle];
        if (record.status != Status.Admitted) revert WrongOracleStatus(oracle, record.status);
        record.status = Status.Suspended;
        emit OracleSuspended(oracle, msg.sender);
    }

    /// @inheritdoc IOracleRegistry
    function reinstateOracle(address oracle) external onlyOwner {
        Oracle storage record = _oracles[oracle];
        if (record.status == Status.Jailed) {
            uint64 until = record.since + jailSeconds;
            if (block.timestamp < until) revert OracleInJail(oracle, until);
        } else if (record.status != Status.Suspended) {
            revert WrongOracleStatus(oracle, record.status);
        }
        record.status = Status.Admitted;
        record.since = 0;
        emit OracleReinstated(oracle);
    }

    /// @inheritdoc IOracleRegistry
    function removeOracle(address oracle) external onlyOwner {
        _remove(oracle);
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
    function unbond() external {
        _remove(msg.sender);
    }

    /// @inheritdoc IOracleRegistry
    function withdrawBond() external {
        Oracle storage record = _oracles[msg.sender];
        if (record.status != Status.Removed) revert WrongOracleStatus(msg.sender, record.status);
        uint64 freeAt = record.since + unbondingSeconds;
        if (block.timestamp < freeAt) revert BondLocked(msg.sender, freeAt);
        uint128 amount = record.bond;
        record.bond = 0;
        emit BondWithdrawn(msg.sender, amount);
        bondToken.safeTransfer(msg.sender, amount);
    }

    // ---------------------------------------------------------------- slashing

    /// @inheritdoc IOracleRegistry
    function slash(Equivocation calldata evidence) external {
        address oracle = evidence.oracle;
        if (
            evidence.firstCommitment == evidence.secondCommitment
                || !_attested(evidence, evidence.firstCommitment, evidence.firstSignature)
                || !_attested(evidence, evidence.secondCommitment, evidence.secondSignature)
        ) revert NoEquivocation(oracle);
        Oracle storage record = _oracles[oracle];
        if (record.bond == 0) revert WrongOracleStatus(oracle, record.status);
        bytes32 window = keccak256(abi.encode(oracle, evidence.mandateId, evidence.windowEnd, evidence.schema));
        if (_slashed[window]) revert AlreadySlashed(oracle, evidence.mandateId, evidence.windowEnd);
        _slashed[window] = true;

        uint128 bond = record.bond;
        uint128 reward = uint128(uint256(bond) * reporterShareBps / WHOLE_BPS);
        _oracles[oracle] = Oracle({bond: 0, since: uint64(block.timestamp), status: Status.Jailed, accepted: 0});
        rewardBudget += bond - reward;
        emit OracleSlashed(oracle, msg.sender, bond, reward);
        bondToken.safeTransfer(msg.sender, reward);
    }

    // ---------------------------------------------------------------- rewards

    /// @inheritdoc IOracleRegistry
    function recordAccepted(address oracle) external {
        if (msg.sender != coordinator) revert NotCoordinator(msg.sender);
        ++_oracles[oracle].accepted;
    }

    /// @inheritdoc IOracleRegistry
    function setReward(uint128 perAttestation) external onlyOwner {
        rewardPerAttestation = perAttestation;
        emit RewardChanged(perAttestation);
    }

    /// @inheritdoc IOracleRegistry
    function fundRewards(uint128 amount) external {
        rewardBudget += amount;
        emit RewardsFunded(msg.sender, amount);
        bondToken.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IOracleRegistry
    function withdrawRewards(address to, uint128 amount) external onlyOwner {
        if (amount > rewardBudget) revert BudgetExceeded(rewardBudget, amount);
        rewardBudget -= amount;
        emit RewardsWithdrawn(to, amount);
        bondToken.safeTransfer(to, amount);
    }

    /// @inheritdoc IOracleRegistry
    function claimReward(address oracle) external {
        uint128 rate = rewardPerAttestation;
        if (rate == 0) revert InvalidOracleArgument();
        Oracle storage record = _oracles[oracle];
        uint128 covered = rewardBudget / rate;
        // forge-lint: disable-next-line(unsafe-typecast)
        uint32 attestations = covered < record.accepted ? uint32(covered) : record.accepted;
        uint128 amount = attestations * rate;
        record.accepted -= attestations;
        rewardBudget -= amount;
        emit RewardPaid(oracle, attestations, amount);
        bondToken.safeTransfer(oracle, amount);
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

    // ---------------------------------------------------------------- steps

    function _remove(address oracle) private {
        Oracle storage record = _oracles[oracle];
        if (record.status != Status.Admitted && record.status != Status.Suspended) {
            revert WrongOracleStatus(oracle, record.status);
        }
        record.status = Status.Removed;
        record.since = uint64(block.timestamp);
        emit OracleRemoved(oracle, record.since + unbondingSeconds);
    }

    function _attested(Equivocation calldata evidence, bytes32 commitment, bytes calldata signature)
        private
        view
        returns (bool)
    {
        bytes32 digest = ICareCoordinator(coordinator)
            .attestationDigest(evidence.mandateId, evidence.windowEnd, evidence.schema, commitment);
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        return failure == ECDSA.RecoverError.NoError && signer == evidence.oracle;
    }
}
