//! The models that are measured, as floats for EZKL and as integers for ours.

use hygeia_inference::quantise::{FloatConv1d, FloatDense, FloatLayer, quantise};
use hygeia_inference::{IntegerNetwork, ModelPackage, onnx};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// 1.0 as a feature.
pub const ONE: i32 = 1024;
/// Features of made-up models lie within this many standard deviations.
const REACH: i32 = 8;

/// A model to measure.
pub struct Model {
    /// Name in tables and records.
    pub name: &'static str,
    /// Layers in floats.
    pub layers: Vec<FloatLayer>,
    /// The same in integers.
    pub network: IntegerNetwork,
}

/// The names that [`Model::named`] knows.
pub const MODELS: [&str; 3] = ["mlp 48-64-32-1", "shipped", "conv1d 24x8"];

impl Model {
    /// A model by its name, always the same.
    pub fn named(name: &str) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        match name {
            "mlp 48-64-32-1" => {
                let layers = [[48, 64], [64, 32], [32, 1]].map(|[inputs, outputs]| dense(inputs, outputs, &mut rng));
                Self::of_layers(MODELS[0], layers.into(), 48)
            }
            "shipped" => {
                let package = ModelPackage::default_model();
                let layers = package.float_layers().expect("the shipped package was checked");
                Self { name: MODELS[1], layers, network: package.network().clone() }
            }
            "conv1d 24x8" => {
                let layers = vec![
                    conv(8, &mut rng),
                    conv(16, &mut rng),
                    FloatLayer::MeanPool { channels: 16 },
                    dense(16, 1, &mut rng),
                ];
                Self::of_layers(MODELS[2], layers, 24 * 8)
            }
            other => panic!("no model is called {other}; there are {MODELS:?}"),
        }
    }

    fn of_layers(name: &'static str, layers: Vec<FloatLayer>, inputs: usize) -> Self {
        let network = quantise(&layers, &vec![(-REACH * ONE, REACH * ONE); inputs]).expect("weights are small");
        Self { name, layers, network }
    }

    /// Number of features.
    pub fn inputs(&self) -> usize {
        self.network.input_bounds().len()
    }

    /// The model as EZKL takes it.
    pub fn onnx(&self) -> Vec<u8> {
        onnx::export(&self.layers, self.inputs(), self.name).expect("its layers fit")
    }

    /// A window within two standard deviations.
    pub fn window(&self, rng: &mut ChaCha20Rng) -> Vec<i32> {
        let within = |&(low, high): &(i32, i32)| rng.gen_range(low.max(-2 * ONE)..=high.min(2 * ONE));
        self.network.input_bounds().iter().map(within).collect()
    }
}

fn dense(inputs: usize, outputs: usize, rng: &mut ChaCha20Rng) -> FloatLayer {
    FloatLayer::Dense(FloatDense { weights: weights(inputs, outputs, rng), bias: vec![0.1; outputs] })
}

fn conv(channels: usize, rng: &mut ChaCha20Rng) -> FloatLayer {
    let (kernel, outputs) = (3, 16);
    let weights = weights(kernel * channels, outputs, rng);
    FloatLayer::Conv1d(FloatConv1d { channels, kernel, weights, bias: vec![0.1; outputs] })
}

/// Weights that keep activations at the size of the inputs.
fn weights(inputs: usize, outputs: usize, rng: &mut ChaCha20Rng) -> Vec<Vec<f32>> {
    let reach = (3.0 / inputs as f32).sqrt();
    (0..outputs).map(|_| (0..inputs).map(|_| rng.gen_range(-reach..reach)).collect()).collect()
}
