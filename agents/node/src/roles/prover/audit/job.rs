//! One audit proof, from the batch to its end: proved, put aside, or left because the process ends.
//!
//! Proving blocks for seconds or minutes and cannot be interrupted, so it has a thread of its own that nobody waits for
//! when the process ends. What that thread was about to return is then lost, and the batch comes again.

use std::sync::Arc;

use hygeia_protocol::audit::{AfterFailure, after_failure};
use hygeia_zkml::audit::{AuditBatch, AuditError, AuditKeys, AuditProof};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Proves batches, and verifies each proof before it returns it.
pub trait ProveBatch: Send + Sync + 'static {
    /// Proves one batch; blocks until it is done.
    fn prove(&self, batch: &AuditBatch) -> Result<AuditProof, AuditError>;
}

impl ProveBatch for AuditKeys {
    fn prove(&self, batch: &AuditBatch) -> Result<AuditProof, AuditError> {
        Self::prove(self, batch)
    }
}

/// How a job ended.
#[derive(Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// With a proof that has verified.
    Proved(Box<AuditProof>),
    /// Without one, after as many attempts as are made.
    PutAside(&'static str),
    /// The process ends; nothing came of it.
    Stopped,
}

/// Proves a batch, again after a failure as long as `hygeia_protocol` says so. `failed` is told of each failure.
pub async fn run<P: ProveBatch>(
    prover: &Arc<P>,
    batch: &Arc<AuditBatch>,
    deliveries: u64,
    stop: &CancellationToken,
    mut failed: impl FnMut(&AuditError),
) -> JobEnd {
    let mut tries = 0;
    loop {
        let (prover, batch) = (Arc::clone(prover), Arc::clone(batch));
        let proving = detached("audit", move || prover.prove(&batch));
        let error = tokio::select! {
            () = stop.cancelled() => return JobEnd::Stopped,
            result = proving => match result.unwrap_or(Err(AuditError::Panicked)) {
                Ok(proof) => return JobEnd::Proved(Box::new(proof)),
                Err(error) => error,
            },
        };
        tries += 1;
        failed(&error);
        if after_failure(tries, deliveries) == AfterFailure::PutAside {
            return JobEnd::PutAside(label(&error));
        }
    }
}

/// The stable label of a failure, for dead letters and metrics.
pub const fn label(error: &AuditError) -> &'static str {
    match error {
        AuditError::Empty | AuditError::TooMany { .. } => "audit_batch_size",
        AuditError::Window { .. } => "audit_window",
        AuditError::ProofSystem(_) => "audit_proof_system",
        AuditError::Panicked => "audit_panicked",
        AuditError::SelfVerificationFailed(_) => "audit_self_verification",
    }
}

/// Runs `work` on a thread that the end of the process does not wait for. The answer is an error where it panicked, or
/// where the system gives no thread.
pub(in crate::roles::prover) fn detached<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (answer, receiver) = oneshot::channel();
    let run = move || drop(answer.send(work()));
    if let Err(reason) = std::thread::Builder::new().name(name.to_owned()).spawn(run) {
        tracing::error!(%reason, "no thread for a proof");
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use hygeia_protocol::audit::{DELIVERIES_MAX, TRIES_MAX};
    use hygeia_zkml::audit::AuditTree;
    use hygeia_zkml::{Commitment, PublicInputs, VerifyError};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;
    use std::sync::{Mutex, PoisonError};

    /// Fails a number of times, then succeeds.
    struct Failing(AtomicU32, fn() -> AuditError);

    impl ProveBatch for Failing {
        fn prove(&self, _batch: &AuditBatch) -> Result<AuditProof, AuditError> {
            let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if left.is_ok() { Err(self.1()) } else { Ok(proof()) }
        }
    }

    fn proof() -> AuditProof {
        let windows = vec![PublicInputs { commitment: Commitment::from_bytes([1; 32]).unwrap(), score: 4 }];
        let tree = AuditTree::new(&windows, 2);
        AuditProof { bytes: vec![1], public: tree.public(), windows, tree }
    }

    async fn ended(failures: u32, error: fn() -> AuditError, deliveries: u64) -> (JobEnd, Vec<&'static str>) {
        let prover = Arc::new(Failing(AtomicU32::new(failures), error));
        let (batch, stop) = (Arc::new(AuditBatch::new()), CancellationToken::new());
        let mut seen = Vec::new();
        let end = run(&prover, &batch, deliveries, &stop, |error| seen.push(label(error))).await;
        (end, seen)
    }

    #[tokio::test]
    async fn a_failure_is_tried_again_and_a_proof_ends_it() {
        let (end, seen) = ended(TRIES_MAX - 1, || AuditError::Panicked, 1).await;
        assert_eq!(end, JobEnd::Proved(Box::new(proof())));
        assert_eq!(seen, ["audit_panicked"; TRIES_MAX as usize - 1]);
    }

    #[tokio::test]
    async fn a_proof_that_fails_its_own_verification_never_comes_out() {
        let failure = || AuditError::SelfVerificationFailed(VerifyError::Rejected);
        let (end, seen) = ended(u32::MAX, failure, 1).await;
        assert_eq!(end, JobEnd::PutAside("audit_self_verification"));
        assert_eq!(seen, ["audit_self_verification"; TRIES_MAX as usize]);
        let (end, seen) = ended(u32::MAX, failure, DELIVERIES_MAX + 1).await;
        assert_eq!((end, seen.len()), (JobEnd::PutAside("audit_self_verification"), 1));
    }

    /// Proves until it is let go.
    struct Held(Mutex<mpsc::Receiver<()>>);

    impl ProveBatch for Held {
        fn prove(&self, _batch: &AuditBatch) -> Result<AuditProof, AuditError> {
            let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
            Ok(proof())
        }
    }

    /// Ends, although the proof never does.
    #[tokio::test]
    async fn the_end_of_the_process_does_not_wait_for_a_proof() {
        let (_let_go, held) = mpsc::channel();
        let prover = Arc::new(Held(Mutex::new(held)));
        let (batch, stop) = (Arc::new(AuditBatch::new()), CancellationToken::new());
        stop.cancel();
        let end = run(&prover, &batch, 1, &stop, |_| {}).await;
        assert_eq!(end, JobEnd::Stopped);
    }
}
