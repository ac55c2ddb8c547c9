//! The broker as an operator sets it up: who may log in, accounts that do not see each other, and whether it syncs.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hygeia_node::bus::{Bus, BusError, BusSettings, Login, SyncMode, sync_mode};
use hygeia_node::demo::processes::Process;
use hygeia_protocol::subject::{self, Partition, Stream};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(20);

/// A nats-server of this configuration on free ports: its address, and that of its monitoring.
struct Server {
    _process: Process,
    nats: String,
    monitor: String,
}

impl Server {
    async fn start(dir: &Path, config: &str) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let file = dir.join("nats.conf");
        let text = format!("http: \"127.0.0.1:-1\"\nlisten: \"127.0.0.1:-1\"\nports_file_dir: {:?}\n{config}", dir);
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(support::tools_dir().join("bin/nats-server"));
        command.arg("-c").arg(&file).arg("-l").arg(dir.join("nats.log"));
        let process = Process::spawn("nats-server", command, None).unwrap();
        let ports = dir.join(format!("nats-server_{}.ports", process.id().unwrap()));
        let started = std::time::Instant::now();
        loop {
            let text = std::fs::read_to_string(&ports).unwrap_or_default();
            let address = |scheme: &str| text.split('"').find(|part| part.starts_with(scheme)).map(str::to_owned);
            if let (Some(nats), Some(monitor)) = (address("nats://"), address("http://")) {
                return Self { _process: process, nats, monitor };
            }
            assert!(started.elapsed() < PATIENCE, "nats-server does not listen: {config}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn jetstream(dir: &Path, more: &str) -> String {
    format!("jetstream {{ store_dir: {:?} {more} }}\n", dir.join("store"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_says_whether_it_syncs() {
    let dir = tempfile::tempdir().unwrap();
    for (name, more, expected) in [
        ("default", "", SyncMode::Every(Duration::from_secs(120))),
        ("often", ", sync_interval: 3s", SyncMode::Every(Duration::from_secs(3))),
        ("always", ", sync_interval: always", SyncMode::Always),
    ] {
        let dir = dir.path().join(name);
        let server = Server::start(&dir, &jetstream(&dir, more)).await;
        assert_eq!(sync_mode(&server.monitor).await.unwrap(), expected, "{name}");
        assert_eq!(sync_mode(&format!("{}/", server.monitor)).await.unwrap(), expected, "{name}");
        let wrong = format!("{}/nowhere", server.monitor);
        assert!(sync_mode(&wrong).await.unwrap_err().to_string().contains(&wrong), "an address that is none");
    }
    let bare = Server::start(&dir.path().join("bare"), "").await;
    assert_eq!(sync_mode(&bare.monitor).await.unwrap(), SyncMode::NoJetStream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_network_logs_in_to_an_account_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = "accounts {\n\
        NORTH { jetstream: enabled, users: [ { user: north, password: n0rth } ] }\n\
        SOUTH { jetstream: enabled, users: [ { user: south, password: s0uth } ] }\n}\n";
    let server = Server::start(dir.path(), &format!("{}{accounts}", jetstream(dir.path(), ""))).await;
    let login = |user: &str, password: &str| {
        let file = dir.path().join(format!("{user}-{password}"));
        std::fs::write(&file, format!("{password}\n")).unwrap();
        let login = Login::Password { user: user.to_owned(), file };
        BusSettings { login, ..BusSettings::open(&server.nats) }
    };
    let (north, south) = (login("north", "n0rth"), login("south", "s0uth"));
    let buses = [Bus::open(&north, PATIENCE).await.unwrap(), Bus::open(&south, PATIENCE).await.unwrap()];
    for bus in &buses {
        bus.ensure_streams().await.unwrap();
    }
    let subject = subject::observation(Partition(0));
    buses[0].publish(Stream::Observations, subject, "id", b"north's own".to_vec()).await.unwrap();
    assert_eq!(buses[0].stream_state(Stream::Observations).await.unwrap(), (1, 1));
    assert_eq!(buses[1].stream_state(Stream::Observations).await.unwrap(), (0, 0));

    for refused in [login("north", "s0uth"), login("nobody", "n0rth"), BusSettings::open(&server.nats)] {
        let result = Bus::open(&refused, Duration::from_millis(300)).await;
        assert!(matches!(result, Err(BusError::Unreachable { .. })), "logs in as {:?}", refused.login);
    }
    let missing = PathBuf::from("nowhere.creds");
    let settings = BusSettings { login: Login::Credentials(missing.clone()), ..BusSettings::open(&server.nats) };
    let result = Bus::open(&settings, PATIENCE).await;
    assert!(matches!(result, Err(BusError::Login { path, .. }) if path == missing), "it names the file at once");
}
