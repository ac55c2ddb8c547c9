//! A chain as the agents know it: accounts with nonces, blocks, re-orgs, registries, and a contract that burns nullifiers.
//!
//! Of the contracts it keeps two rules, that a nullifier is burned once and that the model of a trigger is approved. Where
//! the real ones run beside it, it notes the first trigger that they answer otherwise.

use std::collections::BTreeMap;

use hygeia_protocol::bytes::B32;
use hygeia_protocol::digest::Digest;
use hygeia_protocol::submission::Landing;

use crate::call::Call;
use crate::contracts::{At, Contracts};
use crate::governance::{Decided, Decision, Seen};
use crate::ward::MODELS;

/// Blocks on top of a transaction's own until it is final; no re-org is deeper.
pub const CONFIRMATIONS: u64 = 2;
/// A node takes another transaction of a nonce if it pays this much more, in percent.
const REPLACEMENT_PERCENT: u64 = 110;

/// A transaction that asks for a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tx {
    /// Its hash.
    pub hash: B32,
    /// Whose it is.
    pub account: u8,
    /// Its nonce.
    pub nonce: u64,
    /// What it pays, in percent of the first one.
    pub fee_percent: u32,
    /// What it asks for.
    pub call: Call,
    /// Whether the contract did what it asks for; only of a transaction in a block.
    pub success: bool,
}

/// Why a node did not take a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The nonce is spent.
    NonceTooLow,
    /// Another transaction of the nonce pays as much.
    Underpriced,
}

/// The chain and the one node that the agents ask.
#[derive(Debug)]
pub struct Chain {
    /// Genesis first.
    blocks: Vec<Vec<Tx>>,
    pool: Vec<Tx>,
    burned: BTreeMap<B32, B32>,
    /// Where each transaction in a block is.
    placed: BTreeMap<B32, u64>,
    /// Transactions of each account in blocks.
    nonces: BTreeMap<u8, u64>,
    decided: Vec<Decided>,
    /// Decisions that wait for a block.
    to_decide: Vec<Decision>,
    contracts: Option<Box<dyn Contracts>>,
    /// The receipt whose trigger the real contracts answered otherwise.
    differs: Option<B32>,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain {
            blocks: vec![Vec::new()],
            pool: Vec::new(),
            burned: BTreeMap::new(),
            placed: BTreeMap::new(),
            nonces: BTreeMap::new(),
            decided: vec![Decided { block: 0, what: Decision::Approve(MODELS[0]) }],
            to_decide: Vec::new(),
            contracts: None,
            differs: None,
        }
    }
}

impl Chain {
    /// A chain that the real contracts run on, too.
    #[must_use]
    pub fn with(contracts: Option<Box<dyn Contracts>>) -> Chain {
        Chain { contracts, ..Chain::default() }
    }

    /// The receipt whose trigger the real contracts answered otherwise, if there is one.
    #[must_use]
    pub const fn differs(&self) -> Option<B32> {
        self.differs
    }

    /// The newest block.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    /// Transactions of an account up to and with a block.
    #[must_use]
    pub fn nonce_at(&self, account: u8, block: u64) -> u64 {
        let above = usize::try_from(self.head().saturating_sub(block)).unwrap_or(usize::MAX);
        let of_account = |tx: &&Tx| tx.account == account;
        let young = self.blocks.iter().rev().take(above).flatten().filter(of_account).count() as u64;
        self.nonces.get(&account).copied().unwrap_or(0) - young
    }

    /// The next nonce after those in blocks and those that wait without a gap.
    #[must_use]
    pub fn pending_nonce(&self, account: u8) -> u64 {
        let mut nonce = self.nonce_at(account, self.head());
        while self.pool.iter().any(|tx| (tx.account, tx.nonce) == (account, nonce)) {
            nonce += 1;
        }
        nonce
    }

    /// What stands in the registries.
    #[must_use]
    pub fn registries(&self) -> Seen {
        Seen { head: self.head(), decisions: self.decided.clone() }
    }

    /// The voters have decided: it is in the next block.
    pub fn decide(&mut self, what: Decision) {
        self.to_decide.push(what);
    }

    /// The transaction that burned a nullifier with this receipt.
    #[must_use]
    pub fn landing(&self, nullifier: &B32, receipt: &B32) -> Option<Landing> {
        let hash = self.burned.get(nullifier)?;
        let (block, tx) = self.find(hash)?;
        (tx.call.receipt == *receipt).then_some(Landing { tx: tx.hash, block })
    }

    /// Whether a nullifier is burned.
    #[must_use]
    pub fn is_burned(&self, nullifier: &B32) -> bool {
        self.burned.contains_key(nullifier)
    }

    /// Whether the contract would refuse: the nullifier is burned, or the model not approved at the newest block.
    pub fn refuses(&mut self, call: &Call, time_s: u64) -> bool {
        let refuses = self.is_burned(&call.nullifier) || !self.is_approved(&call.model);
        let at = At { block: self.head() + 1, time_s };
        if self.contracts.as_mut().is_some_and(|contracts| contracts.refuses(call, at) != refuses) {
            self.differs.get_or_insert(call.receipt);
        }
        refuses
    }

    /// A transaction in a block, and which.
    #[must_use]
    pub fn find(&self, hash: &B32) -> Option<(u64, Tx)> {
        let block = *self.placed.get(hash)?;
        let txs = self.blocks.get(usize::try_from(block).ok()?)?;
        txs.iter().find(|tx| tx.hash == *hash).map(|tx| (block, *tx))
    }

    /// Takes a transaction into the pool; one that pays more takes another's place.
    pub fn send(&mut self, account: u8, nonce: u64, fee_percent: u32, call: Call) -> Result<Tx, Refusal> {
        if nonce < self.nonce_at(account, self.head()) {
            return Err(Refusal::NonceTooLow);
        }
        let start = Digest::new("hygeia-sim/tx").integer(u64::from(account)).integer(nonce);
        let hash = start.integer(u64::from(fee_percent)).field(call.receipt.as_bytes()).finish();
        let tx = Tx { hash, account, nonce, fee_percent, call, success: false };
        if let Some(known) = self.pool.iter_mut().find(|known| (known.account, known.nonce) == (account, nonce)) {
            if known.hash != hash && u64::from(fee_percent) * 100 < u64::from(known.fee_percent) * REPLACEMENT_PERCENT {
                return Err(Refusal::Underpriced);
            }
            *known = tx;
        } else {
            self.pool.push(tx);
        }
        Ok(tx)
    }

    /// Transactions that can still land: those that wait, and those that a re-org can take out.
    pub fn open(&self) -> impl Iterator<Item = &Tx> {
        let young = usize::try_from(CONFIRMATIONS).unwrap_or(usize::MAX);
        self.pool.iter().chain(self.blocks.iter().rev().take(young).flatten())
    }

    /// Adds a block; with what waits, unless there is no room for it. Gives the transactions that had their effect.
    pub fn mine(&mut self, has_room: bool, time_s: u64) -> Vec<Tx> {
        let number = self.head() + 1;
        let at = At { block: number, time_s };
        for what in std::mem::take(&mut self.to_decide) {
            self.decided.push(Decided { block: number, what });
            if let Some(contracts) = &mut self.contracts {
                contracts.decide(what, at);
            }
        }
        let mut block = Vec::new();
        while let Some(place) = self.pool.iter().position(|tx| has_room && tx.nonce == self.next_nonce(tx.account)) {
            let mut tx = self.pool.swap_remove(place);
            tx.success = !self.is_burned(&tx.call.nullifier) && self.is_approved(&tx.call.model);
            if self.contracts.as_mut().is_some_and(|contracts| contracts.trigger(&tx.call, at) != tx.success) {
                self.differs.get_or_insert(tx.call.receipt);
            }
            if tx.success {
                self.burned.insert(tx.call.nullifier, tx.hash);
            }
            self.placed.insert(tx.hash, number);
            *self.nonces.entry(tx.account).or_default() += 1;
            block.push(tx);
        }
        let nonces = &self.nonces;
        self.pool.retain(|tx| tx.nonce >= nonces.get(&tx.account).copied().unwrap_or(0));
        self.blocks.push(block.clone());
        block.into_iter().filter(|tx| tx.success).collect()
    }

    /// Replaces the newest blocks by empty ones, one more than they were. Gives how many transactions that took out.
    /// Decisions come again with the next block.
    pub fn reorg(&mut self, depth: u64, keep: bool) -> u64 {
        let depth = usize::try_from(depth.min(CONFIRMATIONS)).unwrap_or(0).min(self.blocks.len() - 1);
        let taken_out = self.blocks.split_off(self.blocks.len() - depth);
        let mut count = 0;
        for tx in taken_out.into_iter().flatten() {
            count += 1;
            self.placed.remove(&tx.hash);
            *self.nonces.entry(tx.account).or_default() -= 1;
            if tx.success {
                self.burned.remove(&tx.call.nullifier);
            }
            let is_replaced = |known: &Tx| (known.account, known.nonce) == (tx.account, tx.nonce);
            if keep && !self.pool.iter().any(is_replaced) {
                self.pool.push(Tx { success: false, ..tx });
            }
        }
        let ancestor = self.head();
        let undone = self.decided.iter().filter(|decided| decided.block > ancestor).map(|decided| decided.what);
        self.to_decide = undone.chain(self.to_decide.iter().copied()).collect();
        self.decided.retain(|decided| decided.block <= ancestor);
        if let Some(contracts) = &mut self.contracts {
            contracts.roll_back(ancestor);
        }
        self.blocks.extend(std::iter::repeat_n(Vec::new(), depth + 1));
        count
    }

    /// The node forgets what waits. Gives how many transactions that were.
    pub fn forget(&mut self) -> u64 {
        std::mem::take(&mut self.pool).len() as u64
    }

    /// Whether something waits for a block.
    #[must_use]
    pub const fn has_waiting(&self) -> bool {
        !self.pool.is_empty()
    }

    /// Whether the lowest block that a re-org of this depth takes out holds something.
    #[must_use]
    pub fn holds_at(&self, depth: u64) -> bool {
        let depth = usize::try_from(depth).unwrap_or(usize::MAX);
        self.blocks.len().checked_sub(depth).is_some_and(|place| !self.blocks[place].is_empty())
    }

    /// Whether the lowest block that a re-org of this depth takes out holds a decision.
    #[must_use]
    pub fn is_decided_at(&self, depth: u64) -> bool {
        self.decided.iter().any(|decided| decided.block > 0 && decided.block + depth == self.head() + 1)
    }

    fn next_nonce(&self, account: u8) -> u64 {
        self.nonces.get(&account).copied().unwrap_or(0)
    }

    /// Whether a model may run, as the contract sees it: at the newest block, without confirmations.
    #[must_use]
    pub fn is_approved(&self, model: &B32) -> bool {
        let newest = self.decided.iter().rev().find_map(|decided| match decided.what {
            Decision::Approve(of) if of == *model => Some(true),
            Decision::Suspend(of) if of == *model => Some(false),
            _ => None,
        });
        newest.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIPT: B32 = B32::new([1; 32]);
    const NULLIFIER: B32 = B32::new([2; 32]);
    const CALL: Call = Call { receipt: RECEIPT, nullifier: NULLIFIER, mandate: RECEIPT, model: MODELS[0], end: 0 };

    #[test]
    fn a_nullifier_is_burned_once_and_a_reorg_gives_it_back() {
        let mut chain = Chain::default();
        let first = chain.send(0, 0, 100, CALL).unwrap();
        chain.send(0, 1, 100, CALL).unwrap();
        chain.send(1, 0, 100, CALL).unwrap();
        assert_eq!((chain.pending_nonce(0), chain.pending_nonce(1)), (2, 1));
        assert_eq!(chain.mine(true, 0).len(), 1, "the others revert");
        assert_eq!(chain.landing(&NULLIFIER, &RECEIPT), Some(Landing { tx: first.hash, block: 1 }));
        assert_eq!((chain.nonce_at(0, 1), chain.nonce_at(0, 0), chain.nonce_at(1, 1)), (2, 0, 1));
        assert_eq!(chain.reorg(1, true), 3);
        assert_eq!((chain.head(), chain.landing(&NULLIFIER, &RECEIPT)), (2, None));
        assert_eq!(chain.mine(false, 0).len(), 0, "no room");
        assert_eq!(chain.mine(true, 0).len(), 1);
    }

    #[test]
    fn a_node_takes_a_higher_fee_and_no_spent_nonce() {
        let mut chain = Chain::default();
        chain.send(0, 0, 100, CALL).unwrap();
        assert_eq!(chain.send(0, 0, 109, CALL), Err(Refusal::Underpriced));
        assert!(chain.send(0, 0, 113, CALL).is_ok());
        chain.mine(true, 0);
        assert_eq!(chain.send(0, 0, 200, CALL), Err(Refusal::NonceTooLow));
    }

    #[test]
    fn a_decision_that_a_reorg_takes_out_comes_again() {
        let mut chain = Chain::default();
        chain.decide(Decision::Suspend(MODELS[0]));
        assert!(!chain.refuses(&CALL, 0));
        chain.mine(true, 0);
        assert!(chain.refuses(&CALL, 0) && chain.is_decided_at(1));
        chain.reorg(1, true);
        assert!(!chain.refuses(&CALL, 0));
        chain.mine(true, 0);
        assert!(chain.refuses(&CALL, 0));
    }
}
