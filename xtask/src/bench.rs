//! `cargo xtask bench`: the suites, with what they are compared with.

use std::path::PathBuf;

use anyhow::Result;

use crate::workspace::{TOOLS_VARIABLE, Workspace};
use crate::{demo, process, setup};

/// Suites whose peers are among the tools.
const WITH_TOOLS: [&str; 6] = ["*", "serving", "zkml", "provers", "throughput", "soak"];
/// Suites that start the roles as processes.
const WITH_PROGRAM: [&str; 2] = ["throughput", "soak"];
/// Where they find the binary.
const PROGRAM_VARIABLE: &str = "HYGEIA_PROGRAM";
/// Where the suite of provers finds the program of the peers.
const PEERS_VARIABLE: &str = "HYGEIA_PROVER_PEERS";

/// Runs the suite that is named first, or all; further flags go to it.
pub fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let (suite, rest) = match args.split_first() {
        Some((suite, rest)) if !suite.starts_with('-') => (suite.as_str(), rest),
        _ => ("*", args),
    };
    let mut cargo = workspace.cargo();
    // Profile and packages of the tests: a machine that has built those compiles the suites alone. Naming one package
    // would select other features of its dependencies and so compile them again.
    cargo.args(["bench", "--profile", "dev", "--workspace", "--bench", suite]);
    if WITH_TOOLS.contains(&suite) {
        let tools = setup::run(workspace)?;
        cargo.env(TOOLS_VARIABLE, tools.root());
    }
    if suite == "serving" {
        // candle is measured on one core.
        cargo.env("RAYON_NUM_THREADS", "1");
    }
    if WITH_PROGRAM.contains(&suite) {
        cargo.env(PROGRAM_VARIABLE, build_program(workspace)?);
    }
    if ["*", "provers"].contains(&suite) {
        cargo.env(PEERS_VARIABLE, build_peers(workspace)?);
    }
    if !rest.is_empty() {
        cargo.arg("--").args(rest);
    }
    process::run(&mut cargo)
}

/// Builds the binary as the suites are built, so that both share the compiled dependencies.
fn build_program(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--workspace", "--bin", "hygeia"]);
    demo::built(cargo, "hygeia")
}

/// Builds the provers that are measured beside ours. They are a workspace of their own, for nothing else needs what they need.
fn build_peers(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    // In their folder, so that cargo reads the flags that stand there. Their lock file follows what our crates need.
    cargo.args(["build", "--release"]).current_dir(workspace.path("benches/peers/provers"));
    demo::built(cargo, "prover-peers")
}
