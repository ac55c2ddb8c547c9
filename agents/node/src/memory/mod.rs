//! Memory of similar cases: the nearest earlier alerts, by the network's own view of the patient, and what became of them.
//!
//! Every sentinel keeps the newest cases itself and searches them exactly. With a Qdrant server the whole care network's
//! cases are shared. A search begins as soon as the score is known, runs beside the alert's other work, and has
//! [`SEARCH_BUDGET`] in all; a store that does not answer is left alone for a while. The sentinel never writes cases: a
//! [`Keeper`] follows the streams and writes what it finds there, so a store that was away is made up for later. A case
//! never holds an identity.

mod breaker;
mod case;
mod keeper;
mod open;
mod own;
mod qdrant;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hygeia_protocol::message::SimilarCase;
use tokio::task::JoinHandle;

pub use breaker::Breaker;
pub use case::{Case, CaseId, CaseKey, Embedding, FoundCase, MandateTag};
pub use keeper::{Keeper, KeeperParts};
pub use open::{network_key, open};
pub use own::{CASES_KEPT, OwnCases};
pub use qdrant::{QdrantCases, collection_of};
pub use store::{CaseStore, StoreError};

use crate::telemetry::{Counter, Metrics};

/// Longest time from the score to the end of a search. Past it the alert goes out with the sentinel's own cases.
pub const SEARCH_BUDGET: Duration = Duration::from_millis(10);
/// Cases attached to an alert.
pub const CASES_SHOWN: usize = 3;

/// The cases a sentinel can look up.
#[derive(Clone)]
pub struct CaseMemory {
    own: Arc<OwnCases>,
    shared: Option<Arc<Shared>>,
    metrics: Metrics,
}

struct Shared {
    store: Arc<dyn CaseStore>,
    // Held for a comparison of times, never across an await.
    breaker: Mutex<Breaker>,
}

/// A search under way.
pub struct Search(JoinHandle<Vec<SimilarCase>>);

impl CaseMemory {
    /// A memory of the process's own cases, and of the network's where there is a store of them.
    pub fn new(own: Arc<OwnCases>, shared: Option<Arc<dyn CaseStore>>, metrics: Metrics) -> Self {
        let shared = shared.map(|store| Arc::new(Shared { store, breaker: Mutex::default() }));
        Self { own, shared, metrics }
    }

    /// Begins a search; it runs on whether or not anybody waits for it.
    pub fn search(&self, embedding: Embedding) -> Search {
        let memory = self.clone();
        Search(tokio::spawn(async move { memory.nearest(&embedding).await }))
    }

    /// The nearest earlier cases: the network's where its store answers in time, else the process's own.
    pub async fn nearest(&self, embedding: &Embedding) -> Vec<SimilarCase> {
        let shared = match &self.shared {
            None => None,
            Some(shared) => shared.nearest(embedding).await.or_else(|| {
                self.metrics.count(Counter::SimilarCasesUnavailable, "");
                None
            }),
        };
        let found = shared.unwrap_or_else(|| self.own.nearest(embedding, CASES_SHOWN));
        found.into_iter().map(SimilarCase::from).collect()
    }
}

impl Search {
    /// What was found; nothing where the search itself broke down.
    pub async fn cases(self) -> Vec<SimilarCase> {
        self.0.await.unwrap_or_default()
    }
}

impl Shared {
    /// The network's nearest cases; none where its store is left alone or does not answer in time.
    async fn nearest(&self, embedding: &Embedding) -> Option<Vec<FoundCase>> {
        if !self.breaker().permits(Instant::now()) {
            return None;
        }
        match tokio::time::timeout(SEARCH_BUDGET, self.store.search(embedding, CASES_SHOWN)).await {
            Ok(Ok(cases)) => {
                if self.breaker().succeeded() {
                    tracing::info!("the shared memory of cases answers again");
                }
                return Some(cases);
            }
            Ok(Err(reason)) => self.failed(reason.to_string()),
            Err(_elapsed) => self.failed(format!("no answer within {} ms", SEARCH_BUDGET.as_millis())),
        }
        None
    }

    fn failed(&self, reason: String) {
        if self.breaker().failed(Instant::now()) {
            tracing::warn!(reason, "the shared memory of cases is left alone for a while; alerts go out without it");
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
