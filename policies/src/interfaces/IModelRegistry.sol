// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERCZKMLRegistry} from "./IERCZKMLRegistry.sol";
import {IGuarded} from "./IGuarded.sol";

/// @title Registry of the models that governance approved
/// @notice An ERC-7992 registry in which a model passes through two steps: it is registered (its hashes are fixed), and
/// it is approved (it is bound to a verifier contract and a feature schema, and may be acted on).
///
/// Versioning policy, which ERC-7992 asks to be documented: a model is never edited. Another set of weights, circuit,
/// key or card is another model identifier, so `updateModel` always reverts.
///
/// Identifiers: `modelId = keccak256(abi.encode(keccak256("hygeia/model/v1"), modelHash, circuitHash, vkHash,
/// proofSystemId, keccak256(bytes(uri))))`. ERC-7992 carries it as a `uint256`, the other contracts here as the same
/// 32 bytes in a `bytes32`.
/// @dev The owner is the timelock and is the ERC-7992 owner of every model. Of a verifier contract this registry assumes
/// only that it has code when the model is approved; that it belongs to `vkHash` is what voters check.
interface IModelRegistry is IERCZKMLRegistry, IGuarded {
    /// @notice Where a model stands. Deprecated is final.
    enum Status {
        Unknown,
        Registered,
        Active,
        Suspended,
        Deprecated
    }

    /// @notice What a model needs to be served and verified, chosen at approval and fixed from then on.
    /// @param schemaHash Hash of the feature schema that an oracle's attestation must name.
    /// @param verifier Contract that verifies this model's proofs.
    /// @param proofLength Exact length of a proof in bytes.
    struct ServiceBinding {
        bytes32 schemaHash;
        address verifier;
        uint32 proofLength;
    }

    /// @notice What a change to a model in clinical use must say of itself, after the FDA's guidance on a predetermined
    /// change control plan. Each field is the text itself or a reference that carries a content hash.
    /// @param modification What is changed and why.
    /// @param protocol How the change was developed, validated and is put in place.
    /// @param impact Benefits and risks, and how the risks are mitigated.
    struct ChangeControl {
        string modification;
        string protocol;
        string impact;
    }

    /// @notice What voters had before them beside the commitment, as content hashes. The package is the commitment's
    /// `modelHash`.
    /// @param cardHash The model card.
    /// @param fidelityHash The certificate that the integer model and the circuit score alike.
    /// @param evaluationHash The evaluation report.
    struct Evidence {
        bytes32 cardHash;
        bytes32 fidelityHash;
        bytes32 evaluationHash;
    }

    /// @notice What verifies the audits of a model: one proof for a batch of windows, made for a fixed number of leaves.
    /// @param verifier Contract that verifies the audits' proofs.
    /// @param proofLength Exact length of a proof in bytes.
    /// @param leaves Leaves of the tree under the proof's root.
    /// @param vkHash Content hash of the audit circuit's verifying key.
    struct AuditBinding {
        address verifier;
        uint32 proofLength;
        uint32 leaves;
        bytes32 vkHash;
    }

    /// @notice What the hot path reads of a model: two storage slots.
    struct Service {
        bytes32 schemaHash;
        address verifier;
        uint32 proofLength;
        bytes4 proofSystemId;
        Status status;
    }

    /// @notice A registered model was bound to its verifier and may be acted on.
    event ModelApproved(bytes32 indexed modelId, ServiceBinding binding, Evidence evidence, ChangeControl change);

    /// @notice A model was bound to a verifier of its audits.
    event AuditVerifierApproved(bytes32 indexed modelId, AuditBinding binding);

    /// @notice A model was taken out of service.
    event ModelSuspended(bytes32 indexed modelId, address indexed by);

    /// @notice A suspended model was put back into service.
    event ModelReinstated(bytes32 indexed modelId);

    /// @notice The same commitment is registered already.
    error ModelExists(bytes32 modelId);

    /// @notice A model is never edited; register another.
    error ModelImmutable(uint256 modelId);

    /// @notice The step is not possible from where the model stands.
    error WrongModelStatus(bytes32 modelId, Status actual);

    /// @notice The model has a verifier for audits of this many leaves, and a binding is never edited.
    error AuditVerifierExists(bytes32 modelId, uint32 leaves);

    /// @notice A hash of the commitment, the binding or the evidence is zero, a proof length is, or an audit has fewer than
    /// two leaves.
    error IncompleteModel();

    /// @notice A change control field is empty.
    error IncompleteChangeControl();

    /// @notice There is no contract at the verifier's address.
    error VerifierHasNoCode(address verifier);

    /// @notice Registers a model and approves it in one step: what a proposal calls. Only the owner.
    /// @return modelId The identifier of the model, now active.
    function approveModel(
        ModelCommitment calldata commitment,
        ServiceBinding calldata binding,
        Evidence calldata evidence,
        ChangeControl calldata change
    ) external returns (bytes32 modelId);

    /// @notice Approves a model that was registered before. Only the owner.
    function approveRegistered(
        bytes32 modelId,
        ServiceBinding calldata binding,
        Evidence calldata evidence,
        ChangeControl calldata change
    ) external;

    /// @notice Binds a model to a verifier of audits with a number of leaves, once and for good. The model is active or
    /// suspended. Only the owner.
    function approveAuditVerifier(bytes32 modelId, AuditBinding calldata binding) external;

    /// @notice Takes an active model out of service at once. The guardian or the owner.
    function suspendModel(bytes32 modelId) external;

    /// @notice Puts a suspended model back into service. Only the owner.
    function reinstateModel(bytes32 modelId) external;

    /// @notice Whether the model may be acted on now.
    function isActive(bytes32 modelId) external view returns (bool);

    /// @notice What the verifier and the coordinator read of a model; all zero where it is unknown.
    function serviceOf(bytes32 modelId) external view returns (Service memory);

    /// @notice What verifies audits of a model with this many leaves; all zero where nothing does.
    function auditBindingOf(bytes32 modelId, uint32 leaves) external view returns (AuditBinding memory);

    /// @notice What voters had before them when they approved a model; all zero where it is not approved.
    function evidenceOf(bytes32 modelId) external view returns (Evidence memory);

    /// @notice A model's commitment and service; all zero where it is unknown.
    function modelOf(bytes32 modelId) external view returns (ModelCommitment memory, Service memory);

    /// @notice The identifier that a commitment has.
    function modelIdOf(ModelCommitment calldata commitment) external pure returns (bytes32 modelId);
}
