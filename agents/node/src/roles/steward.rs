//! Hop 7: from a receipt to a settlement on the chain.
//!
//! The chain is asked before anything is sent and again after; the broker's word is never taken for the chain's. One
//! receipt at a time: nonces are consecutive, and a stuck transaction is seen and bumped before the next is sent.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use anyhow::Result;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hygeia_protocol::message::{B32, Message, Receipt, Settlement, SettlementStatus, V1};
use hygeia_protocol::subject::{self, Stream};

use super::{Site, required};
use crate::bus::{Job, WorkQueue};
use crate::chain::transaction::{Outcome, Triggers};
use crate::chain::{balance, load_signer};
use crate::cli::StewardArgs;
use crate::clock::now_ms;
use crate::telemetry::queues::{self, Watched};
use crate::telemetry::schema::events::{Attribute, SpanName};
use crate::telemetry::trace::{Span, Value};
use crate::telemetry::{Counter, Histogram, Loop};

/// Name of the queue all stewards share.
const QUEUE: &str = "steward";
/// Transactions per minute of one signer: a runaway loop must not empty its account.
const TRANSACTIONS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(120).unwrap();
/// Pause before a receipt is tried again that the chain could not be asked about.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Runs the steward until the site stops.
pub async fn run(site: Site, args: StewardArgs) -> Result<()> {
    let key_file = required(args.signer_key_file, "--signer-key-file", "the steward pays for transactions")?;
    let signer = load_signer(&key_file)?;
    let account = signer.address();
    let chain = site.chain(Some(signer)).await?;
    balance::watch(chain.clone(), account, site.metrics.clone(), site.stop.clone());
    let triggers = Triggers::open(chain, account, &site.deployment, args.confirmations, &site.bus).await?;
    let steward = Steward { limit: RateLimiter::direct(Quota::per_minute(TRANSACTIONS_PER_MINUTE)), triggers, site };
    tracing::info!(%account, "steward ready");
    steward.work().await
}

struct Steward {
    site: Site,
    triggers: Triggers,
    limit: DefaultDirectRateLimiter,
}

impl Steward {
    async fn work(&self) -> Result<()> {
        let mut queue = WorkQueue::open(&self.site.bus, Stream::Receipts, QUEUE).await?;
        self.site.metrics.ready();
        let watched = Watched { stream: Stream::Receipts, durable: QUEUE.to_owned(), word: "receipts" };
        queues::watch(self.site.bus.clone(), self.site.metrics.clone(), watched, self.site.stop.clone());
        let watchdog = self.site.metrics.watchdog();
        while let Some((receipt, job)) =
            watchdog.while_waiting(Loop::Steward, queue.next_of::<Receipt>(&self.site.stop)).await?
        {
            let mut span = Span::after(SpanName::Settlement, job.trace());
            span.tell(Attribute::Receipt, Value::Id(receipt.receipt_id));
            span.tell(Attribute::Policy, Value::Id(receipt.policy));
            // A chain that does not answer is waited for as long as it takes: a restart would not make it answer.
            let handling = watchdog.while_waiting(Loop::Steward, self.handle(receipt, job));
            span.around(handling).await?;
            span.end();
        }
        watchdog.ended(Loop::Steward);
        Ok(())
    }

    async fn handle(&self, receipt: Receipt, job: Job) -> Result<()> {
        let started = Instant::now();
        let outcome = job.while_working(self.settle(&receipt)).await;
        let Some(outcome) = outcome else { return Ok(()) };
        self.site.metrics.took(Histogram::SettlementTime, started.elapsed());
        let settlement = self.record(&receipt, outcome);
        self.site
            .bus
            .publish(Stream::Settlements, subject::SETTLEMENT.to_owned(), &settlement.message_id(), settlement.encode())
            .await?;
        Ok(job.done().await?)
    }

    /// Tries until the chain has answered one way or the other; `None` when the process is asked to end before.
    async fn settle(&self, receipt: &Receipt) -> Option<Outcome> {
        loop {
            self.limit.until_ready().await;
            let error = tokio::select! {
                () = self.site.stop.cancelled() => return None,
                outcome = self.triggers.settle(receipt) => match outcome {
                    Ok(outcome) => return Some(outcome),
                    Err(error) => error,
                },
            };
            tracing::warn!(receipt = receipt.receipt_id.to_hex(), reason = %error, "the chain gave no answer; trying again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    fn record(&self, receipt: &Receipt, outcome: Outcome) -> Settlement {
        let settled_at_ms = now_ms();
        match outcome {
            Outcome::Triggered { trigger_id, transaction, block, gas_used } => {
                self.site.metrics.count(Counter::TriggersAccepted, "");
                tracing::info!(receipt = receipt.receipt_id.to_hex(), %transaction, block, gas_used, "care triggered");
                Settlement {
                    v: V1,
                    receipt_id: receipt.receipt_id,
                    alert_id: receipt.alert_id,
                    trigger_id: B32::new(trigger_id.0),
                    transaction: B32::new(transaction.0),
                    block,
                    gas_used,
                    status: SettlementStatus::Triggered,
                    reason: None,
                    settled_at_ms,
                }
            }
            Outcome::Refused { reason } => {
                self.site.metrics.count(Counter::TriggersRefused, &reason);
                tracing::info!(receipt = receipt.receipt_id.to_hex(), reason, "the chain refuses the receipt");
                Settlement {
                    v: V1,
                    receipt_id: receipt.receipt_id,
                    alert_id: receipt.alert_id,
                    trigger_id: B32::new([0; 32]),
                    transaction: B32::new([0; 32]),
                    block: 0,
                    gas_used: 0,
                    status: SettlementStatus::Refused,
                    reason: Some(reason),
                    settled_at_ms,
                }
            }
        }
    }
}
