//! Windows scored per second: the candle engine on the CPU beside the plain integer reference, in the same run.
//!
//! Both give the same scores, which is checked before anything is timed, so the figures differ in time alone.

mod windows;

use candle_core::Device;
use criterion::{BenchmarkId, Criterion, Throughput};
use hygeia_inference::engine::CandleEngine;
use hygeia_inference::{FeatureSchema, IntegerNetwork, ModelPackage};

/// One alert at a time, a ward, a hospital's tick.
const BATCHES: [usize; 3] = [1, 64, 1024];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let package = ModelPackage::default_model();
    features(&mut criterion, package.schema());
    score(&mut criterion, package.schema(), package.network());
    criterion.final_summary();
}

/// From what is known of a patient to the network's input.
fn features(criterion: &mut Criterion, schema: &FeatureSchema) {
    let states = windows::states(64, 1);
    let mut group = criterion.benchmark_group("scoring/features");
    group.throughput(Throughput::Elements(states.len() as u64));
    group.bench_function(BenchmarkId::from_parameter(states.len()), |bencher| {
        bencher.iter(|| states.iter().map(|state| schema.features(state)).collect::<Vec<_>>());
    });
    group.finish();
}

fn score(criterion: &mut Criterion, schema: &FeatureSchema, network: &IntegerNetwork) {
    let engine = CandleEngine::new(network, &Device::Cpu).expect("the shipped network is exact in a float type");
    let mut group = criterion.benchmark_group("scoring/score");
    for batch in BATCHES {
        let rows = windows::features(schema, batch, 2);
        let by_reference = || -> Vec<i64> { rows.iter().map(|row| network.score(row).expect("an input")).collect() };
        let by_candle = || engine.score_batch(&rows).expect("inputs");
        assert_eq!(by_candle(), by_reference(), "the engine computes the integer network exactly");

        // Side by side for each batch size, so that a drift of the machine falls on both.
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::new("reference", batch), |bencher| bencher.iter(by_reference));
        group.bench_function(BenchmarkId::new("candle", batch), |bencher| bencher.iter(by_candle));
    }
    group.finish();
}
