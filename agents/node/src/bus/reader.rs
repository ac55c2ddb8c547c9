//! Reading a stream strictly in order, with a checkpoint of our own.
//!
//! A durable consumer re-delivers what was not acknowledged *after* what came later, which a state machine cannot
//! bear. So the stateful roles read with an ordered consumer from the start of the stream, rebuild their state in
//! silence up to the checkpoint, and act from there on. The checkpoint moves only once every effect is stored.

use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::StreamExt;
use hygeia_protocol::subject::Stream;

use super::{Bucket, Bus, BusError, trace};
use crate::telemetry::trace::TraceContext;

/// Bucket that holds how far each role has come.
const CHECKPOINT_BUCKET: &str = "hygeia_checkpoint";
/// Effects between two writes of the checkpoint. After a crash at most this many messages are worked through again.
const CHECKPOINT_EVERY: u64 = 128;

/// One stored message.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Position in the stream, from 1.
    pub sequence: u64,
    /// When the broker stored it, in milliseconds since the epoch.
    pub stored_at_ms: u64,
    /// The subject it was published to.
    pub subject: String,
    /// The bytes as they came.
    pub payload: bytes::Bytes,
    /// The trace it belongs to, if its sender named one.
    pub trace: Option<TraceContext>,
}

/// All messages of a stream in the order of their sequence, for ever.
pub struct OrderedReader {
    stream: &'static str,
    messages: pull::Ordered,
}

impl OrderedReader {
    /// Opens the stream from sequence `from`, only the given subjects (all when empty).
    pub async fn open(bus: &Bus, name: Stream, subjects: Vec<String>, from: u64) -> Result<Self, BusError> {
        let stream = bus.stream(name).await?;
        let wrap = |operation| {
            move |source: Box<dyn std::error::Error + Send + Sync>| BusError::Read {
                stream: name.name().to_owned(),
                operation,
                source,
            }
        };
        let config = pull::OrderedConfig {
            filter_subjects: subjects,
            deliver_policy: if from <= 1 {
                DeliverPolicy::All
            } else {
                DeliverPolicy::ByStartSequence { start_sequence: from }
            },
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|e| wrap("create consumer")(Box::new(e)))?;
        let messages = consumer.messages().await.map_err(|e| wrap("pull")(Box::new(e)))?;
        Ok(Self { stream: name.name(), messages })
    }

    /// The next message; waits for one to come.
    pub async fn next(&mut self) -> Result<Entry, BusError> {
        let error = |source: Box<dyn std::error::Error + Send + Sync>| BusError::Read {
            stream: self.stream.to_owned(),
            operation: "next message",
            source,
        };
        let message = match self.messages.next().await {
            Some(Ok(message)) => message,
            Some(Err(source)) => return Err(error(Box::new(source))),
            None => return Err(error("the broker closed the consumer".into())),
        };
        let info = message.info().map_err(error)?;
        Ok(Entry {
            sequence: info.stream_sequence,
            stored_at_ms: u64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
            subject: message.message.subject.to_string(),
            payload: message.message.payload.clone(),
            trace: trace::extract(message.message.headers.as_ref()),
        })
    }

    /// The next message, or `None` when none came within `wait`.
    pub async fn next_within(&mut self, wait: Duration) -> Result<Option<Entry>, BusError> {
        match tokio::time::timeout(wait, self.next()).await {
            Ok(entry) => entry.map(Some),
            Err(_elapsed) => Ok(None),
        }
    }
}

/// How far a role has come in a stream: the highest sequence whose effects are all stored.
pub struct Checkpoint {
    bucket: Bucket,
    key: String,
    stored: u64,
    done: u64,
}

impl Checkpoint {
    /// Loads the checkpoint of `role`; 0 when it never ran.
    pub async fn load(bus: &Bus, role: &str) -> Result<Self, BusError> {
        let bucket = bus.bucket(CHECKPOINT_BUCKET).await?;
        let stored = match bucket.get(role).await? {
            Some(bytes) => std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0),
            None => 0,
        };
        Ok(Self { bucket, key: role.to_owned(), stored, done: stored })
    }

    /// Whether the effects of `sequence` are stored already, so that it only rebuilds state.
    pub fn covers(&self, sequence: u64) -> bool {
        sequence <= self.stored
    }

    /// Sequence up to which everything is stored.
    pub fn stored(&self) -> u64 {
        self.stored
    }

    /// Notes that all effects of `sequence` are stored; writes it down now and then.
    pub async fn advance(&mut self, sequence: u64) -> Result<(), BusError> {
        self.done = self.done.max(sequence);
        if self.done - self.stored >= CHECKPOINT_EVERY { self.flush().await } else { Ok(()) }
    }

    /// Writes the checkpoint down if it moved. Called when a role is idle and when it drains.
    pub async fn flush(&mut self) -> Result<(), BusError> {
        if self.done > self.stored {
            self.bucket.put(&self.key, self.done.to_string().into_bytes()).await?;
            self.stored = self.done;
        }
        Ok(())
    }
}
