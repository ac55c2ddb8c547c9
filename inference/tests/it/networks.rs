//! Networks and windows that tests of several engines share.

use hygeia_inference::{Conv1d, Dense, IntegerNetwork, Layer};
use rand::{Rng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Windows of four kinds: uniform, near the centre, all at a bound, and one step around the bounds.
pub fn windows(bounds: &[(i32, i32)], count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<i32>> {
    let value = |kind: usize, &(low, high): &(i32, i32), rng: &mut ChaCha8Rng| match kind % 4 {
        0 => rng.gen_range(low..=high),
        1 => rng.gen_range(low / 4..=high / 4).clamp(low, high),
        2 => *[low, high].choose(rng).unwrap(),
        _ => *[low, (low + 1).min(high), 0.clamp(low, high), (high - 1).max(low), high].choose(rng).unwrap(),
    };
    (0..count).map(|kind| bounds.iter().map(|bound| value(kind, bound, rng)).collect()).collect()
}

/// Windows whose scores lie on either side of a threshold: pairs of windows are halved towards where the score crosses it.
pub fn windows_around(network: &IntegerNetwork, threshold: i64, count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<i32>> {
    let mut found: Vec<Vec<i32>> = Vec::with_capacity(count);
    let score = |window: &[i32]| network.score(window).unwrap();
    while found.len() < count {
        let mut ends = windows(network.input_bounds(), 2, rng);
        ends.sort_by_key(|window| score(window));
        let [low, high] = ends.as_mut_slice() else { panic!("two windows") };
        if score(low) >= threshold || score(high) < threshold {
            continue;
        }
        for _ in 0..16 {
            let middle: Vec<i32> = low.iter().zip(&*high).map(|(&a, &b)| a + (b - a).div_euclid(2)).collect();
            let end = if score(&middle) >= threshold { &mut *high } else { &mut *low };
            end.clone_from(&middle);
            found.push(middle);
        }
    }
    found.truncate(count);
    found
}

/// A random network whose neurons fill a share of the circuit's range in the worst case.
pub fn random_network(dims: &[usize], fill: f64, rng: &mut ChaCha8Rng) -> IntegerNetwork {
    let input_bounds = vec![(-32_768, 32_767); dims[0]];
    let mut reach = 32_768f64;
    let mut layers = Vec::new();
    for pair in dims.windows(2) {
        let target = fill * f64::from(1 << 30);
        let weight_max = (target / (reach * pair[0] as f64)).max(1.0) as i32;
        let weights = (0..pair[1])
            .map(|_| (0..pair[0]).map(|_| *[-weight_max, weight_max - 1, weight_max].choose(rng).unwrap()).collect())
            .collect();
        layers.push(Dense { weights, bias: (0..pair[1]).map(|_| rng.gen_range(-1000..1000)).collect() }.into());
        reach = (reach * pair[0] as f64 * f64::from(weight_max) / 1024.0).max(1.0);
    }
    IntegerNetwork::new(layers, input_bounds).unwrap()
}

/// Two convolutions over 24 steps of 8 channels and a dense layer, with weights that fill a share of the range.
pub fn random_convolutions(fill: f64, rng: &mut ChaCha8Rng) -> IntegerNetwork {
    let input_bounds = vec![(-8_192, 8_191); 24 * 8];
    let mut reach = 8_192f64;
    let mut weights = |outputs: usize, terms: usize| -> Vec<Vec<i32>> {
        let weight_max = (fill * f64::from(1 << 30) / (reach * terms as f64)).max(1.0) as i32;
        reach = (reach * terms as f64 * f64::from(weight_max) / 1024.0).max(1.0);
        (0..outputs).map(|_| (0..terms).map(|_| rng.gen_range(-weight_max..=weight_max)).collect()).collect()
    };
    let layers: Vec<Layer> = vec![
        Conv1d { channels: 8, kernel: 3, weights: weights(16, 24), bias: (0..16).map(|i| i * 900 - 500).collect() }
            .into(),
        Conv1d { channels: 16, kernel: 3, weights: weights(5, 48), bias: vec![-9_000, 7, 0, 1, 2] }.into(),
        Dense { weights: weights(1, 100), bias: vec![-77] }.into(),
    ];
    IntegerNetwork::new(layers, input_bounds).unwrap()
}
