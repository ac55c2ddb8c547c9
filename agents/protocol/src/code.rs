//! What can be recorded: code, UCUM unit and plausible range of each measured variable and of each fact of a stay.

use serde::{Deserialize, Serialize};

/// System of the codes that LOINC defines.
pub const LOINC: &str = "http://loinc.org";
/// System of our own codes, for facts of an admission that an encounter record states and LOINC has no code for.
pub const ADMISSION: &str = "urn:hygeia:admission";

/// Measured variables that a window carries; the codes after them are facts of the stay.
pub const READINGS: usize = 24;

/// A variable that an observation may carry. The integers and their order are part of the format: the
/// slot of a reading in a window is the integer of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[expect(missing_docs, reason = "the table below names each of them")]
pub enum Code {
    HeartRate = 0,
    Spo2 = 1,
    Temperature = 2,
    Systolic = 3,
    MeanArterial = 4,
    Diastolic = 5,
    RespiratoryRate = 6,
    Fio2 = 7,
    Ph = 8,
    Paco2 = 9,
    Bicarbonate = 10,
    Bun = 11,
    Creatinine = 12,
    Glucose = 13,
    Lactate = 14,
    Wbc = 15,
    Platelets = 16,
    Haemoglobin = 17,
    Potassium = 18,
    Chloride = 19,
    Calcium = 20,
    Magnesium = 21,
    Phosphate = 22,
    BilirubinTotal = 23,
    Age = 24,
    Sex = 25,
    IcuUnit = 26,
    HoursBeforeIcu = 27,
}

/// Sex as the record states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sex {
    /// Value 0 on the wire.
    Female,
    /// Value 1 on the wire.
    Male,
}

/// The kind of intensive-care unit, as the encounter states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Value 0 on the wire.
    Medical,
    /// Value 1 on the wire.
    Surgical,
}

/// How a variable is named, written and bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeSpec {
    /// Our own name, used in explanations and metric labels.
    pub name: &'static str,
    /// System of the code: [`LOINC`] or [`ADMISSION`].
    pub system: &'static str,
    /// Code within its system.
    pub code: &'static str,
    /// UCUM code of the one unit accepted.
    pub ucum: &'static str,
    /// Lowest plausible value, in thousandths of the unit.
    pub min_milli: i32,
    /// Highest plausible value, in thousandths of the unit.
    pub max_milli: i32,
}

impl Code {
    /// Every code, in the order of their integers.
    pub const ALL: [Code; 28] = [
        Code::HeartRate,
        Code::Spo2,
        Code::Temperature,
        Code::Systolic,
        Code::MeanArterial,
        Code::Diastolic,
        Code::RespiratoryRate,
        Code::Fio2,
        Code::Ph,
        Code::Paco2,
        Code::Bicarbonate,
        Code::Bun,
        Code::Creatinine,
        Code::Glucose,
        Code::Lactate,
        Code::Wbc,
        Code::Platelets,
        Code::Haemoglobin,
        Code::Potassium,
        Code::Chloride,
        Code::Calcium,
        Code::Magnesium,
        Code::Phosphate,
        Code::BilirubinTotal,
        Code::Age,
        Code::Sex,
        Code::IcuUnit,
        Code::HoursBeforeIcu,
    ];

    /// The variable with this code in this system, if it is one of ours.
    #[must_use]
    pub fn from_coding(system: &str, code: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|known| known.spec().code == code && known.spec().system == system)
    }

    /// The measured variable in this slot of a window; `None` from [`READINGS`] on.
    #[must_use]
    pub fn from_slot(slot: usize) -> Option<Code> {
        Code::ALL.get(slot).copied().filter(|code| code.slot().is_some())
    }

    /// The slot of a measured variable in a window; `None` for a fact of the stay.
    #[must_use]
    pub const fn slot(self) -> Option<usize> {
        let index = self as usize;
        if index < READINGS { Some(index) } else { None }
    }

    /// Name, codes and range.
    #[must_use]
    pub const fn spec(self) -> &'static CodeSpec {
        &SPECS[self as usize]
    }

    /// Our own name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// System of the code.
    #[must_use]
    pub const fn system(self) -> &'static str {
        self.spec().system
    }

    /// Code within its system.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.spec().code
    }

    /// UCUM code of the unit.
    #[must_use]
    pub const fn ucum(self) -> &'static str {
        self.spec().ucum
    }

    /// True where a patient can have this value, in thousandths of the unit.
    ///
    /// Devices report "no value" as -100, 32767 or 8388607; all three lie outside every range.
    #[must_use]
    pub const fn is_plausible(self, value_milli: i32) -> bool {
        let spec = self.spec();
        let in_range = spec.min_milli <= value_milli && value_milli <= spec.max_milli;
        in_range && (!matches!(self, Code::Sex | Code::IcuUnit) || value_milli % 1000 == 0)
    }
}

const fn spec(name: &'static str, code: &'static str, ucum: &'static str, min_milli: i32, max_milli: i32) -> CodeSpec {
    CodeSpec { name, system: LOINC, code, ucum, min_milli, max_milli }
}

/// Our own codes are named as the variable is.
const fn admission(name: &'static str, ucum: &'static str, min_milli: i32, max_milli: i32) -> CodeSpec {
    CodeSpec { name, system: ADMISSION, code: name, ucum, min_milli, max_milli }
}

/// Indexed by the integer of the code. Ranges are what a living adult can show, not what is normal.
static SPECS: [CodeSpec; 28] = [
    spec("heart_rate", "8867-4", "/min", 10_000, 300_000),
    spec("spo2", "59408-5", "%", 20_000, 100_000),
    spec("temperature", "8310-5", "Cel", 24_000, 45_000),
    spec("systolic", "8480-6", "mm[Hg]", 20_000, 320_000),
    spec("mean_arterial", "8478-0", "mm[Hg]", 10_000, 260_000),
    spec("diastolic", "8462-4", "mm[Hg]", 5_000, 240_000),
    spec("respiratory_rate", "9279-1", "/min", 1_000, 100_000),
    spec("fio2", "3150-6", "%", 15_000, 100_000),
    spec("ph", "2744-1", "[pH]", 6_300, 8_000),
    spec("paco2", "2019-8", "mm[Hg]", 5_000, 200_000),
    spec("bicarbonate", "1963-8", "mmol/L", 1_000, 70_000),
    spec("bun", "3094-0", "mg/dL", 1_000, 300_000),
    spec("creatinine", "2160-0", "mg/dL", 50, 40_000),
    spec("glucose", "2345-7", "mg/dL", 10_000, 2_000_000),
    spec("lactate", "2524-7", "mmol/L", 100, 40_000),
    spec("wbc", "6690-2", "10*3/uL", 0, 500_000),
    spec("platelets", "777-3", "10*3/uL", 1_000, 2_500_000),
    spec("haemoglobin", "718-7", "g/dL", 1_000, 30_000),
    spec("potassium", "2823-3", "mmol/L", 500, 15_000),
    spec("chloride", "2075-0", "mmol/L", 50_000, 170_000),
    spec("calcium", "17861-6", "mg/dL", 1_000, 25_000),
    spec("magnesium", "19123-9", "mg/dL", 100, 15_000),
    spec("phosphate", "2777-1", "mg/dL", 100, 30_000),
    spec("bilirubin_total", "1975-2", "mg/dL", 0, 80_000),
    spec("age", "30525-0", "a", 0, 120_000),
    spec("sex", "46098-0", "1", 0, 1_000),
    admission("icu_unit", "1", 0, 1_000),
    // Up to a year in hospital before intensive care.
    admission("hours_before_icu", "h", 0, 8_784_000),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn integers_slots_and_names_agree() {
        for (index, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index);
            assert_eq!(code.slot(), (index < READINGS).then_some(index));
            assert_eq!(Code::from_slot(index), code.slot().map(|_| code));
            assert_eq!(Code::from_coding(code.system(), code.code()), Some(code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
            assert!(code.spec().min_milli < code.spec().max_milli);
        }
        let codings: BTreeSet<_> = Code::ALL.into_iter().map(|code| (code.system(), code.code())).collect();
        assert_eq!(codings.len(), Code::ALL.len());
    }

    #[test]
    fn unknown_codes_have_no_variable() {
        for code in ["", "8867-5", "8867", "8867-4 ", "２744-1", "heart_rate"] {
            assert_eq!(Code::from_coding(LOINC, code), None, "{code}");
        }
        assert_eq!(Code::from_coding(ADMISSION, "8867-4"), None, "a code belongs to its system");
        assert_eq!(Code::from_coding(LOINC, "icu_unit"), None);
    }

    #[test]
    fn ranges_are_closed_and_leave_the_sentinels_out() {
        for code in Code::ALL {
            let spec = code.spec();
            for value in [spec.min_milli, spec.max_milli] {
                assert!(code.is_plausible(value), "{code:?} {value}");
            }
            let sentinels = [-100_000, 32_767_000, 8_388_607_000_i64];
            let sentinels = sentinels.into_iter().filter_map(|s| i32::try_from(s).ok());
            for value in sentinels.chain([spec.min_milli - 1, spec.max_milli + 1, i32::MIN, i32::MAX]) {
                assert!(!code.is_plausible(value), "{code:?} {value}");
            }
        }
        assert!(!Code::Sex.is_plausible(500));
        assert!(!Code::IcuUnit.is_plausible(500));
    }
}
