//! Kept spans to a collector, as OTLP over HTTP in protobuf.
//!
//! A slow or absent collector never delays a role: spans wait in a bounded queue, and what finds no room there, or what the
//! collector does not take, is counted and let go.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind};
use prost::Message as _;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::{Recorded, Value};
use crate::telemetry::log;
use crate::telemetry::metrics::process;
use crate::telemetry::schema::events::SpanName;
use crate::telemetry::schema::metrics::Counter;

/// Spans that wait for the collector at most: minutes of alerts, about two megabytes.
const QUEUE_MAX: usize = 4_096;
/// Spans in one request at most.
const BATCH_MAX: usize = 512;
/// How long a span waits for others to share its request.
const BATCH_WAIT: Duration = Duration::from_secs(1);
/// How long the collector may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// How long the end of the process waits for what has not been sent.
const FLUSH_PATIENCE: Duration = Duration::from_secs(3);
/// Where a collector takes traces, after its address.
const PATH: &str = "/v1/traces";

/// Why spans cannot be exported.
#[derive(Debug, Error)]
pub enum OtlpError {
    /// No HTTP client can be made.
    #[error("no client for the collector of traces")]
    Client(#[source] reqwest::Error),
    /// The address is none.
    #[error("`{0}` is no address of a collector: http://HOST:PORT is wanted, without user and password")]
    Address(String),
}

/// The way to a collector.
#[derive(Debug)]
pub struct Exporter {
    ratio: f64,
    // Closed when the process ends; the task behind it then sends the rest.
    queue: mpsc::Sender<Item>,
}

#[derive(Debug)]
enum Item {
    Span(Recorded),
    /// Everything before this is wanted at the collector now.
    Flush(oneshot::Sender<()>),
}

struct Sender {
    client: reqwest::Client,
    url: reqwest::Url,
    resource: Resource,
    /// Whether the last request failed: told once, not with every batch.
    failing: bool,
}

impl Exporter {
    /// Sends to the collector at `address` from a task of its own; keeps this share of traces beside those of alerts.
    pub fn start(address: &str, ratio: f64) -> Result<Self, OtlpError> {
        let url = endpoint(address).ok_or_else(|| OtlpError::Address(without_user(address)))?;
        let client = reqwest::Client::builder()
            .timeout(ANSWER_PATIENCE)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(OtlpError::Client)?;
        let (queue, items) = mpsc::channel(QUEUE_MAX);
        let sender = Sender { client, url, resource: resource(), failing: false };
        tokio::spawn(sender.run(items));
        Ok(Self { ratio, queue })
    }

    /// The share of traces that is kept from the beginning.
    pub fn ratio(&self) -> f64 {
        self.ratio
    }

    /// Has a span sent; counts it where there is no room.
    pub fn export(&self, span: Recorded) {
        if self.queue.try_send(Item::Span(span)).is_err() {
            process().count(Counter::SpansDropped, "queue_full");
        }
    }

    /// Returns once everything is sent or given up, or the patience is over.
    pub async fn flush(&self) {
        let (done, sent) = oneshot::channel();
        let flushing = async {
            if self.queue.send(Item::Flush(done)).await.is_ok() {
                // Dropped without an answer only when the task has ended, and then nothing is left to wait for.
                let _ = sent.await;
            }
        };
        if tokio::time::timeout(FLUSH_PATIENCE, flushing).await.is_err() {
            tracing::warn!("the collector of traces did not take the last spans in time");
        }
    }
}

impl Sender {
    async fn run(mut self, mut items: mpsc::Receiver<Item>) {
        while let Some(first) = items.recv().await {
            let (spans, flushed) = collect(first, &mut items).await;
            if !spans.is_empty() {
                self.send(spans).await;
            }
            if let Some(done) = flushed {
                // Nobody waits any more: nothing is lost by that.
                let _ = done.send(());
            }
        }
    }

    async fn send(&mut self, spans: Vec<Recorded>) {
        let number = spans.len() as u64;
        let body = encode(&self.resource, spans);
        let request = self.client.post(self.url.clone()).header("content-type", "application/x-protobuf").body(body);
        let failure = match request.send().await {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("HTTP status {}", answer.status().as_u16())),
            Err(error) => Some(error.without_url().to_string()),
        };
        if failure.is_some() {
            process().add(Counter::SpansDropped, "export_failed", number);
        }
        match &failure {
            Some(reason) if !self.failing => tracing::warn!(reason, "the collector of traces takes no spans"),
            None if self.failing => tracing::info!("the collector of traces takes spans again"),
            Some(_) | None => {}
        }
        self.failing = failure.is_some();
    }
}

/// What came within the time that a span waits for others.
async fn collect(first: Item, items: &mut mpsc::Receiver<Item>) -> (Vec<Recorded>, Option<oneshot::Sender<()>>) {
    let until = tokio::time::Instant::now() + BATCH_WAIT;
    let mut spans = Vec::new();
    let mut next = Some(first);
    while let Some(item) = next {
        match item {
            Item::Span(span) => spans.push(span),
            Item::Flush(done) => return (spans, Some(done)),
        }
        next = match spans.len() < BATCH_MAX {
            true => tokio::time::timeout_at(until, items.recv()).await.ok().flatten(),
            false => None,
        };
    }
    (spans, None)
}

/// Where the collector at this address takes traces. A path that is given stays in front.
fn endpoint(address: &str) -> Option<reqwest::Url> {
    let url: reqwest::Url = format!("{}{PATH}", address.trim_end_matches('/').trim_end_matches(PATH)).parse().ok()?;
    let is_plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
    (is_plain && url.has_host()).then_some(url)
}

/// An address as it may be shown.
fn without_user(address: &str) -> String {
    address.rsplit_once('@').map_or(address, |(_, host)| host).to_owned()
}

/// What all spans of this process share.
fn resource() -> Resource {
    let attributes = vec![
        text("service.name", "hygeia".to_owned()),
        text("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        text("service.instance.id", log::member().to_owned()),
    ];
    Resource { attributes, ..Resource::default() }
}

fn encode(resource: &Resource, spans: Vec<Recorded>) -> Vec<u8> {
    let scope = InstrumentationScope { name: "hygeia".to_owned(), ..InstrumentationScope::default() };
    let spans = spans.into_iter().map(otlp).collect();
    let scope_spans = ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    let of_resource =
        ResourceSpans { resource: Some(resource.clone()), scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec()
}

fn otlp(span: Recorded) -> Span {
    let kind = match span.name {
        SpanName::Observation | SpanName::Alert => SpanKind::Producer,
        SpanName::Window | SpanName::Score | SpanName::Proof => SpanKind::Consumer,
        SpanName::Settlement => SpanKind::Client,
    };
    let code = if span.failed { StatusCode::Error } else { StatusCode::Unset };
    Span {
        trace_id: span.trace.0.to_be_bytes().to_vec(),
        span_id: span.span.0.to_be_bytes().to_vec(),
        parent_span_id: span.parent.map_or_else(Vec::new, |parent| parent.0.to_be_bytes().to_vec()),
        name: span.name.name().to_owned(),
        kind: kind.into(),
        start_time_unix_nano: span.start_ns,
        end_time_unix_nano: span.end_ns,
        attributes: span.attributes.into_iter().map(|(attribute, value)| told(attribute.name(), value)).collect(),
        status: Some(Status { code: code.into(), ..Status::default() }),
        ..Span::default()
    }
}

fn told(name: &str, value: Value) -> KeyValue {
    match value {
        Value::Word(word) => text(name, word.to_owned()),
        Value::Id(id) => text(name, id.to_hex()),
        Value::Number(number) => {
            let number = any_value::Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX));
            KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(number) }), ..KeyValue::default() }
        }
    }
}

fn text(name: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::super::{SpanId, TraceId};
    use super::*;
    use crate::telemetry::schema::events::Attribute;

    fn span() -> Recorded {
        Recorded {
            name: SpanName::Proof,
            trace: TraceId(0x0102),
            span: SpanId(3),
            parent: Some(SpanId(4)),
            start_ns: 5,
            end_ns: 6,
            failed: true,
            attributes: vec![(Attribute::Outcome, Value::Word("engine")), (Attribute::Partition, Value::Number(7))],
        }
    }

    #[test]
    fn a_span_is_written_as_collectors_read_it() {
        let bytes = encode(&resource(), vec![span()]);
        let request = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
        let read = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(read.trace_id, 0x0102u128.to_be_bytes());
        assert_eq!(read.span_id, 3u64.to_be_bytes());
        assert_eq!(read.parent_span_id, 4u64.to_be_bytes());
        assert_eq!((read.name.as_str(), read.start_time_unix_nano, read.end_time_unix_nano), ("proof", 5, 6));
        assert_eq!(read.status.as_ref().unwrap().code(), StatusCode::Error);
        let keys: Vec<&str> = read.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(keys, ["hygeia.outcome", "hygeia.partition"]);
    }

    #[test]
    fn an_address_leads_to_the_path_of_traces() {
        for (address, url) in [
            ("http://collector:4318", Some("http://collector:4318/v1/traces")),
            ("http://collector:4318/", Some("http://collector:4318/v1/traces")),
            ("http://collector:4318/v1/traces", Some("http://collector:4318/v1/traces")),
            ("http://collector/hospital", Some("http://collector/hospital/v1/traces")),
            ("collector:4318", None),
            ("http://name:word@collector:4318", None),
            ("", None),
        ] {
            assert_eq!(endpoint(address).as_ref().map(reqwest::Url::as_str), url, "{address}");
        }
        assert_eq!(without_user("http://name:word@collector:4318"), "collector:4318");
    }

    #[tokio::test]
    async fn a_collector_that_is_not_there_delays_nothing_and_is_counted() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let exporter = Exporter::start(&format!("http://{nobody}"), 1.0).unwrap();
        let before = process().counted(Counter::SpansDropped, "export_failed");
        exporter.export(span());
        exporter.flush().await;
        assert!(process().counted(Counter::SpansDropped, "export_failed") > before);
    }

    #[tokio::test]
    async fn a_full_queue_lets_spans_go_and_counts_them() {
        let (queue, _never_read) = mpsc::channel(1);
        let exporter = Exporter { ratio: 1.0, queue };
        let before = process().counted(Counter::SpansDropped, "queue_full");
        exporter.export(span());
        assert_eq!(process().counted(Counter::SpansDropped, "queue_full"), before, "there is room for one");
        exporter.export(span());
        assert_eq!(process().counted(Counter::SpansDropped, "queue_full"), before + 1);
    }
}
