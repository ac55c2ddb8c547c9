//! How far a shared queue has come.

use async_nats::jetstream::context::ConsumerInfoErrorKind;
use hygeia_protocol::reconcile::QueueState;
use hygeia_protocol::subject::Stream;

use super::{Bus, BusError};

impl Bus {
    /// How far the workers of the queue `durable` have come in a stream; nowhere where there never was one.
    pub async fn queue_progress(&self, name: Stream, durable: &str) -> Result<QueueState, BusError> {
        let stream = self.stream(name).await?;
        match stream.consumer_info(durable).await {
            Ok(info) => {
                Ok(QueueState { done_to: info.ack_floor.stream_sequence, given_to: info.delivered.stream_sequence })
            }
            Err(source) if source.kind() == ConsumerInfoErrorKind::NotFound => Ok(QueueState::default()),
            Err(source) => Err(self.read_error(name, "ask for a queue's state", Box::new(source))),
        }
    }
}
