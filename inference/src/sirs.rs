//! Criteria of the systemic inflammatory response syndrome (Bone et al. 1992) that a clinical state meets, for
//! comparison.
//!
//! Immature white cells are not among the variables. A missing variable meets no criterion.

use crate::schema::{ClinicalState, Variable};

/// Criteria met: 0 to 4. Two or more are the syndrome.
pub fn sirs(state: &ClinicalState) -> i64 {
    let holds = |variable: Variable, criterion: fn(i32) -> bool| {
        state.reading(variable).is_some_and(|reading| criterion(reading.value_milli))
    };
    let criteria = [
        holds(Variable::Temperature, |milli| !(36_000..=38_000).contains(&milli)),
        holds(Variable::HeartRate, |milli| milli > 90_000),
        holds(Variable::RespiratoryRate, |milli| milli > 20_000) || holds(Variable::Paco2, |milli| milli < 32_000),
        holds(Variable::Wbc, |milli| !(4_000..=12_000).contains(&milli)),
    ];
    criteria.into_iter().filter(|&met| met).count() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Reading;

    fn met(values: &[(Variable, i32)]) -> i64 {
        let mut state = ClinicalState::default();
        for &(variable, value_milli) in values {
            let reading =
                Reading { value_milli, age_s: 0, delta_milli: 0, min_milli: value_milli, max_milli: value_milli };
            state.readings[variable as usize] = Some(reading);
        }
        sirs(&state)
    }

    #[test]
    fn each_criterion_counts_beyond_its_limit_and_not_at_it() {
        use Variable::{HeartRate, Paco2, RespiratoryRate, Temperature, Wbc};
        assert_eq!(met(&[]), 0);
        let at_the_limits =
            [(HeartRate, 90_000), (RespiratoryRate, 20_000), (Paco2, 32_000), (Temperature, 38_000), (Wbc, 12_000)];
        assert_eq!(met(&at_the_limits), 0);
        for beyond in [
            (Temperature, 38_001),
            (Temperature, 35_999),
            (HeartRate, 90_001),
            (RespiratoryRate, 20_001),
            (Paco2, 31_999),
            (Wbc, 12_001),
            (Wbc, 3_999),
        ] {
            assert_eq!(met(&[beyond]), 1, "{beyond:?}");
        }
    }

    #[test]
    fn breathing_is_one_criterion_and_all_four_can_be_met() {
        use Variable::{HeartRate, Paco2, RespiratoryRate, Temperature, Wbc};
        assert_eq!(met(&[(RespiratoryRate, 25_000), (Paco2, 30_000)]), 1);
        assert_eq!(met(&[(RespiratoryRate, 25_000), (HeartRate, 120_000), (Temperature, 39_000), (Wbc, 2_000)]), 4);
    }
}
