//! The numbers behind the schema: one atomic for each series, made when the program starts.
//!
//! An increment takes no lock and allocates nothing, because the oracle makes one for every observation.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::schema::Metric;
use super::schema::metrics::{Counter, Gauge, Histogram, Moment};
use super::watchdog::Watchdog;
use crate::cli::Role;

/// What a sum of a histogram is counted in: a millionth of the metric's unit. 2^64 of them are half a million years of
/// seconds.
const SUM_UNIT: f64 = 1e6;

/// The metrics of the process: what the program itself counts, before and beside its roles.
///
/// Bus and registries are opened before a role knows of them, and Prometheus reads a process: so there is one set.
pub fn process() -> &'static Metrics {
    static PROCESS: LazyLock<Metrics> = LazyLock::new(Metrics::default);
    &PROCESS
}

/// All numbers of one process. Cheap to clone: all clones count together.
#[derive(Clone)]
pub struct Metrics {
    numbers: Arc<Numbers>,
}

pub(super) struct Numbers {
    /// For each counter, one number for each word of its label.
    counters: Vec<Box<[AtomicU64]>>,
    /// Likewise, as the bits of a float; NaN until it is set.
    gauges: Vec<Box<[AtomicU64]>>,
    /// Milliseconds after `started`, plus one; 0 until the moment came.
    moments: Vec<AtomicU64>,
    histograms: Vec<Distribution>,
    /// A bit for each role that runs here.
    roles: AtomicU8,
    ready: AtomicBool,
    started: Instant,
    pub(super) watchdog: Watchdog,
}

/// A histogram's numbers.
struct Distribution {
    bounds: &'static [f64],
    /// Not cumulated; the last is for what is above every bound.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram's numbers at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Distributed {
    /// Upper bound and number of what is not above it.
    pub cumulated: Vec<(f64, u64)>,
    /// All of it.
    pub count: u64,
    /// The sum of what was observed.
    pub sum: f64,
}

impl Default for Metrics {
    fn default() -> Self {
        let series = |metric: Metric, value: u64| (0..metric.series()).map(|_| AtomicU64::new(value)).collect();
        let unset = f64::NAN.to_bits();
        Self {
            numbers: Arc::new(Numbers {
                counters: Counter::ALL.iter().map(|counter| series(counter.metric(), 0)).collect(),
                gauges: Gauge::ALL.iter().map(|gauge| series(gauge.metric(), unset)).collect(),
                moments: Moment::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
                histograms: Histogram::ALL.iter().map(|h| Distribution::new(h.metric().buckets)).collect(),
                roles: AtomicU8::new(0),
                ready: AtomicBool::new(false),
                started: Instant::now(),
                watchdog: Watchdog::default(),
            }),
        }
    }
}

impl Metrics {
    /// Adds one to `counter` under `label` (empty for none).
    pub fn count(&self, counter: Counter, label: &str) {
        self.add(counter, label, 1);
    }

    /// Adds `number` to `counter` under `label` (empty for none). A word that the schema does not know counts as `other`.
    pub fn add(&self, counter: Counter, label: &str, number: u64) {
        let series = counter.metric().series_of(label);
        if let Some(value) = self.numbers.counters.get(counter as usize).and_then(|all| all.get(series)) {
            value.fetch_add(number, Ordering::Relaxed);
        }
    }

    /// Sets what a gauge without a label shows.
    pub fn set(&self, gauge: Gauge, value: u64) {
        self.set_to(gauge, "", value as f64);
    }

    /// Sets what a gauge shows under `label` (empty for none).
    pub fn set_to(&self, gauge: Gauge, label: &str, value: f64) {
        let series = gauge.metric().series_of(label);
        if let Some(shown) = self.numbers.gauges.get(gauge as usize).and_then(|all| all.get(series)) {
            shown.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    /// The moment is now.
    pub fn saw(&self, moment: Moment) {
        if let Some(at) = self.numbers.moments.get(moment as usize) {
            at.store(self.now_ms().saturating_add(1), Ordering::Relaxed);
        }
    }

    /// Notes a duration.
    pub fn took(&self, histogram: Histogram, duration: Duration) {
        self.observe(histogram, duration.as_secs_f64());
    }

    /// Notes the time since a wall clock's reading, of this machine or another: what lies in the future counts as now.
    pub fn took_since_ms(&self, histogram: Histogram, since_ms: u64, now_ms: u64) {
        self.took(histogram, Duration::from_millis(now_ms.saturating_sub(since_ms)));
    }

    /// Notes a value in the metric's unit.
    pub fn observe(&self, histogram: Histogram, value: f64) {
        if let Some(distribution) = self.numbers.histograms.get(histogram as usize) {
            distribution.observe(value);
        }
    }

    /// This role runs here: its metrics are shown from now on, also those that are 0.
    pub fn runs(&self, role: Role) {
        self.numbers.roles.fetch_or(1 << role as u8, Ordering::Relaxed);
    }

    /// The role has connected and rebuilt its state: `/readyz` answers 200 from now on.
    pub fn ready(&self) {
        self.numbers.ready.store(true, Ordering::Release);
    }

    /// Whether [`Metrics::ready`] was called.
    pub fn is_ready(&self) -> bool {
        self.numbers.ready.load(Ordering::Acquire)
    }

    /// What tells whether the loops make progress.
    pub fn watchdog(&self) -> &Watchdog {
        &self.numbers.watchdog
    }

    /// What a counter shows under `label`.
    pub fn counted(&self, counter: Counter, label: &str) -> u64 {
        self.counter_series(counter).get(counter.metric().series_of(label)).copied().unwrap_or(0)
    }

    /// What a histogram holds.
    pub fn distributed(&self, histogram: Histogram) -> Distributed {
        self.numbers.histograms.get(histogram as usize).map(Distribution::read).unwrap_or_default()
    }

    pub(super) fn counter_series(&self, counter: Counter) -> Vec<u64> {
        let all = self.numbers.counters.get(counter as usize);
        all.into_iter().flatten().map(|value| value.load(Ordering::Relaxed)).collect()
    }

    /// The gauge's series that were set.
    pub(super) fn gauge_series(&self, gauge: Gauge) -> Vec<Option<f64>> {
        let all = self.numbers.gauges.get(gauge as usize);
        let read =
            |bits: &AtomicU64| Some(f64::from_bits(bits.load(Ordering::Relaxed))).filter(|value| !value.is_nan());
        all.into_iter().flatten().map(read).collect()
    }

    /// Time since a moment, if it came.
    pub(super) fn age(&self, moment: Moment) -> Option<Duration> {
        let at_ms = self.numbers.moments.get(moment as usize)?.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(self.now_ms().saturating_sub(at_ms)))
    }

    /// Whether one of the roles that run here shows the metric from its start.
    pub(super) fn is_shown(&self, metric: &Metric) -> bool {
        let running = self.numbers.roles.load(Ordering::Relaxed);
        Role::ALL.into_iter().any(|role| running & (1 << role as u8) != 0 && metric.is_of(role))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.numbers.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Distribution {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        // A negative or endless value becomes 0 or the most there is: `as` saturates.
        self.sum.fetch_add((value * SUM_UNIT) as u64, Ordering::Relaxed);
    }

    fn read(&self) -> Distributed {
        let mut count = 0;
        let mut cumulate = |number: &AtomicU64| {
            count += number.load(Ordering::Relaxed);
            count
        };
        let all: Vec<u64> = self.counts.iter().map(&mut cumulate).collect();
        let cumulated = self.bounds.iter().copied().zip(all).collect();
        Distributed { cumulated, count, sum: self.sum.load(Ordering::Relaxed) as f64 / SUM_UNIT }
    }
}

impl Default for Distributed {
    fn default() -> Self {
        Self { cumulated: Vec::new(), count: 0, sum: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_counts_as_other() {
        let metrics = Metrics::default();
        metrics.count(Counter::AlertsRaised, "new");
        metrics.count(Counter::AlertsRaised, "a patient's name");
        metrics.count(Counter::AlertsRaised, "another");
        assert_eq!(metrics.counted(Counter::AlertsRaised, "new"), 1);
        assert_eq!(metrics.counted(Counter::AlertsRaised, "other"), 2);
        assert_eq!(metrics.counted(Counter::AlertsRaised, "escalation"), 0);
    }

    #[test]
    fn a_value_falls_into_the_bucket_that_it_is_not_above() {
        let metrics = Metrics::default();
        for value in [0.5, 1.0, 1.5, 64.0, 1e9] {
            metrics.observe(Histogram::ScoringBatch, value);
        }
        let read = metrics.distributed(Histogram::ScoringBatch);
        let at = |bound: f64| read.cumulated.iter().find(|(b, _)| *b == bound).unwrap().1;
        assert_eq!((at(1.0), at(2.0), at(32.0), at(64.0), at(128.0), read.count), (2, 3, 3, 4, 4, 5));
    }

    #[test]
    fn clones_count_together_from_many_threads() {
        let metrics = Metrics::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let metrics = metrics.clone();
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        metrics.count(Counter::ObservationsAccepted, "");
                        metrics.took(Histogram::AlertLatency, Duration::from_millis(5));
                    }
                });
            }
        });
        assert_eq!(metrics.counted(Counter::ObservationsAccepted, ""), 4_000);
        let latency = metrics.distributed(Histogram::AlertLatency);
        assert_eq!(latency.count, 4_000);
        assert!((latency.sum - 20.0).abs() < 1e-6, "{}", latency.sum);
    }

    #[test]
    fn a_clock_that_runs_behind_gives_no_negative_latency() {
        let metrics = Metrics::default();
        metrics.took_since_ms(Histogram::AlertLatency, 1_000, 900);
        metrics.took_since_ms(Histogram::AlertLatency, 1_000, 1_040);
        let latency = metrics.distributed(Histogram::AlertLatency);
        assert_eq!((latency.count, latency.cumulated[0].1), (2, 1));
    }
}
