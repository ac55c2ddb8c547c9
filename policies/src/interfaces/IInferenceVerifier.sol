// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERCZKMLVerifier} from "./IERCZKMLVerifier.sol";
import {IModelRegistry} from "./IModelRegistry.sol";

/// @title Verifier of the statement "this score is what this model says of the committed window"
/// @notice An ERC-7992 verifier with the draft's storage extension. `verifyInference` is the draft's function and leaves an
/// event; `verifyPublicInputs` is the same check as a view, on the public inputs as the circuit has them.
///
/// Two proof systems are known, by the first four bytes of the hash of their names:
/// `halo2-kzg-bn254-shplonk-keccak-v1`, this project's own, and `ezkl-halo2-kzg-bn254-v1`, what EZKL proves with a hashed
/// input and one public output. In both the public inputs are the commitment and the score.
/// @dev Assumptions made of a model's verifier contract, which is generated from its verifying key. Of the first system's: it
/// takes the public inputs as 32-byte big-endian words followed by the proof as raw calldata, reverts where the proof does
/// not hold, and returns nothing where it does. Of the second's: it has `verifyProof(bytes,uint256[])`, which reverts where
/// the proof does not hold and answers with `true` where it does. Both are known to reduce public inputs modulo the field
/// order, and the first to ignore trailing calldata, so both are refused here, before it is called. An address without code
/// would accept everything and is refused too. Of the model registry it is assumed that what it says of a model is what
/// governance approved.
interface IInferenceVerifier is IERCZKMLVerifier {
    /// @notice The model is not in service.
    error ModelNotInService(bytes32 modelId, IModelRegistry.Status status);

    /// @notice A public input is not reduced modulo the field order.
    error PublicInputNotCanonical(uint256 index, uint256 value);

    /// @notice The proof does not have the length registered for the model.
    error ProofLengthMismatch(uint256 expected, uint256 actual);

    /// @notice There is no contract at the verifier's address.
    error VerifierHasNoCode(address verifier);

    /// @notice The verifier contract answered with data, so it is not one of the kind assumed.
    error UnexpectedVerifierAnswer(address verifier);

    /// @notice Reverts unless the proof holds for the model and the public inputs.
    /// @param modelId The model, which must be in service.
    /// @param publicInputs The commitment and the score, both as field elements.
    /// @param proof The proof.
    function verifyPublicInputs(bytes32 modelId, uint256[2] calldata publicInputs, bytes calldata proof) external view;
}
