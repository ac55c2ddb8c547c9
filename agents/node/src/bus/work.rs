//! A shared work queue: each job to one worker, acknowledged only after what it caused is stored.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind,
    consumer::{AckPolicy, Consumer, pull},
};
use futures::StreamExt;
use hygeia_protocol::message::{Message, MessageError};
use hygeia_protocol::subject::Stream;
use tokio_util::sync::CancellationToken;

use super::{Bus, BusError, trace};
use crate::telemetry::trace::TraceContext;

/// How long a worker may hold a job without a sign of life before another gets it.
const ACK_WAIT: Duration = Duration::from_secs(15);
/// Jobs one worker holds at a time; it works on the first and has the rest at hand.
const IN_HAND_MAX: i64 = 8;

/// How long one request for a job stands at the broker before it is made anew.
const FETCH_WAIT: Duration = Duration::from_secs(5);

/// A durable consumer shared by all workers of one kind.
pub struct WorkQueue {
    stream: &'static str,
    messages: pull::Stream,
}

impl WorkQueue {
    /// Opens the queue `durable` on a stream, creating it when absent.
    pub async fn open(bus: &Bus, name: Stream, durable: &str) -> Result<Self, BusError> {
        let stream = bus.stream(name).await?;
        let error = |operation: &'static str, source: Box<dyn std::error::Error + Send + Sync>| BusError::Read {
            stream: bus.names.stream(name),
            operation,
            source,
        };
        let config = pull::Config {
            durable_name: Some(durable.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            ..Default::default()
        };
        let consumer =
            stream.get_or_create_consumer(durable, config).await.map_err(|e| error("create consumer", Box::new(e)))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(usize::try_from(IN_HAND_MAX).unwrap_or(1))
            .messages()
            .await
            .map_err(|e| error("pull", Box::new(e)))?;
        Ok(Self { stream: name.name(), messages })
    }

    /// The next job; waits for one to come, and is `None` once `stop` is cancelled. What is no message of the type is taken
    /// off the queue with a warning: it would come again for ever.
    pub async fn next_of<T: Message>(&mut self, stop: &CancellationToken) -> Result<Option<(T, Job)>, BusError> {
        loop {
            let job = tokio::select! {
                () = stop.cancelled() => return Ok(None),
                job = self.next() => job?,
            };
            match T::decode(job.payload()) {
                Ok(message) => return Ok(Some((message, job))),
                Err(reason) => job.refuse(reason).await?,
            }
        }
    }

    async fn next(&mut self) -> Result<Job, BusError> {
        match self.messages.next().await {
            Some(Ok(message)) => Ok(Job { message, stream: self.stream }),
            Some(Err(source)) => {
                Err(BusError::Read { stream: self.stream.to_owned(), operation: "next job", source: Box::new(source) })
            }
            None => Err(BusError::Read {
                stream: self.stream.to_owned(),
                operation: "next job",
                source: "the broker closed the consumer".into(),
            }),
        }
    }
}

/// A durable consumer for jobs that take long: a worker is given one job at a time, and none before it asks.
pub struct SlowQueue {
    stream: &'static str,
    consumer: Consumer<pull::Config>,
}

impl SlowQueue {
    /// Opens the queue `durable` on one subject of a stream, creating it when absent.
    pub async fn open(bus: &Bus, name: Stream, subject: String, durable: &str) -> Result<Self, BusError> {
        let stream = bus.stream(name).await?;
        let config = pull::Config {
            durable_name: Some(durable.to_owned()),
            filter_subject: bus.names.subject(&subject),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            ..Default::default()
        };
        let consumer = stream.get_or_create_consumer(durable, config).await.map_err(|source| BusError::Read {
            stream: bus.names.stream(name),
            operation: "create consumer",
            source: Box::new(source),
        })?;
        Ok(Self { stream: name.name(), consumer })
    }

    /// The next job; waits for one to come, and is `None` once `stop` is cancelled. What is no message of the type is taken
    /// off the queue with a warning.
    pub async fn next_of<T: Message>(&self, stop: &CancellationToken) -> Result<Option<(T, Job)>, BusError> {
        loop {
            let job = tokio::select! {
                () = stop.cancelled() => return Ok(None),
                job = self.fetch() => job?,
            };
            let Some(job) = job else { continue };
            match T::decode(job.payload()) {
                Ok(message) => return Ok(Some((message, job))),
                Err(reason) => job.refuse(reason).await?,
            }
        }
    }

    /// Jobs that nobody holds yet.
    pub async fn waiting(&self) -> Result<u64, BusError> {
        let info = self.consumer.get_info().await.map_err(|e| self.error("ask for its state", Box::new(e)))?;
        Ok(info.num_pending)
    }

    async fn fetch(&self) -> Result<Option<Job>, BusError> {
        let fetch = self.consumer.fetch().max_messages(1).expires(FETCH_WAIT);
        let mut messages = fetch.messages().await.map_err(|e| self.error("fetch", Box::new(e)))?;
        match messages.next().await {
            Some(Ok(message)) => Ok(Some(Job { message, stream: self.stream })),
            Some(Err(source)) => Err(self.error("next job", source)),
            None => Ok(None),
        }
    }

    fn error(&self, operation: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> BusError {
        BusError::Read { stream: self.stream.to_owned(), operation, source }
    }
}

/// A job in hand. Dropped without [`Job::done`], it comes again.
pub struct Job {
    message: async_nats::jetstream::Message,
    stream: &'static str,
}

impl Job {
    fn payload(&self) -> &[u8] {
        &self.message.payload
    }

    /// The trace that the job belongs to, if its sender named one.
    pub fn trace(&self) -> Option<TraceContext> {
        trace::extract(self.message.message.headers.as_ref())
    }

    /// Runs `work` and tells the broker every few seconds that the job is alive.
    pub async fn while_working<T>(&self, work: impl Future<Output = T>) -> T {
        let mut beat = tokio::time::interval(ACK_WAIT / 3);
        beat.tick().await;
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                _ = beat.tick() => {
                    if let Err(reason) = self.message.ack_with(AckKind::Progress).await {
                        tracing::warn!(stream = self.stream, %reason, "no sign of life could be given");
                    }
                }
            }
        }
    }

    /// Place of the job in its stream, and how often it has been given to a worker, this time included.
    pub fn place(&self) -> Result<(u64, u64), BusError> {
        let info = self.message.info().map_err(|source| self.error("read its place", source))?;
        Ok((info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1)))
    }

    /// Gives the job back; it comes again after `pause`.
    pub async fn later(self, pause: Duration) -> Result<(), BusError> {
        let pause = Some(pause).filter(|pause| !pause.is_zero());
        let answer = self.message.ack_with(AckKind::Nak(pause)).await;
        answer.map_err(|source| self.error("give back", source))
    }

    /// Takes a job off the queue that nobody can do.
    async fn refuse(self, reason: MessageError) -> Result<(), BusError> {
        tracing::warn!(stream = self.stream, %reason, "a message in the queue is not of its type");
        self.done().await
    }

    /// The job's effects are stored: takes it off the queue, and waits for the broker to say so.
    pub async fn done(self) -> Result<(), BusError> {
        self.message.double_ack().await.map_err(|source| self.error("acknowledge", source))
    }

    fn error(&self, operation: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> BusError {
        BusError::Read { stream: self.stream.to_owned(), operation, source }
    }
}
