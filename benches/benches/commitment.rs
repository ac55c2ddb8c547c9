//! What it costs to commit to a window: the Poseidon permutation, one commitment, and many on all cores.

mod windows;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use hygeia_gpu_kernels::{Accelerator, CpuAccelerator, Fr, poseidon};
use hygeia_inference::{FeatureSchema, ModelPackage};
use hygeia_zkml::statement::{domain_tag, pack};
use hygeia_zkml::{Salt, commit};

/// Messages of the batch: every window of a hospital's tick.
const BATCH: usize = 1024;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let schema = ModelPackage::default_model().schema();
    permutation(&mut criterion);
    commitment(&mut criterion, schema);
    batch(&mut criterion, schema);
    criterion.final_summary();
}

fn permutation(criterion: &mut Criterion) {
    let mut state = [Fr::from(1), Fr::from(2), Fr::from(3)];
    // The constants are computed at first use; that is not the permutation's cost.
    poseidon::permute(&mut state);
    criterion.bench_function("commitment/permutation", |bencher| {
        bencher.iter(|| poseidon::permute(black_box(&mut state)));
    });
}

/// Packing, domain tag and hash of the shipped schema's features, as the oracle does it for each window.
fn commitment(criterion: &mut Criterion, schema: &FeatureSchema) {
    let hash = schema.hash();
    let salt = Salt::new([7; 16]);
    let rows = windows::features(schema, 1, 3);
    let mut group = criterion.benchmark_group("commitment/commit");
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::from_parameter(schema.len()), |bencher| {
        bencher.iter(|| commit(hash, black_box(&rows[0]), &salt).expect("16-bit features"));
    });
    group.finish();
}

/// The hash alone over many packed windows: one core beside the CPU accelerator.
fn batch(criterion: &mut Criterion, schema: &FeatureSchema) {
    let tag = domain_tag(schema.hash(), schema.len());
    let messages: Vec<Vec<Fr>> =
        windows::features(schema, BATCH, 4).iter().map(|row| pack(row).expect("16-bit features")).collect();
    let on_one_core = || -> Vec<Fr> { messages.iter().map(|message| poseidon::hash(tag, message)).collect() };
    let on_all_cores = || CpuAccelerator.poseidon(&messages, tag).expect("hashing has no failure on the CPU");
    assert_eq!(on_all_cores(), on_one_core(), "the accelerator computes the same hash");

    let mut group = criterion.benchmark_group("commitment/poseidon");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(BenchmarkId::new("one-core", BATCH), |bencher| bencher.iter(on_one_core));
    group.bench_function(BenchmarkId::new("cpu-accelerator", BATCH), |bencher| bencher.iter(on_all_cores));
    group.finish();
}
