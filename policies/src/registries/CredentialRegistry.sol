// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Guarded} from "../access/Guarded.sol";
import {ICredentialRegistry} from "../interfaces/ICredentialRegistry.sol";

/// @title CredentialRegistry
contract CredentialRegistry is ICredentialRegistry, Guarded, EIP712 {
    bytes32 private constant CREDENTIAL_TYPEHASH =
        keccak256("Credential(address provider,address issuer,bytes32 licence,bytes4 class,uint64 expires)");

    /// @inheritdoc ICredentialRegistry
    mapping(address issuer => bool) public isIssuer;
    /// @inheritdoc ICredentialRegistry
    mapping(bytes32 licence => bool) public isLicenceUsed;
    mapping(address provider => Credential) private _credentials;

    constructor(address owner_, address guardian_) Guarded(owner_, guardian_) EIP712("Hygeia", "1") {}

    // ---------------------------------------------------------------- issuers

    /// @inheritdoc ICredentialRegistry
    function addIssuer(address issuer) external onlyOwner {
        if (isIssuer[issuer]) revert IssuerExists(issuer);
        isIssuer[issuer] = true;
        emit IssuerAdded(issuer);
    }

    /// @inheritdoc ICredentialRegistry
    function removeIssuer(address issuer) external onlyGuardian {
        if (!isIssuer[issuer]) revert NotIssuer(issuer);
        isIssuer[issuer] = false;
        emit IssuerRemoved(issuer, msg.sender);
    }

    // ---------------------------------------------------------------- credentials

    /// @inheritdoc ICredentialRegistry
    function issueCredential(Credential calldata credential, bytes calldata signature) external {
        if (
            credential.provider == address(0) || credential.licence == 0 || credential.class == 0
                || credential.expires <= block.timestamp
        ) revert InvalidCredential();
        if (!isIssuer[credential.issuer]) revert NotIssuer(credential.issuer);
        if (isLicenceUsed[credential.licence]) revert LicenceUsed(credential.licence);
        Credential storage held = _credentials[credential.provider];
        if (held.issuer != credential.issuer && _inForce(held)) {
            revert CredentialHeldElsewhere(credential.provider, held.issuer);
        }
        (address signer, ECDSA.RecoverError failure,) =
            ECDSA.tryRecoverCalldata(credentialDigest(credential), signature);
        if (failure != ECDSA.RecoverError.NoError || signer != credential.issuer) {
            revert BadIssuerSignature(credential.issuer);
        }
        isLicenceUsed[credential.licence] = true;
        _credentials[credential.provider] = credential;
        emit CredentialIssued(
            credential.provider, credential.issuer, credential.class, credential.licence, credential.expires
        );
    }

    /// @inheritdoc ICredentialRegistry
    function revokeCredential(address provider) external {
        Credential storage held = _credentials[provider];
        bool allowed = msg.sender == held.issuer || msg.sender == guardian || msg.sender == owner();
        if (!allowed || held.expires == 0) revert CredentialNotRevocable(provider, msg.sender);
        held.expires = 0;
        emit CredentialRevoked(provider, msg.sender);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc ICredentialRegistry
    function isCredentialed(address provider) external view returns (bool) {
        return _inForce(_credentials[provider]);
    }

    /// @inheritdoc ICredentialRegistry
    function isOfClass(address provider, bytes4 class) external view returns (bool) {
        Credential storage held = _credentials[provider];
        return _inForce(held) && (class == 0 || held.class == class);
    }

    /// @inheritdoc ICredentialRegistry
    function credentialOf(address provider) external view returns (Credential memory) {
        return _credentials[provider];
    }

    /// @inheritdoc ICredentialRegistry
    function credentialDigest(Credential calldata credential) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CREDENTIAL_TYPEHASH, credential)));
    }

    function _inForce(Credential storage credential) private view returns (bool) {
        return block.timestamp < credential.expires && isIssuer[credential.issuer];
    }
}
