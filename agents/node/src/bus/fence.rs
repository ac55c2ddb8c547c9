//! Fences: the broker itself refuses what a stale owner of a partition sends.
//!
//! An owner marks each of its output streams with its epoch; everything it publishes from then on names the mark's place
//! and is stored only while that is the newest mark. So a process that was stopped, and wakes up believing that it still
//! owns the partition, changes nothing. Publishing stays pipelined: messages of other subjects do not move the mark.

use std::time::Duration;

use std::time::Instant;

use async_nats::HeaderValue;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use hygeia_protocol::lease::MemberId;
use hygeia_protocol::subject::{self, Partition, Stream};
use serde::{Deserialize, Serialize};

use super::{Bus, BusError, Lookup, PUBLISH_ATTEMPTS, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};
use crate::telemetry::{Counter, Histogram, process};

/// Names the subject whose newest place must be the expected one.
const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
/// How long a message is kept, whatever the stream's own rule.
const TTL: &str = "Nats-TTL";
/// What JetStream answers on a replicated stream while another message under the same mark is on its way.
const BUSY: u64 = 10_164;
/// Pause before a message that met another one on its way is sent again: about a round of the replicas.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
/// Times in a row that a message may meet another one on its way: some ten seconds.
const BUSY_MAX: u32 = 5_000;
/// Owners that may come between reading the newest mark and setting one.
const RAISE_ATTEMPTS: u32 = 8;

/// This process's mark in a stream. Whoever holds it owns the partition's subject there until another raises one.
#[derive(Debug, Clone)]
pub struct Fence {
    stream: Stream,
    /// As the broker knows it.
    subject: String,
    sequence: u64,
}

/// What a mark says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    owner: MemberId,
    epoch: u64,
}

/// What became of a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the stream.
    pub sequence: u64,
    /// Whether it stood there already.
    pub duplicate: bool,
}

impl Fence {
    /// The stream that it stands in.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// Its place there. No earlier owner's message has a later one.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Bus {
    /// Marks the partition as `owner`'s under `epoch`.
    ///
    /// Fails with [`BusError::Fenced`] where an owner of a higher epoch, or another one of the same, came first.
    pub async fn raise_fence(
        &self,
        stream: Stream,
        partition: Partition,
        owner: &MemberId,
        epoch: u64,
    ) -> Result<Fence, BusError> {
        let bare = subject::fence(stream, partition).ok_or(BusError::NotFenced { stream: stream.name() })?;
        let mark = Mark { owner: owner.clone(), epoch };
        let lookup = Lookup::open(self, stream).await?;
        for _ in 0..RAISE_ATTEMPTS {
            let standing = lookup.last_of(&bare).await?;
            let sequence = standing.as_ref().map_or(0, |entry| entry.sequence);
            // A mark that cannot be read is none of ours; its owner is fenced by the next one all the same.
            let other = standing.and_then(|entry| serde_json::from_slice::<Mark>(&entry.payload).ok());
            match other {
                // Set by an attempt whose answer was lost.
                Some(other) if other == mark => {
                    return Ok(Fence { stream, subject: self.names.subject(&bare), sequence });
                }
                Some(other) if other.epoch >= epoch => {
                    return Err(BusError::Fenced { stream: stream.name(), epoch: Some(other.epoch) });
                }
                _ => {}
            }
            if let Some(sequence) = self.set_mark(stream, &bare, &mark, sequence).await? {
                return Ok(Fence { stream, subject: self.names.subject(&bare), sequence });
            }
        }
        Err(BusError::Fenced { stream: stream.name(), epoch: None })
    }

    async fn set_mark(
        &self,
        stream: Stream,
        subject: &str,
        mark: &Mark,
        last_sequence: u64,
    ) -> Result<Option<u64>, BusError> {
        let error = |source| BusError::Publish { stream: stream.name(), attempts: 1, source };
        let payload = serde_json::to_vec(mark).map_err(|source| error(Box::new(source)))?;
        let message = PublishMessage::build()
            .payload(payload.into())
            .header(TTL, "never")
            .expected_stream(self.names.stream(stream))
            .expected_last_subject_sequence(last_sequence);
        let sent = self.jetstream.send_publish(self.names.subject(subject), message).await;
        match sent.map_err(|source| error(Box::new(source)))?.await {
            Ok(ack) => Ok(Some(ack.sequence)),
            // Somebody came first, or nobody knows: the newest mark says.
            Err(source) if source.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(source) if source.kind() == PublishErrorKind::TimedOut || is_busy(&source) => Ok(None),
            Err(source) => Err(error(Box::new(source))),
        }
    }

    /// Publishes under a fence and returns once the broker has stored the message. A broker that does not answer is asked
    /// again; [`BusError::Fenced`] is final.
    pub async fn publish_fenced(
        &self,
        fence: &Fence,
        subject: &str,
        message_id: &str,
        payload: Bytes,
    ) -> Result<Stored, BusError> {
        let stream = fence.stream;
        let message = self
            .message(stream, message_id, payload)
            .expected_last_subject_sequence(fence.sequence)
            .header(EXPECTED_SUBJECT, HeaderValue::from(fence.subject.as_str()));
        self.publish_message(stream, subject, message).await
    }

    /// Publishes and returns once the broker has stored the message, asking again where it does not answer.
    pub(super) async fn publish_message(
        &self,
        stream: Stream,
        subject: &str,
        message: PublishMessage,
    ) -> Result<Stored, BusError> {
        let mut pause = RETRY_PAUSE_MIN;
        let mut attempt = 1;
        let mut busy = 0;
        loop {
            let source = match self.publish_once(subject, message.clone()).await {
                Ok(stored) => return Ok(stored),
                Err(source) => source,
            };
            match source.kind() {
                PublishErrorKind::WrongLastSequence => {
                    return Err(BusError::Fenced { stream: stream.name(), epoch: None });
                }
                _ if is_busy(&source) && busy < BUSY_MAX => {
                    busy += 1;
                    tokio::time::sleep(BUSY_PAUSE).await;
                    continue;
                }
                _ if attempt >= PUBLISH_ATTEMPTS => {
                    let source = Box::new(source);
                    return Err(BusError::Publish { stream: stream.name(), attempts: attempt, source });
                }
                _ => {}
            }
            process().count(Counter::PublishRetries, stream.name());
            tracing::warn!(stream = stream.name(), attempt, reason = %source, "publishing again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
            attempt += 1;
        }
    }

    async fn publish_once(&self, subject: &str, message: PublishMessage) -> Result<Stored, PublishError> {
        let started = Instant::now();
        let ack = self.jetstream.send_publish(self.names.subject(subject), message).await?.await?;
        process().took(Histogram::PublishRoundTrip, started.elapsed());
        Ok(Stored { sequence: ack.sequence, duplicate: ack.duplicate })
    }
}

/// Whether a replicated stream only asks to wait for the message before this one.
fn is_busy(error: &PublishError) -> bool {
    let source =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>());
    source.is_some_and(|answer| answer.error_code().0 == BUSY)
}
