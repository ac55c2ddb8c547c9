//! The telemetry schema: every metric, span and field of a log line that this program puts out stands here. Changing one
//! is a change of interface: alert rules and dashboards are checked against it.
//!
//! A label never holds anything about a patient: it is one of a fixed set of words, and any other word becomes `other`.

pub mod events;
pub mod metrics;

use crate::cli::Role;

/// What stands for a word that a label does not know.
pub const OTHER: &str = "other";

/// What a metric is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts what fell into each of its buckets.
    Histogram,
}

impl Kind {
    /// Its name in Prometheus' text format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label with every word that it may hold, besides [`OTHER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// The words; none where the one value is not known before the program runs.
    pub values: &'static [&'static str],
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, with the unit last.
    pub name: &'static str,
    /// What it is to Prometheus.
    pub kind: Kind,
    /// What its numbers are of.
    pub unit: &'static str,
    /// What it says, in one line.
    pub help: &'static str,
    /// Its label, if any.
    pub label: Option<Label>,
    /// Upper bounds of a histogram's buckets, rising.
    pub buckets: &'static [f64],
    /// The roles that show it from their start; all when empty.
    pub roles: &'static [Role],
}

impl Metric {
    /// How many series of it there are: one, or one for each word of its label and one for all others.
    pub fn series(&self) -> usize {
        self.label.map_or(1, |label| label.values.len() + 1)
    }

    /// The series that a word belongs to.
    pub fn series_of(&self, word: &str) -> usize {
        let Some(label) = self.label else { return 0 };
        label.values.iter().position(|value| *value == word).unwrap_or(label.values.len())
    }

    /// The word of a series; `None` where the metric has no label.
    pub fn word_of(&self, series: usize) -> Option<&'static str> {
        self.label.map(|label| label.values.get(series).copied().unwrap_or(OTHER))
    }

    /// Whether the role shows it from its start.
    pub fn is_of(&self, role: Role) -> bool {
        self.roles.is_empty() || self.roles.contains(&role)
    }
}

/// Every metric, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = Metric> {
    let counters = metrics::Counter::ALL.iter().map(|counter| counter.metric());
    let gauges = metrics::Gauge::ALL.iter().map(|gauge| gauge.metric());
    let ages = metrics::Moment::ALL.iter().map(|moment| moment.metric());
    let histograms = metrics::Histogram::ALL.iter().map(|histogram| histogram.metric());
    let process = metrics::Process::ALL.iter().map(|process| process.metric());
    let used = metrics::Used::ALL.iter().map(|used| used.metric());
    counters.chain(gauges).chain(ages).chain(histograms).chain(process).chain(used)
}

/// The metric that a series of Prometheus' text format belongs to: `_bucket`, `_sum` and `_count` are their histogram's.
pub fn metric_of_series(series: &str) -> Option<Metric> {
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| series.strip_suffix(suffix));
    all().find(|metric| match metric.kind {
        Kind::Histogram => histogram == Some(metric.name),
        Kind::Counter | Kind::Gauge => metric.name == series,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_say_their_kind() {
        let mut seen = BTreeSet::new();
        for metric in all() {
            assert!(seen.insert(metric.name), "{} stands twice", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", metric.name);
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{}", metric.name);
        }
        assert!(seen.len() > 50, "the schema holds every metric, not {}", seen.len());
    }

    #[test]
    fn words_are_unique_and_other_is_nobodys() {
        for metric in all() {
            let words = metric.label.map_or(&[] as &[&str], |label| label.values);
            let distinct: BTreeSet<_> = words.iter().collect();
            assert_eq!(distinct.len(), words.len(), "{}", metric.name);
            assert!(!words.contains(&OTHER), "{}", metric.name);
        }
    }

    #[test]
    fn buckets_rise() {
        for metric in all() {
            assert_eq!(metric.buckets.is_empty(), metric.kind != Kind::Histogram, "{}", metric.name);
            assert!(metric.buckets.is_sorted_by(|a, b| a < b), "{}", metric.name);
        }
    }

    #[test]
    fn a_series_belongs_to_its_metric_alone() {
        let name = |series| metric_of_series(series).map(|metric| metric.name);
        assert_eq!(name("hygeia_alert_latency_seconds_bucket"), Some("hygeia_alert_latency_seconds"));
        assert_eq!(name("hygeia_alerts_raised_total"), Some("hygeia_alerts_raised_total"));
        assert_eq!(name("hygeia_alert_latency_seconds"), None, "a histogram has no series of its own name");
        assert_eq!(name("hygeia_alerts_raised_total_count"), None);
        assert_eq!(name("hygeia_made_up"), None);
    }
}
