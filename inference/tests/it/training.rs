//! Training and evaluation on a small synthetic data set: fast, repeatable from a seed, and honest about bad data.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use hygeia_inference::dataset::{self, DatasetError};
use hygeia_inference::evaluate::evaluate;
use hygeia_inference::metrics::EveryHour;
use hygeia_inference::train::{Architecture, Progress, TrainConfig, TrainError, train};
use hygeia_inference::{Unit, Variable};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A directory that is removed with its owner.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hygeia-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(&path, content).expect("a file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Columns of a row after `pid`.
pub fn header() -> Vec<&'static str> {
    let variables = Variable::ALL.iter().map(|variable| variable.challenge_column());
    variables.chain(["Unit1", "Unit2", "HospAdmTime", "Age", "Gender", "SepsisLabel"]).collect()
}

/// One stay: lines of fields. In a septic one the heart quickens and the temperature rises from the tenth hour on.
fn stay(septic: bool, rng: &mut ChaCha8Rng) -> Vec<Vec<String>> {
    let hours = 24;
    let row = |hour: usize, rng: &mut ChaCha8Rng| {
        let ill = septic && hour >= 10;
        let mut fields = vec![String::new(); header().len()];
        fields[0] = format!("{:.1}", rng.gen_range(70.0..90.0) + if ill { 40.0 } else { 0.0 });
        fields[2] = format!("{:.2}", rng.gen_range(36.0..37.0) + if ill { 2.0 } else { 0.0 });
        fields[26] = "-12.5".to_owned();
        fields[27] = "64.5".to_owned();
        fields[28] = "1".to_owned();
        fields[29] = if septic && hour >= 12 { "1" } else { "0" }.to_owned();
        fields
    };
    (0..hours).map(|hour| row(hour, rng)).collect()
}

pub fn stays(count: usize) -> Vec<Vec<Vec<String>>> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    (0..count).map(|index| stay(index % 4 == 0, &mut rng)).collect()
}

pub fn csv(stays: &[Vec<Vec<String>>]) -> String {
    let mut text = format!("pid,{}\n", header().join(","));
    for (id, stay) in stays.iter().enumerate() {
        for row in stay {
            writeln!(text, "p{id:06},{}", row.join(",")).expect("a string");
        }
    }
    text
}

pub fn config(data: &Path) -> TrainConfig {
    TrainConfig {
        architecture: Architecture::Mlp { hidden: vec![8] },
        teacher: None,
        epochs: 4,
        batch_rows: 128,
        selection_percent: 30,
        learning_rate: 0.01,
        ..TrainConfig::new(data)
    }
}

#[test]
fn a_seed_repeats_a_package_and_the_package_finds_the_sick() {
    let scratch = Scratch::new("train");
    let data = scratch.file("stays.csv", &csv(&stays(120)));
    let mut epochs = 0;
    let first = train(&config(&data), &mut |progress| {
        epochs += usize::from(matches!(progress, Progress::Epoch { .. }));
    })
    .unwrap();
    assert_eq!(epochs, 4);
    let again = train(&config(&data), &mut |_| {}).unwrap();
    assert_eq!(first.hash(), again.hash());
    let other = train(&TrainConfig { seed: 2, ..config(&data) }, &mut |_| {}).unwrap();
    assert_ne!(first.network(), other.network());

    let report = evaluate(&first, &data, &EveryHour).unwrap();
    let (model, clock) = (&report.scores.model.figures, &report.scores.clock.figures);
    assert!(model.auroc > 0.9 && model.utility > 0.6, "{model:?}");
    assert!(model.utility > clock.utility, "{clock:?}");
    assert_eq!((report.data.stays, report.data.stays_septic, report.data.rows), (120, 30, 120 * 24));
    let noted = first.with_evaluation(report.card_evaluation("synthetic")).unwrap();
    assert!(noted.card().render().contains("synthetic: 120 stays"));
    assert_ne!(noted.hash(), first.hash());
}

#[test]
fn a_csv_and_a_directory_of_psv_files_read_alike() {
    let scratch = Scratch::new("psv");
    let stays = stays(5);
    let table = scratch.file("stays.csv", &csv(&stays));
    for (id, stay) in stays.iter().enumerate() {
        let missing = |field: &String| {
            if field.is_empty() { "NaN".to_owned() } else { field.clone() }
        };
        let line = |row: &Vec<String>| row.iter().map(missing).collect::<Vec<_>>().join("|");
        let lines: Vec<String> = stay.iter().map(line).collect();
        let content = format!("{}\n{}\n", header().join("|"), lines.join("\n"));
        scratch.file(&format!("psv/p{id:06}.psv"), &content);
    }
    let read = |path: &Path| {
        let mut all = Vec::new();
        dataset::read(path, |stay| {
            all.extend(stay.hours.iter().map(|h| (stay.id.clone(), h.values_milli, h.age_years, h.septic)));
        })
        .unwrap();
        all
    };
    let rows = read(&table);
    assert!(rows == read(&scratch.0.join("psv")));
    assert_eq!((rows.len(), rows[0].2), (5 * 24, Some(64)));
}

#[test]
fn implausible_values_are_absent_and_oxygen_becomes_per_cent() {
    let scratch = Scratch::new("values");
    let columns = header();
    let mut fields = vec![String::new(); columns.len()];
    let mut set = |column: &str, value: &str| {
        let place = columns.iter().position(|name| *name == column).unwrap();
        fields[place] = value.to_owned();
    };
    set("HR", "-100");
    set("SBP", "32767");
    set("Temp", "36.65");
    set("FiO2", "0.4");
    set("pH", "nan");
    set("SepsisLabel", "0");
    let data = scratch.file("one.csv", &format!("pid,{}\n1,{}\n", columns.join(","), fields.join(",")));
    let mut present = Vec::new();
    dataset::read(&data, |stay| {
        let known = |v: &Variable| Some((*v, stay.hours[0].values_milli[*v as usize]?));
        present = Variable::ALL.iter().filter_map(known).collect();
    })
    .unwrap();
    assert_eq!(present, [(Variable::Temperature, 36_650), (Variable::Fio2, 40_000)]);
}

#[test]
fn facts_of_the_admission_are_read_as_the_oracle_has_them() {
    let scratch = Scratch::new("admission");
    let columns: Vec<&str> = header();
    let read = |unit: [&str; 2], before: &str| {
        let field = |column: &&str| match *column {
            "Unit1" => unit[0].to_owned(),
            "Unit2" => unit[1].to_owned(),
            "HospAdmTime" => before.to_owned(),
            "SepsisLabel" => "0".to_owned(),
            _ => String::new(),
        };
        let fields: Vec<String> = columns.iter().map(field).collect();
        let data = scratch.file("one.csv", &format!("pid,{}\n1,{}\n", columns.join(","), fields.join(",")));
        let mut facts = (None, None);
        dataset::read(&data, |stay| facts = (stay.hours[0].unit, stay.hours[0].hours_before_icu)).unwrap();
        facts
    };
    assert_eq!(read(["1", "0"], "-31.9"), (Some(Unit::Medical), Some(31)));
    assert_eq!(read(["0", "1"], "-0.01"), (Some(Unit::Surgical), Some(0)));
    assert_eq!(read(["", ""], "5"), (None, Some(0)), "a negative time before intensive care is none");
    assert_eq!(read(["1", "1"], ""), (None, None), "two units are no unit");
    assert_eq!(read(["0", "0"], "-1e9"), (None, Some(8784)));
}

#[test]
fn bad_data_is_named_by_its_place() {
    let scratch = Scratch::new("bad");
    let read = |name: &str, content: &str| dataset::read(&scratch.file(name, content), |_| {}).unwrap_err();
    let good = csv(&stays(1));
    assert!(matches!(read("empty.csv", ""), DatasetError::ColumnMissing { .. }));
    assert!(matches!(read("header.csv", good.lines().next().unwrap()), DatasetError::Empty { .. }));
    let column = read("column.csv", &good.replace("Lactate", "Lactose"));
    assert!(matches!(column, DatasetError::ColumnMissing { column: "Lactate", .. }));
    let label = read("label.csv", &good.replacen(",1,0\n", ",1,2\n", 1));
    assert!(matches!(label, DatasetError::Label { line: 2, .. }), "{label:?}");
    let ragged = read("ragged.csv", &good.replacen(",1,0\n", ",1\n", 1));
    assert!(matches!(ragged, DatasetError::Malformed { .. }), "{ragged:?}");
    let gzip = read("not.csv.gz", "this is not gzip");
    assert!(matches!(gzip, DatasetError::Malformed { .. }), "{gzip:?}");
    assert!(matches!(dataset::read(Path::new("/nowhere"), |_| {}), Err(DatasetError::Read { .. })));
}

#[test]
fn training_refuses_what_cannot_be_learnt_from() {
    let scratch = Scratch::new("refuse");
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let well: Vec<_> = (0..40).map(|_| stay(false, &mut rng)).collect();
    let data = scratch.file("well.csv", &csv(&well));
    assert!(matches!(train(&config(&data), &mut |_| {}), Err(TrainError::OneClass("fitted"))));
    let wrong = TrainConfig { epochs: 0, ..config(&data) };
    assert!(matches!(train(&wrong, &mut |_| {}), Err(TrainError::Config("epochs"))));
}
