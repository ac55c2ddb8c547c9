//! Decimal numbers as whole thousandths.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

/// Beyond this magnitude thousandths do not fit in an `i32`.
const MAGNITUDE_MAX: f64 = 2_147_483.0;

/// Below this magnitude the nearest thousandth is zero.
const MAGNITUDE_MIN: f64 = 0.000_4;

/// The value in thousandths, rounded to nearest with halves away from zero; `None` where it is not
/// finite or does not fit.
///
/// The decimal that is rounded is the shortest one that reads back as `value`, which is what the sender
/// wrote. `(value * 1000.0).round()` would turn 1.0005 into 1000 or 1001 by the luck of its binary form.
pub(crate) fn to_milli(value: f64) -> Option<i32> {
    if value.is_nan() || value.abs() > MAGNITUDE_MAX {
        return None;
    }
    if value.abs() < MAGNITUDE_MIN {
        return Some(0);
    }
    let text = value.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut digits = fraction.bytes().map(|c| i32::from(c.saturating_sub(b'0')));
    let mut milli: i32 = whole.parse().ok()?;
    for _ in 0..3 {
        milli = milli.checked_mul(10)?.checked_add(digits.next().unwrap_or(0))?;
    }
    let half = digits.next().is_some_and(|digit| digit >= 5);
    milli = milli.checked_add(i32::from(half))?;
    Some(if value.is_sign_negative() { milli.saturating_neg() } else { milli })
}

/// The value of so many thousandths; prints as the decimal with at most three digits after the point.
pub(crate) fn from_milli(milli: i32) -> f64 {
    f64::from(milli) / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_go_away_from_zero_as_written() {
        for (value, milli) in [
            (0.0, Some(0)),
            (-0.0, Some(0)),
            (36.6, Some(36_600)),
            (72.0, Some(72_000)),
            (0.0004, Some(0)),
            (0.0005, Some(1)),
            (-0.0005, Some(-1)),
            (1.0005, Some(1001)),
            (1.00049, Some(1000)),
            (1.000_499_999_9, Some(1000)),
            (4.0015, Some(4002)),
            (-36.6, Some(-36_600)),
            (2.9999, Some(3000)),
            (1e-300, Some(0)),
            (2_147_483.0, Some(2_147_483_000)),
            (2_147_483.648, None),
            (8_388_607.0, None),
            (1e300, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (f64::NEG_INFINITY, None),
        ] {
            assert_eq!(to_milli(value), milli, "{value}");
        }
    }

    proptest! {
        #[test]
        fn thousandths_round_trip(milli in -2_147_483_000..=2_147_483_000_i32) {
            prop_assert_eq!(to_milli(from_milli(milli)), Some(milli));
            let text = serde_json::to_string(&from_milli(milli)).unwrap();
            prop_assert_eq!(to_milli(text.parse().unwrap()), Some(milli));
        }

        #[test]
        fn no_number_panics(bits: u64) {
            let _ = to_milli(f64::from_bits(bits));
        }
    }
}
