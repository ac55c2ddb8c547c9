//! Where the checkout, the tools and cargo are. The only module of xtask that reads the environment.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Names another folder for the tools, so that several checkouts and CI share one.
pub const TOOLS_VARIABLE: &str = "HYGEIA_TOOLS_DIR";

/// The checkout this task works on.
pub struct Workspace {
    root: PathBuf,
    tools: PathBuf,
    cargo: PathBuf,
}

impl Workspace {
    /// Finds the checkout from the variables that cargo sets when it runs this program.
    pub fn locate() -> Result<Self> {
        let manifest_dir =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir.parent().context("xtask has no parent folder")?.to_path_buf();
        if !root.join("Cargo.lock").is_file() {
            bail!("{} is not the workspace: run `cargo xtask` inside a checkout", root.display());
        }
        let tools = match env::var_os(TOOLS_VARIABLE).filter(|value| !value.is_empty()) {
            Some(dir) => env::current_dir().context("read the current folder")?.join(dir),
            None => root.join(".tools"),
        };
        let cargo = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        Ok(Self { root, tools, cargo })
    }

    /// The folder of the workspace's `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the checkout.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Where `setup` installs, as named by the user: it may not exist yet.
    pub fn tools(&self) -> &Path {
        &self.tools
    }

    /// The cargo that runs this program, in the checkout.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(&self.root);
        command
    }
}
