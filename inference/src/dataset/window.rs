//! Hourly rows to clinical states, with the meaning that the streaming oracle gives to a window of observations.

use super::Hour;
use crate::schema::{ClinicalState, HOURS, Reading, Sex, Unit, Variable};

/// Seconds from one row to the next.
const HOUR_S: u32 = 3600;
/// Oldest value still carried forward, inclusive: two days.
const CARRY_FORWARD_H: usize = 48;
/// Rows of the trend window, the current one included.
const TREND_H: usize = 8;

/// The state at the end of each hour. Hours count from the first row, as the oracle counts from its first observation.
///
/// A value is as old as the rows since it was recorded. Its trend is taken over the trailing eight rows; when none of
/// them has a value, the carried one stands alone: no change, and least and greatest are the value itself.
pub fn states(hours: &[Hour]) -> impl Iterator<Item = ClinicalState> + '_ {
    let mut last: [Option<usize>; Variable::COUNT] = [None; Variable::COUNT];
    let (mut age_years, mut sex): (Option<u8>, Option<Sex>) = (None, None);
    let mut hourly = [[None; HOURS]; Variable::COUNT];
    let (mut unit, mut hours_before_icu): (Option<Unit>, Option<u32>) = (None, None);
    hours.iter().enumerate().map(move |(now, hour)| {
        age_years = hour.age_years.or(age_years);
        sex = hour.sex.or(sex);
        unit = hour.unit.or(unit);
        hours_before_icu = hour.hours_before_icu.or(hours_before_icu);
        let mut readings = [None; Variable::COUNT];
        for (index, reading) in readings.iter_mut().enumerate() {
            if hour.values_milli[index].is_some() {
                last[index] = Some(now);
            }
            *reading = last[index].and_then(|at| self::reading(hours, index, at, now));
        }
        for (values, reading) in hourly.iter_mut().zip(&readings) {
            values.rotate_right(1);
            values[0] = reading.map(|reading: Reading| reading.value_milli);
        }
        ClinicalState { hours_observed: now as u32, age_years, sex, unit, hours_before_icu, readings, hourly }
    })
}

/// The reading at row `now` of a variable last recorded at row `at`.
fn reading(hours: &[Hour], variable: usize, at: usize, now: usize) -> Option<Reading> {
    let value_milli = hours[at].values_milli[variable]?;
    if now - at > CARRY_FORWARD_H {
        return None;
    }
    let trend = &hours[(now + 1).saturating_sub(TREND_H)..=now];
    let values = || trend.iter().filter_map(|hour| hour.values_milli[variable]);
    Some(Reading {
        value_milli,
        age_s: (now - at) as u32 * HOUR_S,
        delta_milli: value_milli - values().next().unwrap_or(value_milli),
        min_milli: values().min().unwrap_or(value_milli),
        max_milli: values().max().unwrap_or(value_milli),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(heart_rates: &[Option<i32>]) -> Vec<Hour> {
        let hour = |&rate: &Option<i32>| {
            let mut values_milli = [None; Variable::COUNT];
            values_milli[Variable::HeartRate as usize] = rate;
            Hour { values_milli, age_years: None, sex: None, unit: None, hours_before_icu: None, septic: false }
        };
        heart_rates.iter().map(hour).collect()
    }

    fn last(heart_rates: &[Option<i32>]) -> Option<Reading> {
        states(&hours(heart_rates)).last().and_then(|state| state.reading(Variable::HeartRate))
    }

    #[test]
    fn trend_is_taken_over_eight_rows() {
        let mut rates = vec![Some(10_000); 1];
        rates.extend([Some(50_000), None, Some(90_000), Some(40_000), None, None, None, Some(60_000)]);
        let expected =
            Reading { value_milli: 60_000, age_s: 0, delta_milli: 10_000, min_milli: 40_000, max_milli: 90_000 };
        assert!(last(&rates) == Some(expected));
    }

    #[test]
    fn a_value_is_carried_for_two_days_and_then_absent() {
        let mut rates = vec![Some(70_000)];
        rates.extend([None; CARRY_FORWARD_H]);
        let expected =
            Reading { value_milli: 70_000, age_s: 48 * HOUR_S, delta_milli: 0, min_milli: 70_000, max_milli: 70_000 };
        assert!(last(&rates) == Some(expected));
        rates.push(None);
        assert!(last(&rates).is_none());
    }

    #[test]
    fn hours_count_from_the_first_row() {
        let observed: Vec<u32> = states(&hours(&[None; 3])).map(|state| state.hours_observed).collect();
        assert_eq!(observed, [0, 1, 2]);
    }
}
