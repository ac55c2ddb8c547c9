// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IOracleRegistry} from "../../src/interfaces/IOracleRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {AuditFixture} from "../support/AuditFixture.sol";

/// @notice The contracts' promises as predicates. The invariants hold them after every step of a random life; the mutant
/// tests show for each that a contract without one check breaks it. What they say of a trigger is worked out from the
/// records, and not with the functions that the coordinator asks.
abstract contract Promises is AuditFixture {
    /// A call that somebody without the right to it tries.
    struct Attempt {
        address target;
        bytes data;
    }

    // ---------------------------------------------------------------- money

    /// The pool has what it holds for its shares and what it owes to those who left, and holds what it has promised.
    function poolIsSolvent() internal view returns (bool) {
        return
            token.balanceOf(address(pool)) >= pool.totalAssets() + pool.owed() && pool.totalAssets() >= pool.reserved();
    }

    /// The provider was paid at most one benefit for each nullifier.
    function oneBenefitEach(uint256 nullifiers) internal view returns (bool) {
        return token.balanceOf(provider) <= nullifiers * BENEFIT;
    }

    /// The registry has every bond and the whole budget.
    function bondsAreCovered(address[] memory bonded) internal view returns (bool) {
        uint256 owed = oracles.rewardBudget();
        for (uint256 i = 0; i < bonded.length; ++i) {
            owed += oracles.oracleOf(bonded[i]).bond;
        }
        return token.balanceOf(address(oracles)) >= owed;
    }

    /// Votes are the balances of those who delegated, no more and no less.
    function votesAreTheSupplyDelegated(address[] memory holders) internal view returns (bool) {
        uint256 delegated;
        uint256 votes;
        for (uint256 i = 0; i < holders.length; ++i) {
            if (token.delegates(holders[i]) != address(0)) delegated += token.balanceOf(holders[i]);
            votes += token.getVotes(holders[i]);
        }
        return votes == delegated && token.totalSupply() == SUPPLY;
    }

    // ---------------------------------------------------------------- care

    /// Whether every condition for this trigger holds, given whether its proof is a real one.
    function mayStart(ICareCoordinator.TriggerRequest memory request_, bool proved) internal view returns (bool) {
        IPolicyRegistry.Policy memory policy = policies.policyOf(request_.policyId);
        (, IModelRegistry.Service memory service) = models.modelOf(policy.modelId);
        IOracleRegistry.Oracle memory attester = oracles.oracleOf(request_.oracle);
        if (!proved || policy.status != IPolicyRegistry.Status.Active) return false;
        if (service.status != IModelRegistry.Status.Active) return false;
        if (attester.status != IOracleRegistry.Status.Admitted || attester.bond < MINIMUM_BOND) return false;
        if (!mandates.isLive(request_.mandateId, request_.policyId, request_.oracle)) return false;
        if (request_.score < policy.threshold || block.timestamp - request_.windowEnd > MAX_AGE) return false;
        bytes32 nullifier = keccak256(abi.encode(request_.mandateId, request_.policyId, request_.windowEnd / COOL_DOWN));
        return coordinator.triggerOf(nullifier).benefit == 0;
    }

    // ---------------------------------------------------------------- power

    /// Whether somebody who is not the timelock can write to a registry or take from the pool, now.
    function isOpenTo(address who) internal returns (bool) {
        return _anySucceeds(who, _writes()) || (who != guardian && _anySucceeds(who, _stops()));
    }

    /// What puts something into service, or in other hands.
    function _writes() private view returns (Attempt[] memory attempts) {
        address[5] memory owned =
            [address(models), address(policies), address(oracles), address(credentials), address(pool)];
        attempts = new Attempt[](24);
        uint256 n;
        for (uint256 i = 0; i < owned.length; ++i) {
            attempts[n++] = Attempt(owned[i], abi.encodeWithSignature("transferOwnership(address)", address(this)));
            if (i < 4) attempts[n++] = Attempt(owned[i], abi.encodeCall(models.setGuardian, (address(this))));
        }
        attempts[n++] = Attempt(address(models), abi.encodeCall(models.registerModel, (commitmentOf("stranger"))));
        attempts[n++] = Attempt(
            address(models),
            abi.encodeCall(
                models.approveModel, (commitmentOf("own"), bindingTo(address(standIn)), evidence(), changeControl())
            )
        );
        attempts[n++] = Attempt(
            address(models),
            abi.encodeCall(
                models.approveAuditVerifier,
                (modelId, IModelRegistry.AuditBinding(address(standIn), 1, 2, keccak256("vk")))
            )
        );
        attempts[n++] = Attempt(address(models), abi.encodeCall(models.reinstateModel, (modelId)));
        attempts[n++] = Attempt(address(models), abi.encodeCall(models.deprecateModel, (uint256(modelId))));
        IPolicyRegistry.Terms memory generous = terms();
        generous.benefit *= 2;
        attempts[n++] = Attempt(address(policies), abi.encodeCall(policies.approvePolicy, (generous)));
        attempts[n++] = Attempt(address(policies), abi.encodeCall(policies.reinstatePolicy, (policyId)));
        attempts[n++] = Attempt(address(policies), abi.encodeCall(policies.retirePolicy, (policyId)));
        attempts[n++] = Attempt(address(oracles), abi.encodeCall(oracles.admitOracle, (address(this))));
        attempts[n++] = Attempt(address(oracles), abi.encodeCall(oracles.reinstateOracle, (oracle.addr)));
        attempts[n++] = Attempt(address(oracles), abi.encodeCall(oracles.removeOracle, (oracle.addr)));
        attempts[n++] = Attempt(address(oracles), abi.encodeCall(oracles.setReward, (1)));
        attempts[n++] = Attempt(address(oracles), abi.encodeCall(oracles.withdrawRewards, (address(this), 0)));
        attempts[n++] = Attempt(address(credentials), abi.encodeCall(credentials.addIssuer, (address(this))));
        attempts[n++] = Attempt(address(pool), abi.encodeCall(pool.withdrawSurplus, (address(this), 0)));
    }

    /// What takes something out of service.
    function _stops() private view returns (Attempt[] memory attempts) {
        attempts = new Attempt[](5);
        attempts[0] = Attempt(address(models), abi.encodeCall(models.suspendModel, (modelId)));
        attempts[1] = Attempt(address(policies), abi.encodeCall(policies.suspendPolicy, (policyId)));
        attempts[2] = Attempt(address(oracles), abi.encodeCall(oracles.suspendOracle, (oracle.addr)));
        attempts[3] = Attempt(address(credentials), abi.encodeCall(credentials.removeIssuer, (issuer.addr)));
        attempts[4] = Attempt(address(credentials), abi.encodeCall(credentials.revokeCredential, (provider)));
    }

    function _anySucceeds(address who, Attempt[] memory attempts) private returns (bool) {
        for (uint256 i = 0; i < attempts.length; ++i) {
            vm.prank(who);
            (bool accepted,) = attempts[i].target.call(attempts[i].data);
            if (accepted) return true;
        }
        return false;
    }
}
