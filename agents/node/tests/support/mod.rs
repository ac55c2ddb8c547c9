//! What the tests on real parts share: the installed tools and a founded network.
#![allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hygeia_inference::network::{IntegerNetwork, Layer};
use hygeia_inference::package::ModelPackage;
use hygeia_node::bus::{Bus, Entry, OrderedReader};
use hygeia_node::cli::EzklArgs;
use hygeia_node::demo::network::{Broker, Network, ProvedBy, Setup};
use hygeia_node::demo::processes::Tools;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::message::Message;
use hygeia_protocol::observation::{Limits, Observation};
use hygeia_protocol::subject::Stream;
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig};

/// The tools `cargo xtask setup` installed; the test fails with what to do when they are absent.
pub fn tools() -> Tools {
    let root = tools_dir();
    Tools::at(&root).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Keys made once and shared by all tests: the model is the same.
pub fn keys_dir() -> PathBuf {
    tools_dir().join("keys")
}

pub fn tools_dir() -> PathBuf {
    match std::env::var_os("HYGEIA_TOOLS_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools"),
    }
}

/// A network with a care policy of this threshold, its roles not yet started. Its prover proves alerts only: most tests
/// have no use for audits, which would take their processor time.
pub async fn network(tools: &Tools, dir: &Path, threshold: Option<i64>) -> Network {
    network_with(tools, dir, threshold, &["--no-audit"]).await
}

/// The same, with these arguments for the prover.
pub async fn network_with(tools: &Tools, dir: &Path, threshold: Option<i64>, prover_arguments: &[&str]) -> Network {
    found(tools, dir, threshold, prover_arguments, ProvedBy::Native, None).await
}

/// The same, on this broker.
pub async fn network_on(tools: &Tools, dir: &Path, threshold: Option<i64>, broker: Broker) -> Network {
    found(tools, dir, threshold, &["--no-audit"], ProvedBy::Native, Some(broker)).await
}

/// The same, with alerts proved by this engine.
pub async fn network_by(tools: &Tools, dir: &Path, threshold: Option<i64>, engine: ProvedBy) -> Network {
    found(tools, dir, threshold, &["--no-audit"], engine, None).await
}

/// EZKL, as the tools have it.
pub fn ezkl() -> ProvedBy {
    ProvedBy::Ezkl { ezkl: EzklArgs::of_tools(&tools_dir()), policies: policies_dir() }
}

/// The contracts, and the compiler for those that are generated.
pub fn policies_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
}

async fn found(
    tools: &Tools,
    dir: &Path,
    threshold: Option<i64>,
    prover_arguments: &[&str],
    engine: ProvedBy,
    broker: Option<Broker>,
) -> Network {
    let setup = Setup {
        tools,
        program: PathBuf::from(env!("CARGO_BIN_EXE_hygeia")),
        dir,
        keys_dir: keys_dir(),
        qdrant: None,
        threshold,
        cool_down_s: None,
        engine,
        prover_arguments: prover_arguments.iter().map(|&argument| argument.to_owned()).collect(),
        audit_windows: None,
        broker,
    };
    Network::found(setup, &mut |step| eprintln!("> {step}")).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// The shipped model with one word of its card changed: another content and another hash, but the same network, so the
/// same circuit and keys.
pub fn another_model() -> ModelPackage {
    let mut parts = ModelPackage::default_model().to_parts();
    parts.card.summary.push_str(" (changed)");
    ModelPackage::assemble(parts).unwrap()
}

/// A model over the same features whose every score is higher by so many units: what a candidate may look like.
pub fn shifted_model(units: i64) -> ModelPackage {
    let mut parts = ModelPackage::default_model().to_parts();
    let mut layers = parts.network.layers().to_vec();
    if let Some(Layer::Dense(last)) = layers.last_mut() {
        // A score is the last sum over 2^10.
        last.bias[0] += units << 10;
    }
    parts.network = IntegerNetwork::new(layers, parts.network.input_bounds().to_vec()).unwrap();
    parts.card.network_hash = hex::encode(parts.network.hash());
    ModelPackage::assemble(parts).unwrap()
}

/// The windows that the observations close, by the pure state machine, for enrolled patients.
pub fn expected_windows(stored: &[Entry], mandates: &BTreeMap<PatientId, B32>) -> BTreeSet<(B32, u64)> {
    let mut machines: BTreeMap<PatientId, PatientWindow> = BTreeMap::new();
    let mut windows = BTreeSet::new();
    for entry in stored {
        let received = Timestamp::from_millis(entry.stored_at_ms);
        let Ok(observation) = Observation::decode(&entry.payload, received, &Limits::default()) else { continue };
        let patient = observation.patient().clone();
        let machine = machines.entry(patient.clone()).or_insert_with(|| PatientWindow::new(WindowConfig::default()));
        for snapshot in machine.observe(&observation).unwrap_or_default() {
            windows.insert((mandates[&patient], snapshot.end.as_seconds()));
        }
    }
    windows
}

/// Every message of a stream, as what it should be.
pub async fn decoded<T: Message>(bus: &Bus, stream: Stream) -> Vec<T> {
    read_all(bus, stream).await.iter().map(|entry| T::decode(&entry.payload).unwrap()).collect()
}

/// Every message of a stream.
pub async fn read_all(bus: &Bus, stream: Stream) -> Vec<Entry> {
    let (_, last) = bus.stream_state(stream).await.unwrap();
    let mut entries = Vec::new();
    if last == 0 {
        return entries;
    }
    let mut reader = OrderedReader::open(bus, stream, Vec::new(), 1).await.unwrap();
    loop {
        let entry = reader.next().await.unwrap();
        let end = entry.sequence >= last;
        entries.push(entry);
        if end {
            return entries;
        }
    }
}
