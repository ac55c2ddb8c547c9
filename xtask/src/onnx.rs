//! The shipped model as other tools see it: exported, checked, run and compiled by onnxruntime and EZKL.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::Tools;
use crate::workspace::Workspace;
use crate::{demo, process};

const SCRIPT: &str = "xtask/python/check_onnx.py";

/// Exports the shipped model and has both peers score windows of the demo's real stays.
pub fn check(workspace: &Workspace, tools: &Tools) -> Result<()> {
    // Named by process: two checkouts may share the tools and run this at the same time.
    let folder = tools.root().join("scratch").join(format!("onnx-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let result = compare(workspace, tools, &folder);
    let _ = fs::remove_dir_all(&folder);
    result
}

fn compare(workspace: &Workspace, tools: &Tools, folder: &Path) -> Result<()> {
    let hygeia = demo::build_hygeia(workspace)?;
    let (model, rows) = (folder.join("model.onnx"), folder.join("rows.csv"));
    process::run(Command::new(&hygeia).arg("export").arg("--onnx").arg(&model))?;
    let stays = tools.root().join("data/clif_demo");
    process::run(Command::new(&hygeia).args(["features", "--scores", "--data"]).arg(stays).arg("--out").arg(&rows))?;
    let script = workspace.path(SCRIPT);
    process::run(tools.onnx_python().arg(&script).arg("runtime").args([&model, &rows]))?;
    // EZKL writes files of its own below the home folder.
    let ezkl = &mut tools.python();
    ezkl.env("HOME", folder).env("EZKL_REPO_PATH", folder).env("RUST_LOG", "error");
    process::run(ezkl.arg(&script).arg("ezkl").args([&model, &rows]).arg(folder))
}
