//! `cargo xtask demo`: the tools, the binary, then the binary's own demo in this program's place.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::workspace::Workspace;
use crate::{process, setup};

/// Sets up, builds, and becomes `hygeia demo`, so that Ctrl-C and the exit code are the demo's own.
pub fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let tools = setup::run(workspace)?;
    let mut hygeia = Command::new(build_hygeia(workspace)?);
    hygeia.arg("demo").arg("--tools").arg(tools.root()).arg("--policies").arg(workspace.path("policies")).args(args);
    eprintln!("$ {}", process::show(&hygeia));
    Err(anyhow!(hygeia.exec()).context("start hygeia"))
}

/// Builds the binary and returns where cargo put it.
pub fn build_hygeia(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "hygeia", "--bin", "hygeia"]);
    built(cargo, "hygeia")
}

/// Runs a build and returns where cargo put an executable.
pub fn built(mut cargo: Command, name: &str) -> Result<PathBuf> {
    cargo.args(["--message-format", "json-render-diagnostics"]);
    eprintln!("$ {}", process::show(&cargo));
    let messages = process::capture(cargo.stderr(Stdio::inherit()))?;
    executable(&messages, name).with_context(|| format!("cargo built no executable named {name}"))
}

/// Finds the executable in cargo's messages, one JSON object a line.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_read_from_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"hygeia"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}
not a message
{"reason":"compiler-artifact","target":{"name":"hygeia"},"executable":"/t/debug/hygeia"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "hygeia"), Some(PathBuf::from("/t/debug/hygeia")));
        assert_eq!(executable("{}", "hygeia"), None);
    }
}
