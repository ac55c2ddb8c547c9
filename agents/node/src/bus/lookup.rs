//! Single messages of a stream, asked for by their place or their subject.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{self, RawMessageError, RawMessageErrorKind};
use hygeia_protocol::subject::Stream;

use super::names::Names;
use super::{Bus, BusError, Entry, trace};

/// A stream that single messages are looked up in.
#[derive(Clone)]
pub struct Lookup {
    name: Stream,
    names: Names,
    stream: stream::Stream,
}

impl Lookup {
    /// Opens a stream.
    pub async fn open(bus: &Bus, name: Stream) -> Result<Self, BusError> {
        Ok(Self { name, names: bus.names.clone(), stream: bus.stream(name).await? })
    }

    /// The message at a place of the stream; nothing when the stream does not hold it (any more).
    pub async fn at(&self, sequence: u64) -> Result<Option<Entry>, BusError> {
        self.found(self.stream.get_raw_message(sequence).await)
    }

    /// The newest message on a subject, or on any that a filter lets through.
    pub async fn last_of(&self, subject: &str) -> Result<Option<Entry>, BusError> {
        self.found(self.stream.get_last_raw_message_by_subject(&self.names.subject(subject)).await)
    }

    fn found(&self, answer: Result<StreamMessage, RawMessageError>) -> Result<Option<Entry>, BusError> {
        match answer {
            Ok(message) => Ok(Some(Entry {
                sequence: message.sequence,
                stored_at_ms: u64::try_from(message.time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
                subject: self.names.strip(&message.subject).to_owned(),
                trace: trace::extract(Some(&message.headers)),
                headers: Some(message.headers),
                payload: message.payload,
            })),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(source) => Err(BusError::Read {
                stream: self.names.stream(self.name),
                operation: "look a message up",
                source: Box::new(source),
            }),
        }
    }
}
