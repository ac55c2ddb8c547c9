// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC8004ValidationRegistry} from "./IERC8004ValidationRegistry.sol";

/// @title Validation registry for a chain that has none
/// @notice As the draft has it, beside whichever identity registry the chain goes by. It has no owner. An answer says of a
/// request what its validator says, and of a validator nothing: whoever reads a summary names the validators it trusts.
/// @dev Of the identity registry it is assumed that `ownerOf` reverts for an agent that does not exist, and that it grants
/// approvals by the will of owners alone. The two lists grow without limit, since the draft has no pages: they are for readers
/// outside the chain. A stranger can ask first for a hash it sees on its way to the chain; a new proof of the same inference
/// has another hash.
interface IAgentValidationRegistry is IERC8004ValidationRegistry {
    /// @notice The zero address answers nothing.
    error NoValidator();

    /// @notice This hash was asked for before.
    error RequestExists(bytes32 requestHash);

    /// @notice Nobody asked for this hash.
    error UnknownRequest(bytes32 requestHash);

    /// @notice The caller neither owns nor manages the agent.
    error NotAgentOperator(uint256 agentId, address caller);

    /// @notice The request names another validator.
    error NotValidator(bytes32 requestHash, address caller);

    /// @notice An answer is from 0 to 100.
    error ResponseOutOfRange(uint8 response);
}
