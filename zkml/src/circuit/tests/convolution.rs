//! Convolutions: every shape proves, and steps, borders and taps cannot be exchanged or left out.

use hygeia_inference::{Conv1d, Dense};

use super::*;
use crate::{
    circuit::plan::PlanError,
    fixtures::{CONV_24X8, Convolutions, random_convolutions},
};

/// Shapes at the edges: kernels of one step, one output step more than none, channels of one, weights of more and of
/// fewer rows than a node's limbs, dense layers before and after.
const SHAPES: [Convolutions<'_>; 8] = [
    CONV_24X8,
    ([5, 2], &[[2, 3]], &[1]),
    ([6, 1], &[[1, 2], [3, 5]], &[3, 1]),
    ([4, 3], &[[3, 30]], &[4, 1]),
    ([9, 2], &[[2, 13], [4, 2], [2, 7]], &[1]),
    ([3, 4], &[[3, 5]], &[1]),
    ([7, 5], &[[7, 1]], &[]),
    ([2, 20], &[[1, 1]], &[1]),
];

#[test]
fn honest_convolutions_satisfy_the_circuit() {
    for (seed, shape) in (0..).zip(SHAPES) {
        let case = Case::of(random_convolutions(shape, seed, (-8192, 8192)), seed);
        assert_eq!(case.failures(), none(), "{shape:?}");
        let reference = case.witness.public.score;
        assert_eq!(case.witness.public.commitment, commit(SCHEMA, &case.features, &case.salt).unwrap());
        assert_ne!(reference, 0, "{shape:?}: a score of nothing proves nothing");
    }
}

/// What a dense layer gives can be read as steps and channels as well.
#[test]
fn a_convolution_may_follow_a_dense_layer() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut weights = |rows: usize, columns: usize| -> Vec<Vec<i32>> {
        (0..rows).map(|_| (0..columns).map(|_| rng.gen_range(-900..900)).collect()).collect()
    };
    let layers = vec![
        Dense { weights: weights(12, 7), bias: (0..12).map(|o| 3_000 * o - 9_000).collect() }.into(),
        Conv1d { channels: 3, kernel: 2, weights: weights(5, 6), bias: vec![70, -80, 90, 0, 1] }.into(),
        Dense { weights: weights(1, 15), bias: vec![12_345] }.into(),
    ];
    let network = IntegerNetwork::new(layers, vec![(-4096, 4096); 7]).unwrap();
    assert_eq!(Case::of(network, 5).failures(), none());
}

/// The same network on other plans: more lanes, fewer rows for each node, other jumps.
#[test]
fn every_plan_of_a_convolution_works() {
    let network = random_convolutions(([9, 2], &[[2, 13], [4, 2]], &[1]), 4, (-8192, 8192));
    let honest = Case::of(network.clone(), 4);
    for lanes in [4, 5, 7, 13, 16] {
        let mut case = honest.clone();
        let plan = Plan { lanes, ..case.layout.plan.clone() };
        case.layout = Arc::new(Layout::on_plan(plan, &network, SCHEMA).unwrap());
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        case.witness = witness::fill(&case.layout, &network, &case.features, &case.salt, &mut rng).unwrap();
        assert_eq!(case.failures(), none(), "{lanes} lanes");
    }
}

#[test]
fn ten_thousand_windows_over_random_convolutions_agree() {
    let models: Vec<_> = (0..20)
        .map(|seed| {
            let network = random_convolutions(SHAPES[seed as usize % SHAPES.len()], seed, (-8192, 8192));
            (Layout::new(&network, SCHEMA, Goal::Latency).unwrap(), network)
        })
        .collect();
    let negative = check_windows(&models, 10_000);
    assert!((500..9_500).contains(&negative), "both signs occur: {negative} of 10,000 are negative");
}

/// A wrong accumulator in each layer, at the first and the last step, of the network's and of the virtual nodes.
#[test]
fn a_wrong_sum_is_refused_in_each_layer() {
    let honest = Case::of(random_convolutions(([6, 2], &[[2, 3], [3, 4]], &[1]), 7, (-8192, 8192)), 7);
    for layer in 1..honest.layout.nodes.len() {
        let rows = &honest.layout.nodes[layer];
        let real = honest.layout.plan.shape.width(layer);
        let mut nodes = vec![0, real - 1, rows.len() - 1];
        nodes.dedup();
        for node in nodes {
            for difference in [1, -1024] {
                let mut case = honest.clone();
                case.shift_node(rows[node], difference);
                case.recount();
                case.publish_score_of_limbs();
                assert_eq!(case.failures(), only("seams"), "layer {layer}, node {node}, {difference}");
            }
        }
    }
}

/// All sums of two steps exchanged, with the right sums of everything after them.
#[test]
fn swapped_steps_are_refused() {
    let outputs = 3;
    let network = random_convolutions(([6, 2], &[[2, outputs], [2, 4]], &[1]), 8, (-8192, 8192));
    for (layer, channels) in [(1, outputs), (2, 4)] {
        let mut case = Case::of(network.clone(), 8);
        for channel in 0..channels {
            let [one, other] = [channel, 2 * channels + channel].map(|node| case.layout.nodes[layer][node]);
            let sums = [case.pre_activation(one), case.pre_activation(other)];
            case.set_node(one, &Node::of_pre_activation(sums[1]));
            case.set_node(other, &Node::of_pre_activation(sums[0]));
        }
        // What follows from the exchanged activations is right again, so that only the exchange itself is wrong.
        case.evaluate_after(&network, layer);
        assert_eq!(case.failures(), only("seams"), "layer {layer}");
    }
}

/// The last step computed as if the window reached beyond the end, and the first as if it began before the start: what
/// padding would give. And the virtual nodes left at 0.
#[test]
fn a_wrong_border_is_refused() {
    let network = random_convolutions(([6, 2], &[[3, 3]], &[1]), 9, (-8192, 8192));
    let honest = Case::of(network.clone(), 9);
    let rows = honest.layout.nodes[1].clone();
    let real = honest.layout.plan.shape.width(1);
    assert_eq!((real, rows.len()), (12, 18));

    // Padded at the end: the first virtual step in the place of the last real one.
    let mut case = honest.clone();
    for channel in 0..3 {
        let beyond = case.pre_activation(rows[real + channel]);
        case.set_node(rows[real - 3 + channel], &Node::of_pre_activation(beyond));
    }
    case.evaluate_after(&network, 1);
    assert_eq!(case.failures(), only("seams"));

    // Padded at the start: every step takes the place of the next.
    let mut case = honest.clone();
    for node in (3..real).rev() {
        let before = case.pre_activation(rows[node - 3]);
        case.set_node(rows[node], &Node::of_pre_activation(before));
    }
    case.evaluate_after(&network, 1);
    assert_eq!(case.failures(), only("seams"));

    let mut case = honest.clone();
    rows[real..].iter().for_each(|&row| case.set_node(row, &Node::of_pre_activation(0)));
    case.recount();
    assert_eq!(case.failures(), only("seams"));
}

/// Each jump counts: a weight that does not go on from the step before.
#[test]
fn a_broken_jump_is_refused() {
    let honest = Case::of(random_convolutions(([6, 2], &[[2, 3], [3, 4]], &[1]), 10, (-8192, 8192)), 10);
    let rows: Vec<usize> =
        (0..honest.layout.fixed.jump.len()).filter(|&row| honest.layout.fixed.jump[row] > 0).collect();
    assert_eq!(rows.len(), 5 * 2 + 4 * 3);
    for row in rows {
        let mut case = honest.clone();
        case.second = Arc::new(move |_, values, _| values.weight[row] += Fr::ONE);
        assert!(case.failures().contains("layers"), "row {row}");
    }
}

/// Sums of a window that reaches past the end can be larger than any sum of the network, when what it leaves out
/// would have brought them back.
#[test]
fn a_border_out_of_range_has_no_circuit() {
    let layers = |weight| {
        vec![
            Conv1d { channels: 1, kernel: 2, weights: vec![vec![weight, -weight]], bias: vec![0] }.into(),
            Dense { weights: vec![vec![1, 1]], bias: vec![0] }.into(),
        ]
    };
    // Inputs near 30,000: the difference of two stays small, one alone times the weight does not.
    let network = |weight| IntegerNetwork::new(layers(weight), vec![(29_000, 30_000); 3]).unwrap();
    assert!(Layout::new(&network(30_000), SCHEMA, Goal::Latency).is_ok());
    let refused = Layout::new(&network(40_000), SCHEMA, Goal::Latency).map(|_| ());
    assert_eq!(refused, Err(PlanError::Border(0)));
}

impl Case {
    /// Evaluates all layers after one whose nodes were changed, and counts and publishes anew.
    fn evaluate_after(&mut self, network: &IntegerNetwork, changed: usize) {
        let layout = Arc::clone(&self.layout);
        for index in changed..network.layers().len() {
            let real = layout.plan.shape.width(index);
            let inputs: Vec<i64> =
                layout.nodes[index][..real].iter().map(|&row| (self.pre_activation(row) >> 10).max(0)).collect();
            let layer = &network.layers()[index];
            let sum = |neuron: usize| {
                let terms = layer.terms_of(neuron).filter(|&(input, _)| input < inputs.len());
                layer.bias_of(neuron) + terms.map(|(input, weight)| i64::from(weight) * inputs[input]).sum::<i64>()
            };
            for (neuron, &row) in layout.nodes[index + 1].iter().enumerate() {
                self.set_node(row, &Node::of_pre_activation(sum(neuron)));
            }
        }
        self.recount();
        self.publish_score_of_limbs();
    }
}
