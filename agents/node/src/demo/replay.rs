//! The replayer: publishes real stays as observations, at a chosen speed, in the order in which they were known.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hygeia_inference::ClinicalState;
use hygeia_protocol::identity::{DeviceId, PatientId};
use hygeia_protocol::observation::Observation;
use hygeia_protocol::subject::{self, Partitioner};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::stays::Stay;
use crate::bus::Bus;
use crate::clock::now_s;
use crate::convert::clinical_state;
use crate::telemetry::trace;

/// Observations sent but not yet acknowledged by the broker, at most.
const IN_FLIGHT_MAX: usize = 256;

/// How far the replay has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// Observations the broker has stored.
    pub published: u64,
    /// Measurements that are no observation (implausible in the source); not published.
    pub skipped: u64,
    /// Seconds of the stays replayed.
    pub stay_s: u64,
}

/// An observation and when it became known.
pub struct Event {
    /// Seconds since the epoch.
    pub at_s: u64,
    /// What is published then.
    pub observation: Observation,
}

/// The pseudonym a stay is replayed under.
pub fn pseudonym(stay: &Stay, run: &str) -> Result<PatientId> {
    PatientId::new(&format!("stay-{run}-{:03}", stay.number)).context("a stay's pseudonym is well formed")
}

/// Publishes all observations of `stays`, `speed` seconds of stay per second. All stays begin together.
pub async fn replay(
    bus: &Bus,
    partitioner: &Partitioner,
    stays: &[Stay],
    run: &str,
    speed: f64,
    progress: &watch::Sender<Progress>,
    stop: &CancellationToken,
) -> Result<Progress> {
    let (events, skipped) = schedule(stays, run)?;
    let mut done = Progress { skipped, ..Progress::default() };
    let mut in_flight = FuturesUnordered::new();
    let started = tokio::time::Instant::now();
    let begin_s = events.first().map_or(0, |event| event.at_s);
    for event in &events {
        let stay_s = event.at_s - begin_s;
        let due = started + Duration::from_secs_f64(stay_s as f64 / speed.max(1e-6));
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep_until(due) => {}
        }
        let observation = &event.observation;
        let subject = subject::observation(partitioner.of(observation.patient()));
        let id = observation.message_id();
        let sent = trace::within(trace::begin(), bus.send(subject, &id, observation.encode())).await?;
        in_flight.push(sent.into_future());
        while in_flight.len() >= IN_FLIGHT_MAX {
            take_acknowledgement(&mut in_flight, &mut done).await?;
        }
        done.stay_s = stay_s;
        progress.send_replace(done);
    }
    while !in_flight.is_empty() {
        take_acknowledgement(&mut in_flight, &mut done).await?;
    }
    progress.send_replace(done);
    Ok(done)
}

/// The states an oracle would attest of a stay, one for each hour, without broker, signature or clock.
pub fn states(stay: &Stay) -> Result<Vec<ClinicalState>> {
    let (events, _implausible) = schedule(std::slice::from_ref(stay), "states")?;
    let mut window = PatientWindow::new(WindowConfig::default());
    // What the window refuses (a value that comes too late) the oracle would leave out too.
    let snapshots = events.iter().filter_map(|event| window.observe(&event.observation).ok()).flatten();
    Ok(snapshots.map(|snapshot| clinical_state(&snapshot)).collect())
}

async fn take_acknowledgement<F, T, E>(in_flight: &mut FuturesUnordered<F>, done: &mut Progress) -> Result<()>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    if let Some(acknowledged) = in_flight.next().await {
        acknowledged.context("the broker did not store an observation")?;
        done.published += 1;
    }
    Ok(())
}

/// All observations by time, shifted so that the last is now; and how many measurements were left out.
pub fn schedule(stays: &[Stay], run: &str) -> Result<(Vec<Event>, u64)> {
    let longest_s = stays.iter().map(Stay::length_s).max().unwrap_or(0);
    let begin_s = now_s().saturating_sub(longest_s);
    let mut events = Vec::new();
    let mut skipped = 0;
    for stay in stays {
        let patient = pseudonym(stay, run)?;
        let first_s = stay.measurements.first().map_or(0, |m| m.taken_at_s);
        let mut sequence = std::collections::HashMap::new();
        for measurement in &stay.measurements {
            let at_s = begin_s + u64::try_from(measurement.taken_at_s - first_s).unwrap_or(0);
            let seq = sequence.entry(measurement.device).or_insert(0u64);
            let observation = Observation::new(
                patient.clone(),
                DeviceId::new(measurement.device).context("a device's name is well formed")?,
                *seq,
                measurement.code,
                (measurement.value * 1e3).round() as i32,
                Timestamp::from_seconds(at_s),
            );
            match observation {
                Ok(observation) => {
                    *seq += 1;
                    events.push(Event { at_s, observation });
                }
                Err(_implausible) => skipped += 1,
            }
        }
    }
    events.sort_by_key(|event| event.at_s);
    Ok((events, skipped))
}
