//! `cargo xtask gen`: the committed files that a program makes, in the order in which they build on each other.
//!
//! Under `--check` nothing in the checkout changes; a difference fails and names the file and the cure.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::report::Report;
use crate::setup::{self, Tools};
use crate::workspace::Workspace;
use crate::{chart, graph, process, test, verifier};

/// Whether to write the files or to compare them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Write what differs.
    Write,
    /// Fail on what differs.
    Check,
}

impl Mode {
    /// `--check` or not.
    pub fn from_flag(check: bool) -> Self {
        if check { Self::Check } else { Self::Write }
    }

    /// Brings one generated file to what it should be, or fails if it is not.
    pub fn settle(self, file: &Path, wanted: &[u8]) -> Result<()> {
        let committed = fs::read(file).ok();
        if committed.as_deref() == Some(wanted) {
            return Ok(());
        }
        if self == Self::Check {
            let what = if committed.is_some() { "is not what the sources give" } else { "is missing" };
            bail!("{} {what}: run `cargo xtask gen` and commit the result", file.display());
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        fs::write(file, wanted).with_context(|| format!("write {}", file.display()))?;
        eprintln!("wrote {}", file.display());
        Ok(())
    }
}

/// The task: sets up first.
pub fn run(workspace: &Workspace, mode: Mode, report: &mut Report) {
    if let Some(tools) = report.step("setup", || setup::run(workspace)) {
        report.step("contracts: build", || test::forge(workspace, &tools, &["build"]));
        settle(workspace, &tools, mode, report);
    }
}

/// The comparison alone, for `test`, which has already built the contracts.
pub fn check(workspace: &Workspace, tools: &Tools, report: &mut Report) {
    settle(workspace, tools, Mode::Check, report);
}

fn settle(workspace: &Workspace, tools: &Tools, mode: Mode, report: &mut Report) {
    // The ABI comes before the verifier: the binary that writes the verifier is built from the ABI.
    report.step("gen: Poseidon library and audit vectors", || policies_tool(workspace, "poseidon-constants.mjs", mode));
    report.step("gen: contract ABI", || policies_tool(workspace, "export-abi.mjs", mode));
    report.step("gen: contract sizes", || policies_tool(workspace, "sizes.mjs", mode));
    report.step("gen: proof verifier contract", || verifier::settle_alert(workspace, tools, mode));
    report.step("gen: audit verifier contract", || verifier::settle_audit(workspace, tools, mode));
    // Before the manifests, which hold the rules.
    report.step("gen: telemetry", || chart::settle_monitoring(workspace, mode));
    report.step("gen: rendered manifests", || chart::settle(workspace, tools, mode));
    report.step("gen: dependency graph", || graph::settle(workspace, mode));
}

/// Runs a program of the contracts' own that writes committed files, or compares them.
fn policies_tool(workspace: &Workspace, script: &str, mode: Mode) -> Result<()> {
    let mut node = std::process::Command::new("node");
    node.arg(Path::new("tools").join(script)).current_dir(workspace.path("policies"));
    if mode == Mode::Check {
        node.arg("--check");
    }
    process::run(&mut node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_refuses_a_difference_and_leaves_the_file_alone() {
        let folder = std::env::temp_dir().join(format!("hygeia-gen-{}", std::process::id()));
        let file = folder.join("deep").join("file.txt");
        assert!(Mode::Check.settle(&file, b"new").unwrap_err().to_string().contains("is missing"));
        Mode::Write.settle(&file, b"new").unwrap();
        Mode::Check.settle(&file, b"new").unwrap();
        assert!(Mode::Check.settle(&file, b"newer").unwrap_err().to_string().contains("cargo xtask gen"));
        assert_eq!(fs::read(&file).unwrap(), b"new");
        fs::remove_dir_all(folder).unwrap();
    }
}
