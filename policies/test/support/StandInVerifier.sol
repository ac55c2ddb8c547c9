// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice Follows the calling convention of a generated verifier: raw calldata of two public inputs and a proof, a revert
/// where the proof does not hold, no answer where it does. A "proof" here is a hash of the public inputs and of a
/// word that stands for the verifying key, filled up with zeros.
contract StandInVerifier {
    uint256 public constant PROOF_LENGTH = 2400;

    bytes32 private immutable KEY;

    constructor(bytes32 key) {
        KEY = key;
    }

    /// @notice What this verifier accepts.
    function proofOf(uint256 commitment, uint256 score) external view returns (bytes memory) {
        return abi.encodePacked(keccak256(abi.encode(KEY, commitment, score)), new bytes(PROOF_LENGTH - 32));
    }

    // forge-lint: disable-next-item(asm-keccak256)
    fallback(bytes calldata input) external returns (bytes memory) {
        (uint256 commitment, uint256 score, bytes32 proof) = abi.decode(input, (uint256, uint256, bytes32));
        // The generated verifiers reduce public inputs, which is why callers must not let an alias through.
        uint256 modulus = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
        bool accepted = proof == keccak256(abi.encode(KEY, commitment % modulus, score % modulus));
        assembly ("memory-safe") {
            if iszero(accepted) { revert(0, 0) }
            return(0, 0)
        }
    }
}

/// @notice Accepts everything and says so, as verifiers of another convention do.
contract TalkativeVerifier {
    fallback(bytes calldata) external returns (bytes memory) {
        return abi.encode(true);
    }
}

/// @notice Follows the calling convention of the verifiers that EZKL generates: it answers true where the proof is the hash
/// of the instances, and reverts where it is not.
contract StandInEzklVerifier {
    bool public honest = true;

    /// @notice Makes it answer false instead of true.
    function lie() external {
        honest = false;
    }

    /// @notice What this verifier accepts.
    function proofOf(uint256 commitment, uint256 score) external pure returns (bytes memory) {
        return abi.encode(keccak256(abi.encode(commitment, score)));
    }

    /// @notice EZKL's function.
    function verifyProof(bytes calldata proof, uint256[] calldata instances) external view returns (bool) {
        // forge-lint: disable-next-line(unsafe-typecast)
        require(instances.length == 2 && bytes32(proof) == keccak256(abi.encode(instances[0], instances[1])));
        return honest;
    }
}
