//! The seam between `hygeia-protocol` and `hygeia-inference`, which do not know each other.

use hygeia_inference::schema::{ClinicalState, Reading, Sex, Unit};
use hygeia_protocol::code;
use hygeia_protocol::window::WindowSnapshot;

/// A window's content in the words of the feature schema.
pub fn clinical_state(snapshot: &WindowSnapshot) -> ClinicalState {
    ClinicalState {
        hours_observed: snapshot.hours_observed,
        age_years: snapshot.age_years,
        sex: snapshot.sex.map(|sex| match sex {
            code::Sex::Female => Sex::Female,
            code::Sex::Male => Sex::Male,
        }),
        unit: snapshot.unit.map(|unit| match unit {
            code::Unit::Medical => Unit::Medical,
            code::Unit::Surgical => Unit::Surgical,
        }),
        hours_before_icu: snapshot.hours_before_icu,
        hourly: snapshot.hourly,
        readings: snapshot.readings.map(|reading| {
            reading.map(|r| Reading {
                value_milli: r.value_milli,
                age_s: r.age_s,
                delta_milli: r.delta_milli,
                min_milli: r.min_milli,
                max_milli: r.max_milli,
            })
        }),
    }
}

#[cfg(test)]
mod tests {
    use hygeia_inference::schema::Variable;
    use hygeia_protocol::code::{Code, LOINC};

    /// The two crates list the same variables in the same order, though neither sees the other's list.
    #[test]
    fn every_slot_is_the_same_variable_on_both_sides() {
        for (slot, variable) in Variable::ALL.into_iter().enumerate() {
            let code = Code::from_slot(slot).unwrap();
            let (min, max) = variable.plausible_milli();
            assert_eq!(code.system(), LOINC);
            assert_eq!(
                (code.name(), code.code(), code.ucum(), code.spec().min_milli, code.spec().max_milli),
                (variable.name(), variable.loinc(), variable.ucum(), min, max),
                "slot {slot}"
            );
        }
        assert_eq!(Code::from_slot(Variable::COUNT), None, "and no more");
    }
}
