//! Hops 1 and 9: observations come in over HTTP, people see the ward's alerts as a page and systems see them as FHIR.
//!
//! An observation is answered with 202 only once the broker has stored it; what is refused is refused at once, with the
//! reason and without the content. The alerts shown are what the streams say: whoever must not trust them checks a
//! receipt with `hygeia verify`. The gateway belongs inside the hospital's network, behind its sign-on: it knows
//! mandates and values, and asks nobody who they are.

mod answer;
mod board;
mod fhir;
mod follow;
mod guard;
mod ingest;
mod outcome;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_nats::connection::State as Connection;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use hygeia_inference::package::ModelPackage;
use hygeia_protocol::message::B32;
use hygeia_protocol::observation::{Limits, Observation};
use hygeia_protocol::subject::{self, Partitioner};
use hygeia_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::board::{AlertView, HeldBack};
use self::fhir::{OperationOutcome, Outcome, RiskAssessment};
use self::follow::Followed;
use self::ingest::{BodyError, Report, Screened};
use super::{Site, required};
use crate::chain::load_secret;
use crate::cli::GatewayArgs;
use crate::clock::now_ms;
use crate::telemetry::schema::events::{Attribute, SpanName};
use crate::telemetry::trace::{Span, Value};
use crate::telemetry::{Counter, Loop};

/// Longest request body: a thousand observations of 250 bytes leave a wide margin.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Requests whose observations are on their way to the broker at a time. With a thousand each this stays below the five
/// thousand unanswered messages that the client allows.
const PUBLISHING_MAX: usize = 4;
/// Alerts in an answer when the request does not say.
const ALERTS_DEFAULT: usize = 50;
/// Calls held back in an answer.
const HELD_BACK_SHOWN: usize = 50;
/// When to come back while the broker is away.
const BROKER_RETRY_S: u64 = 2;

/// The ward's page. One file, nothing loaded from anywhere.
const PAGE: &str = include_str!("../../assets/ward.html");
/// Where the page wants the nonce that allows its own style and script.
const NONCE_MARK: &str = "{{nonce}}";

/// Serves people and systems until the site stops.
pub async fn run(site: Site, args: GatewayArgs) -> Result<()> {
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("listening on {}", args.listen))?;
    serve(site, listener).await
}

/// [`run`] on a listener that is bound already.
pub async fn serve(site: Site, listener: TcpListener) -> Result<()> {
    let key_file = required(
        site.connect.network_key_file.clone(),
        "--network-key-file",
        "observations are spread over partitions by it",
    )?;
    let gateway = Arc::new(Gateway {
        partitioner: Partitioner::new(load_secret(&key_file)?, site.connect.partitions),
        limits: Limits::default(),
        publishing: Semaphore::new(PUBLISHING_MAX),
        followed: Followed::start(&site),
        shipped_model: B32::new(ModelPackage::default_model().hash()),
        site: site.clone(),
    });
    tracing::info!(address = %listener.local_addr()?, "gateway serves");
    site.metrics.ready();
    let (watched, stop) = (site.metrics.clone(), site.stop.clone());
    tokio::spawn(async move { watched.watchdog().while_waiting(Loop::Gateway, stop.cancelled()).await });
    let listener = guard::Bounded::new(listener).tap_io(guard::Held::send_at_once);
    let service = router(gateway).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(site.stop.cancelled_owned()).await?;
    Ok(())
}

struct Gateway {
    site: Site,
    partitioner: Partitioner,
    limits: Limits,
    /// Bounds the observations on their way to the broker; never closed.
    publishing: Semaphore,
    followed: Arc<Followed>,
    /// The one model whose prediction we know a code for.
    shipped_model: B32,
}

fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/v1/observations", post(observations))
        .route("/v1/alerts", get(alerts))
        .route("/v1/alerts/{id}", get(alert))
        .route("/v1/alerts/{id}/fhir", get(risk_assessment))
        .route("/v1/alerts/{id}/outcome", post(outcome::post))
        .fallback(async || answer::reason(StatusCode::NOT_FOUND, "no_such_page"))
        .method_not_allowed_fallback(async || answer::reason(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(guard::limit_time))
        .layer(middleware::from_fn_with_state(guard::client_limiter(), guard::limit_client))
        .layer(middleware::map_response(guard::strict_headers))
        .with_state(gateway)
}

/// `POST /v1/observations`: one observation or an array of them.
async fn observations(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // A web page of another origin can send anything but this type without being asked first.
    if !is_json(&headers) {
        return answer::reason(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json");
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return answer::reason(StatusCode::PAYLOAD_TOO_LARGE, "too_large");
        }
        Err(_cut_off) => return answer::reason(StatusCode::BAD_REQUEST, "malformed"),
    };
    let Screened { accepted, refused } = match ingest::screen(&body, Timestamp::from_millis(now_ms()), &gateway.limits)
    {
        Ok(screened) => screened,
        Err(BodyError::Malformed) => return answer::reason(StatusCode::BAD_REQUEST, "malformed"),
        Err(BodyError::TooMany) => return answer::reason(StatusCode::PAYLOAD_TOO_LARGE, "too_many"),
    };
    for refusal in &refused {
        gateway.site.metrics.count(Counter::ObservationsRefused, refusal.reason);
    }
    match gateway.store(&accepted).await {
        Ok(repeated) => {
            let status = if refused.is_empty() { StatusCode::ACCEPTED } else { StatusCode::UNPROCESSABLE_ENTITY };
            answer::json(status, answer::JSON, &Report { stored: accepted.len(), repeated, refused })
        }
        Err(reason) => {
            tracing::warn!(reason = format!("{reason:#}"), "observations could not be stored");
            answer::later(StatusCode::SERVICE_UNAVAILABLE, "broker_away", BROKER_RETRY_S)
        }
    }
}

/// `GET /v1/alerts`: the newest alerts.
async fn alerts(State(gateway): State<Arc<Gateway>>, query: Result<Query<Newest>, QueryRejection>) -> Response {
    let Ok(Query(Newest { limit })) = query else {
        return answer::reason(StatusCode::BAD_REQUEST, "bad_limit");
    };
    let now_ms = now_ms();
    let is_live = gateway.is_live();
    gateway.followed.with_board(|board| {
        let alerts = board.newest(limit.unwrap_or(ALERTS_DEFAULT), now_ms).collect();
        let held_back = board.held_back().take(HELD_BACK_SHOWN).collect();
        answer::json(StatusCode::OK, answer::JSON, &Ward { now_ms, is_live, kept: board.kept(), alerts, held_back })
    })
}

/// `GET /v1/alerts/{id}`: one alert.
async fn alert(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>) -> Response {
    let view = |view: &AlertView<'_>| answer::json(StatusCode::OK, answer::JSON, view);
    gateway.with_alert(&id, view).unwrap_or_else(|| answer::reason(StatusCode::NOT_FOUND, "no_such_alert"))
}

/// `GET /v1/alerts/{id}/fhir`: one alert as a FHIR R4 RiskAssessment.
async fn risk_assessment(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>) -> Response {
    let resource = |view: &AlertView<'_>| {
        let outcome = match view.alert.model {
            model if model == gateway.shipped_model => Outcome::Sepsis,
            model => Outcome::OfModel(model),
        };
        answer::json(StatusCode::OK, answer::FHIR_JSON, &RiskAssessment::of(view, &outcome, now_ms()))
    };
    gateway
        .with_alert(&id, resource)
        .unwrap_or_else(|| answer::json(StatusCode::NOT_FOUND, answer::FHIR_JSON, &OperationOutcome::not_found()))
}

/// `GET /`: the ward's page. Its style and script are allowed by a nonce of this answer; nothing else may run.
async fn page() -> Response {
    let nonce = hex::encode(rand::random::<[u8; 16]>());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types"
    );
    let headers: [(HeaderName, String); 2] =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, PAGE.replace(NONCE_MARK, &nonce)).into_response()
}

/// What `/v1/alerts` may be asked.
#[derive(Deserialize)]
struct Newest {
    limit: Option<usize>,
}

/// What `/v1/alerts` answers.
#[derive(Serialize)]
struct Ward<'a> {
    /// The gateway's clock: ages are told by it and not by a phone's.
    now_ms: u64,
    /// False while newer alerts may exist than the ones given.
    is_live: bool,
    /// Alerts kept in all.
    kept: usize,
    alerts: Vec<AlertView<'a>>,
    /// The newest scores at the threshold that called nobody, because somebody was called a moment ago or too often.
    held_back: Vec<&'a HeldBack>,
}

impl Gateway {
    /// Publishes all observations in order and returns once the broker has every one: how many of them it had already.
    /// When it fails, the sender sends all of them again, and those that got through are recognised as repetitions.
    async fn store(&self, observations: &[Observation]) -> Result<usize> {
        anyhow::ensure!(self.is_connected(), "the broker is away");
        let _turn = self.publishing.acquire().await?;
        let mut pending = Vec::with_capacity(observations.len());
        for observation in observations {
            let partition = self.partitioner.of(observation.patient());
            let mut span = Span::begin(SpanName::Observation);
            span.tell(Attribute::Partition, Value::Number(partition.0.into()));
            let subject = subject::observation(partition);
            let id = observation.message_id();
            let sent = span.around(self.site.bus.send(subject, &id, observation.encode())).await?;
            span.end();
            pending.push(sent);
        }
        let mut repeated = 0;
        for sent in pending {
            repeated += usize::from(sent.await?.duplicate);
        }
        Ok(repeated)
    }

    /// Applies `show` to the alert of an id, with or without its `0x`.
    fn with_alert<T>(&self, id: &str, show: impl FnOnce(&AlertView<'_>) -> T) -> Option<T> {
        let digits = id.strip_prefix("0x").unwrap_or(id);
        let id: B32 = format!("0x{digits}").parse().ok()?;
        self.followed.with_board(|board| board.view(&id, now_ms()).as_ref().map(show))
    }

    fn is_connected(&self) -> bool {
        self.site.bus.client().connection_state() == Connection::Connected
    }

    fn is_live(&self) -> bool {
        self.is_connected() && self.followed.is_current()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(answer::JSON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_taken() {
        for (value, taken) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("text/plain; application/json", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(is_json(&headers), taken, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn the_page_is_whole_loads_nothing_and_builds_no_markup_from_data() {
        assert_eq!(PAGE.matches(NONCE_MARK).count(), 2, "one style, one script");
        for tag in ["<style", "<script"] {
            assert_eq!(PAGE.matches(tag).count(), 1, "{tag}");
        }
        for forbidden in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", " onclick="]
        {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
        // The only addresses in it are the namespace of SVG and our own.
        for address in PAGE.split("http").skip(1) {
            assert!(address.starts_with("://www.w3.org/"), "{}", &address[..20.min(address.len())]);
        }
    }
}
