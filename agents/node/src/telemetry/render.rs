//! Prometheus' text format, version 0.0.4.

use std::fmt::Write as _;

use super::metrics::Metrics;
use super::process;
use super::schema::metrics::{Counter, Gauge, Histogram, Moment, Process};
use super::schema::{Kind, Metric};
use super::watchdog::Loop;

impl Metrics {
    /// All that is counted and measured here.
    pub fn render(&self) -> String {
        let mut text = self.render_own();
        process::render(&mut text);
        text
    }

    /// [`Metrics::render`] without what the system says of the process.
    pub fn render_own(&self) -> String {
        let mut text = String::new();
        for counter in Counter::ALL {
            let values = self.counter_series(*counter);
            let metric = counter.metric();
            let shown = values.iter().any(|value| *value > 0) || self.is_shown(&metric);
            // A series begins at 0, so that its first event is an increase; `other` appears once it is needed.
            let series = values.iter().enumerate().filter(|(index, value)| **value > 0 || !is_other(&metric, *index));
            samples(&mut text, &metric, series.filter(|_| shown).map(|(index, value)| (index, *value as f64)));
        }
        for gauge in Gauge::ALL {
            let set = self.gauge_series(*gauge).into_iter().enumerate();
            let set = set.filter_map(|(index, value)| Some((index, value?)));
            match gauge {
                Gauge::LoopStuck => samples(&mut text, &gauge.metric(), self.stuck_loops()),
                _ => samples(&mut text, &gauge.metric(), set),
            }
        }
        for moment in Moment::ALL {
            let age = self.age(*moment).map(|age| (0, age.as_secs_f64()));
            samples(&mut text, &moment.metric(), age.into_iter());
        }
        for histogram in Histogram::ALL {
            self.render_histogram(&mut text, *histogram);
        }
        text
    }

    fn stuck_loops(&self) -> impl Iterator<Item = (usize, f64)> {
        let metric = Gauge::LoopStuck.metric();
        let states = Loop::ALL.into_iter().filter_map(|of| Some((of, self.watchdog().is_stuck(of)?)));
        states.map(move |(of, stuck)| (metric.series_of(of.name()), f64::from(u8::from(stuck))))
    }

    fn render_histogram(&self, text: &mut String, histogram: Histogram) {
        let read = self.distributed(histogram);
        let metric = histogram.metric();
        if read.count == 0 && !self.is_shown(&metric) {
            return;
        }
        let name = metric.name;
        head(text, &metric);
        for (bound, count) in &read.cumulated {
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let _ =
            writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {0}\n{name}_sum {1}\n{name}_count {0}", read.count, read.sum);
    }
}

/// What the system says of the process.
pub(super) fn render_process(text: &mut String, process: Process, value: f64) {
    let metric = process.metric();
    match process {
        Process::BuildInfo => {
            head(text, &metric);
            let _ = writeln!(text, "{}{{version=\"{}\"}} 1", metric.name, env!("CARGO_PKG_VERSION"));
        }
        _ => samples(text, &metric, std::iter::once((0, value))),
    }
}

/// A metric's lines; nothing where there is no series.
pub(super) fn samples(text: &mut String, metric: &Metric, series: impl Iterator<Item = (usize, f64)>) {
    let mut series = series.peekable();
    if series.peek().is_some() {
        head(text, metric);
    }
    for (index, value) in series {
        let _ = match (metric.label, metric.word_of(index)) {
            (Some(label), Some(word)) => writeln!(text, "{}{{{}=\"{word}\"}} {value}", metric.name, label.name),
            _ => writeln!(text, "{} {value}", metric.name),
        };
    }
}

fn head(text: &mut String, metric: &Metric) {
    let Metric { name, help, kind, .. } = metric;
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", Kind::name(*kind));
}

fn is_other(metric: &Metric, series: usize) -> bool {
    metric.label.is_some_and(|label| series == label.values.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::expect;

    use super::*;
    use crate::cli::Role;

    #[test]
    fn renders_prometheus_text() {
        let metrics = Metrics::default();
        metrics.count(Counter::ObservationsAccepted, "");
        metrics.count(Counter::AlertsRaised, "new");
        metrics.count(Counter::AlertsRaised, "new");
        metrics.add(Counter::WindowsAudited, "", 239);
        metrics.set(Gauge::AuditBatchesWaiting, 2);
        metrics.set(Gauge::AuditBatchesWaiting, 1);
        metrics.set_to(Gauge::QueueWaiting, "prove", 7.0);
        metrics.set_to(Gauge::DriftDistance, "", 0.125);
        for windows in [1.0, 3.0, 64.0] {
            metrics.observe(Histogram::ScoringBatch, windows);
        }
        expect![[r#"
            # HELP hygeia_observations_accepted_total Observations taken into a patient's window
            # TYPE hygeia_observations_accepted_total counter
            hygeia_observations_accepted_total 1
            # HELP hygeia_alerts_raised_total Alerts published, by kind
            # TYPE hygeia_alerts_raised_total counter
            hygeia_alerts_raised_total{kind="new"} 2
            hygeia_alerts_raised_total{kind="escalation"} 0
            # HELP hygeia_windows_audited_total Windows proved in audit mode, their receipts published
            # TYPE hygeia_windows_audited_total counter
            hygeia_windows_audited_total 239
            # HELP hygeia_audit_batches_waiting Closed audit batches that no prover has taken up yet
            # TYPE hygeia_audit_batches_waiting gauge
            hygeia_audit_batches_waiting 1
            # HELP hygeia_queue_waiting Messages of a queue that nobody holds yet
            # TYPE hygeia_queue_waiting gauge
            hygeia_queue_waiting{kind="prove"} 7
            # HELP hygeia_drift_distance Distance of the served windows to the population the model was validated on
            # TYPE hygeia_drift_distance gauge
            hygeia_drift_distance 0.125
            # HELP hygeia_scoring_batch_windows Windows scored at a time
            # TYPE hygeia_scoring_batch_windows histogram
            hygeia_scoring_batch_windows_bucket{le="1"} 1
            hygeia_scoring_batch_windows_bucket{le="2"} 1
            hygeia_scoring_batch_windows_bucket{le="4"} 2
            hygeia_scoring_batch_windows_bucket{le="8"} 2
            hygeia_scoring_batch_windows_bucket{le="16"} 2
            hygeia_scoring_batch_windows_bucket{le="32"} 2
            hygeia_scoring_batch_windows_bucket{le="64"} 3
            hygeia_scoring_batch_windows_bucket{le="128"} 3
            hygeia_scoring_batch_windows_bucket{le="+Inf"} 3
            hygeia_scoring_batch_windows_sum 68
            hygeia_scoring_batch_windows_count 3
        "#]]
        .assert_eq(&metrics.render_own());
    }

    #[test]
    fn a_roles_counters_begin_at_nothing() {
        let metrics = Metrics::default();
        assert_eq!(metrics.render_own(), "");
        metrics.runs(Role::Steward);
        let text = metrics.render_own();
        assert!(text.contains("\nhygeia_triggers_accepted_total 0\n"), "{text}");
        assert!(text.contains("hygeia_triggers_refused_total{kind=\"NullifierUsed\"} 0\n"), "{text}");
        assert!(!text.contains("other"), "{text}");
        assert!(!text.contains("hygeia_windows_scored_total"), "another role's: {text}");
        assert!(!text.contains("hygeia_signer_balance_ether"), "nobody has asked yet: {text}");
    }

    #[test]
    fn a_moments_age_is_told_once_it_came() {
        let metrics = Metrics::default();
        assert_eq!(metrics.age(Moment::Block), None);
        metrics.saw(Moment::Block);
        assert!(metrics.age(Moment::Block).is_some());
        assert!(metrics.render_own().contains("\nhygeia_block_age_seconds "));
    }

    #[test]
    fn a_loop_that_promised_nothing_is_not_shown() {
        let metrics = Metrics::default();
        metrics.watchdog().within(Loop::Prover, Duration::from_secs(60));
        metrics.watchdog().within(Loop::Steward, Duration::ZERO);
        let text = metrics.render_own();
        assert!(
            text.contains("hygeia_loop_stuck{kind=\"prover\"} 0\nhygeia_loop_stuck{kind=\"steward\"} 1\n"),
            "{text}"
        );
        assert!(!text.contains("oracle"), "{text}");
    }

    #[test]
    fn every_line_belongs_to_the_schema() {
        let metrics = Metrics::default();
        Role::ALL.into_iter().for_each(|role| metrics.runs(role));
        for line in metrics.render().lines().filter(|line| !line.starts_with('#')) {
            let series = line.split(['{', ' ']).next().unwrap();
            assert!(crate::telemetry::schema::metric_of_series(series).is_some(), "{line}");
        }
    }
}
