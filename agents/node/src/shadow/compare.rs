//! The candidate's thread: scores what is offered, in batches, and counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::V1;
use hygeia_protocol::registry::Policy;
use hygeia_protocol::shadow::{Opinion, Pair, ShadowReport, Tally};
use hygeia_protocol::time::Timestamp;

use crate::alarm::triage_policy;
use crate::models::served::Served;

/// How far the thread steps back behind those that serve, in units of `nice`.
const NICE: i32 = 10;
/// Windows scored at a time.
const BATCH_MAX: usize = 64;
/// Policies that are compared with at a time; windows of more are dropped.
const POLICIES_MAX: usize = 16;

/// A window that the approved model has scored.
pub(super) struct Offered {
    pub mandate: B32,
    pub end: Timestamp,
    pub features: Vec<i32>,
    pub policy: Policy,
    pub approved: Opinion,
}

/// Scores and counts.
pub(super) struct Comparing {
    candidate: Served,
    threshold: i64,
    by: B32,
    every: Duration,
    now_ms: fn() -> u64,
    from_ms: u64,
    /// One for each policy that windows are scored under.
    tallies: BTreeMap<B32, (Policy, Tally)>,
}

impl Comparing {
    pub(super) fn new(candidate: Served, threshold: i64, by: B32, every: Duration, now_ms: fn() -> u64) -> Self {
        Self { candidate, threshold, by, every, now_ms, from_ms: now_ms(), tallies: BTreeMap::new() }
    }

    /// Compares until nothing can be offered any more; hands out a report now and then, and at the end.
    pub(super) fn run(mut self, offered: &Receiver<Offered>, dropped: &AtomicU64, report: impl Fn(ShadowReport)) {
        // Of this thread alone: those who serve come first.
        if let Err(reason) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!(%reason, "the candidate runs at the priority of the approved model");
        }
        let mut next = Instant::now() + self.every;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            let ended = match offered.recv_timeout(left) {
                Ok(first) => {
                    let batch = std::iter::once(first).chain(offered.try_iter().take(BATCH_MAX - 1)).collect();
                    self.compare(batch, dropped);
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if ended || Instant::now() >= next {
                self.reports(dropped.swap(0, Ordering::Relaxed)).into_iter().for_each(&report);
                next = Instant::now() + self.every;
            }
            if ended {
                return;
            }
        }
    }

    fn compare(&mut self, batch: Vec<Offered>, dropped: &AtomicU64) {
        for offered in batch {
            let Some(candidate) = self.opinion(&offered.features) else {
                dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let Offered { mandate, end, approved, policy, .. } = offered;
            match self.tally(&policy) {
                Some(tally) => tally.take(&Pair { mandate, end, approved, candidate }),
                None => drop(dropped.fetch_add(1, Ordering::Relaxed)),
            }
        }
    }

    /// What the candidate says; nothing where the features are none of its schema's.
    fn opinion(&self, features: &[i32]) -> Option<Opinion> {
        let evaluation = self.candidate.model.network().evaluate(features).ok()?;
        let familiarity = self.candidate.model.guard().judge(features, &evaluation.activations);
        Some(Opinion { score: evaluation.score, is_outside: !familiarity.is_inside() })
    }

    fn tally(&mut self, policy: &Policy) -> Option<&mut Tally> {
        if self.tallies.len() >= POLICIES_MAX && !self.tallies.contains_key(&policy.id) {
            return None;
        }
        let own = triage_policy(self.threshold, policy.cool_down_s);
        let of_policy = || (*policy, Tally::new(triage_policy(policy.threshold, policy.cool_down_s), own));
        Some(&mut self.tallies.entry(policy.id).or_insert_with(of_policy).1)
    }

    /// What was counted since the last time. Dropped windows are told in the first report: whose they were is not known.
    fn reports(&mut self, dropped: u64) -> Vec<ShadowReport> {
        let (from_ms, to_ms) = (self.from_ms, (self.now_ms)());
        self.from_ms = to_ms;
        if let Some((_, first)) = self.tallies.values_mut().next() {
            first.dropped(dropped);
        }
        let report = |(policy, tally): &mut (Policy, Tally)| ShadowReport {
            v: V1,
            approved: policy.model.package,
            policy: policy.id,
            candidate: self.candidate.hash,
            approved_threshold: policy.threshold,
            candidate_threshold: self.threshold,
            by: self.by,
            from_ms,
            to_ms,
            comparison: tally.report(),
        };
        let all = self.tallies.values_mut().map(report);
        all.filter(|report| report.comparison.windows > 0 || report.comparison.dropped > 0).collect()
    }
}
