//! What a load was and what became of it: the live line, the summary, its JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::publish::Tally;
use super::ward::{Emission, Expected};

/// What should become of the messages sent so far.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// By reason, the dead letters.
    pub dead_letters: BTreeMap<&'static str, u64>,
    /// Messages that the broker should drop.
    pub dropped: u64,
}

impl Expectations {
    /// Takes in a message that was sent.
    pub fn add(&mut self, emission: &Emission) {
        match emission.expected {
            Expected::Accepted => {}
            Expected::Dropped => self.dropped += 1,
            Expected::Refused(reason) => *self.dead_letters.entry(reason.reason()).or_default() += 1,
        }
    }
}

/// A load from its beginning to its end.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Patients.
    pub patients: u32,
    /// Seed of the ward.
    pub seed: u64,
    /// Middle of the pseudonyms.
    pub tag: String,
    /// Whether a vital sign is charted every so many seconds of the patients' time.
    pub chart_every_s: f64,
    /// Seconds of the ward in a second.
    pub speed: f64,
    /// Seconds that enrolment took.
    pub enrolment_s: f64,
    /// When publishing began, in milliseconds since the epoch.
    pub began_at_ms: u64,
    /// Seconds from the first message to the last.
    pub seconds: f64,
    /// Observations asked for in a second.
    pub rate_asked: f64,
    /// Messages sent in a second.
    pub rate: f64,
    /// Messages sent.
    pub sent: u64,
    /// Messages that the broker stored.
    pub stored: u64,
    /// Messages that it held already and dropped.
    pub dropped: u64,
    /// Messages that it did not confirm.
    pub failed: u64,
    /// Messages sent late.
    pub late: u64,
    /// How far one was behind its time at most, in milliseconds.
    pub behind_ms_max: u64,
    /// Whether no more than one message in a thousand was late.
    pub kept_pace: bool,
    /// Messages that the broker should have dropped.
    pub expected_dropped: u64,
    /// Dead letters that should have come of it, by reason.
    pub expected_dead_letters: BTreeMap<&'static str, u64>,
}

impl Summary {
    /// Fills in what was counted.
    pub fn count(&mut self, tally: Tally, expectations: Expectations, took: Duration) {
        self.seconds = rounded(took.as_secs_f64());
        self.rate = rounded(tally.sent as f64 / took.as_secs_f64().max(1e-3));
        self.sent = tally.sent;
        self.stored = tally.stored;
        self.dropped = tally.dropped;
        self.failed = tally.failed;
        self.late = tally.late;
        self.behind_ms_max = tally.behind_ms_max;
        self.kept_pace = tally.late.saturating_mul(1_000) <= tally.sent;
        self.expected_dropped = expectations.dropped;
        self.expected_dead_letters = expectations.dead_letters;
    }

    /// For a person.
    pub fn text(&self) -> String {
        let letters: u64 = self.expected_dead_letters.values().sum();
        let reasons: Vec<String> =
            self.expected_dead_letters.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let pace = match self.kept_pace {
            true => "the pace was kept".to_owned(),
            false => format!(
                "THE PACE WAS NOT KEPT: {} messages left later than {} ms after their time",
                self.late,
                super::publish::LATE.as_millis()
            ),
        };
        format!(
            "{} observations of {} patients in {:.0} s, {:.0} a second of {:.0} asked for; {pace} (at most {} ms behind)\n\
             the broker stored {}, dropped {} copies ({} were sent), and did not confirm {}\n\
             {letters} of them must become dead letters: {}",
            self.sent,
            self.patients,
            self.seconds,
            self.rate,
            self.rate_asked,
            self.behind_ms_max,
            self.stored,
            self.dropped,
            self.expected_dropped,
            self.failed,
            if reasons.is_empty() { "none".to_owned() } else { reasons.join(", ") },
        )
    }
}

/// One line on where it stands.
pub fn live_line(elapsed: Duration, tally: Tally, rate: f64) -> String {
    let in_flight = tally.sent.saturating_sub(tally.stored + tally.dropped + tally.failed);
    format!(
        "{:>6.0} s  {rate:>8.0} a second  sent {}  unconfirmed {in_flight}  failed {}  behind {} ms",
        elapsed.as_secs_f64(),
        tally.sent,
        tally.failed,
        tally.behind_ms,
    )
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
