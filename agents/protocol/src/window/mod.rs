//! The window machine: one patient's observations in, a snapshot of the chart at each tick out.
//!
//! Ticks are whole multiples of `tick_s` since the epoch, so all patients tick together. A snapshot of
//! the tick `end` holds what was measured at or before `end`. It is emitted when the machine's clock,
//! the newest measurement seen or the wall clock handed to [`PatientWindow::tick`], has passed `end` by
//! `lateness_s`. From then on it never changes: a measurement that arrives later but is not older than
//! `backfill_s` (a laboratory result counts from when the blood was drawn) enters the windows after it,
//! with its true age.
//!
//! The machine keeps no list of samples. For each variable and each tick it keeps the first, the last,
//! the lowest and the highest value, which gives every field of a [`Reading`] exactly, in memory that
//! does not grow with the sampling rate.

mod facts;
mod pack;
mod sequence;
mod track;

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use self::facts::Facts;
use self::sequence::Sequences;
use self::track::{Sample, Span, Track};
use crate::code::{Code, READINGS, Sex, Unit};
use crate::observation::{Observation, Rejection};
use crate::time::Timestamp;

/// Snapshots emitted at once after a gap. Two days of hourly windows: whatever is older than that has no
/// reading left to carry forward.
pub const CATCH_UP_TICKS_MAX: u64 = 48;

/// Ticks that a trend can reach back: eight hours by the minute. Bounds the memory of a variable.
pub const TREND_TICKS_MAX: u64 = 480;
/// Ticks of the raw window that a snapshot carries.
pub const HOURLY_TICKS: usize = 8;

/// How windows are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowConfig {
    /// Distance of two windows.
    pub tick_s: NonZeroU32,
    /// How long a window waits for measurements that arrive out of order.
    pub lateness_s: u32,
    /// How far before an emitted end a measurement may lie and still count for later windows.
    pub backfill_s: u32,
    /// Length of the trend; rounded up to whole ticks, at most [`TREND_TICKS_MAX`] of them.
    pub trend_s: u32,
    /// A value older than this at the end of a window is absent from it.
    pub carry_forward_s: u32,
}

impl Default for WindowConfig {
    fn default() -> WindowConfig {
        WindowConfig {
            // The model is trained on hourly rows.
            tick_s: NonZeroU32::new(3_600).expect("3,600 is not zero"),
            lateness_s: 300,
            // Most laboratory results are back within four hours of the draw.
            backfill_s: 4 * 3_600,
            trend_s: 8 * 3_600,
            carry_forward_s: 48 * 3_600,
        }
    }
}

/// A patient's chart at the end of a window. `Debug` prints no measurement.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSnapshot {
    /// The tick that the window ends with.
    pub end: Timestamp,
    /// Whole hours since the first observation of the stay.
    pub hours_observed: u32,
    /// Age in whole years.
    pub age_years: Option<u8>,
    /// Sex.
    pub sex: Option<Sex>,
    /// Kind of intensive-care unit.
    pub unit: Option<Unit>,
    /// Whole hours from admission to hospital to admission to intensive care.
    pub hours_before_icu: Option<u32>,
    /// What is known of each variable, by [`Code::slot`].
    pub readings: [Option<Reading>; READINGS],
    /// The raw window: for each variable the last value, in thousandths of the unit, as it stood at the end of each
    /// of the trailing ticks, the newest first.
    pub hourly: [[Option<i32>; HOURLY_TICKS]; READINGS],
}

/// What a window knows of one variable. `Debug` prints no measurement.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The last value, in thousandths of the unit.
    pub value_milli: i32,
    /// Its age at the end of the window, in whole seconds.
    pub age_s: u32,
    /// Last value less the earliest one of the trend; zero where the trend has no value.
    pub delta_milli: i32,
    /// Lowest value of the trend; the last value where the trend has none.
    pub min_milli: i32,
    /// Highest value of the trend; the last value where the trend has none.
    pub max_milli: i32,
}

/// The machine. It is serialisable as a whole, for checkpoints. `Debug` prints no measurement.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatientWindow {
    config: WindowConfig,
    sequences: Sequences,
    tracks: [Track; READINGS],
    facts: Facts,
    /// Where the stay's clock starts; fixed once a window was emitted.
    first: Option<Timestamp>,
    /// The newest instant seen.
    clock: Timestamp,
    /// The newest end that was emitted or passed over.
    closed: Option<Timestamp>,
}

impl WindowSnapshot {
    /// The readings that the window has, by code.
    pub fn readings(&self) -> impl Iterator<Item = (Code, Reading)> + '_ {
        let by_slot = self.readings.iter().enumerate();
        by_slot.filter_map(|(slot, reading)| Code::from_slot(slot).zip(*reading))
    }
}

impl PatientWindow {
    /// A machine that has seen nothing.
    #[must_use]
    pub fn new(config: WindowConfig) -> PatientWindow {
        PatientWindow {
            config,
            sequences: Sequences::default(),
            tracks: Default::default(),
            facts: Facts::default(),
            first: None,
            clock: Timestamp::EPOCH,
            closed: None,
        }
    }

    /// How windows are cut; a checkpoint keeps what it was made with.
    #[must_use]
    pub const fn config(&self) -> &WindowConfig {
        &self.config
    }

    /// Takes one observation of this patient in and returns the snapshots that it completes, oldest first.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`], [`Rejection::ReplayedSequence`] or [`Rejection::TooLate`]; the machine
    /// is then unchanged.
    pub fn observe(&mut self, observation: &Observation) -> Result<Vec<WindowSnapshot>, Rejection> {
        self.sequences.check(observation.device(), observation.seq())?;
        let sample = Sample { at: observation.effective(), value_milli: observation.value_milli() };
        let emitted = match observation.code().slot() {
            Some(slot) => self.measure(slot, sample)?,
            None => {
                self.facts.record(observation.code(), sample);
                Vec::new()
            }
        };
        self.sequences.record(observation.device(), observation.seq());
        Ok(emitted)
    }

    /// Lets the wall clock complete windows while no observation arrives. A replay of old data does not
    /// call this: its clock is the data.
    pub fn tick(&mut self, now: Timestamp) -> Vec<WindowSnapshot> {
        self.first.map_or_else(Vec::new, |first| self.advance(first, now))
    }

    /// True where nothing measured can be carried into a window that ends at `now` or later: the patient
    /// has left, and the machine may be dropped.
    #[must_use]
    pub fn is_spent(&self, now: Timestamp) -> bool {
        let carry_forward_s = u64::from(self.config.carry_forward_s);
        let newest = self.tracks.iter().filter_map(Track::newest).max();
        newest.is_none_or(|at| at.plus_seconds(carry_forward_s) < now)
    }

    fn measure(&mut self, slot: usize, sample: Sample) -> Result<Vec<WindowSnapshot>, Rejection> {
        let closing = self.closing();
        if let Some(closing) = closing
            && sample.at.plus_seconds(u64::from(self.config.backfill_s)) <= closing
        {
            return Err(Rejection::TooLate);
        }
        let first = match self.first {
            None => sample.at,
            Some(first) => {
                let in_order = closing.is_none_or(|closing| sample.at > closing);
                if self.closed.is_none() && in_order { first.min(sample.at) } else { first }
            }
        };
        self.first = Some(first);
        let horizon = self.closed.map(|closed| self.trend_start(self.next_tick(closed)));
        self.tracks[slot].insert(sample, self.tick_at_or_after(sample.at), horizon);
        Ok(self.advance(first, sample.at))
    }

    /// Moves the clock and emits every window that it passes.
    fn advance(&mut self, first: Timestamp, to: Timestamp) -> Vec<WindowSnapshot> {
        self.clock = self.clock.max(to);
        let Some(closing) = self.closing() else {
            return Vec::new();
        };
        let next = match self.closed {
            // At the end of time the next tick is the last one again.
            Some(closed) if closing <= closed => return Vec::new(),
            Some(closed) => self.next_tick(closed),
            None => self.tick_at_or_after(first),
        };
        if closing < next {
            return Vec::new();
        }
        let tick_s = u64::from(self.config.tick_s.get());
        let due = closing.seconds_since(next) / tick_s + 1;
        let emitted = (0..due.min(CATCH_UP_TICKS_MAX))
            .rev()
            .filter_map(|back| self.snapshot(first, closing.minus_seconds(back * tick_s)))
            .collect();
        self.closed = Some(closing);
        let horizon = self.trend_start(self.next_tick(closing));
        for track in &mut self.tracks {
            track.forget_before(horizon);
        }
        emitted
    }

    /// The chart at `end`; `None` where no variable has a value, since there is nothing to score then.
    fn snapshot(&self, first: Timestamp, end: Timestamp) -> Option<WindowSnapshot> {
        let span = Span {
            end,
            tick_s: u64::from(self.config.tick_s.get()),
            trend_start: self.trend_start(end),
            carry_forward_s: u64::from(self.config.carry_forward_s),
        };
        let readings = std::array::from_fn(|slot| self.tracks[slot].reading(&span));
        if readings.iter().all(Option::is_none) {
            return None;
        }
        Some(WindowSnapshot {
            end,
            hours_observed: u32::try_from(end.seconds_since(first) / 3_600).unwrap_or(u32::MAX),
            age_years: self.facts.age_years(),
            sex: self.facts.sex(),
            unit: self.facts.unit(),
            hours_before_icu: self.facts.hours_before_icu(),
            readings,
            hourly: std::array::from_fn(|slot| self.tracks[slot].by_tick(&span)),
        })
    }

    /// The newest tick that the clock has passed by the lateness allowed.
    fn closing(&self) -> Option<Timestamp> {
        let lateness_s = u64::from(self.config.lateness_s);
        let settled = self.clock.minus_seconds(lateness_s);
        let reached = self.clock >= Timestamp::EPOCH.plus_seconds(lateness_s);
        (self.first.is_some() && reached).then(|| self.tick_at_or_before(settled))
    }

    fn trend_start(&self, end: Timestamp) -> Timestamp {
        let tick_s = u64::from(self.config.tick_s.get());
        let ticks = u64::from(self.config.trend_s).div_ceil(tick_s).min(TREND_TICKS_MAX);
        end.minus_seconds(ticks * tick_s)
    }

    fn next_tick(&self, end: Timestamp) -> Timestamp {
        end.plus_seconds(u64::from(self.config.tick_s.get()))
    }

    fn tick_at_or_before(&self, instant: Timestamp) -> Timestamp {
        let tick_s = u64::from(self.config.tick_s.get());
        Timestamp::from_seconds(instant.as_seconds() / tick_s * tick_s)
    }

    fn tick_at_or_after(&self, instant: Timestamp) -> Timestamp {
        let before = self.tick_at_or_before(instant);
        if before == instant { before } else { self.next_tick(before) }
    }
}

impl fmt::Debug for WindowSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowSnapshot").field("end", &self.end).finish_non_exhaustive()
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reading(..)")
    }
}

impl fmt::Debug for PatientWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatientWindow")
            .field("clock", &self.clock)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
