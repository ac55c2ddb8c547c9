// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {IOracleRegistry} from "../../src/interfaces/IOracleRegistry.sol";
import {PowerHandler} from "./PowerHandler.sol";
import {Promises} from "./Promises.sol";

/// @notice The world the handler acts on: governance, guardian, a few oracles and token holders.
abstract contract PowerDriver is Promises {
    uint256 internal constant ORACLES = 3;
    uint256 internal constant HOLDERS = 4;

    function setUpPower() internal {
        setUpCare();
        for (uint256 i = 1; i < ORACLES; ++i) {
            vm.prank(address(timelock));
            oracles.admitOracle(_oracle(i).addr);
        }
        vm.prank(address(timelock));
        oracles.setReward(1 ether);
    }

    // ---------------------------------------------------------------- oracles

    function payBond(uint256 index, uint128 amount) external {
        if (_status(index) != IOracleRegistry.Status.Admitted) return;
        vm.prank(treasury);
        oracles.payBond(_oracle(index).addr, amount);
    }

    function unbond(uint256 index) external {
        if (!_isAdmittedOrSuspended(_status(index))) return;
        vm.prank(_oracle(index).addr);
        oracles.unbond();
    }

    function withdrawBond(uint256 index) external {
        address who = _oracle(index).addr;
        IOracleRegistry.Oracle memory record = oracles.oracleOf(who);
        if (record.status != IOracleRegistry.Status.Removed || block.timestamp < record.since + UNBONDING) return;
        vm.prank(who);
        oracles.withdrawBond();
    }

    function slash(uint256 index, uint64 windowEnd) external {
        Vm.Wallet memory wallet = _oracle(index);
        if (oracles.oracleOf(wallet.addr).bond == 0) return;
        IOracleRegistry.Equivocation memory shown;
        (shown.oracle, shown.mandateId, shown.windowEnd, shown.schema) = (wallet.addr, mandateId, windowEnd, SCHEMA);
        (shown.firstCommitment, shown.secondCommitment) = (bytes32(uint256(1)), bytes32(uint256(2)));
        shown.firstSignature =
            sign(wallet, coordinator.attestationDigest(mandateId, windowEnd, SCHEMA, shown.firstCommitment));
        shown.secondSignature =
            sign(wallet, coordinator.attestationDigest(mandateId, windowEnd, SCHEMA, shown.secondCommitment));
        vm.prank(treasury);
        oracles.slash(shown);
    }

    function accept(uint256 index) external {
        vm.prank(address(coordinator));
        oracles.recordAccepted(_oracle(index).addr);
    }

    function fundRewards(uint128 amount) external {
        vm.prank(treasury);
        oracles.fundRewards(amount);
    }

    function claimReward(uint256 index) external {
        oracles.claimReward(_oracle(index).addr);
    }

    /// Governance puts back whatever may be put back; the guardian stops it.
    function setOracle(uint256 index, bool active) external {
        address who = _oracle(index).addr;
        IOracleRegistry.Oracle memory record = oracles.oracleOf(who);
        if (!active) {
            if (record.status != IOracleRegistry.Status.Admitted) return;
            vm.prank(guardian);
            oracles.suspendOracle(who);
            return;
        }
        bool served = record.status == IOracleRegistry.Status.Jailed && block.timestamp >= record.since + JAIL;
        vm.startPrank(address(timelock));
        if (served || record.status == IOracleRegistry.Status.Suspended) oracles.reinstateOracle(who);
        if (record.status == IOracleRegistry.Status.Removed) oracles.admitOracle(who);
        vm.stopPrank();
    }

    function setPolicyAndModel(bool active) external {
        if (policies.isActive(policyId) == active) return;
        vm.startPrank(active ? address(timelock) : guardian);
        active ? policies.reinstatePolicy(policyId) : policies.suspendPolicy(policyId);
        active ? models.reinstateModel(modelId) : models.suspendModel(modelId);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- votes

    function transfer(uint256 from, uint256 to, uint256 amount) external {
        address holder = _holders()[from % HOLDERS];
        amount = bound(amount, 0, token.balanceOf(holder) / 2);
        vm.prank(holder);
        assertTrue(token.transfer(_holders()[to % HOLDERS], amount));
    }

    function delegate(uint256 from, uint256 to) external {
        vm.prank(_holders()[from % HOLDERS]);
        // One in five takes its votes back.
        token.delegate(to % 5 == 4 ? address(0) : _holders()[to % HOLDERS]);
    }

    // ---------------------------------------------------------------- attempts

    function isOpen(bool toTheGuardian) external returns (bool) {
        return isOpenTo(toTheGuardian ? guardian : makeAddr("stranger"));
    }

    // ---------------------------------------------------------------- who is who

    function _oracle(uint256 index) internal returns (Vm.Wallet memory) {
        index = index % ORACLES;
        return index == 0 ? oracle : vm.createWallet(string.concat("oracle ", vm.toString(index)));
    }

    function _bonded() internal returns (address[] memory bonded) {
        bonded = new address[](ORACLES);
        for (uint256 i = 0; i < ORACLES; ++i) {
            bonded[i] = _oracle(i).addr;
        }
    }

    function _holders() internal returns (address[] memory holders) {
        holders = new address[](HOLDERS);
        (holders[0], holders[1]) = (treasury, makeAddr("holder 1"));
        (holders[2], holders[3]) = (makeAddr("holder 2"), makeAddr("holder 3"));
    }

    function _status(uint256 index) private returns (IOracleRegistry.Status) {
        return oracles.oracleOf(_oracle(index).addr).status;
    }

    function _isAdmittedOrSuspended(IOracleRegistry.Status status) private pure returns (bool) {
        return status == IOracleRegistry.Status.Admitted || status == IOracleRegistry.Status.Suspended;
    }
}

/// @notice What nobody can do, whatever governance, guardian, oracles and holders do.
/// forge-config: default.invariant.runs = 12
/// forge-config: nightly.invariant.runs = 128
contract PowerInvariants is PowerDriver {
    PowerHandler private handler;

    function setUp() public {
        setUpPower();
        handler = new PowerHandler(this);
        targetContract(address(handler));
    }

    /// Nobody but the timelock changes a registry or takes from the pool, and the guardian can only stop.
    function invariant_power() public view {
        assertEq(handler.breaches(), 0);
    }

    /// The registry has what it owes: every bond and the budget.
    function invariant_bondsAreCovered() public {
        assertTrue(bondsAreCovered(_bonded()));
    }

    /// Votes are the supply delegated.
    function invariant_votesAreTheSupplyDelegated() public {
        assertTrue(votesAreTheSupplyDelegated(_holders()));
    }
}
