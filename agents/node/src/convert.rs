//! The seam between `hygeia-protocol` and `hygeia-inference`, which do not know each other.

use hygeia_inference::schema::{ClinicalState, Reading, Sex};
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
