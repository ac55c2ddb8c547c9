//! One variable: its ticks from the newest to the oldest, then what is carried from before them.
//!
//! A tick is a byte of flags, the time of its first sample after the tick's start and the value. Where it has more than
//! one sample, the time of the last one before the tick's end follows, then how the last, the lowest and the highest
//! value differ from the others. Ticks go strictly back in time, whatever the bytes are.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::collections::VecDeque;

use super::super::track::{Sample, Tick, Track};
use super::Grid;
use super::sample::{Base, TimeUnit, ValueUnit, difference, value_from};
use crate::pack::{PackError, Reader, Writer};
use crate::time::Timestamp;

/// Flags, a time and a value.
const TICK_BYTES_MIN: usize = 3;

/// Set where a tick is not told by one sample. Above it stand two bits of each unit, then the ticks passed over.
const SPREAD: u8 = 1;
const VALUE_UNIT_SHIFT: u32 = 1;
const TIME_UNIT_SHIFT: u32 = 3;
const PASSED_SHIFT: u32 = 5;
/// As many ticks passed over as the flags have room for; a number after them says how many more.
const PASSED_MAX: u8 = 7;

/// Where the packing has got to: the tick written last, and its earliest value.
#[derive(Clone, Copy)]
struct Newer {
    index: u64,
    value_milli: i32,
}

/// A tick in the numbers that are written.
struct Packed {
    passed: u64,
    is_spread: bool,
    /// First after the start, last before the end.
    times_ms: [u64; 2],
    /// The last value above the one of the newer tick, the first above the last; how far the lowest lies below both,
    /// and the highest above both.
    values: [i64; 4],
}

impl Track {
    pub(super) fn is_empty(&self) -> bool {
        self.carried.is_none() && self.ticks.is_empty()
    }

    pub(super) fn pack(&self, grid: Grid, out: &mut Writer) {
        let ticks = u64::try_from(self.ticks.len()).unwrap_or(u64::MAX);
        out.number(ticks << 1 | u64::from(self.carried.is_some()));
        let mut newer = Newer { index: grid.newest.saturating_add(1), value_milli: 0 };
        for tick in self.ticks.iter().rev() {
            newer = tick.pack(newer, grid, out);
        }
        if let Some(carried) = self.carried {
            carried.pack(Base { at: grid.end(grid.newest), value_milli: newer.value_milli }, out);
        }
    }

    pub(super) fn unpack(grid: Grid, input: &mut Reader<'_>) -> Result<Track, PackError> {
        let head = input.number()?;
        let count = input.count(head >> 1, TICK_BYTES_MIN)?;
        let mut ticks = VecDeque::with_capacity(count);
        let mut newer = Newer { index: grid.newest.saturating_add(1), value_milli: 0 };
        for _ in 0..count {
            let (tick, index) = Tick::unpack(newer, grid, input)?;
            newer = Newer { index, value_milli: tick.first.value_milli };
            ticks.push_front(tick);
        }
        let base = Base { at: grid.end(grid.newest), value_milli: newer.value_milli };
        let carried = if head & 1 == 1 { Some(Sample::unpack(base, input)?) } else { None };
        Ok(Track { carried, ticks })
    }
}

impl Tick {
    fn pack(&self, newer: Newer, grid: Grid, out: &mut Writer) -> Newer {
        let index = grid.index(self.end);
        let Tick { end, first, last, min_milli, max_milli } = self;
        let (lower, upper) = (first.value_milli.min(last.value_milli), first.value_milli.max(last.value_milli));
        Packed {
            passed: newer.index.saturating_sub(index).saturating_sub(1),
            is_spread: first != last || min_milli != max_milli,
            times_ms: [first.at.millis_since(grid.start(index)), end.millis_since(last.at)],
            values: [
                difference(last.value_milli, newer.value_milli),
                difference(first.value_milli, last.value_milli),
                difference(lower, *min_milli),
                difference(*max_milli, upper),
            ],
        }
        .write(out);
        Newer { index, value_milli: first.value_milli }
    }

    fn unpack(newer: Newer, grid: Grid, input: &mut Reader<'_>) -> Result<(Tick, u64), PackError> {
        let packed = Packed::read(input)?;
        let older = packed.passed.checked_add(1).and_then(|ticks| newer.index.checked_sub(ticks));
        let index = older.ok_or(PackError::OutOfRange)?;
        let (start, end) = (grid.start(index), grid.end(index));
        let [after_ms, before_ms] = packed.times_ms;
        let first_at = start.as_millis().checked_add(after_ms).ok_or(PackError::OutOfRange)?;
        let last_at = if packed.is_spread { end.as_millis().checked_sub(before_ms) } else { Some(first_at) };
        let last_at = last_at.ok_or(PackError::OutOfRange)?;
        let opens_after_start = after_ms > 0 || index == 0;
        if !opens_after_start || first_at > last_at || last_at > end.as_millis() {
            return Err(PackError::OutOfRange);
        }
        let sample = |at_ms, value_milli| Sample { at: Timestamp::from_millis(at_ms), value_milli };
        let [last, first, below, above] = packed.values;
        let last = sample(last_at, value_from(newer.value_milli, last)?);
        let first = sample(first_at, value_from(last.value_milli, first)?);
        let (lower, upper) = (first.value_milli.min(last.value_milli), first.value_milli.max(last.value_milli));
        let (min_milli, max_milli) = (value_from(lower, below.saturating_neg())?, value_from(upper, above)?);
        if min_milli > lower || max_milli < upper {
            return Err(PackError::OutOfRange);
        }
        Ok((Tick { end, first, last, min_milli, max_milli }, index))
    }
}

impl Packed {
    fn write(&self, out: &mut Writer) {
        let (times_ms, values) = if self.is_spread {
            (&self.times_ms[..], &self.values[..])
        } else {
            (&self.times_ms[..1], &self.values[..1])
        };
        let (time_unit, value_unit) = (TimeUnit::of(times_ms), ValueUnit::of(values));
        let passed = u8::try_from(self.passed).unwrap_or(PASSED_MAX).min(PASSED_MAX);
        let units = value_unit.bits() << VALUE_UNIT_SHIFT | time_unit.bits() << TIME_UNIT_SHIFT;
        out.byte(u8::from(self.is_spread) | units | passed << PASSED_SHIFT);
        if passed == PASSED_MAX {
            out.number(self.passed.saturating_sub(u64::from(PASSED_MAX)));
        }
        for time_ms in times_ms {
            time_unit.pack(*time_ms, out);
        }
        for value in values {
            value_unit.pack(*value, out);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Packed, PackError> {
        let head = input.byte()?;
        let is_spread = head & SPREAD == SPREAD;
        let mut passed = u64::from(head >> PASSED_SHIFT);
        if passed == u64::from(PASSED_MAX) {
            passed = passed.checked_add(input.number()?).ok_or(PackError::OutOfRange)?;
        }
        let time_unit = TimeUnit::from_bits(head >> TIME_UNIT_SHIFT);
        let value_unit = ValueUnit::from_bits(head >> VALUE_UNIT_SHIFT);
        if !is_spread {
            let (times_ms, values) = ([time_unit.unpack(input)?, 0], [value_unit.unpack(input)?, 0, 0, 0]);
            return Ok(Packed { passed, is_spread, times_ms, values });
        }
        let times_ms = [time_unit.unpack(input)?, time_unit.unpack(input)?];
        let mut value = || value_unit.unpack(input);
        Ok(Packed { passed, is_spread, times_ms, values: [value()?, value()?, value()?, value()?] })
    }
}

impl Grid {
    /// Where a tick starts: what was measured there belongs to the tick before.
    fn start(self, index: u64) -> Timestamp {
        self.end(index.saturating_sub(1))
    }
}
