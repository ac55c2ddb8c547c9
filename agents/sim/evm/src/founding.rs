//! Puts the contracts on the chain, in the order of `hygeia deploy`, and lets governance, funders and patients do what care
//! needs. Where the product has the timelock, an account stands here: how a vote gets there is another test's matter.

use std::collections::{BTreeMap, VecDeque};

use alloy::primitives::{Address, B256, Bytes, I256, U256, keccak256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall, SolStruct, SolValue};
use hygeia_policies::care_coordinator::ICareCoordinator::Wiring;
use hygeia_policies::care_pool::CarePool::fundCall;
use hygeia_policies::hygeia_token::HygeiaToken::approveCall;
use hygeia_policies::mandate_registry::MandateRegistry::grantCall;
use hygeia_policies::model_registry::ModelRegistry::approveModelCall;
use hygeia_policies::oracle_registry::OracleRegistry::{admitOracleCall, payBondCall};
use hygeia_policies::policy_registry::PolicyRegistry::approvePolicyCall;
use hygeia_policies::typed_data::{self, Mandate};
use hygeia_policies::{
    AuditLedger, CareCoordinator, CarePool, ChangeControl, CredentialRegistry, Evidence, HygeiaToken,
    InferenceVerifier, MandateRegistry, ModelCommitment, ModelRegistry, OracleRegistry, OracleRules, PolicyRegistry,
    PolicyTerms, ServiceBinding, ids,
};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::identity::PatientId;
use hygeia_sim::contracts::At;
use hygeia_sim::ward::{self, MODELS, START, TRIAGE};

use super::machine::{CHAIN_ID, Machine};
use super::vectors::{self, SCHEMA, Vector};
use super::{Addresses, Evm, Model};

const DEPLOYER: Address = Address::repeat_byte(0xde);
const OWNER: Address = Address::repeat_byte(0x0e);
const GUARDIAN: Address = Address::repeat_byte(0x6a);
/// Tokens of the network, all the deployer's at first.
const SUPPLY: U256 = U256::from_limbs([u64::MAX, 1, 0, 0]);
const BOND: u128 = 1_000;
/// Longer than any run, so that neither age nor caps decide: the model of the chain has none.
const LONG_S: u32 = 30 * 86_400;
/// Contracts before the coordinator, whose address three of them are told.
const COORDINATOR: u64 = 9;
/// The block that all this stands in.
const FOUNDED: At = At { block: 0, time_s: START.as_seconds() };

/// The contracts with all that a ward of so many patients needs.
pub(crate) fn found(patients: u64) -> Evm {
    let mut machine = Machine::default();
    let oracle = key("oracle", 0);
    let vector = Vector::committed();
    let coordinator = DEPLOYER.create(COORDINATOR);
    let [token, models, verifier, audits, policies, mandates, credentials, oracles, pool] =
        deploy(&mut machine, coordinator);
    let wiring = Wiring { models, verifier, audits, policies, oracles, mandates, credentials, pool };
    let made = machine.create(DEPLOYER, code(&CareCoordinator::BYTECODE, (wiring,).abi_encode_params()), FOUNDED);
    assert_eq!(made, coordinator, "its address was told before");
    let halo2 = machine.create(DEPLOYER, vectors::verifier(), FOUNDED);

    let known: BTreeMap<B32, Model> = MODELS.iter().map(|model| (*model, model_of(*model, vector.score))).collect();
    let mut must = |from, to, call: Vec<u8>| assert!(machine.call(from, to, call, FOUNDED), "founding was refused");
    must(OWNER, models, approval(&known[&MODELS[0]].commitment, halo2, vector.proof.len()));
    for model in known.values() {
        must(OWNER, policies, approvePolicyCall { terms: terms(model.id, vector.score) }.abi_encode());
    }
    must(OWNER, oracles, admitOracleCall { oracle: oracle.address() }.abi_encode());
    for spender in [oracles, pool] {
        must(DEPLOYER, token, approveCall { spender, value: U256::MAX }.abi_encode());
    }
    must(DEPLOYER, oracles, payBondCall { oracle: oracle.address(), amount: BOND }.abi_encode());
    must(DEPLOYER, pool, fundCall { amount: U256::from(u64::MAX) }.abi_encode());
    let mut granted = BTreeMap::new();
    let domain = typed_data::domain(CHAIN_ID, mandates);
    for patient in 0..patients {
        let name = PatientId::new(&format!("p-{patient}")).expect("a letter and digits");
        for (model, number) in MODELS.iter().zip(0..) {
            let holder = key("mandate", patient * MODELS.len() as u64 + number);
            let mandate = consent(&holder, known[model].policy, oracle.address());
            let signature = sign(&holder, mandate.eip712_signing_hash(&domain));
            must(DEPLOYER, mandates, grantCall { mandate: (&mandate).into(), signature }.abi_encode());
            granted.insert((ward::mandate(&name), *model), mandate.id);
        }
    }
    let addresses = Addresses { owner: OWNER, guardian: GUARDIAN, models, coordinator, verifier: halo2 };
    let domain = typed_data::domain(CHAIN_ID, coordinator);
    Evm { machine, before: VecDeque::new(), addresses, models: known, mandates: granted, oracle, domain, vector }
}

/// The call that approves a model whose proofs are this long.
pub(crate) fn approval(commitment: &ModelCommitment, verifier: Address, proof_bytes: usize) -> Vec<u8> {
    let proof_length = u32::try_from(proof_bytes).expect("a proof is small");
    let text = || "simulated".to_owned();
    approveModelCall {
        commitment: commitment.clone(),
        binding: ServiceBinding { schemaHash: SCHEMA, verifier, proofLength: proof_length },
        evidence: Evidence { cardHash: SCHEMA, fidelityHash: SCHEMA, evaluationHash: SCHEMA },
        change: ChangeControl { modification: text(), protocol: text(), impact: text() },
    }
    .abi_encode()
}

fn deploy(machine: &mut Machine, coordinator: Address) -> [Address; COORDINATOR as usize] {
    let mut create = |bytecode: &Bytes, arguments| machine.create(DEPLOYER, code(bytecode, arguments), FOUNDED);
    let owned = (OWNER, GUARDIAN).abi_encode_params();
    let token = create(&HygeiaToken::BYTECODE, (DEPLOYER, SUPPLY).abi_encode_params());
    let models = create(&ModelRegistry::BYTECODE, owned.clone());
    let verifier = create(&InferenceVerifier::BYTECODE, (models,).abi_encode_params());
    let audits = create(&AuditLedger::BYTECODE, (models,).abi_encode_params());
    let policies = create(&PolicyRegistry::BYTECODE, owned.clone());
    let mandates = create(&MandateRegistry::BYTECODE, Vec::new());
    let credentials = create(&CredentialRegistry::BYTECODE, owned);
    let rules =
        OracleRules { minimumBond: BOND, unbondingSeconds: 1, jailSeconds: 1, reporterShareBps: 2_000 };
    let oracles =
        create(&OracleRegistry::BYTECODE, (token, coordinator, rules, OWNER, GUARDIAN).abi_encode_params());
    let pool = create(&CarePool::BYTECODE, (token, coordinator, OWNER, 1_u64).abi_encode_params());
    [token, models, verifier, audits, policies, mandates, credentials, oracles, pool]
}

fn model_of(model: B32, score: i64) -> Model {
    let hash = |what: &str| keccak256([model.as_bytes(), what.as_bytes()].concat());
    let commitment = ModelCommitment {
        modelHash: hash("model"),
        circuitHash: hash("circuit"),
        vkHash: hash("key"),
        proofSystemId: ids::proof_system_id(ids::PROOF_SYSTEM),
        uri: "simulated".to_owned(),
    };
    let id = ids::model_id(&commitment);
    Model { commitment, id, policy: ids::policy_id(&terms(id, score)) }
}

/// A policy that calls at the committed proof's score.
fn terms(model: B256, score: i64) -> PolicyTerms {
    PolicyTerms {
        modelId: model,
        threshold: I256::try_from(score).expect("a score is small"),
        careCode: SCHEMA,
        benefit: 1,
        coolDownSeconds: TRIAGE.cool_down_s,
        maxAttestationAgeSeconds: LONG_S,
        fulfilWithinSeconds: LONG_S,
        startsPerDayMax: u32::MAX,
        openMax: u32::MAX,
        arbiter: Address::ZERO,
        arbitrationSeconds: 0,
    }
}

fn consent(holder: &PrivateKeySigner, policy: B256, oracle: Address) -> Mandate {
    Mandate {
        id: ids::mandate_id(holder.address()),
        key: holder.address(),
        policyId: policy,
        oracle,
        operator: Address::ZERO,
        providerClass: [0; 4].into(),
        expires: FOUNDED.time_s + u64::from(LONG_S),
    }
}

/// A key that depends on its use alone; it holds nothing outside this chain.
fn key(what: &str, number: u64) -> PrivateKeySigner {
    let secret = keccak256([what.as_bytes(), &number.to_be_bytes()].concat());
    PrivateKeySigner::from_bytes(&secret).expect("a hash is a key but for a vanishing chance")
}

fn sign(key: &PrivateKeySigner, digest: B256) -> Bytes {
    key.sign_hash_sync(&digest).expect("a key in memory signs").as_bytes().to_vec().into()
}

fn code(bytecode: &Bytes, arguments: Vec<u8>) -> Bytes {
    [bytecode.as_ref(), &arguments].concat().into()
}
