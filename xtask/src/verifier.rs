//! The generated verifier contracts, of alerts and of audits: Solidity out of the shipped model's verifying keys, and
//! their compiled forms.
//!
//! They are compiled apart from the other contracts, under settings of their own; `policies/tools/compile-verifier.mjs`
//! says which and why.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::r#gen::Mode;
use crate::setup::Tools;
use crate::workspace::Workspace;
use crate::{demo, process};

/// A contract and what belongs to it.
struct Generated {
    solidity: &'static str,
    compiled: &'static str,
    /// A proof the contract must accept; read by the contracts' tests. Proofs are never twice the same, so it is written
    /// anew only with another contract.
    proof: &'static str,
    /// What `hygeia gen-verifier` is told beside where to write.
    arguments: &'static [&'static str],
}

const ALERT: Generated = Generated {
    solidity: "policies/generated/Halo2Verifier.sol",
    compiled: "policies/generated/Halo2Verifier.json",
    proof: "policies/generated/proof.json",
    arguments: &[],
};

/// Of the audits that a prover makes by default.
const AUDIT: Generated = Generated {
    solidity: "policies/generated/AuditVerifier.sol",
    compiled: "policies/generated/AuditVerifier.json",
    proof: "policies/generated/audit-proof.json",
    arguments: &["--audit-windows", "256"],
};

/// Writes or compares the alerts' verifier and its compiled form.
pub fn settle_alert(workspace: &Workspace, tools: &Tools, mode: Mode) -> Result<()> {
    settle(&ALERT, workspace, tools, mode)
}

/// Writes or compares the audits' verifier and its compiled form.
pub fn settle_audit(workspace: &Workspace, tools: &Tools, mode: Mode) -> Result<()> {
    settle(&AUDIT, workspace, tools, mode)
}

fn settle(contract: &Generated, workspace: &Workspace, tools: &Tools, mode: Mode) -> Result<()> {
    let scratch = tools.root().join("scratch");
    fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
    // Named by process: two checkouts may share the tools and run this at the same time.
    let written = scratch.join(format!("verifier-{}.sol", std::process::id()));
    let result = generate(contract, workspace, &written, mode);
    let _ = fs::remove_file(&written);
    result?;
    compile(contract, workspace, mode)
}

fn generate(contract: &Generated, workspace: &Workspace, target: &Path, mode: Mode) -> Result<()> {
    let hygeia = demo::build_hygeia(workspace)?;
    let gen_verifier = |proof: Option<&Path>| {
        let mut command = Command::new(&hygeia);
        command.arg("gen-verifier").arg("--out").arg(target).args(contract.arguments);
        if let Some(proof) = proof {
            command.arg("--proof").arg(proof);
        }
        process::run(&mut command)
    };
    gen_verifier(None)?;
    let solidity = fs::read(target).with_context(|| format!("read {}", target.display()))?;
    let (committed, proof) = (workspace.path(contract.solidity), workspace.path(contract.proof));
    let is_current = fs::read(&committed).is_ok_and(|committed| committed == solidity) && proof.exists();
    if mode == Mode::Write && !is_current {
        gen_verifier(Some(&proof))?;
    }
    mode.settle(&committed, &solidity)
}

fn compile(contract: &Generated, workspace: &Workspace, mode: Mode) -> Result<()> {
    let mut node = Command::new("node");
    node.arg("policies/tools/compile-verifier.mjs").args([contract.solidity, contract.compiled]);
    node.current_dir(workspace.root());
    if mode == Mode::Check {
        node.arg("--check");
    }
    process::run(&mut node)
}
