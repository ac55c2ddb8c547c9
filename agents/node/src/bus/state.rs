//! What the broker says of its streams and queues, for people who watch them.

use async_nats::jetstream::consumer::Consumer;
use async_nats::jetstream::consumer::pull;
use futures::StreamExt as _;
use hygeia_protocol::subject::Stream;

use super::{Bus, BusError};

/// Entries that are listed of a bucket at most: the leases of every partition of a large network, for each role.
const ENTRIES_MAX: usize = 4_096;

/// A queue at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueState {
    /// Messages that nobody holds yet.
    pub waiting: u64,
    /// Messages given to somebody and not acknowledged.
    pub in_hand: u64,
}

/// A stream at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// Messages it holds.
    pub messages: u64,
    /// Their size.
    pub bytes: u64,
    /// The sequence of its last one, which only rises.
    pub last_sequence: u64,
}

impl Bus {
    /// What waits in a queue.
    pub async fn queue_state(&self, stream: Stream, durable: &str) -> Result<QueueState, BusError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::Read {
            stream: stream.name().to_owned(),
            operation: "ask what waits",
            source,
        };
        let opened: Result<Consumer<pull::Config>, _> = self.stream(stream).await?.get_consumer(durable).await;
        let opened = opened.map_err(failed)?;
        let info = opened.cached_info();
        let in_hand = u64::try_from(info.num_ack_pending).unwrap_or(0);
        Ok(QueueState { waiting: info.num_pending, in_hand })
    }

    /// Keys and values of a bucket that is there already, at most [`ENTRIES_MAX`] of them.
    pub async fn entries(&self, bucket: &str) -> Result<Vec<(String, bytes::Bytes)>, BusError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| BusError::KeyValue {
            bucket: bucket.to_owned(),
            operation: "list",
            source,
        };
        let store = self.jetstream.get_key_value(self.names.bucket(bucket)).await.map_err(|e| failed(Box::new(e)))?;
        let mut keys = store.keys().await.map_err(|e| failed(Box::new(e)))?.take(ENTRIES_MAX);
        let mut entries = Vec::new();
        while let Some(key) = keys.next().await {
            let key = key.map_err(|e| failed(Box::new(e)))?;
            // One that was removed in between is not there any more.
            if let Some(value) = store.get(&key).await.map_err(|e| failed(Box::new(e)))? {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }

    /// What a stream holds.
    pub async fn held(&self, name: Stream) -> Result<StreamState, BusError> {
        let stream = self.stream(name).await?;
        let state = &stream.cached_info().state;
        Ok(StreamState { messages: state.messages, bytes: state.bytes, last_sequence: state.last_sequence })
    }
}
