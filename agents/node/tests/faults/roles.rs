//! Every role killed, and every role stopped for longer than its lease, in the middle of its work.

use std::time::Duration;

use hygeia_node::demo::network::ROLES;
use rustix::process::Signal;

use crate::scene::Scene;

/// How long a role is stopped: longer than a lease of a partition, and than the broker waits for a sign of life.
const STOPPED: Duration = Duration::from_secs(18);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more; `cargo xtask faults` runs it"]
async fn every_role_may_be_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let replaying = scene.replay(Duration::from_secs(40));
    for role in ROLES {
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.network.kill_role(role).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        scene.network.start_role(role).unwrap();
        scene.time_recovery(&format!("{} killed", role.name())).await;
    }
    scene.check(replaying).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more; `cargo xtask faults` runs it"]
async fn every_role_may_be_stopped_for_longer_than_its_lease() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let replaying = scene.replay(Duration::from_secs(120));
    for role in ROLES {
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.signal(role, Signal::STOP);
        tokio::time::sleep(STOPPED).await;
        scene.signal(role, Signal::CONT);
        scene.time_recovery(&format!("{} stopped", role.name())).await;
    }
    scene.check(replaying).await;
}
