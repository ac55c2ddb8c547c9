//! From the ledger to stored orders. The stored orders are all that is remembered: each start, and each doubt about what
//! the broker has stored, begins by reading them. Several provers may collect at once; of two orders that would follow
//! the same one the broker takes the first, and the other collector reads it and goes on from there.

use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::Subscriber;
use futures::StreamExt;
use hygeia_protocol::audit::{AuditCollector, AuditEvent, AuditRules};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{AuditOrder, Message, ScoredWindow};
use hygeia_protocol::subject::{self, Stream};

use crate::bus::{Bus, BusError, Entry, Lookup, OrderedReader};
use crate::clock::now_ms;
use crate::roles::Site;
use crate::telemetry::{Gauge, Loop};

/// Without a line for this long nothing more stands in the ledger. Where lines come without such a pause, batches close by
/// being full.
const IDLE: Duration = Duration::from_millis(250);
/// Orders read at the start to know which windows are ordered already. The full ones hold more windows than the collector
/// remembers; many small ones hold those of the latest time at least.
const ORDERS_READ: u64 = 1024;
/// Pause before the orders are read again when the broker could not store one.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Times in a row that an order may not be stored before the role gives up and lets its supervisor restart it.
const RETRIES_MAX: u32 = 8;

/// Orders audits of everything in the ledger, until the site stops.
pub async fn run(site: &Site, model: B32, rules: AuditRules) -> Result<()> {
    let mut flushes = site.bus.listen(&subject::audit_flush(&model)).await?;
    let mut flush_to = 0;
    let mut retries = 0;
    loop {
        let mut round = Round::open(site, model, rules).await?;
        match round.follow(&mut flushes, &mut flush_to, &mut retries).await {
            Ok(After::Stop) => {
                site.metrics.watchdog().ended(Loop::Collector);
                return Ok(());
            }
            Ok(After::ReadAgain) => tracing::debug!("another collector has ordered; going on after it"),
            Err(error) if retries < RETRIES_MAX => {
                retries += 1;
                tracing::warn!(reason = %error, "an order for an audit could not be stored; looking what stands there");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Asks whoever collects to order at once what the ledger holds now.
pub async fn flush(bus: &Bus, model: &B32) -> Result<()> {
    let (_, ledger_to) = bus.stream_state(Stream::Ledger).await?;
    Ok(bus.announce(&subject::audit_flush(model), ledger_to.to_string().into()).await?)
}

enum After {
    Stop,
    ReadAgain,
}

/// From what the orders say to the end of what this collector can be sure of.
struct Round<'a> {
    site: &'a Site,
    subject: String,
    collector: AuditCollector,
    reader: OrderedReader,
    /// Place of the newest order.
    last_order: u64,
}

impl<'a> Round<'a> {
    async fn open(site: &'a Site, model: B32, rules: AuditRules) -> Result<Self> {
        let subject = subject::audit_order(&model);
        let mut collector = AuditCollector::new(model, rules);
        let newest = Lookup::open(&site.bus, Stream::AuditOrders).await?.last_of(&subject).await?;
        let last_order = newest.map_or(0, |entry| entry.sequence);
        if last_order > 0 {
            let from = last_order.saturating_sub(ORDERS_READ).max(1);
            let mut orders = OrderedReader::open(&site.bus, Stream::AuditOrders, vec![subject.clone()], from).await?;
            loop {
                let entry = orders.next().await?;
                // Without an order that cannot be read, its windows would be proved twice.
                let order = AuditOrder::decode(&entry.payload).context("a stored order cannot be read")?;
                // One that no collector gave is put aside by whoever works on it, so it orders nothing.
                if order.is_consistent() {
                    collector.ordered(&order);
                }
                if entry.sequence >= last_order {
                    break;
                }
            }
        }
        let from = collector.read_to().saturating_add(1);
        let reader = OrderedReader::open(&site.bus, Stream::Ledger, Vec::new(), from).await?;
        Ok(Self { site, subject, collector, reader, last_order })
    }

    async fn follow(
        &mut self,
        flushes: &mut Subscriber,
        flush_to: &mut u64,
        retries: &mut u32,
    ) -> Result<After, BusError> {
        let mut closed = self.collector.step(AuditEvent::Flush { ledger_to: *flush_to }, now_ms());
        loop {
            if let Some(order) = closed {
                let Some(sequence) = self.store(&order).await? else { return Ok(After::ReadAgain) };
                self.last_order = sequence;
                *retries = 0;
            }
            self.site.metrics.watchdog().beat(Loop::Collector);
            self.site.metrics.set(Gauge::AuditWindowsWaiting, self.collector.waiting() as u64);
            closed = tokio::select! {
                () = self.site.stop.cancelled() => return Ok(After::Stop),
                Some(flush) = flushes.next() => {
                    *flush_to = (*flush_to).max(ledger_place(&flush.payload));
                    self.collector.step(AuditEvent::Flush { ledger_to: *flush_to }, now_ms())
                }
                entry = self.reader.next_within(IDLE) => self.take(entry?),
            };
        }
    }

    fn take(&mut self, entry: Option<Entry>) -> Option<AuditOrder> {
        let Some(entry) = entry else { return self.collector.step(AuditEvent::Idle, now_ms()) };
        let (ledger, stored_at_ms) = (entry.sequence, entry.stored_at_ms);
        match ScoredWindow::decode(&entry.payload) {
            Ok(line) => self.collector.step(AuditEvent::Scored { ledger, stored_at_ms, line: &line }, now_ms()),
            Err(reason) => {
                tracing::warn!(ledger, %reason, "a message in the ledger is no scored window");
                self.collector.step(AuditEvent::Skipped { ledger }, now_ms())
            }
        }
    }

    // `&mut`, because the reader behind it cannot be shared between threads.
    async fn store(&mut self, order: &AuditOrder) -> Result<Option<u64>, BusError> {
        let stored = self
            .site
            .bus
            .append(Stream::AuditOrders, self.subject.clone(), &order.message_id(), order.encode(), self.last_order)
            .await?;
        if stored.is_some() {
            tracing::info!(batch = %order.batch_id, windows = order.windows.len(), "audit ordered");
        }
        Ok(stored)
    }
}

/// Place in the ledger that a request for a flush names. Anybody may ask, so anything else asks for nothing.
fn ledger_place(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}
