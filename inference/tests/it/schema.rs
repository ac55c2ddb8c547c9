//! Features of states made by hand.

use expect_test::{Expect, expect};
use hygeia_inference::schema::HOURS;
use hygeia_inference::{ClinicalState, FeatureSchema, Reading, Sex, Variable};

fn reading(value_milli: i32, age_s: u32) -> Reading {
    Reading { value_milli, age_s, delta_milli: 0, min_milli: value_milli, max_milli: value_milli }
}

fn with(readings: &[(Variable, Reading)]) -> ClinicalState {
    let mut state = ClinicalState::default();
    for &(variable, reading) in readings {
        state.readings[variable as usize] = Some(reading);
    }
    state
}

/// The features that differ from those of a state in which nothing is known.
fn check(state: &ClinicalState, expected: Expect) {
    let schema = FeatureSchema::v2();
    let unknown = schema.features(&ClinicalState::default());
    let known = schema.features(state);
    let lines: Vec<String> = schema
        .list()
        .iter()
        .zip(unknown.iter().zip(&known))
        .filter(|(_, (unknown, known))| unknown != known)
        .map(|(feature, (_, known))| format!("{} {known}", feature.name))
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn an_unknown_state_is_at_the_centre_and_as_stale_as_can_be() {
    let schema = FeatureSchema::v2();
    let features = schema.features(&ClinicalState::default());
    for (feature, value) in schema.list().iter().zip(features) {
        let is_value = feature.name.contains("value") || feature.name.ends_with(".delta");
        if is_value || feature.name.starts_with("patient") {
            assert_eq!(value, 0, "{}", feature.name);
        }
        if feature.name.ends_with(".age_log") {
            assert!(value > 0, "{}", feature.name);
        }
    }
}

#[test]
fn a_fast_heart_that_slowed() {
    let heart_rate =
        Reading { value_milli: 119_400, age_s: 1_799, delta_milli: -23_400, min_milli: 119_400, max_milli: 142_800 };
    check(
        &with(&[(Variable::HeartRate, heart_rate)]),
        expect![[r#"
        heart_rate.value 2047
        heart_rate.age_log -342
        heart_rate.delta -2049
        heart_rate.min 2681
        heart_rate.max 2759"#]],
    );
}

#[test]
fn a_laboratory_value_is_read_on_a_logarithmic_scale() {
    check(
        &with(&[(Variable::Lactate, reading(4_096, 7_200)), (Variable::Creatinine, reading(512, 48 * 3600))]),
        expect![[r#"
            creatinine.value_log -1039
            lactate.value_log 1584
            creatinine.age_log 907
            lactate.age_log -2672"#]],
    );
}

#[test]
fn the_patient_and_the_clock() {
    let state =
        ClinicalState { hours_observed: 63, age_years: Some(77), sex: Some(Sex::Male), ..ClinicalState::default() };
    check(
        &state,
        expect![[r#"
        patient.age 1024
        patient.sex 1024
        clock.hours 1341
        clock.hours_log 1340"#]],
    );
}

#[test]
fn what_is_not_used_changes_nothing() {
    check(&with(&[(Variable::Bicarbonate, reading(24_000, 0)), (Variable::Chloride, reading(1, 0))]), expect![""]);
}

#[test]
fn age_counts_in_whole_hours() {
    let schema = FeatureSchema::v2();
    let at = |age_s| schema.features(&with(&[(Variable::Spo2, reading(95_000, age_s))]));
    assert_eq!(at(0), at(3_599));
    assert_ne!(at(3_599), at(3_600));
}

#[test]
fn no_state_leaves_the_bounds() {
    let schema = FeatureSchema::v2();
    for value_milli in [i32::MIN, -1, 0, 1, i32::MAX] {
        for age_s in [0, u32::MAX] {
            let extreme = Reading {
                value_milli,
                age_s,
                delta_milli: value_milli,
                min_milli: value_milli,
                max_milli: value_milli,
            };
            let state = ClinicalState {
                hours_observed: u32::MAX,
                age_years: Some(u8::MAX),
                sex: Some(Sex::Female),
                unit: None,
                hours_before_icu: Some(u32::MAX),
                readings: [Some(extreme); Variable::COUNT],
                hourly: [[Some(value_milli); HOURS]; Variable::COUNT],
            };
            let features = schema.features(&state);
            let within = features.iter().zip(schema.bounds()).all(|(&x, (low, high))| (low..=high).contains(&x));
            assert!(within);
        }
    }
}

#[test]
fn debug_shows_no_measurement() {
    let state = with(&[(Variable::HeartRate, reading(123_456, 789))]);
    let text = format!("{state:?} {:?}", state.readings[0]);
    assert!(!text.contains("123") && !text.contains("789"), "{text}");
}
