// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {HygeiaGovernor} from "../../src/governance/HygeiaGovernor.sol";
import {HygeiaTimelock} from "../../src/governance/HygeiaTimelock.sol";
import {HygeiaToken} from "../../src/governance/HygeiaToken.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {IOracleRegistry} from "../../src/interfaces/IOracleRegistry.sol";
import {AgentIdentityRegistry} from "../../src/registries/AgentIdentityRegistry.sol";
import {CredentialRegistry} from "../../src/registries/CredentialRegistry.sol";
import {MandateRegistry} from "../../src/registries/MandateRegistry.sol";
import {ModelRegistry} from "../../src/registries/ModelRegistry.sol";
import {OracleRegistry} from "../../src/registries/OracleRegistry.sol";
import {PolicyRegistry} from "../../src/registries/PolicyRegistry.sol";
import {CareCoordinator} from "../../src/settlement/CareCoordinator.sol";
import {CarePool} from "../../src/settlement/CarePool.sol";
import {AgentValidationRegistry} from "../../src/verification/AgentValidationRegistry.sol";
import {AuditLedger} from "../../src/verification/AuditLedger.sol";
import {InferenceValidator} from "../../src/verification/InferenceValidator.sol";
import {InferenceVerifier} from "../../src/verification/InferenceVerifier.sol";

/// @notice Deploys every contract in the order a real deployment uses. Some know each other, the timelock and the governor,
/// the oracle registry, the pool and the coordinator: those that come first are given the address that the last will have.
abstract contract Deployment is Test {
    uint256 internal constant SUPPLY = 1_000_000 ether;
    uint128 internal constant MINIMUM_BOND = 100 ether;
    uint64 internal constant UNBONDING = 14 days;
    uint64 internal constant JAIL = 30 days;
    uint16 internal constant REPORTER_SHARE_BPS = 2000;
    uint64 internal constant EXIT_DELAY = 7 days;
    uint256 internal constant TIMELOCK_DELAY = 2 days;

    address internal treasury = makeAddr("treasury");
    address internal guardian = makeAddr("guardian");

    HygeiaToken internal token;
    HygeiaTimelock internal timelock;
    HygeiaGovernor internal governor;
    ModelRegistry internal models;
    InferenceVerifier internal verifier;
    AuditLedger internal audits;
    PolicyRegistry internal policies;
    OracleRegistry internal oracles;
    MandateRegistry internal mandates;
    CredentialRegistry internal credentials;
    CarePool internal pool;
    CareCoordinator internal coordinator;
    AgentIdentityRegistry internal agents;
    AgentValidationRegistry internal validations;
    InferenceValidator internal validator;

    function deploy() internal {
        vm.warp(1_790_000_000);
        token = new HygeiaToken(treasury, SUPPLY);
        timelock = new HygeiaTimelock(TIMELOCK_DELAY, _next(1));
        governor = new HygeiaGovernor(token, timelock, guardian, _rules());

        address owner = address(timelock);
        models = new ModelRegistry(owner, guardian);
        verifier = new InferenceVerifier(models);
        audits = new AuditLedger(models);
        policies = new PolicyRegistry(owner, guardian);
        mandates = new MandateRegistry();
        credentials = new CredentialRegistry(owner, guardian);
        oracles = new OracleRegistry(token, _next(2), oracleRules(), owner, guardian);
        pool = new CarePool(token, _next(1), owner, EXIT_DELAY);
        coordinator = new CareCoordinator(
            ICareCoordinator.Wiring(models, verifier, audits, policies, oracles, mandates, credentials, pool)
        );
        agents = new AgentIdentityRegistry();
        validations = new AgentValidationRegistry(agents);
        validator = new InferenceValidator(verifier, validations);
    }

    function oracleRules() internal pure returns (IOracleRegistry.Rules memory) {
        return IOracleRegistry.Rules(MINIMUM_BOND, UNBONDING, JAIL, REPORTER_SHARE_BPS);
    }

    /// @notice The address of the contract deployed `ahead` deployments after the next one.
    function _next(uint256 ahead) private view returns (address) {
        return vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + ahead);
    }

    function _rules() private pure returns (HygeiaGovernor.Rules memory) {
        return HygeiaGovernor.Rules({
            votingDelaySeconds: 1 days,
            votingPeriodSeconds: 5 days,
            proposalThreshold: 1000 ether,
            quorumPercent: 4,
            lateQuorumSeconds: 1 days
        });
    }
}
