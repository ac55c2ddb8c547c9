// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {IAgentValidationRegistry} from "../interfaces/IAgentValidationRegistry.sol";
import {IERC8004ValidationRegistry} from "../interfaces/IERC8004ValidationRegistry.sol";

/// @title AgentValidationRegistry
contract AgentValidationRegistry is IAgentValidationRegistry {
    uint8 private constant RESPONSE_MAX = 100;

    struct Validation {
        address validator;
        uint64 lastUpdate;
        uint8 response;
        bool isAnswered;
        uint256 agentId;
        bytes32 responseHash;
        string tag;
    }

    IERC721 private immutable _agents;
    mapping(bytes32 requestHash => Validation) private _validations;
    mapping(uint256 agentId => bytes32[]) private _requestsOf;
    mapping(address validator => bytes32[]) private _requestsTo;

    constructor(IERC721 agents) {
        _agents = agents;
    }

    // ---------------------------------------------------------------- requests and answers

    /// @inheritdoc IERC8004ValidationRegistry
    function validationRequest(
        address validatorAddress,
        uint256 agentId,
        string calldata requestURI,
        bytes32 requestHash
    ) external {
        if (validatorAddress == address(0)) revert NoValidator();
        Validation storage asked = _validations[requestHash];
        if (asked.validator != address(0)) revert RequestExists(requestHash);
        if (!_isManager(agentId, msg.sender)) revert NotAgentOperator(agentId, msg.sender);
        asked.validator = validatorAddress;
        asked.lastUpdate = uint64(block.timestamp);
        asked.agentId = agentId;
        _requestsOf[agentId].push(requestHash);
        _requestsTo[validatorAddress].push(requestHash);
        emit ValidationRequest(validatorAddress, agentId, requestURI, requestHash);
    }

    /// @inheritdoc IERC8004ValidationRegistry
    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external {
        Validation storage asked = _known(requestHash);
        if (msg.sender != asked.validator) revert NotValidator(requestHash, msg.sender);
        if (response > RESPONSE_MAX) revert ResponseOutOfRange(response);
        asked.lastUpdate = uint64(block.timestamp);
        asked.response = response;
        asked.isAnswered = true;
        asked.responseHash = responseHash;
        asked.tag = tag;
        emit ValidationResponse(msg.sender, asked.agentId, requestHash, response, responseURI, responseHash, tag);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IERC8004ValidationRegistry
    function getIdentityRegistry() external view returns (address identityRegistry) {
        return address(_agents);
    }

    /// @inheritdoc IERC8004ValidationRegistry
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
        )
    {
        Validation storage asked = _known(requestHash);
        return (asked.validator, asked.agentId, asked.response, asked.responseHash, asked.tag, asked.lastUpdate);
    }

    /// @inheritdoc IERC8004ValidationRegistry
    function getSummary(uint256 agentId, address[] calldata validatorAddresses, string calldata tag)
        external
        view
        returns (uint64 count, uint8 averageResponse)
    {
        bytes32[] storage requests = _requestsOf[agentId];
        uint256 sum = 0;
        for (uint256 i = 0; i < requests.length; ++i) {
            Validation storage asked = _validations[requests[i]];
            if (asked.isAnswered && _isOneOf(validatorAddresses, asked.validator) && _isTagged(asked, tag)) {
                sum += asked.response;
                ++count;
            }
        }
        // A mean of numbers up to 100.
        // forge-lint: disable-next-line(unsafe-typecast)
        if (count > 0) averageResponse = uint8(sum / count);
    }

    /// @inheritdoc IERC8004ValidationRegistry
    function getAgentValidations(uint256 agentId) external view returns (bytes32[] memory requestHashes) {
        return _requestsOf[agentId];
    }

    /// @inheritdoc IERC8004ValidationRegistry
    function getValidatorRequests(address validatorAddress) external view returns (bytes32[] memory requestHashes) {
        return _requestsTo[validatorAddress];
    }

    // ---------------------------------------------------------------- inside

    function _known(bytes32 requestHash) private view returns (Validation storage asked) {
        asked = _validations[requestHash];
        if (asked.validator == address(0)) revert UnknownRequest(requestHash);
    }

    function _isManager(uint256 agentId, address caller) private view returns (bool) {
        address owner = _agents.ownerOf(agentId);
        return caller == owner || _agents.getApproved(agentId) == caller || _agents.isApprovedForAll(owner, caller);
    }

    /// Any validator where no one is named.
    function _isOneOf(address[] calldata validators, address validator) private pure returns (bool) {
        for (uint256 i = 0; i < validators.length; ++i) {
            if (validators[i] == validator) return true;
        }
        return validators.length == 0;
    }

    /// Any tag where none is named.
    function _isTagged(Validation storage asked, string calldata tag) private view returns (bool) {
        return bytes(tag).length == 0 || keccak256(bytes(asked.tag)) == keccak256(bytes(tag));
    }
}
