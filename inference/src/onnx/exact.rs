//! An integer network as a file that fixed-point arithmetic evaluates to the very integers of the reference.
//!
//! What reads such a file (EZKL) holds every number as an integer with ten digits after the point, as the network does,
//! sums products exactly and divides once behind each sum, rounding to the nearest and halves away from zero. The network
//! takes the floor. Half a unit less in every sum makes one the other, as long as what is divided is not negative: hidden
//! neurons below zero give zero either way, and the last layer is lifted by a constant that is taken off behind the
//! division. A sum and its bias must not be two operators, for the division would come between them. So a dense layer is a
//! product of matrices alone, whose bias are weights of two inputs that are always 1.0 and 1/1024, and a convolution is the
//! operator that has its bias inside.

use super::OnnxError;
use super::export::Graph;
use crate::network::{IntegerNetwork, Layer, SHIFT};

/// Inputs behind the features that carry the integers 1024 and 1: 1.0 and 1/1024 as floats.
pub const EXACT_LANES: [i32; 2] = [1 << SHIFT, 1];

const ONE: i64 = 1 << SHIFT;
/// What makes rounding to the nearest a floor.
const HALF: i64 = ONE / 2;
/// A float of 32 bits holds all integers up to this one, and their products with powers of two.
const EXACT_MAX: i64 = 1 << 24;

/// Writes an integer network as an ONNX file.
///
/// Its input `features` `[batch, inputs]` has the features over 1024, then [`EXACT_LANES`] over 1024, then `spare` numbers
/// that the score does not depend on. Its output `score` is the score over 1024.
pub fn export_exact(network: &IntegerNetwork, spare: usize, name: &str) -> Result<Vec<u8>, OnnxError> {
    let features = network.input_bounds().len();
    let exact = Exact { network, graph: Graph::new(), lift: lift(network) };
    let is_dense = network.layers().iter().all(|layer| matches!(layer, Layer::Dense(_)));
    let graph = if is_dense { exact.dense(spare)? } else { exact.convolutional(features)? };
    Ok(graph.finish(features + EXACT_LANES.len() + spare, name))
}

/// What is added to the score before the last division, so that nothing negative is divided.
fn lift(network: &IntegerNetwork) -> i64 {
    let least = network.bounds().last().and_then(|bounds| bounds.first()).map_or(0, |bound| bound.pre_min);
    1 - (least >> SHIFT).min(0)
}

struct Exact<'n> {
    network: &'n IntegerNetwork,
    graph: Graph,
    lift: i64,
}

impl Exact<'_> {
    /// All layers as products of matrices. Two neurons of each hidden layer hand the constants on.
    fn dense(mut self, spare: usize) -> Result<Graph, OnnxError> {
        let last = self.network.layers().len() - 1;
        for (index, layer) in self.network.layers().iter().enumerate() {
            let lifted = if index == last { self.lift } else { 0 };
            let mut rows: Vec<Vec<i64>> = (layer.weights().iter().zip(layer.bias()))
                .map(|(weights, bias)| row_with_bias(weights, bias - HALF + lifted * ONE))
                .collect();
            if index < last {
                rows.extend(constants(layer.weights()[0].len()));
            }
            if index == 0 {
                rows.iter_mut().for_each(|row| row.extend(std::iter::repeat_n(0, spare)));
            }
            self.multiply(index, &rows)?;
            if index < last {
                self.graph.node("Relu", format!("active{index}"), &[], |_| {});
            }
        }
        Ok(self.lower())
    }

    fn multiply(&mut self, index: usize, rows: &[Vec<i64>]) -> Result<(), OnnxError> {
        let name = format!("layers.{index}.weight");
        let (inputs, outputs) = (rows[0].len(), rows.len());
        let by_input = (0..inputs).flat_map(|input| rows.iter().map(move |row| row[input]));
        let weights = floats(by_input, ONE).ok_or(OnnxError::Inexact(index))?;
        self.graph.floats(&name, &[inputs, outputs], weights.into_iter());
        self.graph.node("MatMul", format!("sum{index}"), &[&name], |_| {});
        Ok(())
    }

    /// All layers as convolutions: one that is dense, or last, runs over all its inputs as one channel.
    fn convolutional(mut self, features: usize) -> Result<Graph, OnnxError> {
        self.take(features);
        let layers = self.network.layers();
        let dims = self.network.dims();
        let last = layers.len() - 1;
        // Behind each neuron or channel of the last hidden layer comes one that is always 1.0, to carry the lift.
        let mut carried = None;
        for (index, layer) in layers.iter().enumerate() {
            let constant = (index + 1 == last).then_some(EXACT_LANES[0]);
            carried = match layer {
                Layer::Conv1d(conv) if index < last => {
                    let (channels, kernel, inputs) = (conv.channels, conv.kernel, dims[index]);
                    self.channels(index, channels, inputs / channels);
                    self.convolve(index, [channels, kernel], constant.is_some(), 0, None)?;
                    self.graph.node("Relu", format!("active{index}"), &[], |_| {});
                    let outputs = conv.weights.len() + usize::from(constant.is_some());
                    let steps = dims[index + 1] / conv.weights.len();
                    self.graph.transpose(format!("steps_first{index}"));
                    self.graph.reshape(format!("flat{index}"), &[steps * outputs]);
                    constant.map(|_| conv.weights.len())
                }
                _ => {
                    let lifted = if index == last { self.lift } else { 0 };
                    let width = dims[index] + carried.map_or(0, |period| dims[index] / period);
                    self.graph.reshape(format!("row{index}"), &[1, width]);
                    self.convolve(index, [1, width], constant.is_some(), lifted, carried)?;
                    if index < last {
                        self.graph.node("Relu", format!("active{index}"), &[], |_| {});
                    }
                    let outputs = dims[index + 1] + usize::from(constant.is_some());
                    self.graph.reshape(format!("flat{index}"), &[outputs]);
                    constant.map(|_| dims[index + 1])
                }
            };
        }
        Ok(self.lower())
    }

    /// Takes the features out of the inputs.
    fn take(&mut self, features: usize) {
        for (name, value) in [("from", 0), ("to", features), ("axis", 1)] {
            self.graph.integers(name, &[value]);
        }
        self.graph.node("Slice", "taken".to_owned(), &["from", "to", "axis"], |_| {});
    }

    fn channels(&mut self, index: usize, channels: usize, steps: usize) {
        self.graph.reshape(format!("steps{index}"), &[steps, channels]);
        self.graph.transpose(format!("channels{index}"));
    }

    /// One convolution. `carried` says after how many inputs one follows that is always 1.0; the first of those takes the
    /// lift. With `constant`, one more output is always 1.0.
    fn convolve(
        &mut self,
        index: usize,
        [channels, kernel]: [usize; 2],
        constant: bool,
        lift: i64,
        carried: Option<usize>,
    ) -> Result<(), OnnxError> {
        if kernel < 2 {
            return Err(OnnxError::SingleStep(index));
        }
        let layer = &self.network.layers()[index];
        // Without a constant to carry it the lift is part of the bias.
        let in_bias = if carried.is_some() { 0 } else { lift };
        let mut bias: Vec<i64> = layer.bias().iter().map(|bias| bias - HALF + in_bias * ONE).collect();
        let mut rows: Vec<Vec<i64>> = layer.weights().iter().map(|row| with_carried(row, carried, lift)).collect();
        if constant {
            rows.push(vec![0; rows[0].len()]);
            bias.push(ONE * ONE);
        }
        let outputs = rows.len();
        // By output, channel and tap, where the layer has taps before channels.
        let by_channel = rows.iter().flat_map(|row| {
            (0..channels).flat_map(move |channel| (0..kernel).map(move |tap| row[tap * channels + channel]))
        });
        let weights = floats(by_channel, ONE).ok_or(OnnxError::Inexact(index))?;
        let biases = floats(bias.into_iter(), ONE * ONE).ok_or(OnnxError::Inexact(index))?;
        let (weight, bias) = (format!("layers.{index}.weight"), format!("layers.{index}.bias"));
        self.graph.floats(&weight, &[outputs, channels, kernel], weights.into_iter());
        self.graph.floats(&bias, &[outputs], biases.into_iter());
        self.graph.convolve(format!("conv{index}"), &weight, &bias, kernel);
        Ok(())
    }

    /// Takes the lift off the score.
    fn lower(mut self) -> Graph {
        self.graph.floats("lift", &[1], std::iter::once(-(self.lift as f32) / ONE as f32));
        self.graph.node("Add", "score".to_owned(), &["lift"], |_| {});
        self.graph
    }
}

/// Weights of a neuron, then those of the two constants, which make its bias.
fn row_with_bias(weights: &[i32], bias: i64) -> Vec<i64> {
    let constants = [bias >> SHIFT, bias & (ONE - 1)];
    weights.iter().copied().map(i64::from).chain(constants).collect()
}

/// The neurons that hand the constants on: what they divide is a multiple of the divisor, so nothing is rounded.
fn constants(inputs: usize) -> [Vec<i64>; 2] {
    [0, 1].map(|which| {
        let mut row = vec![0; inputs + EXACT_LANES.len()];
        row[inputs + which] = ONE;
        row
    })
}

/// A row whose inputs have a constant behind each period.
fn with_carried(row: &[i32], carried: Option<usize>, lift: i64) -> Vec<i64> {
    let Some(period) = carried else { return row.iter().copied().map(i64::from).collect() };
    let mut wide = Vec::with_capacity(row.len() + row.len() / period);
    for (index, part) in row.chunks(period).enumerate() {
        wide.extend(part.iter().copied().map(i64::from));
        wide.push(if index == 0 { lift } else { 0 });
    }
    wide
}

/// Integers over a power of two, where floats hold all of them.
fn floats(integers: impl Iterator<Item = i64>, over: i64) -> Option<Vec<f32>> {
    let float = |integer: i64| {
        let fits = integer.unsigned_abs() >> integer.trailing_zeros().min(63) <= EXACT_MAX.unsigned_abs();
        fits.then(|| (integer as f64 / over as f64) as f32)
    };
    integers.map(float).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Conv1d, Dense};

    fn network(bias: i64) -> IntegerNetwork {
        let layers = vec![
            Dense { weights: vec![vec![3, -5], vec![7, 11]], bias: vec![bias, 4] }.into(),
            Dense { weights: vec![vec![-1000, 900]], bias: vec![17] }.into(),
        ];
        IntegerNetwork::new(layers, vec![(-1024, 1024); 2]).expect("small weights")
    }

    #[test]
    fn a_bias_is_the_sum_of_its_two_weights() {
        for bias in [0, 1, -1, 1023, 1024, -1024, -1025, 123_456_789, -987_654_321] {
            let row = row_with_bias(&[5], bias);
            assert_eq!(row[1] * i64::from(EXACT_LANES[0]) + row[2] * i64::from(EXACT_LANES[1]), bias);
        }
    }

    #[test]
    fn what_is_divided_last_is_never_negative() {
        let network = network(4);
        let least = network.bounds()[1][0].pre_min;
        assert!(least < 0, "the case is a negative one");
        assert!(least - HALF + lift(&network) * ONE > 0);
        assert!(least - HALF + (lift(&network) - 2) * ONE < 0, "and no larger than needed");
    }

    #[test]
    fn an_integer_that_no_float_holds_is_refused() {
        assert_eq!(
            floats([1 << 24, -(1 << 30), 3 << 24].into_iter(), 1),
            Some(vec![16_777_216.0, -1_073_741_824.0, 50_331_648.0])
        );
        assert_eq!(floats([(1 << 24) + 1].into_iter(), 1), None);
        assert!(export_exact(&network((1 << 29) + 1), 6, "dense").is_ok(), "a dense layer's bias is two numbers");
        let conv = Conv1d { channels: 1, kernel: 2, weights: vec![vec![1, 1]], bias: vec![(1 << 29) + 1] };
        let last = Dense { weights: vec![vec![1]], bias: vec![0] };
        let network = IntegerNetwork::new(vec![conv.into(), last.into()], vec![(-9, 9); 2]).expect("small weights");
        assert_eq!(export_exact(&network, 6, "conv"), Err(OnnxError::Inexact(0)));
    }

    #[test]
    fn a_convolution_over_one_step_is_refused() {
        let conv = Conv1d { channels: 2, kernel: 1, weights: vec![vec![1, 1]], bias: vec![0] };
        let last = Dense { weights: vec![vec![1, 1]], bias: vec![0] };
        let network = IntegerNetwork::new(vec![conv.into(), last.into()], vec![(-9, 9); 4]).expect("small weights");
        assert_eq!(export_exact(&network, 6, "conv"), Err(OnnxError::SingleStep(0)));
    }
}
