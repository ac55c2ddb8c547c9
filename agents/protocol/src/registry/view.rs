//! What holds at one head of the chain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Block, Mandate, Mandates, Model};
use crate::bytes::{Address, B32};

/// A care policy with the model that it names. Both were approved once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its identifier.
    pub id: B32,
    /// Score from which it applies.
    pub threshold: i64,
    /// Least time between two triggers under one mandate.
    pub cool_down_s: u32,
    /// The model that it names.
    pub model: Model,
    /// Hash of that model's feature schema.
    pub schema: B32,
    /// Whether policy and model may be acted on now.
    pub is_live: bool,
    /// Whether they may be as soon as enough blocks stand on their approval.
    pub is_pending: bool,
    /// Whether either is out of service for good.
    pub is_ended: bool,
}

/// The registries at one head. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(super) head: Option<Block>,
    pub(super) policies: Arc<BTreeMap<B32, Policy>>,
    pub(super) mandates: Mandates,
    /// Mandates whose revocation a re-organisation took away a moment ago: not live yet.
    pub(super) held: Arc<BTreeSet<B32>>,
}

impl View {
    /// The block that this view is of; none before the first.
    #[must_use]
    pub fn head(&self) -> Option<&Block> {
        self.head.as_ref()
    }

    /// Every policy whose model was approved too, in the order of identifiers, live or not.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.values()
    }

    /// The policies that may be acted on now.
    pub fn live_policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies().filter(|policy| policy.is_live)
    }

    /// A policy, live or not.
    #[must_use]
    pub fn policy(&self, id: &B32) -> Option<&Policy> {
        self.policies.get(id)
    }

    /// The policy that a mandate names, live or not. It never changes: other terms are another policy, and another consent.
    #[must_use]
    pub fn policy_of(&self, mandate: &B32) -> Option<&Policy> {
        self.policy(&self.mandates.get(mandate)?.policy)
    }

    /// A mandate that holds now: not taken back, not expired by the chain's clock.
    #[must_use]
    pub fn live_mandate(&self, id: &B32) -> Option<Mandate> {
        let mandate = self.mandates.get(id)?;
        let now_s = self.head.as_ref()?.time_s;
        (!mandate.is_revoked && !self.held.contains(id) && now_s < mandate.expires_s).then_some(mandate)
    }

    /// The live policy that a live mandate consents to: what its windows may be scored under.
    #[must_use]
    pub fn consented(&self, mandate: &B32) -> Option<&Policy> {
        self.policy(&self.live_mandate(mandate)?.policy).filter(|policy| policy.is_live)
    }

    /// Whether a live mandate lets `oracle` attest windows.
    #[must_use]
    pub fn may_attest(&self, mandate: &B32, oracle: &Address) -> bool {
        self.live_mandate(mandate).is_some_and(|mandate| mandate.oracle == *oracle)
    }

    /// Every mandate.
    #[must_use]
    pub fn mandates(&self) -> &Mandates {
        &self.mandates
    }
}
