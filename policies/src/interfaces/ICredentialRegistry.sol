// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IGuarded} from "./IGuarded.sol";

/// @title Registry of care providers' credentials
/// @notice Governance names the issuers (a licensing body, a hospital's credentialing office); an issuer credentials a
/// provider's address until a date. On chain stands a salted hash of the licence, never a name: the provider can show
/// licence and salt to whom they choose.
/// @dev The owner is the timelock. Of an issuer it is assumed that it has checked the licence.
interface ICredentialRegistry is IGuarded {
    /// @notice A credential.
    /// @param licence Salted hash of the licence.
    /// @param issuer Who issued it.
    /// @param expires First second at which it no longer holds; zero once it is revoked.
    struct Credential {
        bytes32 licence;
        address issuer;
        uint64 expires;
    }

    /// @notice An issuer was named.
    event IssuerAdded(address indexed issuer);

    /// @notice An issuer was removed, and with it every credential it issued.
    event IssuerRemoved(address indexed issuer, address indexed by);

    /// @notice A provider was credentialed.
    event CredentialIssued(address indexed provider, address indexed issuer, bytes32 licence, uint64 expires);

    /// @notice A credential was withdrawn.
    event CredentialRevoked(address indexed provider, address indexed by);

    /// @notice The address is an issuer already.
    error IssuerExists(address issuer);

    /// @notice The address is not an issuer.
    error NotIssuer(address issuer);

    /// @notice The provider holds a credential of another issuer that is in force.
    error CredentialHeldElsewhere(address provider, address issuer);

    /// @notice The provider address or the licence hash is zero, or the expiry is past.
    error InvalidCredential();

    /// @notice The provider holds no credential that the caller may withdraw.
    error CredentialNotRevocable(address provider, address caller);

    /// @notice Names an issuer. Only the owner.
    function addIssuer(address issuer) external;

    /// @notice Removes an issuer and every credential it issued, at once. The guardian or the owner.
    function removeIssuer(address issuer) external;

    /// @notice Credentials a provider, or renews a credential. Only an issuer.
    function issueCredential(address provider, bytes32 licence, uint64 expires) external;

    /// @notice Withdraws a credential. Its issuer, the guardian or the owner.
    function revokeCredential(address provider) external;

    /// @notice Whether the address is an issuer.
    function isIssuer(address issuer) external view returns (bool);

    /// @notice Whether the provider holds a credential in force.
    function isCredentialed(address provider) external view returns (bool);

    /// @notice A provider's credential; all zero where there was none.
    function credentialOf(address provider) external view returns (Credential memory);
}
