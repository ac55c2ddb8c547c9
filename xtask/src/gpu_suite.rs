//! `cargo xtask gpu-suite`: the suite for machines with a GPU, packed so that it can be carried to one.
//!
//! The pack holds the program, CUDA's run-time compiler, compute-sanitizer, and the kernels as the emulator compiled
//! them. A machine that runs it needs no Rust, no CUDA toolkit and no network. Nothing is packed that did not run to
//! its end here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::setup::{self, Tools};
use crate::workspace::Workspace;
use crate::{demo, process};

/// Most bytes of the archive.
const ARCHIVE_BYTES_MAX: u64 = 60_000_000;
const ARCHIVE: &str = "gpu-suite.tar.xz";
const SCRIPT: &str = include_str!("../gpu-suite/run.sh");
/// What compute-sanitizer starts programs by.
const LAUNCHER: &str = "sanitizer/TreeLauncherSubreaper";
/// What stands for the C library's version in the script.
const GLIBC: &str = "@GLIBC@";

/// What to do with the suite.
#[derive(Args)]
pub struct Options {
    /// Where archive and script go.
    #[arg(long, value_name = "DIR", default_value = "target/gpu-suite")]
    out: PathBuf,
    /// Run what was packed here, the processor in the device's place and no compiler at hand.
    #[arg(long)]
    emulate: bool,
}

/// Builds and packs the suite, and runs the pack where that is asked for.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let tools = setup::run_with_gpu_suite(workspace)?;
    let program = build(workspace)?;
    let out = workspace.root().join(&options.out);
    let tree = out.join("tree");
    lay_out(workspace, &tree, &program, &tools)?;
    compile_for_emulation(&tree)?;
    let archive = pack(workspace, &tools, &tree, &out)?;
    let script = out.join("run.sh");
    fs::write(&script, SCRIPT.replace(GLIBC, &glibc(&tree)?)).with_context(|| format!("write {}", script.display()))?;
    fs::remove_dir_all(&tree).with_context(|| format!("remove {}", tree.display()))?;
    println!("{}: {:.1} MB, at most {} MB", archive.display(), megabytes(&archive)?, ARCHIVE_BYTES_MAX / 1_000_000);
    println!("{}: copy both to a machine with a GPU, then `sh run.sh`", script.display());
    if options.emulate { emulate(&script, &out) } else { Ok(()) }
}

/// In the profile and with the features of the other suites, so that nothing else is compiled.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args(["bench", "--profile", "dev", "--workspace", "--bench", "gpu", "--no-run"]);
    demo::built(cargo, "gpu")
}

/// Everything that is packed, but what the emulator compiles.
fn lay_out(workspace: &Workspace, tree: &Path, program: &Path, tools: &Tools) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("empty {}", tree.display()))?;
    }
    let bin = tree.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("create {}", bin.display()))?;
    process::run_aside(Command::new("strip").arg("--strip-all").arg("-o").arg(bin.join("gpu")).arg(program))?;
    for part in ["lib", "sanitizer"] {
        copy_folder(&tools.gpu_suite().join(part), &tree.join(part))?;
    }
    process::run_aside(&mut compile_launcher(workspace.root(), &tree.join(LAUNCHER)))
}

fn compile_launcher(root: &Path, to: &Path) -> Command {
    let mut compiler = Command::new("c++");
    compiler.args(["-O1", "-static", "-s", "-o"]).arg(to).arg(root.join("xtask/gpu-suite/launcher.cpp"));
    compiler
}

/// Runs the suite once where it lies: the emulator keeps what it compiles beside the program.
fn compile_for_emulation(tree: &Path) -> Result<()> {
    let scratch = tree.join("scratch");
    fs::create_dir(&scratch).with_context(|| format!("create {}", scratch.display()))?;
    let mut program = Command::new(tree.join("bin/gpu"));
    process::run_aside(program.arg("--emulated").env("OUT", &scratch).current_dir(&scratch))?;
    fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))
}

fn pack(workspace: &Workspace, tools: &Tools, tree: &Path, out: &Path) -> Result<PathBuf> {
    let archive = out.join(ARCHIVE);
    process::run_aside(tools.python().arg(workspace.path("xtask/python/pack.py")).args([tree, &archive]))?;
    let size = fs::metadata(&archive).with_context(|| format!("read {}", archive.display()))?.len();
    if size > ARCHIVE_BYTES_MAX {
        bail!("{} has {size} bytes; at most {ARCHIVE_BYTES_MAX} can be carried", archive.display());
    }
    Ok(archive)
}

/// Runs the pack as another machine would. Whatever the emulator needs must be in it: no compiler is found.
fn emulate(script: &Path, out: &Path) -> Result<()> {
    let start = Instant::now();
    let mut sh = Command::new("sh");
    sh.arg(script).arg("--emulated").env("OUT", out).env("CXX", "/nowhere/c++").current_dir(out);
    process::run(&mut sh)?;
    println!("the packed suite ran to its end in {:.0} s, emulated", start.elapsed().as_secs_f64());
    Ok(())
}

/// The newest version of the C library that one of our programs asks for.
fn glibc(tree: &Path) -> Result<String> {
    let program = tree.join("bin/gpu");
    let bytes = fs::read(&program).with_context(|| format!("read {}", program.display()))?;
    let minor = glibc_minor(&bytes).context("the program asks for no version of the C library")?;
    Ok(format!("2.{minor}"))
}

/// Of the versions named in a program, `GLIBC_2.34` and the like.
fn glibc_minor(program: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"GLIBC_2.";
    let named = program.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    let minors = named.filter_map(|(at, _)| {
        let digits = program[at + NAME.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        String::from_utf8(digits.copied().collect()).ok()?.parse().ok()
    });
    minors.max()
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let path = entry.with_context(|| format!("read {}", from.display()))?.path();
        let name = path.file_name().context("an entry has a name")?;
        fs::copy(&path, to.join(name)).with_context(|| format!("copy {}", path.display()))?;
    }
    Ok(())
}

fn megabytes(file: &Path) -> Result<f64> {
    let bytes = fs::metadata(file).with_context(|| format!("read {}", file.display()))?.len();
    Ok(bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_c_library_is_found() {
        assert_eq!(glibc_minor(b"..GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0"), Some(34));
        assert_eq!(glibc_minor(b"GLIBC_PRIVATE GLIBC_2."), None);
    }

    #[test]
    fn the_launcher_starts_the_program_named_last() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let launcher = std::env::temp_dir().join(format!("hygeia-launcher-{}", std::process::id()));
        process::output(&mut compile_launcher(&root, &launcher)).unwrap();
        let said = |words: &[&str]| process::capture(Command::new(&launcher).args(words)).ok();
        assert_eq!(said(&["two words", "%", "/bin/echo"]).as_deref(), Some("two words %\n"));
        assert_eq!(said(&["two words", "/nowhere/echo"]), None);
        assert_eq!(said(&[]), None);
        fs::remove_file(&launcher).unwrap();
    }

    #[test]
    fn the_script_is_one_that_a_shell_reads() {
        assert!(SCRIPT.contains(GLIBC) && SCRIPT.contains(ARCHIVE));
        let parses = |text: &str| process::succeeds(Command::new("sh").args(["-n", "-c", text]));
        assert!(parses(SCRIPT));
        assert!(!parses(&SCRIPT.replace("\nfi\n", "\n")));
    }
}
