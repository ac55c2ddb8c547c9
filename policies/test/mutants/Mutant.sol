// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ICarePool} from "../../src/interfaces/ICarePool.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {PolicyRegistry} from "../../src/registries/PolicyRegistry.sol";

/// @notice A contract put over another in its place: what it has a function for it does its own way, without one check; for
/// everything else it is the original, on the original's storage.
abstract contract Mutant {
    address internal immutable ORIGINAL;

    constructor(address original) {
        ORIGINAL = original;
    }

    fallback(bytes calldata input) external payable returns (bytes memory) {
        return _original(input);
    }

    function _original(bytes memory input) internal returns (bytes memory answer) {
        bool accepted;
        (accepted, answer) = ORIGINAL.delegatecall(input);
        if (accepted) return answer;
        assembly ("memory-safe") {
            revert(add(answer, 0x20), mload(answer))
        }
    }
}

/// @notice A pool that pays without taking the benefit off its books.
contract ForgetfulPool is Mutant {
    constructor(address original) Mutant(original) {}

    function pay(address to, uint256 amount) external {
        require(IERC20(ICarePool(address(this)).asset()).transfer(to, amount));
    }
}

/// @notice A pool that sets aside what it does not have.
contract LavishPool is Mutant {
    constructor(address original) Mutant(original) {}

    function withdrawSurplus(address to, uint256 amount) external {
        require(IERC20(ICarePool(address(this)).asset()).transfer(to, amount));
    }
}

/// @notice A coordinator that pays without closing the case.
contract ForgetfulCoordinator is Mutant {
    ICarePool private immutable POOL;
    uint256 private immutable BENEFIT;

    constructor(address original, ICarePool pool, uint256 benefit) Mutant(original) {
        (POOL, BENEFIT) = (pool, benefit);
    }

    function fulfil(bytes32, address provider, bytes calldata) external {
        POOL.pay(provider, BENEFIT);
    }
}

/// @notice A mandate registry that takes every consent for live.
contract CredulousMandates is Mutant {
    constructor(address original) Mutant(original) {}

    function isLiveFor(bytes32, bytes32, address, address) external pure returns (bool) {
        return true;
    }
}

/// @notice An oracle registry that does not look at bond or status.
contract CredulousOracles is Mutant {
    constructor(address original) Mutant(original) {}

    function isActive(address) external pure returns (bool) {
        return true;
    }
}

/// @notice An oracle registry that gives bonds back without taking them off its books.
contract ForgetfulOracles is Mutant {
    IERC20 private immutable TOKEN;
    uint256 private immutable BOND;

    constructor(address original, IERC20 token, uint256 bond) Mutant(original) {
        (TOKEN, BOND) = (token, bond);
    }

    function withdrawBond() external {
        require(TOKEN.transfer(msg.sender, BOND));
    }
}

/// @notice A verifier that accepts every proof.
contract CredulousVerifier is Mutant {
    constructor(address original) Mutant(original) {}

    function verifyPublicInputs(bytes32, uint256[2] calldata, bytes calldata) external pure {}
}

/// @notice An audit ledger that takes every path for one to its root.
contract CredulousAudits is Mutant {
    constructor(address original) Mutant(original) {}

    function requireIncluded(bytes32, bytes32, uint256, bytes32, uint256, bytes32[] calldata) external pure {}
}

/// @notice A model registry for whom every model is in service.
contract CredulousModels is Mutant {
    constructor(address original) Mutant(original) {}

    function serviceOf(bytes32 modelId) external returns (IModelRegistry.Service memory service) {
        service = abi.decode(_original(abi.encodeCall(IModelRegistry.serviceOf, (modelId))), (IModelRegistry.Service));
        service.status = IModelRegistry.Status.Active;
    }
}

/// @notice A policy registry for whom every policy is in service.
contract CredulousPolicies is Mutant {
    constructor(address original) Mutant(original) {}

    function startTermsOf(bytes32 policyId) external returns (IPolicyRegistry.StartTerms memory start) {
        bytes memory answer = _original(abi.encodeCall(IPolicyRegistry.startTermsOf, (policyId)));
        start = abi.decode(answer, (IPolicyRegistry.StartTerms));
        start.status = IPolicyRegistry.Status.Active;
    }
}

/// @notice A policy registry, by its storage: owner, guardian, policies.
abstract contract PolicyStorage is Mutant {
    address internal _owner;
    address internal _guardian;
    mapping(bytes32 policyId => PolicyRegistry.Record) internal _policies;
}

/// @notice A policy registry that lets the guardian put a policy back into service.
contract ObligingPolicies is PolicyStorage {
    constructor(address original) Mutant(original) {}

    function reinstatePolicy(bytes32 policyId) external {
        require(msg.sender == _guardian || msg.sender == _owner);
        _policies[policyId].start.status = IPolicyRegistry.Status.Active;
    }
}

/// @notice A policy registry that anybody can hand to another guardian.
contract OpenPolicies is PolicyStorage {
    constructor(address original) Mutant(original) {}

    function setGuardian(address current) external {
        _guardian = current;
    }
}

/// @notice A token that moves balances and leaves the votes where they were.
contract ForgetfulToken is Mutant {
    mapping(address holder => uint256) private _balances;

    constructor(address original) Mutant(original) {}

    function transfer(address to, uint256 amount) external returns (bool) {
        _balances[msg.sender] -= amount;
        _balances[to] += amount;
        return true;
    }
}
