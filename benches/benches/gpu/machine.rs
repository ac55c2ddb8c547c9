//! What the system says of device, driver and clocks. None of its settings are ever changed.

use std::{fs, process::Command};

use serde_json::{Map, Value};

/// What is asked of the system's own tool.
const QUERIES: [&str; 11] = [
    "name",
    "driver_version",
    "compute_cap",
    "memory.total",
    "memory.used",
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "clocks.max.mem",
    "power.limit",
    "temperature.gpu",
];

/// The first device as `nvidia-smi` describes it; nothing where there is no such tool.
pub fn device() -> Value {
    let query = format!("--query-gpu={}", QUERIES.join(","));
    let output = Command::new("nvidia-smi").args([&query, "--format=csv,noheader", "--id=0"]).output();
    match output {
        Ok(output) if output.status.success() => described(&String::from_utf8_lossy(&output.stdout)),
        _ => Value::Null,
    }
}

fn described(line: &str) -> Value {
    let values = line.trim().split(", ").map(Value::from);
    Value::Object(QUERIES.map(str::to_owned).into_iter().zip(values).collect::<Map<_, _>>())
}

/// The kernel's driver as it names itself; nothing where there is none.
pub fn driver_module() -> Value {
    let text = fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    text.lines().next().map_or(Value::Null, Value::from)
}
