//! What a suite gave on one machine, as it is committed.

use std::process::Command;

use serde_json::{Map, Value, json};

/// Figures under a heading of date, command and machine; the headline figures come first.
pub fn text(command: &str, headline: Value, figures: Value) -> String {
    let about = json!({
        "date": said(Command::new("date").args(["-u", "+%F"])),
        "command": command,
        "profile": "dev (optimised; see the workspace manifest)",
        "machine": { "cpu": processor(), "cores": std::thread::available_parallelism().map_or(0, usize::from),
                     "load_average": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim() },
    });
    let record: Map<String, Value> = [headline, about, figures]
        .into_iter()
        .flat_map(|part| match part {
            Value::Object(fields) => fields,
            other => unreachable!("{other} is no object"),
        })
        .collect();
    serde_json::to_string_pretty(&record).expect("it is JSON") + "\n"
}

fn said(command: &mut Command) -> String {
    command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned()
}
