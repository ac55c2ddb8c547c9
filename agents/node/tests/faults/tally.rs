//! What must have come out of the observations that the broker stored, and whether it did.

use std::collections::{BTreeMap, BTreeSet};

use alloy::providers::Provider;
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent;
use hygeia_node::bus::{Bus, Entry, OrderedReader};
use hygeia_node::demo::network::Network;
use hygeia_policies::care_coordinator::CareCoordinator::CareTriggered;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::message::{Alert, AttestedWindow, Message, Receipt, ScoredWindow, Settlement, SettlementStatus};
use hygeia_protocol::observation::{Limits, Observation};
use hygeia_protocol::subject::Stream;
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig};

/// A mandate and the end of a window.
pub type Place = (B32, u64);

/// The windows that the stored observations close, by the pure state machine.
pub async fn expected_windows(bus: &Bus, mandates: &BTreeMap<PatientId, B32>) -> BTreeSet<Place> {
    let mut machines: BTreeMap<PatientId, PatientWindow> = BTreeMap::new();
    let mut windows = BTreeSet::new();
    for entry in read_all(bus, Stream::Observations).await {
        let received = Timestamp::from_millis(entry.stored_at_ms);
        let Ok(observation) = Observation::decode(&entry.payload, received, &Limits::default()) else { continue };
        let Some(mandate) = mandates.get(observation.patient()) else { continue };
        let machine = machines
            .entry(observation.patient().clone())
            .or_insert_with(|| PatientWindow::new(WindowConfig::default()));
        for snapshot in machine.observe(&observation).unwrap_or_default() {
            windows.insert((*mandate, snapshot.end.as_seconds()));
        }
    }
    windows
}

/// Every window attested once and scored once, every alert proved once and settled once, and on the chain what the
/// settlements say.
pub async fn check(network: &Network, expected: &BTreeSet<Place>, patients: usize) {
    let bus = &network.bus;
    let windows: Vec<AttestedWindow> = decoded(bus, Stream::Windows).await;
    let attested: BTreeSet<Place> = windows.iter().map(|w| (w.mandate, w.end)).collect();
    assert_eq!(attested.len(), windows.len(), "no window is attested twice");
    assert_eq!(&attested, expected, "no observation and no window is lost");

    let lines: Vec<ScoredWindow> = decoded(bus, Stream::Ledger).await;
    let scored: BTreeSet<Place> = lines.iter().map(|l| (l.mandate, l.end)).collect();
    assert_eq!((lines.len(), &scored), (expected.len(), expected), "every window is in the ledger, once");

    let alerts: Vec<Alert> = decoded(bus, Stream::Alerts).await;
    let receipts: Vec<Receipt> = decoded(bus, Stream::Receipts).await;
    let settlements: Vec<Settlement> = decoded(bus, Stream::Settlements).await;
    let distinct = |ids: Vec<B32>| ids.into_iter().collect::<BTreeSet<_>>();
    let alert_ids = distinct(alerts.iter().map(|a| a.alert_id).collect());
    assert!(alerts.len() >= patients, "every patient alerts at least once");
    assert_eq!(alert_ids.len(), alerts.len(), "no alert twice");
    assert_eq!(distinct(receipts.iter().map(|r| r.alert_id).collect()), alert_ids, "every alert is proved");
    assert_eq!(receipts.len(), alerts.len(), "no receipt twice");
    assert_eq!(distinct(settlements.iter().map(|s| s.alert_id).collect()), alert_ids, "every alert is settled");

    let reported: BTreeSet<B32> =
        settlements.iter().filter(|s| s.status == SettlementStatus::Triggered).map(|s| s.trigger_id).collect();
    let on_chain = triggers_on_chain(network).await;
    let distinct_on_chain: BTreeSet<B32> = on_chain.iter().copied().collect();
    assert_eq!(distinct_on_chain.len(), on_chain.len(), "nothing is triggered twice");
    assert_eq!(reported, distinct_on_chain, "what the stewards report is what the chain holds");
    assert!(on_chain.len() >= patients, "each patient's first alert triggers care");
}

/// The triggers that the chain holds now.
pub async fn triggers_on_chain(network: &Network) -> Vec<B32> {
    let filter = Filter::new()
        .address(network.deployment.care_coordinator)
        .event_signature(CareTriggered::SIGNATURE_HASH)
        .from_block(network.deployment.block);
    let logs = network.chain.provider.get_logs(&filter).await.unwrap();
    logs.iter().map(|log| B32::new(CareTriggered::decode_log(&log.inner).unwrap().triggerId.0)).collect()
}

/// Everything of a type that a stream holds.
pub async fn decoded<T: Message>(bus: &Bus, stream: Stream) -> Vec<T> {
    read_all(bus, stream).await.iter().map(|entry| T::decode(&entry.payload).unwrap()).collect()
}

/// How many messages of its kind a stream holds: markers of fences are none.
pub async fn count(bus: &Bus, stream: Stream) -> usize {
    read_all(bus, stream).await.len()
}

async fn read_all(bus: &Bus, stream: Stream) -> Vec<Entry> {
    let (_, last) = bus.stream_state(stream).await.unwrap();
    let mut entries = Vec::new();
    if last == 0 {
        return entries;
    }
    let mut reader = OrderedReader::open(bus, stream, Vec::new(), 1).await.unwrap();
    loop {
        let entry = reader.next().await.unwrap();
        let end = entry.sequence >= last;
        if !entry.subject.starts_with("fence.") {
            entries.push(entry);
        }
        if end {
            return entries;
        }
    }
}
