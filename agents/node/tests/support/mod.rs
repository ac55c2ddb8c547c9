//! What the tests on real parts share: the installed tools and a founded network.
#![allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]

use std::path::{Path, PathBuf};

use hygeia_node::cli::EzklArgs;
use hygeia_node::demo::network::{Broker, Network, ProvedBy, Setup};
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
        engine,
        prover_arguments: prover_arguments.iter().map(|&argument| argument.to_owned()).collect(),
        audit_windows: None,
        broker,
    };
    Network::found(setup, &mut |step| eprintln!("> {step}")).await.unwrap_or_else(|error| panic!("{error:#}"))
}
