//! The seam to NATS JetStream: connecting with patience, streams, publishing exactly once and under a fence, reading in
//! order, buckets. It never decides what a message means, and it alone knows how names are written on a shared broker.

mod bucket;
mod fence;
mod lookup;
mod names;
mod objects;
mod queue;
mod reader;
mod safety;
mod settings;
mod state;
mod streams;
mod trace;
mod work;

use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::{self, message::PublishMessage};
use bytes::Bytes;
use hygeia_protocol::subject::Stream;
use thiserror::Error;

pub use bucket::{Bucket, Record, Watch};
pub use fence::{Fence, Stored};
pub use lookup::Lookup;
pub use names::{Names, NetworkName, NetworkNameError};
pub use objects::{Found, Objects};
pub use reader::{Entry, OrderedReader};
pub use safety::{SyncMode, sync_mode};
pub use settings::{BusSettings, Login};
pub use state::{QueueState, StreamState};
pub use work::{Job, SlowQueue, WorkQueue};

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
    /// The file with the login could not be used.
    #[error("the login for the NATS server could not be read from {path}")]
    Login {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A newer owner of the partition has raised its fence: whoever gets this must publish nothing more of it.
    #[error("another process owns the partition in stream {stream} by now")]
    Fenced {
        /// The stream.
        stream: &'static str,
        /// The newer owner's epoch, where it was read.
        epoch: Option<u64>,
    },
    /// The stream keeps no fences.
    #[error("stream {stream} has no fences")]
    NotFenced {
        /// The stream.
        stream: &'static str,
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
    /// A bucket of objects could not be opened or used.
    #[error("object bucket {bucket}: {operation} failed")]
    Objects {
        /// The bucket's name.
        bucket: String,
        /// What was tried.
        operation: &'static str,
        /// JetStream's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key-value bucket does not show what stands in it.
    #[error("key-value bucket {bucket} does not answer")]
    Silent {
        /// The bucket's name.
        bucket: &'static str,
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
    /// Something that is not stored could not be sent or listened to.
    #[error("the broker took no announcement")]
    Announce {
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
    names: Names,
    replicas: NonZeroU8,
    stream_bytes_max: Option<u64>,
}

impl Bus {
    /// Connects to a broker of one network that lets anybody in.
    pub async fn connect(url: &str, patience: Duration) -> Result<Self, BusError> {
        Self::open(&BusSettings::open(url), patience).await
    }

    /// Connects, retrying with back-off for `patience`; says on each failed attempt what was tried.
    pub async fn open(settings: &BusSettings, patience: Duration) -> Result<Self, BusError> {
        let started = std::time::Instant::now();
        let url = &settings.url;
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            let options = async_nats::ConnectOptions::new().name("hygeia").connection_timeout(Duration::from_secs(2));
            let options = settings.login.apply(options).await;
            let options = options.map_err(|(path, source)| BusError::Login { path, source })?;
            match options.connect(url).await {
                Ok(client) => return Ok(Self::new(client, settings)),
                Err(source) if started.elapsed() + pause > patience => {
                    let waited_s = started.elapsed().as_secs();
                    return Err(BusError::Unreachable { url: url.to_owned(), waited_s, source });
                }
                Err(source) => {
                    tracing::warn!(url, retry_ms = pause.as_millis() as u64, reason = %source, "NATS does not answer yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        }
    }

    fn new(client: async_nats::Client, settings: &BusSettings) -> Self {
        Self {
            jetstream: jetstream::new(client.clone()),
            client,
            names: Names::of(settings.network.clone()),
            replicas: settings.replicas,
            stream_bytes_max: settings.stream_bytes_max,
        }
    }

    /// Publishes and returns once the broker has stored the message. `true` when it had it already.
    pub async fn publish(
        &self,
        stream: Stream,
        subject: String,
        message_id: &str,
        payload: Vec<u8>,
    ) -> Result<bool, BusError> {
        let message = self.message(stream, message_id, payload.into());
        Ok(self.publish_message(stream, &subject, message).await?.duplicate)
    }

    /// The same, with the message's place.
    pub async fn store(
        &self,
        stream: Stream,
        subject: &str,
        message_id: &str,
        payload: Bytes,
    ) -> Result<Stored, BusError> {
        let message = self.message(stream, message_id, payload);
        self.publish_message(stream, subject, message).await
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
        let message = self.message(stream, message_id, payload.into()).expected_last_subject_sequence(last_sequence);
        let error = |source| BusError::Publish { stream: stream.name(), attempts: 1, source };
        let sent = self.jetstream.send_publish(self.names.subject(&subject), message).await;
        match sent.map_err(|e| error(Box::new(e)))?.await {
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
        self.jetstream.send_publish(self.names.subject(&subject), trace::inject(message)).await
    }

    /// Tells whoever listens now; nothing is stored.
    pub async fn announce(&self, subject: &str, payload: Bytes) -> Result<(), BusError> {
        let error = |source| BusError::Announce { source };
        self.client.publish(self.names.subject(subject), payload).await.map_err(|e| error(Box::new(e)))?;
        self.client.flush().await.map_err(|e| error(Box::new(e)))
    }

    /// Listens to what is announced on a subject.
    pub async fn listen(&self, subject: &str) -> Result<async_nats::Subscriber, BusError> {
        let subscribed = self.client.subscribe(self.names.subject(subject)).await;
        subscribed.map_err(|source| BusError::Announce { source: Box::new(source) })
    }

    /// The underlying client, for the state of the connection. Subjects sent through it are not this network's.
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// A message as every one of ours is built.
    fn message(&self, stream: Stream, message_id: &str, payload: Bytes) -> PublishMessage {
        let message = PublishMessage::build().payload(payload).message_id(message_id);
        trace::inject(message).expected_stream(self.names.stream(stream))
    }
}
