//! The project's tasks: setup, demo, test, ci, bench, gen, cuda, gpu-suite, sim, faults.
//!
//! It fetches pinned tools, starts the other programs of the build and compares what they generate with what is
//! committed. This crate never holds product logic: no crate of the workspace depends on it, and it depends on none.

mod bench;
mod chart;
mod cuda;
mod demo;
mod faults;
mod r#gen;
mod gpu_suite;
mod graph;
mod onnx;
mod process;
mod report;
mod setup;
mod sim;
mod test;
mod verifier;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::report::Report;
use crate::workspace::Workspace;

/// The project's tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what demo and tests need beyond Rust, Node and Python.
    Setup,
    /// Set up, build and run `hygeia demo`; its flags are passed on.
    Demo(Passed),
    /// Set up and run every test and check of the project.
    Test,
    /// Run exactly what continuous integration runs.
    Ci,
    /// Regenerate the committed files that are made by a program.
    Gen {
        /// Change nothing; fail where a committed file differs.
        #[arg(long)]
        check: bool,
    },
    /// Build the binary with candle on CUDA; flags go to cargo. Needs no CUDA on this machine.
    Cuda(Passed),
    /// Pack the suite for machines with a GPU: archive and script need no Rust, CUDA toolkit or network there.
    GpuSuite(gpu_suite::Options),
    /// Run the benchmark suites, or the one named first; further flags go to it.
    Bench(Passed),
    /// Break the real parts one after the other, and time how each recovers.
    Faults(faults::Options),
    /// Simulate the agents under faults from seeds; flags go to it (`--help` says which).
    Sim(Passed),
}

/// Arguments that belong to the program behind the task.
#[derive(Args)]
#[command(disable_help_flag = true)]
struct Passed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let workspace = Workspace::locate()?;
    match Cli::parse().task {
        Task::Setup => setup::run(&workspace).map(drop),
        Task::Demo(passed) => demo::run(&workspace, &passed.args),
        Task::Test => {
            let mut report = Report::default();
            test::run(&workspace, &mut report);
            report.close()
        }
        Task::Ci => {
            let mut report = Report::default();
            test::lint(&workspace, &mut report);
            test::run(&workspace, &mut report);
            report.close()
        }
        Task::Gen { check } => {
            let mut report = Report::default();
            r#gen::run(&workspace, r#gen::Mode::from_flag(check), &mut report);
            report.close()
        }
        Task::Cuda(passed) => cuda::run(&workspace, &passed.args),
        Task::GpuSuite(options) => gpu_suite::run(&workspace, &options),
        Task::Bench(passed) => bench::run(&workspace, &passed.args),
        Task::Faults(options) => faults::run(&workspace, &options),
        Task::Sim(passed) => sim::run(&workspace, &passed.args),
    }
}
