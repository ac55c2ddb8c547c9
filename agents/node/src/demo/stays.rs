//! Real intensive-care stays: the MIMIC-IV demo in the CLIF layout (Parquet), turned into observations.
//!
//! Only what the wire format carries is read: vitals, laboratory values, inspired oxygen, age, sex and
//! the facts of the admission. Times are shifted so that the replay ends now; the distances between them stay as they
//! were.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use hygeia_inference::schema::{FeatureSchema, Variable};
use hygeia_protocol::code::Code;
use parquet::file::reader::SerializedFileReader;
use parquet::record::{Field, Row};
use thiserror::Error;

/// A shorter stay shows little; half a day in seconds.
const STAY_S_MIN: u64 = 12 * 3_600;

/// What could not be read of the stays.
#[derive(Debug, Error)]
pub enum StaysError {
    /// A table is missing or unreadable.
    #[error("{} cannot be read; run `cargo xtask setup` to get the demo's stays", path.display())]
    Open {
        /// The table's file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A table is not the Parquet file it should be.
    #[error("{} is not a readable Parquet table", path.display())]
    Decode {
        /// The table's file.
        path: PathBuf,
        /// The reader's answer.
        #[source]
        source: parquet::errors::ParquetError,
    },
}

/// One measurement of a stay, in the units of the wire format.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// When it was taken, in seconds since the epoch of the data set (its dates are shifted into the future).
    pub taken_at_s: i64,
    /// What was measured.
    pub code: Code,
    /// The value in the code's canonical unit.
    pub value: f64,
    /// Which kind of device it came from: the bedside monitor, the laboratory, the ventilator, the register.
    pub device: &'static str,
}

/// A patient's time in intensive care.
#[derive(Debug, Clone)]
pub struct Stay {
    /// Position in the list of stays; the data set's own identifier is not kept.
    pub number: usize,
    /// The measurements by time.
    pub measurements: Vec<Measurement>,
}

impl Stay {
    /// Seconds from the first measurement to the last.
    pub fn length_s(&self) -> u64 {
        length_s(&self.measurements)
    }
}

/// Whether a directory holds stays in this layout.
pub fn is_clif(dir: &Path) -> bool {
    dir.join("clif_vitals.parquet").is_file()
}

/// Reads up to `count` stays, cut to `hours_max` hours each: the first in the data set's order that last half a day.
pub fn read(dir: &Path, count: usize, hours_max: u32) -> Result<Vec<Stay>, StaysError> {
    let intensive_care = intensive_care_intervals(dir)?;
    let mut by_stay: BTreeMap<String, Vec<Measurement>> = BTreeMap::new();
    let mut keep = |id: &str, measurement: Measurement| {
        let inside =
            intensive_care.get(id).is_some_and(|care| (care.from_s..=care.to_s).contains(&measurement.taken_at_s));
        if inside {
            by_stay.entry(id.to_owned()).or_default().push(measurement);
        }
    };
    read_vitals(dir, &mut keep)?;
    read_laboratory(dir, &mut keep)?;
    read_oxygen(dir, &mut keep)?;

    let people = demographics(dir)?;
    for measurements in by_stay.values_mut() {
        measurements.sort_by(|a, b| a.taken_at_s.cmp(&b.taken_at_s).then(a.code.cmp(&b.code)));
    }
    let long_enough = by_stay.into_iter().filter(|(_, measurements)| length_s(measurements) >= STAY_S_MIN);
    Ok(long_enough
        .take(count)
        .enumerate()
        .map(|(number, (id, measurements))| Stay {
            number,
            measurements: admitted(measurements, people.get(&id), intensive_care.get(&id), hours_max),
        })
        .collect())
}

/// What of the model's variables these stays carry, in a sentence. A variable that a stay lacks is a missing value, as it
/// is in most of the stays the model was trained and validated on: its features say so.
pub fn coverage(stays: &[Stay], schema: &FeatureSchema) -> String {
    let mut asked: Vec<Variable> = schema.list().iter().filter_map(|feature| feature.source.variable()).collect();
    asked.sort_by_key(|&variable| variable as usize);
    asked.dedup();
    let carried = |variable: Variable| {
        let code = Code::from_slot(variable as usize);
        stays.iter().filter(|stay| stay.measurements.iter().any(|m| Some(m.code) == code)).count()
    };
    let counted: Vec<(Variable, usize)> = asked.iter().map(|&variable| (variable, carried(variable))).collect();
    let list = |wanted: &dyn Fn(usize) -> bool| {
        let named = counted.iter().filter(|(_, count)| wanted(*count));
        let names: Vec<String> = named.map(|(variable, count)| format!("{} ({count})", variable.name())).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    format!(
        "of the {} variables that the model reads, in every stay: {}; in no stay: {}; in some (how many): {}",
        counted.len(),
        counted.iter().filter(|(_, count)| *count == stays.len()).count(),
        list(&|count| count == 0),
        list(&|count| count > 0 && count < stays.len()),
    )
}

/// The measurements of the first hours, with what the register knows of the person in front.
fn admitted(
    mut measurements: Vec<Measurement>,
    person: Option<&Person>,
    care: Option<&IntensiveCare>,
    hours_max: u32,
) -> Vec<Measurement> {
    let first = measurements.first().map_or(0, |m| m.taken_at_s);
    measurements.retain(|m| m.taken_at_s - first <= i64::from(hours_max) * 3600);
    if let Some(person) = person {
        let register = |code, value| Measurement { taken_at_s: first, code, value, device: "register" };
        let mut admission = vec![register(Code::Age, person.age_years)];
        admission.extend(person.sex.map(|sex| register(Code::Sex, sex)));
        admission.extend(care.and_then(|care| care.unit).map(|unit| register(Code::IcuUnit, unit)));
        let before = person.admitted_at_s.zip(care).map(|(admitted_s, care)| (care.from_s - admitted_s).max(0) / 3600);
        admission.extend(before.map(|hours| register(Code::HoursBeforeIcu, hours as f64)));
        measurements.splice(0..0, admission);
    }
    measurements
}

/// Seconds from the first measurement to the last.
fn length_s(measurements: &[Measurement]) -> u64 {
    match (measurements.first(), measurements.last()) {
        (Some(first), Some(last)) => u64::try_from(last.taken_at_s - first.taken_at_s).unwrap_or(0),
        _ => 0,
    }
}

struct Person {
    age_years: f64,
    sex: Option<f64>,
    admitted_at_s: Option<i64>,
}

/// First entry to and last exit from intensive care, and the unit of the first entry on the wire's scale.
struct IntensiveCare {
    from_s: i64,
    to_s: i64,
    unit: Option<f64>,
}

fn demographics(dir: &Path) -> Result<BTreeMap<String, Person>, StaysError> {
    let mut sexes = BTreeMap::new();
    for row in rows(&dir.join("clif_patient.parquet"))? {
        let row = row?;
        if let (Some(patient), Some(sex)) = (text(&row, "patient_id"), text(&row, "sex_category")) {
            sexes.insert(patient, if sex.eq_ignore_ascii_case("male") { 1.0 } else { 0.0 });
        }
    }
    let mut people = BTreeMap::new();
    for row in rows(&dir.join("clif_hospitalization.parquet"))? {
        let row = row?;
        let (id, patient) = (text(&row, "hospitalization_id"), text(&row, "patient_id"));
        if let (Some(id), Some(patient), Some(age_years)) = (id, patient, number(&row, "age_at_admission")) {
            people.insert(
                id,
                Person { age_years, sex: sexes.get(&patient).copied(), admitted_at_s: time(&row, "admission_dttm") },
            );
        }
    }
    Ok(people)
}

/// Intensive care per hospitalisation. Units other than medical and surgical ones are not told apart.
fn intensive_care_intervals(dir: &Path) -> Result<BTreeMap<String, IntensiveCare>, StaysError> {
    let mut intervals: BTreeMap<String, IntensiveCare> = BTreeMap::new();
    for row in rows(&dir.join("clif_adt.parquet"))? {
        let row = row?;
        if text(&row, "location_category").as_deref() != Some("icu") {
            continue;
        }
        if let (Some(id), Some(from), Some(to)) =
            (text(&row, "hospitalization_id"), time(&row, "in_dttm"), time(&row, "out_dttm"))
        {
            let unit = match text(&row, "location_type").as_deref() {
                Some("medical_icu") => Some(0.0),
                Some("surgical_icu") => Some(1.0),
                _ => None,
            };
            let care = intervals.entry(id).or_insert(IntensiveCare { from_s: from, to_s: to, unit });
            if from < care.from_s {
                (care.from_s, care.unit) = (from, unit);
            }
            care.to_s = care.to_s.max(to);
        }
    }
    Ok(intervals)
}

fn read_vitals(dir: &Path, keep: &mut impl FnMut(&str, Measurement)) -> Result<(), StaysError> {
    for row in rows(&dir.join("clif_vitals.parquet"))? {
        let row = row?;
        let code = match text(&row, "vital_category").as_deref() {
            Some("heart_rate") => Code::HeartRate,
            Some("spo2") => Code::Spo2,
            Some("temp_c") => Code::Temperature,
            Some("sbp") => Code::Systolic,
            Some("map") => Code::MeanArterial,
            Some("dbp") => Code::Diastolic,
            Some("respiratory_rate") => Code::RespiratoryRate,
            _ => continue,
        };
        let found = (text(&row, "hospitalization_id"), time(&row, "recorded_dttm"), number(&row, "vital_value"));
        if let (Some(id), Some(taken_at_s), Some(value)) = found {
            keep(&id, Measurement { taken_at_s, code, value, device: "monitor" });
        }
    }
    Ok(())
}

fn read_laboratory(dir: &Path, keep: &mut impl FnMut(&str, Measurement)) -> Result<(), StaysError> {
    for row in rows(&dir.join("clif_labs.parquet"))? {
        let row = row?;
        let code = match text(&row, "lab_category").as_deref() {
            Some("ph_arterial") => Code::Ph,
            Some("pco2_arterial") => Code::Paco2,
            Some("bicarbonate") => Code::Bicarbonate,
            Some("bun") => Code::Bun,
            Some("creatinine") => Code::Creatinine,
            Some("glucose_serum") => Code::Glucose,
            Some("lactate") => Code::Lactate,
            Some("wbc") => Code::Wbc,
            Some("platelet_count") => Code::Platelets,
            Some("hemoglobin") => Code::Haemoglobin,
            Some("potassium") => Code::Potassium,
            Some("chloride") => Code::Chloride,
            Some("calcium_total") => Code::Calcium,
            Some("magnesium") => Code::Magnesium,
            Some("phosphate") => Code::Phosphate,
            Some("bilirubin_total") => Code::BilirubinTotal,
            _ => continue,
        };
        // A result is known to the ward when it is reported, not when the blood was drawn.
        let taken = time(&row, "lab_result_dttm").or_else(|| time(&row, "lab_collect_dttm"));
        let found = (text(&row, "hospitalization_id"), taken, number(&row, "lab_value_numeric"));
        if let (Some(id), Some(taken_at_s), Some(value)) = found {
            keep(&id, Measurement { taken_at_s, code, value, device: "laboratory" });
        }
    }
    Ok(())
}

fn read_oxygen(dir: &Path, keep: &mut impl FnMut(&str, Measurement)) -> Result<(), StaysError> {
    for row in rows(&dir.join("clif_respiratory_support.parquet"))? {
        let row = row?;
        let found = (text(&row, "hospitalization_id"), time(&row, "recorded_dttm"), number(&row, "fio2_set"));
        if let (Some(id), Some(taken_at_s), Some(fraction)) = found {
            keep(&id, Measurement { taken_at_s, code: Code::Fio2, value: fraction * 100.0, device: "ventilator" });
        }
    }
    Ok(())
}

fn rows(path: &Path) -> Result<impl Iterator<Item = Result<Row, StaysError>>, StaysError> {
    let file = File::open(path).map_err(|source| StaysError::Open { path: path.to_owned(), source })?;
    let decode = |path: &Path| {
        let path = path.to_owned();
        move |source| StaysError::Decode { path: path.clone(), source }
    };
    let reader = SerializedFileReader::new(file).map_err(decode(path))?;
    let wrap = decode(path);
    Ok(reader.into_iter().map(move |row| row.map_err(&wrap)))
}

fn column<'row>(row: &'row Row, name: &str) -> Option<&'row Field> {
    row.get_column_iter().find(|(column, _)| column.as_str() == name).map(|(_, field)| field)
}

fn text(row: &Row, name: &str) -> Option<String> {
    match column(row, name)? {
        Field::Str(value) => Some(value.clone()),
        _ => None,
    }
}

fn number(row: &Row, name: &str) -> Option<f64> {
    match column(row, name)? {
        Field::Double(value) => Some(*value),
        Field::Long(value) => Some(*value as f64),
        Field::Int(value) => Some(f64::from(*value)),
        _ => None,
    }
    .filter(|value| value.is_finite())
}

fn time(row: &Row, name: &str) -> Option<i64> {
    match column(row, name)? {
        Field::TimestampMicros(micros) => Some(micros.div_euclid(1_000_000)),
        Field::TimestampMillis(millis) => Some(millis.div_euclid(1_000)),
        _ => None,
    }
}
