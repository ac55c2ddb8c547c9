//! What the broker says: how much each stream holds, what waits in each queue, who owns which partition.

use std::collections::BTreeMap;
use std::time::Duration;

use hygeia_protocol::subject::Stream;
use serde::Deserialize;

use super::PATIENCE;
use crate::bus::{Bus, BusSettings, QueueState, StreamState};

/// Bucket with the leases of partitions: `ROLE.PARTITION` → owner and epoch.
const LEASE_BUCKET: &str = "hygeia_lease";
/// Queues whose durable consumer has a fixed name: what it is called in the view, its stream, its consumer.
const QUEUES: [(&str, Stream, &str); 2] =
    [("prove", Stream::ProofRequests, "prover"), ("receipts", Stream::Receipts, "steward")];

/// The broker at one time.
#[derive(Debug, Clone, Default)]
pub struct BrokerState {
    /// Whether it answered; `None` when nobody asked.
    pub is_up: Option<bool>,
    /// Its streams.
    pub streams: Vec<(Stream, StreamState)>,
    /// Its queues, by what they are called.
    pub queues: Vec<(&'static str, QueueState)>,
    /// Owner of each partition, by role.
    pub owners: BTreeMap<String, BTreeMap<u16, String>>,
}

/// A broker that may be away.
pub struct Broker {
    settings: BusSettings,
    bus: Option<Bus>,
}

/// What of a lease is shown.
#[derive(Debug, Deserialize)]
struct Lease {
    /// Nobody once it was released.
    owner: Option<String>,
}

impl Broker {
    /// Connects at the first look.
    pub fn new(settings: BusSettings) -> Self {
        Self { settings, bus: None }
    }

    /// Asks it.
    pub async fn state(&mut self) -> BrokerState {
        if self.bus.is_none() {
            let connecting = tokio::time::timeout(PATIENCE, Bus::open(&self.settings, Duration::ZERO));
            self.bus = connecting.await.ok().and_then(Result::ok);
        }
        let Some(bus) = &self.bus else { return BrokerState { is_up: Some(false), ..BrokerState::default() } };
        match tokio::time::timeout(PATIENCE, read(bus)).await {
            Ok(state) if !state.streams.is_empty() => state,
            Ok(_) | Err(_) => BrokerState { is_up: Some(false), ..BrokerState::default() },
        }
    }
}

/// What is not there yet is left out: a network that has just begun has no queues and no leases.
async fn read(bus: &Bus) -> BrokerState {
    let streams = Stream::ALL.into_iter().map(async |name| Some((name, bus.held(name).await.ok()?)));
    let queues = QUEUES
        .into_iter()
        .map(async |(word, stream, durable)| Some((word, bus.queue_state(stream, durable).await.ok()?)));
    let (streams, queues, leases) =
        tokio::join!(futures::future::join_all(streams), futures::future::join_all(queues), bus.entries(LEASE_BUCKET));
    BrokerState {
        is_up: Some(true),
        streams: streams.into_iter().flatten().collect(),
        queues: queues.into_iter().flatten().collect(),
        owners: owners(leases.unwrap_or_default().iter().map(|(key, value)| (key.as_str(), value.as_ref()))),
    }
}

/// Reads the leases; what is none is left out.
fn owners<'a>(leases: impl Iterator<Item = (&'a str, &'a [u8])>) -> BTreeMap<String, BTreeMap<u16, String>> {
    let mut owners: BTreeMap<String, BTreeMap<u16, String>> = BTreeMap::new();
    for (key, value) in leases {
        let place = key.split_once('.').and_then(|(role, partition)| Some((role, partition.parse().ok()?)));
        if let (Some((role, partition)), Ok(Lease { owner: Some(owner) })) = (place, serde_json::from_slice(value)) {
            owners.entry(role.to_owned()).or_default().insert(partition, owner);
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_say_who_owns_what() {
        let leases: [(&str, &[u8]); 6] = [
            ("oracle.0", br#"{"owner":"a1","epoch":3}"#),
            ("oracle.1", br#"{"owner":"b2","epoch":1}"#),
            ("sentinel.0", br#"{"owner":"a1","epoch":9}"#),
            ("sentinel.1", br#"{"owner":null,"epoch":4}"#),
            ("oracle.a1", br#"{"owner":"a1","epoch":4}"#),
            ("oracle.2", b"no lease"),
        ];
        let owners = owners(leases.into_iter());
        assert_eq!(owners["oracle"], BTreeMap::from([(0, "a1".to_owned()), (1, "b2".to_owned())]));
        assert_eq!(owners["sentinel"].len(), 1);
        assert_eq!(owners.len(), 2);
    }

    #[tokio::test]
    async fn a_broker_that_is_away_is_said_to_be() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let state = Broker::new(BusSettings::open(&format!("nats://{nobody}"))).state().await;
        assert_eq!(state.is_up, Some(false));
        assert!(state.streams.is_empty());
    }
}
