//! The cases that a process keeps by itself: bounded, searched exactly, gone with the process and filled again from the
//! stream of proof requests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use hygeia_protocol::message::Outcome;

use super::case::{Case, CaseId, Embedding, FoundCase, MandateTag};
use super::store::{CaseStore, StoreError};

/// Cases one process keeps by itself; at 32 dimensions this is a few megabytes and well under a millisecond to search.
pub const CASES_KEPT: usize = 10_000;

/// The newest cases, oldest first.
pub struct OwnCases {
    // Held for a search of some thousand dot products at most, never across an await.
    cases: Mutex<VecDeque<Case>>,
    kept: usize,
}

impl Default for OwnCases {
    fn default() -> Self {
        Self::keeping(CASES_KEPT)
    }
}

impl OwnCases {
    /// A store of so many cases; the oldest makes room.
    pub fn keeping(kept: usize) -> Self {
        Self { cases: Mutex::default(), kept: kept.max(1) }
    }

    /// The nearest cases, nearest first; of equally near ones the newest.
    pub fn nearest(&self, embedding: &Embedding, limit: usize) -> Vec<FoundCase> {
        let cases = self.lock();
        let mut near: Vec<(u32, usize)> =
            cases.iter().enumerate().map(|(age, case)| (case.embedding.similarity_ppm(embedding), age)).collect();
        if near.len() > limit {
            near.select_nth_unstable_by(limit, |a, b| b.cmp(a));
            near.truncate(limit);
        }
        near.sort_unstable_by(|a, b| b.cmp(a));
        let found = |(similarity_ppm, at): (u32, usize)| FoundCase {
            similarity_ppm,
            score: cases[at].score,
            outcome: cases[at].outcome,
        };
        near.into_iter().map(found).collect()
    }

    /// Keeps a case that is not there yet.
    pub fn keep(&self, case: &Case) {
        let mut cases = self.lock();
        // Repetitions follow each other closely, so the newest are looked at first.
        if cases.iter().rev().any(|known| known.id == case.id) {
            return;
        }
        if cases.len() == self.kept {
            cases.pop_front();
        }
        cases.push_back(case.clone());
    }

    /// Notes what became of a case; false where it is not there.
    pub fn note(&self, id: CaseId, outcome: Outcome) -> bool {
        let mut cases = self.lock();
        let Some(case) = cases.iter_mut().rev().find(|case| case.id == id) else { return false };
        if outcome.replaces(case.outcome) {
            case.outcome = Some(outcome);
        }
        true
    }

    /// Deletes every case of these mandates.
    pub fn delete(&self, mandates: &[MandateTag]) {
        self.lock().retain(|case| !mandates.contains(&case.mandate));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Case>> {
        self.cases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CaseStore for OwnCases {
    fn search<'a>(
        &'a self,
        embedding: &'a Embedding,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FoundCase>, StoreError>> {
        ready(Ok(self.nearest(embedding, limit))).boxed()
    }

    fn remember<'a>(&'a self, case: &'a Case) -> BoxFuture<'a, Result<(), StoreError>> {
        self.keep(case);
        ready(Ok(())).boxed()
    }

    fn set_outcome(&self, id: CaseId, outcome: Outcome) -> BoxFuture<'_, Result<bool, StoreError>> {
        ready(Ok(self.note(id, outcome))).boxed()
    }

    fn forget<'a>(&'a self, mandates: &'a [MandateTag]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.delete(mandates);
        ready(Ok(())).boxed()
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        ready(Ok(self.lock().len() as u64)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::case::CaseKey;
    use hygeia_protocol::message::B32;

    #[test]
    fn the_oldest_makes_room() {
        let (store, key) = (OwnCases::keeping(2), CaseKey::new([0; 32]));
        for n in 1..=3 {
            let id = B32::new([n; 32]);
            store.keep(&Case::new(&key, &id, &id, Embedding::scaled(&[1.0]), i64::from(n) * 64));
        }
        let scores: Vec<i64> = store.nearest(&Embedding::scaled(&[1.0]), 9).iter().map(|case| case.score).collect();
        assert_eq!(scores, [192, 128], "the newest first, the oldest gone");
    }
}
