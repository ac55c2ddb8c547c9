//! `cargo xtask test` and `cargo xtask ci`: the order of the checks.

use anyhow::Result;

use crate::report::Report;
use crate::setup::Tools;
use crate::workspace::{TOOLS_VARIABLE, Workspace};
use crate::{chart, r#gen, onnx, process, setup};

/// Formatting and lints of the Rust code. Only `ci` has these: they need no tools and change while one works.
pub fn lint(workspace: &Workspace, report: &mut Report) {
    report.step("cargo fmt", || process::run(workspace.cargo().args(["fmt", "--all", "--check"])));
    report.step("cargo clippy", || {
        let mut cargo = workspace.cargo();
        cargo.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]);
        process::run(&mut cargo)
    });
}

/// Every test and check of the project.
pub fn run(workspace: &Workspace, report: &mut Report) {
    // Everything below needs the tools: without them there is one failure to report, not ten.
    let Some(tools) = report.step("setup", || setup::run(workspace)) else {
        return;
    };
    report.step("contracts: format", || forge(workspace, &tools, &["fmt", "--check"]));
    report.step("contracts: build", || forge(workspace, &tools, &["build"]));
    report.step("contracts: test", || forge(workspace, &tools, &["test"]));
    report.step("contracts: static analysis", || static_analysis(workspace, &tools));
    report.step("chart: lint, render, validate", || chart::check(workspace, &tools));
    r#gen::check(workspace, &tools, report);
    report.step("chart: fits the binary", || chart::fits_binary(workspace, &tools));
    report.step("onnx: onnxruntime and EZKL on the exported model", || onnx::check(workspace, &tools));
    // Last, so that a log ends with the result lines of the largest suite.
    report.step("cargo test", || cargo_test(workspace, &tools));
}

/// Runs forge in the Foundry project. It compiles with the pinned npm compiler and reaches no network.
pub fn forge(workspace: &Workspace, tools: &Tools, args: &[&str]) -> Result<()> {
    process::run(tools.command("forge").args(args).current_dir(workspace.path("policies")))
}

/// Runs slither over the contracts; each of its findings must be explained.
fn static_analysis(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let programs = tools.root().join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)))?;
    let mut slither = tools.slither_python();
    slither.arg("tools/slither.py").current_dir(workspace.path("policies")).env("PATH", path);
    process::run(&mut slither)
}

fn cargo_test(workspace: &Workspace, tools: &Tools) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]).env(TOOLS_VARIABLE, tools.root());
    process::run(&mut cargo)
}
