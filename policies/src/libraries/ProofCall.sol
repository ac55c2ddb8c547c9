// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERCZKMLVerifier} from "../interfaces/IERCZKMLVerifier.sol";
import {IInferenceVerifier} from "../interfaces/IInferenceVerifier.sol";

/// @title How a verifier contract is asked
/// @notice One function for each calling convention. Each reverts unless the verifier, which must have code, accepts a proof
/// of exactly the registered length in exactly the way its convention has it. Whoever calls has made sure that the public
/// inputs are canonical.
library ProofCall {
    /// The one function of the verifiers that EZKL generates: it reverts or answers true.
    bytes4 private constant EZKL_VERIFY = bytes4(keccak256("verifyProof(bytes,uint256[])"));

    /// @notice Asks a verifier that takes two public inputs and the proof as raw calldata and answers with nothing.
    function requireRaw(
        address verifier,
        uint256 proofLength,
        uint256 firstInput,
        uint256 secondInput,
        bytes calldata proof
    ) internal view {
        _requireAskable(verifier, proofLength, proof);
        (bool accepted, bytes memory answer) = verifier.staticcall(abi.encodePacked(firstInput, secondInput, proof));
        if (!accepted) revert IERCZKMLVerifier.InvalidProof();
        if (answer.length != 0) revert IInferenceVerifier.UnexpectedVerifierAnswer(verifier);
    }

    /// @notice Asks a verifier that EZKL generated, which takes the proof and two instances and answers with `true`.
    function requireEzkl(
        address verifier,
        uint256 proofLength,
        uint256 firstInput,
        uint256 secondInput,
        bytes calldata proof
    ) internal view {
        _requireAskable(verifier, proofLength, proof);
        uint256[] memory instances = new uint256[](2);
        (instances[0], instances[1]) = (firstInput, secondInput);
        (bool accepted, bytes memory answer) =
            verifier.staticcall(abi.encodeWithSelector(EZKL_VERIFY, proof, instances));
        if (!accepted) revert IERCZKMLVerifier.InvalidProof();
        // forge-lint: disable-next-line(unsafe-typecast)
        if (answer.length != 32 || uint256(bytes32(answer)) != 1) {
            revert IInferenceVerifier.UnexpectedVerifierAnswer(verifier);
        }
    }

    function _requireAskable(address verifier, uint256 proofLength, bytes calldata proof) private view {
        if (proof.length != proofLength) revert IInferenceVerifier.ProofLengthMismatch(proofLength, proof.length);
        if (verifier.code.length == 0) revert IInferenceVerifier.VerifierHasNoCode(verifier);
    }
}
