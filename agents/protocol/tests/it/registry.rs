//! The registries followed along a chain: by hand, and along one that branches at random.

use std::collections::BTreeMap;

use hygeia_protocol::bytes::{Address, B32};
use hygeia_protocol::registry::{Block, BranchError, Event, HISTORY_BLOCKS, Model, Step, Terms, View, Watch};
use proptest::prelude::*;

use crate::submission::hash;

const CONFIRMATIONS: u64 = 2;
const MODEL: u64 = 1;
const POLICY: u64 = 2;
const ORACLE: Address = Address::new([7; 20]);

/// A mandate's identifier; spread like those of a real registry.
fn mandate(n: u64) -> B32 {
    hygeia_protocol::digest::Digest::new("mandate").integer(n).finish()
}

fn model(n: u64) -> Model {
    let part = |tag: u64| hash(n * 100 + tag);
    Model { id: hash(n), package: part(1), circuit: part(2), verifying_key: part(3), proof_system: [1, 2, 3, 4] }
}

fn terms(id: u64, model: u64) -> Terms {
    Terms { id: hash(id), model: hash(model), threshold: Some(-1024), cool_down_s: 60 }
}

fn approved() -> Vec<Event> {
    let policy = Event::PolicyApproved(terms(POLICY, MODEL));
    vec![Event::ModelRegistered(model(MODEL)), Event::ModelApproved { id: hash(MODEL), schema: hash(9) }, policy]
}

fn granted(n: u64) -> Event {
    Event::MandateGranted { id: mandate(n), policy: hash(POLICY), oracle: ORACLE, expires_s: 1_000_000 }
}

/// A block of branch `branch` at a height, on the block of another branch below it.
fn block(branch: u64, number: u64, parent_branch: u64) -> Block {
    let name = |branch: u64, number: u64| hash(1_000_000 + branch * 1_000 + number);
    let parent = name(parent_branch, number.saturating_sub(1));
    Block { number, hash: name(branch, number), parent, time_s: 1_000 + number }
}

fn step(branch: u64, number: u64, parent_branch: u64, events: Vec<Event>) -> Step {
    Step { block: block(branch, number, parent_branch), events }
}

/// Branch 0 up to block 10, with these events in these blocks.
fn followed(events: &[(u64, Vec<Event>)]) -> Watch {
    let mut watch = Watch::new(CONFIRMATIONS);
    watch.load(&[], block(0, 0, 0));
    for number in 1..=10 {
        let here = events.iter().filter(|(at, _)| *at == number).flat_map(|(_, events)| events.clone());
        watch.adopt(&[step(0, number, 0, here.collect())]).unwrap();
    }
    watch
}

fn is_live(view: &View) -> bool {
    view.live_policies().count() == 1
}

#[test]
fn an_approval_counts_when_enough_blocks_stand_on_it() {
    for (at, live) in [(7, true), (8, true), (9, false), (10, false)] {
        assert_eq!(is_live(&followed(&[(at, approved())]).view()), live, "approved in block {at} of 10");
    }
    let mut watch = followed(&[(9, approved())]);
    assert!(watch.view().policies().all(|policy| policy.is_pending && !policy.is_live));
    watch.adopt(&[step(0, 11, 0, vec![])]).unwrap();
    assert!(is_live(&watch.view()));
}

#[test]
fn a_suspension_counts_at_once_and_so_does_the_end() {
    for stop in [Event::Suspended(hash(MODEL)), Event::Suspended(hash(POLICY)), Event::Ended(hash(MODEL))] {
        let view = followed(&[(1, approved()), (10, vec![stop])]).view();
        assert!(!is_live(&view) && view.policies().all(|policy| !policy.is_pending), "{stop:?}");
        assert_eq!(view.policies().next().unwrap().is_ended, matches!(stop, Event::Ended(_)));
    }
    let lifted = |at: u64| {
        vec![(1, approved()), (3, vec![Event::Suspended(hash(MODEL))]), (at, vec![Event::Reinstated(hash(MODEL))])]
    };
    assert!(is_live(&followed(&lifted(8)).view()));
    assert!(!is_live(&followed(&lifted(9)).view()), "a reinstatement is an approval");
}

#[test]
fn a_consent_counts_at_once_and_until_it_is_taken_back() {
    let watch =
        followed(&[(1, approved()), (9, vec![granted(1), granted(2)]), (10, vec![Event::MandateRevoked(mandate(2))])]);
    let view = watch.view();
    assert_eq!(view.consented(&mandate(1)).map(|policy| policy.id), Some(hash(POLICY)));
    assert!(view.may_attest(&mandate(1), &ORACLE));
    assert!(!view.may_attest(&mandate(1), &Address::new([8; 20])), "another oracle");
    assert!(view.consented(&mandate(2)).is_none() && !view.may_attest(&mandate(2), &ORACLE), "taken back");
    assert!(view.policy_of(&mandate(2)).is_some(), "what it was committed to is still known");
    assert!(view.consented(&mandate(3)).is_none(), "nobody's");
}

#[test]
fn a_consent_ends_by_the_clock_of_the_chain() {
    let expires_s = 1_011;
    let grant = Event::MandateGranted { id: mandate(1), policy: hash(POLICY), oracle: ORACLE, expires_s };
    let mut watch = followed(&[(1, approved()), (2, vec![grant])]);
    assert!(watch.view().consented(&mandate(1)).is_some());
    watch.adopt(&[step(0, 11, 0, vec![])]).unwrap();
    assert!(watch.view().consented(&mandate(1)).is_none());
}

/// Blocks 6 to 10 are taken back; the new branch is as long and holds no suspension.
#[test]
fn a_suspension_that_is_organised_away_stays_until_the_chain_has_grown_past_it() {
    let mut watch = followed(&[(1, approved()), (7, vec![Event::Suspended(hash(MODEL))])]);
    let mut branch = vec![step(1, 6, 0, vec![])];
    branch.extend((7..=8).map(|number| step(1, number, 1, vec![])));
    assert_eq!(watch.adopt(&branch).unwrap().blocks_rolled_back, 5);
    assert!(!is_live(&watch.view()), "a branch shorter than where it stood, and two blocks more, lifts nothing");
    watch.adopt(&[step(1, 9, 1, vec![])]).unwrap();
    assert!(is_live(&watch.view()));
}

#[test]
fn a_revocation_that_is_organised_away_stays_until_the_chain_has_grown_past_it() {
    let mut watch = followed(&[(1, approved()), (2, vec![granted(1)]), (10, vec![Event::MandateRevoked(mandate(1))])]);
    for number in 10..12 {
        let parent = if number == 10 { 0 } else { 1 };
        watch.adopt(&[step(1, number, parent, vec![])]).unwrap();
        assert!(watch.view().consented(&mandate(1)).is_none(), "block {number}");
    }
    watch.adopt(&[step(1, 12, 1, vec![])]).unwrap();
    assert!(watch.view().consented(&mandate(1)).is_some());

    let mut again = followed(&[(1, approved()), (2, vec![granted(1)]), (10, vec![Event::MandateRevoked(mandate(1))])]);
    let branch: Vec<Step> = (10..20)
        .map(|number| {
            let events = if number == 11 { vec![Event::MandateRevoked(mandate(1))] } else { vec![] };
            step(1, number, if number == 10 { 0 } else { 1 }, events)
        })
        .collect();
    again.adopt(&branch).unwrap();
    assert!(again.view().consented(&mandate(1)).is_none(), "it came again on the new branch");
}

#[test]
fn an_approval_that_is_organised_away_is_gone_at_once() {
    let mut watch = followed(&[(6, approved()), (7, vec![granted(1)])]);
    assert!(watch.view().consented(&mandate(1)).is_some());
    watch.adopt(&[step(1, 6, 0, vec![])]).unwrap();
    let view = watch.view();
    assert_eq!(view.policies().count(), 0);
    assert!(view.mandates().is_empty());
}

#[test]
fn a_branch_that_does_not_hang_together_changes_nothing() {
    let mut watch = followed(&[(1, approved())]);
    let before = *watch.head().unwrap();
    let cases = [
        (vec![], BranchError::Empty),
        (vec![step(1, 11, 1, vec![])], BranchError::TooDeep { number: 11 }),
        (vec![step(0, 11, 0, vec![]), step(0, 13, 0, vec![])], BranchError::Unlinked { number: 13 }),
        (vec![step(0, 11, 0, vec![]), step(0, 12, 1, vec![])], BranchError::Unlinked { number: 12 }),
    ];
    for (branch, error) in cases {
        assert_eq!(watch.adopt(&branch), Err(error));
        assert_eq!(*watch.head().unwrap(), before);
    }
    let mut misnumbered = step(0, 11, 0, vec![]);
    misnumbered.block.number = 12;
    assert_eq!(watch.adopt(&[misnumbered]), Err(BranchError::Unlinked { number: 12 }));
}

#[test]
fn a_chain_read_anew_keeps_what_was_stopped_until_it_is_past_the_old_head() {
    let old =
        followed(&[(1, approved()), (2, vec![granted(1), granted(2)]), (3, vec![Event::MandateRevoked(mandate(1))])]);
    let mut anew = old.restarted();
    let events: Vec<(u64, Event)> =
        approved().into_iter().chain([granted(1), granted(2)]).map(|event| (1, event)).collect();
    anew.load(&events, block(1, 11, 1));
    assert!(is_live(&anew.view()));
    assert!(anew.view().consented(&mandate(1)).is_none(), "a node that left the revocation out lifts nothing yet");
    assert!(anew.view().consented(&mandate(2)).is_some());
    anew.adopt(&[step(1, 12, 1, vec![])]).unwrap();
    assert!(anew.view().consented(&mandate(1)).is_some(), "two blocks past the old head it is the chain's word");
}

#[test]
fn what_the_registry_says_is_stopped_is_held() {
    let mut watch = followed(&[(1, approved())]);
    assert!(is_live(&watch.view()));
    watch.hold(hash(MODEL));
    assert!(!is_live(&watch.view()));
}

#[test]
fn history_is_bounded() {
    let mut watch = Watch::new(CONFIRMATIONS);
    watch.load(&[], block(0, 0, 0));
    let branch: Vec<Step> = (1..=200).map(|number| step(0, number, 0, vec![])).collect();
    watch.adopt(&branch).unwrap();
    let oldest = 200 - HISTORY_BLOCKS as u64 + 1;
    assert!(watch.knows(&block(0, oldest, 0).hash) && !watch.knows(&block(0, oldest - 1, 0).hash));
    assert_eq!(watch.adopt(&[step(1, oldest, 0, vec![])]), Err(BranchError::TooDeep { number: oldest }));
}

#[test]
fn a_hundred_thousand_mandates_take_seventy_bytes_each_and_a_view_shares_them() {
    let mut watch = Watch::new(CONFIRMATIONS);
    let events: Vec<(u64, Event)> = (0..100_000).map(|n| (1, granted(n))).collect();
    watch.load(&events, block(0, 1, 0));
    let view = watch.view();
    assert_eq!(view.mandates().len(), 100_000);
    assert!(view.mandates().bytes() <= 100_000 * 70, "{} bytes", view.mandates().bytes());
    assert!(view.live_mandate(&mandate(99_999)).is_some() && view.live_mandate(&mandate(100_000)).is_none());

    watch.adopt(&[step(0, 2, 0, vec![Event::MandateRevoked(mandate(5))])]).unwrap();
    assert!(view.live_mandate(&mandate(5)).is_some(), "a view does not change");
    assert!(watch.view().live_mandate(&mandate(5)).is_none());
}

/// What one branch of a chain says, read from its start.
#[derive(Default)]
struct Reference {
    active: BTreeMap<B32, (u64, bool)>,
    mandates: BTreeMap<B32, bool>,
}

impl Reference {
    fn of(branch: &[Step]) -> Reference {
        let mut read = Reference::default();
        for Step { block, events } in branch {
            for event in events {
                match *event {
                    Event::ModelApproved { id, .. } | Event::Reinstated(id) => {
                        _ = read.active.insert(id, (block.number, true))
                    }
                    Event::PolicyApproved(terms) => _ = read.active.insert(terms.id, (block.number, true)),
                    Event::Suspended(id) | Event::Ended(id) => _ = read.active.insert(id, (block.number, false)),
                    Event::MandateGranted { id, .. } => _ = read.mandates.insert(id, true),
                    Event::MandateRevoked(id) => _ = read.mandates.insert(id, false),
                    Event::ModelRegistered(_) => {}
                }
            }
        }
        read
    }

    fn is_live(&self, id: u64, head: u64) -> bool {
        self.active.get(&hash(id)).is_some_and(|(at, active)| *active && at + CONFIRMATIONS <= head)
    }
}

/// What a schedule does next: grow by a block that holds something, or leave the chain some blocks back.
#[derive(Clone, Debug)]
enum Turn {
    Nothing,
    Suspend,
    Reinstate,
    Grant(u64),
    Revoke(u64),
    Fork { depth: usize, blocks: usize },
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        3 => Just(Turn::Nothing),
        1 => Just(Turn::Suspend),
        1 => Just(Turn::Reinstate),
        2 => (0..6u64).prop_map(Turn::Grant),
        2 => (0..6u64).prop_map(Turn::Revoke),
        1 => (1..8usize, 1..10usize).prop_map(|(depth, blocks)| Turn::Fork { depth, blocks }),
    ]
}

proptest! {
    /// Whatever the chain does: nothing is live that its present branch does not say is, and once the branch is past all
    /// that was taken back, exactly what it says.
    #[test]
    fn a_view_never_runs_ahead_of_its_branch(turns in proptest::collection::vec(turn(), 1..60)) {
        let mut watch = Watch::new(CONFIRMATIONS);
        let mut chain = vec![step(0, 0, 0, vec![]), step(0, 1, 0, approved())];
        watch.load(&[], chain[0].block);
        watch.adopt(&chain[1..]).unwrap();
        let (mut names, mut highest) = (0, 1);
        for turn in turns {
            let head = chain.last().unwrap().block;
            let branch = match turn {
                Turn::Fork { depth, blocks } => {
                    chain.truncate(chain.len().saturating_sub(depth).max(2));
                    names += 1;
                    let base = chain.last().unwrap().block;
                    let mut parent = base.hash;
                    (1..=blocks as u64).map(|n| {
                        let mut step = step(names, base.number + n, names, vec![]);
                        step.block.parent = parent;
                        parent = step.block.hash;
                        step
                    }).collect::<Vec<_>>()
                }
                other => {
                    let known = Reference::of(&chain);
                    let active = known.active.get(&hash(MODEL)).is_some_and(|(_, active)| *active);
                    let event = match other {
                        Turn::Suspend if active => Some(Event::Suspended(hash(MODEL))),
                        Turn::Reinstate if !active => Some(Event::Reinstated(hash(MODEL))),
                        Turn::Grant(n) if !known.mandates.contains_key(&mandate(n)) => Some(granted(n)),
                        Turn::Revoke(n) if known.mandates.get(&mandate(n)) == Some(&true) => Some(Event::MandateRevoked(mandate(n))),
                        _ => None,
                    };
                    names += 1;
                    let mut step = step(names, head.number + 1, names, event.into_iter().collect());
                    step.block.parent = head.hash;
                    vec![step]
                }
            };
            watch.adopt(&branch).unwrap();
            chain.extend(branch);
            let (known, head, view) = (Reference::of(&chain), chain.last().unwrap().block, watch.view());
            let live = known.is_live(MODEL, head.number) && known.is_live(POLICY, head.number);
            prop_assert!(!is_live(&view) || live);
            for n in 0..6 {
                let consents = view.live_mandate(&mandate(n)).is_some();
                prop_assert!(!consents || known.mandates.get(&mandate(n)) == Some(&true));
                if head.number >= highest + CONFIRMATIONS {
                    prop_assert_eq!(consents, known.mandates.get(&mandate(n)) == Some(&true));
                }
            }
            if head.number >= highest + CONFIRMATIONS {
                prop_assert_eq!(is_live(&view), live);
            }
            highest = highest.max(head.number);
        }
    }
}
