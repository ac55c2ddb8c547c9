//! Who takes part: processes that are killed and started as a whole, and the loops that run inside them.

/// A program that a supervisor starts again when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    /// Takes observations from the devices and publishes them until they are stored. It is never killed: what it has
    /// not been told to be stored, a device sends again.
    Gateway,
    /// The oracle.
    Oracle,
    /// The sentinel.
    Sentinel,
    /// One of two provers that share their queues.
    ProverA,
    /// The other one.
    ProverB,
    /// The steward.
    Steward,
}

/// A loop of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Publishes observations.
    Gateway,
    /// Observations to windows.
    Oracle,
    /// Windows to alerts.
    Sentinel,
    /// Proof requests to receipts.
    Prover(Process),
    /// The ledger to audit orders.
    Collector(Process),
    /// Audit orders to audits.
    Auditor(Process),
    /// Receipts to settlements.
    Steward,
}

impl Process {
    /// Every process.
    pub const ALL: [Process; 6] =
        [Process::Gateway, Process::Oracle, Process::Sentinel, Process::ProverA, Process::ProverB, Process::Steward];

    /// Those that faults are drawn for.
    pub const KILLED: [Process; 5] =
        [Process::Oracle, Process::Sentinel, Process::ProverA, Process::ProverB, Process::Steward];

    /// The loops that it runs.
    #[must_use]
    pub fn tasks(self) -> Vec<Task> {
        match self {
            Process::Gateway => vec![Task::Gateway],
            Process::Oracle => vec![Task::Oracle],
            Process::Sentinel => vec![Task::Sentinel],
            Process::ProverA | Process::ProverB => vec![Task::Prover(self), Task::Collector(self), Task::Auditor(self)],
            Process::Steward => vec![Task::Steward],
        }
    }
}

impl Task {
    /// The process that it runs in.
    #[must_use]
    pub const fn process(self) -> Process {
        match self {
            Task::Gateway => Process::Gateway,
            Task::Oracle => Process::Oracle,
            Task::Sentinel => Process::Sentinel,
            Task::Prover(process) | Task::Collector(process) | Task::Auditor(process) => process,
            Task::Steward => Process::Steward,
        }
    }

    /// A number of its own, as a key for random numbers.
    #[must_use]
    pub const fn key(self) -> u64 {
        let kind = match self {
            Task::Gateway | Task::Oracle | Task::Sentinel | Task::Steward => 0,
            Task::Prover(_) => 1,
            Task::Collector(_) => 2,
            Task::Auditor(_) => 3,
        };
        self.process() as u64 * 4 + kind
    }
}
