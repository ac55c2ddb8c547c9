//! Keeps the stores of cases as the streams have it: every alert a case, every word on it its outcome, nothing of a mandate
//! that was revoked.
//!
//! The process's own cases are read from the newest proof requests at start, so that a restart forgets nothing that the
//! stream still holds. The network's store is written by a queue that all sentinels share: a job leaves it only once the
//! store has it, so what was raised while the store was away is written when it comes back. Runs beside the alerts; nothing
//! here holds one up.

mod revoked;
mod write;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use hygeia_inference::network::IntegerNetwork;
use hygeia_protocol::message::{AlertOutcome, B32, Message, Outcome, ProofRequest, Settlement, SettlementStatus};
use hygeia_protocol::subject::Stream;
use tokio_util::sync::CancellationToken;

use super::case::{Case, CaseId, CaseKey, Embedding, MandateTag};
use super::own::OwnCases;
use super::store::CaseStore;
use crate::bus::{Bus, OrderedReader};
use crate::telemetry::Metrics;

/// Proof requests read at start: at a few kilobytes each this is a second's work, and weeks of a ward's alerts.
const REQUESTS_READ: u64 = 2_000;
/// Outcomes read at start: several for each of those.
const OUTCOMES_READ: u64 = 10_000;
/// Outcomes kept whose case has not been read yet; the streams are read side by side.
const EARLY_MAX: usize = 4_096;
/// Without a message for this long a stream is asked whether one was missed.
const IDLE: Duration = Duration::from_secs(1);
/// Pause before a stream that failed is opened again, and between two looks for revoked mandates.
const PAUSE: Duration = Duration::from_secs(1);
/// What keeps the stores of one model's cases.
pub struct Keeper {
    bus: Bus,
    key: CaseKey,
    model: B32,
    network: IntegerNetwork,
    own: Arc<OwnCases>,
    shared: Option<Arc<dyn CaseStore>>,
    metrics: Metrics,
    stop: CancellationToken,
    // Both held for a look-up, never across an await.
    early: Mutex<HashMap<CaseId, Outcome>>,
    barred: Mutex<HashSet<MandateTag>>,
}

/// What a keeper needs to know.
pub struct KeeperParts {
    /// Where the streams are.
    pub bus: Bus,
    /// The secret that names are made with.
    pub key: CaseKey,
    /// Content hash of the model whose cases are kept.
    pub model: B32,
    /// Its network.
    pub network: IntegerNetwork,
    /// The process's own cases.
    pub own: Arc<OwnCases>,
    /// The network's store, if there is one.
    pub shared: Option<Arc<dyn CaseStore>>,
    /// Where failures are counted.
    pub metrics: Metrics,
    /// Ends the keeper.
    pub stop: CancellationToken,
}

impl Keeper {
    /// Starts keeping until stopped. `revoked` gives every mandate that was ever revoked; it is asked again and again.
    pub fn start(parts: KeeperParts, revoked: impl Fn() -> Vec<B32> + Send + Sync + 'static) -> Arc<Self> {
        let KeeperParts { bus, key, model, network, own, shared, metrics, stop } = parts;
        let (early, barred) = (Mutex::default(), Mutex::default());
        let keeper = Arc::new(Self { bus, key, model, network, own, shared, metrics, stop, early, barred });
        keeper.spawn(|keeper| async move { keeper.follow(Stream::ProofRequests, REQUESTS_READ, Self::keep_own).await });
        keeper.spawn(|keeper| async move { keeper.follow(Stream::Settlements, OUTCOMES_READ, Self::note_own).await });
        keeper.spawn(|keeper| async move { keeper.follow(Stream::Outcomes, OUTCOMES_READ, Self::note_own_word).await });
        if keeper.shared.is_some() {
            keeper.spawn(|keeper| async move { keeper.write::<ProofRequest>().await });
            keeper.spawn(|keeper| async move { keeper.write::<Settlement>().await });
            keeper.spawn(|keeper| async move { keeper.write::<AlertOutcome>().await });
        }
        keeper.spawn(|keeper| async move { keeper.forget_revoked(revoked).await });
        keeper
    }

    /// Runs a task that ends when the keeper is stopped.
    fn spawn<F: Future<Output = ()> + Send + 'static>(self: &Arc<Self>, task: impl FnOnce(Arc<Self>) -> F) {
        let (stop, task) = (self.stop.clone(), task(self.clone()));
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Reads a stream's newest messages, then follows it.
    async fn follow<T: Message>(&self, stream: Stream, newest: u64, take: fn(&Self, &T)) {
        let mut next = None;
        loop {
            if let Err(reason) = self.read(stream, newest, &mut next, take).await {
                let reason = format!("{reason:#}");
                tracing::warn!(stream = stream.name(), reason, "the memory of cases is not current; reading again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Returns when the stream holds something that did not come: then it has to be opened again.
    async fn read<T: Message>(
        &self,
        stream: Stream,
        newest: u64,
        next: &mut Option<u64>,
        take: fn(&Self, &T),
    ) -> Result<()> {
        let (_, last) = self.bus.stream_state(stream).await?;
        let tail = last.saturating_sub(newest) + 1;
        // A stream that ends before the place was made anew.
        let mut at = next.filter(|next| *next <= last + 1).unwrap_or(tail);
        let mut reader = OrderedReader::open(&self.bus, stream, Vec::new(), at).await?;
        loop {
            if let Some(entry) = reader.next_within(IDLE).await? {
                at = entry.sequence + 1;
                *next = Some(at);
                if let Ok(message) = T::decode(&entry.payload) {
                    take(self, &message);
                }
            } else if self.bus.stream_state(stream).await?.1 + 1 != at {
                return Ok(());
            }
        }
    }

    fn keep_own(&self, request: &ProofRequest) {
        let Some(case) = self.case_of(request) else { return };
        self.own.keep(&case);
        let early = lock(&self.early).remove(&case.id);
        if let Some(outcome) = early {
            self.own.note(case.id, outcome);
        }
        // Barred between the first look and the writing.
        if self.is_barred(&case.mandate) {
            self.own.delete(&[case.mandate]);
        }
    }

    fn note_own(&self, settlement: &Settlement) {
        self.note(&settlement.alert_id, of_chain(settlement.status));
    }

    fn note_own_word(&self, word: &AlertOutcome) {
        self.note(&word.alert_id, word.outcome);
    }

    fn note(&self, alert: &B32, outcome: Outcome) {
        let id = self.key.case(alert);
        if self.own.note(id, outcome) {
            return;
        }
        let mut early = lock(&self.early);
        if early.len() < EARLY_MAX && outcome.replaces(early.get(&id).copied()) {
            early.insert(id, outcome);
        }
    }

    /// The case that a proof was asked for, if it is of this model and its mandate stands.
    fn case_of(&self, request: &ProofRequest) -> Option<Case> {
        let window = &request.window;
        if request.model != self.model {
            return None;
        }
        let embedding = Embedding::of(&self.network, &window.features).ok()?;
        let case = Case::new(&self.key, &request.alert_id, &window.mandate, embedding, request.score);
        (!self.is_barred(&case.mandate)).then_some(case)
    }

    fn is_barred(&self, mandate: &MandateTag) -> bool {
        lock(&self.barred).contains(mandate)
    }
}

/// What the chain made of an alert.
fn of_chain(status: SettlementStatus) -> Outcome {
    match status {
        SettlementStatus::Triggered => Outcome::CareTriggered,
        SettlementStatus::Refused => Outcome::ChainRefused,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
