//! Looks on from outside: reads the streams as anybody with access could, and keeps count for the view and the summary.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{
    Alert, AuditedBatch, DeadLetter, Message, Receipt, ScoredWindow, Settlement, SettlementStatus,
};
use hygeia_protocol::subject::Stream;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, Entry, OrderedReader};

/// What became of one alert, with the time of each step in milliseconds since the epoch.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// The alert.
    pub alert: Alert,
    /// When the broker had stored the alert: people can see it from here on.
    pub alerted_at_ms: u64,
    /// The proof, once there is one.
    pub receipt: Option<Receipt>,
    /// The chain's answer, once there is one.
    pub settlement: Option<Settlement>,
}

/// Counts per hop and the way of each alert.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Attested windows.
    pub windows: u64,
    /// Windows scored.
    pub scored: u64,
    /// Windows scored that are unlike those the model was validated on.
    pub outside_validated_range: u64,
    /// Alerts held back by cool-down or a limit.
    pub suppressed: u64,
    /// Observations refused, by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// Windows under the roots of verified audits.
    pub audited: u64,
    /// Verified audits.
    pub audits: u64,
    /// Alerts by their id.
    pub alerts: BTreeMap<B32, Timeline>,
    /// Receipts that came before their alert was read.
    early_receipts: BTreeMap<B32, Receipt>,
    early_settlements: BTreeMap<B32, Settlement>,
    window_ids: BTreeSet<B32>,
}

impl Observed {
    /// Alerts with a verified proof.
    pub fn proofs(&self) -> usize {
        self.alerts.values().filter(|t| t.receipt.is_some()).count()
    }

    /// Triggers the chain has accepted.
    pub fn triggers(&self) -> impl Iterator<Item = (&Timeline, &Settlement)> {
        self.alerts.values().filter_map(|timeline| {
            let settlement = timeline.settlement.as_ref()?;
            (settlement.status == SettlementStatus::Triggered).then_some((timeline, settlement))
        })
    }

    /// Alerts the chain has answered, one way or the other.
    pub fn settled(&self) -> usize {
        self.alerts.values().filter(|t| t.settlement.is_some()).count()
    }

    /// Milliseconds from the observation's arrival at the broker to the alert's, ascending.
    pub fn alert_latencies_ms(&self) -> Vec<u64> {
        let mut latencies: Vec<u64> =
            self.alerts.values().map(|t| t.alerted_at_ms.saturating_sub(t.alert.observed_at_ms)).collect();
        latencies.sort_unstable();
        latencies
    }

    fn take(&mut self, stream: Stream, entry: &Entry) {
        let bytes = &entry.payload;
        match stream {
            Stream::Windows => self.windows += 1,
            Stream::Ledger => {
                if let Ok(line) = ScoredWindow::decode(bytes) {
                    // One line per policy; a window counts once.
                    if self.window_ids.insert(line.window_id) {
                        self.scored += 1;
                        self.outside_validated_range += u64::from(line.outside_validated_range);
                    }
                    self.suppressed += u64::from(line.outcome.starts_with("suppressed"));
                }
            }
            Stream::DeadLetters => {
                if let Ok(letter) = DeadLetter::decode(bytes) {
                    *self.dead_letters.entry(letter.reason).or_default() += 1;
                }
            }
            Stream::Alerts => {
                if let Ok(alert) = Alert::decode(bytes) {
                    let id = alert.alert_id;
                    let timeline = Timeline {
                        alert,
                        alerted_at_ms: entry.stored_at_ms,
                        receipt: self.early_receipts.remove(&id),
                        settlement: self.early_settlements.remove(&id),
                    };
                    self.alerts.entry(id).or_insert(timeline);
                }
            }
            Stream::Receipts => {
                if let Ok(receipt) = Receipt::decode(bytes) {
                    match self.alerts.get_mut(&receipt.alert_id) {
                        Some(timeline) => timeline.receipt = Some(receipt),
                        None => drop(self.early_receipts.insert(receipt.alert_id, receipt)),
                    }
                }
            }
            Stream::Settlements => {
                if let Ok(settlement) = Settlement::decode(bytes) {
                    match self.alerts.get_mut(&settlement.alert_id) {
                        Some(timeline) => timeline.settlement = Some(settlement),
                        None => drop(self.early_settlements.insert(settlement.alert_id, settlement)),
                    }
                }
            }
            Stream::Audits => {
                // Receipts stand in the same stream and are no batch.
                if let Ok(batch) = AuditedBatch::decode(bytes) {
                    self.audited += u64::from(batch.count);
                    self.audits += 1;
                }
            }
            Stream::Observations
            | Stream::ProofRequests
            | Stream::Outcomes
            | Stream::AuditOrders
            | Stream::Shadow
            | Stream::Journal => {}
        }
    }
}

/// The looker-on. Clones share what was seen.
#[derive(Clone, Default)]
pub struct Observer {
    // Written by one task per stream, read by the view a few times a second.
    seen: Arc<Mutex<Observed>>,
}

impl Observer {
    /// Begins to read every stream from its start, until `stop`.
    pub async fn start(bus: &Bus, stop: &CancellationToken) -> Result<Self> {
        let observer = Self::default();
        for stream in [
            Stream::Windows,
            Stream::Ledger,
            Stream::DeadLetters,
            Stream::Alerts,
            Stream::Receipts,
            Stream::Settlements,
            Stream::Audits,
        ] {
            let mut reader = OrderedReader::open(bus, stream, Vec::new(), 1).await?;
            let (seen, stop) = (observer.seen.clone(), stop.clone());
            tokio::spawn(async move {
                loop {
                    let entry = tokio::select! {
                        () = stop.cancelled() => return,
                        entry = reader.next() => entry,
                    };
                    match entry {
                        Ok(entry) => seen.lock().unwrap_or_else(PoisonError::into_inner).take(stream, &entry),
                        Err(reason) => {
                            tracing::warn!(stream = stream.name(), %reason, "the view no longer follows this stream");
                            return;
                        }
                    }
                }
            });
        }
        Ok(observer)
    }

    /// A copy of what was seen so far.
    pub fn look(&self) -> Observed {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
