//! A role's `/metrics`, read back into numbers. What a target says is checked like anything from outside: it is bounded,
//! and a line that does not follow the format or the schema is left out.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;

use super::PATIENCE;
use crate::telemetry::schema::metric_of_series;

/// Longest answer that is read: twenty times what a role with every metric says.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What one target said.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    /// Its address.
    pub url: String,
    /// Its numbers; `None` when it did not answer.
    pub samples: Option<Samples>,
}

/// Numbers by series and by the word of the label, empty for none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Samples {
    series: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Samples {
    /// Reads Prometheus' text format.
    pub fn parse(text: &str) -> Self {
        let mut samples = Self::default();
        for (series, word, value) in text.lines().filter_map(sample) {
            samples.series.entry(series.to_owned()).or_default().insert(word.to_owned(), value);
        }
        samples
    }

    /// The sum over all words; `None` where the series is not there.
    pub fn sum(&self, series: &str) -> Option<f64> {
        self.series.get(series).map(|words| words.values().sum())
    }

    /// One word's number.
    pub fn of(&self, series: &str, word: &str) -> Option<f64> {
        self.series.get(series)?.get(word).copied()
    }

    /// Every word with its number.
    pub fn words(&self, series: &str) -> impl Iterator<Item = (&str, f64)> {
        self.series.get(series).into_iter().flatten().map(|(word, value)| (word.as_str(), *value))
    }
}

/// A line that is a sample of the schema: series, word, value.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (head, value) = line.rsplit_once(' ')?;
    let (series, word) = match head.split_once('{') {
        Some((series, label)) => (series, label.strip_suffix("\"}")?.split_once("=\"")?.1),
        None => (head, ""),
    };
    metric_of_series(series)?;
    value.parse().ok().filter(|value: &f64| value.is_finite()).map(|value| (series, word, value))
}

/// Asks targets.
pub struct Scraper {
    client: reqwest::Client,
}

impl Scraper {
    /// With a client of its own.
    pub fn new() -> Result<Self> {
        let client =
            reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().context("making an HTTP client")?;
        Ok(Self { client })
    }

    /// Asks one target.
    pub async fn scrape(&self, target: &str) -> Scrape {
        let samples = self.read(target).await.ok().map(|text| Samples::parse(&text));
        Scrape { url: target.to_owned(), samples }
    }

    async fn read(&self, target: &str) -> Result<String> {
        let base = if target.contains("://") { target.to_owned() } else { format!("http://{target}") };
        let url = format!("{}/metrics", base.trim_end_matches('/'));
        let mut answer = self.client.get(url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            anyhow::ensure!(body.len() + chunk.len() <= BODY_BYTES_MAX, "the answer is longer than any role's");
            body.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8(body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Role;
    use crate::telemetry::{Counter, Histogram, Metrics};

    #[test]
    fn what_a_role_says_is_read_back() {
        let metrics = Metrics::default();
        metrics.runs(Role::Sentinel);
        metrics.add(Counter::AlertsRaised, "new", 3);
        metrics.count(Counter::AlertsRaised, "escalation");
        metrics.observe(Histogram::ScoringBatch, 3.0);
        let samples = Samples::parse(&metrics.render());
        assert_eq!(samples.sum("hygeia_alerts_raised_total"), Some(4.0));
        assert_eq!(samples.of("hygeia_alerts_raised_total", "new"), Some(3.0));
        assert_eq!(samples.of("hygeia_scoring_batch_windows_bucket", "4"), Some(1.0));
        assert_eq!(samples.sum("hygeia_scoring_batch_windows_sum"), Some(3.0));
        assert!(samples.sum("process_resident_memory_bytes").is_some_and(|bytes| bytes > 0.0));
        assert_eq!(samples.sum("hygeia_triggers_accepted_total"), None, "a steward's");
    }

    #[test]
    fn what_is_not_of_the_schema_is_left_out() {
        let said = "hygeia_windows_scored_total 7\nmade_up 1\nhygeia_windows_attested_total NaN\n\
                    hygeia_alerts_raised_total{kind=\"new} 1\nhygeia_proofs_published_total\n\x1b[2J 1\n";
        let samples = Samples::parse(said);
        assert_eq!(samples.sum("hygeia_windows_scored_total"), Some(7.0));
        assert_eq!(samples.series.len(), 1, "{samples:?}");
    }

    #[tokio::test]
    async fn a_target_that_does_not_answer_has_no_numbers() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let scrape = Scraper::new().unwrap().scrape(&nobody.to_string()).await;
        assert!(scrape.samples.is_none());
    }
}
