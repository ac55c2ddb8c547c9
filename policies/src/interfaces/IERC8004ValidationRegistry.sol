// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title ERC-8004 validation registry
/// @notice Agents ask for their work to be validated and name who is to do it; the answers stand here for everyone to read.
/// Signatures and events are the draft's, those with a tag of text.
interface IERC8004ValidationRegistry {
    /// @notice A validation was asked for.
    event ValidationRequest(
        address indexed validatorAddress, uint256 indexed agentId, string requestURI, bytes32 indexed requestHash
    );

    /// @notice A request was answered, for the first time or anew.
    event ValidationResponse(
        address indexed validatorAddress,
        uint256 indexed agentId,
        bytes32 indexed requestHash,
        uint8 response,
        string responseURI,
        bytes32 responseHash,
        string tag
    );

    /// @notice Asks for a validation. Only the agent's owner or operators, once for a hash.
    /// @param validatorAddress Who is to answer.
    /// @param agentId The agent whose work it is.
    /// @param requestURI Where the validator finds what it needs.
    /// @param requestHash Hash of what it needs, by which the request is known from then on.
    function validationRequest(
        address validatorAddress,
        uint256 agentId,
        string calldata requestURI,
        bytes32 requestHash
    ) external;

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

    /// @notice The identity registry whose agents may ask.
    function getIdentityRegistry() external view returns (address identityRegistry);

    /// @notice Where a request stands.
    /// @return validatorAddress Who is to answer it.
    /// @return agentId The agent whose work it is.
    /// @return response The last answer; 0 where there is none.
    /// @return responseHash Content hash of that answer's evidence.
    /// @return tag What kind of answer it is.
    /// @return lastUpdate When it was answered, or asked, in seconds since the epoch.
    function getValidationStatus(bytes32 requestHash)
        external
        view
        returns (
            address validatorAddress,
            uint256 agentId,
            uint8 response,
            bytes32 responseHash,
            string memory tag,
            uint256 lastUpdate
        );

    /// @notice The answers to an agent's requests in two figures.
    /// @param agentId The agent.
    /// @param validatorAddresses Whose answers count; everybody's where there are none.
    /// @param tag Which kind of answer counts; any where it is empty.
    /// @return count How many requests are answered so.
    /// @return averageResponse Mean of the last answers, rounded down; 0 where there is none.
    function getSummary(uint256 agentId, address[] calldata validatorAddresses, string calldata tag)
        external
        view
        returns (uint64 count, uint8 averageResponse);

    /// @notice The requests of an agent.
    function getAgentValidations(uint256 agentId) external view returns (bytes32[] memory requestHashes);

    /// @notice The requests that name a validator.
    function getValidatorRequests(address validatorAddress) external view returns (bytes32[] memory requestHashes);
}
