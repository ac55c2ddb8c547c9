// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC8004ValidationRegistry} from "../interfaces/IERC8004ValidationRegistry.sol";
import {IInferenceValidator} from "../interfaces/IInferenceValidator.sol";
import {IInferenceVerifier} from "../interfaces/IInferenceVerifier.sol";

/// @title InferenceValidator
contract InferenceValidator is IInferenceValidator {
    uint8 private constant PASSED = 100;
    string private constant TAG = "zkml-inference";

    /// @inheritdoc IInferenceValidator
    IInferenceVerifier public immutable verifier;
    /// @inheritdoc IInferenceValidator
    IERC8004ValidationRegistry public immutable validations;

    constructor(IInferenceVerifier verifier_, IERC8004ValidationRegistry validations_) {
        verifier = verifier_;
        validations = validations_;
    }

    /// @inheritdoc IInferenceValidator
    function validate(uint256 modelId, bytes32 inputCommitment, bytes calldata output, bytes calldata proof)
        external
        returns (bytes32 requestHash)
    {
        requestHash = requestHashOf(modelId, inputCommitment, output, proof);
        verifier.verifyInference(modelId, inputCommitment, output, proof);
        validations.validationResponse(requestHash, PASSED, "", 0, TAG);
    }

    /// @inheritdoc IInferenceValidator
    function requestHashOf(uint256 modelId, bytes32 inputCommitment, bytes calldata output, bytes calldata proof)
        public
        pure
        returns (bytes32 requestHash)
    {
        return keccak256(abi.encode(modelId, inputCommitment, output, proof));
    }
}
