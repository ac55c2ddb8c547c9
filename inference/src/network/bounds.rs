//! Interval arithmetic over a network: the ranges of the circuit, checked before a model is accepted.

use super::{Layer, NetworkError, SHIFT};

/// Inputs stay in [-2^15, 2^15): the circuit decomposes each into 16 bits.
pub const INPUT_LIMIT: i64 = 1 << 15;
/// Outputs of hidden neurons stay below 2^20: two limbs of ten bits.
pub const ACTIVATION_LIMIT: i64 = 1 << 20;
/// Pre-activations stay in [-2^30, 2^30): a sign and three limbs of ten bits.
pub const PRE_ACTIVATION_LIMIT: i64 = 1 << 30;

/// What one neuron can reach over all inputs within their bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeuronBound {
    /// Least `T`, inclusive.
    pub pre_min: i64,
    /// Greatest `T`, inclusive.
    pub pre_max: i64,
    /// Magnitude that no sum of any part of the terms exceeds.
    pub partial_sum_max: i64,
}

/// Bounds of every neuron, or the first one that may leave its range.
///
/// The shapes of the layers fit each other. Sums are taken in 128 bits, so that weights of a hostile file cannot overflow the check itself.
pub(super) fn propagate(layers: &[Layer], input_bounds: &[(i32, i32)]) -> Result<Vec<Vec<NeuronBound>>, NetworkError> {
    let valid =
        |&(low, high): &(i32, i32)| low <= high && i64::from(low) >= -INPUT_LIMIT && i64::from(high) < INPUT_LIMIT;
    if let Some(input) = input_bounds.iter().position(|bound| !valid(bound)) {
        return Err(NetworkError::InputInterval(input));
    }
    let mut intervals: Vec<(i64, i64)> =
        input_bounds.iter().map(|&(low, high)| (i64::from(low), i64::from(high))).collect();
    let mut bounds = Vec::with_capacity(layers.len());
    for (index, layer) in layers.iter().enumerate() {
        let hidden = index + 1 < layers.len();
        let neurons = layer.outputs(intervals.len()).expect("shapes were checked before");
        let mut of_layer = Vec::with_capacity(neurons);
        for neuron in 0..neurons {
            let bound =
                neuron_bound(layer, neuron, &intervals).ok_or(NetworkError::PreActivation { layer: index, neuron })?;
            if hidden && bound.pre_max >> SHIFT >= ACTIVATION_LIMIT {
                return Err(NetworkError::Activation { layer: index, neuron });
            }
            of_layer.push(bound);
        }
        intervals = of_layer.iter().map(|b| ((b.pre_min >> SHIFT).max(0), (b.pre_max >> SHIFT).max(0))).collect();
        bounds.push(of_layer);
    }
    Ok(bounds)
}

/// Bound of one neuron, or nothing when `T` may leave [-2^30, 2^30).
fn neuron_bound(layer: &Layer, neuron: usize, intervals: &[(i64, i64)]) -> Option<NeuronBound> {
    let bias = i128::from(layer.bias_of(neuron));
    let (mut low, mut high, mut magnitude) = (bias, bias, bias.abs());
    for (input, weight) in layer.terms_of(neuron) {
        let (x_min, x_max) = intervals[input];
        let ends = [i128::from(weight) * i128::from(x_min), i128::from(weight) * i128::from(x_max)];
        low += ends[0].min(ends[1]);
        high += ends[0].max(ends[1]);
        magnitude += ends[0].abs().max(ends[1].abs());
    }
    let limit = i128::from(PRE_ACTIVATION_LIMIT);
    if low < -limit || high >= limit {
        return None;
    }
    Some(NeuronBound {
        pre_min: i64::try_from(low).ok()?,
        pre_max: i64::try_from(high).ok()?,
        partial_sum_max: i64::try_from(magnitude).ok()?,
    })
}
