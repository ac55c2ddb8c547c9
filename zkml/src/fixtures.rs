//! Networks and windows for tests.

use hygeia_inference::{Dense, IntegerNetwork};
use rand::Rng;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// Some schema's hash.
pub const SCHEMA: [u8; 32] = [7; 32];

/// A network whose weights are as large as its bounds allow, and whose scores have either sign.
pub fn random_network(dims: &[usize], seed: u64, input: (i32, i32)) -> IntegerNetwork {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut reach = i64::from(input.0.abs().max(input.1.abs()));
    let layers = dims
        .windows(2)
        .map(|pair| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let limit = i32::try_from((1 << 29) / (reach * inputs as i64)).unwrap();
            let mut weight = || rng.gen_range(-limit..=limit);
            let weights: Vec<Vec<i32>> = (0..outputs).map(|_| (0..inputs).map(|_| weight()).collect()).collect();
            let bias = (0..outputs).map(|_| rng.gen_range(-(1 << 20)..1 << 20)).collect();
            reach = (reach * inputs as i64 * i64::from(limit) + (1 << 20)) >> 10;
            Dense { weights, bias }.into()
        })
        .collect();
    IntegerNetwork::new(layers, vec![input; dims[0]]).unwrap()
}

/// A window within the network's bounds.
pub fn random_features(network: &IntegerNetwork, rng: &mut ChaCha20Rng) -> Vec<i32> {
    network.input_bounds().iter().map(|&(low, high)| rng.gen_range(low..=high)).collect()
}
