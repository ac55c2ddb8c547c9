// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {ICarePool} from "../../src/interfaces/ICarePool.sol";
import {IERCZKMLVerifier} from "../../src/interfaces/IERCZKMLVerifier.sol";
import {IInferenceVerifier} from "../../src/interfaces/IInferenceVerifier.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {ScoreField} from "../../src/libraries/ScoreField.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice A good request starts care; each way of spoiling one thing in it is refused with its own error.
contract TriggerTest is CareFixture {
    function setUp() public {
        setUpCare();
    }

    // ---------------------------------------------------------------- accepted

    function test_triggerReservesTheBenefit() public {
        ICareCoordinator.TriggerRequest memory good = goodRequest();
        bytes32 expected = coordinator.nullifierOf(mandateId, policyId, good.windowEnd, COOL_DOWN);
        uint64 deadline = uint64(block.timestamp) + FULFIL_WITHIN;

        vm.expectEmit(address(coordinator));
        emit ICareCoordinator.CareTriggered(expected, policyId, mandateId, modelId, BENEFIT, deadline);
        bytes32 triggerId = coordinator.trigger(good);

        assertEq(triggerId, expected);
        assertTrue(coordinator.nullifierUsed(triggerId));
        assertEq(pool.reserved(), BENEFIT);
        ICareCoordinator.Trigger memory record = coordinator.triggerOf(triggerId);
        assertEq(record.mandateId, mandateId);
        assertEq(record.benefit, BENEFIT);
        assertEq(record.deadline, deadline);
        assertEq(uint8(record.status), uint8(ICareCoordinator.Status.Open));
    }

    function test_anyoneMaySendIt() public {
        ICareCoordinator.TriggerRequest memory good = goodRequest();
        vm.prank(makeAddr("passer-by"));
        coordinator.trigger(good);
    }

    function test_scoreAtTheThresholdIsEnough() public {
        coordinator.trigger(request(mandateId, uint64(block.timestamp), THRESHOLD));
    }

    function test_nextPeriodTriggersAgain() public {
        coordinator.trigger(goodRequest());
        skip(COOL_DOWN);
        coordinator.trigger(goodRequest());
        assertEq(pool.reserved(), 2 * uint256(BENEFIT));
    }

    function test_negativeThresholdAndScore() public {
        IPolicyRegistry.Terms memory low = terms();
        low.threshold = -500;
        vm.prank(address(timelock));
        policyId = policies.approvePolicy(low);
        mandateId = grantMandate(vm.createWallet("second patient"), policyId, oracle.addr);
        coordinator.trigger(request(mandateId, uint64(block.timestamp), -500));
    }

    // ---------------------------------------------------------------- policy and model

    function test_refusesUnknownPolicy() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        bad.policyId = keccak256("no such policy");
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.PolicyNotActive.selector, bad.policyId));
    }

    function test_refusesSuspendedPolicy() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        vm.prank(guardian);
        policies.suspendPolicy(policyId);
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.PolicyNotActive.selector, policyId));
    }

    function test_refusesRetiredPolicy() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        vm.prank(address(timelock));
        policies.retirePolicy(policyId);
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.PolicyNotActive.selector, policyId));
    }

    function test_refusesSuspendedModelUntilReinstated() public {
        ICareCoordinator.TriggerRequest memory good = goodRequest();
        vm.prank(guardian);
        models.suspendModel(modelId);
        _refuses(good, abi.encodeWithSelector(ICareCoordinator.ModelNotActive.selector, modelId));
        vm.prank(address(timelock));
        models.reinstateModel(modelId);
        coordinator.trigger(good);
    }

    function test_refusesDeprecatedModel() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        vm.prank(address(timelock));
        models.deprecateModel(uint256(modelId));
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.ModelNotActive.selector, modelId));
    }

    // ---------------------------------------------------------------- mandate

    function test_refusesUnknownMandate() public {
        bytes32 unknown = keccak256("no such mandate");
        _refuses(
            request(unknown, uint64(block.timestamp), THRESHOLD),
            abi.encodeWithSelector(ICareCoordinator.MandateNotLive.selector, unknown)
        );
    }

    function test_refusesRevokedMandate() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        mandates.revoke(mandateId, sign(patient, mandates.revocationDigest(mandateId)));
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.MandateNotLive.selector, mandateId));
    }

    function test_mandateHoldsUntilTheSecondItExpires() public {
        uint256 expires = block.timestamp + 90 days;
        vm.warp(expires);
        _refuses(goodRequest(), abi.encodeWithSelector(ICareCoordinator.MandateNotLive.selector, mandateId));
        vm.warp(expires - 1);
        coordinator.trigger(goodRequest());
    }

    function test_refusesMandateForAnotherPolicy() public {
        bytes32 other = grantMandate(vm.createWallet("other"), keccak256("other policy"), oracle.addr);
        _refuses(
            request(other, uint64(block.timestamp), THRESHOLD),
            abi.encodeWithSelector(ICareCoordinator.MandateNotLive.selector, other)
        );
    }

    function test_refusesMandateForAnotherOracle() public {
        bytes32 other = grantMandate(vm.createWallet("other"), policyId, makeAddr("other oracle"));
        _refuses(
            request(other, uint64(block.timestamp), THRESHOLD),
            abi.encodeWithSelector(ICareCoordinator.MandateNotLive.selector, other)
        );
    }

    // ---------------------------------------------------------------- oracle and attestation

    function test_refusesSuspendedOracle() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        vm.prank(guardian);
        oracles.suspendOracle(oracle.addr);
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.OracleNotActive.selector, oracle.addr));
    }

    function test_refusesOracleWithoutFullBond() public {
        Vm.Wallet memory poor = vm.createWallet("poor oracle");
        vm.prank(address(timelock));
        oracles.admitOracle(poor.addr);
        vm.prank(treasury);
        oracles.payBond(poor.addr, MINIMUM_BOND - 1);
        mandateId = grantMandate(vm.createWallet("other"), policyId, poor.addr);
        oracle = poor;
        _refuses(goodRequest(), abi.encodeWithSelector(ICareCoordinator.OracleNotActive.selector, poor.addr));
    }

    function test_attestationAgeEdges() public {
        uint64 oldest = uint64(block.timestamp - MAX_AGE);
        _refuses(
            request(mandateId, oldest - 1, THRESHOLD),
            abi.encodeWithSelector(ICareCoordinator.AttestationTooOld.selector, oldest - 1, oldest)
        );
        coordinator.trigger(request(mandateId, oldest, THRESHOLD));
    }

    function test_refusesAttestationFromTheFuture() public {
        uint64 windowEnd = uint64(block.timestamp + 1);
        _refuses(
            request(mandateId, windowEnd, THRESHOLD),
            abi.encodeWithSelector(ICareCoordinator.AttestationInFuture.selector, windowEnd, block.timestamp)
        );
    }

    function test_refusesSignatureOfAnotherKey() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        bytes32 digest = coordinator.attestationDigest(mandateId, bad.windowEnd, SCHEMA, bad.commitment);
        bad.oracleSignature = sign(patient, digest);
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.BadOracleSignature.selector, oracle.addr));
    }

    function test_refusesSignatureOverAnotherSchema() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        bytes32 digest = coordinator.attestationDigest(mandateId, bad.windowEnd, keccak256("other"), bad.commitment);
        bad.oracleSignature = sign(oracle, digest);
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.BadOracleSignature.selector, oracle.addr));
    }

    function test_refusesSignatureForAnotherChain() public {
        uint256 here = block.chainid;
        vm.chainId(here + 1);
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        vm.chainId(here);
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.BadOracleSignature.selector, oracle.addr));
    }

    function test_refusesMalleatedSignature() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        bytes32 digest = coordinator.attestationDigest(mandateId, bad.windowEnd, SCHEMA, bad.commitment);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(oracle, digest);
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        bad.oracleSignature = abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.BadOracleSignature.selector, oracle.addr));
    }

    function testFuzz_refusesMalformedSignature(bytes calldata signature) public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        vm.assume(keccak256(signature) != keccak256(bad.oracleSignature));
        bad.oracleSignature = signature;
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.BadOracleSignature.selector, oracle.addr));
    }

    // ---------------------------------------------------------------- score, proof, nullifier, pool

    function test_refusesScoreBelowThreshold() public {
        _refuses(
            request(mandateId, uint64(block.timestamp), THRESHOLD - 1),
            abi.encodeWithSelector(ICareCoordinator.ScoreBelowThreshold.selector, THRESHOLD - 1, THRESHOLD)
        );
    }

    function testFuzz_refusesAnyOtherScoreThanTheProved(int64 claimed) public {
        ICareCoordinator.TriggerRequest memory bad = request(mandateId, uint64(block.timestamp), THRESHOLD);
        claimed = int64(bound(claimed, THRESHOLD + 1, type(int64).max));
        bad.score = claimed;
        _refusesProof(bad, abi.encodeWithSelector(IERCZKMLVerifier.InvalidProof.selector));
    }

    /// A proved score of -3 has the public input MODULUS - 3; claimed as that number it would pass any threshold.
    function test_refusesAliasOfANegativeScore() public {
        ICareCoordinator.TriggerRequest memory bad = request(mandateId, uint64(block.timestamp), -3);
        bad.score = int256(ScoreField.MODULUS - 3);
        _refuses(bad, abi.encodeWithSelector(ScoreField.ScoreOutOfRange.selector, bad.score));
    }

    function test_refusesScorePlusModulus() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        bad.score += int256(ScoreField.MODULUS);
        _refuses(bad, abi.encodeWithSelector(ScoreField.ScoreOutOfRange.selector, bad.score));
    }

    function test_refusesTamperedCommitment() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        bad.commitment = bytes32(uint256(bad.commitment) ^ 1);
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.BadOracleSignature.selector, oracle.addr));
        bad.oracleSignature =
            sign(oracle, coordinator.attestationDigest(mandateId, bad.windowEnd, SCHEMA, bad.commitment));
        _refusesProof(bad, abi.encodeWithSelector(IERCZKMLVerifier.InvalidProof.selector));
    }

    function test_refusesAliasOfTheCommitment() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        uint256 alias_ = uint256(bad.commitment) + ScoreField.MODULUS;
        bad.commitment = bytes32(alias_);
        bad.oracleSignature =
            sign(oracle, coordinator.attestationDigest(mandateId, bad.windowEnd, SCHEMA, bad.commitment));
        _refusesProof(
            bad, abi.encodeWithSelector(IInferenceVerifier.PublicInputNotCanonical.selector, uint256(0), alias_)
        );
    }

    function testFuzz_refusesTamperedProof(uint8 index, uint8 flip) public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        vm.assume(flip != 0);
        bad.proof[index % 32] ^= bytes1(flip);
        _refusesProof(bad, abi.encodeWithSelector(IERCZKMLVerifier.InvalidProof.selector));
    }

    function test_refusesProofOfAnotherLength() public {
        ICareCoordinator.TriggerRequest memory bad = goodRequest();
        uint256 length = bad.proof.length;
        bad.proof = bytes.concat(bad.proof, hex"00");
        _refusesProof(bad, abi.encodeWithSelector(IInferenceVerifier.ProofLengthMismatch.selector, length, length + 1));
    }

    function test_refusesTheSameTriggerTwice() public {
        ICareCoordinator.TriggerRequest memory good = goodRequest();
        bytes32 triggerId = coordinator.trigger(good);
        _refuses(good, abi.encodeWithSelector(ICareCoordinator.NullifierUsed.selector, triggerId));
    }

    function test_refusesASecondWindowInThePeriod() public {
        vm.warp((block.timestamp / COOL_DOWN) * COOL_DOWN + 1 hours);
        bytes32 triggerId = coordinator.trigger(request(mandateId, uint64(block.timestamp - 30 minutes), THRESHOLD));
        _refuses(
            request(mandateId, uint64(block.timestamp), THRESHOLD),
            abi.encodeWithSelector(ICareCoordinator.NullifierUsed.selector, triggerId)
        );
    }

    function test_refusesWhatThePoolCannotCover() public {
        uint256 balance = token.balanceOf(address(pool));
        vm.prank(address(timelock));
        pool.withdrawSurplus(treasury, balance - BENEFIT + 1);
        ICareCoordinator.TriggerRequest memory good = goodRequest();
        _refuses(good, abi.encodeWithSelector(ICarePool.InsufficientFunds.selector, BENEFIT - 1, BENEFIT));
        assertFalse(coordinator.nullifierUsed(coordinator.nullifierOf(mandateId, policyId, good.windowEnd, COOL_DOWN)));
    }

    function _refuses(ICareCoordinator.TriggerRequest memory bad, bytes memory reason) private {
        vm.expectRevert(reason);
        coordinator.trigger(bad);
    }

    function _refusesProof(ICareCoordinator.TriggerRequest memory bad, bytes memory reason) private {
        _refuses(bad, abi.encodeWithSelector(ICareCoordinator.ProofRejected.selector, modelId, reason));
    }
}
