//! From two sights of a network to what a person wants to know: rates, latencies, queues, owners.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use super::broker::BrokerState;
use super::scrape::{Samples, Scrape};
use crate::telemetry::{Counter, Gauge, Histogram, Moment};

/// Everything that was seen at one time.
#[derive(Debug, Clone)]
pub struct Sight {
    /// When.
    pub at: Instant,
    /// What each target said.
    pub targets: Vec<Scrape>,
    /// What the broker said.
    pub broker: BrokerState,
}

/// What is shown of two sights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    /// Seconds between the two sights.
    pub seconds: f64,
    /// Each target.
    pub targets: Vec<Target>,
    /// Events a second, by the counter's name.
    pub rates_per_s: BTreeMap<&'static str, f64>,
    /// Alerts published a minute.
    pub alerts_per_minute: f64,
    /// Latencies and durations.
    pub latencies: Vec<Latency>,
    /// Messages that wait and that are in hand, by queue.
    pub queues: BTreeMap<String, Queue>,
    /// Streams of the broker, by name.
    pub streams: BTreeMap<&'static str, StreamLook>,
    /// Whether the broker answered; absent when nobody asked.
    pub broker_up: Option<bool>,
    /// Owners of partitions by role: member → partitions.
    pub owners: BTreeMap<String, BTreeMap<String, Vec<u16>>>,
    /// Number of the newest block that any role has read.
    pub head_block: Option<f64>,
    /// Seconds since a new block was seen, by the role that saw one last.
    pub block_age_s: Option<f64>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    /// Its address.
    pub url: String,
    /// Whether it answered.
    pub up: bool,
    /// Its memory.
    pub memory_bytes: Option<f64>,
    /// Processors it keeps busy.
    pub processors: Option<f64>,
    /// Loops that do not come round.
    pub stuck: Vec<String>,
}

/// A histogram's median and tail, over the time between the sights where anything fell into it, else since the start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// The metric's name.
    pub name: &'static str,
    /// How many it is of.
    pub count: f64,
    /// Half are below.
    pub p50_s: f64,
    /// All but one in a hundred are below.
    pub p99_s: f64,
}

/// A queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Queue {
    /// Messages nobody holds yet.
    pub waiting: f64,
    /// Messages being worked on.
    pub in_hand: f64,
}

/// A stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StreamLook {
    /// Messages it holds.
    pub messages: u64,
    /// Their size.
    pub bytes: u64,
    /// Messages stored a second.
    pub stored_per_s: f64,
}

/// Durations whose median and tail are shown.
const LATENCIES: [Histogram; 6] = [
    Histogram::AlertLatency,
    Histogram::WindowLatency,
    Histogram::PublishRoundTrip,
    Histogram::ProofTime,
    Histogram::AuditProofTime,
    Histogram::SettlementTime,
];

impl Look {
    /// What happened between two sights of the same network.
    pub fn between(before: &Sight, now: &Sight) -> Self {
        let seconds = now.at.saturating_duration_since(before.at).as_secs_f64().max(1e-3);
        let change = |name: &str| increase(before, now, name);
        let rates = Counter::ALL.iter().map(|counter| counter.metric().name);
        let rates_per_s = rates.filter_map(|name| Some((name, change(name)? / seconds))).collect();
        let alerts = change(Counter::AlertsRaised.metric().name).unwrap_or(0.0);
        let max = |name: &str| said(now).filter_map(|samples| samples.sum(name)).reduce(f64::max);
        let min = |name: &str| said(now).filter_map(|samples| samples.sum(name)).reduce(f64::min);
        Self {
            seconds,
            targets: now.targets.iter().map(|target| target_of(before, target, seconds)).collect(),
            rates_per_s,
            alerts_per_minute: alerts / seconds * 60.0,
            latencies: LATENCIES.iter().filter_map(|of| latency(before, now, *of)).collect(),
            queues: queues(now),
            streams: streams(before, now, seconds),
            broker_up: now.broker.is_up,
            owners: owners(&now.broker),
            head_block: max(Gauge::HeadBlock.metric().name),
            block_age_s: min(Moment::Block.metric().name),
        }
    }
}

fn said(sight: &Sight) -> impl Iterator<Item = &Samples> {
    sight.targets.iter().filter_map(|target| target.samples.as_ref())
}

fn samples_of<'a>(sight: &'a Sight, url: &str) -> Option<&'a Samples> {
    sight.targets.iter().find(|target| target.url == url)?.samples.as_ref()
}

/// By how much a series rose over all targets. One that fell was begun anew, so all of it is new.
fn increase(before: &Sight, now: &Sight, series: &str) -> Option<f64> {
    let of_target = |target: &Scrape| {
        let value = target.samples.as_ref()?.sum(series)?;
        // What was not seen before cannot be told to be new.
        let earlier = samples_of(before, &target.url)?.sum(series).unwrap_or(0.0);
        Some(if value < earlier { value } else { value - earlier })
    };
    let increases: Vec<f64> = now.targets.iter().filter_map(of_target).collect();
    (!increases.is_empty()).then(|| increases.iter().sum())
}

fn target_of(before: &Sight, target: &Scrape, seconds: f64) -> Target {
    let samples = target.samples.as_ref();
    let busy = || {
        let used = "process_cpu_seconds_total";
        let earlier = samples_of(before, &target.url)?.sum(used)?;
        Some((samples?.sum(used)? - earlier).max(0.0) / seconds)
    };
    let stuck = samples.into_iter().flat_map(|samples| samples.words(Gauge::LoopStuck.metric().name));
    Target {
        url: target.url.clone(),
        up: samples.is_some(),
        memory_bytes: samples.and_then(|samples| samples.sum("process_resident_memory_bytes")),
        processors: busy(),
        stuck: stuck.filter(|(_, stuck)| *stuck > 0.0).map(|(word, _)| word.to_owned()).collect(),
    }
}

fn latency(before: &Sight, now: &Sight, histogram: Histogram) -> Option<Latency> {
    let metric = histogram.metric();
    let total = buckets(now, metric.name, metric.buckets, |_| None);
    let recent = buckets(now, metric.name, metric.buckets, |url| Some(samples_of(before, url)));
    let (cumulated, count) = if recent.1 > 0.0 { recent } else { total };
    if count <= 0.0 {
        return None;
    }
    let at = |share| quantile(share, metric.buckets, &cumulated, count);
    Some(Latency { name: metric.name, count, p50_s: at(0.5), p99_s: at(0.99) })
}

/// Cumulated buckets and count over all targets, less what `earlier` said of each target; a target that has been begun
/// anew since, or was not seen, is left as it is or out.
fn buckets<'a>(
    now: &Sight,
    name: &str,
    bounds: &[f64],
    earlier: impl Fn(&str) -> Option<Option<&'a Samples>>,
) -> (Vec<f64>, f64) {
    let (series, counted) = (format!("{name}_bucket"), format!("{name}_count"));
    let mut cumulated = vec![0.0; bounds.len()];
    let mut count = 0.0;
    for target in &now.targets {
        let Some(samples) = &target.samples else { continue };
        let before = match earlier(&target.url) {
            Some(None) => continue,
            Some(Some(before)) => Some(before),
            None => None,
        };
        let of = |samples: &Samples, bound: &f64| samples.of(&series, &bound.to_string()).unwrap_or(0.0);
        let is_anew = before.and_then(|before| before.sum(&counted)) > samples.sum(&counted);
        let before = before.filter(|_| !is_anew);
        for (sum, bound) in cumulated.iter_mut().zip(bounds) {
            *sum += of(samples, bound) - before.map_or(0.0, |before| of(before, bound));
        }
        count += samples.sum(&counted).unwrap_or(0.0) - before.and_then(|before| before.sum(&counted)).unwrap_or(0.0);
    }
    (cumulated, count)
}

/// The value below which a share of all lies, as Prometheus' `histogram_quantile` estimates it: evenly spread within a
/// bucket, and at the highest bound where it lies above it.
fn quantile(share: f64, bounds: &[f64], cumulated: &[f64], count: f64) -> f64 {
    let rank = share * count;
    let (mut below, mut lower) = (0.0, 0.0);
    for (bound, up_to) in bounds.iter().zip(cumulated) {
        if *up_to >= rank && *up_to > below {
            return lower + (bound - lower) * ((rank - below) / (up_to - below)).clamp(0.0, 1.0);
        }
        (below, lower) = (*up_to, *bound);
    }
    bounds.last().copied().unwrap_or(0.0)
}

/// What the roles say of their queues, and what the broker says of those that it knows: the broker's word counts.
fn queues(now: &Sight) -> BTreeMap<String, Queue> {
    let mut queues: BTreeMap<String, Queue> = BTreeMap::new();
    for samples in said(now) {
        for (word, waiting) in samples.words(Gauge::QueueWaiting.metric().name) {
            let queue = queues.entry(word.to_owned()).or_default();
            // Replicas tell of the same queue: the greatest is the newest while it grows.
            queue.waiting = queue.waiting.max(waiting);
        }
        for (word, in_hand) in samples.words(Gauge::QueueInHand.metric().name) {
            let queue = queues.entry(word.to_owned()).or_default();
            queue.in_hand = queue.in_hand.max(in_hand);
        }
    }
    for (word, state) in &now.broker.queues {
        queues.insert((*word).to_owned(), Queue { waiting: state.waiting as f64, in_hand: state.in_hand as f64 });
    }
    queues
}

fn streams(before: &Sight, now: &Sight, seconds: f64) -> BTreeMap<&'static str, StreamLook> {
    let look = |(name, state): &(_, crate::bus::StreamState)| {
        let earlier = before.broker.streams.iter().find(|(earlier, _)| earlier == name);
        let stored = earlier.map_or(0, |(_, earlier)| state.last_sequence.saturating_sub(earlier.last_sequence));
        let name: &hygeia_protocol::subject::Stream = name;
        let look = StreamLook { messages: state.messages, bytes: state.bytes, stored_per_s: stored as f64 / seconds };
        (name.name(), look)
    };
    now.broker.streams.iter().map(look).collect()
}

fn owners(broker: &BrokerState) -> BTreeMap<String, BTreeMap<String, Vec<u16>>> {
    let mut by_role: BTreeMap<String, BTreeMap<String, Vec<u16>>> = BTreeMap::new();
    for (role, partitions) in &broker.owners {
        for (partition, owner) in partitions {
            by_role.entry(role.clone()).or_default().entry(owner.clone()).or_default().push(*partition);
        }
    }
    by_role
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::Metrics;

    fn sight(at: Instant, targets: &[(&str, Option<&Metrics>)]) -> Sight {
        let scrape = |(url, metrics): &(&str, Option<&Metrics>)| Scrape {
            url: (*url).to_owned(),
            samples: metrics.map(|metrics| Samples::parse(&metrics.render_own())),
        };
        Sight { at, targets: targets.iter().map(scrape).collect(), broker: BrokerState::default() }
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let (first, second) = (Metrics::default(), Metrics::default());
        let start = Instant::now();
        first.add(Counter::ObservationsAccepted, "", 100);
        second.count(Counter::AlertsRaised, "new");
        let before = sight(start, &[("a", Some(&first)), ("b", Some(&second))]);
        first.add(Counter::ObservationsAccepted, "", 400);
        second.add(Counter::AlertsRaised, "new", 2);
        second.add(Counter::AlertsRaised, "escalation", 1);
        let now = sight(start + Duration::from_secs(2), &[("a", Some(&first)), ("b", Some(&second)), ("c", None)]);
        let look = Look::between(&before, &now);
        assert_eq!(look.rates_per_s["hygeia_observations_accepted_total"], 200.0);
        assert_eq!(look.alerts_per_minute, 90.0);
        assert_eq!(look.targets.iter().map(|target| target.up).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(look.rates_per_s.get("hygeia_proofs_published_total"), None, "nobody tells of it");
    }

    #[test]
    fn a_role_that_began_anew_has_no_negative_rate() {
        let (old, new) = (Metrics::default(), Metrics::default());
        old.add(Counter::WindowsScored, "", 1_000);
        new.add(Counter::WindowsScored, "", 30);
        let start = Instant::now();
        let before = sight(start, &[("a", Some(&old))]);
        let now = sight(start + Duration::from_secs(1), &[("a", Some(&new))]);
        assert_eq!(Look::between(&before, &now).rates_per_s["hygeia_windows_scored_total"], 30.0);
        let unseen = sight(start, &[("a", None)]);
        assert_eq!(Look::between(&unseen, &now).rates_per_s.get("hygeia_windows_scored_total"), None);
    }

    #[test]
    fn latencies_are_of_the_time_between_and_else_of_all() {
        let metrics = Metrics::default();
        let start = Instant::now();
        for _ in 0..100 {
            metrics.took(Histogram::AlertLatency, Duration::from_secs(40));
        }
        let before = sight(start, &[("a", Some(&metrics))]);
        let still = Look::between(&before, &before).latencies;
        assert_eq!((still[0].count, still[0].p50_s), (100.0, 45.0), "nothing new: all of them, spread from 30 to 60 s");
        for _ in 0..100 {
            metrics.took(Histogram::AlertLatency, Duration::from_millis(4));
        }
        let now = sight(start + Duration::from_secs(1), &[("a", Some(&metrics))]);
        let recent = &Look::between(&before, &now).latencies[0];
        assert_eq!((recent.name, recent.count), ("hygeia_alert_latency_seconds", 100.0));
        assert!((0.002..=0.005).contains(&recent.p50_s) && (0.002..=0.005).contains(&recent.p99_s), "{recent:?}");
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        let bounds = [1.0, 2.0, 4.0];
        for (share, cumulated, count, expected) in [
            (0.5, [10.0, 10.0, 10.0], 10.0, 0.5),
            (0.5, [0.0, 10.0, 10.0], 10.0, 1.5),
            (0.99, [50.0, 99.0, 100.0], 100.0, 2.0),
            (0.5, [0.0, 0.0, 0.0], 10.0, 4.0),
            (1.0, [5.0, 5.0, 10.0], 10.0, 4.0),
        ] {
            let found = quantile(share, &bounds, &cumulated, count);
            assert!((found - expected).abs() < 1e-9, "{share} of {cumulated:?}: {found}, not {expected}");
        }
    }
}
