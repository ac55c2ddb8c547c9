// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {stdJson} from "forge-std/StdJson.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {ICredentialRegistry} from "../../src/interfaces/ICredentialRegistry.sol";
import {IERCZKMLRegistry} from "../../src/interfaces/IERCZKMLRegistry.sol";
import {IMandateRegistry} from "../../src/interfaces/IMandateRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {ScoreField} from "../../src/libraries/ScoreField.sol";
import {CredentialRegistry} from "../../src/registries/CredentialRegistry.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice Identifiers, public inputs and EIP-712 digests against test/vectors/encoding.json, which the Rust bindings' test
/// reads too: what Rust signs and derives is what the contracts check.
contract EncodingTest is CareFixture {
    using stdJson for string;

    string private vectors;

    function setUp() public {
        setUpCare();
        vectors = vm.readFile("test/vectors/encoding.json");
    }

    function test_proofSystemId() public view {
        assertEq(
            bytes4(vectors.readBytes(".proofSystem.id")),
            bytes4(keccak256(bytes(vectors.readString(".proofSystem.name"))))
        );
        assertEq(bytes4(vectors.readBytes(".proofSystem.id")), verifier.PROOF_SYSTEM_ID());
    }

    function test_modelId() public view {
        assertEq(
            models.modelIdOf(
                IERCZKMLRegistry.ModelCommitment({
                    modelHash: vectors.readBytes32(".model.modelHash"),
                    circuitHash: vectors.readBytes32(".model.circuitHash"),
                    vkHash: vectors.readBytes32(".model.vkHash"),
                    proofSystemId: bytes4(vectors.readBytes(".model.proofSystemId")),
                    uri: vectors.readString(".model.uri")
                })
            ),
            vectors.readBytes32(".model.id")
        );
    }

    function test_policyIds() public view {
        for (uint256 i = 0; i < 2; ++i) {
            string memory at_ = string.concat(".policies[", vm.toString(i), "]");
            assertEq(
                policies.policyIdOf(
                    IPolicyRegistry.Terms({
                        modelId: vectors.readBytes32(string.concat(at_, ".modelId")),
                        threshold: vectors.readInt(string.concat(at_, ".threshold")),
                        careCode: vectors.readBytes32(string.concat(at_, ".careCode")),
                        benefit: uint128(vectors.readUint(string.concat(at_, ".benefit"))),
                        coolDownSeconds: uint32(vectors.readUint(string.concat(at_, ".coolDownSeconds"))),
                        maxAttestationAgeSeconds: uint32(
                            vectors.readUint(string.concat(at_, ".maxAttestationAgeSeconds"))
                        ),
                        fulfilWithinSeconds: uint32(vectors.readUint(string.concat(at_, ".fulfilWithinSeconds"))),
                        startsPerDayMax: uint32(vectors.readUint(string.concat(at_, ".startsPerDayMax"))),
                        openMax: uint32(vectors.readUint(string.concat(at_, ".openMax"))),
                        arbiter: vectors.readAddress(string.concat(at_, ".arbiter")),
                        arbitrationSeconds: uint32(vectors.readUint(string.concat(at_, ".arbitrationSeconds")))
                    })
                ),
                vectors.readBytes32(string.concat(at_, ".id"))
            );
        }
    }

    function test_nullifiers() public view {
        for (uint256 i = 0; i < 3; ++i) {
            string memory at_ = string.concat(".nullifiers[", vm.toString(i), "]");
            assertEq(
                coordinator.nullifierOf(
                    vectors.readBytes32(string.concat(at_, ".mandateId")),
                    vectors.readBytes32(string.concat(at_, ".policyId")),
                    uint64(vectors.readUint(string.concat(at_, ".windowEnd"))),
                    uint32(vectors.readUint(string.concat(at_, ".coolDownSeconds")))
                ),
                vectors.readBytes32(string.concat(at_, ".nullifier"))
            );
        }
    }

    function test_scoreInputs() public view {
        for (uint256 i = 0; i < 5; ++i) {
            string memory at_ = string.concat(".scores[", vm.toString(i), "]");
            assertEq(
                ScoreField.encode(vectors.readInt(string.concat(at_, ".score"))),
                uint256(vectors.readBytes32(string.concat(at_, ".input")))
            );
        }
    }

    function test_digests() public {
        vm.chainId(vectors.readUint(".digests.chainId"));
        address registry = vectors.readAddress(".digests.mandateRegistry");
        deployCodeTo("MandateRegistry.sol:MandateRegistry", "", registry);
        IMandateRegistry.Mandate memory mandate = IMandateRegistry.Mandate({
            id: vectors.readBytes32(".digests.mandate.id"),
            key: vectors.readAddress(".digests.mandate.key"),
            policyId: vectors.readBytes32(".digests.mandate.policyId"),
            oracle: vectors.readAddress(".digests.mandate.oracle"),
            operator: vectors.readAddress(".digests.mandate.operator"),
            providerClass: bytes4(vectors.readBytes(".digests.mandate.providerClass")),
            expires: uint64(vectors.readUint(".digests.mandate.expires"))
        });
        IMandateRegistry there = IMandateRegistry(registry);
        assertEq(there.mandateIdOf(mandate.key), mandate.id);
        assertEq(there.mandateDigest(mandate), vectors.readBytes32(".digests.mandate.digest"));
        assertEq(there.revocationDigest(mandate.id), vectors.readBytes32(".digests.revocation.digest"));

        ICareCoordinator at_ = _coordinatorAt(vectors.readAddress(".digests.coordinator"));
        assertEq(
            at_.attestationDigest(
                mandate.id,
                uint64(vectors.readUint(".digests.attestation.windowEnd")),
                vectors.readBytes32(".digests.attestation.schema"),
                vectors.readBytes32(".digests.attestation.commitment")
            ),
            vectors.readBytes32(".digests.attestation.digest")
        );
        assertEq(
            at_.attendanceDigest(
                vectors.readBytes32(".digests.attendance.triggerId"),
                vectors.readAddress(".digests.attendance.provider")
            ),
            vectors.readBytes32(".digests.attendance.digest")
        );
        assertEq(
            at_.attendanceCodeDigest(
                vectors.readBytes32(".digests.attendance.triggerId"),
                vectors.readAddress(".digests.attendanceCode.code")
            ),
            vectors.readBytes32(".digests.attendanceCode.digest")
        );
    }

    function test_credentialDigest() public {
        vm.chainId(vectors.readUint(".digests.chainId"));
        address registry = vectors.readAddress(".digests.credentialRegistry");
        deployCodeTo(
            "CredentialRegistry.sol:CredentialRegistry", abi.encode(address(timelock), address(guardian)), registry
        );
        assertEq(
            CredentialRegistry(registry)
                .credentialDigest(
                    ICredentialRegistry.Credential({
                    provider: vectors.readAddress(".digests.credential.provider"),
                    issuer: vectors.readAddress(".digests.credential.issuer"),
                    licence: vectors.readBytes32(".digests.credential.licence"),
                    class: bytes4(vectors.readBytes(".digests.credential.class")),
                    expires: uint64(vectors.readUint(".digests.credential.expires"))
                })
                ),
            vectors.readBytes32(".digests.credential.digest")
        );
    }

    function _coordinatorAt(address place) private returns (ICareCoordinator) {
        ICareCoordinator.Wiring memory wiring = coordinator.wiring();
        vm.mockCall(address(pool), abi.encodeCall(pool.coordinator, ()), abi.encode(place));
        vm.mockCall(address(oracles), abi.encodeCall(oracles.coordinator, ()), abi.encode(place));
        deployCodeTo("CareCoordinator.sol:CareCoordinator", abi.encode(wiring), place);
        return ICareCoordinator(place);
    }
}
