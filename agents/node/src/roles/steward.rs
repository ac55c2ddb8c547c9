//! Hop 7: from a receipt to a settlement on the chain.
//!
//! The chain is asked before anything is sent and again after; the broker's word is never taken for the chain's. As many
//! receipts are on their way at once as there are payers, each payer with one: nonces stay consecutive, and a transaction
//! that is stuck holds up its own payer alone. Beside this the reconciler compares what everybody says every few minutes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::journal::{Fact, message_hash};
use hygeia_protocol::message::{Message, Receipt, Settlement, SettlementStatus, V1};
use hygeia_protocol::subject::{self, Stream};
use tokio::sync::Semaphore;

use super::Site;
use crate::bus::{Job, SlowQueue};
use crate::chain::transaction::{Held, Outcome, Payer, Payers, SettleError, Triggers};
use crate::chain::{balance, load_signer};
use crate::cli::{Role, StewardArgs};
use crate::clock::now_ms;
use crate::journal::{self, Journal};
use crate::reconcile::{self, Reconciler};
use crate::telemetry::queues::{self, Watched};
use crate::telemetry::schema::events::{Attribute, SpanName};
use crate::telemetry::trace::{self, Span, Value};
use crate::telemetry::{Counter, Gauge, Histogram, Loop};

/// Name of the queue all stewards share.
pub const QUEUE: &str = "steward";
/// What a settlement says whose trigger was given up.
pub const GAVE_UP: &str = "GaveUp";
/// Pause before a receipt is tried again that the chain could not be asked about.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Pause before a receipt comes again that another steward works on, or whose payer's key is elsewhere.
const ELSEWHERE_PAUSE: Duration = Duration::from_secs(20);

/// Runs the steward until the site stops.
pub async fn run(site: Site, args: StewardArgs) -> Result<()> {
    let payers = payers(&args)?;
    let chain = site.chain(None).await?;
    let journal = Arc::new(Journal::open(&site.bus, journal::STEWARD, site.metrics.clone()).await?);
    let triggers = Triggers::open(
        chain.clone(),
        &site.deployment,
        args.confirmations,
        &site.bus,
        journal.clone(),
        site.metrics.clone(),
    )
    .await?;
    balance::watch(chain.clone(), payers.addresses(), site.metrics.clone(), site.stop.clone());
    tracing::info!(accounts = ?payers.addresses(), "steward ready");
    let reconciler = Reconciler::open(
        site.bus.clone(),
        chain,
        site.deployment.clone(),
        args.confirmations,
        journal.clone(),
        site.metrics.clone(),
    )
    .await?;
    let reconciling = reconcile::run(reconciler, Duration::from_secs(args.reconcile_every_s), site.stop.clone());
    let steward = Steward { triggers, payers, journal, in_flight: AtomicU64::new(0), site };
    tokio::try_join!(Arc::new(steward).work(), reconciling)?;
    Ok(())
}

fn payers(args: &StewardArgs) -> Result<Payers> {
    let mut seen = BTreeSet::new();
    let mut payers = Vec::new();
    for file in &args.signer_key_file {
        let key = load_signer(file)?;
        if !seen.insert(key.address()) {
            bail!("{} holds a key that was named before; each payer is one account", file.display());
        }
        payers.push(Payer::new(key, args.transactions_per_minute));
    }
    if payers.is_empty() {
        bail!("--signer-key-file is needed: the steward pays for transactions");
    }
    Ok(Payers::new(payers))
}

struct Steward {
    site: Site,
    triggers: Triggers,
    payers: Payers,
    journal: Arc<Journal>,
    in_flight: AtomicU64,
}

/// What became of a receipt that a steward took up.
enum Handled {
    Settled(Outcome),
    /// Another steward is to go on with it.
    Elsewhere,
    /// The process ends.
    Stopped,
}

impl Steward {
    async fn work(self: Arc<Self>) -> Result<()> {
        let queue = SlowQueue::open(&self.site.bus, Stream::Receipts, subject::RECEIPT.to_owned(), QUEUE).await?;
        let places = Arc::new(Semaphore::new(self.payers.count()));
        self.site.metrics.ready();
        let watched = Watched { stream: Stream::Receipts, durable: QUEUE.to_owned(), word: "receipts" };
        queues::watch(self.site.bus.clone(), self.site.metrics.clone(), watched, self.site.stop.clone());
        let watchdog = self.site.metrics.watchdog();
        loop {
            // A chain that does not answer is waited for as long as it takes: a restart would not make it answer.
            let place = places.clone().acquire_owned();
            let place = watchdog.while_waiting(Loop::Steward, place).await.context("the places are never closed")?;
            let next = watchdog.while_waiting(Loop::Steward, queue.next_of::<Receipt>(&self.site.stop)).await?;
            let Some((receipt, job)) = next else { break };
            self.site.metrics.set(Gauge::ReceiptsWaiting, queue.waiting().await?);
            let steward = self.clone();
            tokio::spawn(trace::in_role(Role::Steward, async move {
                let id = receipt.receipt_id;
                let mut span = Span::after(SpanName::Settlement, job.trace());
                span.tell(Attribute::Receipt, Value::Id(id));
                span.tell(Attribute::Policy, Value::Id(receipt.policy));
                steward.counts(true);
                // Without an acknowledgement it comes again.
                if let Err(reason) = span.around(steward.handle(&receipt, job)).await {
                    span.fail("left_for_later");
                    tracing::error!(
                        receipt = id.to_hex(),
                        reason = format!("{reason:#}"),
                        "a receipt is left for later"
                    );
                }
                span.end();
                steward.counts(false);
                drop(place);
            }));
        }
        watchdog.ended(Loop::Steward);
        // Each sees the stop by itself; what it has not acknowledged comes again.
        let all = u32::try_from(self.payers.count()).unwrap_or(u32::MAX);
        drop(places.acquire_many(all).await);
        Ok(())
    }

    fn counts(&self, begins: bool) {
        let number = match begins {
            true => self.in_flight.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            false => self.in_flight.fetch_sub(1, Ordering::Relaxed).saturating_sub(1),
        };
        self.site.metrics.set(Gauge::StewardInFlight, number);
    }

    async fn handle(&self, receipt: &Receipt, job: Job) -> Result<()> {
        let started = Instant::now();
        let outcome = match job.while_working(self.take_up(receipt)).await? {
            Handled::Settled(outcome) => outcome,
            Handled::Elsewhere => return Ok(job.later(ELSEWHERE_PAUSE).await?),
            Handled::Stopped => return Ok(()),
        };
        self.site.metrics.took(Histogram::SettlementTime, started.elapsed());
        let settlement = self.settlement(receipt, &outcome);
        let bytes = settlement.encode();
        let message = message_hash(&bytes);
        // First the journal: whatever stands on the bus is told of there.
        self.journal.note(fact(receipt.receipt_id, &outcome, message)).await?;
        let subject = subject::SETTLEMENT.to_owned();
        self.site.bus.publish(Stream::Settlements, subject, &settlement.message_id(), bytes).await?;
        Ok(job.done().await?)
    }

    /// With the payer that the receipt stays with, or with one that is free.
    async fn take_up(&self, receipt: &Receipt) -> Result<Handled> {
        let payer = match self.triggers.payer_of(&receipt.receipt_id).await? {
            Some(address) => self.payers.of(address).await,
            None => self.payers.any().await,
        };
        let Some(payer) = payer else {
            tracing::warn!(
                receipt = receipt.receipt_id.to_hex(),
                "the receipt stays with a payer whose key is not here"
            );
            return Ok(Handled::Elsewhere);
        };
        Ok(self.settle(receipt, payer).await)
    }

    /// Tries until the chain has answered one way or the other.
    async fn settle(&self, receipt: &Receipt, payer: Held<'_>) -> Handled {
        loop {
            let error = tokio::select! {
                () = self.site.stop.cancelled() => return Handled::Stopped,
                outcome = self.triggers.settle(receipt, &payer) => match outcome {
                    Ok(outcome) => return Handled::Settled(outcome),
                    Err(SettleError::Taken | SettleError::OtherPayer) => return Handled::Elsewhere,
                    Err(error) => error,
                },
            };
            tracing::warn!(receipt = receipt.receipt_id.to_hex(), reason = %error, "no answer to go by; trying again");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    fn settlement(&self, receipt: &Receipt, outcome: &Outcome) -> Settlement {
        let id = receipt.receipt_id.to_hex();
        match outcome {
            Outcome::Triggered { transaction, block, gas_used, .. } => {
                self.site.metrics.count(Counter::TriggersAccepted, "");
                tracing::info!(receipt = id, %transaction, block, gas_used, "care triggered");
            }
            Outcome::Refused { reason } => {
                self.site.metrics.count(Counter::TriggersRefused, reason);
                tracing::info!(receipt = id, reason, "the chain refuses the receipt");
            }
            Outcome::GivenUp => {
                self.site.metrics.count(Counter::TriggersGivenUp, "");
                tracing::error!(receipt = id, "a trigger is given up: its time is over and the chain does not have it");
            }
        }
        settlement_of(receipt.receipt_id, receipt.alert_id, outcome)
    }
}

/// What is published of an outcome.
pub fn settlement_of(receipt_id: B32, alert_id: B32, outcome: &Outcome) -> Settlement {
    let none = B32::new([0; 32]);
    let refused = |reason: &str| Settlement {
        v: V1,
        receipt_id,
        alert_id,
        trigger_id: none,
        transaction: none,
        block: 0,
        gas_used: 0,
        status: SettlementStatus::Refused,
        reason: Some(reason.to_owned()),
        settled_at_ms: now_ms(),
    };
    match outcome {
        Outcome::Triggered { trigger_id, transaction, block, gas_used } => Settlement {
            trigger_id: B32::new(trigger_id.0),
            transaction: B32::new(transaction.0),
            block: *block,
            gas_used: *gas_used,
            status: SettlementStatus::Triggered,
            reason: None,
            ..refused("")
        },
        Outcome::Refused { reason } => refused(reason),
        Outcome::GivenUp => refused(GAVE_UP),
    }
}

fn fact(receipt: B32, outcome: &Outcome, message: B32) -> Fact {
    match outcome {
        Outcome::Triggered { transaction, block, .. } => {
            Fact::TriggerSettled { receipt, transaction: B32::new(transaction.0), block: *block, message }
        }
        Outcome::Refused { reason } => Fact::TriggerRefused { receipt, reason: reason.clone(), message },
        Outcome::GivenUp => Fact::TriggerGivenUp { receipt, message },
    }
}
