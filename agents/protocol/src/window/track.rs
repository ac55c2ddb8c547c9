//! The values of one variable, tick by tick.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Reading;
use crate::time::Timestamp;

/// One value and when it was measured.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) value_milli: i32,
}

/// The stretch of time that a reading is about.
pub(super) struct Span {
    pub(super) end: Timestamp,
    pub(super) tick_s: u64,
    pub(super) trend_start: Timestamp,
    pub(super) carry_forward_s: u64,
}

/// One variable of one patient.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Track {
    /// The newest sample older than every tick kept.
    pub(super) carried: Option<Sample>,
    /// Ticks with at least one sample, oldest first.
    pub(super) ticks: VecDeque<Tick>,
}

/// What was measured after the tick before `end` and not after `end`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tick {
    pub(super) end: Timestamp,
    pub(super) first: Sample,
    pub(super) last: Sample,
    pub(super) min_milli: i32,
    pub(super) max_milli: i32,
}

impl Track {
    /// Adds a sample to the tick that ends at `end`, or only to what is carried where that tick is at or
    /// before `horizon`. Of two samples of one instant the later to arrive is the last.
    pub(super) fn insert(&mut self, sample: Sample, end: Timestamp, horizon: Option<Timestamp>) {
        if horizon.is_some_and(|horizon| end <= horizon) {
            self.carry(sample);
            return;
        }
        match self.ticks.binary_search_by_key(&end, |tick| tick.end) {
            Ok(index) => self.ticks[index].insert(sample),
            Err(index) => self.ticks.insert(index, Tick::new(end, sample)),
        }
    }

    /// Drops the ticks at or before `horizon`, carrying their last sample.
    pub(super) fn forget_before(&mut self, horizon: Timestamp) {
        while let Some(tick) = self.ticks.pop_front_if(|tick| tick.end <= horizon) {
            self.carry(tick.last);
        }
    }

    /// What is known at the end of the span; `None` where there is no value young enough.
    pub(super) fn reading(&self, span: &Span) -> Option<Reading> {
        let until_end = self.ticks.partition_point(|tick| tick.end <= span.end);
        let until_trend = self.ticks.partition_point(|tick| tick.end <= span.trend_start);
        let last = match until_end.checked_sub(1) {
            Some(newest) => self.ticks[newest].last,
            None => self.carried?,
        };
        let age_s = span.end.seconds_since(last.at);
        if span.end.millis_since(last.at) > span.carry_forward_s.saturating_mul(1000) {
            return None;
        }
        let trend = || self.ticks.range(until_trend..until_end.max(until_trend));
        let value_milli = last.value_milli;
        let earliest = trend().next().map_or(value_milli, |tick| tick.first.value_milli);
        Some(Reading {
            value_milli,
            age_s: u32::try_from(age_s).expect("carry_forward_s is a u32"),
            delta_milli: value_milli.saturating_sub(earliest),
            min_milli: trend().map(|tick| tick.min_milli).min().unwrap_or(value_milli),
            max_milli: trend().map(|tick| tick.max_milli).max().unwrap_or(value_milli),
        })
    }

    /// The last value as it stood at the end of each trailing tick, the newest first; `None` where there was none young
    /// enough, or where its tick has been forgotten.
    pub(super) fn by_tick<const TICKS: usize>(&self, span: &Span) -> [Option<i32>; TICKS] {
        let mut ticks = self.ticks.iter().rev().peekable();
        let mut end = span.end;
        std::array::from_fn(|_| {
            while ticks.next_if(|tick| tick.end > end).is_some() {}
            let last = ticks.peek().map_or(self.carried, |tick| Some(tick.last));
            let carried_ms = span.carry_forward_s.saturating_mul(1000);
            let young = last.filter(|last| last.at <= end && end.millis_since(last.at) <= carried_ms);
            end = end.minus_seconds(span.tick_s);
            young.map(|last| last.value_milli)
        })
    }

    /// When the newest sample was measured.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.ticks.back().map(|tick| tick.last.at).or(self.carried.map(|sample| sample.at))
    }

    fn carry(&mut self, sample: Sample) {
        replace_if_newer(&mut self.carried, sample);
    }
}

impl Tick {
    fn new(end: Timestamp, sample: Sample) -> Tick {
        let Sample { value_milli, .. } = sample;
        Tick { end, first: sample, last: sample, min_milli: value_milli, max_milli: value_milli }
    }

    fn insert(&mut self, sample: Sample) {
        if sample.at < self.first.at {
            self.first = sample;
        }
        if sample.at >= self.last.at {
            self.last = sample;
        }
        self.min_milli = self.min_milli.min(sample.value_milli);
        self.max_milli = self.max_milli.max(sample.value_milli);
    }
}

pub(super) fn replace_if_newer(known: &mut Option<Sample>, sample: Sample) {
    if known.is_none_or(|known| known.at <= sample.at) {
        *known = Some(sample);
    }
}
