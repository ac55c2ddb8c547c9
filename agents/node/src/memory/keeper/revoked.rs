//! Deletion by mandate: a patient who takes consent back is forgotten by every store.

use std::collections::HashSet;

use hygeia_protocol::message::B32;

use super::{Keeper, PAUSE, lock};
use crate::memory::case::MandateTag;
use crate::memory::store::StoreError;
use crate::telemetry::Counter;

impl Keeper {
    /// Deletes the cases of every revoked mandate, for ever. What a store could not delete is tried again with the next
    /// look; after a restart all are deleted once more, since nobody knows what was written meanwhile.
    pub(super) async fn forget_revoked(&self, revoked: impl Fn() -> Vec<B32>) {
        let mut forgotten = HashSet::new();
        loop {
            let tags = revoked().into_iter().map(|mandate| self.key.mandate(&mandate));
            let new: Vec<MandateTag> = tags.filter(|tag| !forgotten.contains(tag)).collect();
            match self.forget(&new).await {
                Ok(()) => forgotten.extend(new),
                Err(reason) => {
                    self.metrics.count(Counter::CaseWritesFailed, "deletion");
                    tracing::warn!(%reason, mandates = new.len(), "cases of revoked mandates are not deleted yet");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn forget(&self, mandates: &[MandateTag]) -> Result<(), StoreError> {
        if mandates.is_empty() {
            return Ok(());
        }
        // Barred first: a case on its way to a store is then left out, or deleted by whoever wrote it.
        lock(&self.barred).extend(mandates);
        self.own.delete(mandates);
        if let Some(store) = &self.shared {
            store.forget(mandates).await?;
        }
        self.metrics.add(Counter::CaseMandatesForgotten, "", mandates.len() as u64);
        Ok(())
    }
}
