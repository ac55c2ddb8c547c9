//! The clock of every role jumps hours ahead and back.
//!
//! No kernel gives one process another time of day, so a small library in front of the C library does; what the roles
//! make of it is real.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::scene::{Scene, THRESHOLD};
use crate::support;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more; `cargo xtask faults` runs it"]
async fn clocks_may_jump() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = support::network(&support::tools(), dir.path(), Some(THRESHOLD)).await;
    let offset = dir.path().join("clock-offset");
    set(&offset, 0);
    network.set_environment("LD_PRELOAD", shim(dir.path()).to_str().unwrap());
    network.set_environment("HYGEIA_TEST_CLOCK", offset.to_str().unwrap());
    let mut scene = Scene::of(network).await;
    scene.start_roles();
    let replaying = scene.replay(Duration::from_secs(60));
    for (name, hours) in [("clock six hours ahead", 6), ("clock right again", 0), ("clock six hours behind", -6)] {
        tokio::time::sleep(Duration::from_secs(5)).await;
        set(&offset, hours * 3_600);
        scene.time_recovery(name).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    set(&offset, 0);
    scene.check(replaying).await;
}

/// The library reads these eight bytes at every question for the time.
fn set(path: &Path, seconds: i64) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
}

fn shim(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/clock.c");
    let library = dir.join("clock.so");
    let built =
        Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    assert!(built.unwrap().success(), "a C compiler builds the clock");
    library
}
