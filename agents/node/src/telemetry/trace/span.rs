//! Spans: begun where a step begins, recorded when it ends, and only if the trace is kept.

use std::time::{SystemTime, UNIX_EPOCH};

use hygeia_protocol::bytes::B32;

use super::context::{SpanId, TraceContext, TraceId};
use super::{Exporter, exporter, role};
use crate::cli::Role;
use crate::telemetry::schema::events::{Attribute, SpanName};

/// What an attribute holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One of our own words.
    Word(&'static str),
    /// A public identifier.
    Id(B32),
    /// A number.
    Number(u64),
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Which step.
    pub name: SpanName,
    /// Its trace.
    pub trace: TraceId,
    /// Itself.
    pub span: SpanId,
    /// The step before it.
    pub parent: Option<SpanId>,
    /// Nanoseconds since the epoch.
    pub start_ns: u64,
    /// Likewise.
    pub end_ns: u64,
    /// Whether the step failed.
    pub failed: bool,
    /// What it tells of itself.
    pub attributes: Vec<(Attribute, Value)>,
}

/// A step under way. What is told of it leaves the process when [`Span::end`] is called, or never.
#[derive(Debug)]
pub struct Span {
    context: TraceContext,
    name: SpanName,
    parent: Option<SpanId>,
    start_ns: u64,
    failed: bool,
    attributes: Vec<(Attribute, Value)>,
}

impl Span {
    /// A step that begins a trace.
    pub fn begin(name: SpanName) -> Self {
        Self::after(name, None)
    }

    /// A step that follows a message. A message without a trace begins one.
    pub fn after(name: SpanName, message: Option<TraceContext>) -> Self {
        let (parent, context) = match message {
            Some(message) => (Some(message.span), message.follow()),
            None => (None, super::begin()),
        };
        Self { context, name, parent, start_ns: now_ns(), failed: false, attributes: Vec::new() }
    }

    /// The step from an observation to the window it closes. An observation that came without a trace begins one here, and
    /// is told in its sender's place.
    pub fn of_window(observation: Option<TraceContext>, stored_at_ms: u64) -> Self {
        let observation = observation.unwrap_or_else(|| {
            let begun = super::begin();
            if let (true, Some(exporter)) = (begun.kept, exporter()) {
                exporter.export(observed(begun.trace, begun.span, stored_at_ms, Role::Oracle));
            }
            begun
        });
        Self::after(SpanName::Window, Some(observation)).since_ms(stored_at_ms)
    }

    /// The step began earlier than it was known to be one.
    pub fn since_ms(mut self, start_ms: u64) -> Self {
        self.start_ns = start_ms.saturating_mul(1_000_000);
        self
    }

    /// The place in the trace that what follows from the step is sent from.
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Tells something of the step.
    pub fn tell(&mut self, attribute: Attribute, value: Value) {
        if self.context.kept {
            self.attributes.push((attribute, value));
        }
    }

    /// The step failed, in this way.
    pub fn fail(&mut self, outcome: &'static str) {
        self.failed = true;
        self.tell(Attribute::Outcome, Value::Word(outcome));
    }

    /// Runs `work` within the step.
    pub async fn around<T>(&self, work: impl Future<Output = T>) -> T {
        super::within(self.context, work).await
    }

    /// The step is over.
    pub fn end(self) {
        let end_ns = now_ns();
        if let (true, Some(exporter)) = (self.context.kept, exporter()) {
            exporter.export(self.recorded(end_ns, role()));
        }
    }

    fn recorded(mut self, end_ns: u64, role: Option<Role>) -> Recorded {
        let is_told = self.attributes.iter().any(|(attribute, _)| *attribute == Attribute::Role);
        if let (false, Some(role)) = (is_told, role) {
            self.attributes.push((Attribute::Role, Value::Word(role.name())));
        }
        Recorded {
            name: self.name,
            trace: self.context.trace,
            span: self.context.span,
            parent: self.parent,
            start_ns: self.start_ns,
            end_ns: end_ns.max(self.start_ns),
            failed: self.failed,
            attributes: self.attributes,
        }
    }
}

/// The trace of a window that leads to an alert, kept from now on whatever the ratio said. What was not kept before is
/// told now: the observation and the window, with the times that the window itself states.
pub fn keep_for_alert(window: Option<TraceContext>, observed_at_ms: u64, emitted_at_ms: u64) -> TraceContext {
    let window = window.unwrap_or_else(super::begin);
    if window.kept {
        return window;
    }
    let kept = TraceContext { kept: true, ..window };
    if let Some(exporter) = exporter() {
        told_late(kept, observed_at_ms, emitted_at_ms).into_iter().for_each(|span| Exporter::export(exporter, span));
    }
    kept
}

fn told_late(window: TraceContext, observed_at_ms: u64, emitted_at_ms: u64) -> Vec<Recorded> {
    // A window whose observation's span is not known stands first.
    let origin = window.origin.filter(|origin| *origin != window.span);
    let own = Recorded {
        name: SpanName::Window,
        trace: window.trace,
        span: window.span,
        parent: origin,
        start_ns: observed_at_ms.saturating_mul(1_000_000),
        end_ns: emitted_at_ms.max(observed_at_ms).saturating_mul(1_000_000),
        failed: false,
        attributes: recorded_by(Role::Sentinel),
    };
    let observation = origin.map(|origin| observed(window.trace, origin, observed_at_ms, Role::Sentinel));
    observation.into_iter().chain([own]).collect()
}

/// The step of an observation, which has no length, told by another than its sender.
fn observed(trace: TraceId, span: SpanId, at_ms: u64, by: Role) -> Recorded {
    let at_ns = at_ms.saturating_mul(1_000_000);
    Recorded {
        name: SpanName::Observation,
        trace,
        span,
        parent: None,
        start_ns: at_ns,
        end_ns: at_ns,
        failed: false,
        attributes: recorded_by(by),
    }
}

fn recorded_by(by: Role) -> Vec<(Attribute, Value)> {
    vec![(Attribute::Role, Value::Word(Role::Oracle.name())), (Attribute::RecordedBy, Value::Word(by.name()))]
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_kept_late_is_told_from_its_beginning() {
        let observation = TraceContext::begin(0.0);
        let window = observation.follow();
        let told = told_late(TraceContext { kept: true, ..window }, 1_000, 1_004);
        let [first, second] = told.as_slice() else { panic!("two steps, not {told:?}") };
        assert_eq!((first.name, first.span, first.parent), (SpanName::Observation, observation.span, None));
        assert_eq!((second.name, second.span, second.parent), (SpanName::Window, window.span, Some(observation.span)));
        assert_eq!((second.start_ns, second.end_ns), (1_000_000_000, 1_004_000_000));
        assert!(told.iter().all(|span| span.trace == observation.trace));
    }

    #[test]
    fn a_window_that_began_the_trace_stands_first() {
        let window = TraceContext::begin(0.0);
        let told = told_late(window, 1_000, 900);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].name, told[0].parent), (SpanName::Window, None));
        assert_eq!(
            told[0].start_ns, told[0].end_ns,
            "a clock that runs behind gives no span that ends before it begins"
        );
    }

    #[test]
    fn what_is_kept_already_is_not_told_again() {
        let kept = TraceContext::begin(1.0);
        assert_eq!(keep_for_alert(Some(kept), 1, 2), kept);
        let late = keep_for_alert(Some(TraceContext::begin(0.0)), 1, 2);
        assert!(late.kept);
    }

    #[test]
    fn a_step_knows_its_parent_and_its_role() {
        let message = TraceContext::begin(1.0);
        let mut span = Span::after(SpanName::Proof, Some(message)).since_ms(5);
        span.fail("engine");
        let recorded = span.recorded(0, Some(Role::Prover));
        assert_eq!((recorded.trace, recorded.parent), (message.trace, Some(message.span)));
        assert_eq!((recorded.start_ns, recorded.end_ns, recorded.failed), (5_000_000, 5_000_000, true));
        let expected = [(Attribute::Outcome, Value::Word("engine")), (Attribute::Role, Value::Word("prover"))];
        assert_eq!(recorded.attributes, expected);
    }
}
