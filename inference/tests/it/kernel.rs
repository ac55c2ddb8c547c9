//! The integer engine against the reference: bit for bit, on every kind of vector unit this machine has.

use hygeia_inference::kernel::{IntegerEngine, RowError, Units};
use hygeia_inference::{Conv1d, Dense, IntegerNetwork, Layer, ModelPackage, NetworkError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::networks::{random_convolutions, random_network, windows, windows_around};

/// Windows of the shipped model, half of them around the threshold its card names.
const WINDOWS: usize = 100_000;

fn check(network: &IntegerNetwork, windows: &[Vec<i32>]) {
    let expected: Vec<i64> = windows.iter().map(|window| network.score(window).unwrap()).collect();
    for units in Units::available() {
        let engine = IntegerEngine::with(network, units).unwrap();
        assert_eq!(engine.units(), units);
        assert!(engine.score_batch(windows).unwrap() == expected, "{units:?} differs from the reference");
        // Neither the length of the batch nor a window's place in it changes a score.
        for batch in [1, 7, 9, 63, 65] {
            let start = windows.len() - batch;
            assert!(engine.score_batch(&windows[start..]).unwrap() == expected[start..], "{units:?}, batch of {batch}");
        }
    }
}

#[test]
fn the_shipped_model_scores_as_the_reference() {
    let model = ModelPackage::default_model();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut all = windows(model.network().input_bounds(), WINDOWS / 2, &mut rng);
    let threshold = model.card().operating_points.model.threshold;
    all.extend(windows_around(model.network(), threshold, WINDOWS / 2, &mut rng));
    check(model.network(), &all);
}

#[test]
fn networks_of_many_shapes_score_as_the_reference() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for (dims, fill) in [
        (vec![64, 64, 32, 1], 0.99),
        (vec![64, 64, 32, 1], 0.01),
        (vec![3, 1], 0.99),
        (vec![1, 1, 1], 0.5),
        (vec![48, 129, 1], 0.99),
        (vec![17, 33, 15, 8, 1], 0.1),
        (vec![512, 300, 1], 0.2),
    ] {
        let network = random_network(&dims, fill, &mut rng);
        check(&network, &windows(network.input_bounds(), 2_000, &mut rng));
    }
    for fill in [0.99, 0.015] {
        let network = random_convolutions(fill, &mut rng);
        check(&network, &windows(network.input_bounds(), 2_000, &mut rng));
    }
}

/// Channels and kernel of odd size: the second of a pair may belong to the next step, and must weigh nothing.
#[test]
fn odd_convolutions_score_as_the_reference() {
    let mut rng = ChaCha8Rng::seed_from_u64(19);
    let mut weights = |outputs: usize, terms: usize| -> Vec<Vec<i32>> {
        (0..outputs).map(|_| (0..terms).map(|_| rng.gen_range(-300..=300)).collect()).collect()
    };
    let layers: Vec<Layer> = vec![
        Conv1d { channels: 3, kernel: 3, weights: weights(5, 9), bias: vec![9, -4_000, 70_000, 1, 0] }.into(),
        Conv1d { channels: 5, kernel: 1, weights: weights(1, 5), bias: vec![5] }.into(),
        Dense { weights: weights(1, 11), bias: vec![0] }.into(),
    ];
    let network = IntegerNetwork::new(layers, vec![(-4_096, 4_096); 39]).unwrap();
    check(&network, &windows(network.input_bounds(), 3_000, &mut ChaCha8Rng::seed_from_u64(23)));
}

/// Weights and activations beyond 16 bits, and sums that leave 32 bits on the way and come back.
#[test]
fn what_16_bits_do_not_hold_is_computed_all_the_same() {
    let dense = |weights: &[&[i32]], bias: &[i64]| -> Layer {
        Dense { weights: weights.iter().map(|row| row.to_vec()).collect(), bias: bias.to_vec() }.into()
    };
    let check = |layers: Vec<Layer>, bounds: Vec<(i32, i32)>| {
        let network = IntegerNetwork::new(layers, bounds).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(29);
        check(&network, &windows(network.input_bounds(), 1_000, &mut rng));
    };
    // Activations of up to 32,767 and just above, by one unit of the input.
    let around = dense(&[&[1024]], &[0]);
    check(vec![around.clone(), dense(&[&[100]], &[0])], vec![(32_760, 32_767)]);
    check(vec![dense(&[&[1024]], &[4 << 10]), dense(&[&[100]], &[0])], vec![(32_760, 32_767)]);
    check(vec![dense(&[&[30_000]], &[0]), dense(&[&[-1000]], &[77])], vec![(-32_768, 32_767)]);
    // A weight of 2^20, and one that needs its 16 bits.
    check(vec![dense(&[&[1 << 20]], &[0]), dense(&[&[512]], &[0])], vec![(0, 1000)]);
    check(vec![dense(&[&[-32_768, 32_767]], &[0]), dense(&[&[1]], &[0])], vec![(-16_000, 16_000); 2]);
    // A bias of 2^40 against terms that make up for it.
    let balanced = Dense { weights: vec![vec![i32::MIN; 16]], bias: vec![1 << 46] };
    check(vec![balanced.into()], vec![(2048, 2048); 16]);
}

#[test]
fn a_row_that_is_no_input_is_named_by_its_place_alone() {
    for units in Units::available() {
        let engine = IntegerEngine::with(ModelPackage::default_model().network(), units).unwrap();
        let good = vec![0; ModelPackage::default_model().schema().len()];
        let mut rows = vec![good.clone(); 70];
        let mut scores = vec![5];
        rows[66][5] = 31_337;
        let refused = engine.score_into(&rows, &mut scores).unwrap_err();
        assert_eq!(refused, RowError { row: 66, source: NetworkError::InputOutOfBounds(5) });
        assert_eq!(scores, [5], "nothing is left of a refused batch");
        assert!(!format!("{refused:?} {engine:?}").contains("31337"));
        rows[66].pop();
        let refused = engine.score_batch(&rows).unwrap_err();
        assert!(matches!(refused, RowError { row: 66, source: NetworkError::InputLength { .. } }));
        assert_eq!(engine.score_batch::<Vec<i32>>(&[]).unwrap(), Vec::<i64>::new());
    }
}
