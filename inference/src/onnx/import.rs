//! From a file to layers: walks the graph once, composing linear operators and ending a layer at each activation.

use std::collections::HashMap;

use super::affine::{Affine, Budget};
use super::classes::Value;
use super::operators::Call;
use super::proto::{Graph, Model, Node, ValueInfo};
use super::structure::{self, Source};
use super::{FILE_BYTES_MAX, Fault, OPSETS, OnnxError, quoted};
use crate::network::{LAYERS_MAX, WIDTH_MAX};
use crate::quantise::FloatLayer;

/// Most memory that the values of a graph may take at one time, in units of sixteen bytes.
const UNITS_MAX: usize = 1 << 25;
/// Most activations a graph may have, those included that the score does not need.
const ACTIVATIONS_MAX: usize = 64;

/// A network read from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// Numbers of one window, in the order of the graph's inputs.
    pub inputs: usize,
    /// The layers; the last has one neuron, the logit.
    pub layers: Vec<FloatLayer>,
}

/// Reads a network out of an ONNX file.
///
/// The score is the first output that comes to one number. A sigmoid or the softmax of two classes behind it is left
/// away, since the score is the logit; branches that the score does not need may hold any operator.
pub fn import(bytes: &[u8]) -> Result<Imported, OnnxError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(OnnxError::TooLarge);
    }
    let model = Model::read(bytes)?;
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let opset = model.opsets.iter().find(|(domain, _)| standard(domain)).map(|&(_, version)| version);
    let opset = opset.ok_or(OnnxError::Absent("operator set"))?;
    if !OPSETS.contains(&opset) {
        return Err(OnnxError::Opset(opset));
    }
    let mut walk = Walk::start(&model.graph, opset)?;
    for (index, node) in model.graph.nodes.iter().enumerate() {
        walk.step(index, node)?;
    }
    walk.finish(&model.graph.outputs)
}

/// The values known so far.
struct Walk<'a> {
    opset: i64,
    budget: Budget,
    values: HashMap<&'a str, Known>,
    /// How often each value is still to be read.
    uses: HashMap<&'a str, usize>,
    units: usize,
    activations: Vec<Activation>,
}

/// A value, or why there is none: told only when the score depends on it.
type Known = Result<Value, OnnxError>;

/// The input, or the outputs of a ReLU, on which values depend.
struct Activation {
    source: Source,
    /// What came before, with the layers in between. Nothing for the input.
    from: Option<(usize, Vec<FloatLayer>)>,
}

impl<'a> Walk<'a> {
    fn start(graph: &'a Graph<'a>, opset: i64) -> Result<Self, OnnxError> {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        let read = graph.nodes.iter().flat_map(|node| &node.inputs).copied();
        for name in read.chain(graph.outputs.iter().map(|output| output.name)) {
            *uses.entry(name).or_default() += 1;
        }
        let mut walk =
            Self { opset, budget: Budget::new(), values: HashMap::new(), uses, units: 0, activations: Vec::new() };
        for tensor in &graph.initializers {
            let constant = Affine::constant(tensor.shape.clone(), tensor.values.clone());
            walk.insert(tensor.name, Ok(Value::Affine(constant)))?;
        }
        walk.inputs(graph)?;
        Ok(walk)
    }

    /// The inputs, one after the other, are the features. An old file lists its initializers among the inputs.
    fn inputs(&mut self, graph: &'a Graph<'a>) -> Result<(), OnnxError> {
        let inputs: Vec<&ValueInfo<'_>> =
            graph.inputs.iter().filter(|input| !self.values.contains_key(input.name)).collect();
        let mut width = 0;
        for input in inputs {
            let shape = input_shape(input)?;
            let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
            let count = count.filter(|&count| count <= WIDTH_MAX).ok_or(OnnxError::Width(usize::MAX))?;
            let value = Affine::activations(0, shape, width..width + count);
            self.insert(input.name, Ok(Value::Affine(value)))?;
            width += count;
        }
        match width {
            0 => Err(OnnxError::Absent("input")),
            1..=WIDTH_MAX => {
                self.activations.push(Activation { source: Source { width, channels: None }, from: None });
                Ok(())
            }
            _ => Err(OnnxError::Width(width)),
        }
    }

    fn step(&mut self, index: usize, node: &'a Node<'a>) -> Result<(), OnnxError> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        let mut refused = None;
        for &name in &node.inputs {
            let known = if name.is_empty() { None } else { Some(self.values.get(name)) };
            inputs.push(match known {
                None => None,
                Some(None) => return Err(OnnxError::Undefined { node: index, value: quoted(name) }),
                Some(Some(Ok(value))) => Some(value),
                Some(Some(Err(error))) => {
                    refused.get_or_insert_with(|| error.clone());
                    None
                }
            });
        }
        let known = match refused {
            Some(error) => Err(error),
            None => {
                let call = Call { node, inputs, opset: self.opset };
                let result = match (node.domain, node.operator) {
                    ("" | "ai.onnx", "Relu") => call.affine(0).cloned().map(Activated::Relu),
                    _ => call.apply(&mut self.budget).map(Activated::No),
                };
                let fault = |fault| OnnxError::Node { node: index, operator: operator(node), fault };
                match result {
                    Ok(Activated::No(value)) => Ok(value),
                    Ok(Activated::Relu(x)) => self.relu(&x).map(Value::Affine),
                    // What exhausts the bounds must end the walk, not only this branch.
                    Err(Fault::Work) => return Err(fault(Fault::Work)),
                    Err(other) => Err(fault(other)),
                }
            }
        };
        self.forget(&node.inputs);
        // Of the supported operators only the first output is.
        let other = OnnxError::Node { node: index, operator: operator(node), fault: Fault::Operator };
        let known = std::iter::once(known).chain(std::iter::repeat_with(|| Err(other.clone())));
        for (&name, known) in node.outputs.iter().zip(known) {
            if !name.is_empty() {
                self.insert(name, known)?;
            }
        }
        Ok(())
    }

    /// Ends a layer: its outputs are what later values depend on.
    fn relu(&mut self, x: &Affine) -> Result<Affine, OnnxError> {
        let Some(from) = x.base else {
            let positive = x.values().unwrap_or_default().iter().map(|value| value.max(0.0)).collect();
            return Ok(Affine::constant(x.shape.clone(), positive));
        };
        if from != 0 && x.keeps_sign() {
            return Ok(x.clone());
        }
        if self.activations.len() >= ACTIVATIONS_MAX {
            return Err(OnnxError::Layers);
        }
        let made = structure::layers(x, self.activations[from].source, self.depth(from))?;
        let base = self.activations.len();
        self.hold(x.units())?;
        self.activations.push(Activation { source: made.source, from: Some((from, made.layers)) });
        Ok(Affine::activations(base, x.shape.clone(), made.places.into_iter()))
    }

    /// The score among the outputs, with the layers it takes.
    fn finish(self, outputs: &[ValueInfo<'_>]) -> Result<Imported, OnnxError> {
        let mut refused = None;
        for output in outputs {
            let known = self.values.get(output.name).cloned();
            let known = known.unwrap_or(Err(OnnxError::OutputUndefined(quoted(output.name))));
            match known.and_then(|value| self.layers(&value)) {
                Ok(imported) => return Ok(imported),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or(OnnxError::Absent("output")))
    }

    fn layers(&self, value: &Value) -> Result<Imported, OnnxError> {
        let (Value::Affine(score) | Value::Probability(score) | Value::Classes(score)) = value;
        if score.len() != 1 {
            return Err(OnnxError::OutputWidth(score.len()));
        }
        let mut from = score.base.ok_or(OnnxError::ConstantOutput)?;
        let last = structure::layers(score, self.activations[from].source, self.depth(from))?;
        let mut parts = vec![last.layers];
        while let Some((before, layers)) = &self.activations[from].from {
            parts.push(layers.clone());
            from = *before;
        }
        if parts.len() > LAYERS_MAX {
            return Err(OnnxError::Layers);
        }
        Ok(Imported { inputs: self.activations[0].source.width, layers: parts.into_iter().rev().flatten().collect() })
    }

    /// Layers up to an activation.
    fn depth(&self, mut activation: usize) -> usize {
        let mut depth = 0;
        while let Some((before, _)) = self.activations[activation].from {
            (activation, depth) = (before, depth + 1);
        }
        depth
    }

    fn insert(&mut self, name: &'a str, known: Known) -> Result<(), OnnxError> {
        if self.values.contains_key(name) {
            return Err(OnnxError::Redefined(quoted(name)));
        }
        self.hold(known.as_ref().map_or(1, Value::units))?;
        self.values.insert(name, known);
        Ok(())
    }

    /// Drops values that nothing reads any more. Their names stay taken.
    fn forget(&mut self, names: &[&'a str]) {
        for name in names.iter().filter(|name| !name.is_empty()) {
            let Some(uses) = self.uses.get_mut(name) else { continue };
            *uses -= 1;
            if *uses == 0
                && let Some(known) = self.values.get_mut(name)
            {
                self.units -= known.as_ref().map_or(1, Value::units);
                *known = Err(OnnxError::Redefined(quoted(name)));
                self.units += 1;
            }
        }
    }

    fn hold(&mut self, units: usize) -> Result<(), OnnxError> {
        self.units += units;
        if self.units > UNITS_MAX { Err(OnnxError::TooMany("numbers")) } else { Ok(()) }
    }
}

enum Activated {
    No(Value),
    Relu(Affine),
}

/// Shape of an input with a batch of 1, which stands for any.
fn input_shape(input: &ValueInfo<'_>) -> Result<Vec<usize>, OnnxError> {
    let refused = |reason| OnnxError::Input { input: quoted(input.name), reason };
    let shape = input.shape.as_ref().ok_or(refused("is no tensor of known shape"))?;
    let (batch, window) = match shape.as_slice() {
        [] => return Err(refused("has no dimension")),
        [Some(single)] => return Ok(vec![1, *single]),
        [batch, window @ ..] => (batch, window),
    };
    if !matches!(batch, None | Some(0 | 1)) {
        return Err(refused("has a fixed batch: export with batch 1 or any"));
    }
    let window: Option<Vec<usize>> = window.iter().copied().collect();
    let window = window.ok_or(refused("has a window of unknown size"))?;
    Ok([&[1], window.as_slice()].concat())
}

fn operator(node: &Node<'_>) -> String {
    match node.domain {
        "" | "ai.onnx" => quoted(node.operator),
        domain => quoted(&format!("{domain}.{}", node.operator)),
    }
}
