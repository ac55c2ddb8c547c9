//! What follows from a score: the alert first and always, then the request for its proof, then the ledger's line.

use std::sync::Arc;

use anyhow::Result;
use hygeia_protocol::message::{Alert, AttestedWindow, B32, Message, ProofMode, ProofRequest, ScoredWindow, V1};
use hygeia_protocol::subject::{self, Stream};

use super::scoring::Scored;
use super::work::{Arrived, SentinelWork};
use crate::chain::registry::ActivePolicy;
use crate::clock::now_ms;
use crate::explain;
use crate::memory::{Embedding, Search};
use crate::partition::{Effect, Lane, Outbox, Payload};
use crate::telemetry::schema::events::{Attribute, SpanName};
use crate::telemetry::trace::{Span, TraceContext, Value, keep_for_alert};
use crate::telemetry::{Counter, Histogram};

/// Under what an alert is raised.
#[derive(Clone, Copy)]
pub(super) struct AlertTerms<'a> {
    pub policy: &'a ActivePolicy,
    pub escalation: bool,
}

/// What an alert is raised with beside its score.
struct Raising {
    search: Search,
    context: TraceContext,
}

/// The identity of a window's line in the ledger, where this model scores it.
pub(super) fn ledger_id(window: &AttestedWindow, model: &B32) -> String {
    ScoredWindow::line_id(&window.window_id, model)
}

/// The identity of the alert that a window may raise under a policy, where this model scores it.
pub(super) fn alert_message_id(window: &AttestedWindow, policy: &B32, model: &B32) -> String {
    Alert::message_id_of(&Alert::id(&window.window_id, policy, model))
}

impl SentinelWork {
    /// Raises an alert and asks for its proof. Both have the mandate's lane, so the alert is stored first.
    pub(super) fn alert(
        &self,
        arrived: &Arc<Arrived>,
        scored: Scored,
        terms: AlertTerms<'_>,
        outbox: &mut Outbox,
    ) -> Result<()> {
        let span = self.alert_span(arrived, terms);
        let context = span.context();
        let embedding = Embedding::of(arrived.model.model.network(), &arrived.window.features)?;
        let request = proof_request(arrived, scored, terms);
        // The search begins here and runs while the alert waits for its turn.
        let search = self.sentinel.companions.of(&arrived.model.hash)?.memory.search(embedding);
        self.push_alert(arrived, scored, terms, Raising { search, context }, outbox);
        let effect = Effect {
            lane: Lane::of(arrived.window.mandate),
            stream: Stream::ProofRequests,
            subject: subject::PROVE_REQUEST.to_owned(),
            message_id: request.message_id(),
            payload: Payload::Ready(request.encode()),
            noted: Some(Box::new(move || span.end())),
            trace: Some(context),
        };
        outbox.push(arrived.sequence, effect);
        Ok(())
    }

    fn push_alert(
        &self,
        arrived: &Arc<Arrived>,
        scored: Scored,
        terms: AlertTerms<'_>,
        raising: Raising,
        outbox: &mut Outbox,
    ) {
        let Raising { search, context } = raising;
        let observed_at_ms = arrived.window.observed_at_ms;
        let alert = bare_alert(arrived, scored, terms, &self.sentinel.ward);
        let (alert_id, kind) = (alert.alert_id, if terms.escalation { "escalation" } else { "new" });
        let metrics = self.sentinel.site.metrics.clone();
        let effect = Effect {
            lane: Lane::of(arrived.window.mandate),
            stream: Stream::Alerts,
            subject: subject::alert(self.partition),
            message_id: alert.message_id(),
            payload: Payload::Later(Box::pin(explained(arrived.clone(), alert, search))),
            noted: Some(Box::new(move || {
                metrics.count(Counter::AlertsRaised, kind);
                metrics.took_since_ms(Histogram::AlertLatency, observed_at_ms, now_ms());
                tracing::info!(alert = %alert_id, kind, "alert raised");
            })),
            trace: Some(context),
        };
        outbox.push(arrived.sequence, effect);
    }

    /// The step of an alert, in a trace that is kept from here on whatever became of it before.
    fn alert_span(&self, arrived: &Arrived, terms: AlertTerms<'_>) -> Span {
        let Arrived { window, trace, arrived_at_ms, model, .. } = arrived;
        let trace = keep_for_alert(*trace, window.observed_at_ms, window.emitted_at_ms);
        let score = Span::after(SpanName::Score, Some(trace)).since_ms(*arrived_at_ms);
        let mut span = Span::after(SpanName::Alert, Some(score.context()));
        score.end();
        span.tell(Attribute::Partition, Value::Number(self.partition.0.into()));
        span.tell(Attribute::Policy, Value::Id(terms.policy.id));
        span.tell(Attribute::Model, Value::Id(model.hash));
        span
    }

    /// Writes down what became of a window.
    pub(super) fn write_ledger(&self, arrived: &Arrived, scored: Scored, outcome: &'static str, outbox: &mut Outbox) {
        let line = line(arrived, scored, outcome);
        let effect = Effect {
            lane: Lane::of(arrived.window.mandate),
            stream: Stream::Ledger,
            subject: subject::ledger(self.partition),
            message_id: line.message_id(),
            payload: Payload::Ready(line.encode()),
            noted: None,
            trace: arrived.trace,
        };
        outbox.push(arrived.sequence, effect);
    }
}

/// Completes an alert when its turn has come: what moved the score, and the nearest earlier cases, whose search has run
/// since the score was known.
async fn explained(arrived: Arc<Arrived>, alert: Alert, search: Search) -> Result<Vec<u8>> {
    let window = &arrived.window;
    let contributions = explain::contributions(&arrived.model.model, &window.clinical, &window.features)?;
    let similar = search.cases().await;
    Ok(Alert { raised_at_ms: now_ms(), contributions, similar, ..alert }.encode())
}

fn bare_alert(arrived: &Arrived, scored: Scored, terms: AlertTerms<'_>, ward: &str) -> Alert {
    let (window, model, policy) = (&arrived.window, &arrived.model, terms.policy);
    Alert {
        v: V1,
        alert_id: Alert::id(&window.window_id, &policy.id, &model.hash),
        window_id: window.window_id,
        mandate: window.mandate,
        ward: ward.to_owned(),
        policy: policy.id,
        model: model.hash,
        score: scored.score,
        threshold: policy.threshold,
        probability_ppm: Some(model.model.calibration().probability_ppm(scored.score)),
        escalation: terms.escalation,
        outside_validated_range: scored.outside_validated_range,
        end: window.end,
        observed_at_ms: window.observed_at_ms,
        raised_at_ms: 0,
        contributions: Vec::new(),
        similar: Vec::new(),
    }
}

fn proof_request(arrived: &Arrived, scored: Scored, terms: AlertTerms<'_>) -> ProofRequest {
    let (window, model) = (&arrived.window, &arrived.model);
    ProofRequest {
        v: V1,
        alert_id: Alert::id(&window.window_id, &terms.policy.id, &model.hash),
        window: window.clone(),
        policy: terms.policy.id,
        model: model.hash,
        score: scored.score,
        requested_at_ms: now_ms(),
        mode: ProofMode::Alert,
    }
}

fn line(arrived: &Arrived, scored: Scored, outcome: &str) -> ScoredWindow {
    let (window, model) = (&arrived.window, &arrived.model);
    ScoredWindow {
        v: V1,
        window_id: window.window_id,
        window_sequence: arrived.sequence,
        mandate: window.mandate,
        end: window.end,
        model: model.hash,
        score: scored.score,
        commitment: window.commitment,
        scored_at_ms: now_ms(),
        engine: model.engine_name.clone(),
        outcome: outcome.to_owned(),
        outside_validated_range: scored.outside_validated_range,
    }
}
