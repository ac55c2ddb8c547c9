//! Networks and windows for tests.

use hygeia_inference::{Conv1d, Dense, IntegerNetwork, Layer};
use rand::Rng;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// Some schema's hash.
pub const SCHEMA: [u8; 32] = [7; 32];

/// A network of dense layers whose weights are as large as its bounds allow, and whose scores have either sign.
pub fn random_network(dims: &[usize], seed: u64, input: (i32, i32)) -> IntegerNetwork {
    let mut weights = Weights::new(seed, input);
    let layers = dims.windows(2).map(|pair| weights.dense(pair[0], pair[1])).collect();
    IntegerNetwork::new(layers, vec![input; dims[0]]).unwrap()
}

/// Steps and channels of the input, kernel and channels of each convolution, neurons of the dense layers after them.
pub type Convolutions<'a> = ([usize; 2], &'a [[usize; 2]], &'a [usize]);

/// The convolutional network that EZKL was measured on: its mean pooling is part of the dense layer.
pub const CONV_24X8: Convolutions<'_> = ([24, 8], &[[3, 16], [3, 16]], &[1]);

/// A network of convolutions, then dense layers.
pub fn random_convolutions(shape: Convolutions<'_>, seed: u64, input: (i32, i32)) -> IntegerNetwork {
    let ([mut steps, mut channels], convolutions, dense) = shape;
    let inputs = steps * channels;
    let mut weights = Weights::new(seed, input);
    let mut layers = Vec::new();
    for &[kernel, outputs] in convolutions {
        layers.push(weights.conv(channels, kernel, outputs));
        (steps, channels) = (steps + 1 - kernel, outputs);
    }
    let mut width = steps * channels;
    for &outputs in dense {
        layers.push(weights.dense(width, outputs));
        width = outputs;
    }
    IntegerNetwork::new(layers, vec![input; inputs]).unwrap()
}

/// Draws layers one after the other; knows how far the activations of the last one reach.
struct Weights {
    rng: ChaCha20Rng,
    reach: i64,
}

impl Weights {
    fn new(seed: u64, input: (i32, i32)) -> Self {
        Self { rng: ChaCha20Rng::seed_from_u64(seed), reach: i64::from(input.0.abs().max(input.1.abs())) }
    }

    fn dense(&mut self, inputs: usize, outputs: usize) -> Layer {
        let (weights, bias) = self.draw(inputs, outputs);
        Dense { weights, bias }.into()
    }

    fn conv(&mut self, channels: usize, kernel: usize, outputs: usize) -> Layer {
        let (weights, bias) = self.draw(kernel * channels, outputs);
        Conv1d { channels, kernel, weights, bias }.into()
    }

    fn draw(&mut self, terms: usize, outputs: usize) -> (Vec<Vec<i32>>, Vec<i64>) {
        let limit = i32::try_from((1 << 29) / (self.reach * terms as i64)).unwrap().max(1);
        let mut weight = || self.rng.gen_range(-limit..=limit);
        let weights = (0..outputs).map(|_| (0..terms).map(|_| weight()).collect()).collect();
        let bias = (0..outputs).map(|_| self.rng.gen_range(-(1 << 20)..1 << 20)).collect();
        self.reach = (self.reach * terms as i64 * i64::from(limit) + (1 << 20)) >> 10;
        (weights, bias)
    }
}

/// A window within the network's bounds.
pub fn random_features(network: &IntegerNetwork, rng: &mut ChaCha20Rng) -> Vec<i32> {
    network.input_bounds().iter().map(|&(low, high)| rng.gen_range(low..=high)).collect()
}
