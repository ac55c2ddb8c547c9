// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC165, IERC165} from "@openzeppelin/contracts/utils/introspection/ERC165.sol";
import {IERCZKMLVerifier} from "../interfaces/IERCZKMLVerifier.sol";
import {IInferenceVerifier} from "../interfaces/IInferenceVerifier.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {ScoreField} from "../libraries/ScoreField.sol";

/// @title InferenceVerifier
contract InferenceVerifier is IInferenceVerifier, ERC165 {
    /// @notice The proof system whose verifier contracts follow the calling convention assumed here.
    bytes4 public constant PROOF_SYSTEM_ID = bytes4(keccak256("halo2-kzg-bn254-shplonk-keccak-v1"));

    IModelRegistry private immutable REGISTRY;

    constructor(IModelRegistry registry_) {
        REGISTRY = registry_;
    }

    /// @inheritdoc IERCZKMLVerifier
    function verifyInference(uint256 modelId, bytes32 inputCommitment, bytes calldata output, bytes calldata proof)
        external
    {
        if (uint256(inputCommitment) >= ScoreField.MODULUS) revert InputCommitmentMismatch();
        _verify(bytes32(modelId), [uint256(inputCommitment), _scoreInput(output)], proof);
        emit InferenceVerified(modelId, inputCommitment, output, msg.sender);
    }

    /// @inheritdoc IInferenceVerifier
    function verifyPublicInputs(bytes32 modelId, uint256[2] calldata publicInputs, bytes calldata proof) external view {
        for (uint256 i = 0; i < publicInputs.length; ++i) {
            if (publicInputs[i] >= ScoreField.MODULUS) revert PublicInputNotCanonical(i, publicInputs[i]);
        }
        _verify(modelId, publicInputs, proof);
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
        return interfaceId == type(IERCZKMLVerifier).interfaceId || super.supportsInterface(interfaceId);
    }

    function _verify(bytes32 modelId, uint256[2] memory publicInputs, bytes calldata proof) private view {
        IModelRegistry.Service memory service = REGISTRY.serviceOf(modelId);
        _requireInService(modelId, service);
        if (proof.length != service.proofLength) revert ProofLengthMismatch(service.proofLength, proof.length);
        if (service.verifier.code.length == 0) revert VerifierHasNoCode(service.verifier);

        (bool accepted, bytes memory answer) =
            service.verifier.staticcall(abi.encodePacked(publicInputs[0], publicInputs[1], proof));
        if (!accepted) revert InvalidProof();
        if (answer.length != 0) revert UnexpectedVerifierAnswer(service.verifier);
    }

    function _requireInService(bytes32 modelId, IModelRegistry.Service memory service) private pure {
        if (service.status == IModelRegistry.Status.Active) {
            if (service.proofSystemId != PROOF_SYSTEM_ID) revert UnsupportedProofSystem(service.proofSystemId);
        } else if (service.status == IModelRegistry.Status.Deprecated) {
            revert VerificationRefused_ModelDeprecated(uint256(modelId));
        } else {
            revert ModelNotInService(modelId, service.status);
        }
    }

    /// The output's schema: one ABI-encoded score.
    function _scoreInput(bytes calldata output) private pure returns (uint256) {
        if (output.length != 32) revert OutputMismatch();
        int256 score = abi.decode(output, (int256));
        if (score < type(int64).min || score > type(int64).max) revert OutputMismatch();
        return ScoreField.encode(score);
    }
}
