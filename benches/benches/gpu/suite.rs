//! All parts, one after the other, and the record of them.

use std::{
    env, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use hygeia_benches::{Arguments, measure::rounded, record};
use hygeia_gpu_kernels::cuda::nvrtc;
use serde_json::{Value, json};

use crate::{
    machine,
    part::{Outcome, Part},
    place::Place,
};

/// Longest that all parts together may take on a device: with the sanitizer's checks before them, all within eight
/// minutes.
const SUITE_LIMIT: Duration = Duration::from_secs(290);
/// Least that is left for a part to be started.
const PART_LEAST: Duration = Duration::from_secs(5);

/// Runs every part, writes and prints the record, and says whether everything passed.
pub fn run<P: Place>(device: &str, arguments: &Arguments) -> bool {
    let (start, before) = (Instant::now(), machine::device());
    let parts: Vec<(Part, Outcome, f64)> = Part::ALL.into_iter().map(|part| one::<P>(part, arguments, start)).collect();
    let failures =
        parts.iter().filter_map(|(part, outcome, _)| Some(format!("{}: {}", part.name(), outcome.failure.as_ref()?)));
    let sanitizer = arguments.has("--sanitizer-failed").then(|| "sanitizer".to_owned());
    let failed: Vec<String> = sanitizer.into_iter().chain(failures).collect();
    let is_passed = failed.is_empty();
    let headline = json!({
        "device": device,
        "is_passed": is_passed,
        "failed": failed,
        "ratio_audit_vs_cpu": figure(&parts, "windows", 1024, "ratio_vs_cpu"),
        "msm_2_20_ms": figure(&parts, "log_n", 20, "msm_ms"),
        "ntt_2_20_ms": figure(&parts, "log_n", 20, "ntt_ms"),
    });
    let figures = json!({
        "sanitizer": arguments.value("--sanitizer"),
        "nvrtc": nvrtc::version().ok().map(|(major, minor)| format!("{major}.{minor}")),
        "driver": { "before": before, "after": machine::device(), "module": machine::driver_module() },
        "took_s": rounded(start.elapsed().as_secs_f64(), 1),
        "method": {
            "kernels": "data on the device; clock of the host around a call and a wait for the device, median of 7 after \
                        one; bases are fixed and have their tables, scalars are random; sizes up to 2^20 fit the caches \
                        of large devices",
            "proofs": "witness, proof and its verification by halo2-axiom; median of the runs after one that warms \
                       caches; device and processor take turns on the same windows; the processor's is our own prover \
                       on all cores",
            "memory": "resident_bytes: what a prepared key keeps on the device; peak_bytes: the most beside it that was \
                       seen during a proof, looked at each fifth of a millisecond",
        },
        "parts": parts.iter().map(|(part, outcome, took_s)| json!({
            "part": part.name(), "failure": outcome.failure, "took_s": rounded(*took_s, 1), "cases": outcome.cases,
        })).collect::<Vec<_>>(),
    });
    let text = record::text("cargo xtask gpu-suite; run.sh", headline, figures);
    println!("{text}");
    write(&text) && is_passed
}

fn one<P: Place>(part: Part, arguments: &Arguments, start: Instant) -> (Part, Outcome, f64) {
    let elapsed = || start.elapsed().as_secs_f64();
    let begin = elapsed();
    let left = (SUITE_LIMIT * P::SCALE.patience).saturating_sub(start.elapsed());
    eprintln!("[{begin:6.1} s] {}", part.name());
    let outcome = if left < PART_LEAST {
        Outcome { cases: Vec::new(), failure: Some("no time was left".to_owned()) }
    } else {
        let limit = left.min(part.limit() * P::SCALE.patience);
        part.run_apart(&flags(arguments), limit, |case| eprintln!("[{:6.1} s]   {case}", elapsed()))
    };
    if let Some(failure) = &outcome.failure {
        eprintln!("[{:6.1} s] {} FAILED: {failure}", elapsed(), part.name());
    }
    (part, outcome, elapsed() - begin)
}

/// Flags that parts are started with.
fn flags(arguments: &Arguments) -> Vec<String> {
    let emulated = arguments.has("--emulated").then(|| "--emulated".to_owned());
    let values = ["--log-max", "--runs"].into_iter().filter_map(|name| Some([name.to_owned(), arguments.value(name)?]));
    emulated.into_iter().chain(values.flatten()).collect()
}

/// A figure of the first case in which a number is what it should be.
fn figure(parts: &[(Part, Outcome, f64)], key: &str, value: u64, name: &str) -> Value {
    let mut cases = parts.iter().flat_map(|(_, outcome, _)| &outcome.cases);
    cases.find(|case| case[key] == value).map_or(Value::Null, |case| case[name].clone())
}

/// Writes the record, and says whether it could.
fn write(text: &str) -> bool {
    let folder = env::var_os("OUT").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let path = folder.join("record.json");
    let written = fs::write(&path, text);
    match &written {
        Ok(()) => eprintln!("wrote {}", path.display()),
        Err(error) => eprintln!("{}: {error}", path.display()),
    }
    written.is_ok()
}
