//! A prover that gets no memory.

use std::time::Duration;

use hygeia_node::cli::Role;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::scene::Scene;

/// Less than a proof needs on top of what the process holds already.
const ROOM: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more; `cargo xtask faults` runs it"]
async fn a_prover_may_run_out_of_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let replaying = scene.replay(Duration::from_secs(40));
    tokio::time::sleep(Duration::from_secs(6)).await;
    // The process is at its limit, whatever that is now: its next proof ends it, and it is started again.
    let prover = scene.network.role_id(Role::Prover).expect("the prover runs");
    let held = held_bytes(prover);
    let limit = Rlimit { current: Some(held + ROOM), maximum: Some(held + ROOM) };
    let id = Pid::from_raw(i32::try_from(prover).unwrap());
    prlimit(id, Resource::Data, limit).unwrap();
    scene.time_recovery("prover out of memory").await;
    scene.check(replaying).await;
}

/// What counts against the limit of a process's data.
fn held_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}
