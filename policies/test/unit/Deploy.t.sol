// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {AgentIdentityRegistry} from "../../src/registries/AgentIdentityRegistry.sol";
import {PolicyRegistry} from "../../src/registries/PolicyRegistry.sol";
import {AgentValidationRegistry} from "../../src/verification/AgentValidationRegistry.sol";

/// @notice The deployment script with its example configuration.
contract DeployTest is Test {
    address private deployer = makeAddr("deployer");
    address private guardian = 0x0000000000000000000000000000000000006a4d;

    Deploy private script = new Deploy();

    function test_deploysEverythingAtAddressesKnownBeforehand() public {
        Deploy.Deployment memory d = _run();
        assertEq(address(d.token), vm.computeCreateAddress(deployer, 0));
        assertEq(address(d.coordinator), vm.computeCreateAddress(deployer, 11));
        assertEq(d.agents, vm.computeCreateAddress(deployer, 12));
        assertEq(address(d.validator), vm.computeCreateAddress(deployer, 14));
        assertEq(vm.getNonce(deployer), 15);
        assertEq(address(d.validator.validations()), address(d.validations));
        assertEq(address(d.validator.verifier()), address(d.verifier));
        assertEq(d.token.balanceOf(0x00000000000000000000000000000000000A11cE), d.token.totalSupply());
        assertEq(d.token.balanceOf(deployer), 0);
        assertEq(d.pool.asset(), address(d.token));
        assertEq(address(d.coordinator.wiring().audits), address(d.audits));
        assertEq(d.governor.votingPeriod(), 432000);
        assertEq(d.oracles.reporterShareBps(), 2000);
    }

    /// A chain that has the registries keeps them; one that has the identity registry alone gets the other beside it.
    function test_takesTheChainsRegistriesOfAgents() public {
        AgentIdentityRegistry agents = new AgentIdentityRegistry();
        AgentValidationRegistry validations = new AgentValidationRegistry(agents);
        Deploy.Deployment memory both = script.runAs(deployer, _configOf(address(agents), address(validations)));
        assertEq(address(both.validator.validations()), address(validations));
        assertEq(vm.getNonce(deployer), 13);
        Deploy.Deployment memory one = script.runAs(deployer, _configOf(address(agents), address(0)));
        assertEq(one.validations.getIdentityRegistry(), address(agents));
        assertEq(vm.getNonce(deployer), 13 + 14);
    }

    function test_refusesAValidationRegistryOfOtherAgents() public {
        AgentIdentityRegistry agents = new AgentIdentityRegistry();
        AgentValidationRegistry validations = new AgentValidationRegistry(new AgentIdentityRegistry());
        string memory config = _configOf(address(agents), address(validations));
        vm.expectPartialRevert(Deploy.OtherAgents.selector);
        script.runAs(deployer, config);
    }

    function test_refusesAnOwnerWhoIsNotTheTimelock() public {
        Deploy.Deployment memory d = _run();
        script.check(d, guardian);
        d.policies = new PolicyRegistry(deployer, guardian);
        vm.expectRevert(abi.encodeWithSelector(Deploy.RoleMisplaced.selector, address(d.policies), deployer));
        script.check(d, guardian);
    }

    function test_refusesAGuardianWithARole() public {
        Deploy.Deployment memory d = _run();
        bytes32 role = d.timelock.PROPOSER_ROLE();
        vm.prank(address(d.timelock));
        d.timelock.grantRole(role, guardian);
        vm.expectRevert(abi.encodeWithSelector(Deploy.RoleMisplaced.selector, address(d.timelock), guardian));
        script.check(d, guardian);
    }

    function _configOf(address agents, address validations) private view returns (string memory config) {
        config = vm.readFile("script/config/example.json");
        config = _with(config, "agentIdentityRegistry", agents);
        return _with(config, "agentValidationRegistry", validations);
    }

    function _with(string memory config, string memory key, address value) private pure returns (string memory) {
        string memory entry = string.concat('"', key, '": "');
        return
            vm.replace(config, string.concat(entry, vm.toString(address(0))), string.concat(entry, vm.toString(value)));
    }

    function _run() private returns (Deploy.Deployment memory) {
        return script.runAs(deployer, vm.readFile("script/config/example.json"));
    }
}
