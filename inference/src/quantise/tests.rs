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
