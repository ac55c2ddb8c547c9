//! Values that several processes write: each write says which revision it follows, so that none undoes another's. And how
//! far a shared queue has come.

use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::kv::{Operation, UpdateErrorKind};
use hygeia_protocol::reconcile::QueueState;
use hygeia_protocol::subject::Stream;

use super::{Bucket, Bus, BusError};

/// A value with the revision that it was written at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revised {
    /// The value; nothing where the key was never written, or was removed.
    pub value: Option<bytes::Bytes>,
    /// What a write must follow; 0 where the key was never written.
    pub revision: u64,
}

impl Bucket {
    /// The value under `key` with its revision.
    pub async fn revised(&self, key: &str) -> Result<Revised, BusError> {
        let entry = self.store.entry(key).await.map_err(|source| self.error("get", source))?;
        Ok(entry.map_or_else(Revised::default, |entry| Revised {
            revision: entry.revision,
            value: (entry.operation == Operation::Put).then_some(entry.value),
        }))
    }

    /// Stores `value` if nobody wrote after `revision`: its own revision then, or nothing when somebody did.
    pub async fn replace(&self, key: &str, value: Vec<u8>, revision: u64) -> Result<Option<u64>, BusError> {
        match self.store.update(key, value.into(), revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(source) if source.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(source) => Err(self.error("replace", source)),
        }
    }
}

impl Bus {
    /// How far the workers of the queue `durable` have come in a stream; nowhere where there never was one.
    pub async fn queue_state(&self, name: Stream, durable: &str) -> Result<QueueState, BusError> {
        let stream = self.stream(name).await?;
        match stream.consumer_info(durable).await {
            Ok(info) => {
                Ok(QueueState { done_to: info.ack_floor.stream_sequence, given_to: info.delivered.stream_sequence })
            }
            Err(source) if source.kind() == ConsumerInfoErrorKind::NotFound => Ok(QueueState::default()),
            Err(source) => Err(BusError::Read {
                stream: name.name().to_owned(),
                operation: "ask for a queue's state",
                source: Box::new(source),
            }),
        }
    }
}
