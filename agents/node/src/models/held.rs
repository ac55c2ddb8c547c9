//! Windows that can neither be scored nor left yet: their model is being made ready, its approval does not count yet, or the
//! oracle has seen a later block than this sentinel.
//!
//! They wait in the order they came in, and a mandate's later windows wait behind its earlier ones. Nothing here is lost by
//! a restart: what is held stands in the partition's snapshot. What waits too long, or finds no room, is handed back to be
//! counted; it is never dropped in silence.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::AttestedWindow;

use super::serving::{Answer, Assignment, Leave, Wait};

/// Windows of one partition that may wait: an hour of a thousand patients, in 2 MB.
pub const HELD_MAX: usize = 1_024;
/// How long a window waits for the block of a mandate that nobody here has seen. A node is behind for seconds; a mandate
/// that was organised away or made up never comes.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(60);

/// A window that waits.
#[derive(Debug, Clone)]
pub struct HeldWindow {
    /// Its place in the stream of windows.
    pub sequence: u64,
    /// The window.
    pub window: AttestedWindow,
    since: Instant,
}

/// The windows of one partition that wait.
#[derive(Debug, Default)]
pub struct Held(VecDeque<HeldWindow>);

/// What looking at the held windows again gave.
#[derive(Default)]
pub struct Released {
    /// To be scored now, in order.
    pub ready: Vec<(HeldWindow, Assignment)>,
    /// To be left, and why.
    pub left: Vec<Why>,
}

/// Why a window that was held is left after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Governance or the patient says so.
    Leave(Leave),
    /// It waited too long.
    TooLong(Wait),
}

impl Why {
    /// The label of a metric.
    pub fn label(self) -> &'static str {
        match self {
            Self::Leave(leave) => leave.label(),
            Self::TooLong(wait) => wait.label(),
        }
    }
}

impl Held {
    /// Keeps a window. Where there is no room the oldest is given up for it.
    pub fn push(&mut self, sequence: u64, window: AttestedWindow, now: Instant) -> Option<HeldWindow> {
        let given_up = if self.0.len() >= HELD_MAX { self.0.pop_front() } else { None };
        self.0.push_back(HeldWindow { sequence, window, since: now });
        given_up
    }

    /// Whether a mandate's windows wait, so that its next one has to wait behind them.
    pub fn holds(&self, mandate: &B32) -> bool {
        self.0.iter().any(|held| held.window.mandate == *mandate)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that wait, in order.
    pub fn iter(&self) -> impl Iterator<Item = &HeldWindow> {
        self.0.iter()
    }

    /// Asks about each window again, at most `most` of which may be scored now.
    pub fn release(&mut self, now: Instant, most: usize, ask: impl Fn(&AttestedWindow) -> Answer) -> Released {
        let mut released = Released::default();
        let mut waiting = BTreeSet::new();
        for held in std::mem::take(&mut self.0) {
            let is_behind = released.ready.len() >= most || waiting.contains(&held.window.mandate);
            let answer = if is_behind { None } else { Some(ask(&held.window)) };
            match answer {
                Some(Answer::Score(assignment)) => released.ready.push((held, assignment)),
                Some(Answer::Leave(leave)) => released.left.push(Why::Leave(leave)),
                Some(Answer::Wait(Wait::Unknown)) if now.duration_since(held.since) >= UNKNOWN_PATIENCE => {
                    released.left.push(Why::TooLong(Wait::Unknown));
                }
                Some(Answer::Wait(_)) | None => {
                    waiting.insert(held.window.mandate);
                    self.0.push_back(held);
                }
            }
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::Device;
    use hygeia_inference::package::ModelPackage;
    use hygeia_protocol::message::{Address, ClinicalSummary, Salt, Signature, V1};
    use hygeia_protocol::registry::{Model, Policy};

    use super::*;
    use crate::models::served::Served;

    fn window(mandate: u8, end: u64) -> AttestedWindow {
        let (mandate, schema) = (B32::new([mandate; 32]), B32::new([9; 32]));
        AttestedWindow {
            v: V1,
            window_id: AttestedWindow::id(&mandate, end, &schema),
            mandate,
            end,
            schema,
            features: Vec::new(),
            salt: Salt::new([0; 16]),
            commitment: B32::new([0; 32]),
            oracle: Address::new([0; 20]),
            signature: Signature::new([0; 65]),
            clinical: ClinicalSummary {
                hours_observed: 0,
                age_years: None,
                sex: None,
                unit: None,
                hours_before_icu: None,
                readings: Default::default(),
            },
            observed_at_ms: 0,
            emitted_at_ms: 0,
        }
    }

    fn score() -> Answer {
        let package = Arc::new(ModelPackage::default_model().clone());
        let hash = B32::new([1; 32]);
        let model = Model { id: hash, package: hash, circuit: hash, verifying_key: hash, proof_system: [0; 4] };
        let policy = Policy {
            id: hash,
            threshold: 0,
            cool_down_s: 1,
            model,
            schema: hash,
            is_live: true,
            is_pending: false,
            is_ended: false,
        };
        Answer::Score(Assignment { policy, model: Arc::new(Served::warm_up(package, &Device::Cpu).unwrap()) })
    }

    fn held(windows: &[(u8, u64)], now: Instant) -> Held {
        let mut held = Held::default();
        for (sequence, (mandate, end)) in (1..).zip(windows) {
            assert!(held.push(sequence, window(*mandate, *end), now).is_none());
        }
        held
    }

    fn places(released: &Released) -> Vec<u64> {
        released.ready.iter().map(|(held, _)| held.sequence).collect()
    }

    #[test]
    fn windows_come_out_in_order_and_behind_those_of_their_mandate() {
        let now = Instant::now();
        let mut held = held(&[(1, 10), (2, 10), (1, 20), (2, 20)], now);
        assert!(held.holds(&B32::new([1; 32])) && !held.holds(&B32::new([3; 32])));
        // Only the later window of the first mandate could be scored: it waits behind the earlier one.
        let released = held.release(now, 9, |window| match (window.mandate.as_bytes()[0], window.end) {
            (1, 10) => Answer::Wait(Wait::NotReady),
            _ => score(),
        });
        assert_eq!((places(&released), held.len()), (vec![2, 4], 2));
        let released = held.release(now, 1, |_| score());
        assert_eq!((places(&released), held.len()), (vec![1], 1), "no more at a time than there is room for");
        assert_eq!(places(&held.release(now, 9, |_| score())), [3]);
        assert!(held.is_empty());
    }

    #[test]
    fn what_is_to_be_left_is_handed_back_with_its_reason() {
        let now = Instant::now();
        let mut held = held(&[(1, 10), (2, 10)], now);
        let released = held.release(now, 9, |_| Answer::Leave(Leave::NotLive));
        assert!(released.ready.is_empty() && held.is_empty());
        assert_eq!(released.left, [Why::Leave(Leave::NotLive); 2]);
    }

    #[test]
    fn a_mandate_nobody_has_seen_is_not_waited_for_for_ever_but_a_model_is() {
        let now = Instant::now();
        let later = now + UNKNOWN_PATIENCE;
        let mut unknown = held(&[(1, 10)], now);
        assert!(unknown.release(later - Duration::from_secs(1), 9, |_| Answer::Wait(Wait::Unknown)).left.is_empty());
        assert_eq!(unknown.release(later, 9, |_| Answer::Wait(Wait::Unknown)).left, [Why::TooLong(Wait::Unknown)]);
        let mut unready = held(&[(1, 10)], now);
        assert!(unready.release(later, 9, |_| Answer::Wait(Wait::NotReady)).left.is_empty());
        assert_eq!(unready.len(), 1);
    }

    #[test]
    fn where_there_is_no_room_the_oldest_is_handed_back() {
        let now = Instant::now();
        let mut held = Held::default();
        for sequence in 0..HELD_MAX as u64 {
            assert!(held.push(sequence, window(1, sequence), now).is_none());
        }
        assert_eq!(held.push(9_999, window(1, 9_999), now).map(|given_up| given_up.sequence), Some(0));
        assert_eq!(held.len(), HELD_MAX);
    }
}
