//! Several processes of each stateful role, killed, stopped and woken up, and asked to end: what comes out is what one
//! process would have given, and a process that slept through its leases changes nothing and lives on.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use hygeia_node::bus::Entry;
use hygeia_node::cli::Role;
use hygeia_node::demo::network::Network;
use hygeia_node::demo::processes::Process;
use hygeia_node::demo::{replay, stays};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{Alert, AttestedWindow, ProofRequest, ScoredWindow};
use hygeia_protocol::subject::Stream;
use support::{decoded, expected_windows, read_all};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Below every score, so that each patient's first window alerts, and every later one once the cool-down is over.
const THRESHOLD: i64 = -1_000_000;
/// Real stays replayed.
const STAYS: usize = 12;
/// Hours of each stay: two cool-downs and a bit.
const HOURS: u32 = 26;
/// Seconds of stay per second: the replay lasts longer than all that is done to the replicas.
const SPEED: f64 = 3_000.0;
/// Time of a lease.
const LEASE: Duration = Duration::from_secs(2);
/// How long everything may take to come to rest after the replay.
const PATIENCE: Duration = Duration::from_secs(120);

/// One process of a role.
struct Replica {
    process: Process,
    log: std::path::PathBuf,
}

impl Replica {
    fn start(network: &Network, dir: &Path, role: Role, name: &str) -> Self {
        let mut command = network.replica_command(role);
        command.args(["--member", name, "--lease-s", &LEASE.as_secs().to_string()]);
        let log = dir.join(format!("{}-{name}.log", role.name()));
        Self { process: Process::spawn(role.name(), command, Some(&log)).unwrap(), log }
    }

    async fn signal(&self, signal: &str) {
        let id = self.process.id().unwrap().to_string();
        assert!(tokio::process::Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_are_killed_stopped_and_replaced_give_what_one_would() {
    let dir = tempfile::tempdir().unwrap();
    let tools = support::tools();
    let mut network = support::network(&tools, dir.path(), Some(THRESHOLD)).await;
    let stays = stays::read(&tools.stays(), STAYS, HOURS).unwrap();
    let run = network.run_tag();
    let mut mandates = BTreeMap::new();
    for stay in &stays {
        let patient = replay::pseudonym(stay, &run).unwrap();
        let mandate = network.enrol(patient.clone()).await.unwrap();
        mandates.insert(patient, B32::new(mandate.0));
    }
    network.mine_by_interval().await.unwrap();

    let published = replay_over_changing_replicas(&network, dir.path(), &stays, &run).await;
    let stored: Vec<Entry> = read_all(&network.bus, Stream::Observations).await;
    assert_eq!(stored.len() as u64, published.replayed, "every observation is in the stream");
    let expected = expected_windows(&stored, &mandates);
    assert!(expected.len() > STAYS * 10, "the replay closes many windows, not {}", expected.len());
    wait_for_ledger(&network, expected.len()).await;

    let windows: Vec<AttestedWindow> = decoded(&network.bus, Stream::Windows).await;
    let attested: BTreeSet<(B32, u64)> = windows.iter().map(|w| (w.mandate, w.end)).collect();
    assert_eq!((attested.len(), &attested), (windows.len(), &expected), "every window is attested, once");
    let lines: Vec<ScoredWindow> = decoded(&network.bus, Stream::Ledger).await;
    let scored: BTreeSet<(B32, u64)> = lines.iter().map(|l| (l.mandate, l.end)).collect();
    assert_eq!((lines.len(), &scored), (expected.len(), &expected), "every window is in the ledger, once");
    in_order(&windows.iter().map(|w| (w.mandate, w.end)).collect::<Vec<_>>());
    in_order(&lines.iter().map(|l| (l.mandate, l.end)).collect::<Vec<_>>());

    // The threshold is below every score, so a patient is called for once in each cool-down and at each escalation.
    let alerts: Vec<Alert> = decoded(&network.bus, Stream::Alerts).await;
    let alerted: BTreeSet<B32> = alerts.iter().map(|a| a.window_id).collect();
    let called: BTreeSet<B32> =
        lines.iter().filter(|l| matches!(&*l.outcome, "alert" | "escalation")).map(|l| l.window_id).collect();
    assert_eq!((alerts.len(), &alerted), (called.len(), &called), "an alert for each line that says so, once");
    let patients: BTreeSet<B32> = alerts.iter().map(|a| a.mandate).collect();
    assert_eq!(patients.len(), STAYS, "every patient alerts");
    let requests: Vec<ProofRequest> = decoded(&network.bus, Stream::ProofRequests).await;
    let asked: BTreeSet<B32> = requests.iter().map(|r| r.alert_id).collect();
    assert_eq!(
        (requests.len(), asked),
        (alerts.len(), alerts.iter().map(|a| a.alert_id).collect()),
        "proofs are asked for"
    );

    published.replicas.into_iter().for_each(drop);
    network.stop().await;
}

struct Published {
    replayed: u64,
    replicas: Vec<Replica>,
}

/// Replays the stays while the replicas change.
async fn replay_over_changing_replicas(network: &Network, dir: &Path, stays: &[stays::Stay], run: &str) -> Published {
    let (progress, _watched) = watch::channel(replay::Progress::default());
    let stop = CancellationToken::new();
    let replaying = replay::replay(&network.bus, &network.partitioner, stays, run, SPEED, &progress, &stop);
    let changing = async {
        let start = |role, name: &str| Replica::start(network, dir, role, name);
        let (mut oracle_a, oracle_b) = (start(Role::Oracle, "a"), start(Role::Oracle, "b"));
        let (mut sentinel_a, sentinel_b) = (start(Role::Sentinel, "a"), start(Role::Sentinel, "b"));
        tokio::time::sleep(LEASE * 3).await;

        // Asked to end: handed over, and ended by itself.
        assert!(sentinel_a.process.stop().await, "the sentinel ends when it is asked to");
        let sentinel_c = start(Role::Sentinel, "c");
        oracle_a.process.kill().await;
        let oracle_c = start(Role::Oracle, "c");
        tokio::time::sleep(LEASE * 2).await;

        // Stopped for longer than the leases last, then woken up.
        for sleeper in [&oracle_b, &sentinel_b] {
            sleeper.signal("-STOP").await;
        }
        tokio::time::sleep(LEASE * 3).await;
        for sleeper in [&oracle_b, &sentinel_b] {
            sleeper.signal("-CONT").await;
        }
        tokio::time::sleep(LEASE * 2).await;
        vec![oracle_b, oracle_c, sentinel_b, sentinel_c]
    };
    let (replayed, mut replicas) = tokio::join!(replaying, changing);
    for replica in &mut replicas {
        assert!(replica.process.exited().unwrap().is_none(), "it lives: {}", replica.log());
    }
    for sleeper in [&replicas[0], &replicas[2]] {
        let log = sleeper.log();
        let lost = log.contains("fenced: nothing more") || log.contains("the partition is another's by now");
        assert!(lost, "the sleeper has seen that its partitions are another's: {log}");
    }
    Published { replayed: replayed.unwrap().published, replicas }
}

/// Windows of one mandate stand in the order of their ends.
fn in_order(stored: &[(B32, u64)]) {
    let mut newest: BTreeMap<B32, u64> = BTreeMap::new();
    for (mandate, end) in stored {
        let before = newest.insert(*mandate, *end);
        assert!(before.is_none_or(|before| before < *end), "a patient's windows are out of order");
    }
}

async fn wait_for_ledger(network: &Network, windows: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (lines, _) = network.bus.stream_state(Stream::Ledger).await.unwrap();
        if lines as usize >= windows {
            // Room for a wrong repetition to show itself.
            tokio::time::sleep(Duration::from_secs(2)).await;
            return;
        }
        assert!(Instant::now() < until, "{lines} of {windows} windows are in the ledger after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// One call a minute for the whole ward: what is above it is not called, and stands in the ledger with its reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_above_the_wards_limit_is_held_back_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let tools = support::tools();
    let mut network = support::network(&tools, dir.path(), Some(THRESHOLD)).await;
    let stays = stays::read(&tools.stays(), 6, 4).unwrap();
    let run = network.run_tag();
    let mut mandates = BTreeMap::new();
    for stay in &stays {
        let patient = replay::pseudonym(stay, &run).unwrap();
        let mandate = network.enrol(patient.clone()).await.unwrap();
        mandates.insert(patient, B32::new(mandate.0));
    }
    network.mine_by_interval().await.unwrap();
    let _oracle = Replica::start(&network, dir.path(), Role::Oracle, "a");
    let mut command = network.replica_command(Role::Sentinel);
    command.args(["--alerts-per-ward", "1", "--health-addr"]);
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    command.arg(address.to_string());
    let _sentinel = Process::spawn("sentinel", command, Some(&dir.path().join("sentinel.log"))).unwrap();

    let (progress, _watched) = watch::channel(replay::Progress::default());
    let stop = CancellationToken::new();
    let replaying = replay::replay(&network.bus, &network.partitioner, &stays, &run, 50_000.0, &progress, &stop);
    replaying.await.unwrap();
    let expected = expected_windows(&read_all(&network.bus, Stream::Observations).await, &mandates);
    wait_for_ledger(&network, expected.len()).await;

    let lines: Vec<ScoredWindow> = decoded(&network.bus, Stream::Ledger).await;
    let alerts: Vec<Alert> = decoded(&network.bus, Stream::Alerts).await;
    let of = |outcome: &str| -> BTreeSet<B32> {
        lines.iter().filter(|line| line.outcome == outcome).map(|line| line.window_id).collect()
    };
    let alerted: BTreeSet<B32> = alerts.iter().map(|alert| alert.window_id).collect();
    let held_back = of("suppressed_rate_limit");
    assert!(!held_back.is_empty(), "six patients at the threshold, and one call a minute");
    assert!(held_back.is_disjoint(&alerted), "what the ledger says was held back was");
    assert!(of("escalation").is_subset(&alerted), "no escalation is held back");
    assert_eq!(&of("alert") | &of("escalation"), alerted);
    let metrics = metrics(&address.to_string()).await;
    let counted = format!("hygeia_alerts_suppressed_total{{kind=\"suppressed_ward_limit\"}} {}", held_back.len());
    assert!(metrics.contains(&counted), "{counted} is not in {metrics}");
    network.stop().await;
}

/// What a process shows at its health address.
async fn metrics(address: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).await.unwrap();
    text
}
