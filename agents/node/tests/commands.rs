//! All roles in one process, and what people do with what comes out: verify a receipt, explain an alert.

mod support;

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use hygeia_node::bus::{Bus, OrderedReader};
use hygeia_node::demo::network::Network;
use hygeia_node::demo::{replay, stays};
use hygeia_protocol::message::{Message, Receipt, Settlement, SettlementStatus};
use hygeia_protocol::subject::Stream;
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Below every score: the first window alerts.
const THRESHOLD: i64 = -1_000_000;
/// How long the first settlement may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn hygeia(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hygeia")).args(arguments).output().await.unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_can_be_verified_and_its_alert_explained() {
    let dir = tempfile::tempdir().unwrap();
    let tools = support::tools();
    let mut network = support::network(&tools, dir.path(), Some(THRESHOLD)).await;
    let stays = stays::read(&tools.stays(), 1, 6).unwrap();
    let run = network.run_tag();
    network.enrol(replay::pseudonym(&stays[0], &run).unwrap()).await.unwrap();
    network.mine_by_interval().await.unwrap();
    network.start_together().unwrap();
    let (progress, _watched) = watch::channel(replay::Progress::default());
    let stop = CancellationToken::new();
    replay::replay(&network.bus, &network.partitioner, &stays, &run, 1e6, &progress, &stop).await.unwrap();

    let settlement: Settlement = first(&network.bus, Stream::Settlements).await;
    assert_eq!(settlement.status, SettlementStatus::Triggered, "{:?}", settlement.reason);
    let receipt: Receipt = first(&network.bus, Stream::Receipts).await;
    let file = dir.path().join("receipt.json");
    std::fs::write(&file, receipt.encode()).unwrap();
    let forged = dir.path().join("forged.json");
    std::fs::write(&forged, Receipt { score: receipt.score + 1, ..receipt.clone() }.encode()).unwrap();

    let keys = dir.path().join("keys");
    let deployment = network.deployment_file();
    let chain = ["--chain", network.anvil.url(), "--deployment", text(&deployment)];
    let verify = |file: &Path| {
        let offline = ["verify".to_owned(), text(file).to_owned(), "--keys-dir".to_owned(), text(&keys).to_owned()];
        let arguments: Vec<String> = offline.into_iter().chain(chain.map(str::to_owned)).collect();
        async move { hygeia(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let honest = verify(&file).await;
    assert!(honest.status.success(), "{}", printed(&honest));
    assert!(printed(&honest).contains("[ok] the chain's verifier accepts the proof"), "{}", printed(&honest));
    let tampered = verify(&forged).await;
    assert!(!tampered.status.success(), "a forged receipt must not hold");
    assert_eq!(printed(&tampered).matches("[NO]").count(), 2, "offline and on chain: {}", printed(&tampered));

    let explained = hygeia(&["explain", &receipt.alert_id.to_hex()[..10], "--nats", network.nats.url()]).await;
    let story = printed(&explained);
    let transaction = settlement.transaction.to_hex();
    let parts = ["What moved the score", "Policy", "Model", "care triggered", &receipt.policy.to_hex(), &transaction];
    for part in parts {
        assert!(story.contains(part), "{part:?} is missing in {story}");
    }
    let unknown = hygeia(&["explain", "ffffffffffffffff", "--nats", network.nats.url()]).await;
    assert!(!unknown.status.success(), "an alert that is not there is an error");

    let bundle = dir.path().join("alert.bundle");
    replay_and_export(&network, &receipt, dir.path(), &bundle).await;
    network.stop().await;
    let alone = hygeia(&["replay", "--bundle", text(&bundle)]).await;
    assert!(
        printed(&alone).contains("reproduced, bit for bit"),
        "with nothing left of the network: {}",
        printed(&alone)
    );
}

/// Every step of an alert's replay comes out the same, from the patient's observations to the proof.
async fn replay_and_export(network: &Network, receipt: &Receipt, dir: &Path, bundle: &Path) {
    let (keys, deployment) = (dir.join("keys"), network.deployment_file());
    let (network_key, id) = (dir.join("network.key"), receipt.alert_id.to_hex());
    let asked = ["replay", &id[..10], "--nats", network.nats.url(), "--keys-dir", text(&keys)];
    let chain = ["--chain", network.anvil.url(), "--deployment", text(&deployment)];
    let hospital = ["--with-observations", "--network-key-file", text(&network_key), "--export", text(bundle)];
    let replayed = hygeia(&[asked.as_slice(), &chain, &hospital].concat()).await;
    let report = printed(&replayed);
    assert!(replayed.status.success(), "{report}{}", String::from_utf8_lossy(&replayed.stderr));
    assert!(report.contains("The alert is reproduced, bit for bit."), "{report}");
    let outside = hygeia(&[asked.as_slice(), &["--deployment", text(&deployment)]].concat()).await;
    assert!(outside.status.success() && printed(&outside).contains("3 could not"), "{}", printed(&outside));
}

async fn first<T: Message>(bus: &Bus, stream: Stream) -> T {
    let until = Instant::now() + PATIENCE;
    let mut reader = OrderedReader::open(bus, stream, Vec::new(), 1).await.unwrap();
    loop {
        match reader.next_within(Duration::from_secs(1)).await.unwrap() {
            Some(entry) => return T::decode(&entry.payload).unwrap(),
            None => assert!(Instant::now() < until, "nothing in {} after {PATIENCE:?}", stream.name()),
        }
    }
}
