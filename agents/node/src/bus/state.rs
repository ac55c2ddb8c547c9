//! What the broker says of its streams and queues, for people who watch them.

use async_nats::jetstream::consumer::Consumer;
use async_nats::jetstream::consumer::pull;
use hygeia_protocol::subject::Stream;

use super::{Bus, BusError};

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

    /// What a stream holds.
    pub async fn held(&self, name: Stream) -> Result<StreamState, BusError> {
        let stream = self.stream(name).await?;
        let state = &stream.cached_info().state;
        Ok(StreamState { messages: state.messages, bytes: state.bytes, last_sequence: state.last_sequence })
    }
}
