//! Watching a network while it is loaded, and until it has worked everything off.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hygeia_node::clock::now_ms;
use hygeia_protocol::subject::Stream;
use serde_json::{Value, json};

use super::sample::{self, Depth, Process};
use super::scene::Scene;
use crate::measure::rounded;

/// How often the processes and streams are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A network that has stored nothing new for this long, and has nothing to read, is done.
const QUIET: Duration = Duration::from_secs(3);
/// How long it may take to work a backlog off.
const DRAINED_WITHIN: Duration = Duration::from_secs(240);

/// The network at one moment.
pub struct Sample {
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Processes by name.
    pub processes: BTreeMap<&'static str, Process>,
    /// Streams by name, buckets included.
    pub streams: BTreeMap<String, Depth>,
    /// What the broker's store takes on the disk.
    pub disk_bytes: u64,
}

impl Sample {
    /// Looks at the network, and at the process of a load.
    pub async fn take(scene: &Scene, load: Option<u32>) -> Self {
        let named = scene.processes().into_iter().chain(load.map(|id| ("load", id)));
        Self {
            at_ms: now_ms(),
            processes: named.filter_map(|(name, id)| Some((name, Process::of(id)?))).collect(),
            streams: sample::streams(scene.network.bus.client()).await,
            disk_bytes: sample::disk_bytes(&scene.store()),
        }
    }

    /// Messages that the roles on the way to an alert have not fetched.
    pub fn pending(&self) -> u64 {
        [Stream::Observations, Stream::Windows].map(|stream| sample::depth(&self.streams, stream).pending).iter().sum()
    }

    /// Memory of oracle and sentinel together, which keep something for each patient.
    pub fn patients_kb(&self) -> u64 {
        ["oracle", "sentinel"].iter().filter_map(|role| self.processes.get(role)).map(|role| role.resident_kb).sum()
    }

    fn written(&self) -> u64 {
        [Stream::Windows, Stream::Alerts, Stream::Ledger, Stream::DeadLetters]
            .map(|stream| sample::depth(&self.streams, stream).last)
            .iter()
            .sum()
    }
}

/// A load that has ended, with everything that was seen meanwhile.
pub struct Watched {
    /// The network before the load.
    pub before: Sample,
    /// And each second of it.
    pub samples: Vec<Sample>,
    /// And when everything was worked off.
    pub after: Sample,
    /// What the load says of itself.
    pub summary: Value,
    /// Seconds from the load's end until the network had worked everything off.
    pub drained_s: f64,
}

impl Watched {
    /// Runs a load and watches.
    pub async fn run(scene: &mut Scene, arguments: &[String]) -> Self {
        let before = Sample::take(scene, None).await;
        let load = scene.load(arguments);
        let id = load.id();
        let mut summary = std::pin::pin!(load.summary());
        let mut samples = Vec::new();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let summary = loop {
            tokio::select! {
                summary = &mut summary => break summary,
                _ = ticks.tick() => samples.push(Sample::take(scene, id).await),
            }
        };
        scene.check_roles();
        let (after, drained_s) = drain(scene).await;
        Self { before, samples, after, summary, drained_s }
    }

    /// When the measured part begins and ends.
    pub fn span(&self, warm_up_s: f64) -> (u64, u64) {
        let began = self.summary["began_at_ms"].as_u64().expect("the load says when it began");
        let seconds = self.summary["seconds"].as_f64().expect("the load says how long it took");
        (began + (warm_up_s * 1e3) as u64, began + (seconds * 1e3) as u64)
    }

    /// Cores that each process kept busy in the measured part.
    pub fn cores(&self, (from_ms, to_ms): (u64, u64)) -> Value {
        let inside: Vec<&Sample> = self.samples.iter().filter(|s| (from_ms..=to_ms).contains(&s.at_ms)).collect();
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else { return Value::Null };
        let seconds = (last.at_ms - first.at_ms) as f64 / 1e3;
        let used = |name: &&'static str| {
            let (from, to) = (first.processes.get(name)?, last.processes.get(name)?);
            Some(((*name).to_owned(), json!(rounded((to.cpu_s - from.cpu_s) / seconds, 3))))
        };
        Value::Object(last.processes.keys().filter_map(used).collect())
    }

    /// The most messages that waited for the roles in the measured part, and how many did at its end.
    pub fn backlog(&self, (from_ms, to_ms): (u64, u64)) -> (u64, u64) {
        let inside = self.samples.iter().filter(|s| (from_ms..=to_ms).contains(&s.at_ms)).map(Sample::pending);
        let waiting: Vec<u64> = inside.collect();
        (waiting.iter().copied().max().unwrap_or(0), waiting.last().copied().unwrap_or(0))
    }
}

/// Waits until nothing is read or stored any more; what the network looks like then, and how long it took.
async fn drain(scene: &mut Scene) -> (Sample, f64) {
    let started = Instant::now();
    let mut last_change = Instant::now();
    let mut written = 0;
    loop {
        let sample = Sample::take(scene, None).await;
        if sample.written() != written || sample.pending() > 0 {
            written = sample.written();
            last_change = Instant::now();
        }
        if last_change.elapsed() >= QUIET || started.elapsed() >= DRAINED_WITHIN {
            let drained_s = rounded(last_change.duration_since(started).as_secs_f64(), 1);
            return (sample, drained_s);
        }
        scene.check_roles();
        tokio::time::sleep(EVERY / 2).await;
    }
}

/// Memory and open files of each process, for the record.
pub fn processes(sample: &Sample) -> Value {
    let about = |(name, process): (&&'static str, &Process)| {
        let value =
            json!({ "resident_mb": rounded(process.resident_kb as f64 / 1024.0, 1), "open_files": process.open_files });
        ((*name).to_owned(), value)
    };
    Value::Object(sample.processes.iter().map(about).collect())
}
