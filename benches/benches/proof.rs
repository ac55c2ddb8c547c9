//! The native engine on the shipped model: opening saved keys, proving a window, verifying a proof.
//!
//! Keys are made once, in a temporary folder. Proving includes the engine's verification of its own proof, because no
//! proof leaves it without.

mod windows;

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};
use hygeia_inference::ModelPackage;
use hygeia_zkml::{EngineConfig, NativeEngine, Salt, verify};

/// A proof takes so long that criterion's default of 100 samples would take minutes and say no more.
const SAMPLES: usize = 10;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let package = ModelPackage::default_model();
    let keys = tempfile::tempdir().expect("a temporary folder");
    let start = Instant::now();
    let engine = open(package, keys.path());
    println!(
        "keys of the shipped model made in {:.2} s: {}",
        start.elapsed().as_secs_f64(),
        engine.verifying_key().plan(),
    );
    suite(&mut criterion, package, keys.path(), &engine);
    criterion.final_summary();
}

fn suite(criterion: &mut Criterion, package: &ModelPackage, keys: &Path, engine: &NativeEngine) {
    let rows = windows::features(package.schema(), SAMPLES, 5);
    let salt = Salt::new([7; 16]);
    let proof = engine.prove(&rows[0], &salt).expect("a window of the schema");
    let score = package.network().score(&rows[0]).expect("a window of the schema");
    assert_eq!(proof.public.score, score, "what is proved is the reference's score");

    let mut group = criterion.benchmark_group("proof");
    group.sample_size(SAMPLES).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(10));
    group.bench_function("open-saved-keys", |bencher| bencher.iter(|| open(package, keys)));
    let mut next = rows.iter().cycle();
    group.bench_function("prove", |bencher| {
        bencher.iter(|| engine.prove(next.next().expect("a cycle has no end"), &salt).expect("a proof"));
    });
    group.bench_function("verify", |bencher| {
        bencher.iter(|| verify(engine.verifying_key(), &proof.bytes, &proof.public).expect("a valid proof"));
    });
    group.finish();
}

/// Makes and saves the keys the first time, loads them from then on.
fn open(package: &ModelPackage, keys: &Path) -> NativeEngine {
    let config = EngineConfig::default();
    NativeEngine::open_development(package.network(), package.schema().hash(), keys, &config).expect("keys")
}
