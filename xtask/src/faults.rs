//! `cargo xtask faults`: breaks the real parts one after the other, and prints how long each took to recover.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::workspace::{TOOLS_VARIABLE, Workspace};
use crate::{process, setup};

/// Where the tests write a line of JSON for each recovery.
const RECORD_VARIABLE: &str = "HYGEIA_FAULT_RECORD";

/// What the task is given.
#[derive(clap::Args)]
pub struct Options {
    /// Only the tests whose names hold this.
    filter: Option<String>,
    /// Write the record to this file instead of printing it.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs the tests one at a time, so that no fault shares the machine with another.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let tools = setup::run(workspace)?;
    let lines = tools.root().join("faults.jsonl");
    if lines.exists() {
        std::fs::remove_file(&lines)?;
    }
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--workspace", "--test", "faults", "--"]).args(&options.filter);
    cargo.args(["--ignored", "--test-threads", "1", "--nocapture"]);
    cargo.env(TOOLS_VARIABLE, tools.root()).env(RECORD_VARIABLE, &lines);
    process::run_aside(&mut cargo)?;
    let record = record(&std::fs::read_to_string(&lines).context("no recovery was timed")?)?;
    match &options.json {
        Some(path) => std::fs::write(path, record).with_context(|| format!("writing {}", path.display()))?,
        None => print!("{record}"),
    }
    Ok(())
}

fn record(lines: &str) -> Result<String> {
    let recoveries = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let date = process::capture(std::process::Command::new("date").args(["-u", "+%F"]))?;
    let record = json!({
        "date": date.trim(),
        "command": "cargo xtask faults --json FILE",
        "machine": {
            "cpu": processor,
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "load_average": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        },
        "meaning": "milliseconds from the end of the fault until the next window stood scored in the ledger, under a \
                    steady replay of real stays; at the end of each test every count was compared: nothing lost, nothing \
                    twice",
        "recoveries": recoveries,
    });
    Ok(serde_json::to_string_pretty(&record)? + "\n")
}
