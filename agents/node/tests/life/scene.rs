//! A founded network, a real proof, and the people who come to it later: what the tests of a whole life share.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, FixedBytes, I256, U256, keccak256};
use alloy::providers::ext::AnvilApi as _;
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use hygeia_inference::package::ModelPackage;
use hygeia_inference::schema::ClinicalState;
use hygeia_node::chain::governance::{self, Call};
use hygeia_node::chain::signing::OracleSigner;
use hygeia_node::chain::{Chain, Deployment};
use hygeia_node::demo::network::Network;
use hygeia_node::keys;
use hygeia_policies::care_coordinator::CareCoordinator::{fulfilCall, triggerCall};
use hygeia_policies::credential_registry::CredentialRegistry::{addIssuerCall, issueCredentialCall};
use hygeia_policies::mandate_registry::MandateRegistry::grantCall;
use hygeia_policies::typed_data::{Attendance, Credential, Mandate, SolStruct, domain};
use hygeia_policies::{CareCoordinator, HygeiaToken, TriggerRequest, ids};
use hygeia_zkml::Proof;
use hygeia_zkml::statement::Salt;

use crate::support;

/// Below every score: the policy of this test applies to any window.
const THRESHOLD: i64 = -1_000_000;
/// How long the chain may take to answer its first call.
const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds of a day.
pub const DAY_S: u64 = 86_400;

/// A founded network, a real proof, and the people who come to it later.
pub struct Life {
    /// The network.
    pub network: Network,
    /// Sends for those who are no accounts of the network.
    pub people: Chain,
    pub proof: Proof,
    pub issuer: PrivateKeySigner,
    pub provider: PrivateKeySigner,
    pub stranger: PrivateKeySigner,
}

impl Life {
    pub async fn begin(dir: &Path) -> Self {
        let network = support::network(&support::tools(), dir, Some(THRESHOLD)).await;
        let model = ModelPackage::default_model();
        let engine = keys::open_engine(model, &support::keys_dir(), 0).await.unwrap();
        let features = model.schema().features(&ClinicalState::default());
        let proof = engine.prove(&features, &Salt::new([7; 16])).expect("an honest window is provable");
        let (issuer, provider, stranger) = (key(), key(), key());
        let people =
            Chain::connect(network.anvil.url(), &[provider.clone(), stranger.clone()], PATIENCE).await.unwrap();
        for person in [&provider, &stranger] {
            let coins = U256::from(10).pow(U256::from(18));
            network.chain.provider.anvil_set_balance(person.address(), coins).await.unwrap();
        }
        Self { network, people, proof, issuer, provider, stranger }
    }

    pub fn contracts(&self) -> &Deployment {
        &self.network.deployment
    }

    /// What `from` calls is refused by this error. Nothing is sent.
    pub async fn refused(&self, what: &str, from: Address, to: Address, call: &impl SolCall, error: &str) {
        let answer = governance::dry_run(&self.network.chain, from, call.abi_encode().into(), to, "trying").await;
        assert_eq!(answer.unwrap(), Err(error.to_owned()), "{what}");
    }

    /// What `from` calls is mined.
    pub async fn done(&self, from: &PrivateKeySigner, to: Address, call: &impl SolCall) {
        let from = from.address();
        let is_person = [&self.provider, &self.stranger].iter().any(|person| person.address() == from);
        let chain = if is_person { &self.people } else { &self.network.chain };
        governance::send(chain, from, call.abi_encode().into(), to, "a step of a life").await.unwrap();
    }

    pub async fn balance(&self, of: &PrivateKeySigner) -> U256 {
        let token = HygeiaToken::new(self.contracts().benefit_token, &self.network.chain.provider);
        token.balanceOf(of.address()).call().await.unwrap()
    }

    /// What one trigger pays.
    pub async fn benefit(&self, trigger: B256) -> U256 {
        let coordinator = CareCoordinator::new(self.contracts().care_coordinator, &self.network.chain.provider);
        U256::from(coordinator.triggerOf(trigger).call().await.unwrap().benefit)
    }

    pub async fn now(&self) -> u64 {
        governance::chain_time(&self.network.chain).await.unwrap()
    }

    pub fn voters(&self) -> Vec<Address> {
        self.network.accounts.voters.iter().map(PrivateKeySigner::address).collect()
    }

    pub async fn vote(&self, target: Address, call: &impl SolCall, description: &str) {
        let calls = [Call { target, data: call.abi_encode().into() }];
        governance::hold_vote(&self.network.chain, self.contracts(), &self.voters(), &calls, description)
            .await
            .unwrap();
    }

    /// Names the issuer by a vote and credentials the provider with its signature.
    pub async fn credential_provider(&self) {
        let registry = self.contracts().credential_registry;
        self.vote(registry, &addIssuerCall { issuer: self.issuer.address() }, "Name an issuer").await;
        let (credential, signature) = self.credential().await;
        self.done(&self.stranger, registry, &issueCredentialCall { credential: (&credential).into(), signature }).await;
    }

    pub async fn credential(&self) -> (Credential, Bytes) {
        let credential = Credential {
            provider: self.provider.address(),
            issuer: self.issuer.address(),
            licence: keccak256("licence and salt"),
            class: nurse(),
            expires: self.now().await + 365 * DAY_S,
        };
        let signature = self.signed(&self.issuer, &credential, self.contracts().credential_registry);
        (credential, signature)
    }

    /// A message of this key in the domain of the contract that checks it.
    pub fn signed(&self, key: &PrivateKeySigner, message: &impl SolStruct, checked_by: Address) -> Bytes {
        let digest = message.eip712_signing_hash(&domain(self.contracts().chain_id, checked_by));
        key.sign_hash_sync(&digest).unwrap().as_bytes().to_vec().into()
    }

    pub fn mandate(&self, key: &PrivateKeySigner, expires: u64) -> Mandate {
        Mandate {
            id: ids::mandate_id(key.address()),
            key: key.address(),
            policyId: self.network.policy_id,
            oracle: self.network.accounts.oracle.address(),
            operator: Address::ZERO,
            providerClass: nurse(),
            expires,
        }
    }

    /// Somebody who consents to care by nurses for three months.
    pub async fn patient(&self) -> PrivateKeySigner {
        let patient = key();
        let mandate = self.mandate(&patient, self.now().await + 90 * DAY_S);
        let registry = self.contracts().mandate_registry;
        let signature = self.signed(&patient, &mandate, registry);
        self.done(&self.stranger, registry, &grantCall { mandate: (&mandate).into(), signature }).await;
        patient
    }

    /// A trigger on the patient's window that ends a minute ago.
    pub async fn request(&self, patient: &PrivateKeySigner) -> TriggerRequest {
        let window_end = self.now().await - 60;
        let mandate = ids::mandate_id(patient.address());
        let commitment = self.proof.public.commitment.to_bytes();
        TriggerRequest {
            policyId: self.network.policy_id,
            mandateId: mandate,
            windowEnd: window_end,
            commitment: B256::from(commitment),
            score: I256::try_from(self.proof.public.score).unwrap(),
            oracle: self.network.accounts.oracle.address(),
            oracleSignature: self.attested(mandate, window_end, commitment),
            proof: self.proof.bytes.clone().into(),
        }
    }

    pub fn attested(&self, mandate: B256, window_end: u64, commitment: [u8; 32]) -> Bytes {
        let oracle = OracleSigner::new(self.network.accounts.oracle.clone(), self.contracts());
        oracle.attest(mandate.0, window_end, schema().0, commitment).unwrap().to_vec().into()
    }

    /// Starts care for the patient; the trigger's identifier.
    pub async fn triggered(&self, patient: &PrivateKeySigner) -> B256 {
        let request = self.request(patient).await;
        let coordinator = CareCoordinator::new(self.contracts().care_coordinator, &self.network.chain.provider);
        let trigger = coordinator.trigger(request.clone()).call().await.unwrap();
        self.done(&self.stranger, self.contracts().care_coordinator, &triggerCall { request }).await;
        trigger
    }

    /// What pays the provider: the patient's signature on the visit.
    pub fn visit(&self, trigger: B256, patient: &PrivateKeySigner) -> fulfilCall {
        let provider = self.provider.address();
        let attendance = Attendance { triggerId: trigger, provider };
        let signature = self.signed(patient, &attendance, self.contracts().care_coordinator);
        fulfilCall { triggerId: trigger, provider, attendanceSignature: signature }
    }
}

pub fn key() -> PrivateKeySigner {
    PrivateKeySigner::random()
}

/// A class of practitioners, as the credential registry names it.
pub fn nurse() -> FixedBytes<4> {
    FixedBytes::try_from(&keccak256("http://snomed.info/sct|224535009")[..4]).unwrap()
}

pub fn schema() -> B256 {
    B256::from(ModelPackage::default_model().schema().hash())
}
