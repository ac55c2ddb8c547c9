//! Honest witnesses satisfy the circuit, and each kind of dishonest one breaks the constraint that is there for it.

mod convolution;
mod division;
mod forgery;
mod plan;

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
use hygeia_inference::{IntegerNetwork, ModelPackage, engine::CandleEngine};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::{
    columns::{Challenges, Columns, FirstPhaseValues, SecondPhaseValues},
    layout::Layout,
    node::Node,
    plan::{Goal, Plan},
    range, second_phase, synthesize,
    witness::{self, Witness},
    *,
};
use crate::{
    fixtures::{SCHEMA, random_features, random_network},
    statement::{Salt, commit, field_from_i64},
};

#[test]
fn honest_witnesses_satisfy_the_circuit() {
    let shapes = [vec![64, 64, 32, 1], vec![30, 5, 1], vec![1, 1], vec![16, 9, 8, 7, 1], vec![15, 1], vec![45, 3, 1]];
    for (seed, dims) in (0..).zip(shapes) {
        let case = Case::random(&dims, seed);
        assert_eq!(case.failures(), none(), "{dims:?}");
        let features = &case.features;
        assert_eq!(case.witness.public.commitment, commit(SCHEMA, features, &case.salt).unwrap(), "{dims:?}");
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
            (Layout::new(&network, SCHEMA, Goal::Latency).unwrap(), network)
        })
        .collect();
    let negative = check_windows(&models, 10_000);
    assert!((1..10_000).contains(&negative), "both signs occur: {negative} of 10,000 are negative");
}

/// Served = proved: over the shipped model, candle, the plain reference and the circuit's witness give one score.
#[test]
fn candle_reference_and_witness_agree_on_ten_thousand_windows() {
    let model = ModelPackage::default_model();
    let network = model.network().clone();
    let layout = Layout::new(&network, model.schema().hash(), Goal::Latency).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(2026);
    let windows: Vec<Vec<i32>> = (0..10_000).map(|_| random_features(&network, &mut rng)).collect();
    let engine = CandleEngine::new(&network, &candle_core::Device::Cpu).unwrap();
    let served = engine.score_batch(&windows).unwrap();
    let distinct: BTreeSet<i64> = served.iter().copied().collect();
    assert!(distinct.len() > 1_000, "the windows spread over many scores, not {}", distinct.len());
    windows.par_iter().zip(served).enumerate().for_each(|(window, (features, served))| {
        let score = proved_score(&layout, &network, features, window as u64);
        assert_eq!(network.score(features).unwrap(), served, "reference and candle, window {window}");
        assert_eq!(score, field_from_i64(served), "witness and candle, window {window}");
    });
}

/// Random windows over models in turn: candle, reference and witness give one score, and sums that close at random
/// challenges say so of every sum of every layer. Returns how many scores are negative.
fn check_windows(models: &[(Layout, IntegerNetwork)], windows: usize) -> usize {
    let candle = |(_, network): &(_, IntegerNetwork)| CandleEngine::new(network, &candle_core::Device::Cpu).unwrap();
    let engines: Vec<CandleEngine> = models.iter().map(candle).collect();
    let negative = (0..windows).into_par_iter().map(|window| {
        let (model, seed) = (window % models.len(), window as u64);
        let (layout, network) = &models[model];
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let features = random_features(network, &mut rng);
        let reference = network.evaluate(&features).unwrap();
        assert_eq!(engines[model].score_batch(&[&features]).unwrap(), [reference.score]);
        let witness = witness::fill(layout, network, &features, &Salt::random(&mut rng), &mut rng).unwrap();
        assert_eq!(witness.public.score, reference.score);

        let [node, layer, range] = std::array::from_fn(|_| Fr::random(&mut rng));
        let second = second_phase(layout, &witness, &Challenges { node, layer, range });
        assert_eq!(second.sum[layout.hash.closing - 1], Fr::ZERO, "window {window}");
        assert_eq!(second.tally[layout.score_row()], Fr::ZERO, "window {window}");
        usize::from(reference.score < 0)
    });
    negative.sum()
}

fn proved_score(layout: &Layout, network: &IntegerNetwork, features: &[i32], seed: u64) -> Fr {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let witness = witness::fill(layout, network, features, &Salt::random(&mut rng), &mut rng).unwrap();
    Node::read(&witness.first.limb, &witness.first.cell, layout.score_row()).requantised()
}

/// A change to the second phase, made with the challenges known.
type Bend = Arc<dyn Fn(&Layout, &mut SecondPhaseValues, &Challenges) + Send + Sync>;

/// A circuit whose witness, public values and second phase can be tampered with.
#[derive(Clone)]
struct Case {
    layout: Arc<Layout>,
    features: Vec<i32>,
    salt: Salt,
    witness: Witness,
    instances: [Fr; 2],
    second: Bend,
}

impl Case {
    fn random(dims: &[usize], seed: u64) -> Self {
        Self::of(random_network(dims, seed, (-8192, 8192)), seed)
    }

    /// A network with random features.
    fn of(network: IntegerNetwork, seed: u64) -> Self {
        let features = random_features(&network, &mut ChaCha20Rng::seed_from_u64(seed));
        Self::new(network, features)
    }

    fn new(network: IntegerNetwork, features: Vec<i32>) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(99);
        let layout = Arc::new(Layout::new(&network, SCHEMA, Goal::Latency).unwrap());
        let salt = Salt::new(rng.r#gen());
        let witness = witness::fill(&layout, &network, &features, &salt, &mut rng).unwrap();
        let instances = witness.public.instances();
        Self { layout, features, salt, witness, instances, second: Arc::new(|_, _, _| ()) }
    }

    /// Names of the gates that are violated.
    fn failures(&self) -> BTreeSet<String> {
        let prover = MockProver::run(self.layout.plan.k, self, vec![self.instances.to_vec()]).unwrap();
        let name = |failure: VerifyFailure| match failure {
            VerifyFailure::ConstraintNotSatisfied { constraint, .. } => {
                let text = constraint.to_string();
                let name = text.split('\'').nth(1).unwrap_or(&text);
                name.to_owned()
            }
            other => other.to_string(),
        };
        prover.verify().err().unwrap_or_default().into_iter().map(name).collect()
    }

    /// Sets sign and limbs of the node that ends on this row.
    fn set_node(&mut self, row: usize, node: &Node<u64>) {
        self.witness.first.cell[row] = Fr::from(node.sign);
        for (cell, limb) in self.witness.first.limb[row - 2..=row].iter_mut().zip(node.limbs()) {
            *cell = Fr::from(limb);
        }
    }

    /// Adds to `T` of the node that ends on this row.
    fn shift_node(&mut self, row: usize, difference: i64) {
        self.set_node(row, &Node::of_pre_activation(self.pre_activation(row) + difference));
    }

    /// Makes the public score, and what the prover claims it is, that of the output's limbs.
    fn publish_score_of_limbs(&mut self) {
        let score = self.node(self.layout.score_row()).requantised();
        self.instances[1] = score;
        self.witness.public.score = crate::statement::field_to_i64(score).unwrap();
    }

    fn node(&self, row: usize) -> Node<Fr> {
        Node::read(&self.witness.first.limb, &self.witness.first.cell, row)
    }

    fn pre_activation(&self, row: usize) -> i64 {
        crate::statement::field_to_i64(self.node(row).pre_activation()).unwrap()
    }

    /// Counts again what is looked up now.
    fn recount(&mut self) {
        let limbs: Vec<u64> = self.layout.network_rows().map(|row| small(&self.witness.first.limb[row])).collect();
        let limbs = [vec![0; self.layout.network_rows().start], limbs].concat();
        range::count(&self.layout, &limbs, &mut self.witness.first.cell);
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
