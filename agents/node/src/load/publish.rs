//! Publishing at a pace that the system's answer does not change: an open loop.
//!
//! Each message has its time. What could not be sent then is sent as soon as it can be, and counted as late: the load never
//! slows down because the system is slow, so a backlog shows where it arises.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::context::PublishAckFuture;
use hygeia_protocol::observation::Observation;
use hygeia_protocol::subject::{self, Partition};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ward::{Emission, Expected, Ward};
use crate::bus::Bus;

/// Messages that the broker has not confirmed yet, at most: a fifth of a second at 20,000 a second. Above that the broker
/// is what is slow, and the delay counts as lateness.
const IN_FLIGHT_MAX: usize = 4_096;
/// A message sent this long after its time is late: well above the millisecond that timers keep.
pub const LATE: Duration = Duration::from_millis(50);

/// How the ward's time passes: at a speed that may rise evenly to another.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Seconds of the ward in a second, at the beginning.
    pub speed: f64,
    /// And at the end.
    pub speed_at_end: f64,
    /// How long it goes on; for ever when `None`, at the first speed then.
    pub length: Option<Duration>,
}

impl Pace {
    /// How much of the ward's time passes in all, in milliseconds.
    pub fn ward_ms(&self) -> Option<u64> {
        let length_s = self.length?.as_secs_f64();
        Some((length_s * (self.speed + self.speed_at_end) / 2.0 * 1e3) as u64)
    }

    /// When the ward's time has come to this, counted from the start.
    pub fn due(&self, at_ms: u64) -> Duration {
        let ward_s = at_ms as f64 / 1e3;
        let rise = self.length.map_or(0.0, |length| (self.speed_at_end - self.speed) / length.as_secs_f64());
        // The ward's time is speed × t + rise × t² / 2. Written so that no difference of near numbers is taken.
        let root = (self.speed * self.speed + 2.0 * rise * ward_s).max(0.0).sqrt();
        Duration::from_secs_f64(2.0 * ward_s / (self.speed + root))
    }
}

/// What was sent and what became of it. Read while it is counted, for the live line.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    stored: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    late: AtomicU64,
    behind_us: AtomicU64,
    behind_us_max: AtomicU64,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages sent.
    pub sent: u64,
    /// Messages that the broker has stored.
    pub stored: u64,
    /// Messages that it held already.
    pub dropped: u64,
    /// Messages that it did not confirm.
    pub failed: u64,
    /// Messages sent later than [`LATE`] after their time.
    pub late: u64,
    /// How far the last one was behind its time, in milliseconds.
    pub behind_ms: u64,
    /// How far any was.
    pub behind_ms_max: u64,
}

impl Counts {
    /// The counts now.
    pub fn tally(&self) -> Tally {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Tally {
            sent: read(&self.sent),
            stored: read(&self.stored),
            dropped: read(&self.dropped),
            failed: read(&self.failed),
            late: read(&self.late),
            behind_ms: read(&self.behind_us) / 1_000,
            behind_ms_max: read(&self.behind_us_max) / 1_000,
        }
    }

    fn sent_behind(&self, behind: Duration) {
        let behind_us = u64::try_from(behind.as_micros()).unwrap_or(u64::MAX);
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.late.fetch_add(u64::from(behind > LATE), Ordering::Relaxed);
        self.behind_us.store(behind_us, Ordering::Relaxed);
        self.behind_us_max.fetch_max(behind_us, Ordering::Relaxed);
    }
}

/// Publishes a ward's messages at their time until the pace ends or `stop`; `expect` is told of each one sent.
pub async fn publish(
    bus: &Bus,
    ward: &mut Ward,
    partitions: &[Partition],
    pace: Pace,
    counts: &Arc<Counts>,
    expect: &mut (dyn FnMut(&Emission) + Send),
    stop: &CancellationToken,
) -> Result<()> {
    // Closed when this function has sent its last message; the collector then ends with the last confirmation.
    let (confirm, confirmations) = mpsc::channel(IN_FLIGHT_MAX);
    let collector = tokio::spawn(collect(confirmations, counts.clone()));
    let end_ms = pace.ward_ms().unwrap_or(u64::MAX);
    let started = Instant::now();
    for emission in ward {
        if emission.at_ms >= end_ms || stop.is_cancelled() {
            break;
        }
        let due = started + pace.due(emission.at_ms);
        if due > Instant::now() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(due) => {}
            }
        }
        expect(&emission);
        let partition = partitions.get(emission.patient as usize).context("every patient has a partition")?;
        let id = Observation::message_id_of(&emission.message);
        let sent = bus.send(subject::observation(*partition), &id, emission.message).await;
        let sent = sent.context("the broker takes no observations")?;
        counts.sent_behind(due.elapsed());
        if confirm.send((sent, emission.expected)).await.is_err() {
            break;
        }
    }
    drop(confirm);
    collector.await.context("collecting the broker's confirmations was cut off")
}

/// Takes confirmations in the order of sending, which is the order the broker gives them in.
async fn collect(mut confirmations: mpsc::Receiver<(PublishAckFuture, Expected)>, counts: Arc<Counts>) {
    while let Some((confirmation, expected)) = confirmations.recv().await {
        match confirmation.await {
            Ok(stored) if stored.duplicate => {
                counts.dropped.fetch_add(1, Ordering::Relaxed);
                if expected != Expected::Dropped {
                    tracing::warn!("the broker held a message already that was sent once");
                }
            }
            Ok(_) => {
                counts.stored.fetch_add(1, Ordering::Relaxed);
            }
            Err(reason) => {
                counts.failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%reason, "the broker did not confirm a message");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pace: Pace, at_s: f64, due_s: f64) {
        let due = pace.due((at_s * 1e3) as u64).as_secs_f64();
        assert!((due - due_s).abs() < 1e-6, "{due} s, not {due_s} s");
    }

    #[test]
    fn an_even_pace_divides_by_the_speed() {
        for length in [None, Some(Duration::from_secs(100))] {
            let pace = Pace { speed: 60.0, speed_at_end: 60.0, length };
            for (at_s, due_s) in [(0.0, 0.0), (60.0, 1.0), (90.0, 1.5), (6_000.0, 100.0)] {
                check(pace, at_s, due_s);
            }
        }
    }

    #[test]
    fn a_rising_pace_ends_when_it_should() {
        let pace = Pace { speed: 10.0, speed_at_end: 50.0, length: Some(Duration::from_secs(20)) };
        assert_eq!(pace.ward_ms(), Some(600_000));
        check(pace, 600.0, 20.0);
        // After half of the time: 10 × 10 s, and the rise of 2 in a second over 10 s.
        check(pace, 200.0, 10.0);
        let falling = Pace { speed: 50.0, speed_at_end: 10.0, ..pace };
        check(falling, 600.0, 20.0);
    }
}
