//! `cargo xtask cuda`: the binary with candle on CUDA, built on any machine.
//!
//! The toolkit comes from the Python package index. The binary starts without a driver, too, and then has no CUDA device.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::setup::{self, Tools};
use crate::workspace::Workspace;
use crate::{demo, process};

/// Architecture that kernels are compiled for where the user names no other: Hopper.
const COMPUTE_CAPABILITY: &str = "90";
const COMPUTE_CAPABILITY_VARIABLE: &str = "CUDA_COMPUTE_CAP";

/// Builds `hygeia` with the feature `cuda`; further arguments go to cargo.
pub fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let tools = setup::run_with_cuda(workspace, cudarc(workspace)?)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "hygeia", "--bin", "hygeia", "--features", "cuda"]).args(args);
    toolkit(&mut cargo, &tools)?;
    let binary = demo::built(cargo, "hygeia")?;
    println!("{}", binary.display());
    Ok(())
}

/// Tells a command where the toolkit is.
fn toolkit(command: &mut Command, tools: &Tools) -> Result<()> {
    let root = tools.cuda();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(root.join("bin")).chain(std::env::split_paths(&path)))?;
    let capability = std::env::var(COMPUTE_CAPABILITY_VARIABLE).unwrap_or_else(|_| COMPUTE_CAPABILITY.to_owned());
    command.env("PATH", path).env(COMPUTE_CAPABILITY_VARIABLE, capability);
    for variable in ["CUDA_HOME", "CUDA_PATH", "CUDA_LIBRARY_PATH"] {
        command.env(variable, &root);
    }
    command.env("CUDA_LIB_DIR", root.join("lib/stubs")).env("NVCC_APPEND_FLAGS", "--compress-mode=size");
    Ok(())
}

/// The folder of the crate `cudarc`, downloaded where it is not there yet.
fn cudarc(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    let metadata = process::capture(cargo.args(["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let package = packages.iter().find(|package| package["name"] == "cudarc");
    let manifest = package.and_then(|package| package["manifest_path"].as_str()).context("cudarc is no dependency")?;
    PathBuf::from(manifest).parent().map(PathBuf::from).context("a manifest has a folder")
}
