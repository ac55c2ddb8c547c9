//! The messages of an ONNX file that a network needs, decoded: everything else in the file is skipped.
//!
//! Field numbers are those of `onnx.proto`. Names are borrowed from the file; the numbers of a tensor are held in double
//! precision, whatever type they have in the file.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use super::wire::{Field, Reader, WireError, numbers};
use super::{OnnxError, quoted};

/// Most nodes, tensors, inputs, outputs or attributes: tens of times what eight layers need. Each takes memory when it
/// is read, so a file of empty ones must not be able to ask for more.
const ITEMS_MAX: usize = 4096;
/// Most dimensions of a tensor.
const DIMS_MAX: usize = 8;

/// `TensorProto.DataType`.
const FLOAT: i64 = 1;
const INT32: i64 = 6;
const INT64: i64 = 7;
const DOUBLE: i64 = 11;

/// `ModelProto`.
pub(super) struct Model<'a> {
    /// Operator sets: domain and version.
    pub opsets: Vec<(&'a str, i64)>,
    pub graph: Graph<'a>,
}

/// `GraphProto`.
#[derive(Default)]
pub(super) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub initializers: Vec<Tensor<'a>>,
    pub inputs: Vec<ValueInfo<'a>>,
    pub outputs: Vec<ValueInfo<'a>>,
}

/// `NodeProto`.
#[derive(Default)]
pub(super) struct Node<'a> {
    pub operator: &'a str,
    pub domain: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<Attribute<'a>>,
}

/// `AttributeProto`. Graphs, types and sparse tensors are skipped.
#[derive(Default)]
pub(super) struct Attribute<'a> {
    pub name: &'a str,
    pub float: Option<f64>,
    pub int: Option<i64>,
    pub text: Option<&'a [u8]>,
    pub tensor: Option<Tensor<'a>>,
    pub floats: Vec<f64>,
    pub ints: Vec<i64>,
}

/// `TensorProto`.
#[derive(Default)]
pub(super) struct Tensor<'a> {
    pub name: &'a str,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// `ValueInfoProto` of a tensor: its dimensions, where they are numbers.
#[derive(Default)]
pub(super) struct ValueInfo<'a> {
    pub name: &'a str,
    pub shape: Option<Vec<Option<usize>>>,
}

impl<'a> Model<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, OnnxError> {
        let (mut opsets, mut graph) = (Vec::new(), None);
        each(Reader::new(bytes), |field| {
            match field.number {
                7 => graph = Some(Graph::read(field.message()?)?),
                8 => push(&mut opsets, opset(field.message()?)?, "operator sets")?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self { opsets, graph: graph.ok_or(OnnxError::NoGraph)? })
    }
}

fn opset<'a>(reader: Reader<'a>) -> Result<(&'a str, i64), OnnxError> {
    let (mut domain, mut version) = ("", 0);
    each(reader, |field| {
        match field.number {
            1 => domain = field.text()?,
            2 => version = field.int()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((domain, version))
}

impl<'a> Graph<'a> {
    fn read(reader: Reader<'a>) -> Result<Self, OnnxError> {
        let mut graph = Self::default();
        each(reader, |field| match field.number {
            1 => push(&mut graph.nodes, Node::read(field.message()?)?, "nodes"),
            5 => push(&mut graph.initializers, Tensor::read(field.message()?)?, "initializers"),
            11 => push(&mut graph.inputs, ValueInfo::read(field.message()?)?, "inputs"),
            12 => push(&mut graph.outputs, ValueInfo::read(field.message()?)?, "outputs"),
            _ => Ok(()),
        })?;
        Ok(graph)
    }
}

impl<'a> Node<'a> {
    fn read(reader: Reader<'a>) -> Result<Self, OnnxError> {
        let mut node = Self::default();
        each(reader, |field| {
            match field.number {
                1 => push(&mut node.inputs, field.text()?, "inputs")?,
                2 => push(&mut node.outputs, field.text()?, "outputs")?,
                4 => node.operator = field.text()?,
                5 => push(&mut node.attributes, Attribute::read(field.message()?)?, "attributes")?,
                7 => node.domain = field.text()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(node)
    }

    pub fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

impl<'a> Attribute<'a> {
    fn read(reader: Reader<'a>) -> Result<Self, OnnxError> {
        let mut attribute = Self::default();
        each(reader, |field| {
            match field.number {
                1 => attribute.name = field.text()?,
                2 => attribute.float = Some(field.float()?),
                3 => attribute.int = Some(field.int()?),
                4 => attribute.text = Some(field.bytes()?),
                5 => attribute.tensor = Some(Tensor::read(field.message()?)?),
                7 => field.floats(&mut attribute.floats)?,
                8 => field.ints(&mut attribute.ints)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(attribute)
    }
}

impl<'a> Tensor<'a> {
    fn read(reader: Reader<'a>) -> Result<Self, OnnxError> {
        let (mut name, mut dims, mut kind, mut external) = ("", Vec::new(), 0, false);
        let (mut floats, mut ints, mut raw) = (Vec::new(), Vec::new(), None);
        each(reader, |field| {
            match field.number {
                1 => field.ints(&mut dims)?,
                2 => kind = field.int()?,
                4 => field.floats(&mut floats)?,
                5 | 7 => field.ints(&mut ints)?,
                8 => name = field.text()?,
                9 => raw = Some(field.bytes()?),
                10 => field.doubles(&mut floats)?,
                13 | 14 => external |= field.number == 13 || field.int()? != 0,
                _ => {}
            }
            Ok(())
        })?;
        let refused = |reason| OnnxError::Tensor { tensor: quoted(name), reason };
        if external {
            return Err(refused("lies in another file: save the model with its weights inside"));
        }
        let values = match (kind, raw) {
            (FLOAT, Some(raw)) => numbers(raw)?.map(|bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
            (DOUBLE, Some(raw)) => numbers(raw)?.map(f64::from_le_bytes).collect(),
            (INT32, Some(raw)) => numbers(raw)?.map(|bytes| f64::from(i32::from_le_bytes(bytes))).collect(),
            (INT64, Some(raw)) => numbers(raw)?.map(|bytes| float(i64::from_le_bytes(bytes))).collect(),
            (FLOAT | DOUBLE, None) => floats,
            (INT32 | INT64, None) => ints.into_iter().map(float).collect(),
            _ => return Err(refused("is not of type float, double, int32 or int64")),
        };
        if dims.len() > DIMS_MAX {
            return Err(refused("has more than 8 dimensions"));
        }
        let shape: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let shape = shape.ok_or(refused("has a negative dimension"))?;
        let count = shape.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim));
        if count != Some(values.len()) {
            return Err(refused("has another number of elements than its shape"));
        }
        Ok(Self { name, shape, values })
    }
}

/// Integers of shapes and axes are far below 2^53; a larger one stands for "to the end" and stays large.
#[expect(clippy::as_conversions, reason = "the nearest double is what is wanted")]
fn float(value: i64) -> f64 {
    value as f64
}

impl<'a> ValueInfo<'a> {
    fn read(reader: Reader<'a>) -> Result<Self, OnnxError> {
        let mut info = Self::default();
        each(reader, |field| {
            match field.number {
                1 => info.name = field.text()?,
                2 => info.shape = tensor_type(field.message()?)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(info)
    }
}

/// The shape in a `TypeProto`, if it is that of a tensor and known.
fn tensor_type(reader: Reader<'_>) -> Result<Option<Vec<Option<usize>>>, OnnxError> {
    let mut shape = None;
    each(reader, |tensor| {
        if tensor.number == 1 {
            each(tensor.message()?, |field| {
                if field.number == 2 {
                    shape = Some(dimensions(field.message()?)?);
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(shape)
}

fn dimensions(reader: Reader<'_>) -> Result<Vec<Option<usize>>, OnnxError> {
    let mut shape = Vec::new();
    each(reader, |dimension| {
        if dimension.number == 1 {
            let mut value = None;
            each(dimension.message()?, |field| {
                if field.number == 1 {
                    value = usize::try_from(field.int()?).ok();
                }
                Ok(())
            })?;
            push(&mut shape, value, "dimensions")?;
        }
        Ok(())
    })?;
    Ok(shape)
}

/// Hands over each field of a message.
fn each<'a>(mut reader: Reader<'a>, mut take: impl FnMut(Field<'a>) -> Result<(), OnnxError>) -> Result<(), OnnxError> {
    while let Some(field) = reader.next()? {
        take(field)?;
    }
    Ok(())
}

fn push<T>(list: &mut Vec<T>, item: T, what: &'static str) -> Result<(), OnnxError> {
    if list.len() >= ITEMS_MAX {
        return Err(OnnxError::TooMany(what));
    }
    list.push(item);
    Ok(())
}

impl From<WireError> for OnnxError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}
