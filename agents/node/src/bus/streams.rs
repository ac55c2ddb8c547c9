//! The streams on the broker: how each is kept, and how far it has come.

use std::time::Duration;

use async_nats::jetstream::stream;
use futures::TryStreamExt as _;
use hygeia_protocol::subject::Stream;

use super::{Bus, BusError, Lookup};

/// How long JetStream remembers a `Nats-Msg-Id`. A role that comes back within this time re-publishes without a trace;
/// later than that, it finds by itself what is stored already.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(10 * 60);

impl Bus {
    /// Creates every stream of the network, or brings an existing one up to date. Safe to call from every role at once.
    pub async fn ensure_streams(&self) -> Result<(), BusError> {
        for name in Stream::ALL {
            let config = self.stream_config(name);
            // Two roles starting together may both find the stream absent: the second creation is then an update.
            if let Err(first) = self.jetstream.create_or_update_stream(config.clone()).await {
                let error = |_| BusError::Stream { name: self.names.stream(name), source: Box::new(first) };
                self.jetstream.create_or_update_stream(config).await.map_err(error)?;
            }
        }
        Ok(())
    }

    /// Number of messages a stream holds, and the sequence of its last one. Marks of fences do not count.
    pub async fn stream_state(&self, name: Stream) -> Result<(u64, u64), BusError> {
        let stream = self.stream(name).await?;
        if name.fence_filter().is_none() {
            return Ok((stream.cached_info().state.messages, stream.cached_info().state.last_sequence));
        }
        let error = |source| self.read_error(name, "count its messages", Box::new(source));
        let subjects = stream.info_with_subjects(self.names.subject(name.filter())).await.map_err(error)?;
        let count = |sum, (_, count): (String, usize)| async move { Ok(sum + count as u64) };
        let messages = subjects.try_fold(0, count).await.map_err(error)?;
        let last = Lookup::open(self, name).await?.last_of(name.filter()).await?;
        Ok((messages, last.map_or(0, |entry| entry.sequence)))
    }

    /// When the broker made the stream, in milliseconds since the epoch: another time means another stream, in which old
    /// sequences say nothing.
    pub async fn stream_created_ms(&self, name: Stream) -> Result<u64, BusError> {
        let created = self.stream(name).await?.cached_info().created;
        Ok(u64::try_from(created.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
    }

    /// The sequence of the last message of a stream, marks of fences included.
    pub async fn stream_end(&self, name: Stream) -> Result<u64, BusError> {
        Ok(self.stream(name).await?.cached_info().state.last_sequence)
    }

    pub(super) async fn stream(&self, name: Stream) -> Result<stream::Stream, BusError> {
        let opened = self.jetstream.get_stream(self.names.stream(name)).await;
        opened.map_err(|source| self.read_error(name, "open", Box::new(source)))
    }

    pub(super) fn read_error(
        &self,
        stream: Stream,
        operation: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> BusError {
        BusError::Read { stream: self.names.stream(stream), operation, source }
    }

    fn stream_config(&self, name: Stream) -> stream::Config {
        let subjects = [Some(name.filter()), name.fence_filter()].into_iter().flatten();
        stream::Config {
            name: self.names.stream(name),
            subjects: subjects.map(|subject| self.names.subject(subject)).collect(),
            retention: stream::RetentionPolicy::Limits,
            storage: stream::StorageType::File,
            num_replicas: usize::from(self.replicas.get()),
            duplicate_window: DUPLICATE_WINDOW,
            max_age: Duration::from_secs(retention_s(name)),
            max_bytes: self.stream_bytes_max.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            discard: discard(name),
            // The mark of a fence stays for as long as its owner does.
            allow_message_ttl: name.fence_filter().is_some(),
            ..Default::default()
        }
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
        // What a vote referred to can be looked up as long as what the vote led to.
        Stream::Shadow => 400 * DAY_S,
        // For ever: a chain without its beginning cannot be told from one that was cut off. An entry has some 400 bytes.
        Stream::Journal => 0,
    }
}

/// What gives way when a stream is full. New observations and alerts matter more than old ones; of what leads to money
/// nothing that was stored may vanish, so its writers have to wait.
fn discard(name: Stream) -> stream::DiscardPolicy {
    match name {
        Stream::Observations
        | Stream::Windows
        | Stream::Alerts
        | Stream::ProofRequests
        | Stream::Audits
        | Stream::Outcomes
        | Stream::DeadLetters
        | Stream::Shadow => stream::DiscardPolicy::Old,
        Stream::Receipts | Stream::Settlements | Stream::Ledger | Stream::AuditOrders | Stream::Journal => {
            stream::DiscardPolicy::New
        }
    }
}
