//! A chain as the steward knows it: one account, nonces, blocks, re-orgs, and a contract that burns nullifiers.
//!
//! It never runs the real contracts: of them it keeps the one rule that a nullifier is burned once.

use std::collections::BTreeMap;

use hygeia_protocol::bytes::B32;
use hygeia_protocol::digest::Digest;
use hygeia_protocol::submission::Landing;

/// Blocks on top of a transaction's own until it is final; no re-org is deeper.
pub const CONFIRMATIONS: u64 = 2;
/// A node takes another transaction of a nonce if it pays this much more, in percent.
const REPLACEMENT_PERCENT: u64 = 110;

/// A transaction that asks for a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tx {
    /// Its hash.
    pub hash: B32,
    /// Its nonce.
    pub nonce: u64,
    /// What it pays, in percent of the first one.
    pub fee_percent: u32,
    /// The receipt that it carries.
    pub receipt: B32,
    /// The nullifier that it burns.
    pub nullifier: B32,
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

/// The chain and the one node that the steward asks.
#[derive(Debug)]
pub struct Chain {
    /// Genesis first.
    blocks: Vec<Vec<Tx>>,
    pool: Vec<Tx>,
    burned: BTreeMap<B32, B32>,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain { blocks: vec![Vec::new()], pool: Vec::new(), burned: BTreeMap::new() }
    }
}

impl Chain {
    /// The newest block.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    /// Transactions of the account up to and with a block.
    #[must_use]
    pub fn nonce_at(&self, block: u64) -> u64 {
        self.blocks.iter().zip(0..).filter(|(_, number)| *number <= block).map(|(txs, _)| txs.len() as u64).sum()
    }

    /// The next nonce after those in blocks and those that wait without a gap.
    #[must_use]
    pub fn pending_nonce(&self) -> u64 {
        let mut nonce = self.nonce_at(self.head());
        while self.pool.iter().any(|tx| tx.nonce == nonce) {
            nonce += 1;
        }
        nonce
    }

    /// The transaction that burned a nullifier with this receipt.
    #[must_use]
    pub fn landing(&self, nullifier: &B32, receipt: &B32) -> Option<Landing> {
        let hash = self.burned.get(nullifier)?;
        let (block, tx) = self.find(hash)?;
        (tx.receipt == *receipt).then_some(Landing { tx: tx.hash, block })
    }

    /// Whether the contract would refuse because the nullifier is burned.
    #[must_use]
    pub fn refuses(&self, nullifier: &B32) -> bool {
        self.burned.contains_key(nullifier)
    }

    /// A transaction in a block, and which.
    #[must_use]
    pub fn find(&self, hash: &B32) -> Option<(u64, Tx)> {
        let numbered = self.blocks.iter().enumerate().rev();
        let mut txs = numbered.flat_map(|(block, txs)| txs.iter().map(move |tx| (block as u64, *tx)));
        txs.find(|(_, tx)| tx.hash == *hash)
    }

    /// Takes a transaction into the pool; one that pays more takes another's place.
    pub fn send(&mut self, nonce: u64, fee_percent: u32, receipt: B32, nullifier: B32) -> Result<Tx, Refusal> {
        if nonce < self.nonce_at(self.head()) {
            return Err(Refusal::NonceTooLow);
        }
        let start = Digest::new("hygeia-sim/tx").integer(nonce).integer(u64::from(fee_percent));
        let hash = start.field(receipt.as_bytes()).finish();
        let tx = Tx { hash, nonce, fee_percent, receipt, nullifier, success: false };
        if let Some(known) = self.pool.iter_mut().find(|known| known.nonce == nonce) {
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

    /// Every transaction in a block.
    pub fn mined(&self) -> impl Iterator<Item = &Tx> {
        self.blocks.iter().flatten()
    }

    /// Adds a block; with what waits, unless there is no room for it. Gives the transactions that had their effect.
    pub fn mine(&mut self, has_room: bool) -> Vec<Tx> {
        let mut block = Vec::new();
        let mut nonce = self.nonce_at(self.head());
        while let Some(place) = self.pool.iter().position(|tx| has_room && tx.nonce == nonce) {
            let mut tx = self.pool.swap_remove(place);
            tx.success = !self.burned.contains_key(&tx.nullifier);
            if tx.success {
                self.burned.insert(tx.nullifier, tx.hash);
            }
            block.push(tx);
            nonce += 1;
        }
        self.pool.retain(|tx| tx.nonce >= nonce);
        self.blocks.push(block.clone());
        block.into_iter().filter(|tx| tx.success).collect()
    }

    /// Replaces the newest blocks by empty ones, one more than they were. Gives how many transactions that took out.
    pub fn reorg(&mut self, depth: u64, keep: bool) -> u64 {
        let depth = usize::try_from(depth.min(CONFIRMATIONS)).unwrap_or(0).min(self.blocks.len() - 1);
        let taken_out = self.blocks.split_off(self.blocks.len() - depth);
        let mut count = 0;
        for tx in taken_out.into_iter().flatten() {
            count += 1;
            if tx.success {
                self.burned.remove(&tx.nullifier);
            }
            if keep && !self.pool.iter().any(|known| known.nonce == tx.nonce) {
                self.pool.push(Tx { success: false, ..tx });
            }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIPT: B32 = B32::new([1; 32]);
    const NULLIFIER: B32 = B32::new([2; 32]);

    #[test]
    fn a_nullifier_is_burned_once_and_a_reorg_gives_it_back() {
        let mut chain = Chain::default();
        let first = chain.send(0, 100, RECEIPT, NULLIFIER).unwrap();
        chain.send(1, 100, RECEIPT, NULLIFIER).unwrap();
        assert_eq!(chain.pending_nonce(), 2);
        assert_eq!(chain.mine(true).len(), 1, "the second one reverts");
        assert_eq!(chain.landing(&NULLIFIER, &RECEIPT), Some(Landing { tx: first.hash, block: 1 }));
        assert_eq!(chain.nonce_at(1), 2);
        assert_eq!(chain.reorg(1, true), 2);
        assert_eq!((chain.head(), chain.landing(&NULLIFIER, &RECEIPT)), (2, None));
        assert_eq!(chain.mine(false).len(), 0, "no room");
        assert_eq!(chain.mine(true).len(), 1);
    }

    #[test]
    fn a_node_takes_a_higher_fee_and_no_spent_nonce() {
        let mut chain = Chain::default();
        chain.send(0, 100, RECEIPT, NULLIFIER).unwrap();
        assert_eq!(chain.send(0, 109, RECEIPT, NULLIFIER), Err(Refusal::Underpriced));
        assert!(chain.send(0, 113, RECEIPT, NULLIFIER).is_ok());
        chain.mine(true);
        assert_eq!(chain.send(0, 200, RECEIPT, NULLIFIER), Err(Refusal::NonceTooLow));
    }
}
