//! Float networks as ONNX files: what this project trains for other tools, and what other tools trained for this one.
//!
//! [`export`] writes the float layers of a model, [`export_exact`] an integer network so that fixed-point arithmetic gives
//! its very scores. [`import`] reads a network of fully connected or convolutional layers
//! with ReLU, such as PyTorch and scikit-learn export; what it does not understand it names. Reading takes nothing on
//! trust: a file of any bytes gives layers or an [`OnnxError`], in bounded time and memory, and no other file is opened.

mod affine;
mod classes;
mod exact;
mod export;
mod import;
mod linear;
mod operators;
mod proto;
mod structure;
mod wire;

#[cfg(test)]
mod tests;

pub use exact::{EXACT_LANES, export_exact};
pub use export::export;
pub use import::{Imported, import};
pub use wire::WireError;

use crate::network::{LAYERS_MAX, WIDTH_MAX};

/// Largest file read: eight layers of 1024 by 1024 floats.
pub const FILE_BYTES_MAX: usize = 33 << 20;
/// Operator sets whose meaning of the supported operators is known.
pub const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// Why a file gives no network, or layers give no file. Nodes are counted from 0 in the order of the file.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum OnnxError {
    /// The file is larger than [`FILE_BYTES_MAX`].
    #[error("the file is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// The bytes are no ONNX file.
    #[error("this is no ONNX file: {0}")]
    Wire(WireError),
    /// The file holds no graph.
    #[error("this is no ONNX file: it holds no graph")]
    NoGraph,
    /// The graph has more of something than any network needs.
    #[error("the graph has too many {0}")]
    TooMany(&'static str),
    /// The file uses an operator set outside [`OPSETS`].
    #[error("operator set {0} is not supported, only {first} to {last}", first = OPSETS.start(), last = OPSETS.end())]
    Opset(i64),
    /// A tensor cannot be used.
    #[error("tensor {tensor} {reason}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An input cannot be used.
    #[error("input {input} {reason}")]
    Input {
        /// Its name.
        input: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A node uses a value that no initializer and no node before it gives: it is missing, or the graph has a cycle.
    #[error("node {node} uses {value}, which nothing before it gives: it is missing, or the graph has a cycle")]
    Undefined {
        /// The node.
        node: usize,
        /// The value.
        value: String,
    },
    /// Nothing gives an output of the graph.
    #[error("nothing gives the output {0}")]
    OutputUndefined(String),
    /// Two things give one value.
    #[error("{0} is given twice")]
    Redefined(String),
    /// A node that the score depends on cannot be turned into layers.
    #[error("node {node}, operator {operator}: {fault}")]
    Node {
        /// The node.
        node: usize,
        /// Its operator.
        operator: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The graph has no input or no output.
    #[error("the graph has no {0}")]
    Absent(&'static str),
    /// The score is not one number.
    #[error("the output has {0} numbers; a score is one")]
    OutputWidth(usize),
    /// The score does not depend on the input.
    #[error("the output does not depend on the input")]
    ConstantOutput,
    /// A layer has no neuron or more than a network may have.
    #[error("a layer or the input is {0} wide, allowed are 1 to {WIDTH_MAX}")]
    Width(usize),
    /// There are more layers than a network may have.
    #[error("the network has more than {LAYERS_MAX} layers")]
    Layers,
    /// A weight is infinite or not a number.
    #[error("layer {0} has a weight that is not finite")]
    NotFinite(usize),
    /// Layers to export do not fit each other.
    #[error("layer {0} does not fit the one before it")]
    LayerShape(usize),
    /// A weight or bias of an integer network has too many digits for a float of 32 bits.
    #[error("layer {0} has a weight or bias that no float holds exactly")]
    Inexact(usize),
    /// A loader would turn a convolution over a single step into another operator, which rounds otherwise.
    #[error("layer {0} is a convolution over a single step, which has no exact form")]
    SingleStep(usize),
}

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// The operator has no counterpart in a network of dense and convolutional layers with ReLU.
    #[error("this operator is not supported")]
    Operator,
    /// An attribute has a value that is not supported.
    #[error("this value of attribute {0} is not supported")]
    Attribute(&'static str),
    /// An input that must be a constant is not, or is missing.
    #[error("input {0} is missing or no constant")]
    Constant(usize),
    /// The shapes of its inputs do not fit.
    #[error("the shapes of its inputs do not fit")]
    Shape,
    /// It would mix the windows of a batch.
    #[error("it works across the batch")]
    Batch,
    /// It joins activations of different layers.
    #[error("it joins activations of different layers (a skip connection, or layers side by side)")]
    Joins,
    /// It multiplies two values that both depend on the input.
    #[error("it multiplies two values that both depend on the input")]
    Product,
    /// It takes class probabilities where only numbers before the last activation can be used.
    #[error("it works on probabilities, which have no place in a network")]
    Probability,
    /// The graph needs more arithmetic or memory than a network of the greatest width.
    #[error("the graph is too large to be a network")]
    Work,
}

/// A name out of a file, short and without control characters.
fn quoted(name: &str) -> String {
    const SHOWN: usize = 60;
    let shown: String = name.chars().take(SHOWN).collect();
    format!("{shown:?}")
}
