//! What sensors, networks and people make of a patient's true values: gaps, stuck and mad readings, repetitions, delays.
//!
//! Each fault says what should become of it, so that a run can be checked against what was expected.

use hygeia_protocol::code::Code;
use hygeia_protocol::observation::Rejection;

use super::course::VITALS;
use super::rng::Rng;

/// Share of the single values that never arrive.
const MISSING: f64 = 0.02;
/// Gaps of a whole monitor that begin in an hour: leads off, transport, a dead battery.
const GAPS_PER_HOUR: f64 = 0.1;
/// Their length, in minutes.
const GAP_MIN: [f64; 2] = [10.0, 40.0];
/// Sensors that get stuck in an hour, and for how many minutes.
const STUCK_PER_HOUR: f64 = 0.02;
const STUCK_MIN: [f64; 2] = [10.0, 30.0];
/// Share of the values that are a spike: high or low, but one that a patient could have.
const SPIKES: f64 = 0.000_5;
/// Share of the values that arrive late, but in time for their window.
const HELD_BACK: f64 = 0.002;
/// Shares of the values beside which something arrives that must be refused.
const NO_VALUE: f64 = 0.001;
const RETRANSMITTED: f64 = 0.000_5;
const REPLAYED: f64 = 0.000_1;
const TOO_LATE: f64 = 0.000_1;
const TRUNCATED: f64 = 0.000_1;
/// Share of the values that are sent twice, byte for byte.
const COPIED: f64 = 0.001;

/// What is sent instead of a value, or beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Instead: what devices send for "no value".
    NoValue,
    /// Instead: the value, later.
    HeldBack,
    /// Beside: the same sequence number under a new time.
    Retransmitted,
    /// Beside: a sequence number of long ago.
    Replayed,
    /// Beside: a value whose windows are all closed.
    TooLate,
    /// Beside: half of a message.
    Truncated,
    /// Beside: the same bytes again.
    Copied,
}

impl Fault {
    /// What the oracle must say of it; `None` where it must take it, or where the broker drops it.
    pub fn refusal(self) -> Option<Rejection> {
        match self {
            Self::NoValue => Some(Rejection::ImplausibleValue),
            Self::Retransmitted => Some(Rejection::Duplicate),
            Self::Replayed => Some(Rejection::ReplayedSequence),
            Self::TooLate => Some(Rejection::TooLate),
            Self::Truncated => Some(Rejection::Malformed),
            Self::HeldBack | Self::Copied => None,
        }
    }
}

/// The bedside monitor of one patient.
#[derive(Debug, Clone, Default)]
pub struct Monitor {
    /// Until when it sends nothing, in hours on the patient's clock.
    silent_until_h: f64,
    /// The sensor that repeats itself, its value, and until when.
    stuck: Option<(usize, i32, f64)>,
}

impl Monitor {
    /// What the monitor sends of the true values at `now_h`, `step_h` after it sent last: each value with its fault.
    pub fn read(
        &mut self,
        rng: &mut Rng,
        truth: [(Code, i32); VITALS],
        now_h: f64,
        step_h: f64,
    ) -> Vec<(Code, i32, Option<Fault>)> {
        if rng.chance(GAPS_PER_HOUR * step_h) {
            self.silent_until_h = now_h + minutes(rng, GAP_MIN);
        }
        if now_h < self.silent_until_h {
            return Vec::new();
        }
        let values = self.with_stuck_sensor(rng, truth, now_h, step_h);
        values
            .into_iter()
            .filter_map(|(code, value)| {
                let arrives = !rng.chance(MISSING);
                arrives.then(|| (code, with_spike(rng, code, value), fault(rng)))
            })
            .collect()
    }

    fn with_stuck_sensor(
        &mut self,
        rng: &mut Rng,
        mut values: [(Code, i32); VITALS],
        now_h: f64,
        step_h: f64,
    ) -> [(Code, i32); VITALS] {
        if rng.chance(STUCK_PER_HOUR * step_h) {
            let index = (rng.unit() * VITALS as f64) as usize;
            let value = values.get(index).map_or(0, |(_, value)| *value);
            self.stuck = Some((index, value, now_h + minutes(rng, STUCK_MIN)));
        }
        if let Some((index, value, until_h)) = self.stuck
            && now_h < until_h
            && let Some(sensor) = values.get_mut(index)
        {
            sensor.1 = value;
        }
        values
    }
}

/// Observations that a value becomes on average, when its monitor is not silent: those that must be refused, and copies,
/// come beside it.
pub const MESSAGES_PER_VALUE: f64 = (1.0 - MISSING) * (1.0 + RETRANSMITTED + REPLAYED + TOO_LATE + TRUNCATED + COPIED);

/// Share of the time that a monitor is silent.
pub const SILENT_SHARE: f64 = {
    let [least, most] = GAP_MIN;
    let gap_h = (least + most) / 2.0 / 60.0;
    gap_h / (1.0 / GAPS_PER_HOUR + gap_h)
};

fn fault(rng: &mut Rng) -> Option<Fault> {
    let shares = [
        (NO_VALUE, Fault::NoValue),
        (HELD_BACK, Fault::HeldBack),
        (RETRANSMITTED, Fault::Retransmitted),
        (REPLAYED, Fault::Replayed),
        (TOO_LATE, Fault::TooLate),
        (TRUNCATED, Fault::Truncated),
        (COPIED, Fault::Copied),
    ];
    let mut drawn = rng.unit();
    for (share, fault) in shares {
        if drawn < share {
            return Some(fault);
        }
        drawn -= share;
    }
    None
}

fn with_spike(rng: &mut Rng, code: Code, value: i32) -> i32 {
    if !rng.chance(SPIKES) {
        return value;
    }
    let spec = code.spec();
    let far = rng.between(f64::from(spec.min_milli), f64::from(spec.max_milli));
    far as i32
}

fn minutes(rng: &mut Rng, [least, most]: [f64; 2]) -> f64 {
    rng.between(least, most) / 60.0
}
