// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Guarded} from "../access/Guarded.sol";
import {ICredentialRegistry} from "../interfaces/ICredentialRegistry.sol";

/// @title CredentialRegistry
contract CredentialRegistry is ICredentialRegistry, Guarded {
    /// @inheritdoc ICredentialRegistry
    mapping(address issuer => bool) public isIssuer;
    mapping(address provider => Credential) private _credentials;

    constructor(address owner_, address guardian_) Guarded(owner_, guardian_) {}

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
    function issueCredential(address provider, bytes32 licence, uint64 expires) external {
        if (!isIssuer[msg.sender]) revert NotIssuer(msg.sender);
        if (provider == address(0) || licence == 0 || expires <= block.timestamp) revert InvalidCredential();
        Credential storage held = _credentials[provider];
        if (held.issuer != msg.sender && _inForce(held)) revert CredentialHeldElsewhere(provider, held.issuer);
        _credentials[provider] = Credential(licence, msg.sender, expires);
        emit CredentialIssued(provider, msg.sender, licence, expires);
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
    function credentialOf(address provider) external view returns (Credential memory) {
        return _credentials[provider];
    }

    function _inForce(Credential storage credential) private view returns (bool) {
        return block.timestamp < credential.expires && isIssuer[credential.issuer];
    }
}
