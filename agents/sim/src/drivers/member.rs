//! Mirrors `agents/node/src/partition`: the lease machine of a replica, what it sees in the store and what it writes
//! there, and the partitions' tasks that it starts and ends.
//!
//! Left out: what does not change here, such as partitions added while the network runs. The time of a lease is longer
//! than the product's, so that signs of life are a small part of a run.

use std::num::NonZeroU16;
use std::rc::Rc;
use std::task::Poll;

use hygeia_protocol::lease::{Coordinator, Lease, LeaseAction, LeaseEvent, LeaseRules, MemberId};
use hygeia_protocol::subject::Partition;

use super::oracle::Oracle;
use super::partition::{self, End, State};
use super::sentinel::Sentinel;
use super::{Command, Shared};
use crate::broker::Change;
use crate::call::{Reply, Request, Unanswered};
use crate::port::{Call, Port};
use crate::process::{Role, Task};
use crate::ward::PARTITIONS;

/// How long a lease lasts without a sign of life.
pub const LEASE_TTL_MS: u64 = 240_000;
/// How long a look for changes stands: what the machine does in its own time, it does as often.
const TICK_MS: u64 = 20_000;
/// Pause before a store is asked again that did not answer.
const RETRY_PAUSE_MS: u64 = 1_000;
/// How long a sign of life is kept: much longer than a lease lasts, so that only litter is forgotten; the product's.
const MEMBER_KEPT_MS: u64 = 10 * 60_000;
/// How long a replica that was asked to end may take to hand over; the product's.
const LEAVE_PATIENCE_MS: u64 = 4_000;

pub(super) async fn run(port: Port, shared: Rc<Shared>) -> Result<(), Unanswered> {
    let role = port.process().role().expect("replicas of a role alone hold leases");
    if role == Role::Sentinel {
        shared.host.serves(&port).await;
    }
    let name = format!("{}-{}-{}", role.name(), port.process().index(), port.life());
    let me = MemberId::new(&name).expect("letters, digits and dashes");
    let partitions = NonZeroU16::new(PARTITIONS).expect("there are some");
    let coordinator = Coordinator::new(me, LeaseRules { partitions, ttl_ms: LEASE_TTL_MS });
    let prefix: Rc<str> = format!("lease.{}.", role.name()).into();
    Member { port, shared, role, prefix, coordinator, since: 0 }.follow().await
}

struct Member {
    port: Port,
    shared: Rc<Shared>,
    role: Role,
    prefix: Rc<str>,
    coordinator: Coordinator,
    /// Revision up to which the store was read.
    since: u64,
}

enum Heard {
    Changes(Result<Vec<Change>, Unanswered>),
    Ended,
    Leave,
}

impl Member {
    /// Ends where it was asked to, or where the store does not answer at the start.
    async fn follow(&mut self) -> Result<(), Unanswered> {
        let standing = self.port.changes(&self.prefix, 0).await?;
        self.see(standing);
        let (mut watch, mut leave_by) = (None, None);
        loop {
            self.step(LeaseEvent::Tick);
            // Ends where everything is handed over, and where that takes too long.
            if leave_by.is_some_and(|leave_by| self.coordinator.is_idle() || self.port.run_ms() >= leave_by) {
                return Err(Unanswered);
            }
            match self.hear(&mut watch, leave_by).await {
                Heard::Changes(Ok(changes)) => self.see(changes),
                Heard::Changes(Err(Unanswered)) => self.port.sleep(RETRY_PAUSE_MS).await,
                Heard::Ended => {
                    for (partition, epoch, fenced_by) in self.shared.ended.take() {
                        self.step(LeaseEvent::Ended { partition, epoch, fenced_by });
                    }
                }
                Heard::Leave => {
                    leave_by = Some(self.port.run_ms() + LEAVE_PATIENCE_MS);
                    self.step(LeaseEvent::Leave);
                }
            }
        }
    }

    async fn hear(&self, watch: &mut Option<Call>, leave_by: Option<u64>) -> Heard {
        std::future::poll_fn(|context| {
            if leave_by.is_none() && self.shared.is_leaving.get() {
                return Poll::Ready(Heard::Leave);
            }
            if !self.shared.ended.borrow().is_empty() {
                return Poll::Ready(Heard::Ended);
            }
            // Who leaves looks more often at what is left of its time.
            let wait_ms = if leave_by.is_some() { LEAVE_PATIENCE_MS / 4 } else { TICK_MS };
            let request = || Request::Watch { prefix: self.prefix.clone(), since: self.since, wait_ms };
            let call = watch.get_or_insert_with(|| self.port.begin(request()));
            let Poll::Ready(answer) = std::pin::Pin::new(call).poll(context) else { return Poll::Pending };
            *watch = None;
            Poll::Ready(Heard::Changes(answer.map(|reply| match reply {
                Reply::Changes(changes) => changes,
                _ => crate::port::other(),
            })))
        })
        .await
    }

    fn see(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.since = self.since.max(change.revision);
            if let Some(event) = event(&change, &self.prefix) {
                self.step(event);
            }
        }
    }

    fn step(&mut self, event: LeaseEvent) {
        for action in self.coordinator.step(event, self.port.run_ms()) {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: LeaseAction) {
        let me = Some(self.coordinator.me().clone());
        match action {
            LeaseAction::Beat => self.write("member.", Some([1].into()), None, Some(MEMBER_KEPT_MS)),
            LeaseAction::Resign => self.write("member.", None, None, None),
            LeaseAction::Claim { partition, revision, epoch } => {
                self.write_lease(partition, revision, me, epoch, false)
            }
            LeaseAction::Renew { partition, revision, epoch } => self.write_lease(partition, revision, me, epoch, true),
            LeaseAction::Release { partition, revision, epoch } => {
                self.write_lease(partition, revision, None, epoch, false);
            }
            LeaseAction::Start { partition, epoch } => self.start(partition, epoch),
            LeaseAction::Stop { partition } => {
                self.shared.stopping.borrow_mut().insert(partition);
                self.port.wake(self.task(partition));
            }
            LeaseAction::Abandon { partition } => {
                self.shared.commands.borrow_mut().push(Command::Drop(self.task(partition)));
            }
        }
    }

    fn start(&self, partition: Partition, epoch: u64) {
        let (port, task) = (self.port.of(self.task(partition)), self.task(partition));
        let running = match self.role {
            Role::Oracle => self.run(Oracle::new(port.clone(), partition), port, partition, epoch),
            Role::Sentinel => {
                let state = Sentinel::new(port.clone(), partition, self.shared.clone());
                self.run(state, port, partition, epoch)
            }
        };
        self.shared.stopping.borrow_mut().remove(&partition);
        self.shared.commands.borrow_mut().push(Command::Start(task, running));
    }

    fn run<S: State + 'static>(&self, state: S, port: Port, partition: Partition, epoch: u64) -> super::Running {
        let (shared, member) = (self.shared.clone(), Task::Member(self.port.process()));
        let owner = self.coordinator.me().clone();
        Box::pin(async move {
            let fenced_by = match partition::run(state, port.clone(), shared.clone(), partition, (owner, epoch)).await {
                Ok(()) => None,
                Err(End::Fenced(by)) => Some(by),
                // A task that fails ends the role.
                Err(End::Unanswered) => return Err(Unanswered),
            };
            shared.ended.borrow_mut().push((partition, epoch, fenced_by));
            port.wake(member);
            Ok(())
        })
    }

    fn write_lease(&self, partition: Partition, revision: u64, owner: Option<MemberId>, epoch: u64, is_routine: bool) {
        let bytes = serde_json::to_vec(&Lease { owner, epoch }).expect("a lease is JSON");
        let key = format!("{}{partition}", self.prefix).into();
        self.port.tell(Request::Write {
            key,
            bytes: Some(bytes.into()),
            after: Some(revision),
            ttl_ms: None,
            is_routine,
        });
    }

    fn write(&self, kind: &str, bytes: Option<Rc<[u8]>>, after: Option<u64>, ttl_ms: Option<u64>) {
        let key = format!("{}{kind}{}", self.prefix, self.coordinator.me()).into();
        self.port.tell(Request::Write { key, bytes, after, ttl_ms, is_routine: true });
    }

    const fn task(&self, partition: Partition) -> Task {
        Task::Partition(self.port.process(), partition)
    }
}

/// What a change of the store tells the machine.
fn event(change: &Change, prefix: &str) -> Option<LeaseEvent> {
    let name = change.key.strip_prefix(prefix)?;
    if let Some(member) = name.strip_prefix("member.") {
        let member = MemberId::new(member).ok()?;
        let is_there = change.bytes.is_some();
        return Some(if is_there { LeaseEvent::MemberSeen { member } } else { LeaseEvent::MemberGone { member } });
    }
    let (partition, revision) = (Partition(name.parse().ok()?), change.revision);
    match &change.bytes {
        None => Some(LeaseEvent::Absent { partition, revision }),
        Some(bytes) => Some(LeaseEvent::Seen { partition, lease: serde_json::from_slice(bytes).ok()?, revision }),
    }
}
