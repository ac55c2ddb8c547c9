//! What becomes of one alert's proof request: proved, refused, done again later, or put aside.
//!
//! A request that no prover could ever prove is refused at once. Where the engine fails, the queue gives the request again
//! after a pause that grows; when its time is over it is dead-lettered, so that an alert without a proof is seen and never
//! merely missing. Each step stands in the journal before the request is taken off the queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::journal::{Fact, message_hash};
use hygeia_protocol::message::{DeadLetter, HexBytes, Message, ProofRequest, Receipt, V1};
use hygeia_protocol::retry::{AfterFailure, RetryRules};
use hygeia_protocol::subject::{self, Stream};
use hygeia_zkml::Salt;
use hygeia_zkml::engine::Engine;

use super::lanes::Lanes;
use super::{ProveError, QUEUE};
use crate::bus::{Bus, BusError, Job};
use crate::clock::now_ms;
use crate::journal::Journal;
use crate::telemetry::schema::events::{Attribute, SpanName};
use crate::telemetry::trace::{self, Span, Value};
use crate::telemetry::{Counter, Histogram, Metrics};

/// Reason of the dead letter of an alert without a proof.
const DEAD_LETTER: &str = "proof";

/// First pause after a failed proof.
const PAUSE_S_MIN: u64 = 2;
/// Longest pause: a repaired engine is found within five minutes.
const PAUSE_S_MAX: u64 = 300;
/// Attempts that are made in any case.
const TRIES_MIN: u64 = 3;

/// Works on proof requests.
pub struct AlertProofs {
    /// The broker.
    pub bus: Bus,
    /// What led to money.
    pub journal: Journal,
    /// The process's counters.
    pub metrics: Metrics,
    /// The engines' lanes.
    pub lanes: Lanes,
    /// When a failed proof is made again.
    pub rules: RetryRules,
}

/// The rules for requests that are made again for so long.
pub const fn retry_rules(give_up_after_s: u64) -> RetryRules {
    RetryRules { pause_s_min: PAUSE_S_MIN, pause_s_max: PAUSE_S_MAX, give_up_after_s, tries_min: TRIES_MIN }
}

impl AlertProofs {
    /// Works on one request with the engine that was found for it.
    pub async fn handle(
        &self,
        request: ProofRequest,
        job: Job,
        engine: Result<Arc<dyn Engine>, ProveError>,
    ) -> Result<()> {
        let mut span = Span::after(SpanName::Proof, job.trace());
        span.tell(Attribute::Policy, Value::Id(request.policy));
        span.tell(Attribute::Model, Value::Id(request.model));
        let context = span.context();
        let handled = trace::within(context, self.handle_within(request, job, engine, &mut span)).await;
        span.end();
        handled
    }

    async fn handle_within(
        &self,
        request: ProofRequest,
        job: Job,
        engine: Result<Arc<dyn Engine>, ProveError>,
        span: &mut Span,
    ) -> Result<()> {
        let (alert, message) = (request.alert_id, message_hash(&request.encode()));
        let (place, tries) = job.place()?;
        let age_s = age_s(&request);
        if tries == 1 {
            self.journal.note(Fact::ProofAccepted { alert, message }).await?;
        }
        let error = match job.while_working(self.prove(request, engine)).await {
            Ok(receipt) => {
                span.tell(Attribute::Receipt, Value::Id(receipt.receipt_id));
                self.publish(&receipt).await?;
                return Ok(job.done().await?);
            }
            Err(error) => error,
        };
        span.fail(error.label());
        match self.rules.after(tries, age_s) {
            AfterFailure::Again { pause_s } if error.is_passing() => {
                self.metrics.count(Counter::ProofsRetried, error.label());
                tracing::warn!(%alert, kind = error.label(), tries, pause_s, "a proof failed; it is made again later");
                Ok(job.later(Duration::from_secs(pause_s)).await?)
            }
            _ => {
                self.put_aside(alert, message, place, &error).await?;
                Ok(job.done().await?)
            }
        }
    }

    /// Whether the time is over within which a proof of this request is tried.
    pub fn is_over(&self, request: &ProofRequest) -> bool {
        age_s(request) >= self.rules.give_up_after_s
    }

    async fn prove(
        &self,
        request: ProofRequest,
        engine: Result<Arc<dyn Engine>, ProveError>,
    ) -> Result<Receipt, ProveError> {
        let engine = engine?;
        check(&request, engine.as_ref())?;
        let salt = Salt::new(*request.window.salt.expose());
        let started = Instant::now();
        let proof = self.lanes.prove(&engine, request.window.features.clone(), salt).await?;
        if proof.public.score != request.score {
            return Err(ProveError::WrongScore);
        }
        Ok(receipt(request, engine.as_ref(), proof.bytes, started.elapsed()))
    }

    async fn publish(&self, receipt: &Receipt) -> Result<()> {
        let (alert, bytes) = (receipt.alert_id, receipt.encode());
        let message = message_hash(&bytes);
        // First the journal: whatever stands on the bus is told of there.
        self.journal.note(Fact::ReceiptMade { alert, receipt: receipt.receipt_id, message }).await?;
        self.bus.publish(Stream::Receipts, subject::RECEIPT.to_owned(), &receipt.message_id(), bytes).await?;
        self.metrics.took(Histogram::ProofTime, Duration::from_millis(receipt.prove_ms));
        self.metrics.count(Counter::ProofsPublished, "");
        tracing::info!(%alert, prove_ms = receipt.prove_ms, "proof verified and published");
        Ok(())
    }

    async fn put_aside(&self, alert: B32, message: B32, place: u64, error: &ProveError) -> Result<()> {
        self.metrics.count(Counter::ProofsFailed, error.label());
        tracing::error!(%alert, kind = error.label(), "no proof for an alert: this is an incident");
        self.dead_letter(alert, place).await?;
        Ok(self.journal.note(Fact::ProofSetAside { alert, reason: error.label().to_owned(), message }).await?)
    }

    async fn dead_letter(&self, alert: B32, stream_sequence: u64) -> Result<(), BusError> {
        let letter = DeadLetter {
            v: V1,
            reason: DEAD_LETTER.to_owned(),
            digest: alert,
            stream_sequence,
            received_at_ms: now_ms(),
        };
        let subject = subject::dead_letter(DEAD_LETTER);
        self.bus.publish(Stream::DeadLetters, subject, &letter.message_id(), letter.encode()).await.map(|_| ())
    }
}

/// The queue of requests: one at a time, when there is a place for it.
pub async fn queue(bus: &Bus) -> Result<crate::bus::SlowQueue, BusError> {
    crate::bus::SlowQueue::open(bus, Stream::ProofRequests, subject::PROVE_REQUEST.to_owned(), QUEUE).await
}

fn age_s(request: &ProofRequest) -> u64 {
    now_ms().saturating_sub(request.requested_at_ms) / 1_000
}

/// Refuses a window that does not open its commitment, before any work is done on it.
fn check(request: &ProofRequest, engine: &dyn Engine) -> Result<(), ProveError> {
    let window = &request.window;
    let salt = Salt::new(*window.salt.expose());
    let commitment = engine
        .commitment_scheme()
        .commit(*window.schema.as_bytes(), &window.features, &salt)
        .map_err(|source| ProveError::Statement(Box::new(source)))?;
    match commitment.to_bytes() == *window.commitment.as_bytes() {
        true => Ok(()),
        false => Err(ProveError::WrongCommitment),
    }
}

fn receipt(request: ProofRequest, engine: &dyn Engine, proof: Vec<u8>, took: Duration) -> Receipt {
    let circuit = B32::new(engine.circuit_hash());
    Receipt {
        v: V1,
        receipt_id: Receipt::id(&request.alert_id, &circuit),
        alert_id: request.alert_id,
        mandate: request.window.mandate,
        policy: request.policy,
        model: request.model,
        circuit,
        verifying_key: B32::new(engine.verifying_key_hash()),
        proof_system: engine.proof_system_id().to_owned(),
        commitment: request.window.commitment,
        score: request.score,
        proof: HexBytes::new(proof),
        end: request.window.end,
        oracle: request.window.oracle,
        signature: request.window.signature,
        proved_at_ms: now_ms(),
        prove_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}
