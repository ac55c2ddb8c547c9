// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

/// @title ERC-7992 verifier of machine learning inferences
/// @notice The draft's verifier interface, unchanged.
interface IERCZKMLVerifier is IERC165 {
    /// @notice An inference was shown to be the model's.
    event InferenceVerified(
        uint256 indexed modelId, bytes32 indexed inputCommitment, bytes output, address indexed caller
    );

    /// @notice The proof does not hold for this model, input commitment and output.
    error InvalidProof();

    /// @notice The proof holds, but for another model.
    error ModelMismatch();

    /// @notice The input commitment is not one the proof system can carry.
    error InputCommitmentMismatch();

    /// @notice The output does not follow the schema: one ABI-encoded `int256`, in the range of a score.
    error OutputMismatch();

    /// @notice This verifier does not know the model's proof system.
    error UnsupportedProofSystem(bytes4 proofSystemId);

    /// @notice The model was withdrawn for good.
    error VerificationRefused_ModelDeprecated(uint256 modelId);

    /// @notice Verifies that `output` is what the model says of the committed input, and reverts if it is not.
    /// @param modelId The model, as in the registry.
    /// @param inputCommitment Commitment to the private input, a field element in big-endian order.
    /// @param output The public output, ABI-encoded.
    /// @param proof The proof.
    function verifyInference(uint256 modelId, bytes32 inputCommitment, bytes calldata output, bytes calldata proof)
        external;

    /// @notice The proof system of a model.
    function proofSystemOf(uint256 modelId) external view returns (bytes4);

    /// @notice The registry that the models are read from.
    function registry() external view returns (address registryAddress);
}
