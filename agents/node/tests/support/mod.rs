//! What the tests on real parts share: the installed tools and a founded network.
#![allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]

use std::path::{Path, PathBuf};

use hygeia_inference::network::{IntegerNetwork, Layer};
use hygeia_inference::package::ModelPackage;
use hygeia_node::cli::EzklArgs;
use hygeia_node::demo::network::{Network, ProvedBy, Setup};
use hygeia_node::demo::processes::Tools;

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
    found(tools, dir, threshold, prover_arguments, ProvedBy::Native).await
}

/// The same, with alerts proved by this engine.
pub async fn network_by(tools: &Tools, dir: &Path, threshold: Option<i64>, engine: ProvedBy) -> Network {
    found(tools, dir, threshold, &["--no-audit"], engine).await
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
) -> Network {
    let setup = Setup {
        tools,
        program: PathBuf::from(env!("CARGO_BIN_EXE_hygeia")),
        dir,
        keys_dir: keys_dir(),
        qdrant: None,
        threshold,
        engine,
        prover_arguments: prover_arguments.iter().map(|&argument| argument.to_owned()).collect(),
        audit_windows: None,
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
