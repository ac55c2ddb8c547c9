//! A candidate model beside the approved one, over the same windows: what a vote on the candidate should have before it.
//!
//! A [`Tally`] takes pairs of scores of one mandate's windows in order and counts; [`Comparison`] is what it has counted, in
//! whole numbers, so that two comparisons of different spans or places add up to that of both, exactly. Neither holds
//! anything of a patient.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::bytes::B32;
use crate::digest::Digest;
use crate::message::{Message, V1};
use crate::time::Timestamp;
use crate::triage::{Triage, TriageOutcome, TriagePolicy};

/// Bins of the histogram of differences: the outermost two hold everything beyond.
pub const DIFFERENCE_BINS: usize = 34;
/// Width of an inner bin in score units, an eighth of one unit of log-odds: differences from -2048 to 2047 have bins.
pub const DIFFERENCE_BIN_WIDTH: i64 = 128;
/// Mandates whose alarms are followed at a time. Past it a new one's windows are still compared, but call nobody.
pub const MANDATES_MAX: usize = 100_000;

/// A window that both models scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Whose window; it goes no further than the tally.
    pub mandate: B32,
    /// The window's end.
    pub end: Timestamp,
    /// What the approved model says.
    pub approved: Opinion,
    /// What the candidate says.
    pub candidate: Opinion,
}

/// What a model says of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// Its score.
    pub score: i64,
    /// Whether the window is unlike those that the model was validated on.
    pub is_outside: bool,
}

/// How many of the compared windows were what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Windows compared.
    pub windows: u64,
    /// Both scores at or above the model's own threshold.
    pub both_over: u64,
    /// Only the approved model's.
    pub approved_over: u64,
    /// Only the candidate's.
    pub candidate_over: u64,
    /// Neither.
    pub neither_over: u64,
    /// What each model does by itself.
    pub approved: Behaviour,
    /// The same of the candidate.
    pub candidate: Behaviour,
    /// Candidate's score less the approved one's: sum over all windows.
    pub difference_sum: i64,
    /// Sum of the differences' magnitudes.
    pub difference_magnitude_sum: u64,
    /// Largest magnitude.
    pub difference_magnitude_max: u64,
    /// Differences by size; see [`DIFFERENCE_BINS`].
    pub difference_histogram: Vec<u64>,
    /// Windows that the candidate should have scored and that were dropped, because it was behind.
    pub dropped: u64,
}

/// What one model does with the windows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// Calls for people: the first of an episode or after a cool-down.
    pub alerts: u64,
    /// Calls because a score rose well above the last one called for.
    pub escalations: u64,
    /// Windows unlike those that the model was validated on.
    pub outside: u64,
    /// Sum of its scores.
    pub score_sum: i64,
}

/// Counts pairs.
#[derive(Clone, Debug)]
pub struct Tally {
    policies: [TriagePolicy; 2],
    comparison: Comparison,
    alarms: HashMap<B32, [Triage; 2]>,
}

/// A comparison over a span of time, published for those who will vote. Whoever compares names it by its content's hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowReport {
    /// Version.
    pub v: V1,
    /// Content hash of the approved model's package.
    pub approved: B32,
    /// The approved policy whose threshold counts.
    pub policy: B32,
    /// Content hash of the candidate's package.
    pub candidate: B32,
    /// Threshold of the policy.
    pub approved_threshold: i64,
    /// Threshold that the candidate would have.
    pub candidate_threshold: i64,
    /// Who compared: a random name for each start, so that reports of several can be told apart and added up.
    pub by: B32,
    /// When counting began.
    pub from_ms: u64,
    /// When it ended.
    pub to_ms: u64,
    /// What was counted.
    pub comparison: Comparison,
}

impl Comparison {
    /// Adds what was counted elsewhere or at another time. Both count the same two models.
    pub fn add(&mut self, other: &Comparison) {
        self.windows = self.windows.saturating_add(other.windows);
        self.both_over = self.both_over.saturating_add(other.both_over);
        self.approved_over = self.approved_over.saturating_add(other.approved_over);
        self.candidate_over = self.candidate_over.saturating_add(other.candidate_over);
        self.neither_over = self.neither_over.saturating_add(other.neither_over);
        self.approved.add(&other.approved);
        self.candidate.add(&other.candidate);
        self.difference_sum = self.difference_sum.saturating_add(other.difference_sum);
        self.difference_magnitude_sum = self.difference_magnitude_sum.saturating_add(other.difference_magnitude_sum);
        self.difference_magnitude_max = self.difference_magnitude_max.max(other.difference_magnitude_max);
        self.difference_histogram.resize(DIFFERENCE_BINS, 0);
        for (bin, more) in self.difference_histogram.iter_mut().zip(&other.difference_histogram) {
            *bin = bin.saturating_add(*more);
        }
        self.dropped = self.dropped.saturating_add(other.dropped);
    }

    /// Windows on which both models agree whether the score calls for somebody.
    #[must_use]
    pub fn agreed(&self) -> u64 {
        self.both_over.saturating_add(self.neither_over)
    }

    fn count(&mut self, pair: &Pair, over: [bool; 2]) {
        self.windows = self.windows.saturating_add(1);
        let which = match over {
            [true, true] => &mut self.both_over,
            [true, false] => &mut self.approved_over,
            [false, true] => &mut self.candidate_over,
            [false, false] => &mut self.neither_over,
        };
        *which = which.saturating_add(1);
        let difference = pair.candidate.score.saturating_sub(pair.approved.score);
        let magnitude = difference.unsigned_abs();
        self.difference_sum = self.difference_sum.saturating_add(difference);
        self.difference_magnitude_sum = self.difference_magnitude_sum.saturating_add(magnitude);
        self.difference_magnitude_max = self.difference_magnitude_max.max(magnitude);
        self.difference_histogram.resize(DIFFERENCE_BINS, 0);
        if let Some(bin) = self.difference_histogram.get_mut(bin_of(difference)) {
            *bin = bin.saturating_add(1);
        }
    }
}

/// Which bin holds a difference.
#[must_use]
pub fn bin_of(difference: i64) -> usize {
    let inner = i64::try_from(DIFFERENCE_BINS.saturating_sub(2)).unwrap_or(i64::MAX);
    let from_lowest = difference.div_euclid(DIFFERENCE_BIN_WIDTH).saturating_add(inner / 2);
    usize::try_from(from_lowest.clamp(-1, inner).saturating_add(1)).unwrap_or(0)
}

impl Behaviour {
    fn add(&mut self, other: &Behaviour) {
        self.alerts = self.alerts.saturating_add(other.alerts);
        self.escalations = self.escalations.saturating_add(other.escalations);
        self.outside = self.outside.saturating_add(other.outside);
        self.score_sum = self.score_sum.saturating_add(other.score_sum);
    }

    fn count(&mut self, opinion: &Opinion, outcome: Option<TriageOutcome>) {
        match outcome {
            Some(TriageOutcome::Alert { escalation: true }) => self.escalations = self.escalations.saturating_add(1),
            Some(TriageOutcome::Alert { escalation: false }) => self.alerts = self.alerts.saturating_add(1),
            _ => {}
        }
        self.outside = self.outside.saturating_add(u64::from(opinion.is_outside));
        self.score_sum = self.score_sum.saturating_add(opinion.score);
    }
}

impl Tally {
    /// Counts by these triage policies: the approved model's, and the one that the candidate would have.
    #[must_use]
    pub fn new(approved: TriagePolicy, candidate: TriagePolicy) -> Tally {
        let comparison = Comparison { difference_histogram: vec![0; DIFFERENCE_BINS], ..Comparison::default() };
        Tally { policies: [approved, candidate], comparison, alarms: HashMap::new() }
    }

    /// Counts a window.
    pub fn take(&mut self, pair: &Pair) {
        let opinions = [pair.approved, pair.candidate];
        let [approved, candidate] = &self.policies;
        let over = [pair.approved.score >= approved.threshold, pair.candidate.score >= candidate.threshold];
        self.comparison.count(pair, over);
        let [first, second] = self.outcomes(pair, opinions);
        self.comparison.approved.count(&pair.approved, first);
        self.comparison.candidate.count(&pair.candidate, second);
    }

    /// Notes a window that the candidate did not come to.
    pub fn dropped(&mut self, windows: u64) {
        self.comparison.dropped = self.comparison.dropped.saturating_add(windows);
    }

    /// What was counted since the last call. Alarms that are raised stay so.
    pub fn report(&mut self) -> Comparison {
        let empty = Comparison { difference_histogram: vec![0; DIFFERENCE_BINS], ..Comparison::default() };
        std::mem::replace(&mut self.comparison, empty)
    }

    fn outcomes(&mut self, pair: &Pair, opinions: [Opinion; 2]) -> [Option<TriageOutcome>; 2] {
        if self.alarms.len() >= MANDATES_MAX && !self.alarms.contains_key(&pair.mandate) {
            return [None, None];
        }
        let policies = self.policies;
        let alarms = self.alarms.entry(pair.mandate).or_insert_with(|| policies.map(Triage::new));
        let [approved, candidate] = alarms;
        let [first, second] = opinions;
        [Some(approved.step(first.score, pair.end)), Some(candidate.step(second.score, pair.end))]
    }
}

impl Message for ShadowReport {
    const TYPE: &'static str = "hygeia/shadow-report/v1";

    fn identity(&self, digest: Digest) -> Digest {
        digest
            .field(self.approved.as_bytes())
            .field(self.policy.as_bytes())
            .field(self.candidate.as_bytes())
            .field(self.by.as_bytes())
            .integer(self.from_ms)
            .integer(self.to_ms)
    }
}
