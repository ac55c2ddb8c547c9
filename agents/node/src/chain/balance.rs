//! What the accounts that pay for transactions have left, as a gauge: an empty one is found out before it is needed.

use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use tokio_util::sync::CancellationToken;

use super::Chain;
use crate::telemetry::{Gauge, Metrics};

/// How often the chain is asked: a block or two of most chains.
const EVERY: Duration = Duration::from_secs(30);
/// Wei of one coin.
const WEI: f64 = 1e18;

/// Keeps the gauge current until `stop`, from a task of its own. It shows the account that has least.
pub fn watch(chain: Chain, accounts: Vec<Address>, metrics: Metrics, stop: CancellationToken) {
    tokio::spawn(async move {
        loop {
            let balances = accounts.iter().map(|account| async { chain.provider.get_balance(*account).await });
            match futures::future::try_join_all(balances).await {
                Ok(balances) => {
                    let least = balances.into_iter().min().unwrap_or_default();
                    metrics.set_to(Gauge::SignerBalance, "", ether(least));
                }
                Err(reason) => tracing::debug!(%reason, "the chain does not say what the signer has left"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
}

/// Coins, to sixteen digits: more than anybody looks at.
fn ether(wei: U256) -> f64 {
    f64::from(wei) / WEI
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coins_are_ten_to_the_eighteenth_of_the_smallest() {
        assert_eq!(ether(U256::ZERO), 0.0);
        assert_eq!(ether(U256::from(1_500_000_000_000_000_000u64)), 1.5);
        assert!(ether(U256::MAX).is_finite());
    }
}
