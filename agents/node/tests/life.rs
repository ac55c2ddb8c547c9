//! The whole life of a network on a real chain: deploy, distribute, delegate, propose, vote, queue, execute, mandate,
//! trigger with a real proof, fulfil, paid; and the ways it may go instead: lapse, dispute, revoke, suspend, slash. At each
//! step a twin that is wrong in one thing is refused by its own error.

#[path = "life/scene.rs"]
mod scene;
mod support;

use alloy::network::TransactionBuilder as _;
use alloy::primitives::{B256, U256, keccak256};
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall as _, SolValue as _};
use hygeia_node::chain::governance::{self, Call, Proposal};
use hygeia_policies::care_coordinator::CareCoordinator::{
    disputeCall, fulfilCall, fulfilWithCodeCall, lapseCall, resolveCall, triggerCall,
};
use hygeia_policies::care_coordinator::ICareCoordinator::AttendanceCode as ShownCode;
use hygeia_policies::credential_registry::CredentialRegistry::{addIssuerCall, issueCredentialCall};
use hygeia_policies::hygeia_governor::HygeiaGovernor::{castVoteCall, executeCall, proposeCall, queueCall};
use hygeia_policies::hygeia_token::HygeiaToken::{delegateCall, transferCall};
use hygeia_policies::mandate_registry::MandateRegistry::{grantCall, revokeCall};
use hygeia_policies::model_registry::ModelRegistry::{reinstateModelCall, suspendModelCall};
use hygeia_policies::oracle_registry::IOracleRegistry::Equivocation;
use hygeia_policies::oracle_registry::OracleRegistry::{reinstateOracleCall, slashCall};
use hygeia_policies::typed_data::{Attendance, AttendanceCode, Mandate, Revocation};
use hygeia_policies::{
    CareCoordinator, CarePool, HygeiaGovernor, HygeiaToken, OracleRegistry, TriggerRequest, ids, refusal,
};
use scene::{DAY_S, Life, key, schema};

/// The governor's counting.
const FOR: u8 = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_deployment_to_a_paid_provider() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path()).await;
    deployed_for_each_other(&life).await;
    distributed_and_delegated(&life).await;
    an_issuer_is_named_by_a_vote(&life).await;
    a_provider_is_credentialed(&life).await;
    let patient = a_patient_consents(&life).await;
    let trigger = care_is_triggered(&life, &patient).await;
    the_provider_is_paid(&life, trigger, &patient).await;
    the_provider_is_paid_by_code(&life).await;
    life.network.stop().await;
}

/// A coordinator takes no pool and no oracles that were made for another.
async fn deployed_for_each_other(life: &Life) {
    let chain = &life.network.chain;
    let coordinator = CareCoordinator::new(life.contracts().care_coordinator, &chain.provider);
    let wiring = coordinator.wiring().call().await.unwrap();
    assert_eq!(wiring.pool, life.contracts().care_pool);
    let code = [CareCoordinator::BYTECODE.as_ref(), &(wiring,).abi_encode_params()].concat();
    let request = TransactionRequest::default().with_from(life.stranger.address()).with_deploy_code(code);
    let error = chain.provider.call(request).await.expect_err("the pool is another coordinator's");
    let reverted = error.as_error_resp().and_then(|answer| answer.as_revert_data()).expect("the contract refuses");
    assert_eq!(refusal::name(&reverted), Some("OraclesNotOurs"));
}

async fn distributed_and_delegated(life: &Life) {
    let (token, holder) = (life.contracts().token, &life.network.accounts.voters[0]);
    let stranger = life.stranger.address();
    let counted = HygeiaToken::new(token, &life.network.chain.provider);
    let too_much = transferCall { to: stranger, value: life.balance(holder).await + U256::from(1) };
    life.refused("more than is held", holder.address(), token, &too_much, "ERC20InsufficientBalance").await;
    life.done(holder, token, &transferCall { to: stranger, value: U256::from(5) }).await;
    assert_eq!(counted.getVotes(stranger).call().await.unwrap(), U256::ZERO, "tokens that nobody delegated");
    life.done(&life.stranger, token, &delegateCall { delegatee: stranger }).await;
    assert_eq!(counted.getVotes(stranger).call().await.unwrap(), U256::from(5));
}

/// Step by step what `hold_vote` does in one go.
async fn an_issuer_is_named_by_a_vote(life: &Life) {
    let (chain, to, voters) = (&life.network.chain, life.contracts().governor, &life.network.accounts.voters);
    let governor = HygeiaGovernor::new(to, &chain.provider);
    let stranger = life.stranger.address();
    let registry = life.contracts().credential_registry;
    let add = addIssuerCall { issuer: life.issuer.address() };
    life.refused("without a vote", stranger, registry, &add, "OwnableUnauthorizedAccount").await;

    let calls = vec![Call { target: registry, data: add.abi_encode().into() }];
    let proposal = Proposal { calls, description: "Name an issuer".to_owned() };
    let propose = proposeCall::abi_decode(&proposal.propose()).unwrap();
    let queue = queueCall::abi_decode(&proposal.queue()).unwrap();
    let execute = executeCall::abi_decode(&proposal.execute()).unwrap();
    let cast = castVoteCall { proposalId: proposal.id(), support: FOR };
    life.refused("too few votes to propose", stranger, to, &propose, "GovernorInsufficientProposerVotes").await;
    life.refused("nothing is proposed", stranger, to, &cast, "GovernorNonexistentProposal").await;
    life.done(&voters[0], to, &propose).await;
    assert!(governor.state(proposal.id()).call().await.is_ok(), "the identifier is the governor's own");

    life.refused("before the vote opens", voters[0].address(), to, &cast, "GovernorUnexpectedProposalState").await;
    governance::move_past(chain, governor.proposalSnapshot(proposal.id()).call().await.unwrap()).await.unwrap();
    let unknown = castVoteCall { support: 3, ..cast.clone() };
    life.refused("neither for, against nor abstain", voters[0].address(), to, &unknown, "GovernorInvalidVoteType")
        .await;
    for voter in voters {
        life.done(voter, to, &cast).await;
    }
    life.refused("a second vote", voters[0].address(), to, &cast, "GovernorAlreadyCastVote").await;
    life.refused("while votes are taken", stranger, to, &queue, "GovernorUnexpectedProposalState").await;
    governance::move_past(chain, governor.proposalDeadline(proposal.id()).call().await.unwrap()).await.unwrap();

    let other = addIssuerCall { issuer: stranger }.abi_encode().into();
    let swapped = queueCall { calldatas: vec![other], ..queue.clone() };
    life.refused("other calls than were voted on", stranger, to, &swapped, "GovernorNonexistentProposal").await;
    life.refused("before it is queued", stranger, to, &execute, "GovernorUnexpectedProposalState").await;
    life.done(&life.stranger, to, &queue).await;
    life.refused("before the timelock's date", stranger, to, &execute, "TimelockUnexpectedOperationState").await;
    governance::move_past(chain, governor.proposalEta(proposal.id()).call().await.unwrap()).await.unwrap();
    life.done(&life.stranger, to, &execute).await;
    life.refused("a second time", stranger, to, &execute, "GovernorUnexpectedProposalState").await;
}

async fn a_provider_is_credentialed(life: &Life) {
    let (registry, sender) = (life.contracts().credential_registry, life.stranger.address());
    let (credential, signature) = life.credential().await;
    let issue = issueCredentialCall { credential: (&credential).into(), signature };
    let mut longer = issue.clone();
    longer.credential.expires += 1;
    life.refused("longer than was signed", sender, registry, &longer, "BadIssuerSignature").await;
    let forged = life.signed(&life.stranger, &credential, registry);
    let forged = issueCredentialCall { signature: forged, ..issue.clone() };
    life.refused("signed by another", sender, registry, &forged, "BadIssuerSignature").await;
    let mut unnamed = issue.clone();
    unnamed.credential.issuer = sender;
    life.refused("an issuer nobody voted for", sender, registry, &unnamed, "NotIssuer").await;
    life.done(&life.stranger, registry, &issue).await;
    life.refused("the same licence again", sender, registry, &issue, "LicenceUsed").await;
}

async fn a_patient_consents(life: &Life) -> PrivateKeySigner {
    let (registry, sender) = (life.contracts().mandate_registry, life.stranger.address());
    let patient = key();
    let mandate = life.mandate(&patient, life.now().await + 90 * DAY_S);
    let signature = life.signed(&patient, &mandate, registry);
    let grant = |mandate: &Mandate| grantCall { mandate: mandate.into(), signature: signature.clone() };
    let other_policy = Mandate { policyId: B256::repeat_byte(1), ..mandate.clone() };
    life.refused("another policy", sender, registry, &grant(&other_policy), "BadMandateSignature").await;
    let other_id = Mandate { id: B256::repeat_byte(1), ..mandate.clone() };
    life.refused("another's identifier", sender, registry, &grant(&other_id), "MandateIdMismatch").await;
    let past = Mandate { expires: life.now().await - 1, ..mandate.clone() };
    life.refused("expired as it comes", sender, registry, &grant(&past), "MandateExpired").await;
    life.done(&life.stranger, registry, &grant(&mandate)).await;
    life.refused("the same key again", sender, registry, &grant(&mandate), "MandateExists").await;
    patient
}

async fn care_is_triggered(life: &Life, patient: &PrivateKeySigner) -> B256 {
    let (to, sender) = (life.contracts().care_coordinator, life.stranger.address());
    let honest = life.request(patient).await;
    let mut proof = honest.proof.to_vec();
    proof[40] ^= 1;
    let forged = triggerCall { request: TriggerRequest { proof: proof.into(), ..honest.clone() } };
    life.refused("one bit of the proof", sender, to, &forged, "ProofRejected").await;
    let earlier = triggerCall { request: TriggerRequest { windowEnd: honest.windowEnd - 1, ..honest.clone() } };
    life.refused("another window's end", sender, to, &earlier, "BadOracleSignature").await;
    let nobodys = triggerCall { request: TriggerRequest { mandateId: B256::repeat_byte(1), ..honest.clone() } };
    life.refused("nobody's consent", sender, to, &nobodys, "MandateNotLive").await;
    let trigger = life.triggered(patient).await;
    let pool = CarePool::new(life.contracts().care_pool, &life.network.chain.provider);
    assert_eq!(pool.reserved().call().await.unwrap(), life.benefit(trigger).await);
    let again = triggerCall { request: life.request(patient).await };
    life.refused("a second time in one period", sender, to, &again, "NullifierUsed").await;
    trigger
}

async fn the_provider_is_paid(life: &Life, trigger: B256, patient: &PrivateKeySigner) {
    let (to, sender) = (life.contracts().care_coordinator, life.stranger.address());
    let visit = life.visit(trigger, patient);
    let another = fulfilCall { provider: sender, ..visit.clone() };
    life.refused("somebody without a credential", sender, to, &another, "ProviderNotCredentialed").await;
    let forged = life.visit(trigger, &life.stranger);
    life.refused("signed by another than the patient", sender, to, &forged, "BadAttendanceSignature").await;
    let unknown = fulfilCall { triggerId: B256::repeat_byte(1), ..visit.clone() };
    life.refused("a trigger that is not there", sender, to, &unknown, "TriggerNotOpen").await;

    let (before, benefit) = (life.balance(&life.provider).await, life.benefit(trigger).await);
    assert!(benefit > U256::ZERO);
    life.done(&life.stranger, to, &visit).await;
    assert_eq!(life.balance(&life.provider).await, before + benefit);
    life.refused("paid a second time", sender, to, &visit, "TriggerNotOpen").await;
    let pool = CarePool::new(life.contracts().care_pool, &life.network.chain.provider);
    assert_eq!(pool.reserved().call().await.unwrap(), U256::ZERO);
}

/// The patient's device names a code as care starts; at the bedside it is shown to whoever came.
async fn the_provider_is_paid_by_code(life: &Life) {
    let (to, sender) = (life.contracts().care_coordinator, life.stranger.address());
    let (patient, code) = (life.patient().await, key());
    let trigger = life.triggered(&patient).await;
    let provider = life.provider.address();
    let shown = |names: &PrivateKeySigner, uses: &PrivateKeySigner| {
        let named = AttendanceCode { triggerId: trigger, code: code.address() };
        let attendance = ShownCode {
            code: code.address(),
            mandateSignature: life.signed(names, &named, to),
            codeSignature: life.signed(uses, &Attendance { triggerId: trigger, provider }, to),
        };
        fulfilWithCodeCall { triggerId: trigger, provider, attendance }
    };
    let not_the_patients = shown(&life.stranger, &code);
    life.refused("a code the patient did not name", sender, to, &not_the_patients, "BadAttendanceSignature").await;
    let never_shown = shown(&patient, &life.provider);
    life.refused("used by one without the code", sender, to, &never_shown, "BadAttendanceSignature").await;
    let before = life.balance(&life.provider).await;
    life.done(&life.provider, to, &shown(&patient, &code)).await;
    assert_eq!(life.balance(&life.provider).await, before + life.benefit(trigger).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ways_it_may_go_instead() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path()).await;
    life.credential_provider().await;
    disputed_and_paid(&life).await;
    disputed_and_lapsed(&life).await;
    revoked(&life).await;
    suspended(&life).await;
    slashed(&life).await;
    life.network.stop().await;
}

async fn disputed_and_paid(life: &Life) {
    let (to, arbiter) = (life.contracts().care_coordinator, &life.network.accounts.guardian);
    let trigger = life.triggered(&life.patient().await).await;
    let dispute = disputeCall { triggerId: trigger, evidence: keccak256("visit record and salt") };
    let granted = resolveCall { triggerId: trigger, attended: true };
    let stranger = life.stranger.address();
    life.refused("nobody disputes", arbiter.address(), to, &granted, "TriggerNotOpen").await;
    life.refused("no provider", stranger, to, &dispute, "ProviderNotCredentialed").await;
    life.done(&life.provider, to, &dispute).await;
    life.refused("disputed already", life.provider.address(), to, &dispute, "TriggerNotOpen").await;
    life.refused("no arbiter", stranger, to, &granted, "NotArbiter").await;
    let before = life.balance(&life.provider).await;
    life.done(arbiter, to, &granted).await;
    assert_eq!(life.balance(&life.provider).await, before + life.benefit(trigger).await);
    life.refused("decided already", arbiter.address(), to, &granted, "TriggerNotOpen").await;
}

async fn disputed_and_lapsed(life: &Life) {
    let (to, sender) = (life.contracts().care_coordinator, life.stranger.address());
    let chain = &life.network.chain;
    let pool = CarePool::new(life.contracts().care_pool, &chain.provider);
    let free = pool.available().call().await.unwrap();
    let patient = life.patient().await;
    let trigger = life.triggered(&patient).await;
    let dispute = disputeCall { triggerId: trigger, evidence: keccak256("visit record and salt") };
    life.done(&life.provider, to, &dispute).await;
    life.done(&life.network.accounts.guardian, to, &resolveCall { triggerId: trigger, attended: false }).await;
    life.refused("a second claim", life.provider.address(), to, &dispute, "DisputedBefore").await;

    let lapse = lapseCall { triggerId: trigger };
    life.refused("before the deadline", sender, to, &lapse, "DeadlineNotReached").await;
    let coordinator = CareCoordinator::new(to, &chain.provider);
    let deadline = coordinator.triggerOf(trigger).call().await.unwrap().deadline;
    governance::move_past(chain, U256::from(deadline)).await.unwrap();
    life.refused("after the deadline", sender, to, &life.visit(trigger, &patient), "DeadlinePassed").await;
    assert!(pool.available().call().await.unwrap() < free, "what is set aside is not free");
    life.done(&life.stranger, to, &lapse).await;
    assert_eq!(pool.available().call().await.unwrap(), free);
    life.refused("lapsed already", sender, to, &lapse, "TriggerNotOpen").await;
}

/// Nothing starts any more; care that had started is still paid.
async fn revoked(life: &Life) {
    let (registry, to) = (life.contracts().mandate_registry, life.contracts().care_coordinator);
    let sender = life.stranger.address();
    let patient = life.patient().await;
    let trigger = life.triggered(&patient).await;
    let mandate = ids::mandate_id(patient.address());
    let revoke = |by: &PrivateKeySigner| revokeCall {
        mandateId: mandate,
        signature: life.signed(by, &Revocation { mandateId: mandate }, registry),
    };
    life.refused("by another than the patient", sender, registry, &revoke(&life.stranger), "BadMandateSignature").await;
    life.done(&life.stranger, registry, &revoke(&patient)).await;
    life.refused("revoked already", sender, registry, &revoke(&patient), "MandateAlreadyRevoked").await;
    let request = life.request(&patient).await;
    life.refused("after the revocation", sender, to, &triggerCall { request }, "MandateNotLive").await;
    let before = life.balance(&life.provider).await;
    life.done(&life.stranger, to, &life.visit(trigger, &patient)).await;
    assert_eq!(life.balance(&life.provider).await, before + life.benefit(trigger).await);
}

/// The guardian stops the model at once; what it takes to start it again is a vote.
async fn suspended(life: &Life) {
    let (registry, to) = (life.contracts().model_registry, life.contracts().care_coordinator);
    let (guardian, sender) = (&life.network.accounts.guardian, life.stranger.address());
    let patient = life.patient().await;
    let model_id = life.network.model_id;
    life.refused("by a stranger", sender, registry, &suspendModelCall { modelId: model_id }, "NotGuardian").await;
    life.done(guardian, registry, &suspendModelCall { modelId: model_id }).await;
    let request = life.request(&patient).await;
    life.refused("while it is suspended", sender, to, &triggerCall { request }, "ModelNotActive").await;
    let reinstate = reinstateModelCall { modelId: model_id };
    life.refused("by the guardian", guardian.address(), registry, &reinstate, "OwnableUnauthorizedAccount").await;
    life.vote(registry, &reinstate, "Put the model back into service").await;
    life.triggered(&patient).await;
}

/// Two commitments signed for one window cost the oracle its bond and its standing.
async fn slashed(life: &Life) {
    let (registry, to) = (life.contracts().oracle_registry, life.contracts().care_coordinator);
    let oracle = life.network.accounts.oracle.address();
    let patient = life.patient().await;
    let honest = life.request(&patient).await;
    let (mandate, window_end) = (honest.mandateId, honest.windowEnd);
    let mut other = honest.commitment;
    other.0[31] ^= 1;
    let shown = Equivocation {
        oracle,
        mandateId: mandate,
        windowEnd: window_end,
        schema: schema(),
        firstCommitment: honest.commitment,
        firstSignature: honest.oracleSignature.clone(),
        secondCommitment: other,
        secondSignature: life.attested(mandate, window_end, other.0),
    };
    let slash = |evidence: Equivocation| slashCall { evidence };
    let sender = life.stranger.address();
    let same = Equivocation {
        secondCommitment: shown.firstCommitment,
        secondSignature: shown.firstSignature.clone(),
        ..shown.clone()
    };
    life.refused("one statement shown twice", sender, registry, &slash(same), "NoEquivocation").await;
    let another_window = life.attested(mandate, window_end + 3_600, other.0);
    let another_window = Equivocation { secondSignature: another_window, ..shown.clone() };
    life.refused("statements on two windows", sender, registry, &slash(another_window), "NoEquivocation").await;

    let oracles = OracleRegistry::new(registry, &life.network.chain.provider);
    let bond = U256::from(oracles.oracleOf(oracle).call().await.unwrap().bond);
    let share = U256::from(oracles.reporterShareBps().call().await.unwrap());
    let before = life.balance(&life.stranger).await;
    life.done(&life.stranger, registry, &slash(shown.clone())).await;
    assert_eq!(life.balance(&life.stranger).await, before + bond * share / U256::from(10_000));
    assert_eq!(oracles.oracleOf(oracle).call().await.unwrap().bond, 0);
    life.refused("slashed already", sender, registry, &slash(shown), "WrongOracleStatus").await;
    life.refused("an oracle in jail", sender, to, &triggerCall { request: honest }, "OracleNotActive").await;
    let reinstate = reinstateOracleCall { oracle };
    life.refused("not even by a vote", life.contracts().timelock, registry, &reinstate, "OracleInJail").await;
}
