//! The shipped schema, `hygeia-icu-v2`.
//!
//! Centres and standard deviations are round numbers near those of the training stays of the PhysioNet/CinC Challenge
//! 2019, set B. Bicarbonate and chloride are left out: at that hospital they were recorded so rarely (2 % and 8 % of
//! the hours) that weights learnt there would not hold for a hospital that records them daily.

use super::{FEATURE_SHIFT, Feature, FeatureSchema, MULTIPLIER_SHIFT, Source, Variable};

/// Four standard deviations: what lies beyond is rarer than a recording error.
const CLIP: i32 = 4096;

/// A variable's last value: centre and standard deviation, and the same for the logarithm of its age.
struct Measured {
    source: Source,
    center: i64,
    deviation: i64,
    age_center: i64,
    age_deviation: i64,
}

const fn linear(v: Variable, value: (i64, i64), age: (i64, i64)) -> Measured {
    measured(Source::Value(v), value, age)
}

const fn logarithmic(v: Variable, value: (i64, i64), age: (i64, i64)) -> Measured {
    measured(Source::ValueLog(v), value, age)
}

const fn measured(source: Source, value: (i64, i64), age: (i64, i64)) -> Measured {
    Measured { source, center: value.0, deviation: value.1, age_center: age.0, age_deviation: age.1 }
}

/// Values in thousandths of the unit or 1024ths of a binary logarithm; ages in 1024ths of a binary logarithm.
const MEASURED: [Measured; 22] = [
    linear(Variable::HeartRate, (84_000, 17_700), (11_490, 1_420)),
    linear(Variable::Spo2, (97_000, 3_000), (11_550, 1_480)),
    linear(Variable::Temperature, (36_800, 690), (13_120, 2_100)),
    linear(Variable::Systolic, (126_600, 24_400), (11_540, 1_470)),
    linear(Variable::MeanArterial, (86_600, 16_500), (11_610, 1_620)),
    linear(Variable::Diastolic, (66_500, 14_000), (11_540, 1_470)),
    linear(Variable::RespiratoryRate, (18_600, 4_800), (11_800, 1_760)),
    linear(Variable::Fio2, (45_900, 20_300), (17_830, 1_910)),
    linear(Variable::Ph, (7_390, 71), (17_850, 1_900)),
    linear(Variable::Paco2, (39_800, 9_700), (17_840, 1_900)),
    logarithmic(Variable::Bun, (14_450, 1_040), (15_790, 2_210)),
    logarithmic(Variable::Creatinine, (10_250, 1_020), (15_790, 2_210)),
    logarithmic(Variable::Glucose, (17_300, 436), (14_120, 2_510)),
    logarithmic(Variable::Lactate, (11_050, 800), (18_030, 1_770)),
    logarithmic(Variable::Wbc, (13_530, 717), (15_900, 2_220)),
    logarithmic(Variable::Platelets, (17_900, 766), (15_880, 2_230)),
    linear(Variable::Haemoglobin, (10_500, 2_230), (15_800, 2_260)),
    linear(Variable::Potassium, (4_050, 580), (15_450, 2_280)),
    linear(Variable::Calcium, (7_730, 2_420), (15_590, 2_250)),
    linear(Variable::Magnesium, (2_050, 364), (16_170, 2_290)),
    logarithmic(Variable::Phosphate, (12_000, 527), (17_050, 2_190)),
    logarithmic(Variable::BilirubinTotal, (9_900, 1_160), (17_640, 1_910)),
];

/// What a vital sign did over the trend window, and the patient: source, centre, standard deviation.
const TRENDS_AND_PATIENT: [(Source, i64, i64); 23] = [
    (Source::Delta(Variable::HeartRate), 0, 11_700),
    (Source::Delta(Variable::Spo2), 0, 3_130),
    (Source::Delta(Variable::Temperature), 0, 510),
    (Source::Delta(Variable::Systolic), 0, 20_800),
    (Source::Delta(Variable::MeanArterial), 0, 14_400),
    (Source::Delta(Variable::Diastolic), 0, 12_400),
    (Source::Delta(Variable::RespiratoryRate), 0, 4_660),
    (Source::Min(Variable::HeartRate), 77_500, 16_000),
    (Source::Min(Variable::Spo2), 95_000, 4_000),
    (Source::Min(Variable::Temperature), 36_600, 700),
    (Source::Min(Variable::Systolic), 112_200, 21_000),
    (Source::Min(Variable::MeanArterial), 77_100, 14_500),
    (Source::Max(Variable::HeartRate), 91_600, 19_000),
    (Source::Max(Variable::Temperature), 37_000, 690),
    (Source::Max(Variable::Systolic), 141_900, 25_000),
    (Source::Max(Variable::RespiratoryRate), 21_600, 5_500),
    (Source::PatientAge, 61, 16),
    (Source::PatientSex, 0, 1),
    (Source::Hours, 25, 29),
    (Source::HoursLog, 4_200, 1_485),
    (Source::UnitMedical, 0, 1),
    (Source::UnitSurgical, 0, 1),
    (Source::HoursBeforeIcuLog, 3_745, 2_690),
];

impl FeatureSchema {
    /// The shipped schema: 67 features of 22 variables, their staleness, trends, age, sex, the unit and the clock.
    pub fn v2() -> Self {
        let values = MEASURED.iter().map(|m| feature(m.source, m.center, m.deviation));
        let ages = MEASURED.iter().filter_map(|m| {
            let variable = m.source.variable()?;
            Some(feature(Source::AgeLog(variable), m.age_center, m.age_deviation))
        });
        let rest = TRENDS_AND_PATIENT.iter().map(|&(source, center, deviation)| feature(source, center, deviation));
        Self { name: "hygeia-icu-v2".to_owned(), features: values.chain(ages).chain(rest).collect() }
    }
}

/// The multiplier is 2^30 over the standard deviation, rounded.
pub(super) fn feature(source: Source, center: i64, deviation: i64) -> Feature {
    let one: i64 = 1 << (MULTIPLIER_SHIFT + FEATURE_SHIFT);
    Feature { name: feature_name(source), source, center, multiplier: (one + deviation / 2) / deviation, clip: CLIP }
}

fn feature_name(source: Source) -> String {
    match source {
        Source::Value(v) => format!("{}.value", v.name()),
        Source::ValueLog(v) => format!("{}.value_log", v.name()),
        Source::AgeLog(v) => format!("{}.age_log", v.name()),
        Source::Delta(v) => format!("{}.delta", v.name()),
        Source::Min(v) => format!("{}.min", v.name()),
        Source::Max(v) => format!("{}.max", v.name()),
        Source::PatientAge => "patient.age".to_owned(),
        Source::PatientSex => "patient.sex".to_owned(),
        Source::Hours => "clock.hours".to_owned(),
        Source::HoursLog => "clock.hours_log".to_owned(),
        Source::UnitMedical => "unit.medical".to_owned(),
        Source::UnitSurgical => "unit.surgical".to_owned(),
        Source::HoursBeforeIcuLog => "clock.before_icu_log".to_owned(),
        Source::Hourly(v, hour) => format!("{}.back_{hour}", v.name()),
        Source::HourlyLog(v, hour) => format!("{}.back_{hour}_log", v.name()),
    }
}
