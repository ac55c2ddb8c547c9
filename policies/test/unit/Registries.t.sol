// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Vm} from "forge-std/Vm.sol";
import {ICredentialRegistry} from "../../src/interfaces/ICredentialRegistry.sol";
import {IGuarded} from "../../src/interfaces/IGuarded.sol";
import {IMandateRegistry} from "../../src/interfaces/IMandateRegistry.sol";
import {IOracleRegistry} from "../../src/interfaces/IOracleRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {OracleRegistry} from "../../src/registries/OracleRegistry.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice Policies, oracles, mandates and credentials: who may write, and from where to where each may move.
contract RegistriesTest is CareFixture {
    function setUp() public {
        setUpCare();
    }

    // ---------------------------------------------------------------- policies

    function test_policyIsReadBackAsApproved() public view {
        IPolicyRegistry.Policy memory policy = policies.policyOf(policyId);
        assertEq(policyId, policies.policyIdOf(terms()));
        assertEq(policy.modelId, modelId);
        assertEq(policy.threshold, THRESHOLD);
        assertEq(policy.benefit, BENEFIT);
        assertEq(policy.coolDownSeconds, COOL_DOWN);
        assertEq(policy.maxAttestationAgeSeconds, MAX_AGE);
        assertEq(policy.fulfilWithinSeconds, FULFIL_WITHIN);
        assertTrue(policies.isActive(policyId));
    }

    function test_policyRefusesTermsThatCannotHold() public {
        vm.startPrank(address(timelock));
        IPolicyRegistry.Terms memory bad = terms();
        bad.coolDownSeconds = 0;
        _refusesTerms(bad);
        bad = terms();
        bad.benefit = 0;
        _refusesTerms(bad);
        bad = terms();
        bad.threshold = int256(type(int64).max) + 1;
        _refusesTerms(bad);
    }

    function test_policyIsApprovedOnce() public {
        IPolicyRegistry.Terms memory same = terms();
        vm.startPrank(address(timelock));
        vm.expectRevert(abi.encodeWithSelector(IPolicyRegistry.PolicyExists.selector, policyId));
        policies.approvePolicy(same);
        policies.retirePolicy(policyId);
        vm.expectRevert(abi.encodeWithSelector(IPolicyRegistry.PolicyExists.selector, policyId));
        policies.approvePolicy(same);
    }

    function test_policySuspendedAndReinstated() public {
        vm.prank(guardian);
        policies.suspendPolicy(policyId);
        assertFalse(policies.isActive(policyId));
        vm.prank(address(timelock));
        policies.reinstatePolicy(policyId);
        assertTrue(policies.isActive(policyId));
    }

    function test_retiredIsFinal() public {
        vm.startPrank(address(timelock));
        policies.retirePolicy(policyId);
        bytes memory refused = abi.encodeWithSelector(
            IPolicyRegistry.WrongPolicyStatus.selector, policyId, IPolicyRegistry.Status.Retired
        );
        vm.expectRevert(refused);
        policies.reinstatePolicy(policyId);
        vm.expectRevert(refused);
        policies.suspendPolicy(policyId);
        vm.expectRevert(refused);
        policies.retirePolicy(policyId);
    }

    function testFuzz_onlyTheTimelockWritesPolicies(address stranger) public {
        vm.assume(stranger != address(timelock) && stranger != guardian);
        bytes memory refused = _unauthorized(stranger);
        IPolicyRegistry.Terms memory some = terms();
        vm.startPrank(stranger);
        vm.expectRevert(refused);
        policies.approvePolicy(some);
        vm.expectRevert(refused);
        policies.reinstatePolicy(policyId);
        vm.expectRevert(refused);
        policies.retirePolicy(policyId);
        vm.expectRevert(abi.encodeWithSelector(IGuarded.NotGuardian.selector, stranger));
        policies.suspendPolicy(policyId);
    }

    // ---------------------------------------------------------------- oracles

    function test_oracleCountsFromTheFullBond() public {
        address second = makeAddr("second oracle");
        vm.prank(address(timelock));
        oracles.admitOracle(second);
        assertFalse(oracles.isActive(second));
        vm.startPrank(treasury);
        oracles.payBond(second, MINIMUM_BOND - 1);
        assertFalse(oracles.isActive(second));
        oracles.payBond(second, 1);
        assertTrue(oracles.isActive(second));
        assertEq(oracles.oracleOf(second).bond, MINIMUM_BOND);
    }

    function test_bondIsForAdmittedOraclesOnly() public {
        address stranger = makeAddr("stranger");
        vm.startPrank(treasury);
        vm.expectRevert(_wrongOracle(stranger, IOracleRegistry.Status.Unknown));
        oracles.payBond(stranger, 1);
        vm.expectRevert(IOracleRegistry.InvalidOracleArgument.selector);
        oracles.payBond(oracle.addr, 0);
    }

    function test_bondGoesBackAfterTheDelay() public {
        vm.prank(address(timelock));
        oracles.removeOracle(oracle.addr);
        assertFalse(oracles.isActive(oracle.addr));
        uint64 freeAt = uint64(block.timestamp) + UNBONDING;
        vm.startPrank(oracle.addr);
        vm.warp(freeAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IOracleRegistry.BondLocked.selector, oracle.addr, freeAt));
        oracles.withdrawBond();
        vm.warp(freeAt);
        oracles.withdrawBond();
        assertEq(token.balanceOf(oracle.addr), MINIMUM_BOND);
        oracles.withdrawBond();
        assertEq(token.balanceOf(oracle.addr), MINIMUM_BOND);
    }

    function test_bondStaysWhileTheOracleIsAdmitted() public {
        vm.prank(oracle.addr);
        vm.expectRevert(_wrongOracle(oracle.addr, IOracleRegistry.Status.Admitted));
        oracles.withdrawBond();
    }

    function test_oracleSuspendedReinstatedRemovedReadmitted() public {
        vm.prank(guardian);
        oracles.suspendOracle(oracle.addr);
        assertFalse(oracles.isActive(oracle.addr));
        vm.startPrank(address(timelock));
        oracles.reinstateOracle(oracle.addr);
        assertTrue(oracles.isActive(oracle.addr));
        vm.expectRevert(_wrongOracle(oracle.addr, IOracleRegistry.Status.Admitted));
        oracles.admitOracle(oracle.addr);
        vm.expectRevert(_wrongOracle(oracle.addr, IOracleRegistry.Status.Admitted));
        oracles.reinstateOracle(oracle.addr);
        oracles.removeOracle(oracle.addr);
        vm.expectRevert(_wrongOracle(oracle.addr, IOracleRegistry.Status.Removed));
        oracles.suspendOracle(oracle.addr);
        vm.expectRevert(_wrongOracle(oracle.addr, IOracleRegistry.Status.Removed));
        oracles.removeOracle(oracle.addr);
        oracles.admitOracle(oracle.addr);
        assertTrue(oracles.isActive(oracle.addr));
    }

    function test_oracleRegistryRefusesEmptyArguments() public {
        IOracleRegistry.Rules memory rules = oracleRules();
        rules.minimumBond = 0;
        vm.expectRevert(IOracleRegistry.InvalidOracleArgument.selector);
        new OracleRegistry(token, address(coordinator), rules, address(timelock), guardian);
        vm.prank(address(timelock));
        vm.expectRevert(IOracleRegistry.InvalidOracleArgument.selector);
        oracles.admitOracle(address(0));
    }

    function testFuzz_onlyTheTimelockWritesOracles(address stranger) public {
        vm.assume(stranger != address(timelock) && stranger != guardian);
        bytes memory refused = _unauthorized(stranger);
        vm.startPrank(stranger);
        vm.expectRevert(refused);
        oracles.admitOracle(stranger);
        vm.expectRevert(refused);
        oracles.reinstateOracle(oracle.addr);
        vm.expectRevert(refused);
        oracles.removeOracle(oracle.addr);
        vm.expectRevert(abi.encodeWithSelector(IGuarded.NotGuardian.selector, stranger));
        oracles.suspendOracle(oracle.addr);
    }

    function test_guardianIsReplacedByTheOwner() public {
        address next = makeAddr("next guardian");
        vm.prank(address(timelock));
        oracles.setGuardian(next);
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IGuarded.NotGuardian.selector, guardian));
        oracles.suspendOracle(oracle.addr);
        vm.prank(next);
        oracles.suspendOracle(oracle.addr);
    }

    // ---------------------------------------------------------------- mandates

    function test_mandateIsReadBackAsGranted() public view {
        (IMandateRegistry.Mandate memory mandate, bool revoked) = mandates.mandateOf(mandateId);
        assertEq(mandate.id, mandateId);
        assertEq(mandate.key, patient.addr);
        assertEq(mandate.policyId, policyId);
        assertEq(mandate.oracle, oracle.addr);
        assertFalse(revoked);
        (mandate,) = mandates.mandateOf(bytes32(0));
        assertEq(mandate.key, address(0));
    }

    /// Nobody can take a patient's identifier with a consent of their own, since it follows from the patient's key.
    function test_mandateCannotBeFrontRun() public {
        Vm.Wallet memory victim = vm.createWallet("victim");
        Vm.Wallet memory attacker = vm.createWallet("attacker");
        IMandateRegistry.Mandate memory taken = _mandate(victim);
        taken.key = attacker.addr;
        bytes memory signature = sign(attacker, mandates.mandateDigest(taken));
        vm.expectRevert(
            abi.encodeWithSelector(
                IMandateRegistry.MandateIdMismatch.selector, taken.id, mandates.mandateIdOf(attacker.addr)
            )
        );
        mandates.grant(taken, signature);
        grantMandate(victim, policyId, oracle.addr);
    }

    function test_mandateNeedsItsKeysSignature() public {
        Vm.Wallet memory other = vm.createWallet("other");
        IMandateRegistry.Mandate memory mandate = _mandate(other);
        bytes memory signature = sign(patient, mandates.mandateDigest(mandate));
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.BadMandateSignature.selector, mandate.id));
        mandates.grant(mandate, signature);

        signature = sign(other, mandates.mandateDigest(mandate));
        mandate.expires += 1;
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.BadMandateSignature.selector, mandate.id));
        mandates.grant(mandate, signature);
    }

    function test_mandateIsGivenOnceAndBeforeItExpires() public {
        IMandateRegistry.Mandate memory again = _mandate(patient);
        bytes memory signature = sign(patient, mandates.mandateDigest(again));
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.MandateExists.selector, mandateId));
        mandates.grant(again, signature);

        IMandateRegistry.Mandate memory late = _mandate(vm.createWallet("late"));
        late.expires = uint64(block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.MandateExpired.selector, late.id, late.expires));
        mandates.grant(late, "");
    }

    function test_revocationIsFinal() public {
        bytes memory signature = sign(patient, mandates.revocationDigest(mandateId));
        mandates.revoke(mandateId, signature);
        assertFalse(mandates.isLive(mandateId, policyId, oracle.addr));
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.MandateAlreadyRevoked.selector, mandateId));
        mandates.revoke(mandateId, signature);
        IMandateRegistry.Mandate memory again = _mandate(patient);
        signature = sign(patient, mandates.mandateDigest(again));
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.MandateExists.selector, mandateId));
        mandates.grant(again, signature);
    }

    function test_revocationNeedsTheKeysSignature() public {
        bytes memory signature = sign(oracle, mandates.revocationDigest(mandateId));
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.BadMandateSignature.selector, mandateId));
        mandates.revoke(mandateId, signature);
        vm.expectRevert(abi.encodeWithSelector(IMandateRegistry.MandateUnknown.selector, bytes32(0)));
        mandates.revoke(bytes32(0), signature);
    }

    // ---------------------------------------------------------------- credentials

    function test_credentialHoldsUntilTheSecondItExpires() public {
        uint64 expires = credentials.credentialOf(provider).expires;
        vm.warp(expires - 1);
        assertTrue(credentials.isCredentialed(provider));
        vm.warp(expires);
        assertFalse(credentials.isCredentialed(provider));
    }

    function test_removedIssuerTakesItsCredentialsAlong() public {
        vm.prank(guardian);
        credentials.removeIssuer(issuer.addr);
        assertFalse(credentials.isCredentialed(provider));
        _refusesCredential(_fresh(), abi.encodeWithSelector(ICredentialRegistry.NotIssuer.selector, issuer.addr));
    }

    function test_credentialOfAnotherIssuerStands() public {
        Vm.Wallet memory second = vm.createWallet("second issuer");
        vm.prank(address(timelock));
        credentials.addIssuer(second.addr);
        ICredentialRegistry.Credential memory other = _fresh();
        other.issuer = second.addr;
        _refusesCredential(
            other, abi.encodeWithSelector(ICredentialRegistry.CredentialHeldElsewhere.selector, provider, issuer.addr)
        );
        vm.prank(second.addr);
        vm.expectRevert(
            abi.encodeWithSelector(ICredentialRegistry.CredentialNotRevocable.selector, provider, second.addr)
        );
        credentials.revokeCredential(provider);

        vm.prank(issuer.addr);
        credentials.revokeCredential(provider);
        credentials.issueCredential(other, sign(second, credentials.credentialDigest(other)));
        assertEq(credentials.credentialOf(provider).issuer, second.addr);
    }

    function test_credentialIsRevokedOnceAndForGood() public {
        ICredentialRegistry.Credential memory held = credentials.credentialOf(provider);
        vm.prank(guardian);
        credentials.revokeCredential(provider);
        assertFalse(credentials.isCredentialed(provider));
        vm.prank(issuer.addr);
        vm.expectRevert(
            abi.encodeWithSelector(ICredentialRegistry.CredentialNotRevocable.selector, provider, issuer.addr)
        );
        credentials.revokeCredential(provider);
        _refusesCredential(held, abi.encodeWithSelector(ICredentialRegistry.LicenceUsed.selector, held.licence));
    }

    function test_credentialRefusesEmptyFields() public {
        bytes memory refused = abi.encodeWithSelector(ICredentialRegistry.InvalidCredential.selector);
        ICredentialRegistry.Credential memory bad = _fresh();
        bad.licence = 0;
        _refusesCredential(bad, refused);
        bad = _fresh();
        bad.class = 0;
        _refusesCredential(bad, refused);
        bad = _fresh();
        bad.provider = address(0);
        _refusesCredential(bad, refused);
        bad = _fresh();
        bad.expires = uint64(block.timestamp);
        _refusesCredential(bad, refused);
        issue(_fresh());
    }

    function test_credentialNeedsTheIssuersSignature() public {
        ICredentialRegistry.Credential memory fresh = _fresh();
        bytes memory refused = abi.encodeWithSelector(ICredentialRegistry.BadIssuerSignature.selector, issuer.addr);
        bytes memory signature = sign(patient, credentials.credentialDigest(fresh));
        vm.expectRevert(refused);
        credentials.issueCredential(fresh, signature);
        signature = sign(issuer, credentials.credentialDigest(fresh));
        fresh.class = bytes4(keccak256("another class"));
        vm.expectRevert(refused);
        credentials.issueCredential(fresh, signature);
    }

    function test_credentialProvesItsClassAndNoOther() public view {
        assertTrue(credentials.isOfClass(provider, NURSE));
        assertTrue(credentials.isOfClass(provider, 0));
        assertFalse(credentials.isOfClass(provider, bytes4(keccak256("another class"))));
        assertFalse(credentials.isOfClass(patient.addr, 0));
    }

    function test_issuersAreTheOwners() public {
        vm.expectRevert(_unauthorized(address(this)));
        credentials.addIssuer(address(this));
        vm.startPrank(address(timelock));
        vm.expectRevert(abi.encodeWithSelector(ICredentialRegistry.IssuerExists.selector, issuer.addr));
        credentials.addIssuer(issuer.addr);
        vm.expectRevert(abi.encodeWithSelector(ICredentialRegistry.NotIssuer.selector, provider));
        credentials.removeIssuer(provider);
    }

    function _fresh() private view returns (ICredentialRegistry.Credential memory) {
        return credentialOf(provider, "fresh licence", uint64(block.timestamp + 1 days));
    }

    function _refusesCredential(ICredentialRegistry.Credential memory bad, bytes memory reason) private {
        bytes memory signature = sign(issuer, credentials.credentialDigest(bad));
        vm.expectRevert(reason);
        credentials.issueCredential(bad, signature);
    }

    function _mandate(Vm.Wallet memory wallet) private view returns (IMandateRegistry.Mandate memory) {
        return mandateOf(wallet, policyId, oracle.addr);
    }

    function _refusesTerms(IPolicyRegistry.Terms memory bad) private {
        vm.expectRevert(IPolicyRegistry.InvalidTerms.selector);
        policies.approvePolicy(bad);
    }

    function _wrongOracle(address who, IOracleRegistry.Status status) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IOracleRegistry.WrongOracleStatus.selector, who, status);
    }

    function _unauthorized(address who) private pure returns (bytes memory) {
        return abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, who);
    }
}
