use super::*;
use crate::network::{Layer, PRE_ACTIVATION_LIMIT};
use crate::sequence::Sequence;

fn layers(scale: f32) -> Vec<FloatLayer> {
    vec![
        FloatDense { weights: vec![vec![scale, -0.5], vec![0.25, scale]], bias: vec![0.125, -1.0] }.into(),
        FloatDense { weights: vec![vec![1.5, -2.0]], bias: vec![0.5] }.into(),
    ]
}

/// Six steps of two channels, two convolutions, pooling, two dense layers.
fn convolutions(scale: f32, draw: &mut Sequence) -> Vec<FloatLayer> {
    let mut random = |rows: usize, columns: usize, scale: f32| -> Vec<Vec<f32>> {
        let mut weight = || (next(draw) - 0.5) * scale;
        (0..rows).map(|_| (0..columns).map(|_| weight()).collect()).collect()
    };
    vec![
        FloatConv1d { channels: 2, kernel: 3, weights: random(4, 6, scale), bias: vec![0.1; 4] }.into(),
        FloatConv1d { channels: 4, kernel: 2, weights: random(3, 8, 1.0 / scale), bias: vec![-0.1; 3] }.into(),
        FloatLayer::MeanPool { channels: 3 },
        FloatDense { weights: random(5, 3, 2.0), bias: vec![0.0; 5] }.into(),
        FloatDense { weights: random(1, 5, 2.0), bias: vec![0.2] }.into(),
    ]
}

fn next(draw: &mut Sequence) -> f32 {
    (draw.next() >> 40) as f32 / (1u32 << 24) as f32
}

#[test]
fn integers_follow_the_floats() {
    let layers = layers(0.75);
    let network = quantise(&layers, &[(-4096, 4096); 2]).unwrap();
    for input in [[0, 0], [1024, -1024], [4096, 4096], [-4096, 77]] {
        let error = network.score(&input).unwrap() as f64 / ONE - float_score(&layers, &input);
        assert!(error.abs() < 0.01, "{error}");
    }
}

#[test]
fn large_weights_are_scaled_into_range_without_changing_the_score() {
    let mut layers = layers(400.0);
    layers[1] = FloatDense { weights: vec![vec![0.01, -0.02]], bias: vec![0.5] }.into();
    let network = quantise(&layers, &[(-4096, 4096); 2]).unwrap();
    let worst = network.bounds()[0][0].pre_max;
    assert!(worst < PRE_ACTIVATION_LIMIT && worst > PRE_ACTIVATION_LIMIT / 10 * 9);
    let input = [2048, -100];
    let error = network.score(&input).unwrap() as f64 / ONE - float_score(&layers, &input);
    assert!(error.abs() < 0.5, "{error}");
}

/// With weights of a hundred the first convolution must be scaled, by channel, and the second takes it back.
#[test]
fn convolutions_and_pooling_follow_the_floats() {
    let mut draw = Sequence::new(4);
    for (scale, tolerance) in [(1.0, 0.02), (200.0, 0.6)] {
        let layers = convolutions(scale, &mut draw);
        let network = quantise(&layers, &[(-4096, 4096); 12]).unwrap();
        assert_eq!(network.dims(), [12, 16, 9, 5, 1]);
        assert!(matches!(network.layers(), [Layer::Conv1d(_), Layer::Conv1d(_), Layer::Dense(_), Layer::Dense(_)]));
        for _ in 0..200 {
            let input: Vec<i32> = (0..12).map(|_| ((next(&mut draw) - 0.5) * 8192.0) as i32).collect();
            let error = network.score(&input).unwrap() as f64 / ONE - float_score(&layers, &input);
            assert!(error.abs() < tolerance, "{error} at scale {scale}");
        }
    }
}

/// A convolution over what a dense layer gives takes every second output into one channel, so two factors serve all.
#[test]
fn a_factor_is_shared_where_weights_are() {
    let first = FloatDense { weights: (0..6).map(|row| vec![100.0 * (row + 1) as f32]).collect(), bias: vec![0.0; 6] };
    let second = FloatConv1d { channels: 2, kernel: 3, weights: vec![vec![1e-3; 6]], bias: vec![0.0] };
    let layers = [first.into(), second.into()];
    let network = quantise(&layers, &[(-8192, 8192)]).unwrap();
    let scaled: Vec<f64> = network.layers()[0].weights().iter().map(|row| f64::from(row[0])).collect();
    for row in [2, 3, 4, 5] {
        let expected = scaled[row % 2] * (row + 1) as f64 / (row % 2 + 1) as f64;
        assert!((scaled[row] - expected).abs() < 3.0, "{scaled:?}");
    }
    let error = network.score(&[700]).unwrap() as f64 / ONE - float_score(&layers, &[700]);
    assert!(error.abs() < 1.0, "{error}");
}

#[test]
fn refuses_weights_that_are_not_finite() {
    assert_eq!(quantise(&layers(f32::NAN), &[(-4096, 4096); 2]), Err(QuantiseError::NotFinite(0)));
}

#[test]
fn pooling_needs_whole_steps_and_a_dense_layer() {
    let refused = |layers: &[FloatLayer], inputs: usize| quantise(layers, &vec![(-4096, 4096); inputs]).unwrap_err();
    let pool = FloatLayer::MeanPool { channels: 2 };
    let dense = |inputs| FloatLayer::from(FloatDense { weights: vec![vec![1.0; inputs]], bias: vec![0.0] });
    let conv = FloatConv1d { channels: 2, kernel: 1, weights: vec![vec![1.0; 2]], bias: vec![0.0] }.into();
    assert!(quantise(&[pool.clone(), dense(2)], &[(-4096, 4096); 6]).is_ok());
    assert_eq!(refused(&[pool.clone(), dense(2)], 5), QuantiseError::Pool(0));
    assert_eq!(refused(&[pool.clone(), dense(3)], 6), QuantiseError::Pool(0));
    assert_eq!(refused(&[pool.clone(), conv], 6), QuantiseError::Pool(0));
    assert_eq!(refused(&[pool.clone(), pool.clone(), dense(2)], 6), QuantiseError::Pool(1));
    assert_eq!(refused(&[dense(6), pool.clone()], 6), QuantiseError::Pool(1));
    assert_eq!(refused(&[FloatLayer::MeanPool { channels: 0 }, dense(2)], 6), QuantiseError::Pool(0));
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let narrow = FloatConv1d { channels: 2, kernel: 4, weights: vec![vec![1.0; 8]], bias: vec![0.0] }.into();
    let refused = quantise(&[narrow], &[(-4096, 4096); 6]).unwrap_err();
    assert_eq!(refused, NetworkError::Steps { layer: 0, channels: 2, kernel: 4, inputs: 6 }.into());
    let ragged = FloatConv1d { channels: 2, kernel: 3, weights: vec![vec![1.0; 5]], bias: vec![0.0] }.into();
    let refused = quantise(&[ragged], &[(-4096, 4096); 6]).unwrap_err();
    assert_eq!(refused, NetworkError::Shape { layer: 0, neuron: 0 }.into());
}

/// A neuron whose output is large and whose weight in the next layer is tiny: as it stands that weight rounds to 0.
#[test]
fn scales_are_chosen_where_they_help() {
    let first = FloatDense { weights: vec![vec![0.001, 0.0], vec![0.0, 2.0]], bias: vec![0.0, 0.0] };
    let second = FloatDense { weights: vec![vec![900.0, 0.0004]], bias: vec![0.0] };
    let layers = [first.into(), second.into()];
    let bounds = [(-8192, 8192); 2];
    let mut draw = Sequence::new(6);
    let rows: Vec<Vec<i32>> =
        (0..500).map(|_| (0..2).map(|_| ((next(&mut draw) - 0.5) * 16_000.0) as i32).collect()).collect();
    let scaled = quantise_scaled(&layers, &bounds, &rows).unwrap();
    assert!(scaled.error_mean_before > 0.1 && scaled.error_mean < 0.01, "{scaled:?}");
    let [exponents] = scaled.exponents.as_slice() else { panic!("one hidden layer") };
    assert!(exponents[0] > 0 && exponents[1] < 0, "{exponents:?}");
    assert_eq!((exponents.len(), scaled.rows), (2, 500));
    let factors = factors_of(&layers, &scaled.network).unwrap();
    for (factor, exponent) in factors[0].iter().zip(exponents) {
        assert!((factor.log2() - f64::from(*exponent)).abs() < 0.1, "{factors:?}");
    }
    // The error told is that of the network handed back, and the same rows give the same network.
    let error = |row: &Vec<i32>| (scaled.network.score(row).unwrap() as f64 / ONE - float_score(&layers, row)).abs();
    assert!((rows.iter().map(error).sum::<f64>() / 500.0 - scaled.error_mean).abs() < 1e-12);
    assert_eq!(quantise_scaled(&layers, &bounds, &rows).unwrap().network, scaled.network);
}

#[test]
fn scales_of_convolutions_are_shared_by_steps() {
    let mut draw = Sequence::new(8);
    let layers = convolutions(1.0, &mut draw);
    let rows: Vec<Vec<i32>> =
        (0..200).map(|_| (0..12).map(|_| ((next(&mut draw) - 0.5) * 8192.0) as i32).collect()).collect();
    let scaled = quantise_scaled(&layers, &[(-4096, 4096); 12], &rows).unwrap();
    assert_eq!(scaled.exponents.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3, 5]);
    assert!(scaled.error_mean < scaled.error_mean_before, "{scaled:?}");
    assert_eq!(scaled.network.dims(), [12, 16, 9, 5, 1]);
}

#[test]
fn scales_need_rows_that_are_inputs() {
    let refused = quantise_scaled(&layers(0.75), &[(-4096, 4096); 2], &[vec![0, 5000]]).unwrap_err();
    assert_eq!(refused, NetworkError::InputOutOfBounds(1).into());
    let none = quantise_scaled(&layers(0.75), &[(-4096, 4096); 2], &[]).unwrap();
    assert_eq!(none.network, quantise(&layers(0.75), &[(-4096, 4096); 2]).unwrap());
}
