//! What came of a load: every window, alert, ledger line and dead letter, their times, and whether each is there once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hygeia_node::bus::{Bus, OrderedReader};
use hygeia_protocol::message::{Alert, AttestedWindow, DeadLetter, Message, ScoredWindow};
use hygeia_protocol::subject::Stream;
use serde_json::{Value, json};

use crate::measure::rounded;

/// Silence after which a stream counts as read to its end.
const END_OF_STREAM: Duration = Duration::from_millis(700);

/// A message's way from the observation that led to it.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// When the broker stored the observation that closed the window.
    pub observed_at_ms: u64,
    /// When the broker stored the message.
    pub stored_at_ms: u64,
}

impl Way {
    /// How long it took, in milliseconds.
    pub fn ms(self) -> f64 {
        self.stored_at_ms.saturating_sub(self.observed_at_ms) as f64
    }
}

/// Everything that came of a load.
#[derive(Default)]
pub struct Outcome {
    /// Attested windows.
    pub windows: Vec<Way>,
    /// Alerts.
    pub alerts: Vec<Way>,
    /// Lines of the ledger by what triage made of the window.
    pub ledger: BTreeMap<String, u64>,
    /// Dead letters by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// Proofs.
    pub receipts: u64,
    /// Messages that are there twice, or that belong to none; empty when all is right.
    pub faults: Vec<String>,
}

impl Outcome {
    /// Reads all streams from their beginning.
    pub async fn read(bus: &Bus) -> Self {
        let mut outcome = Self::default();
        let mut windows = BTreeSet::new();
        let mut twice = [0_u64; 3];
        each(bus, Stream::Windows, |window: AttestedWindow, stored_at_ms| {
            twice[0] += u64::from(!windows.insert(window.window_id));
            outcome.windows.push(Way { observed_at_ms: window.observed_at_ms, stored_at_ms });
        })
        .await;
        let mut alerts = BTreeSet::new();
        let mut alerted = BTreeSet::new();
        each(bus, Stream::Alerts, |alert: Alert, stored_at_ms| {
            twice[1] += u64::from(!alerts.insert(alert.alert_id));
            alerted.insert(alert.window_id);
            outcome.alerts.push(Way { observed_at_ms: alert.observed_at_ms, stored_at_ms });
        })
        .await;
        let mut scored = BTreeSet::new();
        let mut called = BTreeSet::new();
        each(bus, Stream::Ledger, |line: ScoredWindow, _| {
            twice[2] += u64::from(!scored.insert(line.window_id));
            if ["alert", "escalation"].contains(&line.outcome.as_str()) {
                called.insert(line.window_id);
            }
            *outcome.ledger.entry(line.outcome).or_default() += 1;
        })
        .await;
        each(bus, Stream::DeadLetters, |letter: DeadLetter, _| {
            *outcome.dead_letters.entry(letter.reason).or_default() += 1;
        })
        .await;
        (outcome.receipts, _) = bus.stream_state(Stream::Receipts).await.expect("the broker answers");
        for (what, count) in ["windows", "alerts", "ledger lines"].into_iter().zip(twice) {
            outcome.must_be_zero(&format!("{what} that are there twice"), count);
        }
        outcome.must_be_zero("windows without a line in the ledger", windows.difference(&scored).count() as u64);
        outcome.must_be_zero("lines in the ledger without a window", scored.difference(&windows).count() as u64);
        outcome.must_be_zero("windows that called and have no alert", called.difference(&alerted).count() as u64);
        outcome.must_be_zero("alerts whose window did not call", alerted.difference(&called).count() as u64);
        outcome
    }

    /// Compares the dead letters with those that were to come of the load.
    pub fn compare_dead_letters(&mut self, expected: &Value) {
        if !self.dead_letters_are_of(expected) {
            self.faults.push(format!("dead letters: {expected} were expected, {:?} are there", self.dead_letters));
        }
    }

    /// Whether the dead letters are those that were to come of the load.
    pub fn dead_letters_are_of(&self, expected: &Value) -> bool {
        serde_json::from_value::<BTreeMap<String, u64>>(expected.clone())
            .is_ok_and(|counts| counts == self.dead_letters)
    }

    fn must_be_zero(&mut self, what: &str, count: u64) {
        if count > 0 {
            self.faults.push(format!("{what}: {count}"));
        }
    }
}

/// Reads all messages of a stream, each with the time it was stored. Fence markers and the like are no messages.
async fn each<T: Message>(bus: &Bus, stream: Stream, mut take: impl FnMut(T, u64)) {
    let mut reader = OrderedReader::open(bus, stream, Vec::new(), 1).await.expect("the broker answers");
    while let Some(entry) = reader.next_within(END_OF_STREAM).await.expect("the broker answers") {
        if let Ok(message) = T::decode(&entry.payload) {
            take(message, entry.stored_at_ms);
        }
    }
}

/// The distribution of times, in milliseconds.
pub fn latency(ways: &[Way], from_ms: u64, to_ms: u64) -> Value {
    let mut times: Vec<f64> =
        ways.iter().filter(|way| (from_ms..to_ms).contains(&way.observed_at_ms)).map(|way| way.ms()).collect();
    times.sort_by(f64::total_cmp);
    json!({
        "count": times.len(),
        "p50_ms": percentile(&times, 50.0),
        "p90_ms": percentile(&times, 90.0),
        "p99_ms": percentile(&times, 99.0),
        "p99_9_ms": percentile(&times, 99.9),
        "max_ms": times.last(),
    })
}

/// The time that this share of the messages did not exceed: the nearest rank.
pub fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map(|time| rounded(*time, 1))
}
