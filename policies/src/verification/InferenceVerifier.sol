// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC165, IERC165} from "@openzeppelin/contracts/utils/introspection/ERC165.sol";
import {IERCZKMLStorageExtension} from "../interfaces/IERCZKMLStorageExtension.sol";
import {IERCZKMLVerifier} from "../interfaces/IERCZKMLVerifier.sol";
import {IInferenceVerifier} from "../interfaces/IInferenceVerifier.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {ProofCall} from "../libraries/ProofCall.sol";
import {ScoreField} from "../libraries/ScoreField.sol";

/// @title InferenceVerifier
contract InferenceVerifier is IInferenceVerifier, IERCZKMLStorageExtension, ERC165 {
    /// @notice This project's own proof system.
    bytes4 public constant PROOF_SYSTEM_ID = bytes4(keccak256("halo2-kzg-bn254-shplonk-keccak-v1"));
    /// @notice EZKL's proof system.
    bytes4 public constant EZKL_PROOF_SYSTEM_ID = bytes4(keccak256("ezkl-halo2-kzg-bn254-v1"));

    struct Inference {
        uint256 modelId;
        bytes32 inputCommitment;
        bytes output;
    }

    IModelRegistry private immutable REGISTRY;

    mapping(bytes32 inferenceId => Inference) private _inferences;

    constructor(IModelRegistry registry_) {
        REGISTRY = registry_;
    }

    /// @inheritdoc IERCZKMLVerifier
    function verifyInference(uint256 modelId, bytes32 inputCommitment, bytes calldata output, bytes calldata proof)
        external
    {
        _verifyInference(modelId, inputCommitment, output, proof);
    }

    /// @inheritdoc IERCZKMLStorageExtension
    function verifyAndStoreInference(
        uint256 modelId,
        bytes32 inputCommitment,
        bytes calldata output,
        bytes calldata proof
    ) external returns (bytes32 inferenceId) {
        _verifyInference(modelId, inputCommitment, output, proof);
        inferenceId = keccak256(abi.encodePacked(modelId, inputCommitment, output));
        _inferences[inferenceId] = Inference(modelId, inputCommitment, output);
        emit InferenceStored(inferenceId);
    }

    /// @inheritdoc IInferenceVerifier
    function verifyPublicInputs(bytes32 modelId, uint256[2] calldata publicInputs, bytes calldata proof) external view {
        for (uint256 i = 0; i < publicInputs.length; ++i) {
            if (publicInputs[i] >= ScoreField.MODULUS) revert PublicInputNotCanonical(i, publicInputs[i]);
        }
        _verify(modelId, publicInputs, proof);
    }

    /// @inheritdoc IERCZKMLStorageExtension
    function getInference(bytes32 inferenceId)
        external
        view
        returns (uint256 modelId, bytes32 inputCommitment, bytes memory output)
    {
        Inference storage stored = _inferences[inferenceId];
        return (stored.modelId, stored.inputCommitment, stored.output);
    }

    /// @inheritdoc IERCZKMLVerifier
    function proofSystemOf(uint256 modelId) external view returns (bytes4) {
        (IModelRegistry.ModelCommitment memory commitment,,) = REGISTRY.getModel(modelId);
        return commitment.proofSystemId;
    }

    /// @inheritdoc IERCZKMLVerifier
    function registry() external view returns (address registryAddress) {
        return address(REGISTRY);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override(ERC165, IERC165) returns (bool) {
        return interfaceId == type(IERCZKMLVerifier).interfaceId
            || interfaceId == type(IERCZKMLStorageExtension).interfaceId || super.supportsInterface(interfaceId);
    }

    function _verifyInference(uint256 modelId, bytes32 inputCommitment, bytes calldata output, bytes calldata proof)
        private
    {
        if (uint256(inputCommitment) >= ScoreField.MODULUS) revert InputCommitmentMismatch();
        _verify(bytes32(modelId), [uint256(inputCommitment), _scoreInput(output)], proof);
        emit InferenceVerified(modelId, inputCommitment, output, msg.sender);
    }

    function _verify(bytes32 modelId, uint256[2] memory publicInputs, bytes calldata proof) private view {
        IModelRegistry.Service memory service = REGISTRY.serviceOf(modelId);
        _requireInService(modelId, service);
        (uint256 commitment, uint256 score) = (publicInputs[0], publicInputs[1]);
        if (service.proofSystemId == PROOF_SYSTEM_ID) {
            ProofCall.requireRaw(service.verifier, service.proofLength, commitment, score, proof);
        } else if (service.proofSystemId == EZKL_PROOF_SYSTEM_ID) {
            ProofCall.requireEzkl(service.verifier, service.proofLength, commitment, score, proof);
        } else {
            revert UnsupportedProofSystem(service.proofSystemId);
        }
    }

    function _requireInService(bytes32 modelId, IModelRegistry.Service memory service) private pure {
        if (service.status == IModelRegistry.Status.Active) return;
        if (service.status == IModelRegistry.Status.Deprecated) {
            revert VerificationRefused_ModelDeprecated(uint256(modelId));
        }
        revert ModelNotInService(modelId, service.status);
    }

    /// The output's schema: one ABI-encoded score.
    function _scoreInput(bytes calldata output) private pure returns (uint256) {
        if (output.length != 32) revert OutputMismatch();
        int256 score = abi.decode(output, (int256));
        if (score < type(int64).min || score > type(int64).max) revert OutputMismatch();
        return ScoreField.encode(score);
    }
}
