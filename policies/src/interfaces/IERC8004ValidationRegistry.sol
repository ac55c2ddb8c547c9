// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title ERC-8004 validation registry, as far as a validator needs it
/// @notice The draft's registry is one for each chain and not this project's; agents are registered in the identity registry
/// beside it, also one for each chain. The signatures are the draft's, those with a tag of text.
interface IERC8004ValidationRegistry {
    /// @notice Answers a request. Only the validator that the request named.
    /// @param requestHash The request.
    /// @param response From 0, failed, to 100, passed.
    /// @param responseURI Where evidence is found; may be empty.
    /// @param responseHash Content hash of the evidence; may be zero.
    /// @param tag What kind of answer it is; may be empty.
    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external;
}
