//! Everything that leads to money, on a real broker and a real chain: payers beside each other, books that were damaged
//! and are set right, and a node that does not tell the truth.

#[path = "money/proxy.rs"]
mod proxy;
#[path = "money/scene.rs"]
mod scene;
mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::U256;
use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::signers::local::PrivateKeySigner;
use hygeia_node::bus::SlowQueue;
use hygeia_node::chain::ChainError;
use hygeia_node::chain::transaction::{Outcome, Payer, SettleError, Submissions, Triggers};
use hygeia_node::journal;
use hygeia_node::reconcile::Done;
use hygeia_protocol::bytes::{Address, B32};
use hygeia_protocol::journal::{Fact, JournalEntry};
use hygeia_protocol::message::{Message, Receipt, SettlementStatus};
use hygeia_protocol::subject::{self, Stream};
use hygeia_protocol::submission::{Submission, SubmissionConfig};
use proxy::{Lie, Proxy};
use scene::{CONFIRMATIONS, Scene, found};
use tokio_util::sync::CancellationToken;

const COIN: u64 = 1_000_000_000_000_000_000;

fn payer() -> PrivateKeySigner {
    PrivateKeySigner::random()
}

fn key_file(dir: &std::path::Path, name: &str, key: &PrivateKeySigner) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, hex::encode(key.to_bytes())).unwrap();
    path
}

async fn fund(scene: &Scene, key: &PrivateKeySigner, coins: u64) {
    let wei = U256::from(coins) * U256::from(COIN);
    scene.network.chain.provider.anvil_set_balance(key.address(), wei).await.unwrap();
}

async fn mine(scene: &Scene, blocks: u64) {
    scene.network.chain.provider.anvil_mine(Some(blocks), None).await.unwrap();
}

async fn facts(scene: &Scene) -> Vec<Fact> {
    let entries = journal::read_all(&scene.network.bus, Stream::Journal, 1).await.unwrap();
    entries.iter().map(|entry| JournalEntry::decode(&entry.payload).unwrap().fact).collect()
}

/// One payer has nothing to pay with: its receipt waits, the other's do not, and it goes on with the same payer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payer_that_is_stuck_holds_up_its_own_receipt_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let (rich, poor) = (payer(), payer());
    fund(&scene, &rich, 100).await;
    let receipts = [scene.receipt(1).await, scene.receipt(2).await, scene.receipt(3).await, scene.receipt(4).await];
    scene.publish(&receipts).await;
    scene.network.mine_by_interval().await.unwrap();
    let files = [key_file(dir.path(), "poor.key", &poor), key_file(dir.path(), "rich.key", &rich)];
    let steward = scene.steward(&[&files[0], &files[1]]);
    let settled = scene.wait_for_settlements(3).await;
    assert!(settled.iter().all(|settlement| settlement.status == SettlementStatus::Triggered));
    let done: BTreeSet<B32> = settled.iter().map(|settlement| settlement.receipt_id).collect();
    let stuck = receipts.iter().find(|receipt| !done.contains(&receipt.receipt_id)).expect("one cannot be paid for");

    // Killed and started again: the receipt stays with its payer, which can pay by now.
    steward.stop().await;
    fund(&scene, &poor, 100).await;
    let steward = scene.steward(&[&files[1], &files[0]]);
    let settled = scene.wait_for_settlements(4).await;
    steward.stop().await;
    assert_eq!(settled.len(), 4, "nothing twice");
    let submissions = Submissions::open(&scene.network.bus).await.unwrap();
    let stored = submissions.get(&stuck.receipt_id).await.unwrap().unwrap();
    assert_eq!(stored.payer, Address::new(poor.address().into_array()));
    let transaction = settled.iter().find(|s| s.receipt_id == stuck.receipt_id).unwrap().transaction;
    let sent = scene.network.chain.provider.get_transaction_receipt(transaction.into_bytes().into()).await.unwrap();
    assert_eq!(sent.unwrap().from, poor.address());

    // Every transaction that is on chain was in the journal before.
    let announced: BTreeSet<B32> = facts(&scene).await.iter().filter_map(submitted).collect();
    assert!(settled.iter().all(|settlement| announced.contains(&settlement.transaction)));
    assert_eq!(found(&scene.reconcile().await), []);
    scene.network.stop().await;
}

fn submitted(fact: &Fact) -> Option<B32> {
    match fact {
        Fact::TriggerSubmitted { transaction, .. } => Some(*transaction),
        _ => None,
    }
}

/// Two payers, killed again and again: each time as soon as the journal tells of something new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_wherever_it_stands_a_steward_settles_each_receipt_once() {
    const RECEIPTS: u8 = 3;
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let keys = [payer(), payer()];
    let mut files = Vec::new();
    for (key, name) in keys.iter().zip(["one.key", "two.key"]) {
        fund(&scene, key, 100).await;
        files.push(key_file(dir.path(), name, key));
    }
    let mut receipts = Vec::new();
    for n in 1..=RECEIPTS {
        receipts.push(scene.receipt(n).await);
    }
    scene.publish(&receipts).await;
    scene.network.mine_by_interval().await.unwrap();
    let mut kills = 0;
    loop {
        let (told, _) = scene.network.bus.stream_state(Stream::Journal).await.unwrap();
        let mut steward = scene.steward_process(&[&files[0], &files[1]]);
        let settled = scene.wait_for_news(told).await;
        steward.kill().await.unwrap();
        kills += 1;
        if settled >= usize::from(RECEIPTS) {
            break;
        }
        assert!(kills < 60, "it never comes to an end: {settled} settled");
    }
    let steward = scene.steward(&[&files[0], &files[1]]);
    scene.wait_until_the_queue_is_done().await;
    steward.stop().await;
    assert!(kills >= 3, "{kills} kills say little");

    let settled = scene.settlements().await;
    assert!(settled.iter().all(|settlement| settlement.status == SettlementStatus::Triggered));
    let transactions: BTreeSet<B32> = settled.iter().map(|settlement| settlement.transaction).collect();
    let of: BTreeSet<B32> = settled.iter().map(|settlement| settlement.receipt_id).collect();
    assert_eq!((settled.len(), transactions.len(), of.len()), (3, 3, 3), "each once");
    let announced: BTreeSet<B32> = facts(&scene).await.iter().filter_map(submitted).collect();
    assert!(transactions.is_subset(&announced), "no transaction that was not announced");
    assert!(journal::verify(&scene.network.bus).await.unwrap().iter().all(|walked| walked.outcome.is_ok()));
    let report = scene.reconcile().await;
    assert_eq!((found(&report), report.triggers), (vec![], 3));
    // No nonce was left out and none was spent on anything else.
    let mut spent = 0;
    for key in &keys {
        spent += self::transactions(&scene, key).await;
    }
    assert_eq!(spent, 3);
    scene.network.stop().await;
}

/// A steward without the key of a receipt's payer leaves the receipt to one that has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_stewards_one_writes() {
    let dir = tempfile::tempdir().unwrap();
    let tools = support::tools();
    let nats = hygeia_node::demo::processes::NatsServer::start(&tools, dir.path()).await.unwrap();
    let bus = hygeia_node::bus::Bus::connect(nats.url(), Duration::from_secs(5)).await.unwrap();
    let submissions = Submissions::open(&bus).await.unwrap();
    let (id, account) = (B32::new([1; 32]), Address::new([2; 20]));
    let fresh = || Submission::new(SubmissionConfig::default(), id);
    let mut first = submissions.get_or(&id, account, fresh()).await.unwrap();
    let mut second = submissions.get_or(&id, Address::new([3; 20]), fresh()).await.unwrap();
    submissions.put(&mut first).await.unwrap();
    assert!(matches!(submissions.put(&mut second).await, Err(SettleError::Taken)), "it read before the other wrote");
    submissions.put(&mut first).await.expect("it knows what it wrote");
    let mut again = submissions.get(&id).await.unwrap().expect("it is stored");
    assert_eq!(again.payer, account);
    submissions.put(&mut again).await.expect("it read after");
    assert!(matches!(submissions.put(&mut first).await, Err(SettleError::Taken)));
    nats.stop().await;
}

/// A settlement that was deleted, a receipt that nobody works on, a trigger that a deep re-org took out: each is found
/// and set right, and then there is nothing to find.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_books_are_set_right() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let key = payer();
    fund(&scene, &key, 100).await;
    let file = key_file(dir.path(), "steward.pay", &key);
    let receipts = [scene.receipt(1).await, scene.receipt(2).await];
    scene.publish(&receipts).await;
    scene.network.mine_by_interval().await.unwrap();
    let steward = scene.steward(&[&file]);
    scene.wait_for_settlements(2).await;
    steward.stop().await;
    assert_eq!(found(&scene.reconcile().await), [], "nothing is damaged yet");

    a_deleted_settlement(&scene).await;
    a_forgotten_receipt(&mut scene, &file).await;
    a_deep_reorg(&mut scene, &file).await;
    a_cut_journal(&scene).await;
    scene.network.stop().await;
}

async fn a_deleted_settlement(scene: &Scene) {
    let before = scene.settlements().await;
    let jetstream = async_nats::jetstream::new(scene.network.bus.client().clone());
    let stream = jetstream.get_stream(Stream::Settlements.name()).await.unwrap();
    stream.delete_message(1).await.unwrap();
    let report = scene.reconcile().await;
    assert_eq!(found(&report), [("settlement_missing", before[0].receipt_id.to_hex())]);
    assert_eq!(report.findings[0].done, Done::Repaired);
    let after = scene.settlements().await;
    let repaired =
        after.iter().find(|settlement| settlement.receipt_id == before[0].receipt_id).expect("it stands again");
    let expected = hygeia_protocol::message::Settlement { settled_at_ms: repaired.settled_at_ms, ..before[0].clone() };
    assert_eq!(*repaired, expected, "as the steward had written it");
    assert_eq!(found(&scene.reconcile().await), []);
}

/// Taken off the queue by a worker that did nothing, its submission purged.
async fn a_forgotten_receipt(scene: &mut Scene, file: &std::path::Path) {
    let receipt = scene.receipt(3).await;
    scene.publish(std::slice::from_ref(&receipt)).await;
    let queue = SlowQueue::open(&scene.network.bus, Stream::Receipts, subject::RECEIPT.to_owned(), "steward").await;
    let stop = CancellationToken::new();
    let (taken, job) = queue.unwrap().next_of::<Receipt>(&stop).await.unwrap().unwrap();
    assert_eq!(taken, receipt);
    assert_eq!(found(&scene.reconcile().await), [], "a steward has it in hand");
    job.done().await.unwrap();
    let report = scene.reconcile().await;
    assert_eq!(found(&report), [("receipt_forgotten", receipt.receipt_id.to_hex())]);
    assert_eq!(found(&scene.reconcile().await), [], "it waits for a steward");
    let steward = scene.steward(&[file]);
    let settled = scene.wait(|all| all.iter().any(|settlement| settlement.receipt_id == receipt.receipt_id)).await;
    steward.stop().await;
    assert!(settled.iter().all(|settlement| settlement.status == SettlementStatus::Triggered));
    assert_eq!(found(&scene.reconcile().await), []);
}

async fn a_deep_reorg(scene: &mut Scene, file: &std::path::Path) {
    let receipt = scene.receipt(4).await;
    let provider = scene.network.chain.provider.clone();
    provider.anvil_set_interval_mining(0).await.unwrap();
    let snapshot = provider.anvil_snapshot().await.unwrap();
    provider.anvil_set_interval_mining(1).await.unwrap();
    scene.publish(std::slice::from_ref(&receipt)).await;
    let of_receipt = |all: &[hygeia_protocol::message::Settlement]| {
        all.iter().filter(|settlement| settlement.receipt_id == receipt.receipt_id).count()
    };
    let steward = scene.steward(&[file]);
    scene.wait(|all| of_receipt(all) == 1).await;
    steward.stop().await;
    mine(scene, 10).await;
    assert_eq!(found(&scene.reconcile().await), []);

    provider.anvil_set_interval_mining(0).await.unwrap();
    assert!(provider.anvil_revert(snapshot).await.unwrap(), "ten blocks and more are taken out");
    let behind = scene.reconcile().await;
    assert_eq!((found(&behind), behind.undecided), (vec![], 1), "the new branch is too short to judge by");
    mine(scene, 30).await;
    let report = scene.reconcile().await;
    assert_eq!(found(&report), [("settlement_unfounded", receipt.receipt_id.to_hex())]);
    assert_eq!(report.findings[0].done, Done::Repaired);
    assert_eq!(found(&scene.reconcile().await), [], "a steward is to bring it to the chain again");

    provider.anvil_set_interval_mining(1).await.unwrap();
    let steward = scene.steward(&[file]);
    let submissions = Submissions::open(&scene.network.bus).await.unwrap();
    let ended = async {
        while submissions.get(&receipt.receipt_id).await.unwrap().is_none_or(|stored| stored.machine.end().is_none()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it is brought to the chain again");
    scene.wait_until_the_queue_is_done().await;
    steward.stop().await;
    let report = scene.reconcile().await;
    assert_eq!((found(&report), report.undecided), (vec![], 0));
    assert_eq!(report.triggers, 4, "four patients, four triggers");
}

async fn a_cut_journal(scene: &Scene) {
    let bus = &scene.network.bus;
    assert_eq!(said_by(scene, &["journal", "verify"]).await.0, Some(0), "every chain holds");
    assert!(journal::verify(bus).await.unwrap().iter().all(|walked| walked.outcome.is_ok()));
    let jetstream = async_nats::jetstream::new(bus.client().clone());
    let stream = jetstream.get_stream(Stream::Journal.name()).await.unwrap();
    let entries = journal::read_all(bus, Stream::Journal, 1).await.unwrap();
    let made = entries
        .iter()
        .find(|entry| matches!(JournalEntry::decode(&entry.payload).unwrap().fact, Fact::ReceiptMade { .. }));
    stream.delete_message(made.unwrap().sequence).await.unwrap();
    let look = ["reconcile", "--look", "--json", "--grace-s", "0"];
    for _ in 0..2 {
        let (code, said) = said_by(scene, &look).await;
        assert!(said.contains(r#""kind":"journal_gap""#) && said.contains(r#""done":"left""#), "{said}");
        assert_eq!(code, Some(1), "who only looks leaves it, and says so");
    }
    let report = scene.reconcile().await;
    assert_eq!(found(&report).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["journal_gap"]);
    assert_eq!(found(&scene.reconcile().await), [], "it is noted that it was missing");
    let broken = journal::verify(bus).await.unwrap().into_iter().filter(|walked| walked.outcome.is_err());
    assert_eq!(broken.map(|walked| walked.chain).collect::<Vec<_>>(), ["prover"], "and the chain stays broken");
    let (code, said) = said_by(scene, &["journal", "verify"]).await;
    assert!(said.contains("BROKEN the entry at 0 says that it stands at 1"), "{said}");
    assert_eq!((code, said_by(scene, &look).await.0), (Some(1), Some(0)));
}

/// Exit code and output of a command about this network.
async fn said_by(scene: &Scene, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_hygeia"));
    command.args(arguments).args(["--nats", scene.network.nats.url(), "--chain", scene.network.anvil.url()]);
    let output = command.arg("--deployment").arg(scene.network.deployment_file()).output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// What a node says that is late, behind, ahead or untrue never becomes an outcome; when it tells the truth again, the
/// receipt is settled once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lies_settles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let key = payer();
    fund(&scene, &key, 100).await;
    let proxy = Proxy::before(scene.network.anvil.url()).await;
    let triggers = scene.triggers(scene.chain(&proxy.url).await, CONFIRMATIONS).await;
    let payer = Payer::new(key.clone(), 1_000.try_into().unwrap());

    let receipt = scene.receipt(1).await;
    for lie in [Lie::OtherChain, Lie::Noise] {
        proxy.does(lie);
        let error = triggers.settle(&receipt, &payer).await.expect_err("it names another chain, or nothing");
        assert!(matches!(error, SettleError::Chain(_)), "{lie:?}: {error}");
        assert_eq!(transactions(&scene, &key).await, 0, "{lie:?}: nothing is sent");
    }
    // A transaction that is thrown away is sent again and lands once.
    proxy.does(Lie::ThrowsAway);
    let unheard = tokio::time::timeout(Duration::from_secs(3), triggers.settle(&receipt, &payer)).await;
    assert!(unheard.is_err(), "it waits for a receipt that never comes");
    assert_eq!(transactions(&scene, &key).await, 0);

    // It lands now, and what is said of it is not true.
    proxy.does(Lie::Behind(1_000_000));
    let early = tokio::time::timeout(Duration::from_secs(3), triggers.settle(&receipt, &payer)).await;
    assert!(early.is_err(), "by its head nothing is final");
    assert_eq!(transactions(&scene, &key).await, 1);
    for lie in [Lie::TurnedStatus, Lie::OtherReceiver, Lie::NoEvents, Lie::AheadOfItself] {
        proxy.does(lie);
        let error = within_seconds(&triggers, &receipt, &payer).await.expect_err("it contradicts itself");
        assert!(matches!(error, SettleError::Chain(ChainError::Contradiction { .. })), "{lie:?}: {error}");
        assert_eq!(transactions(&scene, &key).await, 1, "{lie:?}: nothing is sent a second time");
    }
    mine(&scene, CONFIRMATIONS).await;
    proxy.does(Lie::OtherParents);
    let error = within_seconds(&triggers, &receipt, &payer).await.expect_err("its blocks are no chain");
    assert!(matches!(error, SettleError::Chain(ChainError::Contradiction { .. })), "{error}");
    proxy.does(Lie::Honest);
    let outcome = within_seconds(&triggers, &receipt, &payer).await.unwrap();
    assert!(matches!(outcome, Outcome::Triggered { .. }), "{outcome:?}");
    assert_eq!(transactions(&scene, &key).await, 1);
    scene.network.stop().await;
}

/// Long enough for an answer of any kind.
async fn within_seconds(triggers: &Triggers, receipt: &Receipt, payer: &Payer) -> Result<Outcome, SettleError> {
    let settling = triggers.settle(receipt, payer);
    tokio::time::timeout(Duration::from_secs(30), settling).await.expect("it comes to an answer")
}

async fn transactions(scene: &Scene, key: &PrivateKeySigner) -> u64 {
    scene.network.chain.provider.get_transaction_count(key.address()).await.unwrap()
}

/// A node that does not answer in its time is one that does not answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_node_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let tools = support::tools();
    let anvil = hygeia_node::demo::processes::Anvil::start(&tools, dir.path(), 1_700_000_000).await.unwrap();
    let proxy = Proxy::before(anvil.url()).await;
    let chain = hygeia_node::chain::Chain::connect(&proxy.url, &[], Duration::from_secs(5)).await.unwrap();
    chain.head().await.expect("it answers while it is not late");
    proxy.does(Lie::Late(Duration::from_secs(3_600)));
    let asked = tokio::time::timeout(Duration::from_secs(60), chain.head()).await.expect("it is not waited for");
    assert!(matches!(asked, Err(ChainError::Call { .. })));
    proxy.does(Lie::Honest);
    chain.head().await.expect("and asked again");
    anvil.stop().await;
}
