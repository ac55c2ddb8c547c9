// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721URIStorage} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IAgentIdentityRegistry} from "../interfaces/IAgentIdentityRegistry.sol";
import {IERC8004IdentityRegistry} from "../interfaces/IERC8004IdentityRegistry.sol";

/// @title AgentIdentityRegistry
contract AgentIdentityRegistry is IAgentIdentityRegistry, ERC721URIStorage, EIP712 {
    string private constant WALLET_KEY = "agentWallet";
    bytes32 private constant WALLET_TYPEHASH =
        keccak256("AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)");

    /// @inheritdoc IAgentIdentityRegistry
    uint256 public constant WALLET_PROOF_SECONDS_MAX = 5 minutes;

    /// @inheritdoc IAgentIdentityRegistry
    uint256 public agentCount;
    /// The wallet among them, as 20 bytes.
    mapping(uint256 agentId => mapping(string key => bytes)) private _metadata;

    constructor() ERC721("Hygeia Agents", "AGENT") EIP712("ERC8004IdentityRegistry", "1") {}

    // ---------------------------------------------------------------- registration

    /// @inheritdoc IERC8004IdentityRegistry
    function register(string calldata agentURI, MetadataEntry[] calldata metadata) external returns (uint256 agentId) {
        agentId = _register(agentURI);
        for (uint256 i = 0; i < metadata.length; ++i) {
            _setFact(agentId, metadata[i].metadataKey, metadata[i].metadataValue);
        }
    }

    /// @inheritdoc IERC8004IdentityRegistry
    function register(string calldata agentURI) external returns (uint256 agentId) {
        return _register(agentURI);
    }

    /// @inheritdoc IERC8004IdentityRegistry
    function register() external returns (uint256 agentId) {
        return _register("");
    }

    // ---------------------------------------------------------------- what owners and operators change

    /// @inheritdoc IERC8004IdentityRegistry
    function setAgentURI(uint256 agentId, string calldata newURI) external {
        _requireManager(agentId);
        _setTokenURI(agentId, newURI);
        emit URIUpdated(agentId, newURI, msg.sender);
    }

    /// @inheritdoc IERC8004IdentityRegistry
    function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) external {
        _requireManager(agentId);
        _setFact(agentId, metadataKey, metadataValue);
    }

    /// @inheritdoc IERC8004IdentityRegistry
    function setAgentWallet(uint256 agentId, address newWallet, uint256 deadline, bytes calldata signature) external {
        _requireManager(agentId);
        if (newWallet == address(0)) revert NoWallet();
        if (deadline < block.timestamp || deadline > block.timestamp + WALLET_PROOF_SECONDS_MAX) {
            revert BadDeadline(deadline);
        }
        bytes32 digest = walletDigest(agentId, newWallet, deadline);
        if (!SignatureChecker.isValidSignatureNowCalldata(newWallet, digest, signature)) {
            revert BadWalletSignature(newWallet);
        }
        _set(agentId, WALLET_KEY, abi.encodePacked(newWallet));
    }

    /// @inheritdoc IERC8004IdentityRegistry
    function unsetAgentWallet(uint256 agentId) external {
        _requireManager(agentId);
        _set(agentId, WALLET_KEY, "");
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IERC8004IdentityRegistry
    function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory) {
        return _metadata[agentId][metadataKey];
    }

    /// @inheritdoc IERC8004IdentityRegistry
    function getAgentWallet(uint256 agentId) external view returns (address) {
        return address(bytes20(_metadata[agentId][WALLET_KEY]));
    }

    /// @inheritdoc IAgentIdentityRegistry
    function walletDigest(uint256 agentId, address newWallet, uint256 deadline) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(WALLET_TYPEHASH, agentId, newWallet, ownerOf(agentId), deadline)));
    }

    // ---------------------------------------------------------------- inside

    /// The caller knows that it gets a token: there is no receiver to ask, and so nobody to come back in the middle.
    function _register(string memory agentURI) private returns (uint256 agentId) {
        agentId = ++agentCount;
        _mint(msg.sender, agentId);
        _setTokenURI(agentId, agentURI);
        _set(agentId, WALLET_KEY, abi.encodePacked(msg.sender));
        emit Registered(agentId, agentURI, msg.sender);
    }

    function _setFact(uint256 agentId, string calldata key, bytes calldata value) private {
        if (keccak256(bytes(key)) == keccak256(bytes(WALLET_KEY))) revert ReservedKey();
        _set(agentId, key, value);
    }

    function _set(uint256 agentId, string memory key, bytes memory value) private {
        _metadata[agentId][key] = value;
        emit MetadataSet(agentId, key, key, value);
    }

    function _requireManager(uint256 agentId) private view {
        _checkAuthorized(_ownerOf(agentId), msg.sender, agentId);
    }

    /// @inheritdoc ERC721
    /// @dev The wallet consented to the owner it signed for, not to the next one.
    function _update(address to, uint256 agentId, address auth) internal override returns (address from) {
        from = super._update(to, agentId, auth);
        if (from != address(0)) _set(agentId, WALLET_KEY, "");
    }
}
