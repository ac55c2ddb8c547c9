//! Replicas that share partitions: each rule by itself, then random schedules of pauses, crashes and slow watches.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;

use hygeia_protocol::lease::{Coordinator, Lease, LeaseAction, LeaseEvent, LeaseRules, MOVES_MAX, MemberId};
use hygeia_protocol::subject::Partition;
use proptest::prelude::*;

const TTL_MS: u64 = 900;
const RENEW_MS: u64 = TTL_MS / 3;

fn rules(partitions: u16) -> LeaseRules {
    LeaseRules { partitions: NonZeroU16::new(partitions).unwrap(), ttl_ms: TTL_MS }
}

fn member(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

fn owned(name: &str, epoch: u64) -> Lease {
    Lease { owner: Some(member(name)), epoch }
}

const FREE: Lease = Lease { owner: None, epoch: 3 };

fn seen(partition: u16, lease: Lease, revision: u64) -> LeaseEvent {
    LeaseEvent::Seen { partition: Partition(partition), lease, revision }
}

/// A replica "b" that holds the one partition under epoch 1 since time 0.
fn holder() -> Coordinator {
    let mut coordinator = Coordinator::new(member("b"), rules(1));
    coordinator.step(LeaseEvent::Tick, 0);
    let started = coordinator.step(seen(0, owned("b", 1), 1), 0);
    assert_eq!(started, [LeaseAction::Start { partition: Partition(0), epoch: 1 }]);
    coordinator
}

#[test]
fn a_member_alone_claims_everything_a_few_at_a_time() {
    let mut coordinator = Coordinator::new(member("a"), rules(6));
    let claim = |partition| LeaseAction::Claim { partition: Partition(partition), revision: 0, epoch: 1 };
    let actions = coordinator.step(LeaseEvent::Tick, 0);
    assert_eq!(actions, [LeaseAction::Beat, claim(0), claim(1), claim(2), claim(3)]);
    assert_eq!(coordinator.held().count(), 0, "a claim counts once it is seen");
    let actions = coordinator.step(seen(0, owned("a", 1), 1), 1);
    assert_eq!(actions, [LeaseAction::Start { partition: Partition(0), epoch: 1 }, claim(4)]);
    assert_eq!(coordinator.held().collect::<Vec<_>>(), [(Partition(0), 1)]);
}

#[test]
fn a_claim_that_another_came_before_is_given_up() {
    let mut coordinator = Coordinator::new(member("a"), rules(1));
    coordinator.step(LeaseEvent::Tick, 0);
    assert_eq!(coordinator.step(seen(0, owned("b", 1), 1), 1), []);
    assert!(coordinator.is_idle());
    assert_eq!(
        coordinator.step(seen(0, owned("a", 1), 2), 2),
        [],
        "an epoch that was not claimed is another process's"
    );
    assert_eq!(coordinator.held().count(), 0);
}

#[test]
fn a_claim_that_shows_nothing_is_tried_again() {
    let mut coordinator = Coordinator::new(member("a"), rules(1));
    coordinator.step(LeaseEvent::Tick, 0);
    assert_eq!(coordinator.step(LeaseEvent::Tick, RENEW_MS - 1), []);
    let again = coordinator.step(LeaseEvent::Tick, RENEW_MS);
    assert!(again.contains(&LeaseAction::Claim { partition: Partition(0), revision: 0, epoch: 1 }), "{again:?}");
}

#[test]
fn a_lease_is_taken_over_only_once_it_has_not_moved_for_its_time() {
    let mut coordinator = Coordinator::new(member("a"), rules(1));
    assert_eq!(coordinator.step(seen(0, owned("b", 7), 5), 0), []);
    coordinator.step(LeaseEvent::Tick, 0);
    coordinator.step(seen(0, owned("b", 7), 6), 500);
    let claim = LeaseAction::Claim { partition: Partition(0), revision: 6, epoch: 8 };
    assert!(!coordinator.step(LeaseEvent::Tick, 500 + TTL_MS - 1).contains(&claim), "it was renewed at 500");
    assert!(coordinator.step(LeaseEvent::Tick, 500 + TTL_MS).contains(&claim));
}

#[test]
fn a_lease_is_renewed_at_its_newest_revision() {
    let mut coordinator = holder();
    assert!(!coordinator.step(LeaseEvent::Tick, RENEW_MS - 1).iter().any(|a| matches!(a, LeaseAction::Renew { .. })));
    let renew = |revision| LeaseAction::Renew { partition: Partition(0), revision, epoch: 1 };
    assert!(coordinator.step(LeaseEvent::Tick, RENEW_MS).contains(&renew(1)));
    assert_eq!(coordinator.step(seen(0, owned("b", 1), 2), RENEW_MS + 1), []);
    assert!(coordinator.step(LeaseEvent::Tick, 2 * RENEW_MS).contains(&renew(2)));
}

#[test]
fn what_another_took_over_is_abandoned_at_once() {
    for other in [owned("a", 2), FREE] {
        let mut coordinator = holder();
        let actions = coordinator.step(seen(0, other, 9), 10);
        assert_eq!(actions.first(), Some(&LeaseAction::Abandon { partition: Partition(0) }));
        assert_eq!(coordinator.held().count(), 0);
    }
    let mut coordinator = holder();
    assert_eq!(coordinator.step(seen(0, owned("b", 1), 1), 10), [], "the same lease again");
    assert_eq!(coordinator.held().count(), 1);
}

#[test]
fn a_store_that_lost_a_lease_is_believed() {
    let mut coordinator = holder();
    let actions = coordinator.step(LeaseEvent::Absent { partition: Partition(0), revision: 0 }, 10);
    let claim = LeaseAction::Claim { partition: Partition(0), revision: 0, epoch: 1 };
    assert_eq!(actions, [LeaseAction::Abandon { partition: Partition(0) }, claim]);
}

#[test]
fn above_its_share_a_member_hands_over_and_another_takes_on() {
    let mut coordinator = Coordinator::new(member("b"), rules(2));
    coordinator.step(LeaseEvent::Tick, 0);
    coordinator.step(seen(0, owned("b", 1), 1), 0);
    coordinator.step(seen(1, owned("b", 1), 2), 0);
    let stop = coordinator.step(LeaseEvent::MemberSeen { member: member("a") }, 10);
    assert_eq!(stop, [LeaseAction::Stop { partition: Partition(1) }]);
    assert_eq!(coordinator.held().count(), 2, "until its task has ended it is still this member's");

    let ended = LeaseEvent::Ended { partition: Partition(1), epoch: 1, fenced_by: None };
    let release = LeaseAction::Release { partition: Partition(1), revision: 2, epoch: 1 };
    assert_eq!(coordinator.step(ended, 20), [release]);
    assert_eq!(coordinator.step(seen(1, Lease { owner: None, epoch: 1 }, 3), 21), [], "it does not take it back");

    let mut other = Coordinator::new(member("a"), rules(2));
    other.step(LeaseEvent::MemberSeen { member: member("b") }, 0);
    other.step(seen(0, owned("b", 1), 1), 0);
    other.step(LeaseEvent::Tick, 0);
    let actions = other.step(seen(1, Lease { owner: None, epoch: 1 }, 3), 1);
    assert_eq!(actions, [LeaseAction::Claim { partition: Partition(1), revision: 3, epoch: 2 }]);
}

#[test]
fn a_release_names_the_renewal_that_came_between() {
    let mut coordinator = holder();
    coordinator.step(LeaseEvent::Leave, 0);
    coordinator.step(LeaseEvent::Ended { partition: Partition(0), epoch: 1, fenced_by: None }, RENEW_MS);
    let actions = coordinator.step(seen(0, owned("b", 1), 2), RENEW_MS);
    assert_eq!(actions, [LeaseAction::Release { partition: Partition(0), revision: 2, epoch: 1 }]);
}

#[test]
fn who_leaves_resigns_and_hands_over_everything() {
    let mut coordinator = Coordinator::new(member("a"), rules(9));
    coordinator.step(LeaseEvent::Tick, 0);
    for partition in 0..9 {
        coordinator.step(seen(partition, owned("a", 1), u64::from(partition) + 1), 0);
    }
    let actions = coordinator.step(LeaseEvent::Leave, 1);
    assert_eq!(actions.first(), Some(&LeaseAction::Resign));
    assert_eq!(actions.iter().filter(|action| matches!(action, LeaseAction::Stop { .. })).count(), 9);
    assert!(9 > MOVES_MAX && !coordinator.is_idle());
    for partition in 0..9 {
        coordinator.step(LeaseEvent::Ended { partition: Partition(partition), epoch: 1, fenced_by: None }, 2);
        coordinator.step(seen(partition, Lease { owner: None, epoch: 1 }, 20 + u64::from(partition)), 3);
    }
    assert!(coordinator.is_idle());
    assert_eq!(
        coordinator.step(LeaseEvent::Tick, 10 * TTL_MS),
        [],
        "nothing more is claimed, no sign of life is given"
    );
}

#[test]
fn a_task_that_ends_by_itself_is_started_again_later_and_above_the_fence() {
    let mut coordinator = holder();
    let stale = LeaseEvent::Ended { partition: Partition(0), epoch: 0, fenced_by: None };
    assert_eq!(coordinator.step(stale, 10), [], "an earlier task's end says nothing of this one");
    let fenced = LeaseEvent::Ended { partition: Partition(0), epoch: 1, fenced_by: Some(40) };
    let release = LeaseAction::Release { partition: Partition(0), revision: 1, epoch: 1 };
    assert_eq!(coordinator.step(fenced, 10), [release]);
    assert_eq!(coordinator.step(seen(0, Lease { owner: None, epoch: 1 }, 2), 11), []);
    let claim = LeaseAction::Claim { partition: Partition(0), revision: 2, epoch: 41 };
    assert!(!coordinator.step(LeaseEvent::Tick, 9 + TTL_MS).contains(&claim));
    assert!(coordinator.step(LeaseEvent::Tick, 10 + TTL_MS).contains(&claim));
}

#[test]
fn names_are_checked() {
    for good in ["a", "oracle-0_7F"] {
        assert_eq!(MemberId::new(good).unwrap().as_str(), good);
    }
    for bad in ["", "a.b", "a b", "*", &"x".repeat(65)] {
        assert!(MemberId::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_machine_goes_on_from_its_written_state() {
    let coordinator = holder();
    let bytes = serde_json::to_vec(&coordinator).unwrap();
    assert_eq!(serde_json::from_slice::<Coordinator>(&bytes).unwrap(), coordinator);
}

/// A lease store, and the replicas that watch it, each at its own pace.
struct World {
    partitions: u16,
    now_ms: u64,
    revision: u64,
    store: BTreeMap<Partition, (Lease, u64)>,
    replicas: BTreeMap<MemberId, Replica>,
    /// Tasks that were started and neither ended nor abandoned: at most one for a partition of a replica.
    joined: u32,
}

struct Replica {
    coordinator: Coordinator,
    /// Of the store's history, what has not been delivered yet.
    waiting: VecDeque<LeaseEvent>,
    tasks: BTreeMap<Partition, u64>,
    stopping: Vec<Partition>,
    is_paused: bool,
    is_leaving: bool,
}

/// One step of a schedule.
#[derive(Clone, Debug)]
enum Move {
    Join,
    Crash(usize),
    Leave(usize),
    Pause(usize),
    Resume(usize),
    Deliver(usize, usize),
    Finish(usize),
    Fail(usize, u16),
    Wait(u64),
}

impl World {
    fn new(partitions: u16) -> World {
        World { partitions, now_ms: 0, revision: 0, store: BTreeMap::new(), replicas: BTreeMap::new(), joined: 0 }
    }

    fn apply(&mut self, step: &Move) {
        match *step {
            Move::Join => self.join(),
            Move::Crash(index) => {
                self.name(index).map(|name| self.replicas.remove(&name));
            }
            Move::Leave(index) => {
                if let Some(name) = self.name(index) {
                    self.replicas.get_mut(&name).unwrap().is_leaving = true;
                    self.tell(&name, LeaseEvent::Leave);
                }
            }
            Move::Pause(index) => self.set_paused(index, true),
            Move::Resume(index) => self.set_paused(index, false),
            Move::Deliver(index, count) => self.deliver(index, count),
            Move::Finish(index) => self.finish(index),
            Move::Fail(index, partition) => self.fail(index, Partition(partition % self.partitions)),
            Move::Wait(ms) => self.wait(ms),
        }
        self.check();
    }

    fn join(&mut self) {
        if self.replicas.len() == 5 {
            return;
        }
        self.joined += 1;
        // Names in no order of time, as random ones are.
        let name = member(&format!("m{:03}", (self.joined * 37) % 101));
        let shown = self.store.iter().map(|(&partition, (lease, revision))| LeaseEvent::Seen {
            partition,
            lease: lease.clone(),
            revision: *revision,
        });
        let replica = Replica {
            coordinator: Coordinator::new(name.clone(), rules(self.partitions)),
            waiting: shown.collect(),
            tasks: BTreeMap::new(),
            stopping: Vec::new(),
            is_paused: false,
            is_leaving: false,
        };
        self.replicas.insert(name.clone(), replica);
        self.deliver_to(&name, usize::MAX);
        self.tell(&name, LeaseEvent::Tick);
    }

    fn name(&self, index: usize) -> Option<MemberId> {
        let count = self.replicas.len().max(1);
        self.replicas.keys().nth(index % count).cloned()
    }

    fn set_paused(&mut self, index: usize, is_paused: bool) {
        if let Some(name) = self.name(index) {
            self.replicas.get_mut(&name).unwrap().is_paused = is_paused;
        }
    }

    fn deliver(&mut self, index: usize, count: usize) {
        if let Some(name) = self.name(index) {
            self.deliver_to(&name, count);
        }
    }

    fn deliver_to(&mut self, name: &MemberId, count: usize) {
        for _ in 0..count {
            // Who has left is told nothing more.
            let Some(replica) = self.replicas.get_mut(name).filter(|replica| !replica.is_paused) else { return };
            let Some(event) = replica.waiting.pop_front() else { return };
            self.tell(name, event);
        }
    }

    /// The tasks that were asked to stop have stopped.
    fn finish(&mut self, index: usize) {
        let Some(name) = self.name(index) else { return };
        let replica = self.replicas.get_mut(&name).unwrap();
        if replica.is_paused {
            return;
        }
        for partition in std::mem::take(&mut replica.stopping) {
            let task = self.replicas.get_mut(&name).and_then(|replica| replica.tasks.remove(&partition));
            let Some(epoch) = task else { continue };
            self.tell(&name, LeaseEvent::Ended { partition, epoch, fenced_by: None });
        }
    }

    fn fail(&mut self, index: usize, partition: Partition) {
        let Some(name) = self.name(index) else { return };
        let replica = self.replicas.get_mut(&name).unwrap();
        if replica.is_paused {
            return;
        }
        if let Some(epoch) = replica.tasks.remove(&partition) {
            self.tell(&name, LeaseEvent::Ended { partition, epoch, fenced_by: Some(epoch) });
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        for name in self.replicas.keys().cloned().collect::<Vec<_>>() {
            if !self.replicas[&name].is_paused {
                self.tell(&name, LeaseEvent::Tick);
            }
        }
    }

    fn tell(&mut self, name: &MemberId, event: LeaseEvent) {
        let replica = self.replicas.get_mut(name).unwrap();
        let actions = replica.coordinator.step(event, self.now_ms);
        actions.into_iter().for_each(|action| self.act(name, action));
        let replica = &self.replicas[name];
        if replica.is_leaving && replica.coordinator.is_idle() {
            assert!(replica.tasks.is_empty());
            self.replicas.remove(name);
        }
    }

    fn act(&mut self, name: &MemberId, action: LeaseAction) {
        match action {
            LeaseAction::Beat => self.publish(&LeaseEvent::MemberSeen { member: name.clone() }),
            LeaseAction::Resign => self.publish(&LeaseEvent::MemberGone { member: name.clone() }),
            LeaseAction::Claim { partition, revision, epoch } | LeaseAction::Renew { partition, revision, epoch } => {
                self.write(partition, revision, Lease { owner: Some(name.clone()), epoch });
            }
            LeaseAction::Release { partition, revision, epoch } => {
                self.write(partition, revision, Lease { owner: None, epoch });
            }
            LeaseAction::Start { partition, epoch } => {
                let replica = self.replicas.get_mut(name).unwrap();
                assert_eq!(replica.tasks.insert(partition, epoch), None, "a second task of {partition}");
            }
            LeaseAction::Stop { partition } => {
                let replica = self.replicas.get_mut(name).unwrap();
                assert!(replica.tasks.contains_key(&partition), "no task of {partition} to stop");
                replica.stopping.push(partition);
            }
            LeaseAction::Abandon { partition } => {
                let replica = self.replicas.get_mut(name).unwrap();
                assert!(replica.tasks.remove(&partition).is_some(), "no task of {partition} to abandon");
            }
        }
    }

    fn write(&mut self, partition: Partition, revision: u64, lease: Lease) {
        let stands = self.store.get(&partition).map_or(0, |(_, revision)| *revision);
        if stands == revision {
            if let Some((before, _)) = self.store.get(&partition) {
                let is_same = before.owner == lease.owner && before.epoch == lease.epoch;
                let is_release = lease.owner.is_none() && before.epoch == lease.epoch;
                assert!(is_same || is_release || lease.epoch > before.epoch, "an epoch was used twice");
            }
            self.revision += 1;
            self.store.insert(partition, (lease.clone(), self.revision));
            self.publish(&LeaseEvent::Seen { partition, lease, revision: self.revision });
        }
    }

    fn publish(&mut self, event: &LeaseEvent) {
        for replica in self.replicas.values_mut() {
            replica.waiting.push_back(event.clone());
        }
    }

    /// Whoever believes in a lease that another holds has not been told of it yet.
    fn check(&self) {
        for (name, replica) in &self.replicas {
            let held: BTreeMap<Partition, u64> = replica.coordinator.held().collect();
            assert_eq!(held, replica.tasks, "a task for each lease that is believed in");
            for (partition, epoch) in held {
                let (lease, _) = &self.store[&partition];
                let told =
                    |event: &LeaseEvent| matches!(event, LeaseEvent::Seen { partition: p, .. } if *p == partition);
                let is_mine = lease.owner.as_ref() == Some(name) && lease.epoch == epoch;
                assert!(
                    is_mine || replica.waiting.iter().any(told),
                    "{name} believes in {partition} against the store"
                );
            }
        }
    }

    /// Lets time pass with nothing in the way.
    fn settle(&mut self, ms: u64) {
        for index in 0..self.replicas.len() {
            self.set_paused(index, false);
        }
        let until = self.now_ms + ms;
        while self.now_ms < until {
            self.wait(50);
            for _ in 0..6 {
                for name in self.replicas.keys().cloned().collect::<Vec<_>>() {
                    self.deliver_to(&name, usize::MAX);
                }
                (0..self.replicas.len()).for_each(|index| self.finish(index));
            }
            self.check();
        }
    }

    fn assert_balanced(&self) {
        let (partitions, members) = (usize::from(self.partitions), self.replicas.len());
        let shares: Vec<usize> = self.replicas.values().map(|replica| replica.tasks.len()).collect();
        assert_eq!(shares.iter().sum::<usize>(), partitions, "every partition is owned once: {shares:?}");
        let fair = partitions / members..=partitions.div_ceil(members);
        assert!(shares.iter().all(|share| fair.contains(share)), "{shares:?} of {partitions}");
    }
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let index = 0..5_usize;
    let step = prop_oneof![
        2 => Just(Move::Join),
        1 => index.clone().prop_map(Move::Crash),
        1 => index.clone().prop_map(Move::Leave),
        1 => index.clone().prop_map(Move::Pause),
        2 => index.clone().prop_map(Move::Resume),
        12 => (index.clone(), 1..20_usize).prop_map(|(index, count)| Move::Deliver(index, count)),
        4 => index.clone().prop_map(Move::Finish),
        1 => (index, 0..16_u16).prop_map(|(index, partition)| Move::Fail(index, partition)),
        8 => (1..2 * TTL_MS).prop_map(Move::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happened_every_partition_ends_with_one_owner_and_the_shares_balance(
        partitions in 1..17_u16,
        moves in moves(),
    ) {
        let mut world = World::new(partitions);
        world.join();
        moves.iter().for_each(|step| world.apply(step));
        world.join();
        world.settle(6 * TTL_MS);
        world.assert_balanced();

        // At rest nothing moves hands, and a member that falls silent is stood in for within the time of a lease.
        let before: Vec<_> = world.store.iter().map(|(partition, (lease, _))| (*partition, lease.clone())).collect();
        world.settle(3 * TTL_MS);
        let after: Vec<_> = world.store.iter().map(|(partition, (lease, _))| (*partition, lease.clone())).collect();
        prop_assert_eq!(before, after);
        world.join();
        world.settle(2 * TTL_MS);
        world.apply(&Move::Crash(0));
        world.settle(TTL_MS + 4 * RENEW_MS);
        world.assert_balanced();
    }
}

#[test]
fn a_rolling_restart_moves_every_partition_without_a_lease_running_out() {
    let mut world = World::new(16);
    (0..3).for_each(|_| world.join());
    world.settle(2 * TTL_MS);
    world.assert_balanced();
    for _ in 0..3 {
        let started = world.now_ms;
        world.join();
        world.apply(&Move::Leave(0));
        while world.replicas.len() == 4 {
            world.settle(50);
        }
        assert!(world.now_ms - started < TTL_MS / 2, "handed over in {} ms", world.now_ms - started);
        world.settle(TTL_MS);
        world.assert_balanced();
    }
}
