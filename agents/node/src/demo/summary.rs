//! The demo's last word: counts per hop, latencies, and each trigger with the times that show the order of things.

use hygeia_protocol::bytes::B32;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::audits::Audited;
use super::observer::Observed;
use super::replay::Progress;

/// Triggers listed one by one in the table.
const TRIGGERS_SHOWN: usize = 5;

/// Median and 99th percentile.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentiles {
    /// Half are at most this.
    pub p50: u64,
    /// 99 in 100 are at most this.
    pub p99: u64,
}

/// A trigger the chain has accepted, with the times of its way in milliseconds since the epoch.
#[derive(Debug, Clone, Serialize)]
pub struct Trigger {
    /// The alert that led to it.
    pub alert: String,
    /// The trigger's identifier on chain.
    pub trigger: String,
    /// The transaction.
    pub transaction: String,
    /// Its block.
    pub block: u64,
    /// Gas it used.
    pub gas: u64,
    /// When the alert stood in its stream.
    pub alerted_at_ms: u64,
    /// When its proof had been made and verified.
    pub proved_at_ms: u64,
    /// When the chain's answer was final.
    pub settled_at_ms: u64,
    /// Whether the chain, asked afterwards, holds the trigger as open.
    pub read_back: bool,
}

/// The summary, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Observations the broker stored.
    pub observations: u64,
    /// Observations refused, by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// Windows attested.
    pub windows: u64,
    /// Windows scored.
    pub scored: u64,
    /// Windows scored that are unlike those the model was validated on.
    pub outside_validated_range: u64,
    /// Alerts published.
    pub alerts: usize,
    /// Alerts held back by cool-down or a limit.
    pub suppressed: u64,
    /// Proofs verified and published.
    pub proofs: usize,
    /// Triggers accepted by the chain and read back.
    pub triggers_accepted: usize,
    /// Receipts the chain refused, by its error.
    pub triggers_refused: BTreeMap<String, u64>,
    /// From the closing observation's arrival at the broker to the alert's.
    pub alert_latency_ms: Option<Percentiles>,
    /// Median time of one proof, its verification included.
    pub prove_ms: Option<u64>,
    /// Size of a proof.
    pub proof_bytes: Option<usize>,
    /// Median gas of a trigger.
    pub gas: Option<u64>,
    /// Every alert stood in its stream before its proof existed, every proof before its trigger.
    pub order_holds: bool,
    /// What came of the audit of every inference; none where the engine has no audits.
    pub audit: Option<Audited>,
    /// The accepted triggers.
    pub triggers: Vec<Trigger>,
}

impl Summary {
    /// Sums up; `read_back` says which trigger identifiers the chain holds.
    pub fn new(progress: Progress, seen: &Observed, audit: Option<Audited>, read_back: &dyn Fn(&B32) -> bool) -> Self {
        let mut refused = BTreeMap::new();
        for timeline in seen.alerts.values() {
            if let Some(reason) = timeline.settlement.as_ref().and_then(|s| s.reason.clone()) {
                *refused.entry(reason).or_default() += 1;
            }
        }
        let mut triggers: Vec<Trigger> = seen
            .triggers()
            .map(|(timeline, settlement)| Trigger {
                alert: prefixed(&timeline.alert.alert_id),
                trigger: prefixed(&settlement.trigger_id),
                transaction: prefixed(&settlement.transaction),
                block: settlement.block,
                gas: settlement.gas_used,
                alerted_at_ms: timeline.alerted_at_ms,
                proved_at_ms: timeline.receipt.as_ref().map_or(0, |r| r.proved_at_ms),
                settled_at_ms: settlement.settled_at_ms,
                read_back: read_back(&settlement.trigger_id),
            })
            .collect();
        triggers.sort_by_key(|t| t.alerted_at_ms);
        let receipts: Vec<_> = seen.alerts.values().filter_map(|t| t.receipt.as_ref()).collect();
        let order_holds = seen.alerts.values().all(|t| {
            let proved = t.receipt.as_ref().map(|r| r.proved_at_ms);
            let settled = t.settlement.as_ref().map(|s| s.settled_at_ms);
            proved.is_none_or(|proved| t.alerted_at_ms <= proved && settled.is_none_or(|settled| proved <= settled))
        });
        Self {
            observations: progress.published,
            dead_letters: seen.dead_letters.clone(),
            windows: seen.windows,
            scored: seen.scored,
            outside_validated_range: seen.outside_validated_range,
            alerts: seen.alerts.len(),
            suppressed: seen.suppressed,
            proofs: receipts.len(),
            triggers_accepted: triggers.iter().filter(|t| t.read_back).count(),
            triggers_refused: refused,
            alert_latency_ms: percentiles(&seen.alert_latencies_ms()),
            prove_ms: median(receipts.iter().map(|r| r.prove_ms).collect()),
            proof_bytes: receipts.first().map(|r| r.proof.as_slice().len()),
            gas: median(triggers.iter().map(|t| t.gas).collect()),
            order_holds,
            audit,
            triggers,
        }
    }

    /// Whether the demo showed what it is there to show.
    pub fn succeeded(&self) -> bool {
        self.triggers_accepted > 0 && self.order_holds && self.is_audited()
    }

    /// Whether every inference is proved in audit mode, in batches that the chain has all verified, or none is to be.
    fn is_audited(&self) -> bool {
        self.audit.as_ref().is_none_or(|audit| audit.windows == self.scored && audit.verified_on_chain == audit.batches)
    }

    /// The table for a person.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<34}{value}");
        };
        row("observations stored", self.observations.to_string());
        row("dead-lettered", tally(&self.dead_letters));
        row("windows attested / scored", format!("{} / {}", self.windows, self.scored));
        row("windows outside validated range", self.outside_validated_range.to_string());
        row("alerts (held back)", format!("{} ({})", self.alerts, self.suppressed));
        row("proofs verified", self.proofs.to_string());
        row("triggers accepted and read back", self.triggers_accepted.to_string());
        row("receipts refused by the chain", tally(&self.triggers_refused));
        row("alert latency p50 / p99", or_none(self.alert_latency_ms.map(|p| format!("{} / {} ms", p.p50, p.p99))));
        row("proof time, median", or_none(self.prove_ms.map(|ms| format!("{ms} ms"))));
        row("proof size", or_none(self.proof_bytes.map(|bytes| format!("{bytes} bytes"))));
        row("gas per trigger, median", or_none(self.gas.map(|gas| gas.to_string())));
        if let Some(audit) = &self.audit {
            audit_rows(audit, self.scored, &mut row);
        }
        let order = if self.order_holds { "held for every alert" } else { "BROKEN" };
        row("alert before proof before trigger", order.to_owned());
        for t in self.triggers.iter().take(TRIGGERS_SHOWN) {
            let proved = t.proved_at_ms.saturating_sub(t.alerted_at_ms);
            let settled = t.settled_at_ms.saturating_sub(t.alerted_at_ms);
            let _ = writeln!(
                text,
                "  alert {}: alerted at {}, proved {proved} ms later, final on chain {settled} ms later\n    block {}, gas {}, transaction {}",
                t.alert.get(..12).unwrap_or_default(),
                clock(t.alerted_at_ms),
                t.block,
                t.gas,
                t.transaction,
            );
        }
        if let more @ 1.. = self.triggers.len().saturating_sub(TRIGGERS_SHOWN) {
            let _ = writeln!(text, "  and {more} more: --json lists all");
        }
        text
    }
}

fn audit_rows(audit: &Audited, scored: u64, row: &mut impl FnMut(&str, String)) {
    let Audited { windows, batches, verified_on_chain, receipts, twins_refused, .. } = audit;
    row("inferences proved in audit mode", format!("{windows} of {scored} ({batches} batches)"));
    let milliseconds = |us: Option<u64>| or_none(us.map(|us| format!("{:.1} ms", us as f64 / 1e3)));
    row(
        "audit per inference, CPU / wall",
        format!("{} / {}", milliseconds(audit.cpu_us_per_window), milliseconds(audit.wall_us_per_window)),
    );
    let gas = or_none(audit.gas.map(|gas| gas.to_string()));
    row("audits verified on chain", format!("{verified_on_chain} of {batches}, gas {gas}"));
    row("receipts held / twins refused", format!("{receipts} / {twins_refused}"));
}

fn or_none(value: Option<String>) -> String {
    value.unwrap_or_else(|| "none".to_owned())
}

fn percentiles(sorted: &[u64]) -> Option<Percentiles> {
    let at = |share: f64| {
        let index = (share * sorted.len().saturating_sub(1) as f64).ceil() as usize;
        sorted.get(index).copied()
    };
    Some(Percentiles { p50: at(0.50)?, p99: at(0.99)? })
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn tally(counts: &BTreeMap<String, u64>) -> String {
    match counts.is_empty() {
        true => "none".to_owned(),
        false => counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", "),
    }
}

fn prefixed(id: &B32) -> String {
    format!("0x{}", id.to_hex())
}

/// Time of day (UTC) with milliseconds.
fn clock(at_ms: u64) -> String {
    let s = at_ms / 1_000;
    format!("{:02}:{:02}:{:02}.{:03}", s / 3_600 % 24, s / 60 % 60, s % 60, at_ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_values() {
        for (values, p50, p99) in
            [(vec![7], 7, 7), (vec![1, 2], 2, 2), (vec![1, 2, 3], 2, 3), ((1..=100).collect(), 51, 100)]
        {
            let found = percentiles(&values).unwrap();
            assert_eq!((found.p50, found.p99), (p50, p99), "{values:?}");
        }
        assert!(percentiles(&[]).is_none());
    }
}
