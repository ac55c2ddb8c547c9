//! The shipped package, and what becomes of it when a byte of it changes.

use hygeia_inference::guard;
use hygeia_inference::metrics::AlertBudget;
use hygeia_inference::package::{
    CardEvaluation, FILES, Logistic, PackageFiles, PackageParts, decode_float, encode_float,
};
use hygeia_inference::quantise::{FloatConv1d, FloatDense, FloatLayer, quantise};
use hygeia_inference::{ModelPackage, PackageError};

fn files() -> PackageFiles {
    ModelPackage::default_model().files().clone()
}

/// The error of the shipped package with one file changed.
fn refused(file: &str, change: impl FnOnce(&mut Vec<u8>)) -> PackageError {
    let mut files = files();
    change(&mut files[FILES.iter().position(|name| *name == file).unwrap()]);
    ModelPackage::from_files(files).expect_err("must be refused")
}

fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(std::mem::take(bytes)).unwrap();
    assert!(text.contains(from), "nothing to replace");
    *bytes = text.replacen(from, to, 1).into_bytes();
}

#[test]
fn the_shipped_model_is_small_and_says_what_it_is() {
    let model = ModelPackage::default_model();
    assert_eq!(model.network().dims(), [67, 64, 32, 1]);
    assert_eq!(model.card().name, "sepsis-v2");
    assert!(model.card().data.licence.contains("CC BY 4.0"));
    let seen = |e: &CardEvaluation| e.figures.model.auroc >= 0.80 && e.figures.model.utility >= 0.30;
    assert!(model.card().evaluations.iter().all(seen));
    assert!(!model.card().evaluations.is_empty());
    assert!(model.files().iter().map(Vec::len).sum::<usize>() < 300_000);
}

#[test]
fn saving_and_loading_keeps_the_hash() {
    let directory = std::env::temp_dir().join(format!("hygeia-package-{}", std::process::id()));
    let model = ModelPackage::default_model();
    model.save(&directory).unwrap();
    let loaded = ModelPackage::load(&directory).unwrap();
    assert_eq!(loaded.hash(), model.hash());
    assert_eq!(loaded.network(), model.network());
    std::fs::remove_file(directory.join("network.json")).unwrap();
    assert!(matches!(ModelPackage::load(&directory), Err(PackageError::Read { .. })));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn any_changed_byte_changes_the_hash_or_is_refused() {
    let original = ModelPackage::default_model().hash();
    let files = files();
    for (index, bytes) in files.iter().enumerate() {
        let step = bytes.len() / 60 + 1;
        for place in (0..bytes.len()).step_by(step) {
            let mut changed = files.clone();
            changed[index][place] ^= 1;
            if let Ok(package) = ModelPackage::from_files(changed) {
                assert_ne!(package.hash(), original, "{} at {place}", FILES[index]);
            }
        }
    }
}

#[test]
fn truncated_files_are_refused() {
    for file in FILES {
        for share in [0, 1, 3] {
            let error = refused(file, |bytes| bytes.truncate(bytes.len() * share / 4));
            let expected = match file {
                "model.safetensors" => matches!(error, PackageError::Float(_)),
                "card.md" => matches!(error, PackageError::CardText),
                _ => matches!(error, PackageError::Json { .. }),
            };
            assert!(expected, "{file}: {error:?}");
        }
    }
}

#[test]
fn files_that_contradict_each_other_are_refused() {
    let weight = refused("network.json", |bytes| replace(bytes, "\"bias\":[", "\"bias\":[1"));
    assert!(matches!(weight, PackageError::CardMismatch("network") | PackageError::Json { .. }), "{weight:?}");
    let clip = refused("schema.json", |bytes| replace(bytes, "\"clip\": 4096", "\"clip\": 4095"));
    assert!(matches!(clip, PackageError::InputBounds), "{clip:?}");
    let center = refused("schema.json", |bytes| replace(bytes, "\"center\": 84000", "\"center\": 84001"));
    assert!(matches!(center, PackageError::CardMismatch("schema")), "{center:?}");
    let tensor = refused("model.safetensors", |bytes| {
        let at = bytes.windows(8).position(|window| window == b"layers.0").unwrap();
        bytes[at + 7] = b'7';
    });
    assert!(matches!(tensor, PackageError::FloatTensor(_)), "{tensor:?}");
    let praise = refused("card.md", |bytes| replace(bytes, "Not a medical device", "A medical device"));
    assert!(matches!(praise, PackageError::CardText), "{praise:?}");
    let calibration = refused("calibration.json", |bytes| replace(bytes, "\"score\": -", "\"score\": "));
    assert!(matches!(calibration, PackageError::Json { .. }), "{calibration:?}");
}

#[test]
fn baselines_for_another_schema_are_refused() {
    let mut parts = ModelPackage::default_model().to_parts();
    let width = parts.baselines.logistic.width();
    parts.baselines.logistic = Logistic::new(0, vec![1; width + 1]).unwrap();
    assert!(matches!(ModelPackage::assemble(parts), Err(PackageError::BaselineWidth)));
    let error = refused("baseline.json", |bytes| replace(bytes, "\"intercept_micro\": -", "\"intercept_micro\": -999"));
    assert!(matches!(error, PackageError::Json { file: "baseline.json", .. }), "{error:?}");
}

#[test]
fn a_policy_finds_its_threshold_by_budget() {
    let card = ModelPackage::default_model().card();
    let points = &card.operating_points;
    let thresholds: Vec<i64> =
        [5, 10, 20, 30].map(|n| points.by_budget(AlertBudget::StaysAlertedPercent(n)).unwrap()).to_vec();
    assert!(thresholds.is_sorted_by(|a, b| a > b), "a larger budget has a lower threshold: {thresholds:?}");
    assert_eq!(points.by_budget(AlertBudget::StaysAlertedPercent(7)), None, "the card knows no such budget");
    for (_, point) in points.iter() {
        for kept in &point.budgets {
            match kept.budget {
                AlertBudget::StaysAlertedPercent(n) => assert!(kept.stays_alerted <= f64::from(n) / 100.0),
                AlertBudget::AlertsPer100PatientDays(n) => assert!(kept.alerts_per_patient_day <= f64::from(n) / 100.0),
            }
        }
    }
    for said in ["Modification protocol", "Impact assessment", "widest gap in AUROC", "10 % of stays alerted"] {
        assert!(card.render().contains(said), "{said}");
    }
}

#[test]
fn a_refused_network_names_layer_and_neuron() {
    let error = refused("network.json", |bytes| replace(bytes, "\"bias\":[", "\"bias\":[1073741824,"));
    let PackageError::Json { file: "network.json", source } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("layer 0, neuron"), "{source}");
}

fn dense(outputs: usize, inputs: usize) -> FloatLayer {
    FloatDense { weights: vec![vec![0.125; inputs]; outputs], bias: vec![0.5; outputs] }.into()
}

fn conv(channels: usize, kernel: usize) -> FloatLayer {
    FloatConv1d { channels, kernel, weights: vec![vec![-0.25; kernel * channels]; 4], bias: vec![0.1; 4] }.into()
}

/// Eight steps of eight features, a convolution, pooling, a dense layer: with the float weights of other layers.
fn convolutional(float: &[FloatLayer]) -> Result<ModelPackage, PackageError> {
    let PackageParts { schema, calibration, mut baselines, mut card, .. } = ModelPackage::default_model().to_parts();
    // The clock left out, 64 features remain.
    let schema = schema.without_clock();
    baselines.logistic = Logistic::new(0, vec![0; schema.len()]).unwrap();
    let layers = [conv(8, 3), FloatLayer::MeanPool { channels: 4 }, dense(1, 4)];
    let network = quantise(&layers, &schema.bounds()).unwrap();
    card.schema_hash = hex::encode(schema.hash());
    card.network_hash = hex::encode(network.hash());
    let windows = [-900, 5, 700].map(|x| (vec![x; 64], network.evaluate(&[x; 64]).unwrap().activations));
    let guard = guard::fit(&network.dims(), windows.iter(), windows.iter()).unwrap();
    card.dims = network.dims();
    let float = encode_float(float).unwrap();
    ModelPackage::assemble(PackageParts { schema, network, calibration, baselines, float, card, guard })
}

#[test]
fn a_convolution_is_packed_with_its_float_layers() {
    let pool = || FloatLayer::MeanPool { channels: 4 };
    let layers = [conv(8, 3), pool(), dense(1, 4)];
    let package = convolutional(&layers).unwrap();
    assert_eq!(package.network().dims(), [64, 24, 1]);
    assert_eq!(decode_float(&package.files()[3]).unwrap(), layers);
    let again = ModelPackage::from_files(package.files().clone()).unwrap();
    assert_eq!(again.network(), package.network());

    let shapes: [&[FloatLayer]; 8] = [
        &[conv(8, 3), dense(1, 4)],
        &[conv(8, 2), pool(), dense(1, 4)],
        &[conv(4, 6), pool(), dense(1, 4)],
        &[conv(8, 3), pool(), dense(1, 5)],
        &[conv(8, 3), pool(), dense(2, 4)],
        &[dense(24, 64), pool(), dense(1, 4)],
        &[conv(8, 3), pool()],
        &[],
    ];
    for shape in shapes {
        assert!(matches!(convolutional(shape), Err(PackageError::FloatTensor(_))), "{shape:?}");
    }
    let more = [conv(8, 3), pool(), dense(1, 4), dense(1, 1)];
    assert!(matches!(convolutional(&more), Err(PackageError::FloatCount(_))));
}

#[test]
fn the_float_layers_of_the_shipped_model_are_read() {
    let model = ModelPackage::default_model();
    let layers = decode_float(&model.files()[3]).unwrap();
    assert_eq!(quantise(&layers, &model.schema().bounds()).unwrap(), *model.network());
}
