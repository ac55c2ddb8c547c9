//! The shapes of answers: JSON, a reason label, or "come back later". No answer repeats what the request said.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Plain JSON.
pub const JSON: &str = "application/json";
/// A FHIR resource in JSON.
pub const FHIR_JSON: &str = "application/fhir+json";

#[derive(Serialize)]
struct Reason {
    reason: &'static str,
}

/// `body` as JSON of the given media type.
pub fn json(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("answers have string keys and finite numbers");
    (status, [(header::CONTENT_TYPE, media_type)], bytes).into_response()
}

/// An error: its label and nothing else.
pub fn reason(status: StatusCode, reason: &'static str) -> Response {
    json(status, JSON, &Reason { reason })
}

/// An error that passes: `Retry-After` says when to come back.
pub fn later(status: StatusCode, label: &'static str, seconds: u64) -> Response {
    let mut response = reason(status, label);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
