// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC721Metadata} from "@openzeppelin/contracts/token/ERC721/extensions/IERC721Metadata.sol";

/// @title ERC-8004 identity registry
/// @notice An agent is an ERC-721 token: its owner owns the agent, the token's approved account and the owner's operators
/// manage it, and its URI leads to the registration file that says what it does and where it is reached. Signatures and events
/// are the draft's. The world knows an agent by `eip155:{chainId}:{registry}` and the token's number.
interface IERC8004IdentityRegistry is IERC721Metadata {
    /// @notice A fact about an agent.
    /// @param metadataKey Its name.
    /// @param metadataValue The fact, in whatever encoding those who read the name expect.
    struct MetadataEntry {
        string metadataKey;
        bytes metadataValue;
    }

    /// @notice An agent was registered.
    event Registered(uint256 indexed agentId, string agentURI, address indexed owner);

    /// @notice A fact about an agent was set; empty where it was taken back.
    event MetadataSet(
        uint256 indexed agentId, string indexed indexedMetadataKey, string metadataKey, bytes metadataValue
    );

    /// @notice An agent's registration file is found elsewhere.
    event URIUpdated(uint256 indexed agentId, string newURI, address indexed updatedBy);

    /// @notice Registers an agent of the caller's, with the caller's address as its wallet, and with further facts.
    /// @param agentURI Where the registration file is found.
    /// @param metadata Further facts; `agentWallet` is none of them.
    /// @return agentId The agent's number.
    function register(string calldata agentURI, MetadataEntry[] calldata metadata) external returns (uint256 agentId);

    /// @notice Registers an agent of the caller's.
    function register(string calldata agentURI) external returns (uint256 agentId);

    /// @notice Registers an agent of the caller's whose registration file is named later.
    function register() external returns (uint256 agentId);

    /// @notice Says where an agent's registration file is found now. Its owner or operators.
    function setAgentURI(uint256 agentId, string calldata newURI) external;

    /// @notice Sets a fact about an agent. Its owner or operators; `agentWallet` cannot be set this way.
    function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) external;

    /// @notice Names the address an agent is paid at and acts with. Its owner or operators, with the wallet's consent.
    /// @param agentId The agent.
    /// @param newWallet The wallet.
    /// @param deadline Last second at which the signature holds.
    /// @param signature The wallet's: EIP-712 of its key, or what its contract accepts by ERC-1271.
    function setAgentWallet(uint256 agentId, address newWallet, uint256 deadline, bytes calldata signature) external;

    /// @notice Takes an agent's wallet back, so that it has none. Its owner or operators. A transfer does so too.
    function unsetAgentWallet(uint256 agentId) external;

    /// @notice A fact about an agent; empty where there is none.
    function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory);

    /// @notice The agent's wallet; zero where it has none.
    function getAgentWallet(uint256 agentId) external view returns (address);
}
