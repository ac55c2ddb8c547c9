// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {CareCoordinator} from "../../src/settlement/CareCoordinator.sol";
import {AuditTree} from "../../src/libraries/AuditTree.sol";
import {PoseidonBn254} from "../../src/libraries/PoseidonBn254.sol";
import {ScoreField} from "../../src/libraries/ScoreField.sol";
import {CarePool} from "../../src/settlement/CarePool.sol";
import {CareHandler} from "./CareHandler.sol";
import {Promises} from "./Promises.sol";

/// @notice The world the handler acts on: it knows the keys, plays the timelock and the guardian, and says of each trigger
/// whether every condition for it holds, worked out from the registries and not from the coordinator.
abstract contract CareDriver is Promises {
    /// Leaves of the smallest audit.
    uint32 internal constant ALONE = 2;

    mapping(uint256 patient => uint256) private _generation;
    mapping(bytes32 mandateId => uint256 privateKey) private _keys;
    mapping(bytes32 triggerId => bool) internal disputed;

    function coordinator_() external view returns (CareCoordinator) {
        return coordinator;
    }

    function pool_() external view returns (CarePool) {
        return pool;
    }

    function prepare(uint256 patientIndex, int256 score, uint256 age, bool proved)
        external
        returns (ICareCoordinator.TriggerRequest memory prepared, bool allowed)
    {
        Vm.Wallet memory wallet = _wallet(patientIndex);
        bytes32 id = mandates.mandateIdOf(wallet.addr);
        uint64 windowEnd = uint64(block.timestamp - age);
        prepared = request(id, windowEnd, score);
        if (!proved) prepared.proof[0] ^= 0x01;
        ICareCoordinator.Usage memory usage = coordinator.usageOf(policyId);
        uint256 startsToday = usage.day == block.timestamp / 1 days ? usage.startsOfDay : 0;
        allowed = mayStart(prepared, proved) && usage.open < OPEN_MAX && startsToday < STARTS_PER_DAY
            && token.balanceOf(address(pool)) >= pool.owed() + pool.reserved() + BENEFIT;
    }

    /// The same for a window that stands, or does not, under the root of an audit of it alone.
    function prepareAudited(uint256 patientIndex, int256 score, uint256 age, bool proved)
        external
        returns (ICareCoordinator.TriggerRequest memory prepared, bytes32 root, bytes32[] memory path, bool allowed)
    {
        (prepared, allowed) = this.prepare(patientIndex, score, age, proved);
        prepared.proof = "";
        uint256 leaf = AuditTree.leafOf(uint256(prepared.commitment), ScoreField.encode(score));
        root = bytes32(PoseidonBn254.hash(AuditTree.nodeTagOf(ALONE), leaf, 0));
        path = new bytes32[](1);
        if (!proved) path[0] = bytes32(uint256(1));
        if (models.isActive(modelId) && audits.auditOf(modelId, root).recordedAt == 0) {
            audits.recordAudit(modelId, ALONE, root, 1, auditVerifier.proofOf(uint256(root), 1));
        }
    }

    function renewMandate(uint256 patientIndex) external {
        if (mandates.isLive(mandates.mandateIdOf(_wallet(patientIndex).addr), policyId, oracle.addr)) return;
        ++_generation[patientIndex];
        grantMandate(_wallet(patientIndex), policyId, oracle.addr);
    }

    function revokeMandate(uint256 patientIndex) external {
        Vm.Wallet memory wallet = _wallet(patientIndex);
        bytes32 id = mandates.mandateIdOf(wallet.addr);
        if (!mandates.isLive(id, policyId, oracle.addr)) return;
        mandates.revoke(id, sign(wallet, mandates.revocationDigest(id)));
    }

    /// @return The benefit paid, zero where the trigger could not be fulfilled.
    function fulfil(bytes32 triggerId) external returns (uint256) {
        ICareCoordinator.Trigger memory record = coordinator.triggerOf(triggerId);
        Vm.Wallet memory wallet = _walletOf(record.mandateId);
        bool possible = _isUnsettled(record.status) && block.timestamp <= record.deadline;
        bytes memory attendance = sign(wallet, coordinator.attendanceDigest(triggerId, provider));
        try coordinator.fulfil(triggerId, provider, attendance) {
            require(possible, "fulfilled what was not open");
            return record.benefit;
        } catch {
            require(!possible, "refused what was open");
            return 0;
        }
    }

    function lapse(bytes32 triggerId) external {
        ICareCoordinator.Trigger memory record = coordinator.triggerOf(triggerId);
        uint256 deadline = record.deadline;
        if (record.status == ICareCoordinator.Status.Disputed) deadline += ARBITRATION;
        bool possible = _isUnsettled(record.status) && block.timestamp > deadline;
        try coordinator.lapse(triggerId) {
            require(possible, "lapsed what could not lapse");
        } catch {
            require(!possible, "refused what could lapse");
        }
    }

    function dispute(bytes32 triggerId) external {
        ICareCoordinator.Trigger memory record = coordinator.triggerOf(triggerId);
        if (record.status != ICareCoordinator.Status.Open || block.timestamp > record.deadline) return;
        if (disputed[triggerId]) return;
        disputed[triggerId] = true;
        vm.prank(provider);
        coordinator.dispute(triggerId, keccak256("evidence"));
    }

    /// @return The benefit paid, zero where the claim was refused or there was nothing to decide.
    function resolve(bytes32 triggerId, bool attended) external returns (uint256) {
        ICareCoordinator.Trigger memory record = coordinator.triggerOf(triggerId);
        if (record.status != ICareCoordinator.Status.Disputed) return 0;
        if (block.timestamp > record.deadline + ARBITRATION) return 0;
        vm.prank(arbiter);
        coordinator.resolve(triggerId, attended);
        return attended ? record.benefit : 0;
    }

    function deposit(uint256 amount) external returns (uint256) {
        uint256 held = token.balanceOf(treasury);
        if (amount > held) amount = held;
        vm.prank(treasury);
        pool.deposit(amount, treasury);
        return amount;
    }

    function payPremium(uint256 amount) external returns (uint256) {
        uint256 held = token.balanceOf(treasury);
        if (amount > held) amount = held;
        vm.prank(treasury);
        pool.payPremium(amount);
        return amount;
    }

    function requestExit(uint256 shares) external {
        shares = bound(shares, 0, pool.balanceOf(treasury));
        if (shares == 0) return;
        vm.prank(treasury);
        pool.requestExit(shares);
    }

    /// @return assets What left the pool.
    function payOwed() external returns (uint256 assets) {
        assets = pool.owedTo(treasury);
        pool.payOwed(treasury);
    }

    function fund(uint256 amount) external returns (uint256) {
        uint256 held = token.balanceOf(treasury);
        if (amount > held) amount = held;
        vm.prank(treasury);
        pool.fund(amount);
        return amount;
    }

    function withdrawSurplus(uint256 amount) external returns (uint256) {
        uint256 waitedFor = pool.convertToAssets(pool.balanceOf(address(pool)));
        uint256 free = pool.available();
        free = free > waitedFor ? free - waitedFor : 0;
        uint256 own = pool.convertToAssets(pool.balanceOf(address(timelock)));
        amount = bound(amount, 0, free < own ? free : own);
        vm.prank(address(timelock));
        pool.withdrawSurplus(treasury, amount);
        return amount;
    }

    function setModel(bool active) external {
        if (models.isActive(modelId) == active) return;
        vm.prank(active ? address(timelock) : guardian);
        active ? models.reinstateModel(modelId) : models.suspendModel(modelId);
    }

    function setPolicy(bool active) external {
        if (policies.isActive(policyId) == active) return;
        vm.prank(active ? address(timelock) : guardian);
        active ? policies.reinstatePolicy(policyId) : policies.suspendPolicy(policyId);
    }

    function setOracle(bool active) external {
        if (oracles.isActive(oracle.addr) == active) return;
        vm.prank(active ? address(timelock) : guardian);
        active ? oracles.reinstateOracle(oracle.addr) : oracles.suspendOracle(oracle.addr);
    }

    function _isUnsettled(ICareCoordinator.Status status) internal pure returns (bool) {
        return status == ICareCoordinator.Status.Open || status == ICareCoordinator.Status.Disputed;
    }

    function _wallet(uint256 patientIndex) internal returns (Vm.Wallet memory wallet) {
        wallet = vm.createWallet(
            string.concat("ward patient ", vm.toString(patientIndex), "/", vm.toString(_generation[patientIndex]))
        );
        _keys[mandates.mandateIdOf(wallet.addr)] = wallet.privateKey;
    }

    function _walletOf(bytes32 id) private returns (Vm.Wallet memory) {
        return vm.createWallet(_keys[id]);
    }
}

/// @notice What holds whatever a ward does.
contract CareInvariants is CareDriver {
    CareHandler private handler;

    function setUp() public {
        setUpAudit();
        vm.prank(address(timelock));
        models.approveAuditVerifier(modelId, auditBinding(ALONE));
        skip(1 days);
        // The provider's credential must outlive the longest run: 128 calls of at most two days each.
        issue(credentialOf(provider, "renewed", uint64(block.timestamp + 3650 days)));
        handler = new CareHandler(this, token.balanceOf(address(pool)));
        targetContract(address(handler));
    }

    /// The pool can pay everything it has promised.
    function invariant_poolIsSolvent() public view {
        assertTrue(poolIsSolvent());
    }

    /// What is reserved is the sum of the benefits of the open triggers.
    function invariant_reservedIsOwedToOpenTriggers() public view {
        uint256 owed;
        uint256 open;
        for (uint256 i = 0; i < handler.triggersCount(); ++i) {
            ICareCoordinator.Trigger memory record = coordinator.triggerOf(handler.triggers(i));
            if (!_isUnsettled(record.status)) continue;
            owed += record.benefit;
            ++open;
        }
        assertEq(pool.reserved(), owed);
        assertEq(coordinator.usageOf(policyId).open, open);
    }

    /// Every token is accounted for.
    function invariant_moneyIsConserved() public view {
        assertEq(token.balanceOf(address(pool)) + handler.withdrawn() + handler.paid(), handler.funded());
        assertEq(token.balanceOf(provider), handler.paid());
        assertEq(pool.totalAssets() + pool.owed(), token.balanceOf(address(pool)));
    }

    /// One benefit at most for each nullifier.
    function invariant_oneBenefitPerNullifier() public view {
        assertTrue(oneBenefitEach(handler.triggersCount()));
        for (uint256 i = 0; i < handler.triggersCount(); ++i) {
            bytes32 triggerId = handler.triggers(i);
            assertLe(handler.timesPaid(triggerId), 1);
            for (uint256 j = 0; j < i; ++j) {
                assertNotEq(handler.triggers(j), triggerId);
            }
        }
    }

    /// No trigger without live mandate, approved model, approved policy, bonded oracle, verified proof, recent window and
    /// score.
    function invariant_noTriggerWithoutEveryCondition() public view {
        assertEq(handler.wronglyAccepted(), 0);
    }
}
