//! The demo as its users start it: what it prints, how it ends, and that nothing is left behind.

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// How long everything may take to be gone after Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(20);

fn demo(dir: &std::path::Path, more: &[&str]) -> Command {
    // Fails with what to do when the tools are not there.
    support::tools();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hygeia"));
    command.arg("demo").arg("--tools").arg(support::tools_dir()).arg("--dir").arg(dir).args(more);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_triggers_care_and_says_so_in_json() {
    let dir = tempfile::tempdir().unwrap();
    let output =
        demo(dir.path(), &["--json", "--stays", "4", "--hours", "24", "--speed", "20000"]).output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("standard output is one JSON object");
    for field in ["triggers_accepted", "alerts", "observations", "prove_ms", "proof_bytes", "gas"] {
        assert!(summary[field].as_u64().is_some_and(|n| n > 0), "{field} in {summary}");
    }
    for field in ["p50", "p99"] {
        assert!(summary["alert_latency_ms"][field].is_u64(), "{field} in {summary}");
    }
    assert_eq!(summary["order_holds"], true);
    let audit = &summary["audit"];
    for field in ["windows", "receipts"] {
        assert_eq!(audit[field], summary["scored"], "every inference is audited: {audit}");
    }
    assert_eq!(audit["verified_on_chain"], audit["batches"], "{audit}");
    assert!(audit["batches"].as_u64().is_some_and(|batches| batches > 0), "{audit}");
    for field in ["gas", "wall_us_per_window", "cpu_us_per_window", "twins_refused"] {
        assert!(audit[field].as_u64().is_some_and(|n| n > 0), "{field} in {audit}");
    }
    for trigger in summary["triggers"].as_array().unwrap() {
        let at = |name: &str| trigger[name].as_u64().unwrap();
        assert!(at("alerted_at_ms") <= at("proved_at_ms"), "the alert did not wait for its proof: {trigger}");
        assert!(at("proved_at_ms") <= at("settled_at_ms"), "the chain acted on a proof: {trigger}");
    }
}

/// The same way with EZKL's proofs, from the oracle's commitment to the trigger; nothing is audited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_triggers_care_on_proofs_of_ezkl() {
    let dir = tempfile::tempdir().unwrap();
    let policies = support::policies_dir();
    let arguments = ["--json", "--stays", "1", "--hours", "24", "--speed", "20000", "--engine", "ezkl", "--policies"];
    let output = demo(dir.path(), &arguments).arg(policies).output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("standard output is one JSON object");
    assert!(summary["triggers_accepted"].as_u64().is_some_and(|triggers| triggers > 0), "{summary}");
    assert_eq!(summary["proofs"], summary["alerts"], "{summary}");
    assert_eq!(summary["audit"], Value::Null, "{summary}");
    assert_eq!(summary["order_holds"], true);
    let receipt = std::fs::read_dir(dir.path().join("receipts")).unwrap().flatten().next().expect("a receipt is kept");
    let receipt: Value = serde_json::from_slice(&std::fs::read(receipt.path()).unwrap()).unwrap();
    assert_eq!(receipt["proof_system"], "ezkl-halo2-kzg-bn254-v1");
    // What the roles and EZKL's processes said; the stays' features are integers around the thousands.
    for log in ["prover", "oracle", "sentinel", "steward"] {
        let text = std::fs::read_to_string(dir.path().join(format!("{log}.log"))).unwrap();
        assert!(!text.contains("features") && !text.contains("input_data"), "{log}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_stops_everything_the_demo_started() {
    stopped_by("-INT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_demo_leaves_nothing_behind() {
    stopped_by("-KILL").await;
}

async fn stopped_by(signal: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut running = demo(dir.path(), &["--stays", "2", "--speed", "60"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(running.stderr.take().unwrap()).lines();
    while let Some(line) = said.next_line().await.unwrap() {
        if line.contains("replaying") {
            break;
        }
    }
    let mark = dir.path().to_str().unwrap();
    assert!(processes_naming(mark) > 3, "the demo, its broker and its roles run");

    let id = running.id().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    // Its words must be read, or it could not say its last ones.
    let reading = tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
    let status = tokio::time::timeout(PATIENCE, running.wait()).await.expect("the demo ends on the signal").unwrap();
    reading.await.unwrap();
    assert!(!status.success(), "a demo that was stopped has not shown a trigger");

    let until = Instant::now() + PATIENCE;
    while processes_naming(mark) > 0 {
        assert!(Instant::now() < until, "processes are left behind");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Processes whose command line names `mark`.
fn processes_naming(mark: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().chars().all(|c| c.is_ascii_digit()))
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(mark))
        .count()
}
