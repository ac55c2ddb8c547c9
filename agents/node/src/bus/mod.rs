//! The seam to NATS JetStream: connecting with patience, streams, publishing exactly once, reading in order.

mod lookup;
mod reader;
mod work;

use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::{self, kv, message::PublishMessage, stream};
use hygeia_protocol::subject::Stream;
use thiserror::Error;

pub use lookup::Lookup;
pub use reader::{Checkpoint, Entry, OrderedReader};
pub use work::{Job, SlowQueue, WorkQueue};

/// How long JetStream remembers a `Nats-Msg-Id`. A role that comes back within this time re-publishes without a trace;
/// later than that, readers drop the repetition themselves by its identity.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(10 * 60);
/// First pause between two attempts to reach the broker; doubled up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause between two attempts.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Attempts to publish one message before the role gives up and lets its supervisor restart it.
const PUBLISH_ATTEMPTS: u32 = 8;

/// What the bus could not do.
#[derive(Debug, Error)]
pub enum BusError {
    /// The broker did not answer within the configured time.
    #[error(
        "no NATS server answered at {url} within {waited_s} s; start one with JetStream, or name another with --nats"
    )]
    Unreachable {
        /// The address tried.
        url: String,
        /// How long it was tried.
        waited_s: u64,
        /// The last answer.
        #[source]
        source: async_nats::ConnectError,
    },
    /// A stream could not be created or brought up to date.
    #[error("stream {name} could not be created or updated")]
    Stream {
        /// The stream's name.
        name: String,
        /// JetStream's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key-value bucket could not be opened or used.
    #[error("key-value bucket {bucket}: {operation} failed")]
    KeyValue {
        /// The bucket's name.
        bucket: String,
        /// What was tried.
        operation: &'static str,
        /// JetStream's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A message was not stored by the broker after all attempts.
    #[error("publishing to stream {stream} failed after {attempts} attempts")]
    Publish {
        /// The stream that should have stored it.
        stream: &'static str,
        /// How often it was tried.
        attempts: u32,
        /// The last answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A consumer could not be created or read.
    #[error("reading stream {stream} failed: {operation}")]
    Read {
        /// The stream's name.
        stream: String,
        /// What was tried.
        operation: &'static str,
        /// JetStream's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A connection to the broker.
#[derive(Clone)]
pub struct Bus {
    client: async_nats::Client,
    jetstream: jetstream::Context,
}

impl Bus {
    /// Connects, retrying with back-off for `patience`; says on each failed attempt what was tried.
    pub async fn connect(url: &str, patience: Duration) -> Result<Self, BusError> {
        let started = std::time::Instant::now();
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            let options = async_nats::ConnectOptions::new().name("hygeia").connection_timeout(Duration::from_secs(2));
            match options.connect(url).await {
                Ok(client) => {
                    let jetstream = jetstream::new(client.clone());
                    return Ok(Self { client, jetstream });
                }
                Err(source) if started.elapsed() + pause > patience => {
                    return Err(BusError::Unreachable {
                        url: url.to_owned(),
                        waited_s: started.elapsed().as_secs(),
                        source,
                    });
                }
                Err(source) => {
                    tracing::warn!(url, retry_ms = pause.as_millis() as u64, reason = %source, "NATS does not answer yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        }
    }

    /// Creates every stream of the system, or brings an existing one up to date. Safe to call from every role at once.
    pub async fn ensure_streams(&self) -> Result<(), BusError> {
        for name in Stream::ALL {
            let wrap = |source: Box<dyn std::error::Error + Send + Sync>| BusError::Stream {
                name: name.name().to_owned(),
                source,
            };
            let config = stream::Config {
                name: name.name().to_owned(),
                subjects: vec![name.filter().to_owned()],
                retention: stream::RetentionPolicy::Limits,
                storage: stream::StorageType::File,
                duplicate_window: DUPLICATE_WINDOW,
                max_age: Duration::from_secs(retention_s(name)),
                ..Default::default()
            };
            // Two roles starting together may both find the stream absent: the second creation is then an update.
            if let Err(first) = self.jetstream.create_or_update_stream(config.clone()).await {
                self.jetstream.create_or_update_stream(config).await.map_err(|_| wrap(Box::new(first)))?;
            }
        }
        Ok(())
    }

    /// Publishes and returns once the broker has stored the message. `true` when it had it already.
    pub async fn publish(
        &self,
        stream: Stream,
        subject: String,
        message_id: &str,
        payload: Vec<u8>,
    ) -> Result<bool, BusError> {
        let payload = bytes::Bytes::from(payload);
        let mut pause = RETRY_PAUSE_MIN;
        let mut attempt = 1;
        loop {
            match self.publish_once(stream, &subject, message_id, payload.clone()).await {
                Ok(duplicate) => return Ok(duplicate),
                Err(source) if attempt >= PUBLISH_ATTEMPTS => {
                    return Err(BusError::Publish { stream: stream.name(), attempts: attempt, source });
                }
                Err(source) => {
                    tracing::warn!(stream = stream.name(), attempt, reason = %source, "publishing again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                    attempt += 1;
                }
            }
        }
    }

    async fn publish_once(
        &self,
        stream: Stream,
        subject: &str,
        message_id: &str,
        payload: bytes::Bytes,
    ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        let message = PublishMessage::build().payload(payload).message_id(message_id).expected_stream(stream.name());
        let ack = self.jetstream.send_publish(subject.to_owned(), message).await?.await?;
        Ok(ack.duplicate)
    }

    /// Publishes if `last_sequence` is still the place of the newest message on the subject (0 for none): its own place
    /// then, or nothing when another message came before it. Tried once: after an error the caller looks what stands there.
    pub async fn append(
        &self,
        stream: Stream,
        subject: String,
        message_id: &str,
        payload: Vec<u8>,
        last_sequence: u64,
    ) -> Result<Option<u64>, BusError> {
        let message = PublishMessage::build()
            .payload(payload.into())
            .message_id(message_id)
            .expected_stream(stream.name())
            .expected_last_subject_sequence(last_sequence);
        let error = |source| BusError::Publish { stream: stream.name(), attempts: 1, source };
        let sent = self.jetstream.send_publish(subject, message).await.map_err(|e| error(Box::new(e)))?;
        match sent.await {
            Ok(ack) if !ack.duplicate => Ok(Some(ack.sequence)),
            Ok(_) => Ok(None),
            Err(source) if source.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(source) => Err(error(Box::new(source))),
        }
    }

    /// Sends without waiting for the broker's answer; the caller awaits the returned future when it wants to know.
    pub async fn send(
        &self,
        subject: String,
        message_id: &str,
        payload: Vec<u8>,
    ) -> Result<jetstream::context::PublishAckFuture, async_nats::jetstream::context::PublishError> {
        let message = PublishMessage::build().payload(payload.into()).message_id(message_id);
        self.jetstream.send_publish(subject, message).await
    }

    /// Opens a key-value bucket, creating it when absent.
    pub async fn bucket(&self, name: &str) -> Result<Bucket, BusError> {
        let config = kv::Config {
            bucket: name.to_owned(),
            history: 1,
            storage: stream::StorageType::File,
            ..Default::default()
        };
        let store = self.jetstream.create_or_update_key_value(config).await.map_err(|source| BusError::KeyValue {
            bucket: name.to_owned(),
            operation: "open",
            source: Box::new(source),
        })?;
        Ok(Bucket { name: name.to_owned(), store })
    }

    /// Number of messages a stream holds, and the sequence of its last one.
    pub async fn stream_state(&self, name: Stream) -> Result<(u64, u64), BusError> {
        let stream = self.stream(name).await?;
        Ok((stream.cached_info().state.messages, stream.cached_info().state.last_sequence))
    }

    /// The underlying client, for request and reply.
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    async fn stream(&self, name: Stream) -> Result<stream::Stream, BusError> {
        self.jetstream.get_stream(name.name()).await.map_err(|source| BusError::Read {
            stream: name.name().to_owned(),
            operation: "open",
            source: Box::new(source),
        })
    }
}

/// Days a stream keeps its messages. Observations and windows are what a role rebuilds its state from; the ledger and
/// what led to money are kept for the auditors.
fn retention_s(name: Stream) -> u64 {
    const DAY_S: u64 = 86_400;
    match name {
        Stream::Observations | Stream::Windows | Stream::ProofRequests => 7 * DAY_S,
        Stream::Alerts | Stream::Outcomes | Stream::DeadLetters => 90 * DAY_S,
        Stream::Receipts | Stream::Settlements | Stream::Ledger => 400 * DAY_S,
        // Orders say how far the ledger is audited, so they must last as long as it does.
        Stream::AuditOrders | Stream::Audits => 400 * DAY_S,
    }
}

/// A key-value bucket of the broker.
#[derive(Clone)]
pub struct Bucket {
    name: String,
    store: kv::Store,
}

impl Bucket {
    /// The value under `key`, if any.
    pub async fn get(&self, key: &str) -> Result<Option<bytes::Bytes>, BusError> {
        self.store.get(key).await.map_err(|source| self.error("get", source))
    }

    /// Stores `value` under `key`; returns once the broker has it.
    pub async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), BusError> {
        self.store.put(key, value.into()).await.map(|_| ()).map_err(|source| self.error("put", source))
    }

    /// Removes `key` and its history: what it held cannot be read again.
    pub async fn purge(&self, key: &str) -> Result<(), BusError> {
        self.store.purge(key).await.map_err(|source| self.error("purge", source))
    }

    fn error(&self, operation: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> BusError {
        BusError::KeyValue { bucket: self.name.clone(), operation, source: Box::new(source) }
    }
}
