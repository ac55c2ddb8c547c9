//! How much waits in the queues that this process takes its work from: asked of the broker every few seconds.

use std::time::Duration;

use hygeia_protocol::subject::Stream;
use tokio_util::sync::CancellationToken;

use super::{Gauge, Metrics};
use crate::bus::Bus;

/// How often the broker is asked.
const EVERY: Duration = Duration::from_secs(5);

/// A queue of the broker and the word it stands under in the metrics.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The stream its messages come from.
    pub stream: Stream,
    /// The name of its durable consumer.
    pub durable: String,
    /// Its word in the schema.
    pub word: &'static str,
}

/// Keeps the gauges of a queue current until `stop`, from a task of its own.
pub fn watch(bus: Bus, metrics: Metrics, queue: Watched, stop: CancellationToken) {
    tokio::spawn(async move {
        loop {
            match bus.queue_state(queue.stream, &queue.durable).await {
                Ok(state) => {
                    metrics.set_to(Gauge::QueueWaiting, queue.word, state.waiting as f64);
                    metrics.set_to(Gauge::QueueInHand, queue.word, state.in_hand as f64);
                }
                Err(reason) => tracing::debug!(queue = queue.word, %reason, "the broker does not say what waits"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
}
