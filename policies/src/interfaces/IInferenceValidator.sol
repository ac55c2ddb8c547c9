// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC8004ValidationRegistry} from "./IERC8004ValidationRegistry.sol";
import {IInferenceVerifier} from "./IInferenceVerifier.sol";

/// @title ERC-8004 validator of inferences
/// @notice An agent that wants an inference of its validated names this contract in its request and commits to the inference
/// and its proof: the request's payload is `abi.encode(modelId, inputCommitment, output, proof)`, with the types of
/// `validate`, and its hash identifies the request. Anybody who has the payload can then have it answered. An answer says that the
/// inference is the model's, not that the agent was the first to have a proof of it: proofs on chain can be copied.
/// @dev It answers 100 or not at all: a failed call may only mean that its sender gave it too little gas. Assumes of the
/// verifier that it reverts unless the proof holds, and of the registry that it refuses an answer to a request that does not
/// exist or names another validator.
interface IInferenceValidator {
    /// @notice Verifies an inference and answers its request with 100. Anyone. Reverts where the verifier or the registry
    /// does.
    /// @param modelId The model, as in the model registry.
    /// @param inputCommitment Commitment to the private input.
    /// @param output The public output, ABI-encoded.
    /// @param proof The proof.
    /// @return requestHash The request that was answered.
    function validate(uint256 modelId, bytes32 inputCommitment, bytes calldata output, bytes calldata proof)
        external
        returns (bytes32 requestHash);

    /// @notice The hash that a request for this inference has.
    function requestHashOf(uint256 modelId, bytes32 inputCommitment, bytes calldata output, bytes calldata proof)
        external
        pure
        returns (bytes32 requestHash);

    /// @notice What verifies inferences.
    function verifier() external view returns (IInferenceVerifier);

    /// @notice Where requests are answered.
    function validations() external view returns (IERC8004ValidationRegistry);
}
