//! From the affine tensor in front of an activation to a layer: a convolution where it is one, else a dense layer.
//!
//! A convolution is recognised by its numbers, not by the operator that made it: each step's weights must be those of
//! the first step, moved on. What merely started as one, a padded convolution for instance, becomes a dense layer, which
//! computes the same.

use super::OnnxError;
use super::affine::Affine;
use crate::network::WIDTH_MAX;
use crate::quantise::{FloatConv1d, FloatDense, FloatLayer};

/// What a layer reads: the input, or the activations of the layer before.
#[derive(Clone, Copy)]
pub(super) struct Source {
    /// How many there are.
    pub width: usize,
    /// Channels, when they are those of a convolution, step by step.
    pub channels: Option<usize>,
}

/// Layers that compute the elements of a tensor, in the order in which a network holds them.
pub(super) struct Made {
    pub layers: Vec<FloatLayer>,
    /// Place of each element among the layer's outputs.
    pub places: Vec<usize>,
    pub source: Source,
}

/// Makes the layers of `tensor`, which depends on `source`. `index` counts layers, for errors.
pub(super) fn layers(tensor: &Affine, source: Source, index: usize) -> Result<Made, OnnxError> {
    let width = tensor.len();
    if width == 0 || width > WIDTH_MAX {
        return Err(OnnxError::Width(width));
    }
    let in_order = (0..width).collect();
    let (layers, places, channels) = match convolution(tensor, source, index)? {
        Some((convolution, channels)) => {
            let steps = width / channels;
            let places = (0..width).map(|element| element % steps * channels + element / steps).collect();
            (vec![FloatLayer::Conv1d(convolution)], places, Some(channels))
        }
        None => (dense(tensor, source, index)?, in_order, None),
    };
    Ok(Made { layers, places, source: Source { width, channels } })
}

/// The convolution whose outputs, channel by channel, the elements are; with its number of output channels.
fn convolution(tensor: &Affine, source: Source, index: usize) -> Result<Option<(FloatConv1d, usize)>, OnnxError> {
    let (Some((channels, kernel)), Some(&outputs)) = (tensor.conv, tensor.shape.get(1)) else { return Ok(None) };
    let steps = tensor.len() / outputs;
    // Over one step a convolution is a dense layer.
    let valid = steps > 1
        && (source.width / channels + 1).checked_sub(kernel) == Some(steps)
        && source.width.is_multiple_of(channels)
        && source.channels.is_none_or(|source| source == channels);
    let moved = |output: usize, step: usize| {
        let (first, here) = (output * steps, output * steps + step);
        let expected = tensor.terms(first).iter().map(|&(input, weight)| (input + (step * channels) as u32, weight));
        tensor.offset(here) == tensor.offset(first) && expected.eq(tensor.terms(here).iter().copied())
    };
    let reaches = |output: usize| {
        tensor.terms(output * steps).last().is_none_or(|&(input, _)| (input as usize) < channels * kernel)
    };
    if !valid || !(0..outputs).all(|output| reaches(output) && (1..steps).all(|step| moved(output, step))) {
        return Ok(None);
    }
    let rows = (0..outputs).map(|output| output * steps);
    let weights = rows.clone().map(|row| self::row(tensor, row, channels * kernel, index)).collect::<Result<_, _>>()?;
    let bias = rows.map(|row| finite(tensor.offset(row), index)).collect::<Result<_, _>>()?;
    Ok(Some((FloatConv1d { channels, kernel, weights, bias }, outputs)))
}

/// A dense layer; behind the mean over all steps where every neuron weighs the steps of a channel alike.
fn dense(tensor: &Affine, source: Source, index: usize) -> Result<Vec<FloatLayer>, OnnxError> {
    let bias = (0..tensor.len()).map(|row| finite(tensor.offset(row), index)).collect::<Result<_, _>>()?;
    let pooled =
        source.channels.filter(|&channels| channels < source.width && weighs_steps_alike(tensor, source, channels));
    let Some(channels) = pooled else {
        let weights = (0..tensor.len()).map(|row| self::row(tensor, row, source.width, index));
        return Ok(vec![FloatLayer::Dense(FloatDense { weights: weights.collect::<Result<_, _>>()?, bias })]);
    };
    let steps = (source.width / channels) as f64;
    let row = |element: usize| -> Result<Vec<f32>, OnnxError> {
        let mut row = vec![0.0; channels];
        for &(input, weight) in tensor.terms(element).iter().take_while(|&&(input, _)| (input as usize) < channels) {
            row[input as usize] = finite(weight * steps, index)?;
        }
        Ok(row)
    };
    let weights = (0..tensor.len()).map(row).collect::<Result<_, _>>()?;
    Ok(vec![FloatLayer::MeanPool { channels }, FloatLayer::Dense(FloatDense { weights, bias })])
}

fn weighs_steps_alike(tensor: &Affine, source: Source, channels: usize) -> bool {
    (0..tensor.len()).all(|element| {
        let terms = tensor.terms(element);
        let first: Vec<(u32, f64)> = terms.iter().take_while(|t| (t.0 as usize) < channels).copied().collect();
        let steps = source.width / channels;
        let repeated = (0..steps)
            .flat_map(|step| first.iter().map(move |&(input, weight)| (input + (step * channels) as u32, weight)));
        repeated.eq(terms.iter().copied())
    })
}

/// The weights of one element over `width` inputs.
fn row(tensor: &Affine, element: usize, width: usize, index: usize) -> Result<Vec<f32>, OnnxError> {
    let mut row = vec![0.0; width];
    for &(input, weight) in tensor.terms(element) {
        row[input as usize] = finite(weight, index)?;
    }
    Ok(row)
}

fn finite(value: f64, layer: usize) -> Result<f32, OnnxError> {
    let single = value as f32;
    if single.is_finite() { Ok(single) } else { Err(OnnxError::NotFinite(layer)) }
}
