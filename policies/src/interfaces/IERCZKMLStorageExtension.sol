// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title ERC-7992 storage of verified inferences
/// @notice The draft's optional extension, unchanged. A record says that an inference was shown once; it is no nullifier.
interface IERCZKMLStorageExtension {
    /// @notice An inference was shown to be the model's and written down.
    event InferenceStored(bytes32 indexed inferenceId);

    /// @notice Verifies an inference as `verifyInference` does, reverts where that would, and writes it down. Storing it
    /// again changes nothing.
    /// @return inferenceId `keccak256(abi.encodePacked(modelId, inputCommitment, output))`.
    function verifyAndStoreInference(
        uint256 modelId,
        bytes32 inputCommitment,
        bytes calldata output,
        bytes calldata proof
    ) external returns (bytes32 inferenceId);

    /// @notice A stored inference; all zero and empty where there is none of this identifier.
    function getInference(bytes32 inferenceId)
        external
        view
        returns (uint256 modelId, bytes32 inputCommitment, bytes memory output);
}
