//! What goes wrong and when. A schedule is a plain list, so that a failing one can be made shorter.

use hygeia_protocol::subject::Partition;

use crate::drivers::LEASE_TTL_MS;
use crate::process::{Process, Role};
use crate::rng::Rng;
use crate::ward::{HOUR_MS, PARTITIONS};

/// Faults in an hour, over the whole system.
pub const FAULTS_PER_HOUR: u64 = 4;
/// A wall clock is wrong by this much at most.
const CLOCK_OFF_MS_MAX: u64 = 3 * HOUR_MS;
/// Time between two processes of a rolling restart.
const ROLL_MS: u64 = 20_000;
/// Calls of a process that a fault skips at most after its time, so that it meets every place between two outputs.
const SKIP_MAX: u64 = 12;
/// Every so many downtimes is longer than the broker remembers message ids.
const LONG_ONCE_IN: u64 = 5;
/// What draws faults, as a key for random numbers.
const KEY: u64 = 0xfa;

/// Something that goes wrong. Times are milliseconds after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Hits the call with an effect that `process` makes after it made `skip` of them since `at_ms`.
    Call {
        /// Whose call.
        process: Process,
        /// From when.
        at_ms: u64,
        /// Calls with an effect that are left alone before.
        skip: u64,
        /// What happens to it.
        what: CallFault,
    },
    /// The process is killed, whatever it does.
    Kill {
        /// Which.
        process: Process,
        /// When.
        at_ms: u64,
        /// How long until it is started again.
        down_ms: u64,
    },
    /// The process is asked to end, and is started again: a rolling restart does this to one after another.
    Stop {
        /// Which.
        process: Process,
        /// When.
        at_ms: u64,
    },
    /// The process stands still, and goes on as if nothing had been.
    Pause {
        /// Which.
        process: Process,
        /// When.
        at_ms: u64,
        /// How long.
        for_ms: u64,
    },
    /// The wall clock of the process is wrong for a while.
    Clock {
        /// Which.
        process: Process,
        /// From when.
        at_ms: u64,
        /// By how much.
        off_ms: i64,
        /// How long.
        for_ms: u64,
    },
    /// Nothing passes between the process and the broker.
    Cut {
        /// Which.
        process: Process,
        /// From when.
        at_ms: u64,
        /// How long.
        for_ms: u64,
    },
    /// The broker loses power: what it had not yet written is lost.
    BrokerDown {
        /// When.
        at_ms: u64,
        /// How long until it is back.
        down_ms: u64,
    },
    /// What is stored of the state of a partition is damaged.
    Rot {
        /// Of which role.
        role: Role,
        /// Which partition.
        partition: Partition,
        /// When.
        at_ms: u64,
    },
    /// The newest blocks are replaced by others, once the lowest of them holds a transaction of ours.
    Reorg {
        /// From when.
        at_ms: u64,
        /// How many blocks; never more than the confirmations that are waited for.
        depth: u64,
        /// Whether their transactions wait for a block again, or are forgotten.
        keep: bool,
    },
    /// No node of the chain answers, once a transaction was sent.
    Silence {
        /// From when.
        at_ms: u64,
        /// How long.
        for_ms: u64,
    },
    /// Blocks hold nothing of ours, once a transaction was sent.
    Congestion {
        /// From when.
        at_ms: u64,
        /// How long.
        for_ms: u64,
    },
    /// Transactions that are in no block are forgotten, once there are some.
    Forget {
        /// From when.
        at_ms: u64,
    },
}

/// What happens to one call with an effect: a publication, a write, an acknowledgement, a transaction, a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// The process is killed before the call leaves it.
    KillBefore {
        /// How long until it is started again.
        down_ms: u64,
    },
    /// The call takes effect; the process is killed before it hears of it.
    KillAfter {
        /// How long until it is started again.
        down_ms: u64,
    },
    /// The call never arrives.
    RequestLost,
    /// The call takes effect, its answer is lost.
    AnswerLost,
    /// The call arrives twice.
    Twice,
    /// The call, and all that the process sends after it, takes this much longer.
    Late {
        /// By how much.
        by_ms: u64,
    },
}

impl Fault {
    /// When it begins.
    #[must_use]
    pub const fn at_ms(&self) -> u64 {
        match *self {
            Fault::Call { at_ms, .. }
            | Fault::Kill { at_ms, .. }
            | Fault::Stop { at_ms, .. }
            | Fault::Pause { at_ms, .. }
            | Fault::Clock { at_ms, .. }
            | Fault::Cut { at_ms, .. }
            | Fault::BrokerDown { at_ms, .. }
            | Fault::Rot { at_ms, .. }
            | Fault::Reorg { at_ms, .. }
            | Fault::Silence { at_ms, .. }
            | Fault::Congestion { at_ms, .. }
            | Fault::Forget { at_ms } => at_ms,
        }
    }
}

/// The faults of a seed, in the order of their times; their places in the list name them.
#[must_use]
pub fn draw(seed: u64, hours: u64, replicas: u8, per_hour: u64) -> Vec<Fault> {
    let processes: Vec<Process> = Process::all(replicas).filter(|process| *process != Process::Gateway).collect();
    let mut faults: Vec<Fault> =
        (0..hours * per_hour).flat_map(|n| fault(&mut Rng::of(seed, &[KEY, n]), hours, &processes)).collect();
    faults.sort_by_key(Fault::at_ms);
    faults
}

fn fault(rng: &mut Rng, hours: u64, processes: &[Process]) -> Vec<Fault> {
    let at_ms = rng.between(0, hours * HOUR_MS);
    let process = rng.pick(processes);
    vec![match rng.between(1, 23) {
        1..=9 => Fault::Call { process, at_ms, skip: rng.between(0, SKIP_MAX), what: call_fault(rng) },
        10 => Fault::Kill { process, at_ms, down_ms: down_ms(rng) },
        11 | 12 => Fault::Cut { process, at_ms, for_ms: outage_ms(rng) },
        13 => Fault::BrokerDown { at_ms, down_ms: rng.between(1_000, 60_000) },
        14 => {
            let depth = rng.between(1, crate::chain::CONFIRMATIONS);
            Fault::Reorg { at_ms, depth, keep: !rng.once_in(2) }
        }
        15 => Fault::Silence { at_ms, for_ms: rng.between(5_000, 300_000) },
        16 => Fault::Congestion { at_ms, for_ms: rng.between(30_000, 300_000) },
        17 => Fault::Forget { at_ms },
        18 | 19 => Fault::Pause { process, at_ms, for_ms: outage_ms(rng) },
        20 => {
            let off_ms = i64::try_from(rng.between(60_000, CLOCK_OFF_MS_MAX)).expect("hours fit");
            let off_ms = if rng.once_in(2) { -off_ms } else { off_ms };
            Fault::Clock { process, at_ms, off_ms, for_ms: rng.between(10_000, HOUR_MS) }
        }
        21 => Fault::Stop { process, at_ms },
        22 => {
            let role = rng.pick(&[Role::Oracle, Role::Sentinel]);
            let partition = u16::try_from(rng.between(1, u64::from(PARTITIONS)) - 1).expect("partitions are few");
            Fault::Rot { role, partition: Partition(partition), at_ms }
        }
        _ => return rolling_restart(at_ms, processes),
    }]
}

/// Each process in turn, the next one when the one before is back.
fn rolling_restart(at_ms: u64, processes: &[Process]) -> Vec<Fault> {
    let times = (0..).map(|n| at_ms + n * ROLL_MS);
    processes.iter().zip(times).map(|(&process, at_ms)| Fault::Stop { process, at_ms }).collect()
}

fn call_fault(rng: &mut Rng) -> CallFault {
    match rng.between(1, 9) {
        1 | 2 => CallFault::KillBefore { down_ms: down_ms(rng) },
        3..=5 => CallFault::KillAfter { down_ms: down_ms(rng) },
        6 => CallFault::RequestLost,
        7 => CallFault::AnswerLost,
        8 => CallFault::Twice,
        _ => CallFault::Late { by_ms: rng.between(1_000, 40_000) },
    }
}

fn down_ms(rng: &mut Rng) -> u64 {
    if rng.once_in(LONG_ONCE_IN) { rng.between(11 * 60_000, 25 * 60_000) } else { rng.between(500, 8_000) }
}

/// Shorter than a lease, or longer than a lease and the broker's memory of ids.
fn outage_ms(rng: &mut Rng) -> u64 {
    if rng.once_in(2) { rng.between(1_000, 120_000) } else { rng.between(LEASE_TTL_MS, 25 * 60_000) }
}
