//! What the packed GPU suite takes along of NVIDIA's: NVRTC and compute-sanitizer, with their licences.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::python::{UNREACHABLE, pinned_title, pip, read, replace_folder};
use super::{Tool, Tools};
use crate::process;
use crate::workspace::Workspace;

/// A part of what is installed: the folder that it goes to, the wheel's name up to its version, and what is taken out.
type Part = (&'static str, &'static str, &'static [&'static str]);

const PARTS: [Part; 2] = [
    ("lib", "nvidia_cuda_nvrtc-", &["*/libnvrtc.so.13", "*/libnvrtc-builtins.so.13.0", "*/License.txt"]),
    (
        "sanitizer",
        "nvidia_cuda_sanitizer_api-",
        // The collection lies in both folders; the program looks for all of them beside itself.
        &["*/bin/compute-sanitizer", "*/cu13/lib/*.so", "*/License.txt"],
    ),
];

/// NVRTC and compute-sanitizer, for `cargo xtask gpu-suite` alone.
pub struct SuiteLibraries {
    requirements: PathBuf,
    extractor: PathBuf,
}

impl SuiteLibraries {
    pub fn new(workspace: &Workspace) -> Self {
        Self {
            requirements: workspace.path("xtask/requirements/gpu-suite.txt"),
            extractor: workspace.path("xtask/python/extract.py"),
        }
    }
}

impl Tool for SuiteLibraries {
    fn title(&self) -> String {
        pinned_title("GPU suite's libraries", &self.requirements)
    }

    fn name(&self) -> &'static str {
        "gpu-suite"
    }

    fn pin(&self) -> Result<String> {
        let members = PARTS.iter().flat_map(|(_, _, members)| *members).copied();
        Ok(read(&self.requirements)? + &members.collect::<Vec<_>>().join("\n"))
    }

    fn is_intact(&self, tools: &Tools) -> bool {
        let folder = tools.gpu_suite();
        folder.join("lib/libnvrtc.so.13").is_file()
            && process::succeeds(Command::new(folder.join("sanitizer/compute-sanitizer")).arg("--version"))
    }

    fn install(&self, tools: &Tools, scratch: &Path) -> Result<()> {
        let (wheels, files) = (scratch.join("wheels"), scratch.join("files"));
        process::run_aside(pip(tools.python(), "download", &self.requirements).arg("--dest").arg(&wheels))
            .context(UNREACHABLE)?;
        for (folder, name, members) in PARTS {
            let folder = files.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
            let wheel = wheel(&wheels, name)?;
            process::run_aside(tools.python().arg(&self.extractor).arg(&wheel).arg(&folder).args(members))?;
        }
        let program = files.join("sanitizer/compute-sanitizer");
        process::run_aside(Command::new("chmod").arg("755").arg(&program))?;
        replace_folder(&files, &tools.gpu_suite())
    }
}

/// The wheel whose name begins like this.
fn wheel(folder: &Path, name: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    let is_named = |path: &PathBuf| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
    files.into_iter().find(is_named).with_context(|| format!("pip fetched no wheel named {name}"))
}
