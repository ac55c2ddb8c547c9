//! What comes from the npm registry: the packages of `policies/`, and the Foundry programs out of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Tool, Tools, host, place_program, program_answers, stamp};
use crate::process;
use crate::workspace::Workspace;

/// `policies/node_modules`. It lies in the checkout, so its stamp does too: tools may be shared by many checkouts.
pub struct Modules {
    project: PathBuf,
}

impl Modules {
    pub fn new(workspace: &Workspace) -> Self {
        Self { project: workspace.path("policies") }
    }

    fn stamp(&self) -> PathBuf {
        self.project.join("node_modules/.hygeia-stamp")
    }
}

impl Tool for Modules {
    fn title(&self) -> String {
        "npm packages of policies/".to_owned()
    }

    fn name(&self) -> &'static str {
        "npm"
    }

    fn pin(&self) -> Result<String> {
        lock_file(&self.project)
    }

    fn is_intact(&self, _tools: &Tools) -> bool {
        let wanted = self.pin().map(|pin| stamp::digest(&pin));
        fs::read_to_string(self.stamp()).ok() == wanted.ok() && self.project.join("node_modules/solc").is_dir()
    }

    fn install(&self, _tools: &Tools, _scratch: &Path) -> Result<()> {
        host::check_node()?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"])
            // The programs come as platform packages; their install scripts would only look for them.
            .args(["--ignore-scripts", "--include", "dev", "--include", "optional"])
            .current_dir(&self.project);
        process::run_aside(&mut npm).context(
            "npm did not get the locked packages (its own message stands above). The first setup needs the npm \
             registry, reached as npm is configured on this machine",
        )?;
        fs::write(self.stamp(), stamp::digest(&self.pin()?)).context("stamp policies/node_modules")
    }
}

/// forge, anvil and cast: the programs themselves, not the scripts that npm puts in front of them.
pub struct Foundry {
    project: PathBuf,
}

const FOUNDRY: [&str; 3] = ["anvil", "cast", "forge"];

impl Foundry {
    pub fn new(workspace: &Workspace) -> Self {
        Self { project: workspace.path("policies") }
    }
}

impl Tool for Foundry {
    fn title(&self) -> String {
        "forge, anvil and cast".to_owned()
    }

    fn name(&self) -> &'static str {
        "foundry"
    }

    fn pin(&self) -> Result<String> {
        lock_file(&self.project)
    }

    fn is_intact(&self, tools: &Tools) -> bool {
        FOUNDRY.iter().all(|name| program_answers(tools, name, "--version"))
    }

    fn install(&self, tools: &Tools, _scratch: &Path) -> Result<()> {
        FOUNDRY.iter().try_for_each(|name| {
            let program = format!("node_modules/@foundry-rs/{name}-linux-amd64/bin/{name}");
            place_program(tools, &self.project.join(program), name)
        })
    }
}

fn lock_file(project: &Path) -> Result<String> {
    let path = project.join("package-lock.json");
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}
