//! `hygeia gov shadow-report`: everything that was published about a candidate, added up for those who will vote.
//!
//! The file names what it was added up from, so that everybody who reads the same stream makes the same bytes, and a
//! proposal can name them by their hash.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::Message as _;
use hygeia_protocol::shadow::{Comparison, DIFFERENCE_BIN_WIDTH, ShadowReport};
use hygeia_protocol::subject::{self, Stream};
use serde::{Deserialize, Serialize};

use crate::bus::{Bus, Lookup, OrderedReader};

/// A candidate compared with one approved policy, over all that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Content hash of the candidate's package.
    pub candidate: B32,
    /// Content hash of the approved model's package.
    pub approved: B32,
    /// The policy.
    pub policy: B32,
    /// Its threshold.
    pub approved_threshold: i64,
    /// The candidate's.
    pub candidate_threshold: i64,
    /// When counting began, and when it ended.
    pub from_ms: u64,
    /// When it ended.
    pub to_ms: u64,
    /// Identities of the reports that were added up.
    pub reports: Vec<String>,
    /// Their sum.
    pub comparison: Comparison,
}

/// Reads every report about a candidate, and adds up those of the same policies and thresholds.
pub async fn collect(bus: &Bus, candidate: &B32) -> Result<Vec<Evidence>> {
    let subject = subject::shadow(candidate);
    let Some(last) = Lookup::open(bus, Stream::Shadow).await?.last_of(&subject).await? else {
        bail!("nothing was published about candidate {}; run a sentinel with --shadow", candidate.to_hex());
    };
    let mut reader = OrderedReader::open(bus, Stream::Shadow, vec![subject], 1).await?;
    let mut reports = Vec::new();
    loop {
        let entry = reader.next().await?;
        match ShadowReport::decode(&entry.payload) {
            Ok(report) => reports.push(report),
            Err(reason) => tracing::warn!(sequence = entry.sequence, %reason, "a comparison cannot be read"),
        }
        if entry.sequence >= last.sequence {
            return Ok(added(reports));
        }
    }
}

fn added(reports: Vec<ShadowReport>) -> Vec<Evidence> {
    let mut sums: BTreeMap<_, Evidence> = BTreeMap::new();
    for report in reports {
        let key = (report.approved, report.policy, report.approved_threshold, report.candidate_threshold);
        let sum = sums.entry(key).or_insert_with(|| Evidence {
            candidate: report.candidate,
            approved: report.approved,
            policy: report.policy,
            approved_threshold: report.approved_threshold,
            candidate_threshold: report.candidate_threshold,
            from_ms: report.from_ms,
            to_ms: report.to_ms,
            reports: Vec::new(),
            comparison: Comparison::default(),
        });
        let id = report.message_id();
        // The broker drops a repetition for some minutes only.
        if sum.reports.contains(&id) {
            continue;
        }
        sum.reports.push(id);
        sum.from_ms = sum.from_ms.min(report.from_ms);
        sum.to_ms = sum.to_ms.max(report.to_ms);
        sum.comparison.add(&report.comparison);
    }
    sums.into_values().collect()
}

impl Evidence {
    /// The comparison for a person to read.
    pub fn text(&self) -> String {
        let counted = &self.comparison;
        let percent = |part: u64| 100.0 * part as f64 / counted.windows.max(1) as f64;
        let units = |sum: i64| sum as f64 / counted.windows.max(1) as f64 / 1024.0;
        let mut text = String::new();
        // Writing into a text does not fail.
        let _ = writeln!(text, "approved   model {}, threshold {}", self.approved, self.approved_threshold);
        let _ = writeln!(text, "candidate  model {}, threshold {}", self.candidate, self.candidate_threshold);
        let _ = writeln!(text, "windows    {} compared, {} dropped", counted.windows, counted.dropped);
        let _ = writeln!(
            text,
            "agreement  {:.2} % (both over {}, only approved {}, only candidate {}, neither {})",
            percent(counted.agreed()),
            counted.both_over,
            counted.approved_over,
            counted.candidate_over,
            counted.neither_over
        );
        for (name, model) in [("approved", &counted.approved), ("candidate", &counted.candidate)] {
            let _ = writeln!(
                text,
                "{name:<10} {} alerts and {} escalations, {:.2} % outside its validated range, mean score {:.3}",
                model.alerts,
                model.escalations,
                percent(model.outside),
                units(model.score_sum)
            );
        }
        let mean = counted.difference_magnitude_sum as f64 / counted.windows.max(1) as f64 / 1024.0;
        let max = counted.difference_magnitude_max as f64 / 1024.0;
        let _ = writeln!(
            text,
            "difference mean {:+.3}, mean magnitude {mean:.3}, largest {max:.3} (log-odds; bins of {:.3} in the file)",
            units(counted.difference_sum),
            DIFFERENCE_BIN_WIDTH as f64 / 1024.0
        );
        text
    }
}
