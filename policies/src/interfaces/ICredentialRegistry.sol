// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IGuarded} from "./IGuarded.sol";

/// @title Registry of care providers' credentials
/// @notice Governance names the issuers (a licensing body, a hospital's credentialing office); an issuer signs that a
/// provider's address belongs to a class of practitioners until a date, and anybody may send what it signed. On chain
/// stands a salted hash of the licence, never a name: class and validity are proved to everyone, and the provider can show
/// licence and salt to whom they choose.
///
/// Classes: `class = bytes4(keccak256(code))`, where `code` is a terminology's code with its system, for example
/// `http://snomed.info/sct|224535009` (registered nurse).
///
/// Signatures are EIP-712 in the domain {name "Hygeia", version "1", chainId, verifyingContract = this contract}, over
/// `Credential(address provider,address issuer,bytes32 licence,bytes4 class,uint64 expires)`. A licence hash is used
/// once, so what was withdrawn or replaced does not come back by its old signature: a renewal takes a new salt.
/// @dev The owner is the timelock. Of an issuer it is assumed that it has checked the licence and that nobody else signs
/// with its key.
interface ICredentialRegistry is IGuarded {
    /// @notice A credential.
    /// @param provider Who holds it.
    /// @param issuer Who signed it.
    /// @param licence Salted hash of the licence.
    /// @param class The class of practitioners the provider belongs to.
    /// @param expires First second at which it no longer holds; zero once it is revoked.
    struct Credential {
        address provider;
        address issuer;
        bytes32 licence;
        bytes4 class;
        uint64 expires;
    }

    /// @notice An issuer was named.
    event IssuerAdded(address indexed issuer);

    /// @notice An issuer was removed, and with it every credential it issued.
    event IssuerRemoved(address indexed issuer, address indexed by);

    /// @notice A provider was credentialed.
    event CredentialIssued(
        address indexed provider, address indexed issuer, bytes4 indexed class, bytes32 licence, uint64 expires
    );

    /// @notice A credential was withdrawn.
    event CredentialRevoked(address indexed provider, address indexed by);

    /// @notice The address is an issuer already.
    error IssuerExists(address issuer);

    /// @notice The address is not an issuer.
    error NotIssuer(address issuer);

    /// @notice The provider holds a credential of another issuer that is in force.
    error CredentialHeldElsewhere(address provider, address issuer);

    /// @notice The provider, the licence hash or the class is zero, or the expiry is past.
    error InvalidCredential();

    /// @notice A credential with this licence hash was issued before.
    error LicenceUsed(bytes32 licence);

    /// @notice The signature is not the issuer's over this credential.
    error BadIssuerSignature(address issuer);

    /// @notice The provider holds no credential that the caller may withdraw.
    error CredentialNotRevocable(address provider, address caller);

    /// @notice Names an issuer. Only the owner.
    function addIssuer(address issuer) external;

    /// @notice Removes an issuer and every credential it issued, at once. The guardian or the owner.
    function removeIssuer(address issuer) external;

    /// @notice Credentials a provider, or replaces the issuer's own credential of it. Anyone, with the issuer's signature.
    /// @param credential What the issuer signed.
    /// @param signature The issuer's EIP-712 signature over it, 65 bytes.
    function issueCredential(Credential calldata credential, bytes calldata signature) external;

    /// @notice Withdraws a credential. Its issuer, the guardian or the owner.
    function revokeCredential(address provider) external;

    /// @notice Whether the address is an issuer.
    function isIssuer(address issuer) external view returns (bool);

    /// @notice Whether a credential with this licence hash was issued.
    function isLicenceUsed(bytes32 licence) external view returns (bool);

    /// @notice Whether the provider holds a credential in force.
    function isCredentialed(address provider) external view returns (bool);

    /// @notice Whether the provider holds a credential in force and is of this class; any class where it is zero.
    function isOfClass(address provider, bytes4 class) external view returns (bool);

    /// @notice A provider's credential; all zero where there was none.
    function credentialOf(address provider) external view returns (Credential memory);

    /// @notice What an issuer signs to credential a provider.
    function credentialDigest(Credential calldata credential) external view returns (bytes32);
}
