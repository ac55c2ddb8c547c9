//! Partitions of a role over its replicas: leased, fenced, restored from a snapshot and the input's stream.
//!
//! A role says what it does with an input ([`Work`]); everything around it is here. Replicas share the partitions by
//! leases. For each that it holds, a replica runs a task: raise the fences of the output streams, load the snapshot,
//! read which outputs are stored since, replay the inputs behind it, then follow. This module never decides who owns
//! what (the coordinator of `hygeia-protocol` does) nor what an input leads to.

pub mod bytes;

mod leases;
mod outbox;
mod snapshot;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hygeia_protocol::lease::{LeaseEvent, LeaseRules, MemberId};
use hygeia_protocol::subject::{Partition, Stream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use outbox::{EFFECTS_MAX, Effect, FencedBus, Lane, Outbox, Payload, Sink};
pub use snapshot::{Damage, Found, Snapshot, Snapshots};

use crate::bus::{Bus, Entry};
use crate::telemetry::trace::CarriedRole;
use crate::telemetry::watchdog::{Loop, Pulse};
use crate::telemetry::{Counter, Gauge, Metrics};
use leases::{Leases, Order};
use task::{Ending, Task};

/// How long a replica that was asked to end may take to hand over; what is left then runs out with its lease.
const LEAVE_PATIENCE: Duration = Duration::from_secs(4);

/// What a role does with its inputs: one for each partition.
pub trait Work: Send + 'static {
    /// Inputs handed over at a time, at most.
    const BATCH_MAX: usize;

    /// Takes up the state that [`Work::snapshot`] wrote; false where it cannot be read. Called before the first input.
    fn restore(&mut self, state: &[u8]) -> bool;

    /// The state after the inputs handled so far.
    fn snapshot(&mut self) -> Vec<u8>;

    /// Takes inputs in, in order. What follows goes to the outbox, under its input's place. The same inputs after the same
    /// state lead to the same effects, as far as their identities go.
    fn handle(&mut self, inputs: Vec<Entry>, outbox: &mut Outbox) -> impl Future<Output = Result<()>> + Send;

    /// Whether inputs are put by: taken in, kept in the state, and still to lead to something.
    fn has_put_by(&self) -> bool {
        false
    }

    /// Returns when something else than an input calls for work on inputs that were put by. Nothing is lost when it is
    /// dropped.
    fn woken(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Goes on with what was put by. It stands in the snapshot until then, so its effects may come late.
    fn resume(&mut self, _outbox: &mut Outbox) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}

/// A role whose work is spread over partitions.
pub trait Role: Send + Sync + 'static {
    /// Its name, in keys and labels.
    const NAME: &'static str;
    /// Its loop, for the watchdog.
    const LOOP: Loop;
    /// Where its inputs stand.
    const INPUT: Stream;
    /// Where its outputs go. Those that have fences are fenced.
    const OUTPUTS: &'static [Stream];
    /// What it does with a partition.
    type Work: Work;

    /// The subject of a partition's inputs.
    fn input(partition: Partition) -> String;

    /// The subjects of an output stream that a partition's outputs go to.
    fn output(stream: Stream, partition: Partition) -> String;

    /// Work on a partition that has seen nothing.
    fn work(self: &Arc<Self>, partition: Partition) -> Self::Work;
}

/// What the replicas of a role have in common with each other, and this one with itself.
#[derive(Clone)]
pub struct Replica {
    /// The broker.
    pub bus: Bus,
    /// This replica's name.
    pub member: MemberId,
    /// How leases are held; the same for all replicas.
    pub rules: LeaseRules,
    /// The process's counters.
    pub metrics: Metrics,
    /// Cancelled when the process is asked to end.
    pub stop: CancellationToken,
}

/// Works on this replica's share of the partitions until the replica is asked to stop; then hands over.
pub async fn run<R: Role>(replica: Replica, role: Arc<R>) -> Result<()> {
    let leases = Leases::open(&replica.bus, R::NAME, replica.member.clone(), replica.rules).await?;
    tracing::info!(role = R::NAME, member = %replica.member, "shares the partitions with its replicas");
    Runner { replica, role, leases, tasks: JoinSet::new(), running: BTreeMap::new(), began: Instant::now() }.run().await
}

struct Runner<R: Role> {
    replica: Replica,
    role: Arc<R>,
    leases: Leases,
    tasks: JoinSet<(Partition, u64, Result<Ending>)>,
    running: BTreeMap<Partition, Running>,
    began: Instant,
}

/// A task of a partition, from outside.
struct Running {
    epoch: u64,
    /// Cancelled when the task is to finish what it has begun.
    stop: CancellationToken,
    /// Set by the task once it follows the newest inputs.
    live: CancellationToken,
    /// Beats while the task goes round.
    pulse: Pulse,
    abort: AbortHandle,
}

impl<R: Role> Runner<R> {
    async fn run(mut self) -> Result<()> {
        let stop = self.replica.stop.clone();
        let mut leave_by: Option<Instant> = None;
        self.replica.metrics.watchdog().beat(R::LOOP);
        loop {
            let orders = tokio::select! {
                () = stop.cancelled(), if leave_by.is_none() => {
                    leave_by = Some(Instant::now() + LEAVE_PATIENCE);
                    self.leases.tell(LeaseEvent::Leave)
                }
                Some(ended) = self.tasks.join_next() => self.ended(ended)?,
                orders = self.leases.next() => orders,
            };
            orders.into_iter().for_each(|order| self.obey(order));
            self.report();
            let Some(leave_by) = leave_by else { continue };
            if self.leases.coordinator().is_idle() {
                self.replica.metrics.watchdog().ended(R::LOOP);
                return Ok(());
            }
            if Instant::now() >= leave_by {
                let left = self.leases.coordinator().held().count();
                tracing::warn!(role = R::NAME, left, "partitions were not handed over in time");
                return Ok(());
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Start(partition, epoch) => self.start(partition, epoch),
            Order::Stop(partition) => {
                if let Some(running) = self.running.get(&partition) {
                    running.stop.cancel();
                }
            }
            Order::Abandon(partition) => {
                if let Some(running) = self.running.remove(&partition) {
                    running.abort.abort();
                    tracing::warn!(role = R::NAME, %partition, epoch = running.epoch, "the partition is another's by now");
                }
            }
        }
    }

    fn start(&mut self, partition: Partition, epoch: u64) {
        let (stop, live) = (CancellationToken::new(), CancellationToken::new());
        let pulse = Pulse::default();
        let task = Task {
            pulse: pulse.clone(),
            replica: self.replica.clone(),
            role: self.role.clone(),
            partition,
            epoch,
            stop: stop.clone(),
            live: live.clone(),
        };
        let run = CarriedRole::here().around(async move { (partition, epoch, task.run().await) });
        let abort = self.tasks.spawn(run);
        self.running.insert(partition, Running { epoch, stop, live, pulse, abort });
    }

    /// Takes note of a task's end. One that was fenced is over; one that failed ends the role.
    fn ended(&mut self, ended: Result<(Partition, u64, Result<Ending>), tokio::task::JoinError>) -> Result<Vec<Order>> {
        let (partition, epoch, result) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_cancelled() => return Ok(Vec::new()),
            Err(panic) => anyhow::bail!("the task of a partition panicked: {panic}"),
        };
        if self.running.get(&partition).is_some_and(|running| running.epoch == epoch) {
            self.running.remove(&partition);
        }
        let fenced_by = match result? {
            Ending::Stopped => None,
            Ending::Fenced { by } => {
                tracing::warn!(role = R::NAME, %partition, epoch, by, "fenced: nothing more of this partition is published");
                self.replica.metrics.count(Counter::PartitionFenced, R::NAME);
                by
            }
        };
        Ok(self.leases.tell(LeaseEvent::Ended { partition, epoch, fenced_by }))
    }

    /// Shows what is owned. The replica is ready once all its partitions are current, or once it stands by.
    fn report(&self) {
        // A partition that hangs is not waited for by anything else: the role counts as coming round while all do.
        if self.running.values().all(|running| !running.pulse.is_lost()) {
            self.replica.metrics.watchdog().beat(R::LOOP);
        }
        self.replica.metrics.set_to(Gauge::PartitionsOwned, R::NAME, self.running.len() as f64);
        let all_live = self.running.values().all(|running| running.live.is_cancelled());
        let standing_by = self.began.elapsed() >= Duration::from_millis(self.replica.rules.ttl_ms);
        if all_live && (!self.running.is_empty() || standing_by) {
            self.replica.metrics.ready();
        }
    }
}
