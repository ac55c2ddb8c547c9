//! Every scored window ends up under exactly one root, whatever happens to the prover; alerts do not wait for audits; the
//! contract takes the proof and none of its tampered twins.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, Bytes};
use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use hygeia_node::bus::{Bus, Lookup, OrderedReader};
use hygeia_node::chain::{Chain, deploy, governance};
use hygeia_node::cli::Role;
use hygeia_node::demo::network::Network;
use hygeia_node::demo::processes::Anvil;
use hygeia_node::demo::{replay, stays};
use hygeia_node::roles::prover::audit::collect;
use hygeia_node::verify::{Verdict, verify_audit_offline};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{
    Alert, AttestedWindow, AuditOrder, AuditedBatch, DeadLetter, HexBytes, Message, ProofMode, ProofRequest, Receipt,
    ScoredWindow, V1, WindowReceipt, WindowToAudit,
};
use hygeia_protocol::subject::{self, Partition, Stream};
use hygeia_zkml::audit::AuditVerifyingKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Below every score: the policy of this test applies to any window, though alerts are not what it is about.
const THRESHOLD: i64 = -1_000_000;
/// Real stays replayed, and their hours: more windows than one batch holds.
const STAYS: usize = 4;
const HOURS: u32 = 40;
/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// What the prover says when a proof begins.
const PROVING: &str = "proving an audit";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_window_is_proved_once_although_the_prover_is_stopped_and_killed_while_it_proves() {
    let dir = tempfile::tempdir().unwrap();
    let tools = support::tools();
    let arguments = ["--audit-windows", "64", "--audit-wait-s", "3600"];
    let mut network = support::network_with(&tools, dir.path(), Some(THRESHOLD), &arguments).await;
    score_real_stays(&mut network).await;
    let lines: Vec<ScoredWindow> = messages(&network.bus, Stream::Ledger).await;
    let model = lines[0].model;

    // Asked to end in the middle of a proof, it ends: nobody waits for the proof.
    network.start_role(Role::Prover).unwrap();
    wait_for(&network, "the first proof to begin", async |network| begun(network) >= 1).await;
    assert!(network.stop_role(Role::Prover).await, "the prover ends by itself while it proves");
    assert_eq!(batches(&network).await, [], "and leaves nothing half done");

    // Killed in the middle of a proof.
    network.start_role(Role::Prover).unwrap();
    wait_for(&network, "the second proof to begin", async |network| begun(network) >= 2).await;
    network.kill_role(Role::Prover).await;
    assert_eq!(batches(&network).await, [], "it was killed before it was done");
    let mut refused = BTreeMap::from([forge_an_order(&network, model).await]);

    // An alert that comes while it proves is proved first.
    network.start_role(Role::Prover).unwrap();
    wait_for(&network, "the third proof to begin", async |network| begun(network) >= 3).await;
    let alert = request_a_proof(&network, &lines[0]).await;
    wait_for(&network, "the alert's proof", async |network| {
        messages::<Receipt>(&network.bus, Stream::Receipts).await.iter().any(|receipt| receipt.alert_id == alert)
    })
    .await;
    assert_eq!(batches(&network).await, [], "the audit goes on while the alert is proved");

    // Two lines that nothing stands behind are left out, and hold up nobody.
    refused.extend(forge_lines(&network, &lines[0]).await);
    collect::flush(&network.bus, &model).await.unwrap();
    wait_for(&network, "every window's proof", async |network| {
        batches(network).await.iter().map(|batch| batch.count as usize).sum::<usize>() >= lines.len()
    })
    .await;
    check_that_each_window_is_under_one_root(&network, &lines).await;
    let letters: Vec<DeadLetter> = messages(&network.bus, Stream::DeadLetters).await;
    let letters: BTreeMap<B32, String> = letters.into_iter().map(|letter| (letter.digest, letter.reason)).collect();
    assert_eq!(letters, refused);
    check_offline(&network).await;
    network.stop().await;
}

/// Replays with everything but the prover running, until every window is in the ledger; then only broker and chain run.
async fn score_real_stays(network: &mut Network) {
    let stays = stays::read(&support::tools().stays(), STAYS, HOURS).unwrap();
    let run = network.run_tag();
    for stay in &stays {
        network.enrol(replay::pseudonym(stay, &run).unwrap()).await.unwrap();
    }
    network.mine_by_interval().await.unwrap();
    for role in [Role::Oracle, Role::Sentinel] {
        network.start_role(role).unwrap();
    }
    let (progress, _watched) = watch::channel(replay::Progress::default());
    let stop = CancellationToken::new();
    replay::replay(&network.bus, &network.partitioner, &stays, &run, 1e6, &progress, &stop).await.unwrap();
    // The replay's end closes the last windows; the oracle is at rest when nothing more comes.
    let mut last = (Instant::now(), 0);
    wait_for(network, "the ledger", async |network| {
        let (windows, _) = network.bus.stream_state(Stream::Windows).await.unwrap();
        let (scored, _) = network.bus.stream_state(Stream::Ledger).await.unwrap();
        if windows != last.1 {
            last = (Instant::now(), windows);
        }
        windows > 120 && scored == windows && last.0.elapsed() > Duration::from_secs(2)
    })
    .await;
    for role in [Role::Oracle, Role::Sentinel] {
        network.kill_role(role).await;
    }
}

/// How many proofs of audits have begun.
fn begun(network: &Network) -> usize {
    let log = std::fs::read_to_string(network.log_of(Role::Prover)).unwrap_or_default();
    log.matches(PROVING).count()
}

/// Asks for the proof of an alert, as the sentinel does; the alert's id.
async fn request_a_proof(network: &Network, line: &ScoredWindow) -> B32 {
    let windows = Lookup::open(&network.bus, Stream::Windows).await.unwrap();
    let entry = windows.at(line.window_sequence).await.unwrap().expect("the ledger says where the window stands");
    let window = AttestedWindow::decode(&entry.payload).unwrap();
    assert_eq!(window.window_id, line.window_id);
    let policy = B32::new(network.policy_id.0);
    let request = ProofRequest {
        v: V1,
        // Another one than that of the sentinel's own alert, which waits for its proof too.
        alert_id: Alert::id(&window.window_id, &B32::new([1; 32]), &line.model),
        window,
        policy,
        model: line.model,
        score: line.score,
        requested_at_ms: 0,
        mode: ProofMode::Alert,
    };
    let (subject, id) = (subject::PROVE_REQUEST.to_owned(), request.message_id());
    network.bus.publish(Stream::ProofRequests, subject, &id, request.encode()).await.unwrap();
    request.alert_id
}

/// Puts an order into the queue whose batch is not that of its windows, and which claims the whole ledger. What it must
/// be refused for.
async fn forge_an_order(network: &Network, model: B32) -> (B32, String) {
    let window = WindowToAudit { window_id: B32::new([9; 32]), sequence: 1, score: 0 };
    let honest = AuditOrder::new(model, vec![window], u64::MAX);
    let order = AuditOrder { batch_id: B32::new([3; 32]), ..honest };
    let (subject, id) = (subject::audit_order(&model), order.message_id());
    network.bus.publish(Stream::AuditOrders, subject, &id, order.encode()).await.unwrap();
    (order.batch_id, "audit_inconsistent".to_owned())
}

/// Writes two lines into the ledger: of a window that stands elsewhere, and of a score that no network gave. What they
/// must be refused for.
async fn forge_lines(network: &Network, line: &ScoredWindow) -> BTreeMap<B32, String> {
    let windows = Lookup::open(&network.bus, Stream::Windows).await.unwrap();
    let entry = windows.at(line.window_sequence).await.unwrap().unwrap();
    let (other, twin) = (B32::new([1; 32]), B32::new([2; 32]));
    let window = AttestedWindow { window_id: twin, ..AttestedWindow::decode(&entry.payload).unwrap() };
    let publish = async |stream, subject, id: String, payload| {
        network.bus.publish(stream, subject, &id, payload).await.unwrap();
    };
    publish(Stream::Windows, subject::window(Partition(0)), window.message_id(), window.encode()).await;
    let (_, window_sequence) = network.bus.stream_state(Stream::Windows).await.unwrap();
    for line in [
        ScoredWindow { window_id: other, ..line.clone() },
        ScoredWindow { window_id: twin, window_sequence, score: line.score + 1, ..line.clone() },
    ] {
        publish(Stream::Ledger, subject::ledger(Partition(0)), line.message_id(), line.encode()).await;
    }
    [(other, "audit_other_message".to_owned()), (twin, "audit_wrong_score".to_owned())].into()
}

async fn check_that_each_window_is_under_one_root(network: &Network, lines: &[ScoredWindow]) {
    let mut orders: Vec<AuditOrder> = messages(&network.bus, Stream::AuditOrders).await;
    orders.retain(AuditOrder::is_consistent);
    let proved = batches(network).await;
    assert!(proved.len() > 1, "the windows fill more than one batch");
    let ids = |of: Vec<B32>| of.into_iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(
        (proved.len(), ids(proved.iter().map(|batch| batch.batch_id).collect())),
        (orders.len(), ids(orders.iter().map(|order| order.batch_id).collect())),
        "each order is proved, once"
    );
    let counted: usize = proved.iter().map(|batch| batch.count as usize).sum();
    assert_eq!(counted, lines.len(), "no window is counted twice");

    let receipts: Vec<WindowReceipt> = messages(&network.bus, Stream::Audits).await;
    assert_eq!(receipts.len(), lines.len(), "one receipt for each window");
    let receipts: BTreeMap<B32, WindowReceipt> = receipts.into_iter().map(|r| (r.window_id, r)).collect();
    for line in lines {
        let receipt = &receipts[&line.window_id];
        assert_eq!((receipt.inclusion.commitment, receipt.inclusion.score), (line.commitment, line.score));
        let batch = proved.iter().find(|batch| batch.batch_id == receipt.batch_id).unwrap();
        assert_eq!(receipt.inclusion.root, batch.root);
    }
}

/// What `hygeia verify` says of a patient's receipt, and of its tampered twins.
async fn check_offline(network: &Network) {
    let batch = batches(network).await.remove(0);
    let receipts: Vec<WindowReceipt> = messages(&network.bus, Stream::Audits).await;
    let of_batch = |receipt: &&WindowReceipt| receipt.batch_id == batch.batch_id;
    let receipt = receipts.iter().find(of_batch).unwrap().clone();
    let key = support::keys_dir().join(format!("{}-development-insecure.audit.vk", batch.circuit.to_hex()));
    let key = AuditVerifyingKey::load(&key).unwrap();
    let failed = |receipt: &WindowReceipt, batch: &AuditedBatch| {
        let mut verdict = Verdict::default();
        verify_audit_offline(receipt, batch, &key, &mut verdict);
        verdict.failed
    };
    assert_eq!(failed(&receipt, &batch), 0);
    let mut twin = receipt.clone();
    twin.inclusion.score += 1;
    assert_eq!(failed(&twin, &batch), 1, "another score is not under the root");
    let neighbour = receipts.iter().filter(of_batch).nth(1).unwrap();
    let mut twin = receipt.clone();
    twin.inclusion.path = neighbour.inclusion.path.clone();
    assert_eq!(failed(&twin, &batch), 1, "a neighbour's path leads elsewhere");
    let other = receipts.iter().find(|receipt| receipt.batch_id != batch.batch_id).unwrap();
    assert_eq!(failed(other, &batch), 2, "a receipt of another batch names another, and is not under this root");
    assert_eq!(failed(&receipt, &AuditedBatch { count: batch.count - 1, ..batch.clone() }), 2, "another count");
    let mut proof = batch.proof.as_slice().to_vec();
    proof[100] ^= 1;
    assert_eq!(failed(&receipt, &AuditedBatch { proof: HexBytes::new(proof), ..batch.clone() }), 1, "one bit of it");
    assert_eq!(failed(&receipt, &AuditedBatch { circuit: B32::new([1; 32]), ..batch }), 1, "another circuit's name");
}

/// The committed sample proof against the committed contract on a real chain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_accepts_the_proof_and_refuses_each_tampered_twin() {
    let dir = tempfile::tempdir().unwrap();
    let anvil = Anvil::start(&support::tools(), dir.path(), 1_700_000_000).await.unwrap();
    let signer = PrivateKeySigner::random();
    let chain = Chain::connect(anvil.url(), std::slice::from_ref(&signer), Duration::from_secs(10)).await.unwrap();
    let coins = alloy::primitives::U256::from(10).pow(alloy::primitives::U256::from(20));
    chain.provider.anvil_set_balance(signer.address(), coins).await.unwrap();
    let verifier = deploy::deploy_audit_verifier(&chain, signer.address()).await.unwrap();

    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/generated/audit-proof.json");
    let sample: serde_json::Value = serde_json::from_slice(&std::fs::read(sample).unwrap()).unwrap();
    let bytes = |field: &str| hex::decode(sample[field].as_str().unwrap().trim_start_matches("0x")).unwrap();
    let count = sample["count"].as_u64().unwrap();
    let mut honest = bytes("root");
    honest.extend([0; 24]);
    honest.extend(count.to_be_bytes());
    honest.extend(bytes("proof"));

    let mined = governance::send(&chain, signer.address(), honest.clone().into(), verifier, "verifying").await.unwrap();
    assert!((300_000..520_000).contains(&mined.gas_used), "{} gas", mined.gas_used);
    assert!(accepts(&chain, verifier, &honest).await);
    for (place, what) in [(31, "root"), (0, "root"), (63, "count"), (64, "proof"), (2_000, "proof")] {
        let mut twin = honest.clone();
        twin[place] ^= 1;
        assert!(!accepts(&chain, verifier, &twin).await, "byte {place}, in the {what}");
    }
    assert!(!accepts(&chain, verifier, &honest[..honest.len() - 1]).await, "a byte is missing");
    assert!(!accepts(&chain, verifier, &[]).await, "nothing at all");
    // What the contract leaves to whoever calls it: the length.
    let mut longer = honest.clone();
    longer.push(0);
    assert!(accepts(&chain, verifier, &longer).await, "a trailing byte is the caller's to refuse");
    anvil.stop().await;
}

async fn accepts(chain: &Chain, verifier: Address, data: &[u8]) -> bool {
    let request = TransactionRequest::default().with_to(verifier).with_input(Bytes::from(data.to_vec()));
    chain.provider.call(request).await.is_ok()
}

async fn wait_for(network: &Network, what: &str, mut holds: impl AsyncFnMut(&Network) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds(network).await {
        assert!(Instant::now() < until, "no {what} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn batches(network: &Network) -> Vec<AuditedBatch> {
    messages(&network.bus, Stream::Audits).await
}

/// The messages of one type in a stream, which may hold others too.
async fn messages<T: Message>(bus: &Bus, stream: Stream) -> Vec<T> {
    let (_, last) = bus.stream_state(stream).await.unwrap();
    let mut found = Vec::new();
    if last == 0 {
        return found;
    }
    let mut reader = OrderedReader::open(bus, stream, Vec::new(), 1).await.unwrap();
    loop {
        let entry = reader.next().await.unwrap();
        found.extend(T::decode(&entry.payload));
        if entry.sequence >= last {
            return found;
        }
    }
}
