//! The roles, written for the simulation around the machines of `hygeia-protocol`.
//!
//! The product's roles are asynchronous programs on a real broker; these mirror their order of effects line by line and
//! are what runs here. Each says which role it mirrors. None decides what a machine decides.

mod auditor;
mod collector;
mod gateway;
mod host;
mod limits;
mod member;
mod oracle;
mod outbox;
mod partition;
mod prover;
mod sentinel;
mod snapshot;
mod steward;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use hygeia_protocol::subject::Partition;

use self::host::Host;
use self::limits::Limits;
pub use self::member::LEASE_TTL_MS;
pub(crate) use self::sentinel::HELD_BACK;
pub(crate) use self::snapshot::Manifest;
use crate::call::Unanswered;
use crate::port::Port;
use crate::process::Task;
use crate::ward::{MODELS, Sent};

/// A task under way. But for a partition's it ends with an error or when it was asked to, and then its process ends.
pub type Running = Pin<Box<dyn Future<Output = Result<(), Unanswered>>>>;

/// What is to be done with tasks, in order.
pub enum Command {
    /// Run it.
    Start(Task, Running),
    /// End it.
    Drop(Task),
}

/// What the tasks of one process share while it lives.
#[derive(Default)]
pub struct Shared {
    /// Tasks to start or to end; the run looks after each turn.
    pub commands: RefCell<Vec<Command>>,
    /// Whether the process was asked to hand over and end.
    pub is_leaving: Cell<bool>,
    /// Partitions that are to finish what they have begun.
    stopping: RefCell<BTreeSet<Partition>>,
    /// Partitions that ended, under which epoch, and the epoch of the fence that they ran into.
    ended: RefCell<Vec<(Partition, u64, Option<u64>)>>,
    host: Host,
    limits: RefCell<Limits>,
    /// How many alerts a prover has in hand; its audits wait for none.
    alerts: Cell<usize>,
}

/// Starts a task that its process begins with.
#[must_use]
pub fn start(port: Port, task: Task, sent: &Rc<Vec<Sent>>, done: &Rc<Cell<usize>>, shared: &Rc<Shared>) -> Running {
    let shared = shared.clone();
    match task {
        Task::Gateway => Box::pin(gateway::run(port, sent.clone(), done.clone())),
        Task::Member(_) | Task::Partition(..) => Box::pin(member::run(port, shared)),
        Task::Watcher(_) => Box::pin(host::watch(port, shared)),
        Task::Prover(_) => Box::pin(prover::run(port, shared)),
        Task::Collector(_, model) => Box::pin(collector::run(port, MODELS[usize::from(model)])),
        Task::Auditor(_) => Box::pin(auditor::run(port, shared)),
        Task::Steward(_) => Box::pin(steward::run(port)),
    }
}
