//! The machine that follows the registries along the chain.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use thiserror::Error;

use super::mandates::Grant;
use super::{Block, Event, Mandates, Model, Policy, Terms, View};
use crate::bytes::B32;

/// Blocks whose hashes are remembered, to find where a re-organised chain left the old one. Two epochs of Ethereum's, past
/// which its blocks are final.
pub const HISTORY_BLOCKS: usize = 64;

/// A block with the registries' events in it, in their order.
#[derive(Clone, Debug)]
pub struct Step {
    /// The block.
    pub block: Block,
    /// The events.
    pub events: Vec<Event>,
}

/// What taking a branch in did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Blocks of the old branch that were taken back.
    pub blocks_rolled_back: u64,
}

/// Why a branch was not taken in. The machine is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BranchError {
    /// It holds no block.
    #[error("the branch holds no block")]
    Empty,
    /// A block does not stand on the one before it.
    #[error("block {number} does not stand on the block before it")]
    Unlinked {
        /// The block.
        number: u64,
    },
    /// Its first block stands on none that is remembered.
    #[error("the branch from block {number} on leaves the known chain further back than is remembered")]
    TooDeep {
        /// The first block.
        number: u64,
    },
}

/// How a model or a policy stands since a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Active,
    Suspended,
    Ended,
}

/// Everything that happened to a model or a policy, by block.
#[derive(Clone, Debug)]
struct Record<T> {
    fixed: T,
    since: u64,
    changes: Vec<(u64, Standing)>,
}

/// A model's hashes, and its schema once it is approved.
#[derive(Clone, Debug)]
struct ModelFacts {
    model: Model,
    schema: Option<B32>,
}

/// Follows the registries.
#[derive(Clone, Debug)]
pub struct Watch {
    confirmations: u64,
    /// The newest blocks, oldest first.
    blocks: VecDeque<Block>,
    models: BTreeMap<B32, Record<ModelFacts>>,
    policies: BTreeMap<B32, Record<Terms>>,
    mandates: Mandates,
    /// What a re-organisation would set free again, and the height at which it does.
    held: BTreeMap<B32, u64>,
}

impl Watch {
    /// A machine that has seen no block. An approval counts once this many blocks stand on its block.
    #[must_use]
    pub fn new(confirmations: u64) -> Watch {
        Watch {
            confirmations,
            blocks: VecDeque::new(),
            models: BTreeMap::new(),
            policies: BTreeMap::new(),
            mandates: Mandates::default(),
            held: BTreeMap::new(),
        }
    }

    /// The newest block taken in.
    #[must_use]
    pub fn head(&self) -> Option<&Block> {
        self.blocks.back()
    }

    /// Whether a block with this hash is among those remembered.
    #[must_use]
    pub fn knows(&self, hash: &B32) -> bool {
        self.blocks.iter().any(|block| block.hash == *hash)
    }

    /// Forgets all blocks and events, to read the chain anew where it left the known one further back than is remembered.
    /// What was out of service or taken back stays so until the new chain has grown past the old head.
    #[must_use]
    pub fn restarted(&self) -> Watch {
        let until = self.head().map_or(0, |head| head.number.saturating_add(self.confirmations));
        let mut anew = Watch::new(self.confirmations);
        let models = self.models.iter().filter(|(_, record)| record.is_stopped()).map(|(id, _)| *id);
        let policies = self.policies.iter().filter(|(_, record)| record.is_stopped()).map(|(id, _)| *id);
        anew.held = models.chain(policies).chain(self.mandates.revoked()).map(|id| (id, until)).collect();
        anew.held.extend(self.held.iter().map(|(id, height)| (*id, until.max(*height))));
        anew
    }

    /// Takes in the events of a span of blocks that nothing is remembered of, up to `last`: the past that is too old to
    /// change. Events come with their blocks, in order.
    pub fn load(&mut self, events: &[(u64, Event)], last: Block) {
        self.apply(events);
        self.remember(last);
    }

    /// Takes in blocks that follow each other and the first of which stands on one that is remembered. What stood on that
    /// one before is taken back.
    ///
    /// # Errors
    /// [`BranchError`], and nothing is changed.
    pub fn adopt(&mut self, branch: &[Step]) -> Result<Adopted, BranchError> {
        let first = branch.first().ok_or(BranchError::Empty)?.block;
        let mut before: Option<Block> = None;
        for Step { block, .. } in branch {
            let follows =
                |before: Block| before.hash == block.parent && before.number.checked_add(1) == Some(block.number);
            if before.is_some_and(|before| !follows(before)) {
                return Err(BranchError::Unlinked { number: block.number });
            }
            before = Some(*block);
        }
        let ancestor = self.blocks.iter().rfind(|block| block.hash == first.parent).copied();
        let ancestor = ancestor.ok_or(BranchError::TooDeep { number: first.number })?;
        if ancestor.number.checked_add(1) != Some(first.number) {
            return Err(BranchError::Unlinked { number: first.number });
        }
        let blocks_rolled_back = self.roll_back(ancestor.number);
        for step in branch {
            let events: Vec<(u64, Event)> = step.events.iter().map(|event| (step.block.number, *event)).collect();
            self.apply(&events);
            self.remember(step.block);
        }
        Ok(Adopted { blocks_rolled_back })
    }

    /// What holds at the head.
    #[must_use]
    pub fn view(&self) -> View {
        let policies = self.policies.iter().filter_map(|(id, record)| Some((*id, self.policy(record)?))).collect();
        let held: BTreeSet<B32> = self.held.keys().filter(|id| self.mandates.get(id).is_some()).copied().collect();
        View {
            head: self.head().copied(),
            policies: Arc::new(policies),
            mandates: self.mandates.clone(),
            held: Arc::new(held),
        }
    }

    /// Models that the events say are approved and not ended, with whether they may be acted on: to be compared with the
    /// registry's own state.
    pub fn models(&self) -> impl Iterator<Item = (B32, bool)> + '_ {
        self.models
            .iter()
            .filter(|(_, record)| !record.changes.is_empty())
            .map(|(id, record)| (*id, record.is_active()))
    }

    /// The same of policies.
    pub fn policies(&self) -> impl Iterator<Item = (B32, bool)> + '_ {
        self.policies.iter().map(|(id, record)| (*id, record.is_active()))
    }

    /// Keeps a model or a policy out of service that the registry's state says is so although no event told of it. It is set
    /// free when a later comparison agrees.
    pub fn hold(&mut self, id: B32) {
        let height = self.head().map_or(0, |head| head.number).saturating_add(self.confirmations).saturating_add(1);
        let until = self.held.entry(id).or_default();
        *until = height.max(*until);
    }

    fn policy(&self, record: &Record<Terms>) -> Option<Policy> {
        let terms = &record.fixed;
        let model = self.models.get(&terms.model)?;
        let is_active = self.is_active(&terms.id, record) && self.is_active(&terms.model, model);
        let is_live = is_active && self.is_confirmed(record) && self.is_confirmed(model);
        Some(Policy {
            id: terms.id,
            // A threshold outside i64 can never be reached by a score: for an agent there is no such policy.
            threshold: terms.threshold?,
            cool_down_s: terms.cool_down_s,
            model: model.fixed.model,
            schema: model.fixed.schema?,
            is_live,
            is_pending: is_active && !is_live,
            is_ended: record.is_ended() || model.is_ended(),
        })
    }

    fn is_active<T>(&self, id: &B32, record: &Record<T>) -> bool {
        record.is_active() && !self.held.contains_key(id)
    }

    /// Whether enough blocks stand on the last change.
    fn is_confirmed<T>(&self, record: &Record<T>) -> bool {
        let head = self.head().map_or(0, |head| head.number);
        record.changes.last().is_some_and(|(block, _)| block.saturating_add(self.confirmations) <= head)
    }

    fn remember(&mut self, block: Block) {
        self.blocks.push_back(block);
        if self.blocks.len() > HISTORY_BLOCKS {
            self.blocks.pop_front();
        }
        self.held.retain(|_, until| *until > block.number);
    }

    fn apply(&mut self, events: &[(u64, Event)]) {
        let grants: Vec<Grant> = events.iter().filter_map(|(block, event)| grant(*block, event)).collect();
        self.mandates.grant(&grants);
        for (block, event) in events {
            match event {
                Event::ModelRegistered(model) => {
                    let facts = ModelFacts { model: *model, schema: None };
                    self.models.entry(model.id).or_insert(Record { fixed: facts, since: *block, changes: Vec::new() });
                }
                Event::ModelApproved { id, schema } => {
                    if let Some(record) = self.models.get_mut(id) {
                        record.fixed.schema = Some(*schema);
                        record.changes.push((*block, Standing::Active));
                    }
                }
                Event::PolicyApproved(terms) => {
                    let changes = vec![(*block, Standing::Active)];
                    self.policies.entry(terms.id).or_insert(Record { fixed: *terms, since: *block, changes });
                }
                Event::Suspended(id) => self.change(id, *block, Standing::Suspended),
                Event::Reinstated(id) => self.change(id, *block, Standing::Active),
                Event::Ended(id) => self.change(id, *block, Standing::Ended),
                Event::MandateRevoked(id) => {
                    self.mandates.revoke(id, *block);
                }
                Event::MandateGranted { .. } => {}
            }
        }
    }

    /// Identifiers are hashes over a domain: no model has the identifier of a policy.
    fn change(&mut self, id: &B32, block: u64, standing: Standing) {
        if let Some(record) = self.models.get_mut(id) {
            record.changes.push((block, standing));
        } else if let Some(record) = self.policies.get_mut(id) {
            record.changes.push((block, standing));
        }
    }

    /// Takes back what came after a block; how many blocks that were.
    fn roll_back(&mut self, block: u64) -> u64 {
        let before = self.blocks.len();
        self.blocks.retain(|known| known.number <= block);
        let gone = before.saturating_sub(self.blocks.len());
        if gone == 0 {
            return 0;
        }
        let mut stops = Vec::new();
        self.models.retain(|id, record| record.roll_back(id, block, &mut stops));
        self.policies.retain(|id, record| record.roll_back(id, block, &mut stops));
        for record in self.models.values_mut() {
            // An approval fixes the schema: without one it is open again.
            record.fixed.schema = record.fixed.schema.filter(|_| !record.changes.is_empty());
        }
        stops.extend(self.mandates.roll_back(block));
        for (id, height) in stops {
            let until = self.held.entry(id).or_default();
            *until = height.saturating_add(self.confirmations).max(*until);
        }
        u64::try_from(gone).unwrap_or(u64::MAX)
    }
}

impl<T> Record<T> {
    fn is_active(&self) -> bool {
        matches!(self.changes.last(), Some((_, Standing::Active)))
    }

    fn is_stopped(&self) -> bool {
        matches!(self.changes.last(), Some((_, Standing::Suspended | Standing::Ended)))
    }

    fn is_ended(&self) -> bool {
        matches!(self.changes.last(), Some((_, Standing::Ended)))
    }

    /// Takes back what came after a block; false where nothing is left. Notes where it was out of service.
    fn roll_back(&mut self, id: &B32, block: u64, stops: &mut Vec<(B32, u64)>) -> bool {
        if let Some((height, Standing::Suspended | Standing::Ended)) = self.changes.last()
            && *height > block
        {
            stops.push((*id, *height));
        }
        self.changes.retain(|(height, _)| *height <= block);
        self.since <= block
    }
}

fn grant(block: u64, event: &Event) -> Option<Grant> {
    match *event {
        Event::MandateGranted { id, policy, oracle, expires_s } => Some(Grant { id, policy, oracle, expires_s, block }),
        _ => None,
    }
}
