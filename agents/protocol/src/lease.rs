//! The lease machine: which replica of a role works on which partition.
//!
//! Each replica runs one. It is told what stands in the lease store, its own writes included, and answers with writes to
//! try and tasks to start or stop. A write counts only once it is seen in the store, so the answer to a write is never
//! needed: one that was refused or lost shows nothing, and is tried again.
//!
//! A lease says who *should* work, soon; it never proves that nobody else does. A replica that was stopped for a while
//! believes in its leases until it sees that they are another's. What keeps its effects out is the epoch: it grows with
//! each owner, and the broker refuses what comes under an older one.
//!
//! The time passed in is the observer's own monotonic clock. Clocks are never compared between replicas.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::identity::IdentifierError;
use crate::subject::Partition;

/// Leases that a replica asks for, or hands over, at a time: each start reads state from the broker, and a replica that
/// takes on everything at once holds all of it up.
pub const MOVES_MAX: usize = 4;

/// The name of a replica: one for each process. No pseudonym of anybody, so it is printed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemberId(Box<str>);

/// How leases are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRules {
    /// Partitions that the members share.
    pub partitions: NonZeroU16,
    /// A lease or a member that has not moved for this long is taken to be left alone. Both move three times in it.
    pub ttl_ms: u64,
}

/// What stands in the store for a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Who works on the partition; nobody once it was released.
    pub owner: Option<MemberId>,
    /// Grows by one at least with each owner.
    pub epoch: u64,
}

/// What a coordinator is told. Before the first [`LeaseEvent::Tick`] it is told all that stands in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseEvent {
    /// This stands in the store.
    Seen {
        /// For this partition.
        partition: Partition,
        /// The lease.
        lease: Lease,
        /// Its revision in the store: what a write compares with.
        revision: u64,
    },
    /// Nothing stands in the store for this partition (any more).
    Absent {
        /// The partition.
        partition: Partition,
        /// Revision of the removal; 0 where nothing ever stood.
        revision: u64,
    },
    /// A member gave a sign of life.
    MemberSeen {
        /// Who.
        member: MemberId,
    },
    /// A member said that it leaves.
    MemberGone {
        /// Who.
        member: MemberId,
    },
    /// This replica's task of the partition has ended: asked to or by itself.
    Ended {
        /// The partition.
        partition: Partition,
        /// The epoch that the task was started under.
        epoch: u64,
        /// Epoch of the fence that it ran into, if it did.
        fenced_by: Option<u64>,
    },
    /// This replica is to hand over everything and end.
    Leave,
    /// Time has passed.
    Tick,
}

/// What a coordinator wants done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseAction {
    /// Write the member's sign of life.
    Beat,
    /// Remove the member's sign of life.
    Resign,
    /// Write the lease with this member as its owner, if `revision` still stands.
    Claim {
        /// The partition.
        partition: Partition,
        /// The revision that must stand.
        revision: u64,
        /// The epoch to write.
        epoch: u64,
    },
    /// Write the same lease again, if `revision` still stands.
    Renew {
        /// The partition.
        partition: Partition,
        /// The revision that must stand.
        revision: u64,
        /// The epoch to write.
        epoch: u64,
    },
    /// Write the lease without an owner, if `revision` still stands.
    Release {
        /// The partition.
        partition: Partition,
        /// The revision that must stand.
        revision: u64,
        /// The epoch to write.
        epoch: u64,
    },
    /// Start the partition's task under this epoch.
    Start {
        /// The partition.
        partition: Partition,
        /// The epoch of the lease.
        epoch: u64,
    },
    /// Let the partition's task finish what it has begun; then [`LeaseEvent::Ended`].
    Stop {
        /// The partition.
        partition: Partition,
    },
    /// End the partition's task at once, without [`LeaseEvent::Ended`]: the partition is another's.
    Abandon {
        /// The partition.
        partition: Partition,
    },
}

/// The machine of one replica. It is serialisable as a whole, so that a failing schedule can be printed and read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coordinator {
    me: MemberId,
    rules: LeaseRules,
    leases: BTreeMap<Partition, Observed>,
    /// When each other member was last seen to live.
    members: BTreeMap<MemberId, u64>,
    beaten_at_ms: Option<u64>,
    leaving: bool,
}

/// A partition as this replica sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Observed {
    lease: Lease,
    revision: u64,
    /// When the revision was last seen to move.
    moved_at_ms: u64,
    /// Epoch of the newest claim, until another owner is seen.
    claimed: Option<u64>,
    /// No claim below this: a fence was met that the lease store knows nothing of.
    epoch_min: u64,
    /// No claim before this: the task ended by itself here, and would again.
    claim_from_ms: u64,
    part: Part,
}

/// This replica's part in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Part {
    None,
    Claiming { since_ms: u64 },
    Held { renewed_at_ms: u64 },
    Stopping { renewed_at_ms: u64 },
    Releasing { since_ms: u64 },
}

impl MemberId {
    /// Checks the name: 1 to 64 characters out of `[A-Za-z0-9_-]`, since it is part of a key of the store.
    ///
    /// # Errors
    /// [`IdentifierError`] for any other text.
    pub fn new(text: &str) -> Result<MemberId, IdentifierError> {
        if crate::identity::is_identifier(text) { Ok(MemberId(text.into())) } else { Err(IdentifierError) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Coordinator {
    /// The machine of a replica that holds nothing and has seen nothing.
    #[must_use]
    pub fn new(me: MemberId, rules: LeaseRules) -> Coordinator {
        let absent = Observed {
            lease: Lease { owner: None, epoch: 0 },
            revision: 0,
            moved_at_ms: 0,
            claimed: None,
            epoch_min: 1,
            claim_from_ms: 0,
            part: Part::None,
        };
        let leases = (0..rules.partitions.get()).map(|partition| (Partition(partition), absent.clone())).collect();
        Coordinator { me, rules, leases, members: BTreeMap::new(), beaten_at_ms: None, leaving: false }
    }

    /// The name of this replica.
    #[must_use]
    pub const fn me(&self) -> &MemberId {
        &self.me
    }

    /// The partitions that this replica believes in, with their epochs.
    pub fn held(&self) -> impl Iterator<Item = (Partition, u64)> + '_ {
        let believed = self.leases.iter().filter(|(_, observed)| observed.is_believed());
        believed.map(|(partition, observed)| (*partition, observed.lease.epoch))
    }

    /// True once nothing is held or being handed over: a replica that was told to leave may end.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.leases.values().all(|observed| observed.part == Part::None)
    }

    /// Members that live, this one included unless it leaves.
    #[must_use]
    pub fn members_live(&self, now_ms: u64) -> usize {
        self.live_others(now_ms).count() + usize::from(!self.leaving)
    }

    /// Takes one event in; what it calls for.
    pub fn step(&mut self, event: LeaseEvent, now_ms: u64) -> Vec<LeaseAction> {
        let mut actions = Vec::new();
        match event {
            LeaseEvent::Seen { partition, lease, revision } => {
                self.seen(partition, lease, revision, now_ms, &mut actions);
            }
            LeaseEvent::Absent { partition, revision } => {
                self.seen(partition, Lease { owner: None, epoch: 0 }, revision, now_ms, &mut actions);
            }
            LeaseEvent::MemberSeen { member } => {
                if member != self.me {
                    self.members.insert(member, now_ms);
                }
            }
            LeaseEvent::MemberGone { member } => {
                self.members.remove(&member);
            }
            LeaseEvent::Ended { partition, epoch, fenced_by } => {
                self.ended(partition, epoch, fenced_by, now_ms, &mut actions);
            }
            LeaseEvent::Leave => self.leave(&mut actions),
            LeaseEvent::Tick => self.beat(now_ms, &mut actions),
        }
        self.keep_up(now_ms, &mut actions);
        self.share_out(now_ms, &mut actions);
        actions
    }

    fn seen(&mut self, partition: Partition, lease: Lease, revision: u64, now_ms: u64, actions: &mut Vec<LeaseAction>) {
        // A partition beyond our count is of a network that is set up otherwise.
        let Some(observed) = self.leases.get_mut(&partition) else { return };
        if revision == observed.revision {
            return;
        }
        let is_mine = lease.owner.as_ref() == Some(&self.me) && Some(lease.epoch) == observed.claimed;
        let epoch = lease.epoch;
        (observed.lease, observed.revision, observed.moved_at_ms) = (lease, revision, now_ms);
        match (is_mine, observed.part) {
            (true, Part::None | Part::Claiming { .. }) => {
                observed.part = Part::Held { renewed_at_ms: now_ms };
                actions.push(LeaseAction::Start { partition, epoch });
            }
            // A renewal that was under way: the release must name what it wrote.
            (true, Part::Releasing { .. }) => actions.push(observed.release(partition)),
            (true, Part::Held { .. } | Part::Stopping { .. }) => {}
            (false, _) => {
                // Another write came first, so a claim of ours that is still under way is refused.
                if observed.is_believed() {
                    actions.push(LeaseAction::Abandon { partition });
                }
                (observed.part, observed.claimed) = (Part::None, None);
            }
        }
    }

    fn ended(
        &mut self,
        partition: Partition,
        epoch: u64,
        fenced_by: Option<u64>,
        now_ms: u64,
        actions: &mut Vec<LeaseAction>,
    ) {
        let Some(observed) = self.leases.get_mut(&partition) else { return };
        if let Some(fence) = fenced_by {
            observed.epoch_min = observed.epoch_min.max(fence.saturating_add(1));
        }
        if !observed.is_believed() || observed.lease.epoch != epoch {
            return;
        }
        if matches!(observed.part, Part::Held { .. }) {
            observed.claim_from_ms = now_ms.saturating_add(self.rules.ttl_ms);
        }
        observed.part = Part::Releasing { since_ms: now_ms };
        actions.push(observed.release(partition));
    }

    fn leave(&mut self, actions: &mut Vec<LeaseAction>) {
        if !self.leaving {
            self.leaving = true;
            actions.push(LeaseAction::Resign);
        }
    }

    fn beat(&mut self, now_ms: u64, actions: &mut Vec<LeaseAction>) {
        let is_due = self.beaten_at_ms.is_none_or(|at| now_ms.saturating_sub(at) >= self.rules.renew_ms());
        if is_due && !self.leaving {
            self.beaten_at_ms = Some(now_ms);
            actions.push(LeaseAction::Beat);
        }
        let ttl_ms = self.rules.ttl_ms;
        self.members.retain(|_, at| now_ms.saturating_sub(*at) < ttl_ms);
    }

    /// Renews what is held, and tries again what was written and not seen.
    fn keep_up(&mut self, now_ms: u64, actions: &mut Vec<LeaseAction>) {
        let renew_ms = self.rules.renew_ms();
        for (&partition, observed) in &mut self.leases {
            let is_due = |since_ms: u64| now_ms.saturating_sub(since_ms) >= renew_ms;
            match &mut observed.part {
                Part::Held { renewed_at_ms } | Part::Stopping { renewed_at_ms } if is_due(*renewed_at_ms) => {
                    *renewed_at_ms = now_ms;
                    let (revision, epoch) = (observed.revision, observed.lease.epoch);
                    actions.push(LeaseAction::Renew { partition, revision, epoch });
                }
                Part::Releasing { since_ms } if is_due(*since_ms) => {
                    *since_ms = now_ms;
                    actions.push(observed.release(partition));
                }
                Part::Claiming { since_ms } if is_due(*since_ms) => observed.part = Part::None,
                _ => {}
            }
        }
    }

    /// Asks for what is free while below the fair share, hands over what is above it: a few at a time.
    fn share_out(&mut self, now_ms: u64, actions: &mut Vec<LeaseAction>) {
        let share = self.share(now_ms);
        let kept = self.count(|part| matches!(part, Part::Claiming { .. } | Part::Held { .. }));
        let stopping = self.count(|part| matches!(part, Part::Stopping { .. } | Part::Releasing { .. }));
        let claiming = self.count(|part| matches!(part, Part::Claiming { .. }));
        if kept > share {
            // Who leaves is waited for, so it hands over everything at once.
            let at_once = if self.leaving { usize::MAX } else { MOVES_MAX.saturating_sub(stopping) };
            self.stop((kept - share).min(at_once), actions);
        } else if !self.leaving && self.beaten_at_ms.is_some() {
            self.claim((share - kept).min(MOVES_MAX.saturating_sub(claiming)), now_ms, actions);
        }
    }

    fn stop(&mut self, count: usize, actions: &mut Vec<LeaseAction>) {
        let held = self.leases.iter_mut().rev().filter_map(|(partition, observed)| match observed.part {
            Part::Held { renewed_at_ms } => Some((*partition, renewed_at_ms, observed)),
            _ => None,
        });
        for (partition, renewed_at_ms, observed) in held.take(count) {
            observed.part = Part::Stopping { renewed_at_ms };
            actions.push(LeaseAction::Stop { partition });
        }
    }

    fn claim(&mut self, count: usize, now_ms: u64, actions: &mut Vec<LeaseAction>) {
        let ttl_ms = self.rules.ttl_ms;
        let free = self.leases.iter_mut().filter(|(_, observed)| observed.is_free(now_ms, ttl_ms));
        for (&partition, observed) in free.take(count) {
            let epoch = observed.lease.epoch.saturating_add(1).max(observed.epoch_min);
            observed.claimed = Some(epoch);
            observed.part = Part::Claiming { since_ms: now_ms };
            actions.push(LeaseAction::Claim { partition, revision: observed.revision, epoch });
        }
    }

    /// How many partitions are this replica's: all members by name take turns, so that those who see the same members
    /// agree, and the shares add up.
    fn share(&self, now_ms: u64) -> usize {
        if self.leaving {
            return 0;
        }
        let before = self.live_others(now_ms).filter(|member| **member < self.me).count();
        let members = self.members_live(now_ms);
        let partitions = usize::from(self.rules.partitions.get());
        partitions / members + usize::from(before < partitions % members)
    }

    fn live_others(&self, now_ms: u64) -> impl Iterator<Item = &MemberId> {
        let ttl_ms = self.rules.ttl_ms;
        self.members.iter().filter(move |(_, at)| now_ms.saturating_sub(**at) < ttl_ms).map(|(member, _)| member)
    }

    fn count(&self, is: impl Fn(Part) -> bool) -> usize {
        self.leases.values().filter(|observed| is(observed.part)).count()
    }
}

impl Observed {
    /// Whether this replica takes itself for the owner.
    const fn is_believed(&self) -> bool {
        matches!(self.part, Part::Held { .. } | Part::Stopping { .. })
    }

    fn is_free(&self, now_ms: u64, ttl_ms: u64) -> bool {
        let is_left = self.lease.owner.is_none() || now_ms.saturating_sub(self.moved_at_ms) >= ttl_ms;
        self.part == Part::None && is_left && now_ms >= self.claim_from_ms
    }

    const fn release(&self, partition: Partition) -> LeaseAction {
        LeaseAction::Release { partition, revision: self.revision, epoch: self.lease.epoch }
    }
}

impl LeaseRules {
    const fn renew_ms(&self) -> u64 {
        self.ttl_ms / 3
    }
}

impl TryFrom<String> for MemberId {
    type Error = IdentifierError;

    fn try_from(text: String) -> Result<MemberId, IdentifierError> {
        MemberId::new(&text)
    }
}

impl From<MemberId> for String {
    fn from(member: MemberId) -> String {
        member.0.into()
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
