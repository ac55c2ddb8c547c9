// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IMandateRegistry} from "../interfaces/IMandateRegistry.sol";

/// @title MandateRegistry
contract MandateRegistry is IMandateRegistry, EIP712 {
    bytes32 private constant MANDATE_DOMAIN = keccak256("hygeia/mandate/v1");
    bytes32 private constant MANDATE_TYPEHASH = keccak256(
        "Mandate(bytes32 id,address key,bytes32 policyId,address oracle,"
        "address operator,bytes4 providerClass,uint64 expires)"
    );
    bytes32 private constant REVOCATION_TYPEHASH = keccak256("Revocation(bytes32 mandateId)");

    /// Expiry and class share the key's slot, the revocation and whether there is an operator the oracle's: a check reads
    /// three slots, and a fourth only where the patient named an operator.
    struct Record {
        address key;
        uint64 expires;
        bytes4 providerClass;
        address oracle;
        bool revoked;
        bool operated;
        bytes32 policyId;
        address operator;
    }

    mapping(bytes32 mandateId => Record) private _records;

    constructor() EIP712("Hygeia", "1") {}

    // ---------------------------------------------------------------- consent

    /// @inheritdoc IMandateRegistry
    function grant(Mandate calldata mandate, bytes calldata signature) external {
        bytes32 expected = mandateIdOf(mandate.key);
        if (mandate.id != expected) revert MandateIdMismatch(mandate.id, expected);
        if (_records[mandate.id].key != address(0)) revert MandateExists(mandate.id);
        if (mandate.expires <= block.timestamp) revert MandateExpired(mandate.id, mandate.expires);
        _requireSignedBy(mandate.key, mandate.id, mandateDigest(mandate), signature);
        _records[mandate.id] = Record({
            key: mandate.key,
            expires: mandate.expires,
            providerClass: mandate.providerClass,
            oracle: mandate.oracle,
            revoked: false,
            operated: mandate.operator != address(0),
            policyId: mandate.policyId,
            operator: mandate.operator
        });
        emit MandateGranted(
            mandate.id,
            mandate.policyId,
            mandate.oracle,
            mandate.key,
            mandate.operator,
            mandate.providerClass,
            mandate.expires
        );
    }

    /// @inheritdoc IMandateRegistry
    function revoke(bytes32 mandateId, bytes calldata signature) external {
        Record storage record = _records[mandateId];
        if (record.key == address(0)) revert MandateUnknown(mandateId);
        if (record.revoked) revert MandateAlreadyRevoked(mandateId);
        _requireSignedBy(record.key, mandateId, revocationDigest(mandateId), signature);
        record.revoked = true;
        emit MandateRevoked(mandateId);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IMandateRegistry
    function isLive(bytes32 mandateId, bytes32 policyId, address oracle) external view returns (bool) {
        return _covers(_records[mandateId], policyId, oracle);
    }

    /// @inheritdoc IMandateRegistry
    function isLiveFor(bytes32 mandateId, bytes32 policyId, address oracle, address operator)
        external
        view
        returns (bool)
    {
        Record storage record = _records[mandateId];
        return _covers(record, policyId, oracle) && (!record.operated || record.operator == operator);
    }

    /// @inheritdoc IMandateRegistry
    function mandateOf(bytes32 mandateId) external view returns (Mandate memory mandate, bool revoked) {
        Record storage record = _records[mandateId];
        if (record.key == address(0)) return (mandate, false);
        mandate = Mandate({
            id: mandateId,
            key: record.key,
            policyId: record.policyId,
            oracle: record.oracle,
            operator: record.operator,
            providerClass: record.providerClass,
            expires: record.expires
        });
        return (mandate, record.revoked);
    }

    /// @inheritdoc IMandateRegistry
    function scopeOf(bytes32 mandateId) external view returns (address key, bytes32 policyId, bytes4 providerClass) {
        Record storage record = _records[mandateId];
        return (record.key, record.policyId, record.providerClass);
    }

    /// @inheritdoc IMandateRegistry
    function keyOf(bytes32 mandateId) external view returns (address) {
        return _records[mandateId].key;
    }

    /// @inheritdoc IMandateRegistry
    function mandateIdOf(address key) public pure returns (bytes32 mandateId) {
        return keccak256(abi.encode(MANDATE_DOMAIN, key));
    }

    /// @inheritdoc IMandateRegistry
    function mandateDigest(Mandate calldata mandate) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(MANDATE_TYPEHASH, mandate)));
    }

    /// @inheritdoc IMandateRegistry
    function revocationDigest(bytes32 mandateId) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(REVOCATION_TYPEHASH, mandateId)));
    }

    function _covers(Record storage record, bytes32 policyId, address oracle) private view returns (bool) {
        return
            block.timestamp < record.expires && !record.revoked && record.oracle == oracle
                && record.policyId == policyId;
    }

    function _requireSignedBy(address key, bytes32 mandateId, bytes32 digest, bytes calldata signature) private pure {
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (failure != ECDSA.RecoverError.NoError || signer != key) revert BadMandateSignature(mandateId);
    }
}
