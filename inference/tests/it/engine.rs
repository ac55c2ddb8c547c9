//! The engine against the reference: bit for bit, on random windows and at the bounds.

use candle_core::{DType, Device};
use hygeia_inference::engine::{CandleEngine, EngineError};
use hygeia_inference::{IntegerNetwork, ModelPackage, NetworkError};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::networks::{random_convolutions, random_network, windows};

/// Windows drawn for the shipped model, of each sort.
const WINDOWS: usize = 12_000;
/// Windows at and around the thresholds of the shipped model.
const WINDOWS_AROUND_THRESHOLDS: usize = 100_000;

fn check(network: &IntegerNetwork, count: usize, dtype: DType) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let windows = windows(network.input_bounds(), count, &mut rng);
    let engine = CandleEngine::new(network, &Device::Cpu).unwrap();
    assert_eq!(engine.dtype(), dtype);
    let expected: Vec<i64> = windows.iter().map(|window| network.score(window).unwrap()).collect();
    assert!(engine.score_batch(&windows).unwrap() == expected, "the engine differs from the reference");
    // A window's score does not depend on the batch it is in.
    for index in (0..count).step_by(count / 50 + 1) {
        assert_eq!(engine.score_batch(&windows[index..=index]).unwrap(), [expected[index]]);
    }
}

/// Windows that close in on thresholds: between one that scores below and one that does not, the middle, again and
/// again, down to two windows that differ in one feature by one step and lie on either side.
fn around(network: &IntegerNetwork, thresholds: &[i64], count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<i32>> {
    let mut found = Vec::with_capacity(count + 32);
    for &threshold in thresholds.iter().cycle() {
        if found.len() >= count {
            break;
        }
        let reaches = |window: &[i32]| network.score(window).unwrap() >= threshold;
        let (above, below): (Vec<_>, Vec<_>) =
            windows(network.input_bounds(), 8, rng).into_iter().partition(|window| reaches(window));
        let Some(mut ends) = above.into_iter().zip(below).next() else { continue };
        while let Some(middle) = between(&ends.0, &ends.1) {
            *(if reaches(&middle) { &mut ends.0 } else { &mut ends.1 }) = middle.clone();
            found.push(middle);
        }
        found.extend([ends.0, ends.1]);
    }
    found
}

/// A window between two: half-way, or where no feature differs by more than a step, with half of the differing features.
fn between(one: &[i32], other: &[i32]) -> Option<Vec<i32>> {
    let halfway: Vec<i32> = one.iter().zip(other).map(|(&one, &other)| one + (other - one) / 2).collect();
    if halfway != one {
        return Some(halfway);
    }
    let differing: Vec<usize> = (0..one.len()).filter(|&index| one[index] != other[index]).collect();
    let (half, _) = differing.split_at(differing.len() / 2);
    let mut mixed = one.to_vec();
    half.iter().for_each(|&index| mixed[index] = other[index]);
    (!half.is_empty()).then_some(mixed)
}

#[test]
fn the_shipped_model_scores_as_the_reference() {
    check(ModelPackage::default_model().network(), WINDOWS, DType::F64);
}

/// Where one unit decides: at every threshold of the shipped model.
#[test]
fn the_shipped_model_scores_as_the_reference_around_its_thresholds() {
    let model = ModelPackage::default_model();
    let point = &model.card().operating_points.model;
    let thresholds: Vec<i64> =
        std::iter::once(point.threshold).chain(point.budgets.iter().filter_map(|budget| budget.threshold)).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(19);
    let windows = around(model.network(), &thresholds, WINDOWS_AROUND_THRESHOLDS, &mut rng);
    let engine = CandleEngine::new(model.network(), &Device::Cpu).unwrap();
    let scores = engine.score_batch(&windows).unwrap();
    let expected: Vec<i64> = windows.iter().map(|window| model.network().score(window).unwrap()).collect();
    assert!(scores == expected, "the engine differs from the reference");

    let near = |score: i64, distance: u64| thresholds.iter().any(|threshold| score.abs_diff(*threshold) <= distance);
    let count = |distance| scores.iter().filter(|&&score| near(score, distance)).count();
    assert!(windows.len() >= WINDOWS_AROUND_THRESHOLDS);
    assert!(count(1) > WINDOWS_AROUND_THRESHOLDS / 10, "{} within a unit of a threshold", count(1));
    assert!(count(100) > WINDOWS_AROUND_THRESHOLDS / 3, "{} within a tenth of a logit", count(100));
}

#[test]
fn random_networks_that_fill_the_range_score_as_the_reference() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for dims in [vec![64, 64, 32, 1], vec![3, 1], vec![48, 128, 1]] {
        let network = random_network(&dims, 0.99, &mut rng);
        assert!(network.partial_sum_max() > 1 << 29, "the range is not filled");
        check(&network, 4_000, DType::F64);
    }
}

#[test]
fn convolutions_score_as_the_reference() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    check(&random_convolutions(0.99, &mut rng), 4_000, DType::F64);
    check(&random_convolutions(0.015, &mut rng), 4_000, DType::F32);
}

#[test]
fn small_sums_are_computed_in_f32() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    check(&random_network(&[8, 8, 1], 0.015, &mut rng), 10_000, DType::F32);
}

#[test]
fn a_row_that_is_no_input_is_named_by_its_place_alone() {
    let engine = CandleEngine::new(ModelPackage::default_model().network(), &Device::Cpu).unwrap();
    let good = vec![0; ModelPackage::default_model().schema().len()];
    let mut bad = good.clone();
    bad[5] = 31_337;
    match engine.score_batch(&[good.clone(), bad]) {
        Err(EngineError::Input { row: 1, source: NetworkError::InputOutOfBounds(5) }) => {}
        other => panic!("{other:?}"),
    }
    assert!(engine.score_batch(&[good, vec![0; 3]]).is_err());
    assert_eq!(engine.score_batch::<Vec<i32>>(&[]).unwrap(), Vec::<i64>::new());
}
