//! The raw window of a convolution, `hygeia-icu-raw-v1`: eight hours, the oldest first, of the same channels.

use super::v2::feature;
use super::{FeatureSchema, HOURS, Source, Variable};

/// The value of a variable as it stood at the end of each hour: centre and standard deviation.
const VALUES: [(Channel, i64, i64); 22] = [
    (Channel::Linear(Variable::HeartRate), 84_000, 17_700),
    (Channel::Linear(Variable::Spo2), 97_000, 3_000),
    (Channel::Linear(Variable::Temperature), 36_800, 690),
    (Channel::Linear(Variable::Systolic), 126_600, 24_400),
    (Channel::Linear(Variable::MeanArterial), 86_600, 16_500),
    (Channel::Linear(Variable::Diastolic), 66_500, 14_000),
    (Channel::Linear(Variable::RespiratoryRate), 18_600, 4_800),
    (Channel::Linear(Variable::Fio2), 45_900, 20_300),
    (Channel::Linear(Variable::Ph), 7_390, 71),
    (Channel::Linear(Variable::Paco2), 39_800, 9_700),
    (Channel::Logarithmic(Variable::Bun), 14_450, 1_040),
    (Channel::Logarithmic(Variable::Creatinine), 10_250, 1_020),
    (Channel::Logarithmic(Variable::Glucose), 17_300, 436),
    (Channel::Logarithmic(Variable::Lactate), 11_050, 800),
    (Channel::Logarithmic(Variable::Wbc), 13_530, 717),
    (Channel::Logarithmic(Variable::Platelets), 17_900, 766),
    (Channel::Linear(Variable::Haemoglobin), 10_500, 2_230),
    (Channel::Linear(Variable::Potassium), 4_050, 580),
    (Channel::Linear(Variable::Calcium), 7_730, 2_420),
    (Channel::Linear(Variable::Magnesium), 2_050, 364),
    (Channel::Logarithmic(Variable::Phosphate), 12_000, 527),
    (Channel::Logarithmic(Variable::BilirubinTotal), 9_900, 1_160),
];

/// What does not change over the hours stands in each of them, so that each step of a convolution sees it.
const CONSTANTS: [(Source, i64, i64); 6] = [
    (Source::PatientAge, 61, 16),
    (Source::PatientSex, 0, 1),
    (Source::HoursLog, 4_200, 1_485),
    (Source::UnitMedical, 0, 1),
    (Source::UnitSurgical, 0, 1),
    (Source::HoursBeforeIcuLog, 3_745, 2_690),
];

#[derive(Clone, Copy)]
enum Channel {
    Linear(Variable),
    Logarithmic(Variable),
}

impl FeatureSchema {
    /// Eight hours of 28 channels, step-major: what [`crate::network::Conv1d`] takes.
    pub fn raw_v1() -> Self {
        let features = (0..HOURS as u8).rev().flat_map(|hour| {
            let values = VALUES.iter().map(move |&(channel, center, deviation)| {
                let source = match channel {
                    Channel::Linear(v) => Source::Hourly(v, hour),
                    Channel::Logarithmic(v) => Source::HourlyLog(v, hour),
                };
                feature(source, center, deviation)
            });
            let constants = CONSTANTS.iter().map(move |&(source, center, deviation)| {
                let mut constant = feature(source, center, deviation);
                constant.name = format!("{}.back_{hour}", constant.name);
                constant
            });
            values.chain(constants)
        });
        Self { name: "hygeia-icu-raw-v1".to_owned(), features: features.collect() }
    }
}
