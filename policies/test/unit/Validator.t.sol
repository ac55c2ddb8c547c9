// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC8004ValidationRegistry} from "../../src/interfaces/IERC8004ValidationRegistry.sol";
import {IERCZKMLVerifier} from "../../src/interfaces/IERCZKMLVerifier.sol";
import {InferenceValidator} from "../../src/verification/InferenceValidator.sol";
import {CareFixture} from "../support/CareFixture.sol";

/// @notice What the draft says of requests and answers, and no more.
contract StandInValidations is IERC8004ValidationRegistry {
    mapping(bytes32 requestHash => address) public validatorOf;
    mapping(bytes32 requestHash => uint8) public responseTo;

    function validationRequest(address validator, uint256, string calldata, bytes32 requestHash) external {
        validatorOf[requestHash] = validator;
    }

    function validationResponse(bytes32 requestHash, uint8 response, string calldata, bytes32, string calldata)
        external
    {
        require(msg.sender == validatorOf[requestHash], "not the validator");
        require(response <= 100, "response");
        responseTo[requestHash] = response;
    }
}

/// @notice A request is answered with 100 where its inference is proved, and otherwise not at all.
contract ValidatorTest is CareFixture {
    bytes32 private constant COMMITMENT = bytes32(uint256(7));

    StandInValidations private validations = new StandInValidations();
    InferenceValidator private validator;
    bytes private output = abi.encode(int256(42));
    bytes private proof;

    function setUp() public {
        setUpCare();
        validator = new InferenceValidator(verifier, validations);
        proof = standIn.proofOf(uint256(COMMITMENT), 42);
    }

    function test_theDraftsSignature() public pure {
        assertEq(
            IERC8004ValidationRegistry.validationResponse.selector,
            bytes4(keccak256("validationResponse(bytes32,uint8,string,bytes32,string)"))
        );
    }

    function test_aProvedInferencePasses() public {
        bytes32 requestHash = validator.requestHashOf(uint256(modelId), COMMITMENT, output, proof);
        validations.validationRequest(address(validator), 1, "ipfs://payload", requestHash);
        vm.prank(makeAddr("passer-by"));
        assertEq(validator.validate(uint256(modelId), COMMITMENT, output, proof), requestHash);
        assertEq(validations.responseTo(requestHash), 100);
        assertEq(address(validator.verifier()), address(verifier));
        assertEq(address(validator.validations()), address(validations));
    }

    function test_anotherInferenceIsNotAnswered() public {
        output = abi.encode(int256(43));
        bytes32 requestHash = validator.requestHashOf(uint256(modelId), COMMITMENT, output, proof);
        validations.validationRequest(address(validator), 1, "ipfs://payload", requestHash);
        vm.expectRevert(IERCZKMLVerifier.InvalidProof.selector);
        validator.validate(uint256(modelId), COMMITMENT, output, proof);
        assertEq(validations.responseTo(requestHash), 0);
    }

    function test_onlyRequestsThatNameTheValidator() public {
        vm.expectRevert("not the validator");
        validator.validate(uint256(modelId), COMMITMENT, output, proof);
    }
}
