//! `cargo xtask sim`: the simulation of the agents, with the flags that are passed on.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::workspace::Workspace;
use crate::{demo, process};

/// Builds `hygeia-sim` and becomes it, so that its exit code is the task's own.
pub fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "hygeia-sim", "--bin", "hygeia-sim"]);
    let mut sim = Command::new(demo::built(cargo, "hygeia-sim")?);
    sim.args(args);
    eprintln!("$ {}", process::show(&sim));
    Err(anyhow!(sim.exec()).context("start hygeia-sim"))
}
