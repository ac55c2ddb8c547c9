//! Writing to the network's store: from queues that all sentinels share, each job until the store has it.

use std::time::Duration;

use anyhow::Result;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hygeia_protocol::message::{AlertOutcome, Message, ProofRequest, Settlement};
use hygeia_protocol::subject::Stream;

use super::{Keeper, PAUSE, of_chain};
use crate::bus::SlowQueue;
use crate::memory::store::{CaseStore, StoreError};
use crate::telemetry::Counter;

/// First pause before a write that failed is tried again; doubled up to [`WRITE_PAUSE_MAX`].
const WRITE_PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause between two attempts at a write.
const WRITE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often an outcome looks for its case, a [`PAUSE`] apart, before it counts as another model's.
const LOOKS_MAX: u64 = 20;

/// How a write ended.
enum Written {
    /// The store has it, or never will.
    Settled,
    /// It is about a case that the store does not have, or not yet.
    NoSuchCase,
}

/// A message that changes the network's store.
pub(super) trait ToStore: Message + Sync {
    /// Where it comes from.
    const STREAM: Stream;

    /// Makes the change; false where the case it is about is missing.
    fn write<'a>(&'a self, keeper: &'a Keeper, store: &'a dyn CaseStore) -> BoxFuture<'a, Result<bool, StoreError>>;
}

impl ToStore for ProofRequest {
    const STREAM: Stream = Stream::ProofRequests;

    fn write<'a>(&'a self, keeper: &'a Keeper, store: &'a dyn CaseStore) -> BoxFuture<'a, Result<bool, StoreError>> {
        async {
            let Some(case) = keeper.case_of(self) else { return Ok(true) };
            store.remember(&case).await?;
            // Its mandate may have been revoked, and its cases deleted, while this one was on its way.
            if keeper.is_barred(&case.mandate) {
                store.forget(&[case.mandate]).await?;
            }
            Ok(true)
        }
        .boxed()
    }
}

impl ToStore for Settlement {
    const STREAM: Stream = Stream::Settlements;

    fn write<'a>(&'a self, keeper: &'a Keeper, store: &'a dyn CaseStore) -> BoxFuture<'a, Result<bool, StoreError>> {
        store.set_outcome(keeper.key.case(&self.alert_id), of_chain(self.status))
    }
}

impl ToStore for AlertOutcome {
    const STREAM: Stream = Stream::Outcomes;

    fn write<'a>(&'a self, keeper: &'a Keeper, store: &'a dyn CaseStore) -> BoxFuture<'a, Result<bool, StoreError>> {
        store.set_outcome(keeper.key.case(&self.alert_id), self.outcome)
    }
}

impl Keeper {
    /// Works the queue of a stream off into the network's store, for ever.
    pub(super) async fn write<T: ToStore>(&self) {
        let Some(store) = &self.shared else { return };
        loop {
            if let Err(reason) = self.work_off::<T>(store.as_ref()).await {
                let reason = format!("{reason:#}");
                tracing::warn!(stream = T::STREAM.name(), reason, "the queue of cases is opened again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn work_off<T: ToStore>(&self, store: &dyn CaseStore) -> Result<()> {
        let durable = format!("cases-{}", self.model.to_hex());
        let queue = SlowQueue::open(&self.bus, T::STREAM, T::STREAM.filter().to_owned(), &durable).await?;
        while let Some((message, job)) = queue.next_of::<T>(&self.stop).await? {
            let (_, deliveries) = job.place()?;
            match job.while_working(self.until_settled(store, &message)).await {
                Written::NoSuchCase if deliveries < LOOKS_MAX => job.later(PAUSE).await?,
                Written::Settled | Written::NoSuchCase => job.done().await?,
            }
        }
        Ok(())
    }

    /// Tries until the store has it. What the store refuses for good is counted and left out.
    async fn until_settled<T: ToStore>(&self, store: &dyn CaseStore, message: &T) -> Written {
        let mut pause = WRITE_PAUSE_MIN;
        loop {
            match message.write(self, store).await {
                Ok(true) => return Written::Settled,
                Ok(false) => return Written::NoSuchCase,
                Err(reason) if reason.is_passing() => {
                    self.metrics.count(Counter::CaseWritesFailed, "away");
                    tracing::debug!(%reason, "written again later");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(WRITE_PAUSE_MAX);
                }
                Err(reason) => {
                    self.metrics.count(Counter::CaseWritesFailed, "refused");
                    tracing::warn!(%reason, "left out of the shared memory of cases");
                    return Written::Settled;
                }
            }
        }
    }
}
