//! The trace in a message's headers, as W3C Trace Context has them.

use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;

use crate::telemetry::trace::{self, TRACEPARENT, TRACESTATE, TraceContext};

/// Writes the trace that the caller works in into a message; a caller without one sends none.
pub(super) fn inject(message: PublishMessage) -> PublishMessage {
    let Some(context) = trace::current() else { return message };
    let message = message.header(TRACEPARENT, context.traceparent());
    match context.tracestate() {
        Some(state) => message.header(TRACESTATE, state),
        None => message,
    }
}

/// The trace that a message belongs to. What is not well formed is none: a message never fails for its trace.
pub(super) fn extract(headers: Option<&HeaderMap>) -> Option<TraceContext> {
    let headers = headers?;
    let state = headers.get(TRACESTATE).map(|value| value.as_str());
    TraceContext::parse(headers.get(TRACEPARENT)?.as_str(), state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_within_a_trace_carries_it() {
        let context = TraceContext::begin(1.0);
        let sent = trace::within(context, async { inject(PublishMessage::build()) }).await;
        let read = extract(sent.outbound_message("subject").headers.as_ref());
        assert_eq!(read, Some(context));
    }

    #[tokio::test]
    async fn what_is_sent_outside_carries_none() {
        assert!(inject(PublishMessage::build()).outbound_message("subject").headers.is_none());
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, "not a trace");
        assert_eq!(extract(Some(&headers)), None);
        assert_eq!(extract(None), None);
    }
}
