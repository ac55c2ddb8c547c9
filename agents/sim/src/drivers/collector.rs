//! Mirrors `agents/node/src/roles/prover/audit/collect.rs`: `run` (rounds, with a pause after an order whose fate is not
//! known), `Round::open` (the stored orders first, then the ledger after them), `follow` and `store`.
//!
//! Left out: flushes, which no stream carries. Orders that were read once are remembered, where the product reads them
//! again: they never change.

use std::collections::VecDeque;

use hygeia_protocol::audit::{AuditCollector, AuditEvent, AuditRules};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{AuditOrder, Message, ScoredWindow};
use hygeia_protocol::subject::{self, Stream};

use crate::broker::Subject;
use crate::call::Unanswered;
use crate::port::{OrderedReader, Port};
use crate::run::PlantedBug;

/// When a batch closes: small ones, so that there are many.
const RULES: AuditRules = AuditRules { windows_max: 24, wait_ms: 10 * 60_000 };
/// Orders that are read at the start, the newest of all models: as many as hold some hours of the ledger. The product reads
/// more, in proportion to its ledger.
const ORDERS_READ: u64 = 48;
/// Pause before the orders are read again when one could not be stored; the product's.
const RETRY_PAUSE_MS: u64 = 1_000;
/// Times in a row that an order may not be stored before the role ends; the product's.
const RETRIES_MAX: u32 = 8;

pub(super) async fn run(port: Port, model: B32) -> Result<(), Unanswered> {
    let (mut retries, mut known) = (0, VecDeque::new());
    loop {
        let mut round = Round::open(&port, model, &mut known).await?;
        match round.follow(&mut retries).await {
            // Another collector has ordered; going on after it.
            Ok(()) => {}
            Err(_) if retries < RETRIES_MAX => {
                retries += 1;
                port.sleep(RETRY_PAUSE_MS).await;
            }
            Err(unanswered) => return Err(unanswered),
        }
    }
}

struct Round {
    port: Port,
    model: B32,
    collector: AuditCollector,
    reader: OrderedReader,
    last_order: u64,
}

impl Round {
    async fn open(port: &Port, model: B32, known: &mut VecDeque<(u64, AuditOrder)>) -> Result<Round, Unanswered> {
        let mut collector = AuditCollector::new(model, RULES);
        let newest = port.last_of(Stream::AuditOrders, orders_of(&model)).await?;
        let last_order = newest.map_or(0, |entry| entry.sequence);
        if !port.has_bug(PlantedBug::OrdersForgotten) {
            read_orders(port, last_order, known).await?;
            let own = known.iter().filter(|(_, order)| order.is_consistent() && order.model == model);
            own.for_each(|(_, order)| collector.ordered(order));
        }
        let reader = OrderedReader::open(port.clone(), Stream::Ledger, collector.read_to().saturating_add(1));
        Ok(Round { port: port.clone(), model, collector, reader, last_order })
    }

    async fn follow(&mut self, retries: &mut u32) -> Result<(), Unanswered> {
        let mut closed = None;
        loop {
            if let Some(order) = closed {
                let Some(sequence) = self.store(&order).await? else { return Ok(()) };
                self.last_order = sequence;
                *retries = 0;
            }
            let now_ms = self.port.now_ms();
            closed = match self.reader.next_within().await? {
                None => self.collector.step(AuditEvent::Idle, self.port.now_ms()),
                Some(entry) => match ScoredWindow::decode(&entry.payload) {
                    Ok(line) => {
                        let (ledger, stored_at_ms) = (entry.sequence, entry.stored_at_ms);
                        self.collector.step(AuditEvent::Scored { ledger, stored_at_ms, line: &line }, now_ms)
                    }
                    Err(_) => self.collector.step(AuditEvent::Skipped { ledger: entry.sequence }, now_ms),
                },
            };
        }
    }

    async fn store(&mut self, order: &AuditOrder) -> Result<Option<u64>, Unanswered> {
        self.port.append(Stream::AuditOrders, orders_of(&self.model), order, self.last_order).await
    }
}

/// Reads on to an order, and keeps the newest.
async fn read_orders(port: &Port, to: u64, known: &mut VecDeque<(u64, AuditOrder)>) -> Result<(), Unanswered> {
    let read_to = known.back().map_or(0, |(place, _)| *place);
    if to <= read_to {
        return Ok(());
    }
    let from = to.saturating_sub(ORDERS_READ).max(read_to + 1);
    let mut orders = OrderedReader::open(port.clone(), Stream::AuditOrders, from);
    loop {
        let Some(entry) = orders.next_within().await? else { return Err(Unanswered) };
        known.push_back((entry.sequence, AuditOrder::decode(&entry.payload).map_err(|_| Unanswered)?));
        if entry.sequence >= to {
            break;
        }
    }
    while known.pop_front_if(|(place, _)| *place + ORDERS_READ < to).is_some() {}
    Ok(())
}

fn orders_of(model: &B32) -> Subject {
    Subject::Named(subject::audit_order(model).into())
}
