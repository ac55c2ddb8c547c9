//! Where a datum is on its way: the identifiers that travel in a message's headers, as W3C Trace Context writes them.
//!
//! They are random, never derived from what a message says, so that nothing about a patient can be told from them.

use std::fmt;

/// Name of the header with trace, parent and flags.
pub const TRACEPARENT: &str = "traceparent";
/// Name of the header with what is ours.
pub const TRACESTATE: &str = "tracestate";
/// Our key in `tracestate`: the span of the observation, so that a trace kept late can be told from its beginning.
const STATE_KEY: &str = "hygeia=";
/// Longest header that is looked at. W3C allows vendors 512 characters.
const HEADER_BYTES_MAX: usize = 512;

/// Identifies a trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub u128);

/// Identifies a span within its trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub u64);

/// The place in a trace that a message was sent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span that sent the message.
    pub span: SpanId,
    /// Whether the trace is kept, so that each step exports its span.
    pub kept: bool,
    /// The span of the observation that all began with, where it is known.
    pub origin: Option<SpanId>,
}

impl TraceContext {
    /// The beginning of a trace, kept with this probability.
    pub fn begin(ratio: f64) -> Self {
        let trace = TraceId(rand::random::<u128>().max(1));
        let span = SpanId::random();
        // The lower half of the identifier decides, as OpenTelemetry's ratio sampler has it: everyone decides alike.
        let kept = (trace.0 as u64 >> 1) as f64 / ((1u64 << 63) as f64) < ratio;
        Self { trace, span, kept, origin: Some(span) }
    }

    /// The place of a span that follows in the same trace.
    pub fn follow(self) -> Self {
        Self { span: SpanId::random(), ..self }
    }

    /// Reads the headers of a message; `None` where they are absent or not well formed.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // A later version may have more parts; this one has not.
        let is_known = hex_of::<2>(version).is_some() && version != "ff" && (version != "00" || parts.next().is_none());
        let trace = TraceId(u128::from_str_radix(hex_of::<32>(trace)?, 16).ok()?);
        let span = SpanId(u64::from_str_radix(hex_of::<16>(span)?, 16).ok()?);
        let flags = u8::from_str_radix(hex_of::<2>(flags)?, 16).ok()?;
        let is_valid = is_known && trace.0 != 0 && span.0 != 0;
        is_valid.then(|| Self { trace, span, kept: flags & 1 == 1, origin: tracestate.and_then(origin_of) })
    }

    /// The value of `traceparent`.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.kept))
    }

    /// The value of `tracestate`, where there is one.
    pub fn tracestate(&self) -> Option<String> {
        self.origin.map(|origin| format!("{STATE_KEY}{origin}"))
    }
}

impl SpanId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(rand::random::<u64>().max(1))
    }
}

/// Our member of a list that others may have added to.
fn origin_of(tracestate: &str) -> Option<SpanId> {
    let bounded = Some(tracestate).filter(|state| state.len() <= HEADER_BYTES_MAX)?;
    let value = bounded.split(',').find_map(|member| member.trim().strip_prefix(STATE_KEY))?;
    u64::from_str_radix(hex_of::<16>(value)?, 16).ok().filter(|id| *id != 0).map(SpanId)
}

/// The text if it is that many lower-case hexadecimal digits.
fn hex_of<const DIGITS: usize>(text: &str) -> Option<&str> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == DIGITS && text.bytes().all(is_digit)).then_some(text)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the W3C recommendation.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_and_writes_the_recommendations_example() {
        let context = TraceContext::parse(EXAMPLE, Some("rojo=00f067aa0ba902b7, hygeia=00f067aa0ba902b8")).unwrap();
        assert!(context.kept);
        assert_eq!(context.origin, Some(SpanId(0x00f0_67aa_0ba9_02b8)));
        assert_eq!(context.traceparent(), EXAMPLE);
        assert_eq!(context.tracestate().as_deref(), Some("hygeia=00f067aa0ba902b8"));
        assert!(!TraceContext::parse(&EXAMPLE.replace("-01", "-00"), None).unwrap().kept);
    }

    #[test]
    fn what_is_not_well_formed_is_no_context() {
        for header in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(header, None), None, "{header}");
        }
        assert!(TraceContext::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None).is_some());
        for state in ["hygeia=", "hygeia=0000000000000000", "hygeia=xyz", "other=00f067aa0ba902b8"] {
            assert_eq!(TraceContext::parse(EXAMPLE, Some(state)).unwrap().origin, None, "{state}");
        }
    }

    #[test]
    fn a_ratio_keeps_about_that_many() {
        let kept = |ratio| (0..4_000).filter(|_| TraceContext::begin(ratio).kept).count();
        assert_eq!((kept(0.0), kept(1.0)), (0, 4_000));
        // Twelve standard deviations to either side.
        assert!((600..1_400).contains(&kept(0.25)), "a quarter of 4,000 is 1,000");
    }

    #[test]
    fn what_follows_stays_in_the_trace() {
        let begun = TraceContext::begin(1.0);
        let next = begun.follow();
        assert_eq!((next.trace, next.kept, next.origin), (begun.trace, begun.kept, Some(begun.span)));
        assert_ne!(next.span, begun.span);
    }
}
