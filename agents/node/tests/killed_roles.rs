//! Every role is killed with SIGKILL in the middle of its work and started again: nothing is lost, nothing happens twice.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use alloy::providers::Provider;
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent;
use hygeia_node::bus::Entry;
use hygeia_node::demo::network::{Network, ROLES};
use hygeia_node::demo::{replay, stays};
use hygeia_policies::care_coordinator::CareCoordinator::CareTriggered;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{Alert, AttestedWindow, Receipt, ScoredWindow, Settlement, SettlementStatus};
use hygeia_protocol::subject::Stream;
use support::{decoded, expected_windows, read_all};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Below every score, so that each patient's first window alerts, and every later one once the cool-down is over.
const THRESHOLD: i64 = -1_000_000;
/// Real stays replayed.
const STAYS: usize = 4;
/// Hours of each stay: two cool-downs and a bit.
const HOURS: u32 = 26;
/// Seconds of stay per second: the replay takes long enough to kill every role twice within it.
const SPEED: f64 = 4_000.0;
/// How long everything may take to come to rest after the replay.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_any_role_loses_nothing_and_triggers_nothing_twice() {
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
    for role in ROLES {
        network.start_role(role).unwrap();
    }

    let published = replay_while_killing(&mut network, &stays, &run).await;
    let stored: Vec<Entry> = read_all(&network.bus, Stream::Observations).await;
    assert_eq!(stored.len() as u64, published, "every observation is in the stream");

    // What the stream alone says must come out of it.
    let expected = expected_windows(&stored, &mandates);
    assert!(expected.len() > STAYS * 10, "the replay closes many windows, not {}", expected.len());
    wait_until_settled(&network, expected.len()).await;

    let windows: Vec<AttestedWindow> = decoded(&network.bus, Stream::Windows).await;
    let attested: BTreeSet<(B32, u64)> = windows.iter().map(|w| (w.mandate, w.end)).collect();
    assert_eq!(attested.len(), windows.len(), "no window is attested twice");
    assert_eq!(attested, expected, "no observation and no window is lost");

    let lines: Vec<ScoredWindow> = decoded(&network.bus, Stream::Ledger).await;
    let scored: BTreeSet<(B32, u64)> = lines.iter().map(|l| (l.mandate, l.end)).collect();
    assert_eq!((lines.len(), scored), (expected.len(), expected), "every window is in the ledger, once");

    let alerts: Vec<Alert> = decoded(&network.bus, Stream::Alerts).await;
    let receipts: Vec<Receipt> = decoded(&network.bus, Stream::Receipts).await;
    let settlements: Vec<Settlement> = decoded(&network.bus, Stream::Settlements).await;
    let distinct = |ids: Vec<B32>| ids.into_iter().collect::<BTreeSet<_>>();
    let alert_ids = distinct(alerts.iter().map(|a| a.alert_id).collect());
    assert!(alerts.len() >= STAYS, "every patient alerts at least once");
    assert_eq!(alert_ids.len(), alerts.len(), "no alert twice");
    assert_eq!(distinct(receipts.iter().map(|r| r.alert_id).collect()), alert_ids, "every alert is proved");
    assert_eq!(receipts.len(), alerts.len(), "no receipt twice");
    assert_eq!(distinct(settlements.iter().map(|s| s.alert_id).collect()), alert_ids, "every alert is settled");

    let reported: BTreeSet<B32> =
        settlements.iter().filter(|s| s.status == SettlementStatus::Triggered).map(|s| s.trigger_id).collect();
    let on_chain = triggers_on_chain(&network).await;
    let distinct_on_chain: BTreeSet<B32> = on_chain.iter().copied().collect();
    assert_eq!(distinct_on_chain.len(), on_chain.len(), "nothing is triggered twice");
    assert_eq!(reported, distinct_on_chain, "what the steward reports is what the chain holds");
    assert!(on_chain.len() >= STAYS, "each patient's first alert triggers care");

    network.stop().await;
}

/// Replays the stays; meanwhile kills one role after the other, twice round. The observations published.
async fn replay_while_killing(network: &mut Network, stays: &[stays::Stay], run: &str) -> u64 {
    let (bus, partitioner) = (network.bus.clone(), network.partitioner.clone());
    let (progress, _watched) = watch::channel(replay::Progress::default());
    let stop = CancellationToken::new();
    let replaying = replay::replay(&bus, &partitioner, stays, run, SPEED, &progress, &stop);
    let killing = async {
        for role in ROLES.into_iter().chain(ROLES) {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            network.kill_role(role).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            network.start_role(role).unwrap();
        }
    };
    let (replayed, ()) = tokio::join!(replaying, killing);

    replayed.unwrap().published
}

async fn wait_until_settled(network: &Network, windows: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let count = async |stream| network.bus.stream_state(stream).await.unwrap().0 as usize;
        let (ledger, alerts) = (count(Stream::Ledger).await, count(Stream::Alerts).await);
        let settled = count(Stream::Settlements).await;
        if ledger >= windows && settled >= alerts {
            // Room for a wrong repetition to show itself.
            tokio::time::sleep(Duration::from_secs(3)).await;
            return;
        }
        assert!(
            Instant::now() < until,
            "not at rest after {} s: {ledger} of {windows} windows in the ledger, {settled} of {alerts} alerts settled",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn triggers_on_chain(network: &Network) -> Vec<B32> {
    let filter = Filter::new()
        .address(network.deployment.care_coordinator)
        .event_signature(CareTriggered::SIGNATURE_HASH)
        .from_block(network.deployment.block);
    let logs = network.chain.provider.get_logs(&filter).await.unwrap();
    logs.iter().map(|log| B32::new(CareTriggered::decode_log(&log.inner).unwrap().triggerId.0)).collect()
}
