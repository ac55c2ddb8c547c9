//! Reading a stream strictly in order.
//!
//! A durable consumer re-delivers what was not acknowledged *after* what came later, which a state machine cannot
//! bear. So the stateful roles read with an ordered consumer, and know by themselves how far they have come.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{Consumer, DeliverPolicy, pull};
use futures::{FutureExt as _, StreamExt as _};
use hygeia_protocol::subject::Stream;

use super::names::Names;
use super::{Bus, BusError, trace};
use crate::telemetry::trace::TraceContext;

/// One stored message.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Position in the stream, from 1.
    pub sequence: u64,
    /// When the broker stored it, in milliseconds since the epoch.
    pub stored_at_ms: u64,
    /// The subject it was published to.
    pub subject: String,
    /// The headers, if it has any.
    pub headers: Option<HeaderMap>,
    /// The bytes as they came.
    pub payload: bytes::Bytes,
    /// The trace it belongs to, if its sender named one.
    pub trace: Option<TraceContext>,
}

/// All messages of a stream in the order of their sequence, for ever.
pub struct OrderedReader {
    stream: Stream,
    names: Names,
    messages: pull::Ordered,
}

impl OrderedReader {
    /// Opens the stream from sequence `from`, only the given subjects (all of the stream's own when empty).
    pub async fn open(bus: &Bus, name: Stream, subjects: Vec<String>, from: u64) -> Result<Self, BusError> {
        let consumer = consumer(bus, name, &subjects, from, false).await?;
        let messages = consumer.messages().await.map_err(|e| bus.read_error(name, "pull", Box::new(e)))?;
        Ok(Self { stream: name, names: bus.names.clone(), messages })
    }

    /// The next message; waits for one to come.
    pub async fn next(&mut self) -> Result<Entry, BusError> {
        let message = self.messages.next().await;
        self.entry(message)
    }

    /// The next message, or `None` when none came within `wait`.
    pub async fn next_within(&mut self, wait: Duration) -> Result<Option<Entry>, BusError> {
        match tokio::time::timeout(wait, self.next()).await {
            Ok(entry) => entry.map(Some),
            Err(_elapsed) => Ok(None),
        }
    }

    /// The next messages: waits for one, and takes those that are at hand behind it, up to `count`. Nothing is lost when it
    /// is dropped while it waits.
    pub async fn next_batch(&mut self, count: usize) -> Result<Vec<Entry>, BusError> {
        let mut batch = vec![self.next().await?];
        while batch.len() < count
            && let Some(message) = self.messages.next().now_or_never()
        {
            batch.push(self.entry(message)?);
        }
        Ok(batch)
    }

    fn entry(&self, message: Option<Result<Message, pull::OrderedError>>) -> Result<Entry, BusError> {
        let error =
            |source| BusError::Read { stream: self.names.stream(self.stream), operation: "next message", source };
        match message {
            Some(Ok(message)) => entry(&self.names, message).map_err(error),
            Some(Err(source)) => Err(error(Box::new(source))),
            None => Err(error("the broker closed the consumer".into())),
        }
    }
}

impl Bus {
    /// The ids of the messages that stand on the subjects of a stream from sequence `from` on.
    pub async fn ids_from(&self, name: Stream, subjects: &[String], from: u64) -> Result<HashSet<String>, BusError> {
        let consumer = consumer(self, name, subjects, from, true).await?;
        let mut left = consumer.cached_info().num_pending;
        let error = |source| self.read_error(name, "read ids", source);
        let mut ids = HashSet::new();
        if left == 0 {
            return Ok(ids);
        }
        let mut messages = consumer.messages().await.map_err(|source| error(Box::new(source)))?;
        while left > 0 {
            let message = messages.next().await.ok_or_else(|| error("the broker closed the consumer".into()))?;
            let message = message.map_err(|source| error(Box::new(source)))?;
            left = message.info().map_err(error)?.pending;
            let headers = message.headers.as_ref();
            ids.extend(headers.and_then(|h| h.get(async_nats::header::NATS_MESSAGE_ID)).map(ToString::to_string));
        }
        Ok(ids)
    }
}

async fn consumer(
    bus: &Bus,
    name: Stream,
    subjects: &[String],
    from: u64,
    headers_only: bool,
) -> Result<Consumer<pull::OrderedConfig>, BusError> {
    let own = [name.filter().to_owned()];
    let subjects = if subjects.is_empty() { own.as_slice() } else { subjects };
    let config = pull::OrderedConfig {
        filter_subjects: subjects.iter().map(|subject| bus.names.subject(subject)).collect(),
        deliver_policy: if from <= 1 {
            DeliverPolicy::All
        } else {
            DeliverPolicy::ByStartSequence { start_sequence: from }
        },
        headers_only,
        ..Default::default()
    };
    let created = bus.stream(name).await?.create_consumer(config).await;
    created.map_err(|e| bus.read_error(name, "create consumer", Box::new(e)))
}

fn entry(names: &Names, message: Message) -> Result<Entry, Box<dyn std::error::Error + Send + Sync>> {
    let info = message.info()?;
    let (sequence, published) = (info.stream_sequence, info.published);
    let message = message.message;
    Ok(Entry {
        sequence,
        stored_at_ms: u64::try_from(published.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
        subject: names.strip(&message.subject).to_owned(),
        trace: trace::extract(message.headers.as_ref()),
        headers: message.headers,
        payload: message.payload,
    })
}
