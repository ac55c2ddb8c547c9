//! `hygeia quantize`, `export`, `import` and `features`: models and their inputs to other tools and back.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hygeia_inference::package::FILES;
use hygeia_inference::{ModelPackage, Variable, onnx};
use serde_json::Value;

/// Stays of thirty hours, every third septic from its twentieth; a third of those are from their first.
fn data(stays: usize) -> String {
    let columns: Vec<&str> = Variable::ALL.iter().map(|variable| variable.challenge_column()).collect();
    let mut text = format!("pid,{},Unit1,Unit2,HospAdmTime,Age,Gender,SepsisLabel\n", columns.join(","));
    for stay in 0..stays {
        for hour in 0..30 {
            let septic = stay % 9 == 0 || stay % 3 == 0 && hour >= 20;
            let noise = (stay * 31 + hour * 17) % 23;
            let rate = 70 + noise + if septic { 25 } else { 0 };
            let empty = ",".repeat(columns.len() - 1);
            let (unit, sex) = (stay % 2, stay / 2 % 2);
            let facts = format!("{unit},{},-5,{},{sex},{}", 1 - unit, 40 + stay % 45, u8::from(septic));
            writeln!(text, "p{stay},{rate}{empty},{facts}").unwrap();
        }
    }
    text
}

/// A folder with labelled stays and the shipped schema in it.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("stays.csv"), data(120)).unwrap();
    let model = ModelPackage::default_model();
    let schema = FILES.iter().position(|name| *name == "schema.json").unwrap();
    std::fs::write(dir.path().join("schema.json"), &model.files()[schema]).unwrap();
    dir
}

fn hygeia(arguments: &str, inside: &Path) -> Output {
    let arguments = arguments.split(' ');
    Command::new(env!("CARGO_BIN_EXE_hygeia")).args(arguments).current_dir(inside).output().unwrap()
}

fn well(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one line a refused command ends with.
fn refused(output: &Output) -> String {
    assert!(!output.status.success() && output.stdout.is_empty());
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    text.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_certificate_tells_what_quantisation_costs() {
    let dir = folder();
    let text = well(hygeia("quantize --data stays.csv", dir.path()));
    for said in ["Fidelity of", "120 stays, 3600 hourly rows", "holds", "greatest utility", "exact in", "dense"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let object: Value = serde_json::from_str(&well(hygeia("quantize --data stays.csv --json", dir.path()))).unwrap();
    let model = ModelPackage::default_model();
    assert_eq!(object["package"], hex::encode(model.hash()));
    let (mean, max) = (&object["score_error"]["mean"], &object["score_error"]["max"]);
    assert!(mean.as_f64().unwrap() < max.as_f64().unwrap() && max.as_f64().unwrap() < 0.1, "{mean} {max}");
    assert!(object["auroc"]["loss"].as_f64().unwrap() <= 0.002);
    let layers = object["layers"].as_array().unwrap();
    assert_eq!(layers.len(), model.network().layers().len());
    let sums = layers.iter().map(|layer| layer["partial_sum_max"].as_i64().unwrap());
    assert_eq!(sums.max(), Some(model.network().partial_sum_max()));
    assert_eq!(object["decisions"][0]["threshold"], model.card().operating_points.model.threshold);
}

#[test]
fn rounding_anew_brings_the_integers_closer() {
    let dir = folder();
    let error = |arguments: &str| {
        let object: Value = serde_json::from_str(&well(hygeia(arguments, dir.path()))).unwrap();
        object["score_error"]["mean"].as_f64().unwrap()
    };
    let plain = error("quantize --data stays.csv --json");
    let scaled = error("quantize --data stays.csv --json --out anew");
    assert!(scaled <= plain, "{scaled} {plain}");
    let (old, new) = (ModelPackage::default_model(), ModelPackage::load(&dir.path().join("anew")).unwrap());
    assert_eq!(old.float_layers().unwrap(), new.float_layers().unwrap());
    assert_eq!((old.schema(), &old.card().name), (new.schema(), &new.card().name));
    assert!(new.card().evaluations.is_empty(), "the old integers' figures are not the new ones'");
}

#[test]
fn a_model_goes_out_and_comes_back() {
    let dir = folder();
    well(hygeia("export --onnx out.onnx", dir.path()));
    let model = ModelPackage::default_model();
    let read = onnx::import(&std::fs::read(dir.path().join("out.onnx")).unwrap()).unwrap();
    assert_eq!((read.inputs, read.layers), (model.schema().len(), model.float_layers().unwrap()));

    let command =
        "import out.onnx --schema schema.json --calibration stays.csv --out back --name again --data-name made-up";
    let certificate = well(hygeia(command, dir.path()));
    assert!(certificate.contains("Fidelity of again") && certificate.contains("holds"), "{certificate}");
    let back = ModelPackage::load(&dir.path().join("back")).unwrap();
    assert_eq!(back.float_layers().unwrap(), model.float_layers().unwrap());
    assert_eq!((back.card().name.as_str(), back.card().data.name.as_str()), ("again", "made-up"));
    let card = back.card().render();
    for said in
        ["trained elsewhere and read from out.onnx (SHA-256", "85 stays for scales", "what on, how and under which"]
    {
        assert!(card.contains(said), "{said}: {card}");
    }
    assert!(!card.contains("epochs"), "{card}");
    well(hygeia("evaluate --model back --data stays.csv --out report", dir.path()));
}

#[test]
fn what_cannot_be_imported_is_named() {
    let dir = folder();
    let fixture = |name: &str| -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../inference/tests/fixtures/onnx").join(name)
    };
    let import = |file: &str| {
        let command = format!("import {file} --schema schema.json --calibration stays.csv --out never");
        let line = refused(&hygeia(&command, dir.path()));
        assert!(!dir.path().join("never").exists());
        line
    };
    std::fs::copy(fixture("sklearn_tanh.onnx"), dir.path().join("tanh.onnx")).unwrap();
    let line = import("tanh.onnx");
    assert!(line.contains("\"Tanh\"") && line.contains("not supported"), "{line}");
    std::fs::copy(fixture("sklearn_classifier.onnx"), dir.path().join("narrow.onnx")).unwrap();
    let line = import("narrow.onnx");
    let features = ModelPackage::default_model().schema().len();
    assert!(line.contains(&format!("takes 6 inputs, the schema has {features} features")), "{line}");
    std::fs::write(dir.path().join("no.onnx"), "no ONNX file").unwrap();
    let line = import("no.onnx");
    assert!(line.contains("no.onnx") && line.contains("this is no ONNX file"), "{line}");
    let line = import("absent.onnx");
    assert!(line.contains("absent.onnx"), "{line}");
    let schema =
        refused(&hygeia("import tanh.onnx --schema stays.csv --calibration stays.csv --out never", dir.path()));
    assert!(schema.contains("Tanh"), "the model is read first: {schema}");
}

#[test]
fn features_are_written_as_models_take_them() {
    let dir = folder();
    well(hygeia("features --data stays.csv --out rows.csv --scores", dir.path()));
    let text = std::fs::read_to_string(dir.path().join("rows.csv")).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let model = ModelPackage::default_model();
    assert_eq!(header.len(), 3 + model.schema().len() + 2);
    assert_eq!((header[0], header[2], header[header.len() - 1]), ("stay", "label", "score"));
    let rows: Vec<Vec<f64>> = lines.map(|line| line.split(',').map(|field| field.parse().unwrap()).collect()).collect();
    assert_eq!(rows.len(), 3600);
    assert!(rows.iter().filter(|row| row[2] == 1.0).count() > 600);
    for row in rows.iter().step_by(97) {
        let features: Vec<i32> = row[3..row.len() - 2].iter().map(|x| (x * 1024.0) as i32).collect();
        assert_eq!(model.network().score(&features).unwrap() as f64, row[row.len() - 1]);
        assert!((row[row.len() - 2] - row[row.len() - 1] / 1024.0).abs() < 0.1);
    }
    well(hygeia("features --data stays.csv --schema schema.json --out plain.csv", dir.path()));
    let plain = std::fs::read_to_string(dir.path().join("plain.csv")).unwrap();
    assert_eq!(plain.lines().next().unwrap().split(',').count(), 3 + model.schema().len());
    assert!(plain.lines().zip(text.lines()).all(|(plain, scored)| scored.starts_with(plain)));
}

#[test]
fn every_command_teaches() {
    for (command, said) in [
        ("quantize", "hygeia quantize --data"),
        ("export", "1.0 is one standard deviation"),
        ("import", "Take stays the model was not trained on"),
        ("features", "Columns: stay, hour, label"),
    ] {
        let help = well(hygeia(&format!("{command} --help"), Path::new(".")));
        let one_line = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one_line.contains(said), "{help}");
    }
}
