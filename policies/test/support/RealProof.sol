// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {stdJson} from "forge-std/StdJson.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {AuditFixture} from "./AuditFixture.sol";

/// @notice The verifier generated from the shipped model's verifying key and a real proof: generated/Halo2Verifier.json
/// (compiled by tools/compile-verifier.mjs) and generated/proof.json ({"commitment", "score", "proof"}, written with it).
abstract contract RealProof is AuditFixture {
    using stdJson for string;

    bytes32 internal commitment;
    int256 internal score;
    bytes internal proof;

    function loadProof() internal {
        string memory vector = vm.readFile("generated/proof.json");
        commitment = vector.readBytes32(".commitment");
        score = vector.readInt(".score");
        proof = vector.readBytes(".proof");
    }

    function deployVerifier() internal returns (address target) {
        return deployVerifier("generated/Halo2Verifier.json");
    }

    function deployVerifier(string memory path) internal returns (address target) {
        bytes memory bytecode = vm.readFile(path).readBytes(".bytecode");
        assembly ("memory-safe") {
            target := create(0, add(bytecode, 0x20), mload(bytecode))
        }
        assertGt(target.code.length, 0, "the generated verifier does not deploy");
    }

    function realRequest() internal returns (ICareCoordinator.TriggerRequest memory) {
        uint64 windowEnd = uint64(block.timestamp);
        bytes32 digest = coordinator.attestationDigest(mandateId, windowEnd, SCHEMA, commitment);
        return ICareCoordinator.TriggerRequest({
            policyId: policyId,
            mandateId: mandateId,
            windowEnd: windowEnd,
            commitment: commitment,
            score: score,
            oracle: oracle.addr,
            oracleSignature: sign(oracle, digest),
            proof: proof
        });
    }
}
