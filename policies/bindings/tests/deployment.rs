//! Deploys every contract from the committed bytecode on a real anvil, in the order that gives the deployer no role, and
//! reads back who owns what.
//!
//! Needs the anvil that `npm ci` puts into `policies/node_modules`.

use std::path::Path;

use alloy::network::Ethereum;
use alloy::node_bindings::{Anvil, AnvilInstance};
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{Provider, ProviderBuilder, WalletProvider};
use alloy::sol_types::SolError;
use hygeia_policies::care_coordinator::CareCoordinator::PolicyNotActive;
use hygeia_policies::care_coordinator::ICareCoordinator::Wiring;
use hygeia_policies::hygeia_governor::HygeiaGovernor::Rules;
use hygeia_policies::{
    AuditLedger, CareCoordinator, CarePool, CredentialRegistry, HygeiaGovernor, HygeiaTimelock, HygeiaToken,
    InferenceVerifier, MandateRegistry, ModelRegistry, OracleRegistry, OracleRules, PolicyRegistry, TriggerRequest,
    ids, refusal,
};

const ANVIL: &str = "../node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";
const RULES: OracleRules = OracleRules { minimumBond: 1, unbondingSeconds: 0, jailSeconds: 0, reporterShareBps: 0 };

#[tokio::test]
async fn the_deployer_keeps_nothing_but_its_tokens() {
    let anvil = anvil();
    let provider =
        ProviderBuilder::new().wallet(anvil.wallet().expect("anvil has accounts")).connect_http(anvil.endpoint_url());
    let deployer = provider.default_signer_address();
    let guardian = anvil.addresses()[1];

    let token = HygeiaToken::deploy(&provider, deployer, U256::from(1_000_000)).await.unwrap();
    let governor_address = next(&provider, deployer, 1).await;
    let timelock = HygeiaTimelock::deploy(&provider, U256::from(60), governor_address).await.unwrap();
    let rules = Rules {
        votingDelaySeconds: alloy::primitives::aliases::U48::from(10),
        votingPeriodSeconds: 100,
        proposalThreshold: U256::from(1),
        quorumPercent: U256::from(4),
        lateQuorumSeconds: alloy::primitives::aliases::U48::from(10),
    };
    let governor =
        HygeiaGovernor::deploy(&provider, *token.address(), *timelock.address(), guardian, rules).await.unwrap();
    assert_eq!(*governor.address(), governor_address);

    let owner = *timelock.address();
    let models = ModelRegistry::deploy(&provider, owner, guardian).await.unwrap();
    let verifier = InferenceVerifier::deploy(&provider, *models.address()).await.unwrap();
    let audits = AuditLedger::deploy(&provider, *models.address()).await.unwrap();
    let policies = PolicyRegistry::deploy(&provider, owner, guardian).await.unwrap();
    let mandates = MandateRegistry::deploy(&provider).await.unwrap();
    let credentials = CredentialRegistry::deploy(&provider, owner, guardian).await.unwrap();
    let coordinator_address = next(&provider, deployer, 2).await;
    let oracles =
        OracleRegistry::deploy(&provider, *token.address(), coordinator_address, RULES, owner, guardian).await.unwrap();
    let pool = CarePool::deploy(&provider, *token.address(), coordinator_address, owner, 0).await.unwrap();
    let wiring = Wiring {
        models: *models.address(),
        verifier: *verifier.address(),
        audits: *audits.address(),
        policies: *policies.address(),
        oracles: *oracles.address(),
        mandates: *mandates.address(),
        credentials: *credentials.address(),
        pool: *pool.address(),
    };
    let coordinator = CareCoordinator::deploy(&provider, wiring).await.unwrap();
    assert_eq!(*coordinator.address(), coordinator_address);

    for owned in [
        models.owner().call().await.unwrap(),
        policies.owner().call().await.unwrap(),
        oracles.owner().call().await.unwrap(),
        credentials.owner().call().await.unwrap(),
        pool.owner().call().await.unwrap(),
    ] {
        assert_eq!(owned, owner);
    }
    let admin = timelock.DEFAULT_ADMIN_ROLE().call().await.unwrap();
    assert!(!timelock.hasRole(admin, deployer).call().await.unwrap());
    assert_eq!(verifier.PROOF_SYSTEM_ID().call().await.unwrap(), ids::proof_system_id(ids::PROOF_SYSTEM));

    let refused = coordinator.trigger(no_request()).call().await.unwrap_err();
    let reverted = refused.as_revert_data().expect("the coordinator gives a reason");
    assert_eq!(refusal::name(&reverted), Some("PolicyNotActive"));
    assert!(PolicyNotActive::abi_decode(&reverted).is_ok());
}

/// The address of the contract that `account` deploys `ahead` deployments after its next one.
async fn next(provider: &impl Provider<Ethereum>, account: Address, ahead: u64) -> Address {
    account.create(provider.get_transaction_count(account).await.unwrap() + ahead)
}

fn no_request() -> TriggerRequest {
    TriggerRequest {
        policyId: B256::repeat_byte(1),
        mandateId: B256::repeat_byte(2),
        windowEnd: 1,
        commitment: B256::repeat_byte(3),
        score: Default::default(),
        oracle: Address::repeat_byte(4),
        oracleSignature: Default::default(),
        proof: Default::default(),
    }
}

fn anvil() -> AnvilInstance {
    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join(ANVIL);
    assert!(binary.exists(), "no anvil at {}: run `npm ci` in policies", binary.display());
    Anvil::new().path(binary).try_spawn().expect("anvil starts")
}
