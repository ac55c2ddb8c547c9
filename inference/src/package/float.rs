//! `model.safetensors`: the float layers, and whether they are those of an integer network.
//!
//! Layer `N` has the tensors `layers.N.weight` and `layers.N.bias` `[out]`, both `f32`. A weight of the shape `[out, in]`
//! is a dense layer's, one of `[out, kernel, channels]` a convolution's. A layer without tensors between others is mean
//! pooling over the channels that the dense layer after it takes.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::PackageError;
use crate::network::{IntegerNetwork, LAYERS_MAX, Layer};
use crate::quantise::{FloatConv1d, FloatDense, FloatLayer};

/// Most float layers: each integer layer with pooling before it.
const FLOAT_LAYERS_MAX: usize = 2 * LAYERS_MAX;

/// Name of a layer's tensor; `part` is `weight` or `bias`.
pub fn float_tensor_name(layer: usize, part: &str) -> String {
    format!("layers.{layer}.{part}")
}

/// The file of these layers.
pub fn encode_float(layers: &[FloatLayer]) -> Result<Vec<u8>, PackageError> {
    let bytes = |values: &mut dyn Iterator<Item = &f32>| values.flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let (weights, bias) = layer.parameters();
        let columns = || weights.first().map_or(0, Vec::len);
        let shape = match layer {
            FloatLayer::Dense(_) => vec![weights.len(), columns()],
            FloatLayer::Conv1d(conv) => vec![weights.len(), conv.kernel, conv.channels],
            FloatLayer::MeanPool { .. } => continue,
        };
        tensors.push((float_tensor_name(index, "weight"), shape, bytes(&mut weights.iter().flatten())));
        tensors.push((float_tensor_name(index, "bias"), vec![bias.len()], bytes(&mut bias.iter())));
    }
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, shape, data)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data)?)))
        .collect::<Result<_, SafeTensorError>>()?;
    Ok(safetensors::serialize(views, None)?)
}

/// The layers of a file.
pub fn decode_float(bytes: &[u8]) -> Result<Vec<FloatLayer>, PackageError> {
    let tensors = SafeTensors::deserialize(bytes)?;
    let count = layer_count(&tensors)?;
    let weighted = (0..count).map(|index| weighted_layer(&tensors, index)).collect::<Result<Vec<_>, _>>()?;
    if tensors.len() != 2 * weighted.iter().flatten().count() {
        return Err(PackageError::FloatCount(tensors.len()));
    }
    let mut layers = Vec::with_capacity(count);
    for (index, layer) in weighted.iter().enumerate() {
        layers.push(match (layer, weighted.get(index + 1)) {
            (Some(layer), _) => layer.clone(),
            (None, Some(Some(FloatLayer::Dense(dense)))) => {
                FloatLayer::MeanPool { channels: dense.weights.first().map_or(0, Vec::len) }
            }
            (None, _) => return Err(PackageError::FloatTensor(float_tensor_name(index, "weight"))),
        });
    }
    Ok(layers)
}

/// Checks that float layers have the shapes of a network, whose dense layers may have taken in pooling.
pub(super) fn check_float(bytes: &[u8], network: &IntegerNetwork) -> Result<(), PackageError> {
    let layers = decode_float(bytes)?;
    let mut rest = layers.iter().enumerate().peekable();
    for (layer, inputs) in network.layers().iter().zip(network.dims()) {
        let pooled = rest.next_if(|(_, float)| matches!(float, FloatLayer::MeanPool { .. })).is_some();
        let (index, fits) = match rest.next() {
            None => (layers.len(), false),
            Some((index, float)) => (index, has_shape(float, pooled, layer, inputs)),
        };
        if !fits {
            return Err(PackageError::FloatTensor(float_tensor_name(index, "weight")));
        }
    }
    match rest.next() {
        None => Ok(()),
        Some(_) => Err(PackageError::FloatCount(2 * layers.len())),
    }
}

fn has_shape(float: &FloatLayer, pooled: bool, layer: &Layer, inputs: usize) -> bool {
    match (float, layer) {
        (FloatLayer::Dense(float), Layer::Dense(dense)) => {
            let columns = float.weights.first().map_or(0, Vec::len);
            let takes_inputs = if pooled { columns > 0 && inputs.is_multiple_of(columns) } else { columns == inputs };
            takes_inputs && float.weights.len() == dense.weights.len()
        }
        (FloatLayer::Conv1d(float), Layer::Conv1d(conv)) => {
            let shapes = [(float.kernel, conv.kernel), (float.channels, conv.channels)];
            !pooled && shapes.iter().all(|(float, conv)| float == conv) && float.weights.len() == conv.weights.len()
        }
        _ => false,
    }
}

/// Layers there are, by the greatest number in a name.
fn layer_count(tensors: &SafeTensors<'_>) -> Result<usize, PackageError> {
    let count = |name: &str| {
        let (index, _) = name.strip_prefix("layers.")?.split_once('.')?;
        index.parse::<usize>().ok().filter(|&index| index < FLOAT_LAYERS_MAX).map(|index| index + 1)
    };
    let counts =
        tensors.names().into_iter().map(|name| count(name).ok_or_else(|| PackageError::FloatTensor(name.to_owned())));
    counts.collect::<Result<Vec<_>, _>>().map(|counts| counts.into_iter().max().unwrap_or(0))
}

/// The layer of this number, or nothing when it has no tensors.
fn weighted_layer(tensors: &SafeTensors<'_>, index: usize) -> Result<Option<FloatLayer>, PackageError> {
    let [weight, bias] = ["weight", "bias"].map(|part| float_tensor_name(index, part));
    let refused = |name: &str| PackageError::FloatTensor(name.to_owned());
    let (weights_at, bias_at) = match (tensors.tensor(&weight), tensors.tensor(&bias)) {
        (Err(_), Err(_)) => return Ok(None),
        (Err(_), Ok(_)) => return Err(refused(&weight)),
        (Ok(_), Err(_)) => return Err(refused(&bias)),
        (Ok(weights), Ok(bias)) => (weights, bias),
    };
    let values = |view: &TensorView<'_>, name| {
        if view.dtype() == Dtype::F32 { Ok(floats(view.data())) } else { Err(refused(name)) }
    };
    let (flat, bias_values) = (values(&weights_at, &weight)?, values(&bias_at, &bias)?);
    let rows = |columns: usize| flat.chunks(columns.max(1)).map(<[f32]>::to_vec).collect::<Vec<_>>();
    let (outputs, layer) = match *weights_at.shape() {
        [outputs, columns] => (outputs, FloatDense { weights: rows(columns), bias: bias_values }.into()),
        [outputs, kernel, channels] => {
            let conv = FloatConv1d { channels, kernel, weights: rows(kernel * channels), bias: bias_values };
            (outputs, conv.into())
        }
        _ => return Err(refused(&weight)),
    };
    if *bias_at.shape() == [outputs] { Ok(Some(layer)) } else { Err(refused(&bias)) }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values.iter().map(|&value| f32::from_le_bytes(value)).collect()
}
