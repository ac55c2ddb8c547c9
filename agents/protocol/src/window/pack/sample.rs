//! One value and its instant, and the units that values and times are counted in.
//!
//! Devices round: a heart rate is whole, a chart is kept by the minute. So a number is written as a multiple of the
//! largest unit that divides it, and two bits say which.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use super::super::facts::Facts;
use super::super::track::Sample;
use crate::pack::{PackError, Reader, Writer};
use crate::time::Timestamp;

/// Set where an instant lies after its base; only a fact can.
const AFTER: u8 = 1 << 4;

/// A bit for each fact that is known.
const FACTS: u64 = 0b1111;

/// What a sample is a difference from.
#[derive(Clone, Copy)]
pub(super) struct Base {
    pub(super) at: Timestamp,
    pub(super) value_milli: i32,
}

/// What a difference of two values is a multiple of: 1, 10, 100 or 1,000 thousandths.
#[derive(Clone, Copy)]
pub(super) struct ValueUnit(u8);

/// What a time is a multiple of: a millisecond, a second, a minute or an hour.
#[derive(Clone, Copy)]
pub(super) struct TimeUnit(u8);

impl ValueUnit {
    pub(super) fn of(values: &[i64]) -> ValueUnit {
        let divides = |unit: i64| values.iter().all(|value| value.checked_rem(unit) == Some(0));
        ValueUnit(match () {
            () if !divides(10) => 0,
            () if !divides(100) => 1,
            () if !divides(1_000) => 2,
            () => 3,
        })
    }

    pub(super) const fn from_bits(bits: u8) -> ValueUnit {
        ValueUnit(bits & 0b11)
    }

    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn pack(self, value: i64, out: &mut Writer) {
        out.signed(match self.0 {
            0 => value,
            1 => value / 10,
            2 => value / 100,
            _ => value / 1_000,
        });
    }

    pub(super) fn unpack(self, input: &mut Reader<'_>) -> Result<i64, PackError> {
        let milli = match self.0 {
            0 => 1,
            1 => 10,
            2 => 100,
            _ => 1_000,
        };
        input.signed()?.checked_mul(milli).ok_or(PackError::OutOfRange)
    }
}

impl TimeUnit {
    pub(super) fn of(times_ms: &[u64]) -> TimeUnit {
        let divides = |unit: u64| times_ms.iter().all(|time_ms| time_ms.is_multiple_of(unit));
        TimeUnit(match () {
            () if !divides(1_000) => 0,
            () if !divides(60_000) => 1,
            () if !divides(3_600_000) => 2,
            () => 3,
        })
    }

    pub(super) const fn from_bits(bits: u8) -> TimeUnit {
        TimeUnit(bits & 0b11)
    }

    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn pack(self, time_ms: u64, out: &mut Writer) {
        out.number(match self.0 {
            0 => time_ms,
            1 => time_ms / 1_000,
            2 => time_ms / 60_000,
            _ => time_ms / 3_600_000,
        });
    }

    pub(super) fn unpack(self, input: &mut Reader<'_>) -> Result<u64, PackError> {
        let ms = match self.0 {
            0 => 1,
            1 => 1_000,
            2 => 60_000,
            _ => 3_600_000,
        };
        input.number()?.checked_mul(ms).ok_or(PackError::OutOfRange)
    }
}

impl Sample {
    pub(super) fn pack(self, base: Base, out: &mut Writer) {
        let is_after = self.at > base.at;
        let time_ms = self.at.as_millis().abs_diff(base.at.as_millis());
        let value = difference(self.value_milli, base.value_milli);
        let (time_unit, value_unit) = (TimeUnit::of(&[time_ms]), ValueUnit::of(&[value]));
        out.byte(value_unit.bits() | time_unit.bits() << 2 | if is_after { AFTER } else { 0 });
        time_unit.pack(time_ms, out);
        value_unit.pack(value, out);
    }

    pub(super) fn unpack(base: Base, input: &mut Reader<'_>) -> Result<Sample, PackError> {
        let head = input.byte()?;
        if head >= AFTER << 1 {
            return Err(PackError::OutOfRange);
        }
        let time_ms = TimeUnit::from_bits(head >> 2).unpack(input)?;
        let base_ms = base.at.as_millis();
        let at_ms = if head & AFTER == 0 { base_ms.checked_sub(time_ms) } else { base_ms.checked_add(time_ms) };
        let at = at_ms.and_then(|at_ms| Timestamp::try_from(at_ms).ok()).ok_or(PackError::OutOfRange)?;
        let value = ValueUnit::from_bits(head).unpack(input)?;
        Ok(Sample { at, value_milli: value_from(base.value_milli, value)? })
    }
}

impl Facts {
    pub(super) fn pack(&self, base: Base, out: &mut Writer) {
        let facts = [self.age, self.sex, self.unit, self.before_icu];
        out.number((0..).zip(&facts).fold(0, |mask, (bit, fact)| mask | u64::from(fact.is_some()) << bit));
        for fact in facts.into_iter().flatten() {
            fact.pack(base, out);
        }
    }

    pub(super) fn unpack(base: Base, input: &mut Reader<'_>) -> Result<Facts, PackError> {
        let mask = input.number()?;
        if mask > FACTS {
            return Err(PackError::OutOfRange);
        }
        let mut fact = |bit: u64| if mask & bit == 0 { Ok(None) } else { Sample::unpack(base, input).map(Some) };
        Ok(Facts { age: fact(1)?, sex: fact(2)?, unit: fact(4)?, before_icu: fact(8)? })
    }
}

/// How far `value_milli` lies above `base_milli`; never overflows.
pub(super) fn difference(value_milli: i32, base_milli: i32) -> i64 {
    i64::from(value_milli).saturating_sub(i64::from(base_milli))
}

/// The value that lies `difference` above `base_milli`.
pub(super) fn value_from(base_milli: i32, difference: i64) -> Result<i32, PackError> {
    let value = i64::from(base_milli).checked_add(difference);
    value.and_then(|value| i32::try_from(value).ok()).ok_or(PackError::OutOfRange)
}
