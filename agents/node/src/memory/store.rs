//! What every store of cases does, whatever keeps the cases. `tests/case_memory.rs` holds each to the same suite.

use futures::future::BoxFuture;
use hygeia_protocol::message::Outcome;
use thiserror::Error;

use super::case::{Case, CaseId, Embedding, FoundCase, MandateTag};

/// A store of the cases of one model: embeddings of different models cannot be compared.
pub trait CaseStore: Send + Sync {
    /// The nearest cases, nearest first; at most `limit`.
    fn search<'a>(
        &'a self,
        embedding: &'a Embedding,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FoundCase>, StoreError>>;

    /// Keeps a case. One of its name that is there already stays as it is, with what is known of it.
    fn remember<'a>(&'a self, case: &'a Case) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Notes what became of a case, where that [replaces](Outcome::replaces) what is known; false where there is no such
    /// case.
    fn set_outcome(&self, id: CaseId, outcome: Outcome) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Deletes every case of these mandates.
    fn forget<'a>(&'a self, mandates: &'a [MandateTag]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Number of cases.
    fn count(&self) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// Why a store did not do what it was asked. A server's own words are left out: they may repeat what they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The server is absent, too slow, or speaks no language of ours: later it may be well.
    #[error("the store of cases did not {operation}: {reason}")]
    Away {
        /// What was asked.
        operation: &'static str,
        /// What came instead of an answer, in a word.
        reason: &'static str,
    },
    /// The server answered that it will not: asking again changes nothing.
    #[error("the store of cases refused to {operation}: {reason}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// The server's reason, in a word.
        reason: &'static str,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Away { .. })
    }
}
