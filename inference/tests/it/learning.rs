//! What training does beside fitting: it goes on after an interruption, learns from a teacher, fits convolutions.

use std::path::Path;

use hygeia_inference::network::Layer;
use hygeia_inference::train::{Architecture, Progress, Teacher, TrainConfig, TrainError, train};
use hygeia_inference::{FeatureSchema, ModelPackage};

use crate::training::{Scratch, config, csv, stays};

/// A teacher for stays that are few and short.
fn small_teacher() -> Teacher {
    Teacher { folds: 3, trees: 20, learning_rate: 0.3, leaf_weight: 1.0, feature_share: 1.0, ..Teacher::default() }
}

fn with_checkpoints(data: &Path, directory: &Path) -> TrainConfig {
    TrainConfig { teacher: Some(small_teacher()), checkpoints: Some(directory.to_owned()), ..config(data) }
}

#[test]
fn an_interrupted_run_ends_as_one_that_was_not() {
    let scratch = Scratch::new("resume");
    let data = scratch.file("stays.csv", &csv(&stays(120)));
    let (whole, cut) = (scratch.path("whole"), scratch.path("cut"));
    std::fs::create_dir_all(&cut).unwrap();
    // While epoch 3 is reported, the state on disk is that after epoch 2: what a crash would leave.
    let first = train(&with_checkpoints(&data, &whole), &mut |progress| {
        if matches!(progress, Progress::Epoch { epoch: 3, .. }) {
            for file in ["state.safetensors", "teacher.safetensors"] {
                std::fs::copy(whole.join(file), cut.join(file)).unwrap();
            }
        }
    })
    .unwrap();
    let mut seen = Vec::new();
    let second = train(&with_checkpoints(&data, &cut), &mut |progress| seen.push(progress)).unwrap();
    assert_eq!(second.hash(), first.hash());
    assert!(seen.iter().any(|progress| matches!(progress, Progress::Resumed { epoch: 2 })));
    let epochs = seen.iter().filter(|progress| matches!(progress, Progress::Epoch { .. })).count();
    assert_eq!(epochs, 2, "two of four epochs were done before");
    assert!(!seen.iter().any(|progress| matches!(progress, Progress::Teacher { .. })), "the teacher was done before");
}

#[test]
fn a_checkpoint_of_another_run_or_a_damaged_one_is_refused() {
    let scratch = Scratch::new("checkpoint");
    let data = scratch.file("stays.csv", &csv(&stays(120)));
    let directory = scratch.path("states");
    let config = with_checkpoints(&data, &directory);
    train(&config, &mut |_| {}).unwrap();
    let other = train(&TrainConfig { seed: 2, ..config.clone() }, &mut |_| {});
    assert!(matches!(other, Err(TrainError::OtherRun(_))), "{other:?}");
    let fewer = scratch.file("fewer.csv", &csv(&stays(119)));
    let other = train(&TrainConfig { data: fewer, ..config.clone() }, &mut |_| {});
    assert!(matches!(other, Err(TrainError::OtherRun(_))), "{other:?}");
    for file in ["state.safetensors", "teacher.safetensors"] {
        let path = directory.join(file);
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let damaged = train(&config, &mut |_| {});
            assert!(matches!(damaged, Err(TrainError::Checkpoint(_))), "{file} of {length} bytes: {damaged:?}");
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    assert!(train(&config, &mut |_| {}).is_ok());
}

#[test]
fn a_teacher_changes_what_is_learnt_and_is_no_part_of_the_package() {
    let scratch = Scratch::new("teacher");
    let data = scratch.file("stays.csv", &csv(&stays(120)));
    let mut parts = Vec::new();
    let taught = TrainConfig { teacher: Some(small_teacher()), ..config(&data) };
    let taught = train(&taught, &mut |progress| {
        if let Progress::Teacher { fold, folds } = progress {
            parts.push((fold, folds));
        }
    })
    .unwrap();
    assert_eq!(parts, [(1, 3), (2, 3), (3, 3)]);
    let alone = train(&config(&data), &mut |_| {}).unwrap();
    assert_ne!(taught.network(), alone.network());
    assert!(taught.card().training.method.contains("boosted trees"));
    assert!(!alone.card().training.method.contains("boosted trees"));
    assert!(taught.card().selection.model.auroc > 0.9);
}

#[test]
fn a_convolution_over_the_raw_window_is_trained_and_packaged() {
    let scratch = Scratch::new("conv");
    let data = scratch.file("stays.csv", &csv(&stays(120)));
    let architecture = Architecture::Conv1d { channels: vec![4, 4], kernel: 3, hidden: vec![4] };
    let config = TrainConfig { architecture, schema: FeatureSchema::raw_v1(), dropout: 0.0, ..config(&data) };
    let package = train(&config, &mut |_| {}).unwrap();
    let kinds: Vec<bool> = package.network().layers().iter().map(|layer| matches!(layer, Layer::Conv1d(_))).collect();
    assert_eq!(kinds, [true, true, false, false]);
    // Eight hours of 28 channels; each kernel of three takes two hours away; the mean over four hours is in the weights.
    assert_eq!(package.network().dims(), [224, 24, 16, 4, 1]);
    assert!(package.card().selection.model.auroc > 0.8, "{:?}", package.card().selection.model);
    let directory = scratch.path("package");
    package.save(&directory).unwrap();
    assert_eq!(ModelPackage::load(&directory).unwrap().hash(), package.hash());
}

#[test]
fn settings_outside_their_ranges_are_named() {
    let refused = |change: fn(&mut TrainConfig)| {
        let mut config = TrainConfig::new("/nowhere");
        change(&mut config);
        match train(&config, &mut |_| {}) {
            Err(TrainError::Config(name)) => name,
            other => panic!("{other:?}"),
        }
    };
    let conv = |kernel| Architecture::Conv1d { channels: vec![4, 4], kernel, hidden: vec![] };
    assert_eq!(refused(|c| c.architecture = Architecture::Mlp { hidden: vec![] }), "hidden");
    assert_eq!(refused(|c| c.teacher = Some(Teacher { folds: 1, ..Teacher::default() })), "teacher.folds");
    assert_eq!(refused(|c| c.teacher = Some(Teacher { l2: f32::NAN, ..Teacher::default() })), "teacher.l2");
    assert_eq!(refused(|c| c.dropout = 0.95), "dropout");
    let raw = |architecture| {
        let config = TrainConfig { architecture, ..TrainConfig::conv1d("/nowhere") };
        train(&config, &mut |_| {}).unwrap_err().to_string()
    };
    assert!(raw(conv(5)).contains("kernel"), "two kernels of five need more than eight hours");
    assert!(!raw(conv(4)).contains("kernel"));
    let engineered = TrainConfig { schema: FeatureSchema::v2(), ..TrainConfig::conv1d("/nowhere") };
    assert!(train(&engineered, &mut |_| {}).unwrap_err().to_string().contains("schema"));
}
