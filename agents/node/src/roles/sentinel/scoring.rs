//! The scoring task: windows of all partitions, as many at a time as wait. An idle sentinel scores a window at once; a busy
//! one shares a pass over the network among up to [`BATCH_MAX`].

use std::sync::Arc;

use hygeia_inference::engine::EngineError;
use hygeia_inference::network::NetworkError;
use hygeia_zkml::InferenceGate;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::models::served::Served;
use crate::telemetry::{Histogram, process};

/// Windows scored at a time at most: past this the matrix product no longer gets cheaper per window.
const BATCH_MAX: usize = 64;
/// Windows that may wait. Each partition's task waits for the scores of its own, so this is room for all of them.
const WAITING_MAX: usize = 1_024;

/// What the model and its guard say of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scored {
    /// Fixed-point logit, 1024 = 1.
    pub score: i64,
    /// Whether the window is unlike those the model was validated on.
    pub outside_validated_range: bool,
}

/// Why a window has no score.
#[derive(Debug, Error)]
pub enum ScoreError {
    /// The engine refuses its features, or failed.
    #[error("the engine gives no score")]
    Engine(#[from] EngineError),
    /// The reference refuses its features.
    #[error("the reference network gives no score")]
    Reference(#[from] NetworkError),
    /// The task is gone.
    #[error("nothing scores any more")]
    Gone,
}

/// Takes windows to the scoring task, which ends with the last of these.
#[derive(Clone)]
pub struct Scorer {
    // Read by the scoring task; full, it holds the partitions' tasks up and with them their reading.
    requests: mpsc::Sender<Request>,
}

struct Request {
    model: Arc<Served>,
    features: Vec<i32>,
    reply: oneshot::Sender<Result<Scored, ScoreError>>,
}

impl Scorer {
    /// Starts the scoring task. Where it scores on a device, `gate` holds the provers of this process back on it meanwhile.
    pub fn start(gate: Option<Arc<InferenceGate>>) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(score_what_waits(waiting, gate));
        Self { requests }
    }

    /// Hands a window over; its score comes back through the answer.
    pub async fn ask(&self, model: Arc<Served>, features: Vec<i32>) -> oneshot::Receiver<Result<Scored, ScoreError>> {
        let (reply, answer) = oneshot::channel();
        // A task that is gone drops the reply, which is an answer too.
        let _ = self.requests.send(Request { model, features, reply }).await;
        answer
    }
}

async fn score_what_waits(mut waiting: mpsc::Receiver<Request>, gate: Option<Arc<InferenceGate>>) {
    while let Some(first) = waiting.recv().await {
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let _first = gate.as_ref().map(InferenceGate::score);
        score(batch);
    }
}

/// Scores windows, each with its own model.
fn score(mut batch: Vec<Request>) {
    while let Some(model) = batch.first().map(|request| request.model.clone()) {
        let (same, others) = batch.into_iter().partition(|request| Arc::ptr_eq(&request.model, &model));
        score_with(&model, same);
        batch = others;
    }
}

fn score_with(model: &Served, batch: Vec<Request>) {
    process().observe(Histogram::ScoringBatch, batch.len() as f64);
    let features: Vec<&[i32]> = batch.iter().map(|request| request.features.as_slice()).collect();
    match model.engine.score_batch(&features) {
        Ok(scores) => {
            for (request, score) in batch.into_iter().zip(scores) {
                let scored = judge(model, &request.features, score);
                let _ = request.reply.send(scored);
            }
        }
        // One window of the batch is at fault; the others are scored all the same.
        Err(_) => batch.into_iter().for_each(|request| {
            let scored = score_alone(model, &request.features);
            let _ = request.reply.send(scored);
        }),
    }
}

fn score_alone(model: &Served, features: &[i32]) -> Result<Scored, ScoreError> {
    let scores = model.engine.score_batch(&[features])?;
    judge(model, features, scores.first().copied().ok_or(ScoreError::Gone)?)
}

/// Asks the guard what it thinks of a window that has a score.
fn judge(model: &Served, features: &[i32], score: i64) -> Result<Scored, ScoreError> {
    let evaluation = model.model.network().evaluate(features)?;
    let familiarity = model.model.guard().judge(features, &evaluation.activations);
    Ok(Scored { score, outside_validated_range: !familiarity.is_inside() })
}
