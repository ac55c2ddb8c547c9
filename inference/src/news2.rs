//! The National Early Warning Score 2 (Royal College of Physicians, 2017) of a clinical state, for comparison.
//!
//! Consciousness is not among the variables and counts as alert; oxygen saturation is read on scale 1; inspired oxygen
//! above that of air counts as supplemental. A missing variable scores 0.

use crate::schema::{ClinicalState, Variable};

/// Inspired oxygen above this many thousandths of a per cent is supplemental: air has 21 %.
const AIR_MILLI: i32 = 21_000;

/// Upper ends of ranges in thousandths, inclusive, and their points; above the last range the final number counts.
type Bands = (&'static [(i32, i64)], i64);

const RESPIRATION: Bands = (&[(8_000, 3), (11_000, 1), (20_000, 0), (24_000, 2)], 3);
const SATURATION: Bands = (&[(91_000, 3), (93_000, 2), (95_000, 1)], 0);
const SYSTOLIC: Bands = (&[(90_000, 3), (100_000, 2), (110_000, 1), (219_000, 0)], 3);
const PULSE: Bands = (&[(40_000, 3), (50_000, 1), (90_000, 0), (110_000, 1), (130_000, 2)], 3);
const TEMPERATURE: Bands = (&[(35_000, 3), (36_000, 1), (38_000, 0), (39_000, 1)], 2);

/// NEWS2 without consciousness: 0 to 17.
pub fn news2(state: &ClinicalState) -> i64 {
    let points = |variable: Variable, bands: Bands| {
        state.reading(variable).map_or(0, |reading| score(reading.value_milli, bands))
    };
    let supplemental = state.reading(Variable::Fio2).is_some_and(|r| r.value_milli > AIR_MILLI);
    points(Variable::RespiratoryRate, RESPIRATION)
        + points(Variable::Spo2, SATURATION)
        + points(Variable::Systolic, SYSTOLIC)
        + points(Variable::HeartRate, PULSE)
        + points(Variable::Temperature, TEMPERATURE)
        + if supplemental { 2 } else { 0 }
}

fn score(value_milli: i32, (bands, above): Bands) -> i64 {
    bands.iter().find(|&&(end, _)| value_milli <= end).map_or(above, |&(_, points)| points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Reading;

    fn state(values: &[(Variable, i32)]) -> ClinicalState {
        let mut state = ClinicalState::default();
        for &(variable, value_milli) in values {
            let reading =
                Reading { value_milli, age_s: 0, delta_milli: 0, min_milli: value_milli, max_milli: value_milli };
            state.readings[variable as usize] = Some(reading);
        }
        state
    }

    #[test]
    fn sums_the_points_of_each_band() {
        assert_eq!(news2(&ClinicalState::default()), 0);
        let well = [
            (Variable::RespiratoryRate, 16_000),
            (Variable::Spo2, 97_000),
            (Variable::Systolic, 120_000),
            (Variable::HeartRate, 70_000),
            (Variable::Temperature, 37_000),
            (Variable::Fio2, 21_000),
        ];
        assert_eq!(news2(&state(&well)), 0);
        let ill = [
            (Variable::RespiratoryRate, 25_000),
            (Variable::Spo2, 91_000),
            (Variable::Systolic, 90_000),
            (Variable::HeartRate, 131_000),
            (Variable::Temperature, 39_100),
            (Variable::Fio2, 40_000),
        ];
        assert_eq!(news2(&state(&ill)), 3 + 3 + 3 + 3 + 2 + 2);
    }
}
