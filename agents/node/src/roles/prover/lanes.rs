//! One lane for each engine: proofs of an engine follow each other, engines run beside each other.
//!
//! A proof cannot be interrupted. One that does not come to an end within its time counts as failed, and its thread keeps
//! the lane: whatever comes for an engine whose proof takes too long is turned away at once, so that alerts of other
//! engines never stand behind it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hygeia_zkml::Salt;
use hygeia_zkml::engine::{Engine, Proof};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::ProveError;
use super::audit::detached;

/// How long a proof may take: far beyond the slowest engine here, EZKL with a large model.
pub const PROOF_WITHIN: Duration = Duration::from_secs(300);
/// How long a request waits behind another of the same engine: two proofs of the slowest engine.
pub const TURN_WITHIN: Duration = Duration::from_secs(60);

/// The lanes of one prover.
pub struct Lanes {
    proof_within: Duration,
    turn_within: Duration,
    // Lanes are added as engines come; held for a look-up.
    by_key: Mutex<HashMap<[u8; 32], Arc<Lane>>>,
}

struct Lane {
    turn: Arc<Semaphore>,
    // Since when a proof has had the turn; written by whoever takes it and by the thread that gives it back.
    since: Mutex<Option<Instant>>,
}

/// The turn of one proof; over when it is dropped, also by a panic.
struct Turn {
    lane: Arc<Lane>,
    _permit: OwnedSemaphorePermit,
}

impl Lanes {
    /// Lanes in which a proof may take and a request may wait so long.
    pub fn new(proof_within: Duration, turn_within: Duration) -> Self {
        Self { proof_within, turn_within, by_key: Mutex::default() }
    }

    /// Proves in the lane of the engine.
    ///
    /// # Errors
    /// [`ProveError::Busy`] where the turn does not come, [`ProveError::Late`] where the proof does not.
    pub async fn prove(&self, engine: &Arc<dyn Engine>, features: Vec<i32>, salt: Salt) -> Result<Proof, ProveError> {
        let lane = self.of(engine.verifying_key_hash());
        if lane.is_held_longer_than(self.turn_within) {
            return Err(ProveError::Busy);
        }
        let turn = timeout(self.turn_within, lane.turn.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| ProveError::Busy)?.map_err(|_| ProveError::Busy)?;
        let turn = Turn::begin(lane, turn);
        let engine = engine.clone();
        let proving = detached("proof", move || {
            let proof = engine.prove(&features, &salt);
            // Here and not where it is awaited: a thread that outlives its time keeps its turn.
            drop(turn);
            proof
        });
        match timeout(self.proof_within, proving).await {
            Ok(Ok(proof)) => proof.map_err(ProveError::of_engine),
            Ok(Err(_)) => Err(ProveError::Panicked),
            Err(_) => Err(ProveError::Late),
        }
    }

    fn of(&self, key: [u8; 32]) -> Arc<Lane> {
        let mut lanes = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Lane { turn: Arc::new(Semaphore::new(1)), since: Mutex::default() });
        lanes.entry(key).or_insert_with(fresh).clone()
    }
}

impl Lane {
    fn is_held_longer_than(&self, duration: Duration) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= duration)
    }

    fn set_held(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl Turn {
    fn begin(lane: Arc<Lane>, permit: OwnedSemaphorePermit) -> Self {
        lane.set_held(Some(Instant::now()));
        Self { lane, _permit: permit }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lane.set_held(None);
    }
}
