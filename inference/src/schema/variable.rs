//! The measured variables, in the order of the wire format's codes.

use serde::{Deserialize, Serialize};

/// A measured variable. The discriminant is its index in a [`super::ClinicalState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Variable {
    /// Heart rate, LOINC 8867-4, in `/min`.
    HeartRate = 0,
    /// Oxygen saturation by pulse oximetry, LOINC 59408-5, in `%`.
    Spo2 = 1,
    /// Body temperature, LOINC 8310-5, in `Cel`.
    Temperature = 2,
    /// Systolic blood pressure, LOINC 8480-6, in `mm[Hg]`.
    Systolic = 3,
    /// Mean arterial pressure, LOINC 8478-0, in `mm[Hg]`.
    MeanArterial = 4,
    /// Diastolic blood pressure, LOINC 8462-4, in `mm[Hg]`.
    Diastolic = 5,
    /// Respiratory rate, LOINC 9279-1, in `/min`.
    RespiratoryRate = 6,
    /// Inspired oxygen, LOINC 3150-6, in `%`.
    Fio2 = 7,
    /// Arterial pH, LOINC 2744-1, in `[pH]`.
    Ph = 8,
    /// Arterial partial pressure of carbon dioxide, LOINC 2019-8, in `mm[Hg]`.
    Paco2 = 9,
    /// Bicarbonate, LOINC 1963-8, in `mmol/L`.
    Bicarbonate = 10,
    /// Blood urea nitrogen, LOINC 3094-0, in `mg/dL`.
    Bun = 11,
    /// Creatinine, LOINC 2160-0, in `mg/dL`.
    Creatinine = 12,
    /// Glucose, LOINC 2345-7, in `mg/dL`.
    Glucose = 13,
    /// Lactate, LOINC 2524-7, in `mmol/L`.
    Lactate = 14,
    /// White blood cells, LOINC 6690-2, in `10*3/uL`.
    Wbc = 15,
    /// Platelets, LOINC 777-3, in `10*3/uL`.
    Platelets = 16,
    /// Haemoglobin, LOINC 718-7, in `g/dL`.
    Haemoglobin = 17,
    /// Potassium, LOINC 2823-3, in `mmol/L`.
    Potassium = 18,
    /// Chloride, LOINC 2075-0, in `mmol/L`.
    Chloride = 19,
    /// Calcium, LOINC 17861-6, in `mg/dL`.
    Calcium = 20,
    /// Magnesium, LOINC 19123-9, in `mg/dL`.
    Magnesium = 21,
    /// Phosphate, LOINC 2777-1, in `mg/dL`.
    Phosphate = 22,
    /// Total bilirubin, LOINC 1975-2, in `mg/dL`.
    BilirubinTotal = 23,
}

/// What is fixed about a variable.
struct Facts {
    variable: Variable,
    name: &'static str,
    loinc: &'static str,
    ucum: &'static str,
    plausible_milli: (i32, i32),
    challenge_column: &'static str,
}

const fn facts(
    variable: Variable,
    name: &'static str,
    loinc: &'static str,
    ucum: &'static str,
    plausible_milli: (i32, i32),
    challenge_column: &'static str,
) -> Facts {
    Facts { variable, name, loinc, ucum, plausible_milli, challenge_column }
}

#[rustfmt::skip]
const FACTS: [Facts; Variable::COUNT] = [
    facts(Variable::HeartRate, "heart_rate", "8867-4", "/min", (10_000, 300_000), "HR"),
    facts(Variable::Spo2, "spo2", "59408-5", "%", (20_000, 100_000), "O2Sat"),
    facts(Variable::Temperature, "temperature", "8310-5", "Cel", (24_000, 45_000), "Temp"),
    facts(Variable::Systolic, "systolic", "8480-6", "mm[Hg]", (20_000, 320_000), "SBP"),
    facts(Variable::MeanArterial, "mean_arterial", "8478-0", "mm[Hg]", (10_000, 260_000), "MAP"),
    facts(Variable::Diastolic, "diastolic", "8462-4", "mm[Hg]", (5_000, 240_000), "DBP"),
    facts(Variable::RespiratoryRate, "respiratory_rate", "9279-1", "/min", (1_000, 100_000), "Resp"),
    facts(Variable::Fio2, "fio2", "3150-6", "%", (15_000, 100_000), "FiO2"),
    facts(Variable::Ph, "ph", "2744-1", "[pH]", (6_300, 8_000), "pH"),
    facts(Variable::Paco2, "paco2", "2019-8", "mm[Hg]", (5_000, 200_000), "PaCO2"),
    facts(Variable::Bicarbonate, "bicarbonate", "1963-8", "mmol/L", (1_000, 70_000), "HCO3"),
    facts(Variable::Bun, "bun", "3094-0", "mg/dL", (1_000, 300_000), "BUN"),
    facts(Variable::Creatinine, "creatinine", "2160-0", "mg/dL", (50, 40_000), "Creatinine"),
    facts(Variable::Glucose, "glucose", "2345-7", "mg/dL", (10_000, 2_000_000), "Glucose"),
    facts(Variable::Lactate, "lactate", "2524-7", "mmol/L", (100, 40_000), "Lactate"),
    facts(Variable::Wbc, "wbc", "6690-2", "10*3/uL", (0, 500_000), "WBC"),
    facts(Variable::Platelets, "platelets", "777-3", "10*3/uL", (1_000, 2_500_000), "Platelets"),
    facts(Variable::Haemoglobin, "haemoglobin", "718-7", "g/dL", (1_000, 30_000), "Hgb"),
    facts(Variable::Potassium, "potassium", "2823-3", "mmol/L", (500, 15_000), "Potassium"),
    facts(Variable::Chloride, "chloride", "2075-0", "mmol/L", (50_000, 170_000), "Chloride"),
    facts(Variable::Calcium, "calcium", "17861-6", "mg/dL", (1_000, 25_000), "Calcium"),
    facts(Variable::Magnesium, "magnesium", "19123-9", "mg/dL", (100, 15_000), "Magnesium"),
    facts(Variable::Phosphate, "phosphate", "2777-1", "mg/dL", (100, 30_000), "Phosphate"),
    facts(Variable::BilirubinTotal, "bilirubin_total", "1975-2", "mg/dL", (0, 80_000), "Bilirubin_total"),
];

impl Variable {
    /// Number of variables.
    pub const COUNT: usize = 24;

    /// Every variable in order.
    pub const ALL: [Self; Self::COUNT] = {
        let mut all = [Self::HeartRate; Self::COUNT];
        let mut index = 0;
        while index < Self::COUNT {
            assert!(FACTS[index].variable as usize == index, "facts stand in the order of the variables");
            all[index] = FACTS[index].variable;
            index += 1;
        }
        all
    };

    /// Name, as feature names begin with it.
    pub fn name(self) -> &'static str {
        FACTS[self as usize].name
    }

    /// LOINC code.
    pub fn loinc(self) -> &'static str {
        FACTS[self as usize].loinc
    }

    /// Canonical unit in UCUM.
    pub fn ucum(self) -> &'static str {
        FACTS[self as usize].ucum
    }

    /// Least and greatest value that can be a measurement, in thousandths of the canonical unit, both inclusive.
    pub fn plausible_milli(self) -> (i32, i32) {
        FACTS[self as usize].plausible_milli
    }

    /// Column of the PhysioNet/CinC Challenge 2019 files.
    pub fn challenge_column(self) -> &'static str {
        FACTS[self as usize].challenge_column
    }
}
