//! The dependency graph of the workspace's crates, as text that is committed and compared.
//!
//! It makes an architecture invariant such as "protocol performs no IO" visible to a test: a crate that reaches for
//! the network, a chain, a model library or a proof library does so with a line in this file's diff.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::r#gen::Mode;
use crate::process;
use crate::workspace::Workspace;

const FILE: &str = "docs/dependency-graph.txt";

/// The externals that an invariant of some crate speaks of, whoever depends on them.
const WATCHED: [&str; 20] = [
    "alloy",
    "async-nats",
    "axum",
    "candle-core",
    "cudarc",
    "governor",
    "halo2-axiom",
    "halo2curves-axiom",
    "jiff",
    "parquet",
    "poseidon-primitives",
    "qdrant-client",
    "rand",
    "rayon",
    "reqwest",
    "snark-verifier",
    "tempfile",
    "tokio",
    "tracing",
    "tracing-subscriber",
];

const HEADER: &str = "\
# Each workspace crate with its normal dependencies: those inside the workspace, and the outside ones that an
# architecture invariant speaks of. `-default` and `+feature` stand behind a dependency taken otherwise than plainly.
# Made by `cargo xtask gen` out of `cargo metadata`.
";

/// Writes or compares the committed graph.
pub fn settle(workspace: &Workspace, mode: Mode) -> Result<()> {
    mode.settle(&workspace.path(FILE), current(workspace)?.as_bytes())
}

fn current(workspace: &Workspace) -> Result<String> {
    let metadata = process::capture(workspace.cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    render(&serde_json::from_str(&metadata).context("read cargo's metadata")?)
}

/// Turns the output of `cargo metadata --no-deps`, which lists the workspace's crates only, into the graph's text.
fn render(metadata: &Value) -> Result<String> {
    let packages = metadata["packages"].as_array().context("cargo's metadata lists no packages")?;
    let mut crates = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().context("a package has no name")?;
        let dependencies = package["dependencies"].as_array().context("a package lists no dependencies")?;
        crates.insert(name, dependencies);
    }
    let mut text = HEADER.to_owned();
    for (name, dependencies) in &crates {
        let inside = listed(dependencies, |dependency| crates.contains_key(dependency));
        let outside = listed(dependencies, |dependency| WATCHED.contains(&dependency));
        text += &format!("\n{name}\n  workspace: {inside}\n  outside:   {outside}\n");
    }
    Ok(text)
}

/// The wanted normal dependencies, merged by name: a crate may be declared again for one platform.
fn listed(dependencies: &[Value], wanted: impl Fn(&str) -> bool) -> String {
    let mut marks = BTreeMap::<&str, Vec<String>>::new();
    for dependency in dependencies.iter().filter(|dependency| dependency["kind"].is_null()) {
        if let Some(name) = dependency["name"].as_str().filter(|name| wanted(name)) {
            marks.entry(name).or_default().extend(own_marks(dependency));
        }
    }
    let shown = marks.into_iter().map(|(name, marks)| match marks.is_empty() {
        true => name.to_owned(),
        false => format!("{name} ({})", marks.join(" ")),
    });
    let line = shown.collect::<Vec<_>>().join(", ");
    if line.is_empty() { "none".to_owned() } else { line }
}

/// What a crate of ours says of a dependency. Features of outside crates are the manifests' own business.
fn own_marks(dependency: &Value) -> Vec<String> {
    let mut marks = Vec::new();
    if dependency["optional"] == true {
        marks.push("optional".to_owned());
    }
    if !dependency["path"].is_null() {
        if dependency["uses_default_features"] == false {
            marks.push("-default".to_owned());
        }
        let features = dependency["features"].as_array().into_iter().flatten();
        marks.extend(features.filter_map(|feature| Some(format!("+{}", feature.as_str()?))));
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Crates that DESIGN's dependency direction calls leaves: they know no other crate of the workspace.
    const LEAVES: [&str; 4] = ["hygeia-gpu-kernels", "hygeia-inference", "hygeia-policies", "hygeia-protocol"];

    fn block(name: &str) -> Vec<String> {
        let text = current(&Workspace::locate().unwrap()).unwrap();
        let block = text.split("\n\n").find(|block| block.starts_with(&format!("{name}\n")));
        block.unwrap_or_else(|| panic!("{name} is not in the graph")).lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_committed_graph_is_the_workspaces() {
        settle(&Workspace::locate().unwrap(), Mode::Check).unwrap();
    }

    #[test]
    fn leaves_know_no_other_crate() {
        for leaf in LEAVES {
            assert_eq!(block(leaf)[1], "  workspace: none", "{leaf}");
        }
    }

    #[test]
    fn protocol_has_no_runtime_no_network_and_no_random_numbers() {
        assert_eq!(block("hygeia-protocol")[2], "  outside:   jiff");
    }

    #[test]
    fn proofs_take_the_models_integers_without_the_training_library() {
        let workspace = &block("hygeia-zkml")[1];
        assert!(workspace.contains("hygeia-inference (-default)"), "{workspace}");
    }

    #[test]
    fn marks_and_kinds_are_told_apart() {
        let metadata = serde_json::json!({"packages": [
            {"name": "a", "dependencies": [
                {"name": "b", "kind": null, "path": "/b", "uses_default_features": false, "features": ["x"]},
                {"name": "tokio", "kind": null, "optional": true, "uses_default_features": false, "features": ["net"]},
                {"name": "rand", "kind": "dev"},
                {"name": "serde", "kind": null}]},
            {"name": "b", "dependencies": []}]});
        let text = render(&metadata).unwrap();
        assert!(text.ends_with(
            "\na\n  workspace: b (-default +x)\n  outside:   tokio (optional)\n\nb\n  workspace: none\n  outside:   none\n"
        ));
    }
}
