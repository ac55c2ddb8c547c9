//! The audit collector: the ledger's lines of one model in, orders of windows to prove together out.
//!
//! A batch closes when it is full, when nothing more stands in the ledger and its oldest window has waited long enough,
//! or when it is told to. What was ordered is known from the orders alone: a collector that is given them again, in
//! order, goes on as the one that gave them would have. So a collector may be lost at any moment, and the same windows
//! are never ordered in two ways.
//!
//! What an order leads to is decided by [`after_failure`]: proved again, or put aside.

use std::collections::{BTreeSet, VecDeque};

use crate::bytes::B32;
use crate::message::{AuditOrder, ScoredWindow, WindowToAudit};

/// Windows that are remembered as ordered. The ledger may repeat a line when the sentinel comes back after a long time:
/// this many windows back it is recognised.
const REMEMBERED_MAX: usize = 65_536;
/// Attempts at a batch before it is put aside: what failed so often by itself fails again.
pub const TRIES_MAX: u32 = 3;
/// Deliveries of an order before its batch is put aside: it has ended its provers this often, or they were ended.
pub const DELIVERIES_MAX: u64 = 32;

/// When a batch closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRules {
    /// Windows that one proof holds; at least one.
    pub windows_max: usize,
    /// How long the oldest window of a batch waits for others, in milliseconds.
    pub wait_ms: u64,
}

/// What a collector is told.
#[derive(Clone, Copy, Debug)]
pub enum AuditEvent<'a> {
    /// The next line of the ledger.
    Scored {
        /// Its place in the ledger.
        ledger: u64,
        /// When the broker stored it.
        stored_at_ms: u64,
        /// The line.
        line: &'a ScoredWindow,
    },
    /// A place of the ledger that holds no line.
    Skipped {
        /// The place.
        ledger: u64,
    },
    /// Nothing more stands in the ledger at the moment.
    Idle,
    /// Order everything up to this place of the ledger, now or as soon as it has been read.
    Flush {
        /// The place.
        ledger_to: u64,
    },
}

/// The machine. It holds one batch that is being collected, and what it needs to tell repetitions.
#[derive(Clone, Debug)]
pub struct AuditCollector {
    model: B32,
    rules: AuditRules,
    /// Place in the ledger up to which lines were taken.
    read_to: u64,
    open: Vec<WindowToAudit>,
    /// When the oldest window of the open batch was stored.
    oldest_at_ms: u64,
    flush_to: Option<u64>,
    known: BTreeSet<B32>,
    known_in_order: VecDeque<B32>,
}

impl AuditCollector {
    /// A collector for the windows of one model that has read nothing.
    #[must_use]
    pub fn new(model: B32, rules: AuditRules) -> AuditCollector {
        AuditCollector {
            model,
            rules,
            read_to: 0,
            open: Vec::new(),
            oldest_at_ms: 0,
            flush_to: None,
            known: BTreeSet::new(),
            known_in_order: VecDeque::new(),
        }
    }

    /// Takes in an order that stands already. To be called with the newest orders before the first step.
    pub fn ordered(&mut self, order: &AuditOrder) {
        self.read_to = self.read_to.max(order.ledger_to);
        order.windows.iter().for_each(|window| self.remember(window.window_id));
    }

    /// Place in the ledger after which reading goes on.
    #[must_use]
    pub const fn read_to(&self) -> u64 {
        self.read_to
    }

    /// Windows that wait for their batch to close.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.open.len()
    }

    /// Takes in what happened; gives the order of a batch that closes with it.
    #[must_use]
    pub fn step(&mut self, event: AuditEvent<'_>, now_ms: u64) -> Option<AuditOrder> {
        match event {
            AuditEvent::Scored { ledger, stored_at_ms, line } => self.scored(ledger, stored_at_ms, line),
            AuditEvent::Skipped { ledger } => self.read_to = self.read_to.max(ledger),
            AuditEvent::Flush { ledger_to } if ledger_to <= self.read_to => return self.close(),
            AuditEvent::Flush { ledger_to } => self.flush_to = self.flush_to.max(Some(ledger_to)),
            AuditEvent::Idle => {
                let waited_ms = now_ms.saturating_sub(self.oldest_at_ms);
                return if waited_ms >= self.rules.wait_ms { self.close() } else { None };
            }
        }
        let is_flushed = self.flush_to.is_some_and(|flush_to| flush_to <= self.read_to);
        if is_flushed {
            self.flush_to = None;
        }
        if is_flushed || self.open.len() >= self.rules.windows_max { self.close() } else { None }
    }

    fn scored(&mut self, ledger: u64, stored_at_ms: u64, line: &ScoredWindow) {
        if ledger <= self.read_to {
            return;
        }
        self.read_to = ledger;
        if line.model != self.model || self.known.contains(&line.window_id) {
            return;
        }
        if self.open.is_empty() {
            self.oldest_at_ms = stored_at_ms;
        }
        self.remember(line.window_id);
        self.open.push(WindowToAudit { window_id: line.window_id, sequence: line.window_sequence, score: line.score });
    }

    fn close(&mut self) -> Option<AuditOrder> {
        if self.open.is_empty() {
            return None;
        }
        Some(AuditOrder::new(self.model, std::mem::take(&mut self.open), self.read_to))
    }

    fn remember(&mut self, window: B32) {
        if self.known.insert(window) {
            self.known_in_order.push_back(window);
        }
        if self.known_in_order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.known_in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// What becomes of a batch that could not be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// It is tried again.
    TryAgain,
    /// It is put aside with its reason, so that those behind it are not held up for ever.
    PutAside,
}

/// Decides after the `tries`-th attempt at a batch within one delivery, its order being delivered for the `deliveries`-th
/// time.
#[must_use]
pub const fn after_failure(tries: u32, deliveries: u64) -> AfterFailure {
    if tries >= TRIES_MAX || deliveries > DELIVERIES_MAX { AfterFailure::PutAside } else { AfterFailure::TryAgain }
}
