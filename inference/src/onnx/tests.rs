//! Files of other tools against what onnxruntime computes of them, files made by hand, and files that mean harm.

use std::path::PathBuf;

use super::wire::Writer;
use super::{Fault, Imported, OnnxError, WireError, export, import};
use crate::quantise::{FloatConv1d, FloatDense, FloatLayer, float_score};
use crate::sequence::Sequence;

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx");
    std::fs::read(folder.join(name)).expect("a committed file")
}

/// `dense 6-8`, `conv 4x3-5`, `mean 3`.
fn outline(imported: &Imported) -> String {
    let layer = |layer: &FloatLayer| match layer {
        FloatLayer::Dense(d) => format!("dense {}-{}", d.weights[0].len(), d.weights.len()),
        FloatLayer::Conv1d(c) => format!("conv {}x{}-{}", c.channels, c.kernel, c.weights.len()),
        FloatLayer::MeanPool { channels } => format!("mean {channels}"),
    };
    imported.layers.iter().map(layer).collect::<Vec<_>>().join(", ")
}

#[test]
fn files_of_other_tools_compute_what_onnxruntime_computes() {
    let expected: serde_json::Value = serde_json::from_slice(&fixture("expected.json")).unwrap();
    for (name, layers) in [
        ("sklearn_classifier", "dense 6-8, dense 8-4, dense 4-1"),
        ("sklearn_regressor", "dense 6-5, dense 5-1"),
        ("sklearn_scaled_classifier", "dense 6-5, dense 5-1"),
        ("sklearn_ranged_regressor", "dense 6-5, dense 5-1"),
        ("sklearn_double_classifier", "dense 6-4, dense 4-1"),
        ("torch_mlp", "dense 10-8, dense 8-4, dense 4-1"),
        ("torch_softmax", "dense 10-6, dense 6-1"),
        ("torch_conv", "conv 4x3-5, conv 5x2-3, mean 3, dense 3-1"),
        ("torch_conv_pool", "conv 3x2-4, mean 4, dense 4-3, dense 3-1"),
        ("torch_conv_padded", "dense 10-15, dense 15-1"),
    ] {
        let imported = import(&fixture(&format!("{name}.onnx"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(outline(&imported), layers, "{name}");
        let model = &expected["models"][name];
        let (inputs, scores) = (model["inputs"].as_array().unwrap(), model["scores"].as_array().unwrap());
        assert!(inputs.len() >= 10 && inputs.len() == scores.len(), "{name}");
        for (input, score) in inputs.iter().zip(scores) {
            let input: Vec<i32> = input.as_array().unwrap().iter().map(|x| x.as_i64().unwrap() as i32).collect();
            assert_eq!(input.len(), imported.inputs);
            let error = float_score(&imported.layers, &input) - score.as_f64().unwrap();
            assert!(error.abs() < 1e-5, "{name}: {error}");
        }
        assert_eq!(import(&export(&imported.layers, imported.inputs, name).unwrap()), Ok(imported), "{name}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    for (name, error) in [
        ("sklearn_tanh", "node 3, operator \"Tanh\": this operator is not supported"),
        ("sklearn_three_classes", "node 6, operator \"Softmax\": this operator is not supported"),
        ("sklearn_logistic", "node 0, operator \"ai.onnx.ml.LinearClassifier\": this operator is not supported"),
        (
            "torch_residual",
            "node 4, operator \"Add\": it joins activations of different layers (a skip connection, or layers side by \
             side)",
        ),
    ] {
        assert_eq!(import(&fixture(&format!("{name}.onnx"))).unwrap_err().to_string(), error, "{name}");
    }
}

fn dense(inputs: usize, outputs: usize, draw: &mut Sequence) -> FloatLayer {
    let mut number = || (draw.next() % 2001) as f32 / 1000.0 - 1.0;
    let weights = (0..outputs).map(|_| (0..inputs).map(|_| number()).collect()).collect();
    FloatLayer::Dense(FloatDense { weights, bias: (0..outputs).map(|_| number()).collect() })
}

fn convolution(channels: usize, kernel: usize, outputs: usize, draw: &mut Sequence) -> FloatLayer {
    let FloatLayer::Dense(FloatDense { weights, bias }) = dense(channels * kernel, outputs, draw) else { panic!() };
    FloatLayer::Conv1d(FloatConv1d { channels, kernel, weights, bias })
}

#[test]
fn layers_go_through_a_file_unchanged() {
    let mut draw = Sequence::new(3);
    let pool = |channels| FloatLayer::MeanPool { channels };
    for (inputs, layers) in [
        (5, vec![dense(5, 1, &mut draw)]),
        (64, vec![dense(64, 64, &mut draw), dense(64, 32, &mut draw), dense(32, 1, &mut draw)]),
        (24, vec![convolution(4, 3, 5, &mut draw), dense(20, 6, &mut draw), dense(6, 1, &mut draw)]),
        (24, vec![convolution(4, 2, 5, &mut draw), convolution(5, 3, 2, &mut draw), pool(2), dense(2, 1, &mut draw)]),
        (24, vec![dense(24, 12, &mut draw), convolution(3, 2, 4, &mut draw), dense(12, 1, &mut draw)]),
    ] {
        let file = export(&layers, inputs, "test").unwrap();
        assert_eq!(import(&file), Ok(Imported { inputs, layers }));
    }
}

#[test]
fn layers_that_do_not_fit_are_not_exported() {
    let mut draw = Sequence::new(4);
    let refused = |inputs, layers: Vec<FloatLayer>| export(&layers, inputs, "test").unwrap_err();
    assert_eq!(refused(5, vec![]), OnnxError::OutputWidth(5));
    assert_eq!(refused(5, vec![dense(5, 2, &mut draw)]), OnnxError::OutputWidth(2));
    assert_eq!(refused(4, vec![dense(5, 1, &mut draw)]), OnnxError::LayerShape(0));
    assert_eq!(refused(8, vec![convolution(3, 2, 1, &mut draw), dense(1, 1, &mut draw)]), OnnxError::LayerShape(0));
    assert_eq!(refused(6, vec![convolution(3, 3, 1, &mut draw), dense(1, 1, &mut draw)]), OnnxError::LayerShape(0));
    assert_eq!(
        refused(6, vec![dense(6, 4, &mut draw), FloatLayer::MeanPool { channels: 3 }]),
        OnnxError::LayerShape(1)
    );
    assert_eq!(
        refused(6, vec![dense(6, 1, &mut draw), FloatLayer::MeanPool { channels: 1 }]),
        OnnxError::OutputWidth(1)
    );
}

/// A file made by hand: nodes as operator, inputs and outputs; tensors as name, shape and floats.
#[derive(Default)]
struct File {
    nodes: Vec<(&'static str, Vec<&'static str>, Vec<&'static str>)>,
    tensors: Vec<(&'static str, Vec<i64>, Vec<f32>)>,
    input: Vec<i64>,
    opset: i64,
}

impl File {
    /// `y = x w` of three features, then what a test adds.
    fn new() -> Self {
        let tensors = vec![("w", vec![3, 1], vec![0.5, -1.0, 2.0])];
        Self { nodes: vec![("MatMul", vec!["x", "w"], vec!["y"])], tensors, input: vec![1, 3], opset: 17 }
    }

    fn bytes(&self, output: &str) -> Vec<u8> {
        let info = |info: &mut Writer, name: &str, shape: &[i64]| {
            info.text(1, name).message(2, |kind| {
                kind.message(1, |tensor| {
                    tensor.int(1, 1).message(2, |dims| {
                        for &size in shape {
                            dims.message(1, |dim| {
                                dim.int(1, size);
                            });
                        }
                    });
                });
            });
        };
        let mut model = Writer::default();
        model.int(1, 8).message(7, |graph| {
            for (operator, inputs, outputs) in &self.nodes {
                graph.message(1, |node| {
                    inputs.iter().for_each(|input| _ = node.text(1, input));
                    outputs.iter().for_each(|output| _ = node.text(2, output));
                    node.text(4, operator);
                });
            }
            for (name, shape, values) in &self.tensors {
                graph.message(5, |tensor| {
                    shape.iter().for_each(|&size| _ = tensor.int(1, size));
                    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                    tensor.int(2, 1).text(8, name).bytes(9, &raw);
                });
            }
            graph.message(11, |input| info(input, "x", &self.input));
            graph.message(12, |target| info(target, output, &[1, 1]));
        });
        model.message(8, |opset| _ = opset.int(2, self.opset));
        model.finish()
    }

    fn refused(&self) -> OnnxError {
        import(&self.bytes("y")).unwrap_err()
    }
}

#[test]
fn a_file_made_by_hand_is_read() {
    let imported = import(&File::new().bytes("y")).unwrap();
    let FloatLayer::Dense(layer) = &imported.layers[0] else { panic!() };
    assert_eq!((imported.inputs, &layer.weights, &layer.bias), (3, &vec![vec![0.5, -1.0, 2.0]], &vec![0.0]));
}

#[test]
fn graphs_that_are_none_are_refused() {
    let with = |change: fn(&mut File)| {
        let mut file = File::new();
        change(&mut file);
        file.refused()
    };
    let fault = |error| match error {
        OnnxError::Node { fault, .. } => fault,
        other => panic!("{other}"),
    };
    let undefined = |node, value: &str| OnnxError::Undefined { node, value: format!("{value:?}") };
    // A cycle of two nodes, a node that reads itself, a name that nothing gives.
    let cycle = with(|f| f.nodes = vec![("Add", vec!["x", "b"], vec!["a"]), ("Add", vec!["x", "a"], vec!["b"])]);
    assert_eq!(cycle, undefined(0, "b"));
    assert_eq!(with(|f| f.nodes[0].1[1] = "y"), undefined(0, "y"));
    assert_eq!(with(|f| f.nodes[0].1[1] = "v"), undefined(0, "v"));
    assert_eq!(with(|f| f.nodes[0].2[0] = "w"), OnnxError::Redefined("\"w\"".to_owned()));
    assert_eq!(with(|f| f.nodes[0].2[0] = "z"), OnnxError::OutputUndefined("\"y\"".to_owned()));
    assert_eq!(
        with(|f| f.nodes[0].1[0] = "w"),
        OnnxError::Node { node: 0, operator: "\"MatMul\"".to_owned(), fault: Fault::Shape }
    );
    assert_eq!(fault(with(|f| f.input[1] = 4)), Fault::Shape);
    assert_eq!(with(|f| f.input[1] = 1 << 40), OnnxError::Width(usize::MAX));
    assert!(matches!(with(|f| f.input[0] = 7), OnnxError::Input { .. }));
    assert!(matches!(with(|f| f.input[1] = -3), OnnxError::Input { .. }));
    assert_eq!(with(|f| f.opset = 6), OnnxError::Opset(6));
    assert_eq!(with(|f| f.opset = 29), OnnxError::Opset(29));
    assert!(matches!(with(|f| f.tensors[0].1 = vec![3, 1 << 40]), OnnxError::Tensor { .. }));
    assert!(matches!(with(|f| f.tensors[0].1 = vec![-3, -1]), OnnxError::Tensor { .. }));
    assert!(matches!(with(|f| f.tensors[0].1 = vec![i64::MAX, i64::MAX]), OnnxError::Tensor { .. }));
    assert!(matches!(with(|f| f.tensors[0].1 = vec![1; 9]), OnnxError::Tensor { .. }));
    assert_eq!(with(|f| f.tensors[0].2[1] = f32::NAN), OnnxError::NotFinite(0));
    assert_eq!(with(|f| f.tensors[0] = ("w", vec![3, 2], vec![1.0; 6])), OnnxError::OutputWidth(2));
    assert_eq!(fault(with(|f| f.nodes[0] = ("Mul", vec!["x", "x"], vec!["y"]))), Fault::Product);
    assert_eq!(fault(with(|f| f.nodes[0] = ("ReduceMean", vec!["x"], vec!["y"]))), Fault::Batch);
    assert_eq!(fault(with(|f| f.nodes[0] = ("LeakyRelu", vec!["x"], vec!["y"]))), Fault::Operator);
    assert_eq!(with(|f| f.nodes[0] = ("Add", vec!["w", "w"], vec!["y"])), OnnxError::OutputWidth(3));
    let constant = with(|f| {
        f.tensors[0] = ("w", vec![1, 1], vec![1.0]);
        f.nodes[0] = ("Add", vec!["w", "w"], vec!["y"]);
    });
    assert_eq!(constant, OnnxError::ConstantOutput);
}

#[test]
fn an_operator_the_score_does_not_need_may_be_anything() {
    let mut file = File::new();
    file.nodes.push(("Tanh", vec!["y"], vec!["z"]));
    assert!(import(&file.bytes("y")).is_ok());
    let OnnxError::Node { node: 1, operator, fault: Fault::Operator } = import(&file.bytes("z")).unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(operator, "\"Tanh\"");
}

#[test]
fn too_many_layers_and_too_much_work_are_refused() {
    let names = ["y", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q"];
    let deep = |relus: usize| {
        let mut file = File::new();
        file.tensors.push(("one", vec![1, 1], vec![-1.0]));
        for layer in 0..relus {
            file.nodes.push(("Relu", vec![names[2 * layer]], vec![names[2 * layer + 1]]));
            file.nodes.push(("Add", vec![names[2 * layer + 1], "one"], vec![names[2 * layer + 2]]));
        }
        import(&file.bytes(names[2 * relus]))
    };
    assert_eq!(deep(7).unwrap().layers.len(), 8);
    assert_eq!(deep(8), Err(OnnxError::Layers));
    // Products of matrices without an activation in between: far more multiplications than layers of that size take.
    let mut file = File { input: vec![1, 1000], ..File::new() };
    file.tensors = vec![("w", vec![1000, 1000], vec![1.0; 1_000_000])];
    file.nodes = vec![
        ("MatMul", vec!["x", "w"], vec!["a"]),
        ("MatMul", vec!["a", "w"], vec!["b"]),
        ("MatMul", vec!["b", "w"], vec!["y"]),
    ];
    assert!(matches!(file.refused(), OnnxError::Node { fault: Fault::Work, .. }));
}

#[test]
fn bytes_that_are_no_file_are_refused() {
    assert_eq!(import(&[]), Err(OnnxError::NoGraph));
    assert_eq!(import(b"this is not an ONNX file"), Err(OnnxError::Wire(WireError::Key)));
    assert_eq!(import(&vec![0; super::FILE_BYTES_MAX + 1]), Err(OnnxError::TooLarge));
    // A graph, a node, a name each said to be a gigabyte long.
    for start in [&[0x3a][..], &[0x3a, 0x06, 0x0a], &[0x3a, 0x08, 0x0a, 0x06, 0x0a]] {
        let claimed = [start, &[0x80, 0x80, 0x80, 0x80, 0x04]].concat();
        assert!(matches!(import(&claimed), Err(OnnxError::Wire(WireError::Truncated))), "{claimed:02x?}");
    }
    // Empty nodes take two bytes each in a file and far more in memory.
    let nodes = [0x0a, 0x00].repeat(100_000);
    let mut model = Writer::default();
    model.bytes(7, &nodes);
    assert_eq!(import(&model.finish()), Err(OnnxError::TooMany("nodes")));
}

#[test]
fn truncated_and_mutated_files_give_errors_or_finite_layers() {
    let mut draw = Sequence::new(5);
    let mut read = 0;
    for name in ["sklearn_scaled_classifier", "torch_conv", "torch_conv_pool", "torch_softmax"] {
        let file = fixture(&format!("{name}.onnx"));
        let whole = import(&file);
        for length in 0..file.len() {
            let cut = import(&file[..length]);
            // The last field names an operator set that nothing here asks for.
            assert!(cut.is_err() || length > file.len() - 20 && cut == whole, "{name} cut at {length}");
        }
        for _ in 0..600 {
            let mut mutated = file.clone();
            for _ in 0..=draw.next() % 3 {
                let place = (draw.next() % file.len() as u64) as usize;
                match draw.next() % 4 {
                    0 => mutated[place] ^= 1 << (draw.next() % 8),
                    1 => mutated[place] = [0, 1, 0x7f, 0x80, 0xff][(draw.next() % 5) as usize],
                    2 => drop(mutated.splice(place..place, [draw.next() as u8])),
                    _ => drop(mutated.remove(place)),
                }
                mutated.resize(file.len().max(mutated.len()), 0);
            }
            if let Ok(imported) = import(&mutated) {
                read += 1;
                assert!(!float_score(&imported.layers, &vec![100; imported.inputs]).is_nan());
            }
        }
    }
    assert!(read > 100, "some changes hit a weight or a name that is not used: {read}");
}
