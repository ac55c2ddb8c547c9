//! The roles, written for the simulation around the machines of `hygeia-protocol`.
//!
//! The product's roles are asynchronous programs on a real broker; these mirror their order of effects line by line and
//! are what runs here. Each says which role it mirrors. None decides what a machine decides.

mod auditor;
mod collector;
mod gateway;
mod oracle;
mod prover;
mod sentinel;
mod steward;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::call::Unanswered;
use crate::port::Port;
use crate::process::Task;
use crate::ward::Sent;

/// A task under way. It ends with an error alone, and then its process ends.
pub type Running = Pin<Box<dyn Future<Output = Result<(), Unanswered>>>>;

/// How many alerts a prover has in hand; its audits wait for none.
pub type OpenAlerts = Rc<Cell<usize>>;

/// Starts a task.
#[must_use]
pub fn start(port: Port, task: Task, sent: &Rc<Vec<Sent>>, done: &Rc<Cell<usize>>, alerts: &OpenAlerts) -> Running {
    match task {
        Task::Gateway => Box::pin(gateway::run(port, sent.clone(), done.clone())),
        Task::Oracle => Box::pin(oracle::run(port)),
        Task::Sentinel => Box::pin(sentinel::run(port)),
        Task::Prover(_) => Box::pin(prover::run(port, alerts.clone())),
        Task::Collector(_) => Box::pin(collector::run(port)),
        Task::Auditor(_) => Box::pin(auditor::run(port, alerts.clone())),
        Task::Steward => Box::pin(steward::run(port)),
    }
}
