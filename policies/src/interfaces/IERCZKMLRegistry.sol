// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

/// @title ERC-7992 registry of machine learning models
/// @notice The draft's registry interface. Function signatures, structs and events are the draft's, so that its ERC-165
/// identifier and an indexer's topics hold.
/// @dev The draft declares `ModelDeprecated(uint256)` as an event and as an error. Solidity does not accept both names in
/// one contract, so one of them must go. The event stays, because indexers depend on its topic. The error is left out:
/// the draft's verifier interface already refuses such a model with `VerificationRefused_ModelDeprecated`, and this
/// registry refuses to deprecate twice with an error of its own name. See docs/adr/0006-erc-7992.md.
interface IERCZKMLRegistry is IERC165 {
    /// @notice What ties a model identifier to one set of weights and one circuit.
    /// @param modelHash Content hash of the weights, the architecture and the feature schema.
    /// @param circuitHash Content hash of the arithmetic circuit.
    /// @param vkHash Content hash of the verifying key.
    /// @param proofSystemId First four bytes of keccak256 of the proof system's canonical name.
    /// @param uri Where the model card is found.
    struct ModelCommitment {
        bytes32 modelHash;
        bytes32 circuitHash;
        bytes32 vkHash;
        bytes4 proofSystemId;
        string uri;
    }

    /// @notice A model was entered.
    event ModelRegistered(uint256 indexed modelId, address indexed owner, ModelCommitment commitment);

    /// @notice A model's commitment was replaced.
    event ModelUpdated(uint256 indexed modelId, ModelCommitment oldCommitment, ModelCommitment newCommitment);

    /// @notice A model was withdrawn for good.
    event ModelDeprecated(uint256 indexed modelId);

    /// @notice No model has this identifier.
    error ModelNotFound(uint256 modelId);

    /// @notice The caller does not own the model.
    error NotModelOwner(uint256 modelId, address caller);

    /// @notice Enters a model.
    /// @param commitment The model's hashes.
    /// @return modelId Its identifier, unique in this registry.
    function registerModel(ModelCommitment calldata commitment) external returns (uint256 modelId);

    /// @notice Replaces a model's commitment, where the registry allows it. The caller is the model's owner.
    function updateModel(uint256 modelId, ModelCommitment calldata newCommitment) external;

    /// @notice Withdraws a model for good. The caller is the model's owner.
    function deprecateModel(uint256 modelId) external;

    /// @notice Reads a model.
    /// @return commitment Its hashes.
    /// @return deprecated Whether it was withdrawn for good.
    /// @return owner Who may deprecate it.
    function getModel(uint256 modelId)
        external
        view
        returns (ModelCommitment memory commitment, bool deprecated, address owner);
}
