// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Registry of patients' mandates
/// @notice A mandate is a patient's consent to one care policy over one oracle's attestations, if the patient wishes with
/// one agent operator and one class of providers only, until it expires or is revoked. It belongs to a fresh key made for it alone: nothing in it names or links a person, the key never holds
/// funds, and anybody may send the signed consent and pay the gas.
///
/// Identifiers: `mandateId = keccak256(abi.encode(keccak256("hygeia/mandate/v1"), key))`. Because the identifier follows
/// from the key, nobody can take a patient's identifier by sending another consent under it first.
///
/// Signatures are EIP-712 in the domain {name "Hygeia", version "1", chainId, verifyingContract = this contract}.
/// @dev Of the policy and the oracle a consent names nothing is assumed: whether they are approved is asked when it is used.
/// ERC-8226 (`IAgentMandate`) is not followed: it ties a mandate to a principal's address, an identity reference and a
/// compliance provider that vouches for it, and this registry is built so that nothing ties a mandate to anybody.
interface IMandateRegistry {
    /// @notice What the mandate's key signs to give consent.
    /// @param id The mandate's identifier.
    /// @param key The address of the mandate's key.
    /// @param policyId The one care policy consented to.
    /// @param oracle The one oracle whose attestations may be used.
    /// @param operator The one agent operator who may start care; zero where anyone may.
    /// @param providerClass The one class of providers who may give it, as in the credential registry; zero for any.
    /// @param expires First second at which the consent no longer holds.
    struct Mandate {
        bytes32 id;
        address key;
        bytes32 policyId;
        address oracle;
        address operator;
        bytes4 providerClass;
        uint64 expires;
    }

    /// @notice A consent came into force.
    event MandateGranted(
        bytes32 indexed mandateId,
        bytes32 indexed policyId,
        address indexed oracle,
        address key,
        address operator,
        bytes4 providerClass,
        uint64 expires
    );

    /// @notice A consent was withdrawn, for good.
    event MandateRevoked(bytes32 indexed mandateId);

    /// @notice The identifier does not follow from the key.
    error MandateIdMismatch(bytes32 mandateId, bytes32 expected);

    /// @notice This key has given its consent already.
    error MandateExists(bytes32 mandateId);

    /// @notice No consent was given under this identifier.
    error MandateUnknown(bytes32 mandateId);

    /// @notice The consent was withdrawn already.
    error MandateAlreadyRevoked(bytes32 mandateId);

    /// @notice The consent would be expired as it comes into force.
    error MandateExpired(bytes32 mandateId, uint64 expires);

    /// @notice The signature is not by the mandate's key.
    error BadMandateSignature(bytes32 mandateId);

    /// @notice Brings a signed consent into force. Anyone.
    /// @param mandate The consent.
    /// @param signature The key's EIP-712 signature over it, 65 bytes.
    function grant(Mandate calldata mandate, bytes calldata signature) external;

    /// @notice Withdraws a consent at once and for good. Anyone, with the key's signature over `Revocation(bytes32
    /// mandateId)`.
    function revoke(bytes32 mandateId, bytes calldata signature) external;

    /// @notice Whether this consent covers this policy and this oracle now, with one operator at least.
    function isLive(bytes32 mandateId, bytes32 policyId, address oracle) external view returns (bool);

    /// @notice Whether this consent covers this policy, this oracle and this agent operator now.
    function isLiveFor(bytes32 mandateId, bytes32 policyId, address oracle, address operator)
        external
        view
        returns (bool);

    /// @notice A mandate and whether it was revoked; all zero where it is unknown.
    function mandateOf(bytes32 mandateId) external view returns (Mandate memory mandate, bool revoked);

    /// @notice What settlement needs of a mandate; all zero where it is unknown. Holds after expiry and revocation.
    function scopeOf(bytes32 mandateId) external view returns (address key, bytes32 policyId, bytes4 providerClass);

    /// @notice The address of a mandate's key; zero where the mandate is unknown. Holds after expiry and revocation.
    function keyOf(bytes32 mandateId) external view returns (address);

    /// @notice The identifier that a key's mandate has.
    function mandateIdOf(address key) external pure returns (bytes32 mandateId);

    /// @notice What the key signs to give this consent.
    function mandateDigest(Mandate calldata mandate) external view returns (bytes32);

    /// @notice What the key signs to withdraw its consent.
    function revocationDigest(bytes32 mandateId) external view returns (bytes32);
}
