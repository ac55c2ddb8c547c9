// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IAuditLedger} from "./IAuditLedger.sol";
import {ICarePool} from "./ICarePool.sol";
import {ICredentialRegistry} from "./ICredentialRegistry.sol";
import {IInferenceVerifier} from "./IInferenceVerifier.sol";
import {IMandateRegistry} from "./IMandateRegistry.sol";
import {IModelRegistry} from "./IModelRegistry.sol";
import {IOracleRegistry} from "./IOracleRegistry.sol";
import {IPolicyRegistry} from "./IPolicyRegistry.sol";

/// @title Starts and settles preventive care on the strength of a proof
/// @notice `trigger` starts care: approved policy, approved model, live mandate, registered oracle's signature over a
/// recent window, score at the threshold or above, unused nullifier, caps not reached, valid proof, funds in the pool.
/// `triggerAudited` does the same on the strength of a recorded audit and the window's path in it. `fulfil` pays the provider
/// whom the patient's mandate key attests, `fulfilWithCode` the one who was given the attendance code; `lapse` frees the
/// benefit after the deadline. Nobody's permission is needed for any of them, and nobody can do more than the signatures
/// and the proof carry.
///
/// Only what is disputed reaches a person: a provider who gave the care and got no signature may `dispute`, and the arbiter
/// whom governance named in the policy may `resolve` in the provider's favour or not, until the case's deadline plus the
/// policy's time for it. Without a decision the benefit lapses. The patient's signature pays while the dispute goes on.
///
/// An attendance code is a key that the mandate's key names for one trigger: the patient's device signs for it as care
/// starts, without knowing the provider, and shows it at the bedside; the provider signs its own address with it.
///
/// A trigger's identifier is its nullifier: `keccak256(abi.encode(mandateId, policyId, windowEnd / coolDownSeconds))`,
/// with the quotient as an integer in a 32-byte word. So a mandate starts a policy's care at most once in each of the
/// policy's periods, which are counted from the epoch.
///
/// Signatures are EIP-712 in the domain {name "Hygeia", version "1", chainId, verifyingContract = this contract}:
/// the oracle's over `WindowAttestation(bytes32 mandateId,uint64 windowEnd,bytes32 schema,bytes32 commitment)`, where
/// `schema` is the one the model was approved for, and the mandate key's over
/// `Attendance(bytes32 triggerId,address provider)` or `AttendanceCode(bytes32 triggerId,address code)`, where the code's
/// own signature is over `Attendance`.
/// @dev Assumptions made of the other contracts, all fixed at deployment: the registries answer truthfully and their
/// views do not revert for unknown identifiers; the verifier reverts unless the proof holds for exactly the model and
/// public inputs given, and the audit ledger unless the window stands under a root recorded for exactly the model; the pool
/// reverts where it cannot cover a benefit; a mandate's scope and a policy's terms never change. Pool and oracle registry are
/// this coordinator's alone.
interface ICareCoordinator {
    /// @notice The contracts the coordinator works with.
    struct Wiring {
        IModelRegistry models;
        IInferenceVerifier verifier;
        IAuditLedger audits;
        IPolicyRegistry policies;
        IOracleRegistry oracles;
        IMandateRegistry mandates;
        ICredentialRegistry credentials;
        ICarePool pool;
    }

    /// @notice What starts care.
    /// @param policyId The care policy.
    /// @param mandateId The patient's consent.
    /// @param windowEnd End of the attested window, in seconds since the epoch.
    /// @param commitment Salted commitment to the window's features, a field element in big-endian order.
    /// @param score The model's score of the window.
    /// @param oracle Who attested the window.
    /// @param oracleSignature The oracle's EIP-712 signature, 65 bytes.
    /// @param proof That the score is the model's for the committed window.
    struct TriggerRequest {
        bytes32 policyId;
        bytes32 mandateId;
        uint64 windowEnd;
        bytes32 commitment;
        int256 score;
        address oracle;
        bytes oracleSignature;
        bytes proof;
    }

    /// @notice Where a trigger stands.
    enum Status {
        Unknown,
        Open,
        Fulfilled,
        Lapsed,
        Disputed
    }

    /// @notice What shows that a provider was given the attendance code.
    /// @param code The address of the code's key.
    /// @param mandateSignature The mandate key's signature over `AttendanceCode`, 65 bytes.
    /// @param codeSignature The code's signature over `Attendance`, 65 bytes.
    struct AttendanceCode {
        address code;
        bytes mandateSignature;
        bytes codeSignature;
    }

    /// @notice How far a policy's caps are used.
    /// @param open Triggers of the policy whose benefit is set aside.
    /// @param day The last day on which it started care, in days since the epoch.
    /// @param startsOfDay How often it started care on that day.
    struct Usage {
        uint32 open;
        uint32 day;
        uint32 startsOfDay;
    }

    /// @notice A trigger's record.
    /// @param mandateId The patient's consent.
    /// @param benefit What is reserved for it or was paid.
    /// @param deadline Last second at which it can be fulfilled.
    /// @param status Where it stands.
    struct Trigger {
        bytes32 mandateId;
        uint128 benefit;
        uint64 deadline;
        Status status;
    }

    /// @notice Care was started and its benefit set aside.
    event CareTriggered(
        bytes32 indexed triggerId,
        bytes32 indexed policyId,
        bytes32 indexed mandateId,
        bytes32 modelId,
        uint256 benefit,
        uint64 deadline
    );

    /// @notice Care was given and its provider paid.
    event CareFulfilled(bytes32 indexed triggerId, address indexed provider, uint256 benefit);

    /// @notice Nobody gave the care in time and its benefit was freed.
    event CareLapsed(bytes32 indexed triggerId, uint256 benefit);

    /// @notice A provider claims to have given the care; `evidence` is a salted hash of what it shows the arbiter.
    event CareDisputed(bytes32 indexed triggerId, address indexed claimant, address indexed arbiter, bytes32 evidence);

    /// @notice The arbiter decided whether the claimant gave the care.
    event DisputeResolved(bytes32 indexed triggerId, address indexed claimant, bool attended);

    /// @notice The oracle registry was not made for this coordinator.
    error OraclesNotOurs(address oracles, address coordinator);

    /// @notice The pool was not made for this coordinator.
    error PoolNotOurs(address pool, address coordinator);

    /// @notice The policy is unknown, suspended or retired.
    error PolicyNotActive(bytes32 policyId);

    /// @notice The policy's model is not in service.
    error ModelNotActive(bytes32 modelId);

    /// @notice The mandate is unknown, expired, revoked, or does not cover this policy, oracle and caller.
    error MandateNotLive(bytes32 mandateId);

    /// @notice The oracle is unknown, suspended, removed or not fully bonded.
    error OracleNotActive(address oracle);

    /// @notice The window ended longer ago than the policy allows.
    error AttestationTooOld(uint64 windowEnd, uint256 oldest);

    /// @notice The window has not ended yet.
    error AttestationInFuture(uint64 windowEnd, uint256 timestamp);

    /// @notice The score does not reach the policy's threshold.
    error ScoreBelowThreshold(int256 score, int256 threshold);

    /// @notice Care was started already for this mandate, policy and period.
    error NullifierUsed(bytes32 nullifier);

    /// @notice The policy has started care as often as it may in a day.
    error DailyCapReached(bytes32 policyId, uint32 startsPerDayMax);

    /// @notice The policy has as many benefits set aside as it may.
    error PoolCapReached(bytes32 policyId, uint32 openMax);

    /// @notice The signature is not the oracle's over this window, schema and commitment.
    error BadOracleSignature(address oracle);

    /// @notice A request that rests on an audit carries a proof of its own.
    error ProofNotExpected(uint256 length);

    /// @notice The proof or the path was refused; `reason` is the verifier's or the audit ledger's error.
    error ProofRejected(bytes32 modelId, bytes reason);

    /// @notice The trigger is not open.
    error TriggerNotOpen(bytes32 triggerId, Status status);

    /// @notice The time to fulfil the trigger is over.
    error DeadlinePassed(bytes32 triggerId, uint64 deadline);

    /// @notice The time to fulfil the trigger is not over.
    error DeadlineNotReached(bytes32 triggerId, uint64 deadline);

    /// @notice The provider holds no credential in force of the class that the mandate asks for.
    error ProviderNotCredentialed(address provider);

    /// @notice The attendance is not signed by the mandate's key, or the code not by the mandate's key or its use not by it.
    error BadAttendanceSignature(bytes32 triggerId);

    /// @notice The policy has no arbiter.
    error NoArbiter(bytes32 policyId);

    /// @notice The caller is not the policy's arbiter.
    error NotArbiter(address caller, address arbiter);

    /// @notice This provider has disputed this trigger already.
    error DisputedBefore(bytes32 triggerId, address claimant);

    /// @notice Starts care. Anyone. The checks are made in the order of the errors above.
    /// @return triggerId The trigger's identifier, which is its nullifier.
    function trigger(TriggerRequest calldata request) external returns (bytes32 triggerId);

    /// @notice Starts care like `trigger`, with the same checks in the same order, but for a window that an audit of the
    /// policy's model proved. Anyone.
    /// @param request What starts care; its proof is empty.
    /// @param root The recorded audit's root.
    /// @param index The window's leaf.
    /// @param path Digests beside the way from the leaf to the root, leaf first.
    /// @return triggerId The trigger's identifier, which is its nullifier.
    function triggerAudited(TriggerRequest calldata request, bytes32 root, uint256 index, bytes32[] calldata path)
        external
        returns (bytes32 triggerId);

    /// @notice Pays the provider who gave the care. Anyone, with the attendance signed by the mandate's key. A mandate
    /// revoked since does not matter: who signs attends.
    function fulfil(bytes32 triggerId, address provider, bytes calldata attendanceSignature) external;

    /// @notice Pays the provider who was given the attendance code. Anyone.
    function fulfilWithCode(bytes32 triggerId, address provider, AttendanceCode calldata attendance) external;

    /// @notice Claims, before the deadline, to have given the care without getting a signature. Only a credentialed provider
    /// of the class that the mandate asks for, once for each trigger.
    /// @param evidence Salted hash of what the claimant shows the arbiter.
    function dispute(bytes32 triggerId, bytes32 evidence) external;

    /// @notice Decides a dispute: pays the claimant, or opens the trigger again. Only the policy's arbiter, until the
    /// arbitration deadline.
    function resolve(bytes32 triggerId, bool attended) external;

    /// @notice Frees the benefit of a trigger that nobody fulfilled in time and no arbiter decided in time. Anyone.
    function lapse(bytes32 triggerId) external;

    /// @notice Whether care was started under this nullifier.
    function nullifierUsed(bytes32 nullifier) external view returns (bool);

    /// @notice A trigger; all zero where it is unknown.
    function triggerOf(bytes32 triggerId) external view returns (Trigger memory);

    /// @notice Who claims to have given the care; zero where the trigger is not disputed.
    function claimantOf(bytes32 triggerId) external view returns (address);

    /// @notice How far a policy's caps are used.
    function usageOf(bytes32 policyId) external view returns (Usage memory);

    /// @notice The contracts the coordinator works with.
    function wiring() external view returns (Wiring memory);

    /// @notice The nullifier of a mandate, policy and period.
    function nullifierOf(bytes32 mandateId, bytes32 policyId, uint64 windowEnd, uint32 coolDownSeconds)
        external
        pure
        returns (bytes32);

    /// @notice What an oracle signs to attest a window.
    function attestationDigest(bytes32 mandateId, uint64 windowEnd, bytes32 schema, bytes32 commitment)
        external
        view
        returns (bytes32);

    /// @notice What a mandate's key signs to attest that a provider attended.
    function attendanceDigest(bytes32 triggerId, address provider) external view returns (bytes32);

    /// @notice What a mandate's key signs to name an attendance code for a trigger.
    function attendanceCodeDigest(bytes32 triggerId, address code) external view returns (bytes32);
}
