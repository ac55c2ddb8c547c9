//! Layers in double precision, so that scaling loses nothing, and the scaling itself.

use super::{FloatLayer, ONE};
use crate::network::{Conv1d, Dense, Layer, PRE_ACTIVATION_LIMIT, SHIFT, steps_out};

/// Worst case aimed at, as a share of the range: the rest takes up what rounding adds.
const FILL: f64 = 0.97;
/// Half of what a shift drops. Added to each bias it turns the shift's floor into rounding to nearest.
const HALF: f64 = (1u64 << (SHIFT - 1)) as f64;

/// A layer with weights.
#[derive(Clone)]
pub(super) struct Wide {
    conv: Option<Shape>,
    weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

/// What a convolution has besides weights.
#[derive(Clone, Copy)]
struct Shape {
    channels: usize,
    kernel: usize,
}

impl Wide {
    pub(super) fn from_float(layer: &FloatLayer) -> Self {
        let (weights, bias) = layer.parameters();
        let conv = match layer {
            FloatLayer::Conv1d(conv) => Some(Shape { channels: conv.channels, kernel: conv.kernel }),
            FloatLayer::Dense(_) | FloatLayer::MeanPool { .. } => None,
        };
        Self {
            conv,
            weights: weights.iter().map(|row| row.iter().copied().map(f64::from).collect()).collect(),
            bias: bias.iter().copied().map(f64::from).collect(),
        }
    }

    /// This dense layer over all steps of its inputs instead of their mean. Nothing when it is no such layer.
    pub(super) fn after_pool(self, channels: usize, steps: usize) -> Option<Self> {
        if self.conv.is_some() || self.weights.iter().any(|row| row.len() != channels) {
            return None;
        }
        let spread = |row: Vec<f64>| {
            let share: Vec<f64> = row.into_iter().map(|weight| weight / steps as f64).collect();
            share.repeat(steps)
        };
        Some(Self { weights: self.weights.into_iter().map(spread).collect(), ..self })
    }

    /// Number of neurons over this number of inputs, or nothing when the layer does not fit them.
    pub(super) fn outputs(&self, inputs: usize) -> Option<usize> {
        let (row, repeats) = match self.conv {
            None => (inputs, 1),
            Some(Shape { channels, kernel }) => (channels.checked_mul(kernel)?, steps_out(inputs, channels, kernel)?),
        };
        let fits = self.weights.len() == self.bias.len() && self.weights.iter().all(|weights| weights.len() == row);
        fits.then_some(self.weights.len() * repeats)
    }

    pub(super) fn round(&self) -> Layer {
        let weights = self.weights.iter().map(|row| row.iter().map(|w| (w * ONE).round() as i32).collect()).collect();
        let bias = self.bias.iter().map(|b| (b * ONE * ONE + HALF).round() as i64).collect();
        match self.conv {
            None => Layer::Dense(Dense { weights, bias }),
            Some(Shape { channels, kernel }) => Layer::Conv1d(Conv1d { channels, kernel, weights, bias }),
        }
    }

    /// Least and greatest pre-activation of a neuron over all inputs within the intervals.
    fn interval(&self, neuron: usize, inputs: &[(f64, f64)]) -> (f64, f64) {
        let row = neuron % self.weights.len();
        let first = self.conv.map_or(0, |conv| neuron / self.weights.len() * conv.channels);
        let mut ends = (self.bias[row], self.bias[row]);
        for (weight, &(low, high)) in self.weights[row].iter().zip(&inputs[first..]) {
            ends.0 += (weight * low).min(weight * high);
            ends.1 += (weight * low).max(weight * high);
        }
        ends
    }

    /// Scales what is computed of each neuron, given the factors of the first neurons; they repeat.
    fn scale_outputs(&mut self, factors: &[f64]) {
        for ((row, bias), factor) in self.weights.iter_mut().zip(&mut self.bias).zip(factors.iter().cycle()) {
            row.iter_mut().for_each(|weight| *weight *= factor);
            *bias *= factor;
        }
    }

    /// Undoes the scaling of the layer before.
    fn unscale_inputs(&mut self, factors: &[f64]) {
        for row in &mut self.weights {
            for (weight, factor) in row.iter_mut().zip(factors.iter().cycle()) {
                *weight /= factor;
            }
        }
    }
}

/// Scales neurons whose worst case would leave the range, layer by layer. Stops at a layer that does not fit.
pub(super) fn fit(layers: &mut [Wide], input_bounds: &[(i32, i32)]) {
    let mut intervals: Vec<(f64, f64)> =
        input_bounds.iter().map(|&(low, high)| (f64::from(low) / ONE, f64::from(high) / ONE)).collect();
    for index in 0..layers.len() {
        let (done, next) = layers.split_at_mut(index + 1);
        let (layer, next) = (&mut done[index], next.first_mut());
        let Some(neurons) = layer.outputs(intervals.len()).filter(|&neurons| neurons > 0) else { return };
        let reached: Vec<(f64, f64)> = (0..neurons).map(|neuron| layer.interval(neuron, &intervals)).collect();
        let factors = factors(&reached, period(layer, next.as_deref(), neurons));
        layer.scale_outputs(&factors);
        if let Some(next) = next {
            next.unscale_inputs(&factors);
        }
        let rectified =
            |(&(low, high), factor): (&(f64, f64), &f64)| ((low * factor).max(0.0), (high * factor).max(0.0));
        intervals = reached.iter().zip(factors.iter().cycle()).map(rectified).collect();
    }
}

/// Scales what each hidden layer gives by powers of two, and takes it back in the next.
pub(super) fn scale(layers: &mut [Wide], exponents: &[Vec<i8>]) {
    for (index, exponents) in exponents.iter().enumerate() {
        let factors: Vec<f64> = exponents.iter().map(|&exponent| 2f64.powi(i32::from(exponent))).collect();
        layers[index].scale_outputs(&factors);
        if let Some(next) = layers.get_mut(index + 1) {
            next.unscale_inputs(&factors);
        }
    }
}

/// By layer and row, how much larger the integers' weights are than the floats', inputs scaled alike.
pub(super) fn factors_between(layers: &[Wide], integers: &[Layer]) -> Vec<Vec<f64>> {
    let mut before = vec![1.0];
    let mut of_layer = |(wide, layer): (&Wide, &Layer)| {
        let factor = |(row, integers): (&Vec<f64>, &Vec<i32>)| {
            let floats = || row.iter().zip(before.iter().cycle()).map(|(weight, before)| weight / before * ONE);
            let norm: f64 = floats().map(|weight| weight * weight).sum();
            let product: f64 = floats().zip(integers).map(|(float, &integer)| float * f64::from(integer)).sum();
            // A neuron without weights, or whose weights all round to 0, has no scale to speak of.
            if product > 0.0 { product / norm } else { 1.0 }
        };
        before = wide.weights.iter().zip(layer.weights()).map(factor).collect();
        before.clone()
    };
    layers.iter().zip(integers).map(&mut of_layer).collect()
}

/// For each hidden layer the number of neurons after which factors repeat. Ends before a layer that does not fit.
pub(super) fn periods(layers: &[Wide], inputs: usize) -> Vec<usize> {
    let (mut width, mut periods) = (inputs, Vec::new());
    for pair in layers.windows(2) {
        let Some(neurons) = pair[0].outputs(width).filter(|&neurons| neurons > 0) else { break };
        periods.push(period(&pair[0], Some(&pair[1]), neurons));
        width = neurons;
    }
    periods
}

/// After how many neurons of a layer factors repeat: neurons share one when they share weights, in the layer itself or
/// in the next. Any two of a channel do, so with channels on both sides it is their greatest common divisor.
fn period(layer: &Wide, next: Option<&Wide>, neurons: usize) -> usize {
    let own = if layer.conv.is_some() { layer.weights.len() } else { neurons };
    let of_next = next.and_then(|next| next.conv).map_or(neurons, |conv| conv.channels);
    gcd(own, of_next)
}

/// Factors of the first `period` neurons, which are at most 1 and bring the farthest reach of each into the range.
fn factors(reached: &[(f64, f64)], period: usize) -> Vec<f64> {
    let limit = FILL * PRE_ACTIVATION_LIMIT as f64 / (ONE * ONE);
    let farthest = |first| {
        let alike = reached.iter().skip(first).step_by(period);
        alike.map(|(low, high)| low.abs().max(high.abs())).fold(0.0, f64::max)
    };
    (0..period).map(|first| (limit / farthest(first)).min(1.0)).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
