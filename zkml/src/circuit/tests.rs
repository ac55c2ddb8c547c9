//! Honest witnesses satisfy the circuit, and each kind of dishonest one breaks the constraint that is there for it.

use std::{collections::BTreeSet, sync::Arc};

use halo2_axiom::{
    circuit::{Layouter, SimpleFloorPlanner},
    dev::{MockProver, VerifyFailure},
    halo2curves::{
        bn256::Fr,
        ff::{Field, PrimeField},
    },
    plonk::{Circuit, ConstraintSystem, Error},
};
use hygeia_inference::{Dense, IntegerNetwork, ModelPackage, engine::CandleEngine};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::{
    columns::{Challenges, Columns, SecondPhaseValues},
    layout::Layout,
    node::Limbs,
    plan::{Plan, PlanError},
    range, second_phase, synthesize,
    witness::{self, Witness},
    *,
};
use crate::{
    fixtures::{SCHEMA, random_features, random_network},
    statement::{FEATURE_OFFSET, Salt, commit, field_from_i64, pack},
};

#[test]
fn the_plan_of_the_shipped_shape_is_the_expected_one() {
    assert_eq!(Plan::smallest(&[64, 64, 32, 1]).unwrap(), Plan { k: 11, lanes: 6, dims: vec![64, 64, 32, 1] });
    let deep = Plan::smallest(&[64, 256, 64, 1]).unwrap();
    assert!(deep.k > 11 && deep.check().is_ok());
}

#[test]
fn impossible_shapes_have_no_plan() {
    for dims in [vec![], vec![4], vec![4, 2], vec![0, 1], vec![4, 0, 1], vec![2000, 1]] {
        assert!(matches!(Plan::smallest(&dims), Err(PlanError::Shape(_))), "{dims:?}");
    }
    assert!(matches!(Plan::smallest(&[1024, 1024, 1024, 1]), Err(PlanError::TooLarge { .. })));
    let crowded = Plan { k: 11, lanes: 4, dims: vec![64, 64, 32, 1] };
    assert!(matches!(crowded.check(), Err(PlanError::TooLarge { .. })));
}

#[test]
fn the_degree_is_five_and_blinding_rows_suffice() {
    for dims in [vec![64, 64, 32, 1], vec![1, 1]] {
        let mut meta = ConstraintSystem::default();
        configure(&mut meta, &Plan::smallest(&dims).unwrap());
        assert_eq!(gate_degree(&meta), DEGREE);
        assert_eq!(meta.degree(), DEGREE);
        assert_eq!(meta.blinding_factors() + 1, plan::UNUSABLE_ROWS);
        assert!(meta.lookups().is_empty());
    }
}

#[test]
fn honest_witnesses_satisfy_the_circuit() {
    let shapes = [vec![64, 64, 32, 1], vec![30, 5, 1], vec![1, 1], vec![16, 9, 8, 7, 1]];
    for (seed, dims) in (0..).zip(shapes) {
        let case = Case::random(&dims, seed);
        assert_eq!(case.failures(), none(), "{dims:?}");
    }
}

#[test]
fn extreme_features_satisfy_the_circuit() {
    let dims = [20, 6, 1];
    let network = random_network(&dims, 5, (-32768, 32767));
    for features in [vec![-32768; 20], vec![32767; 20], vec![0; 20], vec![-1; 20]] {
        let case = Case::new(network.clone(), features);
        assert_eq!(case.failures(), none());
    }
}

/// Twenty networks, 500 windows each: the score, and with it every claim of every layer and every limb, at random
/// challenges.
#[test]
fn ten_thousand_witnesses_give_the_reference_score() {
    let models: Vec<_> = (0..20)
        .map(|seed| {
            let network = random_network(&[64, 64, 32, 1], seed, (-8192, 8192));
            (Layout::new(&network, SCHEMA).unwrap(), network)
        })
        .collect();
    let negative = (0..10_000).into_par_iter().map(|window| {
        let (layout, network) = &models[window % models.len()];
        let seed = window as u64;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let features = random_features(network, &mut rng);
        let salt = Salt::random(&mut rng);
        let witness = witness::fill(layout, network, &features, &salt, &mut rng).unwrap();
        let reference = network.evaluate(&features).unwrap();
        assert_eq!(witness.public.score, reference.score);
        assert_eq!(witness.first.cell[layout.score_row()], field_from_i64(reference.score));
        assert_eq!(witness.public.commitment, commit(SCHEMA, &features, &salt).unwrap());

        let [node, layer, range] = std::array::from_fn(|_| Fr::random(&mut rng));
        let second = second_phase(layout, &witness, &Challenges { node, layer, range });
        let last = layout.plan.hash_start() - 1;
        assert_eq!((second.sum[last], second.tally[last]), (Fr::ZERO, Fr::ZERO));
        u32::from(reference.score < 0)
    });
    let negative: u32 = negative.sum();
    assert!((1..10_000).contains(&negative), "both signs occur: {negative} of 10,000 are negative");
}

/// Served = proved: over the shipped model, candle, the plain reference and the circuit's witness give one score.
#[test]
fn candle_reference_and_witness_agree_on_ten_thousand_windows() {
    let model = ModelPackage::default_model();
    let network = model.network();
    let layout = Layout::new(network, model.schema().hash()).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(2026);
    let windows: Vec<Vec<i32>> = (0..10_000).map(|_| random_features(network, &mut rng)).collect();
    let engine = CandleEngine::new(network, &candle_core::Device::Cpu).unwrap();
    let served = engine.score_batch(&windows).unwrap();
    let distinct: BTreeSet<i64> = served.iter().copied().collect();
    assert!(distinct.len() > 1_000, "the windows spread over many scores, not {}", distinct.len());
    windows.par_iter().zip(served).enumerate().for_each(|(window, (features, served))| {
        let mut rng = ChaCha20Rng::seed_from_u64(window as u64);
        let salt = Salt::random(&mut rng);
        let proved = witness::fill(&layout, network, features, &salt, &mut rng).unwrap();
        assert_eq!(network.score(features).unwrap(), served, "reference and candle, window {window}");
        assert_eq!(
            proved.first.cell[layout.score_row()],
            field_from_i64(served),
            "witness and candle, window {window}"
        );
    });
}

#[test]
fn wrong_public_values_are_refused() {
    let honest = Case::random(&[30, 5, 1], 7);
    for index in [0, 1] {
        let mut case = honest.clone();
        case.instances[index] += Fr::ONE;
        assert_eq!(case.failures(), only("copy"));
    }
}

#[test]
fn another_salt_gives_another_commitment() {
    let mut case = Case::random(&[30, 5, 1], 8);
    let mut message = pack(&case.features).unwrap();
    message.push(Fr::from(1234));
    hash::fill(&case.layout.hash, &message, &mut case.witness.first.cell);
    assert_eq!(case.failures(), only("copy"));
}

/// The hash of other features than those the network sees.
#[test]
fn hashed_features_are_the_evaluated_ones() {
    let mut case = Case::random(&[30, 5, 1], 9);
    let mut message = pack(&[0; 30]).unwrap();
    message.push(Fr::from(1234));
    let digest = hash::fill(&case.layout.hash, &message, &mut case.witness.first.cell);
    case.instances[0] = digest;
    assert_eq!(case.failures(), only("copy"));

    // The same with the packed elements bent to it: then packing itself is wrong.
    for &(element, absorbed) in &case.layout.hash.copies {
        case.witness.first.cell[element] = case.witness.first.cell[absorbed];
    }
    assert_eq!(case.failures(), only("nodes"));
}

#[test]
fn every_cell_of_the_hash_counts() {
    let honest = Case::random(&[30, 5, 1], 10);
    let start = honest.layout.hash.start;
    // Absorption, full round, single and paired partial rounds: state and scratch.
    for offset in [3, 5, 6, 9, 31, 33, 36, 39, 40, 41, 222, 226, 228] {
        let mut case = honest.clone();
        case.witness.first.cell[start + offset] += Fr::ONE;
        assert!(!case.failures().is_empty(), "row {offset} of the hash");
    }
}

/// A limb of 1024 and more with the next one lowered: `T` and activation stay, so only the range argument sees it.
#[test]
fn a_limb_out_of_range_is_refused() {
    let mut case = Case::random(&[30, 5, 1], 11);
    let row = case.node_with(|t| t.abs() > 1 << 21);
    case.witness.first.limb[row - 1] += Fr::from(1 << 10);
    case.witness.first.limb[row] -= Fr::ONE;
    assert_eq!(case.failures(), only("borders"));

    let mut forged = case.clone();
    forged.second = Arc::new(|layout, values, _| values.tally[layout.plan.hash_start() - 1] = Fr::ZERO);
    assert_eq!(forged.failures(), only("range"));

    // A running sum that starts at what is missing.
    case.second = Arc::new(|layout, values, _| {
        let missing = values.tally[layout.plan.hash_start() - 1];
        values.tally[..layout.plan.hash_start()].iter_mut().for_each(|tally| *tally -= missing);
    });
    assert_eq!(case.failures(), only("borders"));
}

#[test]
fn a_multiplicity_off_by_one_is_refused() {
    for row in [1, 2, 513, 1024] {
        let mut case = Case::random(&[30, 5, 1], 12);
        case.witness.first.count[row] += Fr::ONE;
        assert_eq!(case.failures(), only("borders"));
    }
}

/// With `u = 0`, a sign of `T + 1` would give every `T`, and 0 for its activation.
#[test]
fn a_sign_is_a_bit() {
    let layers = [(0, 5), (1, 0)].map(|(weight, bias)| Dense { weights: vec![vec![weight]], bias: vec![bias] }.into());
    let mut case = Case::new(IntegerNetwork::new(layers.into(), vec![(-10, 10)]).unwrap(), vec![3]);
    let row = case.layout.nodes[1][0];
    case.set_limbs(row, [6, 0, 0, 0]);
    case.recount();
    assert_eq!(case.failures(), only("nodes"));
}

/// A feature whose weights are all zero can only be caught by its own range check.
#[test]
fn a_feature_has_sixteen_bits() {
    let layers = vec![Dense { weights: vec![vec![0]], bias: vec![5] }.into()];
    let network = IntegerNetwork::new(layers, vec![(-10, 10)]).unwrap();
    for (sign, expected) in [(1024, "borders"), (0, "nodes")] {
        let mut case = Case::new(network.clone(), vec![3]);
        let row = case.layout.nodes[0][0];
        case.set_limbs(row, [sign, 0, 64, 0]);
        let element = Fr::from(1 << 16);
        case.witness.first.cell[row] = element;
        let digest = hash::fill(&case.layout.hash, &[element, Fr::ONE], &mut case.witness.first.cell);
        case.instances[0] = digest;
        if sign < 1024 {
            case.recount();
        }
        assert_eq!(case.failures(), only(expected));
    }
}

/// Proper limbs of a wrong number, in a hidden layer and in the last.
#[test]
fn a_wrong_activation_is_refused_in_each_layer() {
    for layer in [1, 2] {
        let mut case = Case::random(&[30, 5, 1], 13);
        let row = case.layout.nodes[layer][0];
        let t = case.pre_activation(row);
        case.set_limbs(row, Limbs::of_pre_activation(t + 1024).into_rows());
        case.recount();
        if layer == 2 {
            case.set_score(case.score_of_limbs());
        }
        assert_eq!(case.failures(), only("borders"), "layer {layer}");
    }
}

#[test]
fn the_score_is_the_one_of_the_limbs() {
    let mut case = Case::random(&[30, 5, 1], 14);
    case.set_score(case.score_of_limbs() + Fr::ONE);
    assert_eq!(case.failures(), only("nodes"));
}

/// A wrong output, and each way to bend a running sum so that it closes nevertheless.
#[test]
fn no_running_sum_can_be_bent() {
    let mut wrong = Case::random(&[30, 5, 1], 15);
    let row = wrong.layout.score_row();
    wrong.set_limbs(row, Limbs::of_pre_activation(wrong.pre_activation(row) + 1024).into_rows());
    wrong.recount();
    wrong.set_score(wrong.score_of_limbs());

    // The sum is off by 1024 s. It closes when it starts at what it lacks, lifted through three layers.
    let started_off: Bend = Arc::new(|layout, values, challenges| {
        let lacking = -Fr::from(1024) * challenges.layer;
        let lift = challenges.layer.invert().unwrap();
        let mut offset = lacking;
        for row in (0..layout.plan.hash_start()).rev() {
            values.sum[row] += offset;
            if layout.fixed.mark[row] == codes::mark::LAYER {
                offset *= lift;
            }
        }
    });
    // Or when the opening row passes a weight on as biases of a layer before the first.
    let bias_before_all: Bend = {
        let started_off = Arc::clone(&started_off);
        Arc::new(move |layout, values, challenges| {
            started_off(layout, values, challenges);
            values.weight[0] = -values.sum[0];
            values.sum[0] = Fr::ZERO;
        })
    };
    let closed_by_force: Bend = Arc::new(|layout, values, _| values.sum[layout.plan.hash_start() - 1] = Fr::ZERO);
    // A weight or a place that makes the last sum right.
    let last_place: Bend = Arc::new(move |layout, values, _| {
        let score_row = layout.score_row();
        values.place[score_row] = Fr::ZERO;
    });
    for (bend, expected) in
        [(started_off, "borders"), (bias_before_all, "borders"), (closed_by_force, "layers"), (last_place, "layers")]
    {
        let mut case = wrong.clone();
        case.second = bend;
        assert!(case.failures().contains(expected));
        assert!(case.failures().is_subset(&BTreeSet::from(["borders".to_owned(), "layers".to_owned()])));
    }
}

#[test]
fn every_row_of_the_running_sums_counts() {
    let honest = Case::random(&[30, 5, 1], 16);
    let bend = |column: fn(&mut SecondPhaseValues) -> &mut Vec<Fr>, row: usize| {
        let mut case = honest.clone();
        case.second = Arc::new(move |_, values, _| column(values)[row] += Fr::ONE);
        case.failures()
    };
    let (first_node, last) = (honest.layout.nodes[0][0], honest.layout.score_row());
    // A mock prover cannot print a failure that reaches back into the blinding rows, so not the very first rows.
    for row in [first_node, first_node + 1, last - 1] {
        assert!(!bend(|values| &mut values.weight, row).is_empty(), "weight, row {row}");
        assert!(!bend(|values| &mut values.place, row).is_empty(), "place, row {row}");
        assert!(!bend(|values| &mut values.sum, row).is_empty(), "sum, row {row}");
        assert!(!bend(|values| &mut values.tally, row).is_empty(), "tally, row {row}");
    }
}

/// A change to the second phase, made with the challenges known.
type Bend = Arc<dyn Fn(&Layout, &mut SecondPhaseValues, &Challenges) + Send + Sync>;

/// A circuit whose witness, public values and second phase can be tampered with.
#[derive(Clone)]
struct Case {
    layout: Arc<Layout>,
    features: Vec<i32>,
    witness: Witness,
    instances: [Fr; 2],
    second: Bend,
}

impl Case {
    fn random(dims: &[usize], seed: u64) -> Self {
        let network = random_network(dims, seed, (-8192, 8192));
        let features = random_features(&network, &mut ChaCha20Rng::seed_from_u64(seed));
        Self::new(network, features)
    }

    fn new(network: IntegerNetwork, features: Vec<i32>) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(99);
        let layout = Arc::new(Layout::new(&network, SCHEMA).unwrap());
        let salt = Salt::new(rng.r#gen());
        let witness = witness::fill(&layout, &network, &features, &salt, &mut rng).unwrap();
        let instances = witness.public.instances();
        Self { layout, features, witness, instances, second: Arc::new(|_, _, _| ()) }
    }

    /// Names of the gates that are violated, and `copy` for a violated copy.
    fn failures(&self) -> BTreeSet<String> {
        let prover = MockProver::run(self.layout.plan.k, self, vec![self.instances.to_vec()]).unwrap();
        let name = |failure: VerifyFailure| match failure {
            VerifyFailure::ConstraintNotSatisfied { constraint, .. } => {
                let text = constraint.to_string();
                let name = text.split('\'').nth(1).unwrap_or(&text);
                name.to_owned()
            }
            VerifyFailure::Permutation { .. } => "copy".to_owned(),
            other => other.to_string(),
        };
        prover.verify().err().unwrap_or_default().into_iter().map(name).collect()
    }

    fn set_limbs(&mut self, row: usize, limbs: [u64; 4]) {
        for (cell, limb) in self.witness.first.limb[row - 3..=row].iter_mut().zip(limbs) {
            *cell = Fr::from(limb);
        }
    }

    /// Sets the score, on its row and in public.
    fn set_score(&mut self, score: Fr) {
        self.witness.first.cell[self.layout.score_row()] = score;
        self.instances[1] = score;
    }

    fn score_of_limbs(&self) -> Fr {
        Limbs::read(&self.witness.first.limb, self.layout.score_row()).requantised()
    }

    /// Counts again what is looked up now.
    fn recount(&mut self) {
        let limbs: Vec<u64> = self.witness.first.limb.iter().map(small).collect();
        self.witness.first.count = range::counts(&self.layout, &limbs);
    }

    fn pre_activation(&self, row: usize) -> i64 {
        crate::statement::field_to_i64(Limbs::read(&self.witness.first.limb, row).pre_activation()).unwrap()
    }

    /// Row of a hidden neuron with a `T` as wanted.
    fn node_with(&self, wanted: impl Fn(i64) -> bool) -> usize {
        let mut rows = self.layout.nodes[1].iter().copied();
        rows.find(|&row| wanted(self.pre_activation(row))).expect("the case has such a neuron")
    }
}

impl Circuit<Fr> for Case {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = Plan;

    fn params(&self) -> Plan {
        self.layout.plan.clone()
    }

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> Columns {
        unreachable!()
    }

    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, plan: Plan) -> Columns {
        configure(meta, &plan)
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let second = |witness: &Witness, challenges: &Challenges| {
            let mut values = second_phase(&self.layout, witness, challenges);
            (self.second)(&self.layout, &mut values, challenges);
            values
        };
        synthesize(&self.layout, Some(&self.witness), second, &columns, &mut layouter)
    }
}

fn small(element: &Fr) -> u64 {
    let bytes = element.to_repr();
    assert!(bytes[8..].iter().all(|&byte| byte == 0));
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

fn none() -> BTreeSet<String> {
    BTreeSet::new()
}

fn only(name: &str) -> BTreeSet<String> {
    BTreeSet::from([name.to_owned()])
}

/// The offset is what makes the packed digit of the least feature 0.
#[test]
fn the_least_feature_packs_to_zero() {
    assert_eq!(pack(&[-FEATURE_OFFSET]).unwrap(), vec![Fr::ZERO]);
}
