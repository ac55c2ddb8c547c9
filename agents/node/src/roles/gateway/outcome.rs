//! `POST /v1/alerts/{id}/outcome`: what a clinician says became of an alert. The word goes to a stream, and from there to
//! the memory of similar cases; it changes nothing about the alert or its proof.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hygeia_protocol::message::{AlertOutcome, Message as _, Outcome, V1};
use hygeia_protocol::subject::{self, Stream};
use serde::{Deserialize, Serialize};

use super::{BROKER_RETRY_S, Gateway, answer, is_json};
use crate::clock::now_ms;

/// What the request says: one word of a fixed set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    outcome: Outcome,
}

/// What is answered once the broker has the word.
#[derive(Serialize)]
struct Noted {
    outcome: Outcome,
}

pub(super) async fn post(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // A web page of another origin can send anything but this type without being asked first.
    if !is_json(&headers) {
        return answer::reason(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json");
    }
    let Some(Said { outcome }) = body.ok().and_then(|body| serde_json::from_slice(&body).ok()) else {
        return answer::reason(StatusCode::BAD_REQUEST, "malformed");
    };
    if !outcome.is_of_person() {
        return answer::reason(StatusCode::UNPROCESSABLE_ENTITY, "not_a_persons_word");
    }
    let Some(alert_id) = gateway.with_alert(&id, |view| view.alert.alert_id) else {
        return answer::reason(StatusCode::NOT_FOUND, "no_such_alert");
    };
    if !gateway.is_connected() {
        return answer::later(StatusCode::SERVICE_UNAVAILABLE, "broker_away", BROKER_RETRY_S);
    }
    let word = AlertOutcome { v: V1, alert_id, outcome, said_at_ms: now_ms() };
    let subject = subject::OUTCOME.to_owned();
    match gateway.site.bus.publish(Stream::Outcomes, subject, &word.message_id(), word.encode()).await {
        Ok(_) => answer::json(StatusCode::ACCEPTED, answer::JSON, &Noted { outcome }),
        Err(reason) => {
            tracing::warn!(%reason, "a word on an alert could not be stored");
            answer::later(StatusCode::SERVICE_UNAVAILABLE, "broker_away", BROKER_RETRY_S)
        }
    }
}
