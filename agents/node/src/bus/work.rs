//! A shared work queue: each job to one worker, acknowledged only after what it caused is stored.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind,
    consumer::{AckPolicy, pull},
};
use futures::StreamExt;
use hygeia_protocol::message::Message;
use hygeia_protocol::subject::Stream;
use tokio_util::sync::CancellationToken;

use super::{Bus, BusError};

/// How long a worker may hold a job without a sign of life before another gets it.
const ACK_WAIT: Duration = Duration::from_secs(15);
/// Jobs one worker holds at a time; it works on the first and has the rest at hand.
const IN_HAND_MAX: i64 = 8;

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
            stream: name.name().to_owned(),
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
                Err(reason) => {
                    tracing::warn!(stream = self.stream, %reason, "a message in the queue is not of its type");
                    job.done().await?;
                }
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

/// A job in hand. Dropped without [`Job::done`], it comes again.
pub struct Job {
    message: async_nats::jetstream::Message,
    stream: &'static str,
}

impl Job {
    fn payload(&self) -> &[u8] {
        &self.message.payload
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

    /// The job's effects are stored: takes it off the queue, and waits for the broker to say so.
    pub async fn done(self) -> Result<(), BusError> {
        self.message.double_ack().await.map_err(|source| BusError::Read {
            stream: self.stream.to_owned(),
            operation: "acknowledge",
            source,
        })
    }
}
