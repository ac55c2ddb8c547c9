//! Every mandate of a network in little memory, shared between a machine and its views.
//!
//! Identifiers are hashes, so their first bits spread them evenly over shards. A shard is a sorted slice that is replaced,
//! never changed: a view keeps the slices it was made with, and a block costs the shards it touches. An entry takes 64
//! bytes, since policies and oracles are few and stand in tables of their own.

use std::sync::Arc;

use crate::bytes::{Address, B32};

/// Shards: so many that one holds a hundred entries where the network has a hundred thousand.
const SHARDS: usize = 1 << SHARD_BITS;
/// Bits of an identifier that choose its shard.
const SHARD_BITS: u32 = 10;
/// Block of a revocation that did not happen.
const NEVER: u64 = u64::MAX;

/// What a patient consented to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mandate {
    /// The one policy consented to.
    pub policy: B32,
    /// The one oracle that may attest.
    pub oracle: Address,
    /// First second at which the consent no longer holds.
    pub expires_s: u64,
    /// Whether it was taken back.
    pub is_revoked: bool,
}

/// Mandates by identifier.
#[derive(Clone, Debug)]
pub struct Mandates {
    shards: Vec<Arc<[Entry]>>,
    policies: Arc<Vec<B32>>,
    oracles: Arc<Vec<Address>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: B32,
    granted: u64,
    revoked: u64,
    expires_s: u64,
    policy: u32,
    oracle: u32,
}

/// A consent as it comes in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub id: B32,
    pub policy: B32,
    pub oracle: Address,
    pub expires_s: u64,
    pub block: u64,
}

impl Default for Mandates {
    fn default() -> Mandates {
        let empty: Arc<[Entry]> = Arc::from([]);
        Mandates { shards: vec![empty; SHARDS], policies: Arc::default(), oracles: Arc::default() }
    }
}

impl Mandates {
    /// The mandate with this identifier.
    #[must_use]
    pub fn get(&self, id: &B32) -> Option<Mandate> {
        let shard = self.shards.get(shard_of(id))?;
        let entry = shard.get(shard.binary_search_by(|entry| entry.id.cmp(id)).ok()?)?;
        Some(Mandate {
            policy: *self.policies.get(usize::try_from(entry.policy).ok()?)?,
            oracle: *self.oracles.get(usize::try_from(entry.oracle).ok()?)?,
            expires_s: entry.expires_s,
            is_revoked: entry.revoked != NEVER,
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the entries and their shards take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len() * size_of::<Entry>() + SHARDS * size_of::<Arc<[Entry]>>()
    }

    /// Identifiers of all that were taken back.
    pub fn revoked(&self) -> impl Iterator<Item = B32> + '_ {
        self.shards.iter().flat_map(|shard| shard.iter()).filter(|entry| entry.revoked != NEVER).map(|entry| entry.id)
    }

    /// Takes consents in. A mandate is granted once: a second grant of the same identifier changes nothing.
    pub(super) fn grant(&mut self, grants: &[Grant]) {
        let mut entries: Vec<Entry> = grants.iter().map(|grant| self.entry(grant)).collect();
        entries.sort_by_key(|entry| entry.id);
        entries.dedup_by(|later, first| later.id == first.id);
        for added in entries.chunk_by(|a, b| shard_of(&a.id) == shard_of(&b.id)) {
            let Some(shard) = added.first().and_then(|first| self.shards.get_mut(shard_of(&first.id))) else {
                continue;
            };
            *shard = merged(shard, added);
        }
    }

    /// Notes that a consent was taken back in a block; whether there was one to take back.
    pub(super) fn revoke(&mut self, id: &B32, block: u64) -> bool {
        let Some(shard) = self.shards.get_mut(shard_of(id)) else { return false };
        let Ok(place) = shard.binary_search_by(|entry| entry.id.cmp(id)) else { return false };
        if let Some(entry) = Arc::make_mut(shard).get_mut(place) {
            entry.revoked = entry.revoked.min(block);
        }
        true
    }

    /// Takes back what came after `block`. The mandates whose revocation is gone with it, and where it stood.
    pub(super) fn roll_back(&mut self, block: u64) -> Vec<(B32, u64)> {
        let mut restored = Vec::new();
        for shard in &mut self.shards {
            let is_later = |entry: &Entry| entry.granted > block || (entry.revoked != NEVER && entry.revoked > block);
            if !shard.iter().any(is_later) {
                continue;
            }
            let revoked = shard.iter().filter(|entry| entry.revoked != NEVER && entry.revoked > block);
            restored.extend(revoked.map(|entry| (entry.id, entry.revoked)));
            let kept = shard.iter().filter(|entry| entry.granted <= block);
            let kept = kept
                .map(|entry| Entry { revoked: if entry.revoked > block { NEVER } else { entry.revoked }, ..*entry });
            *shard = kept.collect();
        }
        restored
    }

    fn entry(&mut self, grant: &Grant) -> Entry {
        Entry {
            id: grant.id,
            granted: grant.block,
            revoked: NEVER,
            expires_s: grant.expires_s,
            policy: place_in(&mut self.policies, grant.policy),
            oracle: place_in(&mut self.oracles, grant.oracle),
        }
    }
}

/// Where a value stands in a table, at whose end it is put if it is new.
fn place_in<T: Clone + PartialEq>(table: &mut Arc<Vec<T>>, value: T) -> u32 {
    let place = table.iter().position(|other| *other == value).unwrap_or_else(|| {
        Arc::make_mut(table).push(value);
        table.len() - 1
    });
    u32::try_from(place).expect("a network has fewer policies and oracles than 2^32")
}

/// Two sorted runs as one; where both have an identifier, the first one's entry stays.
fn merged(present: &[Entry], added: &[Entry]) -> Arc<[Entry]> {
    let is_new = |entry: &&Entry| present.binary_search_by(|other| other.id.cmp(&entry.id)).is_err();
    let mut all: Vec<Entry> = present.iter().chain(added.iter().filter(is_new)).copied().collect();
    all.sort_by_key(|entry| entry.id);
    all.into()
}

fn shard_of(id: &B32) -> usize {
    let [first, second, ..] = id.as_bytes();
    usize::from(u16::from_be_bytes([*first, *second])) >> (16 - SHARD_BITS)
}
