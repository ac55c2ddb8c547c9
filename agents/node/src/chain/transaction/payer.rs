//! Who pays for transactions: one key, its limit, and one receipt at a time.
//!
//! Several receipts are on their way at once because there are several payers, each with one. A payer's nonces are then
//! consecutive without anybody handing them out, and a transaction that is stuck holds up its own payer alone.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use alloy::consensus::TxEnvelope;
use alloy::network::{EthereumWallet, NetworkTransactionBuilder as _};
use alloy::primitives::Address;
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Mutex, MutexGuard};

use crate::chain::ChainError;

/// A key that pays, with what bounds it.
pub struct Payer {
    address: Address,
    wallet: EthereumWallet,
    limit: DefaultDirectRateLimiter,
    // Held while a receipt of this payer is on its way.
    busy: Mutex<()>,
}

/// The payers of one steward.
pub struct Payers {
    all: Vec<Payer>,
    /// Where the search for a free one begins, so that all of them get their share.
    next: AtomicUsize,
}

/// A payer that nobody else uses meanwhile.
pub struct Held<'a> {
    payer: &'a Payer,
    _busy: MutexGuard<'a, ()>,
}

impl Payer {
    /// A payer that sends so many transactions a minute at most: a runaway loop must not empty its account.
    pub fn new(key: PrivateKeySigner, transactions_per_minute: NonZeroU32) -> Self {
        Self {
            address: key.address(),
            wallet: EthereumWallet::from(key),
            limit: RateLimiter::direct(Quota::per_minute(transactions_per_minute)),
            busy: Mutex::new(()),
        }
    }

    /// Its account.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Returns once another transaction is within the limit; `waits` is told while it is not.
    pub(super) async fn within_limit(&self, waits: impl Fn(bool)) {
        if self.limit.check().is_ok() {
            return;
        }
        waits(true);
        self.limit.until_ready().await;
        waits(false);
    }

    /// Signs. The hash of what is sent is known from here on, whatever a node says.
    pub(super) async fn sign(&self, request: TransactionRequest) -> Result<TxEnvelope, ChainError> {
        request.build(&self.wallet).await.map_err(|source| ChainError::Call {
            operation: "signing a trigger's transaction",
            source: Box::new(source),
        })
    }
}

impl Payers {
    /// Payers; at least one.
    pub fn new(all: Vec<Payer>) -> Self {
        Self { all, next: AtomicUsize::new(0) }
    }

    /// How many receipts can be on their way at once.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Accounts of all of them.
    pub fn addresses(&self) -> Vec<Address> {
        self.all.iter().map(Payer::address).collect()
    }

    /// The payer of this account, once it is free; nothing where its key is not here.
    pub async fn of(&self, address: Address) -> Option<Held<'_>> {
        let payer = self.all.iter().find(|payer| payer.address == address)?;
        Some(Held { payer, _busy: payer.busy.lock().await })
    }

    /// A payer that is free, or the first that gets free of those whose turn it is.
    pub async fn any(&self) -> Option<Held<'_>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turns = || self.all.iter().cycle().skip(start % self.all.len().max(1)).take(self.all.len());
        let free = turns().find_map(|payer| Some(Held { payer, _busy: payer.busy.try_lock().ok()? }));
        match (free, turns().next()) {
            (Some(held), _) => Some(held),
            (None, Some(payer)) => Some(Held { payer, _busy: payer.busy.lock().await }),
            (None, None) => None,
        }
    }
}

impl std::ops::Deref for Held<'_> {
    type Target = Payer;

    fn deref(&self) -> &Payer {
        self.payer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();

    fn payers(count: usize) -> Payers {
        Payers::new((0..count).map(|_| Payer::new(PrivateKeySigner::random(), TEN)).collect())
    }

    #[tokio::test]
    async fn receipts_are_spread_and_a_payer_has_one_at_a_time() {
        let payers = payers(3);
        let (a, b, c) = (payers.any().await.unwrap(), payers.any().await.unwrap(), payers.any().await.unwrap());
        let mut seen = [a.address(), b.address(), c.address()];
        seen.sort_unstable();
        let mut all = payers.addresses();
        all.sort_unstable();
        assert_eq!(seen.to_vec(), all);
        let first = a.address();
        assert!(futures::poll!(Box::pin(payers.of(first))).is_pending(), "it has one already");
        drop(a);
        assert_eq!(payers.any().await.unwrap().address(), first, "the one that got free");
        assert_eq!(payers.of(first).await.unwrap().address(), first);
    }

    #[tokio::test]
    async fn a_key_that_is_not_here_has_no_payer() {
        assert!(payers(1).of(PrivateKeySigner::random().address()).await.is_none());
        assert!(payers(0).any().await.is_none());
    }

    #[tokio::test]
    async fn the_limit_holds_back_what_is_beyond_it() {
        let payer = Payer::new(PrivateKeySigner::random(), TEN);
        let waiting = AtomicUsize::new(0);
        let count = |waits: bool| _ = waiting.fetch_add(usize::from(waits), Ordering::Relaxed);
        for _ in 0..TEN.get() {
            payer.within_limit(count).await;
        }
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
        assert!(futures::poll!(Box::pin(payer.within_limit(count))).is_pending(), "the eleventh of this minute");
        assert_eq!(waiting.load(Ordering::Relaxed), 1);
    }
}
