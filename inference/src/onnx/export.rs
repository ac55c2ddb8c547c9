//! From layers to a file: operators that onnxruntime and EZKL load alike, in an operator set that both have long known.

use super::OnnxError;
use super::wire::Writer;
use crate::quantise::{FloatConv1d, FloatDense, FloatLayer};

/// Operator set and file version of a few years ago: every loader in use knows them.
const OPSET: i64 = 13;
const IR_VERSION: i64 = 8;
/// Name of the batch dimension. EZKL sets the one of this name to 1.
const BATCH: &str = "batch_size";
/// `TensorProto.DataType`.
const FLOAT: i64 = 1;
const INT64: i64 = 7;
/// `AttributeProto.AttributeType`.
const INT: i64 = 2;
const INTS: i64 = 7;

/// Writes layers that take `inputs` features as an ONNX file.
///
/// Its input `features` `[batch, inputs]` are features as floats, 1.0 for one standard deviation (the integers of a
/// schema over 1024), its output `score` `[batch, 1]` is the logit. `name` becomes the graph's name. A convolution reads
/// its input step by step, so its channels are brought to the front for the operator and back again behind it.
pub fn export(layers: &[FloatLayer], inputs: usize, name: &str) -> Result<Vec<u8>, OnnxError> {
    let mut graph = Graph::new();
    let mut shape = Shape::Flat(inputs);
    for (index, layer) in layers.iter().enumerate() {
        shape = graph.layer(index, layer, shape, index + 1 == layers.len()).ok_or(OnnxError::LayerShape(index))?;
    }
    if graph.value != "score" || shape != Shape::Flat(1) {
        return Err(OnnxError::OutputWidth(shape.len()));
    }
    Ok(graph.finish(inputs, name))
}

/// How the value at hand is laid out: `[batch, width]`, or `[batch, channels, steps]` as the operator has it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Flat(usize),
    Channels { channels: usize, steps: usize },
}

impl Shape {
    fn len(self) -> usize {
        match self {
            Self::Flat(width) => width,
            Self::Channels { channels, steps } => channels * steps,
        }
    }
}

/// The graph so far: what goes into its fields 1 and 5, and the value the next node reads.
pub(super) struct Graph {
    nodes: Writer,
    initializers: Writer,
    value: String,
}

impl Graph {
    /// A graph that reads `features`.
    pub(super) fn new() -> Self {
        Self { nodes: Writer::default(), initializers: Writer::default(), value: "features".to_owned() }
    }

    /// The file around the graph, which takes `inputs` numbers and gives one, the value `score`.
    pub(super) fn finish(self, inputs: usize, name: &str) -> Vec<u8> {
        let mut model = Writer::default();
        model.int(1, IR_VERSION).text(2, "hygeia");
        model.message(7, |out| {
            out.append(&self.nodes).text(2, name).append(&self.initializers);
            out.message(11, |info| value_info(info, "features", inputs));
            out.message(12, |info| value_info(info, "score", 1));
        });
        model.message(8, |opset| {
            opset.text(1, "").int(2, OPSET);
        });
        model.finish()
    }

    /// Adds a layer; nothing when it does not fit what comes before it.
    fn layer(&mut self, index: usize, layer: &FloatLayer, shape: Shape, last: bool) -> Option<Shape> {
        let shape = match layer {
            FloatLayer::Dense(dense) => self.dense(index, dense, shape, last)?,
            FloatLayer::Conv1d(convolution) => self.convolution(index, convolution, shape)?,
            FloatLayer::MeanPool { channels } => return self.mean(index, *channels, shape),
        };
        if !last {
            self.node("Relu", format!("active{index}"), &[], |_| {});
        }
        Some(shape)
    }

    fn dense(&mut self, index: usize, layer: &FloatDense, shape: Shape, last: bool) -> Option<Shape> {
        let (outputs, width) = (layer.bias.len(), shape.len());
        let fits = outputs > 0 && layer.weights.len() == outputs && layer.weights.iter().all(|row| row.len() == width);
        if !fits {
            return None;
        }
        self.flatten(index, shape);
        let (weights, bias) = (format!("layers.{index}.weight"), format!("layers.{index}.bias"));
        self.floats(&weights, &[outputs, width], layer.weights.iter().flatten().copied());
        self.floats(&bias, &[outputs], layer.bias.iter().copied());
        let to = if last { "score".to_owned() } else { format!("dense{index}") };
        self.node("Gemm", to, &[&weights, &bias], |node| {
            attribute(node, "transB", INT, |a| {
                a.int(3, 1);
            });
        });
        Some(Shape::Flat(outputs))
    }

    fn convolution(&mut self, index: usize, layer: &FloatConv1d, shape: Shape) -> Option<Shape> {
        let (channels, kernel, outputs) = (layer.channels, layer.kernel, layer.bias.len());
        let row_fits = |row: &Vec<f32>| Some(row.len()) == kernel.checked_mul(channels);
        let steps = shape.len().checked_div(channels).filter(|steps| steps * channels == shape.len())?;
        let steps_out = (steps + 1).checked_sub(kernel).filter(|&steps| steps > 0 && kernel > 0 && outputs > 0)?;
        if layer.weights.len() != outputs || !layer.weights.iter().all(row_fits) {
            return None;
        }
        if shape != (Shape::Channels { channels, steps }) {
            self.flatten(index, shape);
            self.reshape(format!("steps{index}"), &[steps, channels]);
            self.transpose(format!("channels{index}"));
        }
        let (weights, bias) = (format!("layers.{index}.weight"), format!("layers.{index}.bias"));
        // By output, channel and tap, where the layer has taps before channels.
        let by_channel = layer.weights.iter().flat_map(|row| {
            (0..channels).flat_map(move |channel| (0..kernel).map(move |tap| row[tap * channels + channel]))
        });
        self.floats(&weights, &[outputs, channels, kernel], by_channel);
        self.floats(&bias, &[outputs], layer.bias.iter().copied());
        self.convolve(format!("conv{index}"), &weights, &bias, kernel);
        Some(Shape::Channels { channels: outputs, steps: steps_out })
    }

    /// The operator of a valid convolution with stride 1.
    pub(super) fn convolve(&mut self, to: String, weights: &str, bias: &str, kernel: usize) {
        self.node("Conv", to, &[weights, bias], |node| {
            // EZKL wants even the defaults spelt out.
            for (name, values) in
                [("kernel_shape", &[kernel][..]), ("strides", &[1]), ("pads", &[0, 0]), ("dilations", &[1])]
            {
                ints(node, name, values);
            }
            attribute(node, "group", INT, |a| {
                a.int(3, 1);
            });
        });
    }

    fn mean(&mut self, index: usize, channels: usize, shape: Shape) -> Option<Shape> {
        let steps = shape.len().checked_div(channels).filter(|steps| steps * channels == shape.len() && *steps > 0)?;
        let axis = match shape {
            Shape::Channels { channels: of_shape, .. } if of_shape == channels => 2,
            _ => {
                self.flatten(index, shape);
                self.reshape(format!("steps{index}"), &[steps, channels]);
                1
            }
        };
        self.node("ReduceMean", format!("mean{index}"), &[], |node| {
            ints(node, "axes", &[axis]);
            attribute(node, "keepdims", INT, |a| {
                a.int(3, 0);
            });
        });
        Some(Shape::Flat(channels))
    }

    /// Brings a value to `[batch, width]`, step by step.
    fn flatten(&mut self, index: usize, shape: Shape) {
        if let Shape::Channels { .. } = shape {
            self.transpose(format!("steps_first{index}"));
            self.reshape(format!("flat{index}"), &[shape.len()]);
        }
    }

    pub(super) fn transpose(&mut self, to: String) {
        self.node("Transpose", to, &[], |node| ints(node, "perm", &[0, 2, 1]));
    }

    pub(super) fn reshape(&mut self, to: String, window: &[usize]) {
        let shape = format!("{to}.shape");
        let sizes: Vec<u8> =
            std::iter::once(-1).chain(window.iter().map(|&size| size as i64)).flat_map(i64::to_le_bytes).collect();
        self.initializer(&shape, INT64, &[window.len() + 1], &sizes);
        self.node("Reshape", to, &[&shape], |_| {});
    }

    /// A node that reads the value at hand and `more`; what it gives becomes the value at hand.
    pub(super) fn node(&mut self, operator: &str, to: String, more: &[&str], attributes: impl FnOnce(&mut Writer)) {
        self.nodes.message(1, |node| {
            node.text(1, &self.value);
            for input in more {
                node.text(1, input);
            }
            node.text(2, &to).text(3, &to).text(4, operator);
            attributes(node);
        });
        self.value = to;
    }

    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: impl Iterator<Item = f32>) {
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        self.initializer(name, FLOAT, shape, &bytes);
    }

    /// A constant vector of integers, such as the ends of a slice.
    pub(super) fn integers(&mut self, name: &str, values: &[usize]) {
        let bytes: Vec<u8> = values.iter().flat_map(|&value| (value as i64).to_le_bytes()).collect();
        self.initializer(name, INT64, &[values.len()], &bytes);
    }

    fn initializer(&mut self, name: &str, kind: i64, shape: &[usize], bytes: &[u8]) {
        self.initializers.message(5, |tensor| {
            for &size in shape {
                tensor.int(1, size as i64);
            }
            tensor.int(2, kind).text(8, name).bytes(9, bytes);
        });
    }
}

fn ints(node: &mut Writer, name: &str, values: &[usize]) {
    attribute(node, name, INTS, |a| {
        for &value in values {
            a.int(8, value as i64);
        }
    });
}

fn attribute(node: &mut Writer, name: &str, kind: i64, value: impl FnOnce(&mut Writer)) {
    node.message(5, |attribute| {
        attribute.text(1, name);
        value(attribute);
        attribute.int(20, kind);
    });
}

/// A float tensor `[batch, width]`.
fn value_info(info: &mut Writer, name: &str, width: usize) {
    info.text(1, name).message(2, |kind| {
        kind.message(1, |tensor| {
            tensor.int(1, FLOAT).message(2, |shape| {
                shape.message(1, |batch| {
                    batch.text(2, BATCH);
                });
                shape.message(1, |size| {
                    size.int(1, width as i64);
                });
            });
        });
    });
}
