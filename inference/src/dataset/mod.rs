//! Reads the hourly records of the PhysioNet/CinC Challenge 2019: one CSV file (plain or gzip) with a column `pid`
//! and the rows of a stay together, or a directory of `.psv` files with one stay each.
//!
//! An unreadable or implausible value is treated as the oracle treats it: it is not there. Errors name the place in
//! the data, never a value.

mod table;
mod window;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use flate2::read::MultiGzDecoder;

use crate::schema::{ClinicalState, Sex, Unit, Variable};

pub use table::{Patient, Table};
pub use window::states;

/// Most hours of one stay: more than a year. Bounds what one stay may make the reader hold.
const HOURS_MAX: usize = 10_000;
/// The Challenge gives inspired oxygen as a fraction.
const FIO2_PERCENT: f64 = 100.0;
/// Longest time before intensive care that counts: a year, as the wire format has it.
const HOURS_BEFORE_MAX: f64 = 8784.0;

/// One stay in intensive care.
#[derive(Clone)]
pub struct Stay {
    /// Identifier within the data set. It decides which part of a split the stay belongs to.
    pub id: String,
    /// Its hours in order.
    pub hours: Vec<Hour>,
}

/// What was recorded in one hour.
#[derive(Clone, Copy)]
pub struct Hour {
    /// Measured values in thousandths of the canonical unit, by [`Variable`].
    pub values_milli: [Option<i32>; Variable::COUNT],
    /// Age of the patient.
    pub age_years: Option<u8>,
    /// Sex of the patient.
    pub sex: Option<Sex>,
    /// Kind of intensive-care unit.
    pub unit: Option<Unit>,
    /// Whole hours from admission to hospital to admission to intensive care.
    pub hours_before_icu: Option<u32>,
    /// The Challenge's label: sepsis sets in within six hours, or has.
    pub septic: bool,
}

/// Why data could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file or directory could not be opened or read.
    #[error("cannot read {path}")]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A row is not valid CSV.
    #[error("{path} is not valid after line {line}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The last line that was read.
        line: u64,
    },
    /// A column is missing.
    #[error("{path} has no column {column}")]
    ColumnMissing {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// A label is neither 0 nor 1.
    #[error("{path}, line {line}: the label is neither 0 nor 1")]
    Label {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
    },
    /// A stay has too many hours.
    #[error("{path}, line {line}: a stay has more than {HOURS_MAX} hours")]
    StayTooLong {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
    },
    /// There is no stay at all.
    #[error("{path} holds no stay")]
    Empty {
        /// The path.
        path: PathBuf,
    },
}

/// Reads a CSV(.gz) file or a directory of `.psv` files and hands over each stay in turn.
pub fn read(path: &Path, mut stay: impl FnMut(Stay)) -> Result<(), DatasetError> {
    let mut count = 0usize;
    let mut counted = |next: Stay| {
        count += 1;
        stay(next);
    };
    if path.is_dir() {
        for file in psv_files(path)? {
            let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            read_table(&file, b'|', Some(id), &mut counted)?;
        }
    } else {
        read_table(path, b',', None, &mut counted)?;
    }
    if count == 0 { Err(DatasetError::Empty { path: path.to_owned() }) } else { Ok(()) }
}

/// The `.psv` files of a directory in the order of their names, so that a run does not depend on the file system.
fn psv_files(directory: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let unreadable = |source| DatasetError::Read { path: directory.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "psv") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one table. Its stays are told apart by the column `pid`, unless the whole file is the stay `id`.
fn read_table(path: &Path, delimiter: u8, id: Option<String>, stay: &mut impl FnMut(Stay)) -> Result<(), DatasetError> {
    let source = open(path).map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(source);
    let malformed = |line| DatasetError::Malformed { path: path.to_owned(), line };
    let columns = Columns::find(reader.headers().map_err(|_| malformed(0))?, id.is_none(), path)?;
    let mut current: Option<Stay> = None;
    let mut record = StringRecord::new();
    let mut line = 1;
    while reader.read_record(&mut record).map_err(|_| malformed(line))? {
        line = record.position().map_or(line, csv::Position::line);
        let row_id = id.as_deref().unwrap_or_else(|| columns.text(&record, columns.pid));
        let hour = columns.hour(&record).ok_or_else(|| DatasetError::Label { path: path.to_owned(), line })?;
        match &mut current {
            Some(open) if open.id == row_id => open.hours.push(hour),
            _ => {
                let next = Stay { id: row_id.to_owned(), hours: vec![hour] };
                current.replace(next).into_iter().for_each(&mut *stay);
            }
        }
        if current.as_ref().is_some_and(|open| open.hours.len() > HOURS_MAX) {
            return Err(DatasetError::StayTooLong { path: path.to_owned(), line });
        }
    }
    current.into_iter().for_each(stay);
    Ok(())
}

/// Opens a file, through gzip when its name says so.
fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    let file = BufReader::new(File::open(path)?);
    let compressed = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Places of the columns that are used.
struct Columns {
    pid: usize,
    variables: [usize; Variable::COUNT],
    age: usize,
    sex: usize,
    /// Medical and surgical unit; data without these columns is read all the same.
    units: Option<[usize; 2]>,
    /// The same holds for the time of admission to hospital.
    before_icu: Option<usize>,
    label: usize,
}

impl Columns {
    fn find(headers: &StringRecord, with_pid: bool, path: &Path) -> Result<Self, DatasetError> {
        let place = |column: &'static str| {
            let found = headers.iter().position(|header| header.trim() == column);
            found.ok_or_else(|| DatasetError::ColumnMissing { path: path.to_owned(), column })
        };
        let mut variables = [0; Variable::COUNT];
        for variable in Variable::ALL {
            variables[variable as usize] = place(variable.challenge_column())?;
        }
        let pid = if with_pid { place("pid")? } else { 0 };
        let units = place("Unit1").ok().zip(place("Unit2").ok()).map(|(medical, surgical)| [medical, surgical]);
        Ok(Self {
            pid,
            variables,
            age: place("Age")?,
            sex: place("Gender")?,
            units,
            before_icu: place("HospAdmTime").ok(),
            label: place("SepsisLabel")?,
        })
    }

    /// One row, or nothing when its label is not 0 or 1.
    fn hour(&self, record: &StringRecord) -> Option<Hour> {
        let septic = match self.number(record, self.label)? {
            0.0 => false,
            1.0 => true,
            _ => return None,
        };
        let mut values_milli = [None; Variable::COUNT];
        for variable in Variable::ALL {
            let value = self.number(record, self.variables[variable as usize]);
            values_milli[variable as usize] = value.and_then(|value| plausible_milli(variable, value));
        }
        let age_years = self.number(record, self.age).filter(|age| (0.0..=120.0).contains(age));
        let sex = self.number(record, self.sex).and_then(|sex| match sex {
            0.0 => Some(Sex::Female),
            1.0 => Some(Sex::Male),
            _ => None,
        });
        // Where both units or neither is set, the unit is not known.
        let unit =
            self.units.and_then(|columns| match columns.map(|column| self.number(record, column) == Some(1.0)) {
                [true, false] => Some(Unit::Medical),
                [false, true] => Some(Unit::Surgical),
                _ => None,
            });
        // The Challenge counts from admission to intensive care, so hours before it are negative.
        let hours_before_icu = self.before_icu.and_then(|column| self.number(record, column));
        let hours_before_icu = hours_before_icu.map(|hours| (-hours).clamp(0.0, HOURS_BEFORE_MAX) as u32);
        let age_years = age_years.map(|age| age as u8);
        Some(Hour { values_milli, age_years, sex, unit, hours_before_icu, septic })
    }

    fn number(&self, record: &StringRecord, column: usize) -> Option<f64> {
        self.text(record, column).trim().parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn text<'r>(&self, record: &'r StringRecord, column: usize) -> &'r str {
        record.get(column).unwrap_or_default()
    }
}

/// A value in thousandths of the canonical unit, unless it cannot be a measurement.
fn plausible_milli(variable: Variable, value: f64) -> Option<i32> {
    let canonical = if variable == Variable::Fio2 { value * FIO2_PERCENT } else { value };
    let milli = (canonical * 1000.0).round();
    let (low, high) = variable.plausible_milli();
    (f64::from(low)..=f64::from(high)).contains(&milli).then_some(milli as i32)
}

/// Shows neither identity nor values.
impl std::fmt::Debug for Stay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stay").field("hours", &self.hours.len()).finish_non_exhaustive()
    }
}

/// The clinical states of a stay and their labels, hour by hour.
pub fn labelled_states(stay: &Stay) -> impl Iterator<Item = (ClinicalState, bool)> + '_ {
    states(&stay.hours).zip(stay.hours.iter().map(|hour| hour.septic))
}
