//! The broker killed, stopped, with a full disk, and started again with nothing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::scene::{STAYS, Scene, THRESHOLD, send};
use crate::{support, tally};

/// How long the server is stopped.
const STOPPED: Duration = Duration::from_secs(12);
/// The disk of the server.
const DISK: &str = "64m";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more; `cargo xtask faults` runs it"]
async fn the_broker_may_be_killed_and_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let replaying = scene.replay(Duration::from_secs(60));
    tokio::time::sleep(Duration::from_secs(4)).await;
    scene.network.nats.kill().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.network.nats.restart().await.unwrap();
    scene.time_recovery("nats-server killed").await;

    tokio::time::sleep(Duration::from_secs(4)).await;
    let server = scene.network.nats.id().expect("the server runs");
    send(server, Signal::STOP);
    tokio::time::sleep(STOPPED).await;
    send(server, Signal::CONT);
    scene.time_recovery("nats-server stopped").await;
    scene.check(replaying).await;
}

/// A disk of its own needs the right to mount; without it there is nothing to see here, and the test says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more; `cargo xtask faults` runs it"]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("nats/store");
    let Some(disk) = Disk::mount(&store) else {
        eprintln!("> not run: mounting a small disk needs the right to do so");
        return;
    };
    let mut scene = Scene::begin(dir.path()).await;
    let replaying = scene.replay(Duration::from_secs(60));
    tokio::time::sleep(Duration::from_secs(6)).await;
    let ballast = fill(&store);
    // Long enough for every role to run into it.
    scene.supervised(tokio::time::sleep(Duration::from_secs(12))).await;
    std::fs::remove_file(ballast).unwrap();
    // JetStream stands still once its disk was full: the server has to be started again.
    scene.network.nats.restart().await.unwrap();
    scene.time_recovery("broker's disk full").await;
    scene.check(replaying).await;
    drop(disk);
}

/// What the broker held is gone, the salts of the enrolments with it. A window signed again with another salt would be an
/// equivocation, so the patients consent anew; what is on the chain stands, and nothing is triggered twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more; `cargo xtask faults` runs it"]
async fn a_broker_that_starts_with_nothing_is_set_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let network = support::network(&support::tools(), dir.path(), Some(THRESHOLD)).await;
    let mut scene = Scene::of(network).await;
    scene.start_roles();
    let first = scene.replay(Duration::from_secs(10));
    scene.supervised(first).await.unwrap();
    scene.wait_for_triggers(STAYS).await;
    let before = tally::triggers_on_chain(&scene.network).await;

    scene.network.nats.kill().await;
    std::fs::remove_dir_all(dir.path().join("nats/store")).unwrap();
    scene.network.nats.restart().await.unwrap();
    scene.supervised(tokio::time::sleep(Duration::from_secs(2))).await;
    scene.enrol_again().await;
    let second = scene.replay(Duration::from_secs(20));
    scene.time_recovery("broker started with nothing").await;
    scene.supervised(second).await.unwrap();
    scene.wait_for_triggers(before.len() + STAYS).await;
    let after = tally::triggers_on_chain(&scene.network).await;
    assert!(before.iter().all(|trigger| after.contains(trigger)), "what was settled stands");
    let distinct: std::collections::BTreeSet<_> = after.iter().collect();
    assert_eq!(distinct.len(), after.len(), "nothing is triggered twice");
    scene.network.stop().await;
}

/// A small file system, gone with its owner.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={DISK}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Takes all the room that is left.
fn fill(folder: &Path) -> std::path::PathBuf {
    use std::io::Write as _;
    let path = folder.join("ballast");
    let mut file = std::fs::File::create(&path).unwrap();
    let block = vec![1; 1 << 16];
    while file.write_all(&block).is_ok() {}
    path
}
