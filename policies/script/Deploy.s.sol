// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {Script} from "forge-std/Script.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {HygeiaGovernor} from "../src/governance/HygeiaGovernor.sol";
import {HygeiaTimelock} from "../src/governance/HygeiaTimelock.sol";
import {HygeiaToken} from "../src/governance/HygeiaToken.sol";
import {ICareCoordinator} from "../src/interfaces/ICareCoordinator.sol";
import {IERC8004ValidationRegistry} from "../src/interfaces/IERC8004ValidationRegistry.sol";
import {IOracleRegistry} from "../src/interfaces/IOracleRegistry.sol";
import {AgentIdentityRegistry} from "../src/registries/AgentIdentityRegistry.sol";
import {CredentialRegistry} from "../src/registries/CredentialRegistry.sol";
import {MandateRegistry} from "../src/registries/MandateRegistry.sol";
import {ModelRegistry} from "../src/registries/ModelRegistry.sol";
import {OracleRegistry} from "../src/registries/OracleRegistry.sol";
import {PolicyRegistry} from "../src/registries/PolicyRegistry.sol";
import {CareCoordinator} from "../src/settlement/CareCoordinator.sol";
import {CarePool} from "../src/settlement/CarePool.sol";
import {AgentValidationRegistry} from "../src/verification/AgentValidationRegistry.sol";
import {AuditLedger} from "../src/verification/AuditLedger.sol";
import {InferenceValidator} from "../src/verification/InferenceValidator.sol";
import {InferenceVerifier} from "../src/verification/InferenceVerifier.sol";

/// @notice Deploys every contract from a configuration file and checks who holds what before it ends.
///
///   HYGEIA_DEPLOY_CONFIG=script/config/mine.json forge script script/Deploy.s.sol --rpc-url … --broadcast
///
/// Every address follows from the deployer's address and nonce alone, so it can be worked out beforehand: contracts that
/// know each other are given addresses that nothing stands at yet, and no contract needs a setter. The deployer never holds
/// a role. Where `poolAsset` is zero, benefits are paid in the governance token. `agentIdentityRegistry` and
/// `agentValidationRegistry` name the chain's registries of ERC-8004; where one is zero it is deployed.
contract Deploy is Script {
    using stdJson for string;

    struct Deployment {
        HygeiaToken token;
        HygeiaTimelock timelock;
        HygeiaGovernor governor;
        ModelRegistry models;
        InferenceVerifier verifier;
        AuditLedger audits;
        PolicyRegistry policies;
        MandateRegistry mandates;
        CredentialRegistry credentials;
        OracleRegistry oracles;
        CarePool pool;
        CareCoordinator coordinator;
        address agents;
        IERC8004ValidationRegistry validations;
        InferenceValidator validator;
    }

    /// @notice A contract did not get the address worked out for it.
    error AddressDiffers(address wanted, address got);

    /// @notice Somebody holds what nobody but the timelock or the governor may hold.
    error RoleMisplaced(address where, address holder);

    /// @notice The chain's validation registry goes by another identity registry than the one named.
    error OtherAgents(address named, address found);

    string private _config;
    address private _deployer;
    /// The nonce of the deployer's first deployment here.
    uint64 private _firstNonce;

    /// @notice Reads the configuration, deploys and checks.
    function run() external returns (Deployment memory deployed) {
        _config = vm.readFile(vm.envOr("HYGEIA_DEPLOY_CONFIG", string("script/config/example.json")));
        vm.startBroadcast();
        (, _deployer,) = vm.readCallers();
        deployed = _deploy();
        vm.stopBroadcast();
        check(deployed, _config.readAddress(".guardian"));
    }

    /// @notice Deploys as `deployer`, for a test.
    function runAs(address deployer, string calldata config) external returns (Deployment memory deployed) {
        _config = config;
        _deployer = deployer;
        vm.startPrank(deployer);
        deployed = _deploy();
        vm.stopPrank();
        check(deployed, _config.readAddress(".guardian"));
    }

    /// @notice Reverts unless every role is where it belongs.
    function check(Deployment memory deployed, address guardian) public view {
        address owner = address(deployed.timelock);
        _requireHolder(address(deployed.models), deployed.models.owner(), owner);
        _requireHolder(address(deployed.policies), deployed.policies.owner(), owner);
        _requireHolder(address(deployed.credentials), deployed.credentials.owner(), owner);
        _requireHolder(address(deployed.oracles), deployed.oracles.owner(), owner);
        _requireHolder(address(deployed.pool), deployed.pool.owner(), owner);
        _requireHolder(address(deployed.models), deployed.models.guardian(), guardian);
        _requireHolder(address(deployed.policies), deployed.policies.guardian(), guardian);
        _requireHolder(address(deployed.credentials), deployed.credentials.guardian(), guardian);
        _requireHolder(address(deployed.oracles), deployed.oracles.guardian(), guardian);
        _requireHolder(address(deployed.governor), deployed.governor.proposalGuardian(), guardian);
        _requireHolder(address(deployed.oracles), deployed.oracles.coordinator(), address(deployed.coordinator));
        _requireHolder(address(deployed.pool), deployed.pool.coordinator(), address(deployed.coordinator));
        _requireRoles(deployed.timelock, address(deployed.governor), guardian);
        address agents = deployed.validations.getIdentityRegistry();
        if (agents != deployed.agents) revert OtherAgents(deployed.agents, agents);
    }

    // ---------------------------------------------------------------- deployment, in order

    function _deploy() private returns (Deployment memory d) {
        _firstNonce = vm.getNonce(_deployer);
        address guardian = _config.readAddress(".guardian");
        d.token = new HygeiaToken(_config.readAddress(".holder"), _config.readUint(".supply"));
        d.timelock = new HygeiaTimelock(_config.readUint(".timelockDelaySeconds"), _addressOf(2));
        d.governor = new HygeiaGovernor(d.token, d.timelock, guardian, _governorRules());
        d.models = new ModelRegistry(address(d.timelock), guardian);
        d.verifier = new InferenceVerifier(d.models);
        d.audits = new AuditLedger(d.models);
        d.policies = new PolicyRegistry(address(d.timelock), guardian);
        d.mandates = new MandateRegistry();
        d.credentials = new CredentialRegistry(address(d.timelock), guardian);
        d.oracles = new OracleRegistry(d.token, _addressOf(11), _oracleRules(), address(d.timelock), guardian);
        address asset = _config.readAddress(".poolAsset");
        d.pool = new CarePool(
            asset == address(0) ? IERC20(d.token) : IERC20(asset),
            _addressOf(11),
            address(d.timelock),
            uint64(_config.readUint(".exitDelaySeconds"))
        );
        d.coordinator = new CareCoordinator(
            ICareCoordinator.Wiring(
                d.models, d.verifier, d.audits, d.policies, d.oracles, d.mandates, d.credentials, d.pool
            )
        );
        if (address(d.governor) != _addressOf(2)) revert AddressDiffers(_addressOf(2), address(d.governor));
        _deployForAgents(d);
    }

    /// What the chain lacks of ERC-8004, and what answers for our models there.
    function _deployForAgents(Deployment memory d) private {
        d.agents = _config.readAddressOr(".agentIdentityRegistry", address(0));
        if (d.agents == address(0)) d.agents = address(new AgentIdentityRegistry());
        d.validations = IERC8004ValidationRegistry(_config.readAddressOr(".agentValidationRegistry", address(0)));
        if (address(d.validations) == address(0)) d.validations = new AgentValidationRegistry(IERC721(d.agents));
        d.validator = new InferenceValidator(d.verifier, d.validations);
    }

    /// The address of the deployment with this number, counted from zero.
    function _addressOf(uint64 number) private view returns (address) {
        return vm.computeCreateAddress(_deployer, _firstNonce + number);
    }

    function _governorRules() private view returns (HygeiaGovernor.Rules memory) {
        return HygeiaGovernor.Rules({
            votingDelaySeconds: uint48(_config.readUint(".votingDelaySeconds")),
            votingPeriodSeconds: uint32(_config.readUint(".votingPeriodSeconds")),
            proposalThreshold: _config.readUint(".proposalThreshold"),
            quorumPercent: _config.readUint(".quorumPercent"),
            lateQuorumSeconds: uint48(_config.readUint(".lateQuorumSeconds"))
        });
    }

    function _oracleRules() private view returns (IOracleRegistry.Rules memory) {
        return IOracleRegistry.Rules({
            minimumBond: uint128(_config.readUint(".minimumBond")),
            unbondingSeconds: uint64(_config.readUint(".unbondingSeconds")),
            jailSeconds: uint64(_config.readUint(".jailSeconds")),
            reporterShareBps: uint16(_config.readUint(".reporterShareBps"))
        });
    }

    // ---------------------------------------------------------------- checks

    function _requireRoles(HygeiaTimelock timelock, address governor, address guardian) private view {
        bytes32[4] memory roles =
            [bytes32(0), timelock.PROPOSER_ROLE(), timelock.CANCELLER_ROLE(), timelock.EXECUTOR_ROLE()];
        for (uint256 i = 0; i < roles.length; ++i) {
            if (timelock.hasRole(roles[i], _deployer)) revert RoleMisplaced(address(timelock), _deployer);
            if (timelock.hasRole(roles[i], guardian)) revert RoleMisplaced(address(timelock), guardian);
        }
        if (!timelock.hasRole(timelock.PROPOSER_ROLE(), governor)) revert RoleMisplaced(address(timelock), governor);
    }

    function _requireHolder(address where, address holder, address wanted) private pure {
        if (holder != wanted) revert RoleMisplaced(where, holder);
    }
}
