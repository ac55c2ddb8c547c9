//! Registries of one owner on a real chain, watched through a node that can be told to answer wrong.
#![allow(dead_code, reason = "each test file that shares this uses a part of it")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, I256, U256, keccak256};
use alloy::providers::Provider as _;
use alloy::providers::ext::AnvilApi as _;
use alloy::rpc::types::anvil::ReorgOptions;
use alloy::sol_types::SolCall;
use alloy::transports::http::reqwest;
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use hygeia_inference::package::ModelPackage;
use hygeia_node::chain::registry::Registries;
use hygeia_node::chain::signing::MandateKey;
use hygeia_node::chain::{Chain, Deployment, governance};
use hygeia_node::clock::now_s;
use hygeia_node::demo::processes::Anvil;
use hygeia_policies::mandate_registry::MandateRegistry::{grantCall, revokeCall};
use hygeia_policies::model_registry::ModelRegistry::{
    approveModelCall, deprecateModelCall, reinstateModelCall, suspendModelCall,
};
use hygeia_policies::policy_registry::PolicyRegistry::approvePolicyCall;
use hygeia_policies::{
    ChangeControl, Evidence, MandateRegistry, ModelCommitment, ModelRegistry, PolicyRegistry, PolicyTerms,
    ServiceBinding, ids,
};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::registry::View;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support;

/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests of the watcher that are awaited before something counts as not having happened.
const POLLS: u64 = 3;

/// How the node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// As it is.
    None,
    /// Not at all.
    Silent,
    /// Receipts come without their logs.
    LogsLeftOut,
    /// Receipts do not come.
    ReceiptsLeftOut,
    /// Headers come with an empty filter of logs.
    FilterForged,
    /// The newest block is this many blocks old.
    HeadBehind(u64),
    /// Another chain answers that has the same number.
    OtherNode,
}

/// What stands between the watcher and the node.
struct Gate {
    lie: Mutex<Lie>,
    node: Mutex<String>,
    other: String,
    /// Times that the newest block was asked for.
    polls: AtomicU64,
    client: reqwest::Client,
}

pub struct Scene {
    anvil: Mutex<Option<Anvil>>,
    other: Mutex<Option<Anvil>>,
    chain: Mutex<Chain>,
    gate: Arc<Gate>,
    owner: Address,
    deployment: Deployment,
    model: B256,
    registries: Registries,
    keys: Mutex<Vec<MandateKey>>,
    dir: tempfile::TempDir,
    stop: CancellationToken,
}

impl Scene {
    /// Deploys the registries and watches them.
    pub async fn begin(confirmations: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tools = support::tools();
        let anvil = Anvil::start(&tools, &dir.path().join("anvil"), now_s()).await.unwrap();
        let other = Anvil::start(&tools, &dir.path().join("other"), now_s() - 1_000).await.unwrap();
        let chain = Chain::connect(anvil.url(), &[], PATIENCE).await.unwrap();
        let elsewhere = Chain::connect(other.url(), &[], PATIENCE).await.unwrap();
        elsewhere.provider.anvil_mine(Some(100), None).await.unwrap();
        let owner = chain.provider.get_accounts().await.unwrap()[0];
        let deployment = deploy(&chain, owner).await;
        let gate = Arc::new(Gate {
            lie: Mutex::new(Lie::None),
            node: Mutex::new(anvil.url().to_owned()),
            other: other.url().to_owned(),
            polls: AtomicU64::new(0),
            client: reqwest::Client::new(),
        });
        let stop = CancellationToken::new();
        let url = serve(gate.clone(), stop.clone()).await;
        let watched = Chain::connect(&url, &[], PATIENCE).await.unwrap();
        let registries = Registries::watch(watched, deployment.clone(), confirmations, stop.clone()).await.unwrap();
        Self {
            model: ids::model_id(&commitment([1; 32])),
            anvil: Mutex::new(Some(anvil)),
            other: Mutex::new(Some(other)),
            chain: Mutex::new(chain),
            gate,
            owner,
            deployment,
            registries,
            keys: Mutex::default(),
            dir,
            stop,
        }
    }

    pub async fn end(self) {
        self.stop.cancel();
        for node in [self.anvil, self.other] {
            let node = node.lock().unwrap().take();
            node.unwrap().stop().await;
        }
    }

    fn chain(&self) -> Chain {
        self.chain.lock().unwrap().clone()
    }

    pub fn tell(&self, lie: Lie) {
        *self.gate.lie.lock().unwrap() = lie;
    }

    pub fn view(&self) -> Arc<View> {
        self.registries.view()
    }

    pub fn is_live(&self, policy: &B32) -> bool {
        self.view().policy(policy).is_some_and(|policy| policy.is_live)
    }

    pub async fn head(&self) -> u64 {
        self.chain().head().await.unwrap()
    }

    /// The first view in which something holds.
    pub async fn until(&self, what: &str, holds: impl Fn(&View) -> bool) -> Arc<View> {
        let mut views = self.registries.changes();
        let found = tokio::time::timeout(PATIENCE, views.wait_for(|view| holds(view))).await;
        found.unwrap_or_else(|_| panic!("not in time: {what}")).unwrap().clone()
    }

    /// The view of the chain's present head.
    pub async fn until_head(&self) -> Arc<View> {
        let block = self.chain().provider.get_block(alloy::eips::BlockId::latest()).await.unwrap().unwrap();
        let hash = B32::new(block.header.hash.0);
        self.until("the head is followed", |view| view.head().is_some_and(|head| head.hash == hash)).await
    }

    /// Returns once the watcher has asked some more times.
    pub async fn unchanged_for_polls(&self) {
        let before = self.gate.polls.load(Ordering::SeqCst);
        let until = Instant::now() + PATIENCE;
        while self.gate.polls.load(Ordering::SeqCst) < before + POLLS {
            assert!(Instant::now() < until, "the watcher asks no more");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Approves a model and a policy on it; the policy.
    pub async fn approve(&self) -> B32 {
        self.approve_package([1; 32]).await.1
    }

    /// Approves the model of a package, over the shipped features, and a policy on it; both.
    pub async fn approve_package(&self, package: [u8; 32]) -> (B32, B32) {
        let commitment = commitment(package);
        let binding = ServiceBinding {
            schemaHash: B256::from(ModelPackage::default_model().schema().hash()),
            verifier: self.deployment.mandate_registry,
            proofLength: 32,
        };
        let hash = B256::repeat_byte(6);
        let evidence = Evidence { cardHash: hash, fidelityHash: hash, evaluationHash: hash };
        let text = || "text".to_owned();
        let change = ChangeControl { modification: text(), protocol: text(), impact: text() };
        let model = ids::model_id(&commitment);
        self.send(self.deployment.model_registry, approveModelCall { commitment, binding, evidence, change }).await;
        let terms = terms(model);
        self.send(self.deployment.policy_registry, approvePolicyCall { terms: terms.clone() }).await;
        (B32::new(model.0), B32::new(ids::policy_id(&terms).0))
    }

    /// Ends a model for good.
    pub async fn deprecate(&self, model: &B32) {
        let call = deprecateModelCall { modelId: U256::from_be_bytes(model.into_bytes()) };
        self.send(self.deployment.model_registry, call).await;
    }

    pub fn registries(&self) -> Registries {
        self.registries.clone()
    }

    pub async fn suspend(&self) -> u64 {
        self.suspend_model(&B32::new(self.model.0)).await
    }

    pub async fn suspend_model(&self, model: &B32) -> u64 {
        let call = suspendModelCall { modelId: B256::from(model.into_bytes()) };
        self.send(self.deployment.model_registry, call).await
    }

    pub async fn reinstate(&self) -> u64 {
        self.send(self.deployment.model_registry, reinstateModelCall { modelId: self.model }).await
    }

    /// Somebody consents to a policy.
    pub async fn grant(&self, policy: &B32) -> B32 {
        let key = MandateKey::fresh();
        let expires = now_s() + 90 * 86_400;
        let policy = B256::from(policy.into_bytes());
        let (mandate, signature) = key.grant(policy, Address::repeat_byte(7), expires, &self.deployment).unwrap();
        let call = grantCall { mandate: (&mandate).into(), signature: signature.to_vec().into() };
        self.send(self.deployment.mandate_registry, call).await;
        let id = B32::new(key.id().0);
        self.keys.lock().unwrap().push(key);
        id
    }

    pub async fn revoke(&self, mandate: &B32) -> u64 {
        let call = {
            let keys = self.keys.lock().unwrap();
            let key = keys.iter().find(|key| key.id().0 == mandate.into_bytes()).unwrap();
            let signature = key.revoke(&self.deployment).unwrap().to_vec().into();
            revokeCall { mandateId: key.id(), signature }
        };
        self.send(self.deployment.mandate_registry, call).await
    }

    /// The block that a transaction of the owner's came to stand in.
    async fn send(&self, to: Address, call: impl SolCall) -> u64 {
        let receipt = governance::send(&self.chain(), self.owner, call.abi_encode().into(), to, "a step").await;
        receipt.unwrap().block_number.unwrap()
    }

    pub async fn mine(&self, blocks: u64) {
        self.chain().provider.anvil_mine(Some(blocks), None).await.unwrap();
    }

    /// Mines at another time than before, so that the blocks are others.
    pub async fn mine_later(&self, blocks: u64) {
        self.chain().provider.anvil_increase_time(1_000).await.unwrap();
        self.mine(blocks).await;
    }

    pub async fn reorganise(&self, depth: u64) {
        let options = ReorgOptions { depth, tx_block_pairs: Vec::new() };
        self.chain().provider.anvil_reorg(options).await.unwrap();
    }

    pub async fn snapshot(&self) -> U256 {
        self.chain().provider.anvil_snapshot().await.unwrap()
    }

    pub async fn set_back(&self, snapshot: U256) {
        assert!(self.chain().provider.anvil_revert(snapshot).await.unwrap());
    }

    /// Ends the node and starts another one with its state.
    pub async fn restart_node(&self) {
        let state = self.chain().provider.anvil_dump_state_with_history().await.unwrap();
        let before = self.anvil.lock().unwrap().take().unwrap();
        before.stop().await;
        let anvil = Anvil::start(&support::tools(), &self.dir.path().join("again"), now_s()).await.unwrap();
        let chain = Chain::connect(anvil.url(), &[], PATIENCE).await.unwrap();
        assert!(chain.provider.anvil_load_state(state).await.unwrap());
        *self.gate.node.lock().unwrap() = anvil.url().to_owned();
        *self.chain.lock().unwrap() = chain;
        *self.anvil.lock().unwrap() = Some(anvil);
    }
}

fn commitment(package: [u8; 32]) -> ModelCommitment {
    ModelCommitment {
        modelHash: B256::from(package),
        circuitHash: B256::repeat_byte(2),
        vkHash: B256::repeat_byte(3),
        proofSystemId: ids::proof_system_id(ids::PROOF_SYSTEM),
        uri: "hygeia:model:test".to_owned(),
    }
}

fn terms(model: B256) -> PolicyTerms {
    PolicyTerms {
        modelId: model,
        threshold: I256::try_from(-1_024).unwrap(),
        careCode: keccak256("snomed:736366004"),
        benefit: 1,
        coolDownSeconds: 60,
        maxAttestationAgeSeconds: 60,
        fulfilWithinSeconds: 60,
        startsPerDayMax: 1,
        openMax: 1,
        arbiter: Address::ZERO,
        arbitrationSeconds: 0,
    }
}

/// The three registries with one account as owner and guardian; every other address is a stranger's.
async fn deploy(chain: &Chain, owner: Address) -> Deployment {
    let block = chain.head().await.unwrap();
    let provider = &chain.provider;
    let models = ModelRegistry::deploy_builder(provider, owner, owner).from(owner).deploy().await.unwrap();
    let policies = PolicyRegistry::deploy_builder(provider, owner, owner).from(owner).deploy().await.unwrap();
    let mandates = MandateRegistry::deploy_builder(provider).from(owner).deploy().await.unwrap();
    let nobody = Address::repeat_byte(9);
    Deployment {
        chain_id: chain.chain_id,
        block,
        token: nobody,
        governor: nobody,
        timelock: nobody,
        model_registry: models,
        inference_verifier: nobody,
        audit_ledger: nobody,
        policy_registry: policies,
        oracle_registry: nobody,
        mandate_registry: mandates,
        credential_registry: nobody,
        care_pool: nobody,
        care_coordinator: nobody,
        benefit_token: nobody,
        agents: None,
    }
}

async fn serve(gate: Arc<Gate>, stop: CancellationToken) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(pass)).with_state(gate);
    tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await });
    url
}

/// Passes a request on, and the answer back as the gate is told to.
async fn pass(State(gate): State<Arc<Gate>>, Json(mut request): Json<Value>) -> impl IntoResponse {
    let lie = *gate.lie.lock().unwrap();
    let is_newest = request["params"][0] == "latest" && request["method"] == "eth_getBlockByNumber";
    if is_newest {
        gate.polls.fetch_add(1, Ordering::SeqCst);
    }
    if lie == Lie::Silent {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let node = if lie == Lie::OtherNode { gate.other.clone() } else { gate.node.lock().unwrap().clone() };
    if let (Lie::HeadBehind(blocks), true) = (lie, is_newest) {
        let asked = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []});
        let head = ask(&gate.client, &node, &asked).await["result"].as_str().unwrap().to_owned();
        let head = u64::from_str_radix(head.trim_start_matches("0x"), 16).unwrap();
        request["params"][0] = format!("{:#x}", head - blocks).into();
    }
    let mut answer = ask(&gate.client, &node, &request).await;
    spoil(lie, request["method"].as_str().unwrap_or_default(), &mut answer["result"]);
    Ok(Json(answer))
}

async fn ask(client: &reqwest::Client, node: &str, request: &Value) -> Value {
    let answer = client.post(node).header("content-type", "application/json").body(request.to_string());
    let answer = answer.send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

fn spoil(lie: Lie, method: &str, result: &mut Value) {
    match (lie, method) {
        (Lie::LogsLeftOut, "eth_getBlockReceipts") => {
            for receipt in result.as_array_mut().into_iter().flatten() {
                receipt["logs"] = json!([]);
            }
        }
        (Lie::ReceiptsLeftOut, "eth_getBlockReceipts") => *result = json!([]),
        (Lie::FilterForged, "eth_getBlockByNumber" | "eth_getBlockByHash") if result.is_object() => {
            result["logsBloom"] = format!("0x{}", "0".repeat(512)).into();
        }
        _ => {}
    }
}
