// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "forge-std/Test.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {PolicyRegistry} from "../../src/registries/PolicyRegistry.sol";

/// @notice The deployment script with its example configuration.
contract DeployTest is Test {
    address private deployer = makeAddr("deployer");
    address private guardian = 0x0000000000000000000000000000000000006a4d;

    Deploy private script = new Deploy();

    function test_deploysEverythingAtAddressesKnownBeforehand() public {
        Deploy.Deployment memory d = _run();
        assertEq(address(d.token), vm.computeCreateAddress(deployer, 0));
        assertEq(address(d.coordinator), vm.computeCreateAddress(deployer, 11));
        assertEq(vm.getNonce(deployer), 12);
        assertEq(d.token.balanceOf(0x00000000000000000000000000000000000A11cE), d.token.totalSupply());
        assertEq(d.token.balanceOf(deployer), 0);
        assertEq(d.pool.asset(), address(d.token));
        assertEq(address(d.coordinator.wiring().audits), address(d.audits));
        assertEq(d.governor.votingPeriod(), 432000);
        assertEq(d.oracles.reporterShareBps(), 2000);
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

    function _run() private returns (Deploy.Deployment memory) {
        return script.runAs(deployer, vm.readFile("script/config/example.json"));
    }
}
