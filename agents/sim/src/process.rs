//! Who takes part: processes that are killed and started as a whole, and the loops that run inside them.

use hygeia_protocol::subject::Partition;

/// Replicas of the oracle and of the sentinel at most.
pub const REPLICAS_MAX: u8 = 3;
/// Provers, which share their queues.
pub const PROVERS: u8 = 2;
/// Stewards, each with an account of its own.
pub const STEWARDS: u8 = 2;
/// Kinds of loops in a process that are no partition's.
const KINDS: u64 = 5;
/// Numbers that a process has for its loops.
const KEYS_EACH: u64 = 64;

/// A program that a supervisor starts again when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    /// Takes observations from the devices and publishes them until they are stored. It is never killed: what it has
    /// not been told to be stored, a device sends again.
    Gateway,
    /// A replica of the oracle.
    Oracle(u8),
    /// A replica of the sentinel.
    Sentinel(u8),
    /// A prover.
    Prover(u8),
    /// A steward.
    Steward(u8),
}

/// A role whose replicas share partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Observations to windows.
    Oracle,
    /// Windows to alerts.
    Sentinel,
}

/// A loop of a process. Where several can go on, a partition does before the loop that holds its lease: what a replica
/// does without knowing that it was taken over is what is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Publishes observations.
    Gateway,
    /// One partition of a role.
    Partition(Process, Partition),
    /// Leases of a replica.
    Member(Process),
    /// Follows the registries on chain.
    Watcher(Process),
    /// Proof requests to receipts.
    Prover(Process),
    /// The ledger to audit orders of one of the models.
    Collector(Process, u8),
    /// Audit orders to audits.
    Auditor(Process),
    /// Receipts to settlements.
    Steward(Process),
}

impl Process {
    /// How many there are at most.
    pub const COUNT: usize = 1 + 2 * REPLICAS_MAX as usize + PROVERS as usize + STEWARDS as usize;

    /// Every process of a run with so many replicas of the roles that share partitions.
    pub fn all(replicas: u8) -> impl Iterator<Item = Process> {
        let sharing = (0..replicas).flat_map(|n| [Process::Oracle(n), Process::Sentinel(n)]);
        let working = (0..PROVERS).map(Process::Prover).chain((0..STEWARDS).map(Process::Steward));
        std::iter::once(Process::Gateway).chain(sharing).chain(working)
    }

    /// Its place among all.
    #[must_use]
    pub const fn index(self) -> usize {
        let (sharing, provers) = (REPLICAS_MAX as usize, PROVERS as usize);
        match self {
            Process::Gateway => 0,
            Process::Oracle(n) => 1 + n as usize,
            Process::Sentinel(n) => 1 + sharing + n as usize,
            Process::Prover(n) => 1 + 2 * sharing + n as usize,
            Process::Steward(n) => 1 + 2 * sharing + provers + n as usize,
        }
    }

    /// The role whose partitions it shares.
    #[must_use]
    pub const fn role(self) -> Option<Role> {
        match self {
            Process::Oracle(_) => Some(Role::Oracle),
            Process::Sentinel(_) => Some(Role::Sentinel),
            _ => None,
        }
    }

    /// The loops that it begins with.
    #[must_use]
    pub fn tasks(self) -> Vec<Task> {
        match self {
            Process::Gateway => vec![Task::Gateway],
            Process::Oracle(_) => vec![Task::Member(self)],
            Process::Sentinel(_) => vec![Task::Member(self), Task::Watcher(self)],
            Process::Prover(_) => {
                vec![Task::Prover(self), Task::Collector(self, 0), Task::Collector(self, 1), Task::Auditor(self)]
            }
            Process::Steward(_) => vec![Task::Steward(self)],
        }
    }
}

impl Role {
    /// Its name in keys of the lease store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Oracle => "oracle",
            Role::Sentinel => "sentinel",
        }
    }
}

impl Task {
    /// The process that it runs in.
    #[must_use]
    pub const fn process(self) -> Process {
        match self {
            Task::Gateway => Process::Gateway,
            Task::Partition(process, _)
            | Task::Member(process)
            | Task::Watcher(process)
            | Task::Prover(process)
            | Task::Collector(process, _)
            | Task::Auditor(process)
            | Task::Steward(process) => process,
        }
    }

    /// A number of its own, as a key for random numbers.
    #[must_use]
    pub fn key(self) -> u64 {
        let kind = match self {
            Task::Gateway | Task::Member(_) | Task::Steward(_) => 0,
            Task::Prover(_) => 1,
            Task::Collector(_, model) => 2 + u64::from(model),
            Task::Auditor(_) | Task::Watcher(_) => 4,
            Task::Partition(_, partition) => KINDS + u64::from(partition.0),
        };
        self.process().index() as u64 * KEYS_EACH + kind
    }
}
