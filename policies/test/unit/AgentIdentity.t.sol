// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC721Metadata} from "@openzeppelin/contracts/token/ERC721/extensions/IERC721Metadata.sol";
import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";
import {IAgentIdentityRegistry} from "../../src/interfaces/IAgentIdentityRegistry.sol";
import {IERC8004IdentityRegistry} from "../../src/interfaces/IERC8004IdentityRegistry.sol";
import {AgentIdentityRegistry} from "../../src/registries/AgentIdentityRegistry.sol";

/// @notice A wallet with code that agrees to one digest.
contract ContractWallet is IERC1271 {
    bytes32 private immutable _agreed;

    constructor(bytes32 agreed) {
        _agreed = agreed;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return digest == _agreed ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// @notice Agents, their files, facts and wallets, and that nobody but owner and operators changes them.
contract AgentIdentityTest is Test {
    string private constant URI = "https://prover.example/agent.json";

    address private owner = makeAddr("owner");
    address private operator = makeAddr("operator");
    address private stranger = makeAddr("stranger");
    Vm.Wallet private wallet = vm.createWallet("wallet");

    AgentIdentityRegistry private agents = new AgentIdentityRegistry();
    uint256 private agentId;

    function setUp() public {
        vm.warp(1_790_000_000);
        vm.prank(owner);
        agentId = agents.register(URI);
    }

    // ---------------------------------------------------------------- registration

    function test_theDraftsSignatures() public pure {
        assertEq(IERC8004IdentityRegistry.setAgentURI.selector, bytes4(keccak256("setAgentURI(uint256,string)")));
        assertEq(IERC8004IdentityRegistry.setMetadata.selector, bytes4(keccak256("setMetadata(uint256,string,bytes)")));
        assertEq(
            IERC8004IdentityRegistry.setAgentWallet.selector,
            bytes4(keccak256("setAgentWallet(uint256,address,uint256,bytes)"))
        );
        assertEq(IERC8004IdentityRegistry.Registered.selector, keccak256("Registered(uint256,string,address)"));
        assertEq(IERC8004IdentityRegistry.MetadataSet.selector, keccak256("MetadataSet(uint256,string,string,bytes)"));
    }

    function test_anAgentIsAToken() public view {
        assertEq(agentId, 1);
        assertEq(agents.agentCount(), 1);
        assertEq(agents.ownerOf(agentId), owner);
        assertEq(agents.tokenURI(agentId), URI);
        assertEq(agents.getAgentWallet(agentId), owner);
        assertEq(agents.getMetadata(agentId, "agentWallet"), abi.encodePacked(owner));
        assertTrue(agents.supportsInterface(type(IERC721Metadata).interfaceId));
        assertTrue(agents.supportsInterface(type(IERC165).interfaceId));
        assertFalse(agents.supportsInterface(0xffffffff));
    }

    function test_registersWithFacts() public {
        IERC8004IdentityRegistry.MetadataEntry[] memory facts = new IERC8004IdentityRegistry.MetadataEntry[](2);
        facts[0] = IERC8004IdentityRegistry.MetadataEntry("role", "prover");
        facts[1] = IERC8004IdentityRegistry.MetadataEntry("network", "ward");
        vm.expectEmit(address(agents));
        emit IERC8004IdentityRegistry.MetadataSet(2, "agentWallet", "agentWallet", abi.encodePacked(owner));
        vm.expectEmit(address(agents));
        emit IERC8004IdentityRegistry.Registered(2, URI, owner);
        vm.expectEmit(address(agents));
        emit IERC8004IdentityRegistry.MetadataSet(2, "role", "role", "prover");
        vm.prank(owner);
        assertEq(agents.register(URI, facts), 2);
        assertEq(agents.getMetadata(2, "role"), "prover");
        assertEq(agents.getMetadata(2, "network"), "ward");
        assertEq(agents.getMetadata(agentId, "role"), "");
    }

    function test_registersWithoutAFile() public {
        vm.prank(owner);
        uint256 bare = agents.register();
        assertEq(agents.tokenURI(bare), "");
        assertEq(agents.getAgentWallet(bare), owner);
    }

    function test_noWalletAmongTheFacts() public {
        IERC8004IdentityRegistry.MetadataEntry[] memory facts = new IERC8004IdentityRegistry.MetadataEntry[](1);
        facts[0] = IERC8004IdentityRegistry.MetadataEntry("agentWallet", abi.encodePacked(stranger));
        vm.expectRevert(IAgentIdentityRegistry.ReservedKey.selector);
        agents.register(URI, facts);
        vm.prank(owner);
        vm.expectRevert(IAgentIdentityRegistry.ReservedKey.selector);
        agents.setMetadata(agentId, "agentWallet", abi.encodePacked(stranger));
    }

    // ---------------------------------------------------------------- owner, operators, strangers

    function test_ownerAndOperatorsChangeIt() public {
        vm.prank(owner);
        agents.approve(operator, agentId);
        vm.expectEmit(address(agents));
        emit IERC8004IdentityRegistry.URIUpdated(agentId, "ipfs://file", operator);
        vm.prank(operator);
        agents.setAgentURI(agentId, "ipfs://file");
        assertEq(agents.tokenURI(agentId), "ipfs://file");
        vm.prank(owner);
        agents.setMetadata(agentId, "role", "steward");
        assertEq(agents.getMetadata(agentId, "role"), "steward");
    }

    function test_nobodyElseDoes() public {
        bytes memory refusal =
            abi.encodeWithSelector(IERC721Errors.ERC721InsufficientApproval.selector, stranger, agentId);
        bytes memory consent = _consent(wallet, agentId, block.timestamp);
        vm.startPrank(stranger);
        vm.expectRevert(refusal);
        agents.setAgentURI(agentId, "ipfs://file");
        vm.expectRevert(refusal);
        agents.setMetadata(agentId, "role", "steward");
        vm.expectRevert(refusal);
        agents.setAgentWallet(agentId, wallet.addr, block.timestamp, consent);
        vm.expectRevert(refusal);
        agents.unsetAgentWallet(agentId);
        vm.expectRevert(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 99));
        agents.setAgentURI(99, "ipfs://file");
    }

    // ---------------------------------------------------------------- wallets

    function test_aWalletConsents() public {
        bytes memory consent = _consent(wallet, agentId, block.timestamp + 5 minutes);
        vm.prank(owner);
        agents.setAgentWallet(agentId, wallet.addr, block.timestamp + 5 minutes, consent);
        assertEq(agents.getAgentWallet(agentId), wallet.addr);
        vm.prank(owner);
        agents.unsetAgentWallet(agentId);
        assertEq(agents.getAgentWallet(agentId), address(0));
        assertEq(agents.getMetadata(agentId, "agentWallet"), "");
    }

    function test_aWalletWithCodeConsents() public {
        uint256 deadline = block.timestamp + 1;
        // The wallet signs for its own address, which the digest needs before it has one.
        address expected = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        ContractWallet agreeing = new ContractWallet(agents.walletDigest(agentId, expected, deadline));
        vm.startPrank(owner);
        agents.setAgentWallet(agentId, address(agreeing), deadline, "");
        assertEq(agents.getAgentWallet(agentId), address(agreeing));
        vm.expectRevert(abi.encodeWithSelector(IAgentIdentityRegistry.BadWalletSignature.selector, address(agreeing)));
        agents.setAgentWallet(agentId, address(agreeing), deadline + 1, "");
    }

    /// The digest is that of the domain and type which wallets sign for the registries on public chains.
    function test_theDigestIsTheKnownOne() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("ERC8004IdentityRegistry"),
                keccak256("1"),
                block.chainid,
                address(agents)
            )
        );
        bytes32 message = keccak256(
            abi.encode(
                keccak256("AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)"),
                agentId,
                wallet.addr,
                owner,
                uint256(7)
            )
        );
        assertEq(agents.walletDigest(agentId, wallet.addr, 7), keccak256(abi.encodePacked(hex"1901", domain, message)));
    }

    function test_noWalletWithoutItsConsent() public {
        vm.prank(owner);
        uint256 other = agents.register(URI);
        bytes memory consent = _consent(wallet, agentId, block.timestamp);
        bytes memory refusal = abi.encodeWithSelector(IAgentIdentityRegistry.BadWalletSignature.selector, wallet.addr);
        vm.startPrank(owner);
        vm.expectRevert(refusal);
        agents.setAgentWallet(other, wallet.addr, block.timestamp, consent);
        vm.expectRevert(refusal);
        agents.setAgentWallet(agentId, wallet.addr, block.timestamp + 1, consent);
        vm.expectRevert(abi.encodeWithSelector(IAgentIdentityRegistry.BadWalletSignature.selector, stranger));
        agents.setAgentWallet(agentId, stranger, block.timestamp, consent);
        vm.expectRevert(IAgentIdentityRegistry.NoWallet.selector);
        agents.setAgentWallet(agentId, address(0), block.timestamp, consent);
        assertEq(agents.getAgentWallet(agentId), owner);
    }

    function test_aConsentHoldsForMinutes() public {
        uint256 limit = block.timestamp + agents.WALLET_PROOF_SECONDS_MAX();
        bytes memory consent = _consent(wallet, agentId, limit + 1);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(IAgentIdentityRegistry.BadDeadline.selector, limit + 1));
        agents.setAgentWallet(agentId, wallet.addr, limit + 1, consent);
        vm.warp(limit + 2);
        vm.expectRevert(abi.encodeWithSelector(IAgentIdentityRegistry.BadDeadline.selector, limit + 1));
        agents.setAgentWallet(agentId, wallet.addr, limit + 1, consent);
        vm.warp(limit + 1);
        agents.setAgentWallet(agentId, wallet.addr, limit + 1, consent);
        assertEq(agents.getAgentWallet(agentId), wallet.addr);
    }

    /// A wallet's consent was to one owner.
    function testFuzz_aTransferTakesTheWalletBack(address to) public {
        vm.assume(to != address(0) && to != owner);
        bytes memory consent = _consent(wallet, agentId, block.timestamp);
        vm.startPrank(owner);
        agents.setAgentWallet(agentId, wallet.addr, block.timestamp, consent);
        agents.transferFrom(owner, to, agentId);
        assertEq(agents.getAgentWallet(agentId), address(0));
        vm.startPrank(to);
        vm.expectRevert(abi.encodeWithSelector(IAgentIdentityRegistry.BadWalletSignature.selector, wallet.addr));
        agents.setAgentWallet(agentId, wallet.addr, block.timestamp, consent);
    }

    function _consent(Vm.Wallet memory of_, uint256 agent, uint256 deadline) private returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(of_, agents.walletDigest(agent, of_.addr, deadline));
        return abi.encodePacked(r, s, v);
    }
}
