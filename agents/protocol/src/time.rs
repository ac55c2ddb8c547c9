//! Instants as whole milliseconds since the Unix epoch.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use std::fmt;

use serde::{Deserialize, Serialize};

const MS_PER_S: u64 = 1000;

/// Longest accepted RFC 3339 text: nanoseconds and a numeric offset, `2026-01-01T00:00:00.000000000+00:00`.
const RFC3339_LEN_MAX: usize = 35;

/// An instant: milliseconds since 1970-01-01T00:00:00Z, never before it and never after [`Timestamp::MAX`].
///
/// Arithmetic saturates at both ends, so no sum of an outside value can overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Timestamp(u64);

/// Why a text or a number is not an instant this crate can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text is not an RFC 3339 date and time with an offset.
    #[error("not an RFC 3339 date and time with an offset")]
    NotRfc3339,
    /// The instant lies before 1970.
    #[error("an instant before 1970")]
    BeforeEpoch,
    /// The number is greater than that of [`Timestamp::MAX`].
    #[error("an instant after the year 9999")]
    AfterMax,
}

impl Timestamp {
    /// The start of the Unix epoch.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// The last instant that can be written as RFC 3339 at every offset: 9999-12-30T22:00:00Z.
    pub const MAX: Timestamp = Timestamp(253_402_207_200_000);

    /// The instant `millis` after the epoch, or [`Timestamp::MAX`] where that is earlier.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Timestamp {
        if millis > Timestamp::MAX.0 { Timestamp::MAX } else { Timestamp(millis) }
    }

    /// The instant `seconds` after the epoch, or [`Timestamp::MAX`] where that is earlier.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds.saturating_mul(MS_PER_S))
    }

    /// Parses an RFC 3339 date and time; the offset is required, digits below a millisecond are cut off.
    ///
    /// # Errors
    /// [`TimeError::NotRfc3339`] for any other text, [`TimeError::BeforeEpoch`] before 1970.
    pub fn parse_rfc3339(text: &str) -> Result<Timestamp, TimeError> {
        if !has_rfc3339_form(text) {
            return Err(TimeError::NotRfc3339);
        }
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimeError::NotRfc3339)?;
        u64::try_from(instant.as_millisecond()).map(Timestamp::from_millis).map_err(|_| TimeError::BeforeEpoch)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> u64 {
        self.0 / MS_PER_S
    }

    /// This instant moved forward.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u64) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_add(seconds.saturating_mul(MS_PER_S)))
    }

    /// This instant moved back, not beyond the epoch.
    #[must_use]
    pub const fn minus_seconds(self, seconds: u64) -> Timestamp {
        Timestamp(self.0.saturating_sub(seconds.saturating_mul(MS_PER_S)))
    }

    /// Milliseconds from `earlier` to this instant; zero where `earlier` is the later one.
    #[must_use]
    pub const fn millis_since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds from `earlier` to this instant; zero where `earlier` is the later one.
    #[must_use]
    pub const fn seconds_since(self, earlier: Timestamp) -> u64 {
        self.millis_since(earlier) / MS_PER_S
    }
}

impl TryFrom<u64> for Timestamp {
    type Error = TimeError;

    fn try_from(millis: u64) -> Result<Self, TimeError> {
        if millis > Timestamp::MAX.0 { Err(TimeError::AfterMax) } else { Ok(Timestamp(millis)) }
    }
}

impl From<Timestamp> for u64 {
    fn from(instant: Timestamp) -> u64 {
        instant.0
    }
}

/// RFC 3339 in UTC, with as many digits below the second as the value needs.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).map_err(|_| fmt::Error)?;
        jiff::Timestamp::from_millisecond(millis).map_err(|_| fmt::Error)?.fmt(f)
    }
}

/// jiff reads more of ISO 8601 than RFC 3339 has: basic form, a space for the T, lower case, no seconds,
/// offsets without minutes, a time zone in brackets.
fn has_rfc3339_form(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_digit() || b"T:.+-Z".contains(&c);
    let holds = |at: usize, separators: &[u8]| text.as_bytes().get(at).is_some_and(|c| separators.contains(c));
    let from_end = |back: usize| text.len().saturating_sub(back);
    let separators: [(usize, &[u8]); 5] = [(4, b"-"), (7, b"-"), (10, b"T"), (13, b":"), (16, b":")];
    text.len() <= RFC3339_LEN_MAX
        && text.bytes().all(allowed)
        && separators.into_iter().all(|(at, separator)| holds(at, separator))
        && (text.ends_with('Z') || holds(from_end(6), b"+-") && holds(from_end(3), b":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_is_read_with_its_offset() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-01-01T00:00:00Z", 1_767_225_600_000),
            ("2026-01-01T01:30:00+01:30", 1_767_225_600_000),
            ("2025-12-31T19:00:00-05:00", 1_767_225_600_000),
            ("2026-01-01T00:00:00.5Z", 1_767_225_600_500),
            ("2026-01-01T00:00:00.123999999Z", 1_767_225_600_123),
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), Ok(Timestamp(millis)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00Z",
            "20260101T000000Z",
            "2026-001T00:00:00Z",
            "2026-01-01T00:00:00+01",
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:00ZZ",
            "----T--::--::---Z",
            "2026-01-01t00:00:00z",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-01-01T25:00:00Z",
            "2026-01-01T00:00:00+01:00[Europe/Rome]",
            "2026-01-01T00:00:00.0000000000000000000000Z",
            "+2026-01-01T00:00:00Z",
            "1767225600",
            "２０２６-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), Err(TimeError::NotRfc3339), "{text}");
        }
        assert_eq!(Timestamp::parse_rfc3339("1969-12-31T23:59:59Z"), Err(TimeError::BeforeEpoch));
    }

    #[test]
    fn the_last_instant_prints_and_nothing_passes_it() {
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00Z");
        assert_eq!(Timestamp::from_millis(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_seconds(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.plus_seconds(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH.minus_seconds(1), Timestamp::EPOCH);
        let beyond = Timestamp::MAX.as_millis() + 1;
        assert_eq!(Timestamp::try_from(beyond), Err(TimeError::AfterMax));
    }

    #[test]
    fn text_round_trips() {
        for millis in [0, 1, 999, 1_767_225_600_000, 1_767_225_600_120] {
            let instant = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse_rfc3339(&instant.to_string()), Ok(instant));
        }
    }
}
