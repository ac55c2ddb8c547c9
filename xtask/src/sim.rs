//! `cargo xtask sim`: the simulation of the agents, with the flags that are passed on.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::workspace::Workspace;
use crate::{demo, process};

/// Builds the simulation and becomes it, so that its exit code is the task's own. The one with the real contracts is built
/// where it is asked for: an EVM and its bindings take minutes.
pub fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let has_evm = args.iter().any(|arg| arg == "revm" || arg == "--chain=revm");
    let name = if has_evm { "hygeia-sim-evm" } else { "hygeia-sim" };
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", name, "--bin", name]);
    let mut sim = Command::new(demo::built(cargo, name)?);
    sim.args(args);
    eprintln!("$ {}", process::show(&sim));
    Err(anyhow!(sim.exec()).context("start hygeia-sim"))
}
