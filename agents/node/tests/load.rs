//! `hygeia load` against a real broker and a real chain, and the roles that must make of it what it expects.

mod support;

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use alloy::signers::local::PrivateKeySigner;
use hygeia_node::bus::OrderedReader;
use hygeia_node::chain::Chain;
use hygeia_node::chain::deploy::{self, Founding};
use hygeia_node::cli::Role;
use hygeia_node::demo::network::Network;
use hygeia_node::demo::processes::Anvil;
use hygeia_protocol::message::{DeadLetter, Message};
use hygeia_protocol::subject::Stream;
use serde_json::{Value, json};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a load and waits for its end.
async fn load(nats: &str, chain: &str, deployment: &Path, dir: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hygeia"));
    command.args(["load", "--json", "--nats", nats, "--chain", chain, "--patience-s", "5"]);
    command.arg("--deployment").arg(deployment);
    command.arg("--network-key-file").arg(dir.join("network.key"));
    command.arg("--signer-key-file").arg(dir.join("payer.key")).args(more);
    command.output().await.unwrap()
}

fn write_payer(dir: &Path, payer: &PrivateKeySigner) {
    std::fs::write(dir.join("payer.key"), hex::encode(payer.to_bytes())).unwrap();
}

/// Reads the dead letters until there are as many as expected; their reasons.
async fn dead_letters(network: &Network, count: u64) -> Value {
    let until = Instant::now() + PATIENCE;
    let mut reader = OrderedReader::open(&network.bus, Stream::DeadLetters, Vec::new(), 1).await.unwrap();
    let mut reasons = std::collections::BTreeMap::<String, u64>::new();
    while reasons.values().sum::<u64>() < count && Instant::now() < until {
        if let Some(entry) = reader.next_within(Duration::from_millis(200)).await.unwrap() {
            *reasons.entry(DeadLetter::decode(&entry.payload).unwrap().reason).or_default() += 1;
        }
    }
    json!(reasons)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_enrols_its_ward_and_what_it_expects_comes_of_it() {
    let (tools, dir) = (support::tools(), tempfile::tempdir().unwrap());
    let mut network = support::network(&tools, dir.path(), None).await;
    write_payer(dir.path(), &network.accounts.deployer);
    network.start_role(Role::Oracle).unwrap();
    let ward = ["--patients", "40", "--rate", "900", "--speed", "1200", "--seconds", "12", "--seed", "3", "--tag", "t"];
    let chain = network.anvil.url().to_owned();
    let output = load(network.nats.url(), &chain, &network.deployment_file(), dir.path(), &ward).await;
    let summary: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));

    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(count("failed"), 0);
    assert_eq!(count("sent"), count("stored") + count("dropped"));
    assert_eq!(count("dropped"), count("expected_dropped"));
    let (stored, _) = network.bus.stream_state(Stream::Observations).await.unwrap();
    assert_eq!(stored, count("stored"));
    assert!((8_000..13_000).contains(&stored), "{stored} observations");

    let expected = &summary["expected_dead_letters"];
    let letters = expected.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(letters > 0, "a ward has faults");
    assert_eq!(&dead_letters(&network, letters).await, expected);
    // Four hours of 40 patients, less the first of each: they are enrolled, so their windows are attested.
    let until = Instant::now() + PATIENCE;
    while network.bus.stream_state(Stream::Windows).await.unwrap().0 < 100 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(network.bus.stream_state(Stream::Windows).await.unwrap().0 >= 100);
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_not_local_is_not_loaded() {
    let (tools, dir) = (support::tools(), tempfile::tempdir().unwrap());
    let anvil = Anvil::start_as(&tools, dir.path(), 1_767_225_600, 5).await.unwrap();
    let payer = PrivateKeySigner::random();
    write_payer(dir.path(), &payer);
    let chain = Chain::connect(anvil.url(), std::slice::from_ref(&payer), PATIENCE).await.unwrap();
    fund(&chain, &payer).await;
    let deployment =
        deploy::deploy(&chain, payer.address(), &Founding::standard(payer.address(), payer.address())).await;
    let file = dir.path().join("deployment.json");
    deployment.unwrap().save(&file).unwrap();

    let output = load("nats://127.0.0.1:1", anvil.url(), &file, dir.path(), &[]).await;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(words.contains("chain 5 is not a local one") && words.contains("--force"), "{words}");
    // Forced, it goes on to what is missing next.
    let output = load("nats://127.0.0.1:1", anvil.url(), &file, dir.path(), &["--force"]).await;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(!words.contains("is not a local one") && words.contains("network.key"), "{words}");
}

async fn fund(chain: &Chain, payer: &PrivateKeySigner) {
    use alloy::primitives::U256;
    use alloy::providers::ext::AnvilApi as _;
    chain.provider.anvil_set_balance(payer.address(), U256::from(10).pow(U256::from(21))).await.unwrap();
}
