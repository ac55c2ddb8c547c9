//! The integer network: values by hand, and bounds that are refused.

use hygeia_inference::network::{ACTIVATION_LIMIT, PRE_ACTIVATION_LIMIT};
use hygeia_inference::{Conv1d, Dense, IntegerNetwork, Layer, NetworkError};

fn dense(weights: &[&[i32]], bias: &[i64]) -> Layer {
    Dense { weights: weights.iter().map(|row| row.to_vec()).collect(), bias: bias.to_vec() }.into()
}

fn conv(channels: usize, kernel: usize, weights: &[&[i32]], bias: &[i64]) -> Layer {
    let weights = weights.iter().map(|row| row.to_vec()).collect();
    Conv1d { channels, kernel, weights, bias: bias.to_vec() }.into()
}

fn refused(layers: Vec<Layer>, bounds: &[(i32, i32)]) -> NetworkError {
    IntegerNetwork::new(layers, bounds.to_vec()).expect_err("must be refused")
}

#[test]
fn evaluates_by_floor_and_relu() {
    let layers = vec![dense(&[&[1024, -1], &[-512, 3]], &[0, 5]), dense(&[&[-1024, 2048]], &[-1])];
    let network = IntegerNetwork::new(layers, vec![(-4096, 4096); 2]).unwrap();
    let evaluation = network.evaluate(&[100, 1]).unwrap();
    // 102399 >> 10 = 99; -51192 >> 10 = -50, cut to 0; (-1024 * 99 - 1) >> 10 = -100, since the floor goes down.
    assert_eq!(evaluation.pre, [vec![102_399, -51_192], vec![-101_377]]);
    assert_eq!(evaluation.activations, [vec![99, 0], vec![-100]]);
    assert_eq!(evaluation.score, -100);
    assert_eq!((network.dims(), network.shift()), (vec![2, 2, 1], 10));
}

#[test]
fn a_convolution_runs_over_the_steps() {
    // Two channels, three steps: inputs are (a0, b0), (a1, b1), (a2, b2).
    let layers = vec![conv(2, 2, &[&[1024, 0, -1024, 2048], &[0, 512, 0, 1]], &[0, -1]), dense(&[&[1, 2, 4, 8]], &[0])];
    let network = IntegerNetwork::new(layers, vec![(-4096, 4096); 6]).unwrap();
    let evaluation = network.evaluate(&[1, 2, 3, 4, 5, 6]).unwrap();
    let pre = vec![1024 * (1 - 3 + 8), 512 * 2 + 4 - 1, 1024 * (3 - 5 + 12), 512 * 4 + 6 - 1];
    assert_eq!(evaluation.pre[0], pre);
    assert_eq!(evaluation.activations[0], [6, 1, 10, 2]);
    assert_eq!((evaluation.pre[1][0], evaluation.score), (6 + 2 + 40 + 16, 0));
    assert_eq!(network.dims(), [6, 4, 1]);
    let layer = &network.layers()[0];
    assert_eq!(layer.terms_of(3).collect::<Vec<_>>(), [(2, 0), (3, 512), (4, 0), (5, 1)]);
    assert_eq!((layer.bias_of(2), layer.bias_of(3)), (0, -1));
    assert_eq!([5, 6, 4, 2].map(|inputs| layer.outputs(inputs)), [None, Some(4), Some(2), None]);
}

/// Every step counts in the bounds, not only the first.
#[test]
fn bounds_run_through_a_convolution() {
    let layers = |weight| vec![conv(1, 1, &[&[weight]], &[0]), dense(&[&[1, 1]], &[0])];
    assert!(IntegerNetwork::new(layers(1 << 20), vec![(0, 1), (0, 1023)]).is_ok());
    assert_eq!(refused(layers(1 << 20), &[(0, 1), (0, 1024)]), NetworkError::PreActivation { layer: 0, neuron: 1 });
}

#[test]
fn inputs_are_checked_without_telling_their_value() {
    let network = IntegerNetwork::new(vec![dense(&[&[1, 1]], &[0])], vec![(-8, 7); 2]).unwrap();
    assert_eq!(network.score(&[1]), Err(NetworkError::InputLength { expected: 2, actual: 1 }));
    assert_eq!(network.score(&[-8, 8]), Err(NetworkError::InputOutOfBounds(1)));
    assert_eq!(network.score(&[-9, 7]), Err(NetworkError::InputOutOfBounds(0)));
    assert_eq!(network.score(&[-8, 7]), Ok(-1));
    let text = NetworkError::InputOutOfBounds(1).to_string();
    assert!(!text.contains('8'), "{text}");
}

#[test]
fn the_last_pre_activation_in_range_is_accepted_and_the_next_refused() {
    // The output may reach 2^30 - 1 and -2^30, no further.
    let output = |bias| vec![dense(&[&[1]], &[bias])];
    let top = PRE_ACTIVATION_LIMIT - 1;
    assert!(IntegerNetwork::new(output(top - 10), vec![(-10, 10)]).is_ok());
    assert_eq!(refused(output(top - 9), &[(-10, 10)]), NetworkError::PreActivation { layer: 0, neuron: 0 });
    assert!(IntegerNetwork::new(output(-top - 1 + 10), vec![(-10, 10)]).is_ok());
    assert_eq!(refused(output(-top - 1 + 9), &[(-10, 10)]), NetworkError::PreActivation { layer: 0, neuron: 0 });
}

#[test]
fn a_hidden_activation_stays_below_its_limit() {
    let hidden = |bias| vec![dense(&[&[0], &[0]], &[0, bias]), dense(&[&[1, 1]], &[0])];
    let network = IntegerNetwork::new(hidden(PRE_ACTIVATION_LIMIT - 1), vec![(0, 0)]).unwrap();
    assert_eq!(network.evaluate(&[0]).unwrap().activations[0][1], ACTIVATION_LIMIT - 1);
    assert_eq!(refused(hidden(PRE_ACTIVATION_LIMIT), &[(0, 0)]), NetworkError::PreActivation { layer: 0, neuron: 1 });
}

#[test]
fn worst_cases_run_through_the_layers() {
    // The first layer reaches 32 * 1024; 2^15 times a weight of 2^15 is 2^30, just out of range.
    let layers = |weight| vec![dense(&[&[1024]], &[0]), dense(&[&[weight]], &[0])];
    assert!(IntegerNetwork::new(layers(32_768), vec![(-5, 32_767)]).is_ok());
    assert_eq!(refused(layers(32_770), &[(-5, 32_767)]), NetworkError::PreActivation { layer: 1, neuron: 0 });
    assert!(IntegerNetwork::new(layers(i32::MAX), vec![(-32_768, 0)]).is_ok(), "ReLU cuts it to 0");
}

#[test]
fn hostile_weights_do_not_overflow_the_check() {
    let extremes = vec![dense(&[&[i32::MIN; 64]], &[i64::MIN])];
    assert_eq!(refused(extremes, &[(-32_768, 32_767); 64]), NetworkError::PreActivation { layer: 0, neuron: 0 });
}

#[test]
fn shapes_are_checked() {
    let one = &[(0, 1)];
    assert_eq!(refused(vec![], one), NetworkError::LayerCount(0));
    assert_eq!(refused(vec![dense(&[&[1]], &[0]); 9], one), NetworkError::LayerCount(9));
    assert_eq!(refused(vec![dense(&[], &[])], one), NetworkError::Width { layer: 0, width: 0 });
    assert_eq!(refused(vec![dense(&[&[]], &[0])], &[]), NetworkError::Width { layer: 0, width: 0 });
    assert_eq!(refused(vec![dense(&[&[1, 2]], &[0])], one), NetworkError::Shape { layer: 0, neuron: 0 });
    assert_eq!(refused(vec![dense(&[&[1]], &[])], one), NetworkError::Shape { layer: 0, neuron: 0 });
    assert_eq!(refused(vec![dense(&[&[1], &[1]], &[0, 0])], one), NetworkError::OutputWidth(2));
    let steps = |channels, kernel, inputs| NetworkError::Steps { layer: 0, channels, kernel, inputs };
    for (channels, kernel, inputs) in [(2, 2, 5), (2, 4, 6), (0, 1, 6), (1, 0, 6), (usize::MAX, usize::MAX, 6)] {
        let layer = conv(channels, kernel, &[&[1, 1, 1, 1]], &[0]);
        assert_eq!(refused(vec![layer], &vec![(0, 1); inputs]), steps(channels, kernel, inputs));
    }
    let ragged = conv(2, 2, &[&[1, 1, 1, 1], &[1, 1, 1]], &[0, 0]);
    assert_eq!(refused(vec![ragged], &[(0, 1); 6]), NetworkError::Shape { layer: 0, neuron: 1 });
    let wide = conv(1, 1, &[&[1], &[1]], &[0, 0]);
    assert_eq!(refused(vec![wide], &[(0, 1); 600]), NetworkError::Width { layer: 0, width: 1200 });
    let two = conv(1, 1, &[&[1]], &[0]);
    assert_eq!(refused(vec![two], &[(0, 1); 2]), NetworkError::OutputWidth(2));
    for interval in [(1, 0), (-32_769, 0), (0, 32_768)] {
        assert_eq!(refused(vec![dense(&[&[1]], &[0])], &[interval]), NetworkError::InputInterval(0));
    }
}

#[test]
fn json_is_checked_like_everything_else() {
    let network = IntegerNetwork::new(vec![dense(&[&[3, -4]], &[5])], vec![(-8, 7); 2]).unwrap();
    let json = serde_json::to_string(&network).unwrap();
    assert_eq!(
        json,
        r#"{"shift":10,"input_bounds":[[-8,7],[-8,7]],"layers":[{"type":"dense","weights":[[3,-4]],"bias":[5]}]}"#
    );
    assert_eq!(serde_json::from_str::<IntegerNetwork>(&json).unwrap(), network);
    let convolution = IntegerNetwork::new(vec![conv(1, 2, &[&[3, -4]], &[5])], vec![(-8, 7); 2]).unwrap();
    let as_json = serde_json::to_string(&convolution).unwrap();
    assert!(
        as_json.contains(r#"{"type":"conv1d","channels":1,"kernel":2,"weights":[[3,-4]],"bias":[5]}"#),
        "{as_json}"
    );
    assert_eq!(serde_json::from_str::<IntegerNetwork>(&as_json).unwrap(), convolution);
    for (from, to) in [
        ("\"shift\":10", "\"shift\":9"),
        ("[5]", "[1073741824]"),
        ("-4", "-4.5"),
        ("[5]", "[5],\"x\":1"),
        ("\"dense\"", "\"conv1d\""),
        ("\"type\":\"dense\",", ""),
    ] {
        assert!(serde_json::from_str::<IntegerNetwork>(&json.replace(from, to)).is_err(), "{to}");
    }
}

#[test]
fn hash_depends_on_every_number() {
    let hash =
        |weight, bias, high| IntegerNetwork::new(vec![dense(&[&[weight]], &[bias])], vec![(0, high)]).unwrap().hash();
    let hashes = [hash(1, 2, 3), hash(2, 2, 3), hash(1, 3, 3), hash(1, 2, 4)];
    assert!((1..4).all(|index| !hashes[..index].contains(&hashes[index])));
    assert_eq!(hash(1, 2, 3), hash(1, 2, 3));
}

/// The same numbers as another kind of layer, or divided otherwise among steps and channels, are another network.
#[test]
fn hash_depends_on_the_kind_of_layer() {
    let hash = |layer| IntegerNetwork::new(vec![layer], vec![(0, 1); 4]).unwrap().hash();
    let row: &[&[i32]] = &[&[1, 2, 3, 4]];
    let hashes = [hash(dense(row, &[5])), hash(conv(1, 4, row, &[5])), hash(conv(2, 2, row, &[5]))];
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
}
