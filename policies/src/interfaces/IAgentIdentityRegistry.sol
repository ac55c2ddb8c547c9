// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC8004IdentityRegistry} from "./IERC8004IdentityRegistry.sol";

/// @title Identity registry for a chain that has none
/// @notice The draft wants one identity registry for each chain, shared by all projects. Most public chains have it, and there
/// a deployment names it; this one is for the others, such as a consortium's or a local chain. It has no owner: nobody can
/// change it, or an agent that is not theirs.
///
/// The wallet's signature is EIP-712 in the domain {name "ERC8004IdentityRegistry", version "1", chainId, verifyingContract =
/// this contract}, over `AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)`, so that a tool
/// that signs for the registry deployed on public chains signs for this one.
/// @dev Assumes nothing of other contracts: it calls none but a wallet that has code, to read its answer to ERC-1271.
interface IAgentIdentityRegistry is IERC8004IdentityRegistry {
    /// @notice `agentWallet` is set with the wallet's consent or not at all.
    error ReservedKey();

    /// @notice No agent is paid at the zero address; `unsetAgentWallet` takes a wallet back.
    error NoWallet();

    /// @notice The signature no longer holds, or would hold for longer than `WALLET_PROOF_SECONDS_MAX`.
    error BadDeadline(uint256 deadline);

    /// @notice The signature is not the wallet's over this agent, owner and deadline.
    error BadWalletSignature(address wallet);

    /// @notice For how long a wallet's signature may hold: what an owner took back must not return by it days later.
    function WALLET_PROOF_SECONDS_MAX() external view returns (uint256);

    /// @notice How many agents were registered; they are numbered from 1.
    function agentCount() external view returns (uint256);

    /// @notice What a wallet signs to become an agent's, under the agent's present owner.
    function walletDigest(uint256 agentId, address newWallet, uint256 deadline) external view returns (bytes32);
}
