// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IGuarded} from "./IGuarded.sol";

/// @title Registry of the oracles that attest windows
/// @notice An oracle is a signing key inside a hospital's trust domain. Governance admits it; it counts once its bond is
/// paid in full, until it is suspended, jailed or removed; it may also leave by itself. After that the bond stays locked for
/// a delay, so that the oracle can still be held to what it signed, and then goes back to the oracle.
///
/// Rewards: each attestation that started care counts for its oracle, and is paid at the rate in force when the reward is
/// claimed, as far as the budget that governance paid in reaches. What the budget does not reach stays claimable.
///
/// Slashing: an oracle that signed two commitments for one mandate, window end and schema loses its whole bond, since it
/// cannot have seen two windows there. Anyone may show the two signatures; the reporter gets its share, the rest goes into
/// the budget, and the oracle is jailed: for a time not even a vote reinstates it.
/// @dev Assumes of the bond token that a transfer moves exactly the amount named: governance chooses the token at
/// deployment. Of the coordinator, fixed at deployment, it assumes that `attestationDigest` is what oracles sign, and that
/// it records an attestation once and only where care was started. Whoever sees evidence on its way may send it first and
/// take the reporter's share; the oracle is slashed all the same. The owner is the timelock.
interface IOracleRegistry is IGuarded {
    /// @notice Where an oracle stands.
    enum Status {
        Unknown,
        Admitted,
        Suspended,
        Removed,
        Jailed
    }

    /// @notice What the registry goes by, fixed at deployment.
    /// @param minimumBond The lowest bond with which an oracle counts.
    /// @param unbondingSeconds How long a removed oracle's bond stays locked.
    /// @param jailSeconds How long an oracle that was slashed cannot be reinstated.
    /// @param reporterShareBps The reporter's share of a slashed bond, in ten-thousandths.
    struct Rules {
        uint128 minimumBond;
        uint64 unbondingSeconds;
        uint64 jailSeconds;
        uint16 reporterShareBps;
    }

    /// @notice Two signatures of one oracle that cannot both be honest.
    struct Equivocation {
        address oracle;
        bytes32 mandateId;
        uint64 windowEnd;
        bytes32 schema;
        bytes32 firstCommitment;
        bytes firstSignature;
        bytes32 secondCommitment;
        bytes secondSignature;
    }

    /// @notice An oracle's record.
    /// @param bond What is held for it, in the bond token's smallest unit.
    /// @param since When it was removed or jailed; zero where it is neither.
    /// @param status Where it stands.
    /// @param accepted Attestations that started care and are not rewarded yet.
    struct Oracle {
        uint128 bond;
        uint64 since;
        Status status;
        uint32 accepted;
    }

    /// @notice Governance admitted an oracle, for the first time or again after a removal.
    event OracleAdmitted(address indexed oracle);

    /// @notice A bond was paid in.
    event OracleBonded(address indexed oracle, address indexed from, uint128 amount, uint128 bond);

    /// @notice An oracle's signatures stopped counting.
    event OracleSuspended(address indexed oracle, address indexed by);

    /// @notice A suspended or jailed oracle may count again.
    event OracleReinstated(address indexed oracle);

    /// @notice An oracle was removed; its bond is free after the delay.
    event OracleRemoved(address indexed oracle, uint64 bondFreeAt);

    /// @notice A removed oracle took its bond.
    event BondWithdrawn(address indexed oracle, uint128 amount);

    /// @notice An oracle was shown to have signed two commitments for one window.
    event OracleSlashed(address indexed oracle, address indexed reporter, uint128 slashed, uint128 reporterReward);

    /// @notice The reward of an accepted attestation was changed.
    event RewardChanged(uint128 perAttestation);

    /// @notice The budget for rewards was paid into.
    event RewardsFunded(address indexed from, uint128 amount);

    /// @notice An oracle was paid for attestations.
    event RewardPaid(address indexed oracle, uint32 attestations, uint128 amount);

    /// @notice The owner took back a part of the budget.
    event RewardsWithdrawn(address indexed to, uint128 amount);

    /// @notice The step is not possible from where the oracle stands.
    error WrongOracleStatus(address oracle, Status actual);

    /// @notice The bond is locked until a later time.
    error BondLocked(address oracle, uint64 freeAt);

    /// @notice An address or an amount that must not be zero is, or a share is more than the whole.
    error InvalidOracleArgument();

    /// @notice The caller is not the coordinator.
    error NotCoordinator(address caller);

    /// @notice The two commitments are the same, or a signature is not the oracle's.
    error NoEquivocation(address oracle);

    /// @notice The oracle was slashed for this window already.
    error AlreadySlashed(address oracle, bytes32 mandateId, uint64 windowEnd);

    /// @notice The oracle is in jail until a later time.
    error OracleInJail(address oracle, uint64 until);

    /// @notice The budget holds less than is asked for.
    error BudgetExceeded(uint128 budget, uint128 requested);

    /// @notice Admits an oracle. Only the owner.
    function admitOracle(address oracle) external;

    /// @notice Pays into an admitted oracle's bond from the caller's tokens. Anyone.
    function payBond(address oracle, uint128 amount) external;

    /// @notice Stops an oracle's signatures from counting at once. The guardian or the owner.
    function suspendOracle(address oracle) external;

    /// @notice Lets an oracle's signatures count again that is suspended, or jailed and has served its time. Only the owner.
    function reinstateOracle(address oracle) external;

    /// @notice Removes an oracle and starts the delay on its bond. Only the owner.
    function removeOracle(address oracle) external;

    /// @notice Removes the caller, an admitted or suspended oracle, and starts the delay on its bond.
    function unbond() external;

    /// @notice Takes the caller's bond after removal and delay.
    function withdrawBond() external;

    /// @notice Takes the bond of an oracle that signed two commitments for one mandate, window end and schema, and jails it.
    /// Anyone; the caller gets the reporter's share. Once for each such window.
    function slash(Equivocation calldata evidence) external;

    /// @notice Counts an attestation that started care. Only the coordinator.
    function recordAccepted(address oracle) external;

    /// @notice Sets what an accepted attestation is rewarded with. Only the owner.
    function setReward(uint128 perAttestation) external;

    /// @notice Pays into the budget for rewards from the caller's tokens. Anyone.
    function fundRewards(uint128 amount) external;

    /// @notice Takes back what is in the budget. Only the owner.
    function withdrawRewards(address to, uint128 amount) external;

    /// @notice Pays an oracle for its accepted attestations, as far as the budget reaches. Anyone; to the oracle.
    function claimReward(address oracle) external;

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

    /// @notice How long an oracle that was slashed cannot be reinstated.
    function jailSeconds() external view returns (uint64);

    /// @notice The reporter's share of a slashed bond, in ten-thousandths.
    function reporterShareBps() external view returns (uint16);

    /// @notice The contract whose accepted attestations are rewarded.
    function coordinator() external view returns (address);

    /// @notice What an accepted attestation is rewarded with.
    function rewardPerAttestation() external view returns (uint128);

    /// @notice What is there to pay rewards from.
    function rewardBudget() external view returns (uint128);
}
