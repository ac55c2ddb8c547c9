//! The program's own log: lines on standard error, for a person's eyes or as JSON, at a level that can be changed while it
//! runs.
//!
//! Nothing below `info` is ever logged of other people's code: what a client library says of its messages at `trace` would
//! be what patients' observations say.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::{OnceLock, PoisonError, RwLock};

use thiserror::Error;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, reload};

use super::trace;

/// The filter of a program that is told nothing else.
const FILTER: &str = "info,async_nats=warn,alloy_rpc_client=off";
/// The environment's variable with another one.
const VARIABLE: &str = "HYGEIA_LOG";
/// Longest filter that is taken.
pub const FILTER_BYTES_MAX: usize = 1_024;

/// Why a filter is not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FilterError {
    /// It cannot be read. What was said is not repeated: it comes from outside.
    #[error("this is no filter; one reads like `info,hygeia_node=debug`")]
    Unreadable,
    /// It is longer than any honest one.
    #[error("a filter has {FILTER_BYTES_MAX} bytes at most")]
    TooLong,
    /// The log was not started by [`init`].
    #[error("the log of this process cannot be changed")]
    NoLog,
}

type Changed = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// The filter in force, and how to put another in its place.
struct Control {
    // Read and written by people's requests, one at a time; never on the way of a log line.
    filter: RwLock<String>,
    change: Changed,
}

static CONTROL: OnceLock<Control> = OnceLock::new();
static MEMBER: OnceLock<String> = OnceLock::new();

/// The process's own name. Random unless [`name_member`] gave another.
pub fn member() -> &'static str {
    MEMBER.get_or_init(|| hex::encode(rand::random::<[u8; 4]>()))
}

/// Names the process, before anything is logged; `false` when it had a name already.
pub fn name_member(name: &str) -> bool {
    MEMBER.set(name.to_owned()).is_ok()
}

/// Sends the program's own log to standard error, as JSON lines or for a person's eyes.
pub fn init(json: bool) {
    let wanted = std::env::var(VARIABLE).unwrap_or_else(|_| FILTER.to_owned());
    let (text, filter) = match parse(&wanted) {
        Ok(filter) => (wanted, filter),
        Err(reason) => {
            eprintln!("hygeia: {VARIABLE}: {reason}; `{FILTER}` stands");
            (FILTER.to_owned(), EnvFilter::new(FILTER))
        }
    };
    let (filter, handle) = reload::Layer::new(filter);
    let base = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match json {
        true => base.fmt_fields(JsonFields::new()).event_format(JsonLine::default()).boxed(),
        false => base.compact().with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    let started = tracing_subscriber::registry().with(lines.with_filter(filter_fn(is_ours_or_plain))).with(filter);
    // A second initialisation (several roles in one test process) is harmless and ignored.
    if started.try_init().is_ok() {
        let change = Box::new(move |filter| handle.reload(filter).is_ok());
        let _ = CONTROL.set(Control { filter: RwLock::new(text), change });
    }
}

/// The filter in force.
pub fn filter() -> Option<String> {
    CONTROL.get().map(|control| control.filter.read().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Puts another filter in force.
pub fn change(filter: &str) -> Result<(), FilterError> {
    let parsed = parse(filter)?;
    let control = CONTROL.get().ok_or(FilterError::NoLog)?;
    let mut current = control.filter.write().unwrap_or_else(PoisonError::into_inner);
    if !(control.change)(parsed) {
        return Err(FilterError::NoLog);
    }
    tracing::warn!(before = *current, now = filter, "the log's filter was changed");
    filter.clone_into(&mut current);
    Ok(())
}

fn parse(filter: &str) -> Result<EnvFilter, FilterError> {
    if filter.len() > FILTER_BYTES_MAX {
        return Err(FilterError::TooLong);
    }
    let filter = filter.trim();
    let is_plain = filter.bytes().all(|byte| byte.is_ascii_graphic());
    match EnvFilter::builder().parse(filter) {
        Ok(parsed) if is_plain && !filter.is_empty() => Ok(parsed),
        Ok(_) | Err(_) => Err(FilterError::Unreadable),
    }
}

/// Our own lines of any level, others' from `info` up.
fn is_ours_or_plain(line: &Metadata<'_>) -> bool {
    line.target().starts_with("hygeia") || *line.level() <= Level::INFO
}

/// A line of JSON that begins with role, process and trace.
struct JsonLine {
    event: Format<Json>,
}

impl Default for JsonLine {
    fn default() -> Self {
        Self { event: tracing_subscriber::fmt::format().json() }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut own = String::new();
        self.event.format_event(context, Writer::new(&mut own), event)?;
        line.write_str("{")?;
        if let Some(role) = trace::role() {
            write!(line, "\"role\":\"{}\",", role.name())?;
        }
        write!(line, "\"member\":{},", serde_json::Value::from(member()))?;
        if let Some(context) = trace::current() {
            write!(line, "\"trace_id\":\"{}\",", context.trace)?;
        }
        line.write_str(own.strip_prefix('{').unwrap_or(&own))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::cli::Role;
    use crate::telemetry::trace::TraceContext;

    /// Lines that a test reads again.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Lines {
        fn read(&self) -> Vec<Value> {
            let bytes = self.0.lock().unwrap().clone();
            let text = String::from_utf8(bytes).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    fn json_into(lines: &Lines) -> impl Subscriber + Send + Sync + use<> {
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(JsonLine::default())
            .with_writer(lines.clone());
        tracing_subscriber::registry().with(layer.with_filter(filter_fn(is_ours_or_plain)))
    }

    #[test]
    fn a_line_says_role_process_and_trace() {
        let lines = Lines::default();
        let context = TraceContext::begin(0.0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tracing::subscriber::with_default(json_into(&lines), || {
            tracing::info!(number = 7, "without");
            runtime.block_on(trace::in_role(Role::Prover, async {
                trace::within(context, async { tracing::warn!("with \"both\"") }).await;
            }));
        });
        let [without, with] = lines.read().try_into().unwrap();
        assert_eq!((&without["role"], &without["trace_id"]), (&Value::Null, &Value::Null));
        assert_eq!((&without["fields"]["number"], &without["level"]), (&Value::from(7), &Value::from("INFO")));
        assert_eq!((&with["role"], &with["member"]), (&Value::from("prover"), &Value::from(member())));
        assert_eq!(with["trace_id"], Value::from(context.trace.to_string()));
        assert_eq!(with["fields"]["message"], Value::from("with \"both\""));
    }

    #[test]
    fn what_other_libraries_say_of_their_messages_is_never_logged() {
        let lines = Lines::default();
        tracing::subscriber::with_default(json_into(&lines), || {
            tracing::trace!(target: "async_nats::connection", "the message");
            tracing::debug!(target: "hyper::proto", "the body");
            tracing::info!(target: "async_nats", "connected");
            tracing::trace!(target: "hygeia_node::bus", "ours");
        });
        let targets: Vec<Value> = lines.read().iter().map(|line| line["target"].clone()).collect();
        assert_eq!(targets, ["async_nats", "hygeia_node::bus"]);
    }

    #[test]
    fn a_filter_is_read_strictly() {
        for good in ["info", "debug", "info,hygeia_node=debug", "hygeia_node::bus=trace", "off"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "hygeia_node=loud", "info\nhygeia=debug", "info,\u{7}", "a b"] {
            assert_eq!(parse(bad).err(), Some(FilterError::Unreadable), "{bad:?}");
        }
        assert_eq!(parse(&"a,".repeat(600)).err(), Some(FilterError::TooLong));
    }
}
