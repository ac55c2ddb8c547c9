// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Vm} from "forge-std/Vm.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {ICredentialRegistry} from "../../src/interfaces/ICredentialRegistry.sol";
import {IERCZKMLRegistry} from "../../src/interfaces/IERCZKMLRegistry.sol";
import {IMandateRegistry} from "../../src/interfaces/IMandateRegistry.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {ScoreField} from "../../src/libraries/ScoreField.sol";
import {Deployment} from "./Deployment.sol";
import {StandInVerifier} from "./StandInVerifier.sol";

/// @notice One approved model and policy, one bonded oracle, one patient with a live mandate, one credentialed provider and
/// a funded pool, with what a test needs to make further ones. Approvals are made as the timelock: that the timelock is
/// reached only through a vote is the governance test's matter.
abstract contract CareFixture is Deployment {
    bytes4 internal constant PROOF_SYSTEM_ID = bytes4(keccak256("halo2-kzg-bn254-shplonk-keccak-v1"));
    uint32 internal constant PROOF_LENGTH = 2400;
    bytes32 internal constant SCHEMA = keccak256("schema");
    int256 internal constant THRESHOLD = 1200;
    uint128 internal constant BENEFIT = 50 ether;
    uint32 internal constant COOL_DOWN = 12 hours;
    uint32 internal constant MAX_AGE = 2 hours;
    uint32 internal constant FULFIL_WITHIN = 3 days;
    uint32 internal constant ARBITRATION = 5 days;
    uint32 internal constant STARTS_PER_DAY = 50;
    uint32 internal constant OPEN_MAX = 40;
    bytes4 internal constant NURSE = bytes4(keccak256("http://snomed.info/sct|224535009"));

    Vm.Wallet internal oracle = vm.createWallet("oracle");
    Vm.Wallet internal patient = vm.createWallet("patient");
    address internal provider = makeAddr("provider");
    address internal arbiter = makeAddr("arbiter");
    Vm.Wallet internal issuer = vm.createWallet("issuer");

    StandInVerifier internal standIn;
    bytes32 internal modelId;
    bytes32 internal policyId;
    bytes32 internal mandateId;

    function setUpCare() internal {
        deploy();
        standIn = new StandInVerifier("key");
        vm.startPrank(address(timelock));
        modelId = models.approveModel(commitmentOf("v1"), bindingTo(address(standIn)), evidence(), changeControl());
        policyId = policies.approvePolicy(terms());
        oracles.admitOracle(oracle.addr);
        credentials.addIssuer(issuer.addr);
        vm.stopPrank();

        issue(credentialOf(provider, "licence and salt", uint64(block.timestamp + 365 days)));
        vm.startPrank(treasury);
        token.approve(address(oracles), type(uint256).max);
        oracles.payBond(oracle.addr, MINIMUM_BOND);
        token.approve(address(pool), type(uint256).max);
        pool.fund(20 * uint256(BENEFIT));
        vm.stopPrank();
        mandateId = grantMandate(patient, policyId, oracle.addr);
    }

    // ---------------------------------------------------------------- what governance approves

    function commitmentOf(string memory uri) internal pure returns (IERCZKMLRegistry.ModelCommitment memory) {
        return IERCZKMLRegistry.ModelCommitment({
            modelHash: keccak256("model"),
            circuitHash: keccak256("circuit"),
            vkHash: keccak256("vk"),
            proofSystemId: PROOF_SYSTEM_ID,
            uri: uri
        });
    }

    function bindingTo(address target) internal pure returns (IModelRegistry.ServiceBinding memory) {
        return IModelRegistry.ServiceBinding({schemaHash: SCHEMA, verifier: target, proofLength: PROOF_LENGTH});
    }

    function changeControl() internal pure returns (IModelRegistry.ChangeControl memory) {
        return IModelRegistry.ChangeControl("first model", "held-out stays", "no harm expected from a visit");
    }

    function terms() internal view returns (IPolicyRegistry.Terms memory) {
        return IPolicyRegistry.Terms({
            modelId: modelId,
            threshold: THRESHOLD,
            careCode: keccak256("http://snomed.info/sct|50357006"),
            benefit: BENEFIT,
            coolDownSeconds: COOL_DOWN,
            maxAttestationAgeSeconds: MAX_AGE,
            fulfilWithinSeconds: FULFIL_WITHIN,
            startsPerDayMax: STARTS_PER_DAY,
            openMax: OPEN_MAX,
            arbiter: arbiter,
            arbitrationSeconds: ARBITRATION
        });
    }

    function evidence() internal pure returns (IModelRegistry.Evidence memory) {
        return IModelRegistry.Evidence(keccak256("card"), keccak256("fidelity"), keccak256("evaluation"));
    }

    // ---------------------------------------------------------------- what patients, issuers and oracles sign

    function mandateOf(Vm.Wallet memory wallet, bytes32 policyId_, address oracle_)
        internal
        view
        returns (IMandateRegistry.Mandate memory)
    {
        return IMandateRegistry.Mandate({
            id: mandates.mandateIdOf(wallet.addr),
            key: wallet.addr,
            policyId: policyId_,
            oracle: oracle_,
            operator: address(0),
            providerClass: 0,
            expires: uint64(block.timestamp + 90 days)
        });
    }

    function grant(Vm.Wallet memory wallet, IMandateRegistry.Mandate memory mandate) internal returns (bytes32) {
        mandates.grant(mandate, sign(wallet, mandates.mandateDigest(mandate)));
        return mandate.id;
    }

    function grantMandate(Vm.Wallet memory wallet, bytes32 policyId_, address oracle_) internal returns (bytes32 id) {
        return grant(wallet, mandateOf(wallet, policyId_, oracle_));
    }

    function credentialOf(address provider_, string memory licence, uint64 expires)
        internal
        view
        returns (ICredentialRegistry.Credential memory)
    {
        return ICredentialRegistry.Credential(provider_, issuer.addr, keccak256(bytes(licence)), NURSE, expires);
    }

    function issue(ICredentialRegistry.Credential memory credential) internal {
        credentials.issueCredential(credential, sign(issuer, credentials.credentialDigest(credential)));
    }

    function request(bytes32 mandateId_, uint64 windowEnd, int256 score)
        internal
        returns (ICareCoordinator.TriggerRequest memory)
    {
        bytes32 commitment = bytes32(uint256(keccak256(abi.encode(mandateId_, windowEnd))) % ScoreField.MODULUS);
        return ICareCoordinator.TriggerRequest({
            policyId: policyId,
            mandateId: mandateId_,
            windowEnd: windowEnd,
            commitment: commitment,
            score: score,
            oracle: oracle.addr,
            oracleSignature: sign(oracle, coordinator.attestationDigest(mandateId_, windowEnd, SCHEMA, commitment)),
            proof: standIn.proofOf(uint256(commitment), ScoreField.encode(score))
        });
    }

    /// @notice A request that the coordinator accepts now.
    function goodRequest() internal returns (ICareCoordinator.TriggerRequest memory) {
        return request(mandateId, uint64(block.timestamp - 10 minutes), THRESHOLD + 1);
    }

    function sign(Vm.Wallet memory wallet, bytes32 digest) internal returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(wallet, digest);
        return abi.encodePacked(r, s, v);
    }
}
