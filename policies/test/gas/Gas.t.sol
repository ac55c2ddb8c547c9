// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {stdJson} from "forge-std/StdJson.sol";
import {ICareCoordinator} from "../../src/interfaces/ICareCoordinator.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {IPolicyRegistry} from "../../src/interfaces/IPolicyRegistry.sol";
import {RealProof} from "../support/RealProof.sol";

/// @notice What a transaction costs all in: base fee of 21,000, calldata, execution on storage that nobody has touched in the
/// transaction, refunds. Each top-level call is a transaction of its own here (`isolate`). The figures are compared with
/// snapshots/Gas.json, and those with a limit are held to it.
/// forge-config: default.isolate = true
contract GasTest is RealProof {
    using stdJson for string;

    uint256 private constant TRIGGER_MAX = 500_000;
    uint256 private constant TRIGGER_AUDITED_MAX = 350_000;
    /// The largest audit that zkml knows.
    uint32 private constant LEAVES_MAX = 4096;

    function setUp() public {
        setUpAudit();
        loadProof();
        IModelRegistry.ServiceBinding memory binding = bindingTo(deployVerifier());
        binding.proofLength = uint32(proof.length);
        vm.startPrank(address(timelock));
        modelId = models.approveModel(commitmentOf("generated"), binding, evidence(), changeControl());
        models.approveAuditVerifier(modelId, auditBinding(LEAVES_MAX));
        IPolicyRegistry.Terms memory reached = terms();
        reached.threshold = score < THRESHOLD ? score : THRESHOLD;
        policyId = policies.approvePolicy(reached);
        vm.stopPrank();
        mandateId = grantMandate(vm.createWallet("patient of the generated verifier"), policyId, oracle.addr);
    }

    /// The first trigger of a policy, in an empty pool: nothing is as dear as the first time.
    function test_trigger() public {
        ICareCoordinator.TriggerRequest memory real = realRequest();
        coordinator.trigger(real);
        _requireUnder("trigger, native proof, first of its policy", TRIGGER_MAX);
        skip(COOL_DOWN);
        real = realRequest();
        coordinator.trigger(real);
        _requireUnder("trigger, native proof", TRIGGER_MAX);
    }

    function test_triggerAudited() public {
        Audited memory audited = auditedRequest(LEAVES_MAX - 1, LEAVES_MAX, LEAVES_MAX);
        assertEq(audited.path.length, 12);
        send(audited);
        _requireUnder("triggerAudited, 4096 leaves, first of its policy", TRIGGER_AUDITED_MAX);
    }

    function test_recordAudit() public {
        string memory vector = vm.readFile("generated/audit-proof.json");
        bytes memory auditProof = vector.readBytes(".proof");
        IModelRegistry.AuditBinding memory binding = auditBinding(uint32(vector.readUint(".leaves")));
        binding.verifier = deployVerifier("generated/AuditVerifier.json");
        binding.proofLength = uint32(auditProof.length);
        vm.prank(address(timelock));
        models.approveAuditVerifier(modelId, binding);
        uint32 count = uint32(vector.readUint(".count"));
        audits.recordAudit(modelId, binding.leaves, vector.readBytes32(".root"), count, auditProof);
        vm.snapshotGasLastCall("Gas", "recordAudit, native proof");
    }

    function test_settlement() public {
        bytes32 triggerId = coordinator.trigger(realRequest());
        bytes memory attendance = sign(
            vm.createWallet("patient of the generated verifier"), coordinator.attendanceDigest(triggerId, provider)
        );
        coordinator.fulfil(triggerId, provider, attendance);
        vm.snapshotGasLastCall("Gas", "fulfil");
        skip(COOL_DOWN);
        triggerId = coordinator.trigger(realRequest());
        skip(FULFIL_WITHIN + 1);
        coordinator.lapse(triggerId);
        vm.snapshotGasLastCall("Gas", "lapse");
    }

    function test_consent() public {
        grantMandate(vm.createWallet("another patient"), policyId, oracle.addr);
        vm.snapshotGasLastCall("Gas", "grant");
        bytes memory signature = sign(patient, mandates.revocationDigest(mandates.mandateIdOf(patient.addr)));
        mandates.revoke(mandates.mandateIdOf(patient.addr), signature);
        vm.snapshotGasLastCall("Gas", "revoke");
    }

    function test_agents() public {
        uint256 agentId = agents.register("https://prover.example/agent.json");
        vm.snapshotGasLastCall("Gas", "register an agent");
        bytes32 asked = validator.requestHashOf(uint256(modelId), commitment, abi.encode(score), proof);
        validations.validationRequest(address(validator), agentId, "https://prover.example/payload", asked);
        vm.snapshotGasLastCall("Gas", "validationRequest");
        validator.validate(uint256(modelId), commitment, abi.encode(score), proof);
        vm.snapshotGasLastCall("Gas", "validate, native proof");
    }

    function _requireUnder(string memory name, uint256 limit) private {
        assertLe(vm.snapshotGasLastCall("Gas", name), limit, name);
    }
}
