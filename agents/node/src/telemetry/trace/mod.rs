//! One trace from an observation to the transaction on chain.
//!
//! The identifiers travel with every message; spans leave the process only where an operator named a collector. Of all
//! traces a small share is kept from the beginning, and every one that leads to an alert is kept from then on: its first
//! steps are told again by the sentinel, out of what the window says of them.

mod context;
pub mod export;
mod span;

use std::sync::OnceLock;

pub use context::{SpanId, TRACEPARENT, TRACESTATE, TraceContext, TraceId};
pub use export::{Exporter, OtlpError};
pub use span::{Recorded, Span, Value, keep_for_alert};

use crate::cli::Role;

tokio::task_local! {
    static TRACE: TraceContext;
    static ROLE: Role;
}

/// Where spans go, and which traces are kept. Set once, before any role starts; without it nothing is exported.
static EXPORTER: OnceLock<Exporter> = OnceLock::new();

/// The role of a process that has only one: also of what it does in tasks of their own.
static ROLE_OF_PROCESS: OnceLock<Role> = OnceLock::new();

/// Has spans exported from now on. A second call in one process changes nothing.
pub fn install(exporter: Exporter) {
    if EXPORTER.set(exporter).is_err() {
        tracing::debug!("spans are exported already; the first collector stays");
    }
}

/// Sends what has not been sent yet, for a short time at most.
pub async fn finish() {
    if let Some(exporter) = EXPORTER.get() {
        exporter.flush().await;
    }
}

/// The beginning of a trace, kept or not as the operator's ratio says.
pub fn begin() -> TraceContext {
    TraceContext::begin(EXPORTER.get().map_or(0.0, Exporter::ratio))
}

/// Runs `work` in a trace: its messages carry it, its log lines name it.
pub async fn within<T>(context: TraceContext, work: impl Future<Output = T>) -> T {
    TRACE.scope(context, work).await
}

/// The same for work that waits for nothing.
pub fn inside<T>(context: TraceContext, work: impl FnOnce() -> T) -> T {
    TRACE.sync_scope(context, work)
}

/// The trace that the caller works in.
pub fn current() -> Option<TraceContext> {
    TRACE.try_get().ok()
}

/// Runs `work` in the name of a role: its log lines and spans say so.
pub async fn in_role<T>(role: Role, work: impl Future<Output = T>) -> T {
    ROLE.scope(role, work).await
}

/// The process has this role and no other.
pub fn one_role(role: Role) {
    // A second call comes from a test process that runs one after the other: the first stays.
    let _ = ROLE_OF_PROCESS.set(role);
}

/// The role that the caller works for.
pub fn role() -> Option<Role> {
    ROLE.try_get().ok().or_else(|| ROLE_OF_PROCESS.get().copied())
}

/// The caller's role, for what is done in a task of its own.
#[derive(Debug, Clone, Copy)]
pub struct CarriedRole(Option<Role>);

impl CarriedRole {
    /// That of the caller.
    pub fn here() -> Self {
        Self(ROLE.try_get().ok())
    }

    /// Runs `work` in its name.
    pub async fn around<T>(self, work: impl Future<Output = T>) -> T {
        match self.0 {
            Some(role) => in_role(role, work).await,
            None => work.await,
        }
    }
}

fn exporter() -> Option<&'static Exporter> {
    EXPORTER.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn trace_and_role_belong_to_their_task_alone() {
        let context = TraceContext::begin(1.0);
        let inside = within(context, in_role(Role::Oracle, async { (current(), role()) })).await;
        assert_eq!(inside, (Some(context), Some(Role::Oracle)));
        assert_eq!((current(), role()), (None, None));
        let other = within(context, async { tokio::spawn(async { current() }).await.unwrap() }).await;
        assert_eq!(other, None, "a task of its own begins without");
        let carried = in_role(Role::Oracle, async { CarriedRole::here() }).await;
        let other = tokio::spawn(carried.around(async { role() })).await.unwrap();
        assert_eq!(other, Some(Role::Oracle), "unless it carries it");
    }
}
