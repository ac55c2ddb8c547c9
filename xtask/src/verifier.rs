//! The generated verifier contract: Solidity out of the shipped model's verifying key, and its compiled form.
//!
//! It is compiled apart from the other contracts, under settings of its own; `policies/tools/compile-verifier.mjs`
//! says which and why.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::r#gen::Mode;
use crate::setup::Tools;
use crate::workspace::Workspace;
use crate::{demo, process};

const SOLIDITY: &str = "policies/generated/Halo2Verifier.sol";
const COMPILED: &str = "policies/generated/Halo2Verifier.json";
/// A proof the contract must accept; read by the contracts' tests. Proofs are never twice the same, so it is written anew
/// only with another contract.
const PROOF: &str = "policies/generated/proof.json";

/// Writes or compares the verifier and its compiled form.
pub fn settle(workspace: &Workspace, tools: &Tools, mode: Mode) -> Result<()> {
    let scratch = tools.root().join("scratch");
    fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
    // Named by process: two checkouts may share the tools and run this at the same time.
    let written = scratch.join(format!("verifier-{}.sol", std::process::id()));
    let result = generate(workspace, &written, mode);
    let _ = fs::remove_file(&written);
    result?;
    compile(workspace, mode)
}

fn generate(workspace: &Workspace, target: &Path, mode: Mode) -> Result<()> {
    let hygeia = demo::build_hygeia(workspace)?;
    let gen_verifier = |proof: Option<&Path>| {
        let mut command = Command::new(&hygeia);
        command.arg("gen-verifier").arg("--out").arg(target);
        if let Some(proof) = proof {
            command.arg("--proof").arg(proof);
        }
        process::run(&mut command)
    };
    gen_verifier(None)?;
    let solidity = fs::read(target).with_context(|| format!("read {}", target.display()))?;
    let proof = workspace.path(PROOF);
    let is_current = fs::read(workspace.path(SOLIDITY)).is_ok_and(|committed| committed == solidity) && proof.exists();
    if mode == Mode::Write && !is_current {
        gen_verifier(Some(&proof))?;
    }
    mode.settle(&workspace.path(SOLIDITY), &solidity)
}

fn compile(workspace: &Workspace, mode: Mode) -> Result<()> {
    let mut node = Command::new("node");
    node.arg("policies/tools/compile-verifier.mjs").args([SOLIDITY, COMPILED]).current_dir(workspace.root());
    if mode == Mode::Check {
        node.arg("--check");
    }
    process::run(&mut node)
}
