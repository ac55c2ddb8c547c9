//! Honest witnesses satisfy the circuit, and each kind of dishonest one breaks the constraint that is there for it.
//!
//! The expected names are those of the gates. What is wrong with the sums over windows or with the range argument shows
//! only at the end, where the balance is not 0: in the gate `totals`.

mod division;

use std::{collections::BTreeSet, sync::LazyLock};

use halo2_axiom::{
    dev::{MockProver, VerifyFailure},
    halo2curves::ff::Field,
};
use hygeia_inference::{Dense, IntegerNetwork};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::{
    units::Limbs,
    window::{Bus, HashRow, Unit},
    witness::{fill_commitment, fill_leaf, fill_multiplicities, fill_node},
    *,
};
use crate::{
    audit::{
        AuditTree, AuditWindow,
        plan::{SLOTS_MIN, UNUSABLE_ROWS},
    },
    fixtures::{SCHEMA, random_features, random_network},
    statement::{Salt, commit, field_from_i64, pack},
};

/// Eighteen features are two elements and a salt: all ways to absorb are there but the plain pair.
static HONEST: LazyLock<Case> = LazyLock::new(|| Case::random(&[18, 5, 4, 1], 1, 50));
/// A slot in the middle, and one of padding.
const SLOT: usize = 20;
const PADDING: usize = 60;

#[test]
fn the_degree_is_five_and_blinding_rows_suffice() {
    for (inputs, neurons) in [(48, 97), (1, 1)] {
        let mut meta = ConstraintSystem::default();
        configure(&mut meta, &AuditPlan { k: 17, slots: 256, inputs, neurons });
        assert_eq!(gate_degree(&meta), DEGREE);
        assert_eq!(meta.degree(), DEGREE);
        assert_eq!(meta.blinding_factors() + 1, UNUSABLE_ROWS);
        assert!(meta.lookups().is_empty() && meta.permutation().get_columns().is_empty());
    }
}

#[test]
fn honest_witnesses_satisfy_the_circuit() {
    assert_eq!(HONEST.failures(), none());
    for (seed, dims) in (2..).zip([vec![1, 1], vec![45, 3, 1], vec![48, 64, 32, 1]]) {
        for windows in [1, 33, 64] {
            assert_eq!(Case::random(&dims, seed, windows).failures(), none(), "{dims:?}, {windows} windows");
        }
    }
}

#[test]
fn a_number_of_slots_that_is_no_power_of_two_has_a_tree_too() {
    let network = random_network(&[18, 5, 4, 1], 3, (-8192, 8192));
    let plan = AuditPlan::filling(&network, 13).unwrap();
    assert!(!plan.slots.is_power_of_two() && plan.slots > SLOTS_MIN);
    assert_eq!(Case::on_plan(plan, network, 3, 70).failures(), none());
}

#[test]
fn extreme_features_and_sums_satisfy_the_circuit() {
    let network = random_network(&[20, 6, 1], 5, (-32768, 32767));
    let plan = AuditPlan::for_windows(&network, 64).unwrap();
    let features = [[-32768; 20], [32767; 20], [0; 20], [-1; 20]];
    let windows = features.map(|features| AuditWindow::new(features.to_vec(), Salt::new([1; 16]))).to_vec();
    assert_eq!(Case::new(plan, network, windows).failures(), none());

    // Weights that drive T to both ends of its range, in the hidden layer and in the score.
    let layers = vec![
        Dense { weights: vec![vec![32767], vec![32767]], bias: vec![65_534, -65_535] }.into(),
        Dense { weights: vec![vec![1023, -1023]], bias: vec![(1 << 30) - 1 - 1023 * ((1 << 20) - 1)] }.into(),
    ];
    let network = IntegerNetwork::new(layers, vec![(-32767, 32767)]).unwrap();
    let plan = AuditPlan::for_windows(&network, 64).unwrap();
    let windows = [-32767, 32767, 1, 0].map(|x| AuditWindow::new(vec![x], Salt::new([2; 16]))).to_vec();
    assert_eq!(Case::new(plan, network, windows).failures(), none());
}

/// Commitments are those of the statement, scores those of the reference, and the root is that of the tree over them.
#[test]
fn the_witness_says_what_statement_and_reference_say() {
    let case = &*HONEST;
    assert_eq!(case.witness.windows.len(), 50);
    for (window, public) in case.windows.iter().zip(&case.witness.windows) {
        assert_eq!(public.score, case.network.score(window.features()).unwrap());
        assert_eq!(public.commitment, commit(SCHEMA, window.features(), window.salt()).unwrap());
    }
    let scores: Vec<i64> = case.witness.windows.iter().map(|public| public.score).collect();
    assert!(scores.iter().any(|&score| score < 0) && scores.iter().any(|&score| score > 0));
    let tree = AuditTree::new(&case.witness.windows, case.layout.plan.slots);
    assert_eq!(tree.public(), case.witness.public());
    assert_eq!(case.witness.public().count(), 50);
}

#[test]
fn wrong_public_values_are_refused() {
    for index in [0, 1] {
        for by in [Fr::ONE, -Fr::ONE] {
            let mut case = HONEST.clone();
            case.instances[index] += by;
            assert_eq!(case.failures(), only("totals"));
        }
    }
}

/// Another score in the leaf, with a tree and a root to match.
#[test]
fn a_wrong_score_is_refused() {
    let mut case = HONEST.clone();
    let public = case.witness.windows[SLOT];
    let score = field_from_i64(public.score + 1);
    case.bend_slot(SLOT, |layout, rows| fill_leaf(layout, public.commitment.to_field(), score, true, rows));
    assert_eq!(case.failures(), only("state"));
}

#[test]
fn a_wrong_commitment_is_refused() {
    let mut case = HONEST.clone();
    let public = case.witness.windows[SLOT];
    let commitment = public.commitment.to_field() + Fr::ONE;
    case.bend_slot(SLOT, |layout, rows| fill_leaf(layout, commitment, field_from_i64(public.score), true, rows));
    assert_eq!(case.failures(), only("state"));
}

/// Another salt is another commitment: the leaf that was proved is not the one of the window that was attested.
#[test]
fn a_wrong_salt_is_refused() {
    let mut case = HONEST.clone();
    let public = case.witness.windows[SLOT];
    let mut message = pack(case.windows[SLOT].features()).unwrap();
    message.push(Fr::from(1234));
    // The leaf keeps the commitment, the hash before it takes the other salt.
    case.bend_slot(SLOT, |layout, rows| {
        fill_commitment(layout, &message, rows);
        fill_leaf(layout, public.commitment.to_field(), field_from_i64(public.score), true, rows)
    });
    assert_eq!(case.failures(), only("state"));
    // The leaf follows, and the root no longer is the published one.
    let root = HONEST.instances[0];
    case.bend_slot(SLOT, |layout, rows| {
        let commitment = fill_commitment(layout, &message, rows);
        fill_leaf(layout, commitment, field_from_i64(public.score), true, rows)
    });
    assert_eq!(case.failures(), none());
    case.instances[0] = root;
    assert_eq!(case.failures(), only("totals"));
}

/// The hash of other features than those the network sees.
#[test]
fn hashed_features_are_the_evaluated_ones() {
    let mut case = HONEST.clone();
    let score = field_from_i64(case.witness.windows[SLOT].score);
    let mut message = pack(&[0; 18]).unwrap();
    message.push(Fr::from(1234));
    case.bend_slot(SLOT, |layout, rows| {
        let commitment = fill_commitment(layout, &message, rows);
        fill_leaf(layout, commitment, score, true, rows)
    });
    assert_eq!(case.failures(), only("totals"));
}

/// Proper limbs of a wrong number, in each layer and in padding.
#[test]
fn a_wrong_accumulator_is_refused_in_each_layer() {
    for (slot, neuron) in [(SLOT, 0), (SLOT, 4), (SLOT, 5), (SLOT, 8), (0, 2), (63, 2), (PADDING, 7)] {
        for by in [1, 1024] {
            let mut case = HONEST.clone();
            case.bend_unit(slot, case.layout.window.neurons[neuron], |limbs| {
                let t = small(limbs.sum()) - (1 << 30);
                Limbs::of_sum(if t < 0 { t + by } else { t - by }).0.map(Fr::from)
            });
            case.settle(slot, 9);
            assert_eq!(case.failures(), only("totals"), "slot {slot}, neuron {neuron}");
        }
    }
}

#[test]
fn a_wrong_feature_is_refused() {
    for (pair, place) in [(0, 0), (3, 1), (8, 0)] {
        let mut case = HONEST.clone();
        case.bend_unit(SLOT, case.layout.window.inputs[pair], |limbs| {
            let mut digits = limbs.digits().map(|digit| u64::try_from(small(digit)).unwrap());
            digits[place] ^= 1;
            Limbs::of_digits(digits).0.map(Fr::from)
        });
        assert_eq!(case.failures(), only("totals"));
    }
}

/// A limb of 2^10 or more with the next one lowered: `T` stays, so only the range argument sees it.
#[test]
fn a_limb_out_of_range_is_refused() {
    let row = HONEST.layout.window.neurons[1];
    for lower in [0, 1] {
        let mut case = HONEST.clone();
        case.bend_unit(SLOT, row, |Limbs(mut limbs)| {
            limbs[lower] += Fr::from(1 << 10);
            limbs[lower + 1] -= Fr::ONE;
            limbs
        });
        assert_eq!(case.failures(), only("totals"), "limb {lower}");
    }
    // The third limb has no next one but the sign.
    let mut case = HONEST.clone();
    case.bend_unit(SLOT, row, |Limbs([first, second, third, sign])| {
        let borrowed = Fr::from(1 << 10) * (Fr::ONE - sign - sign);
        [first, second, third - borrowed, Fr::ONE - sign]
    });
    assert!(case.failures().contains("totals"));
    // A feature's upper limb has six bits, though the table beside neurons has ten.
    let row = HONEST.layout.window.inputs[0];
    for (lower, upper) in [(0, 2), (1, 3)] {
        let mut case = HONEST.clone();
        case.bend_unit(SLOT, row, |Limbs(mut limbs)| {
            limbs[lower] = Fr::ZERO;
            limbs[upper] = Fr::from(64);
            limbs
        });
        assert_eq!(case.failures(), only("totals"), "limb {upper}");
    }
}

/// With the two upper limbs 0, a sign of 2 would give `T` of 2^30, which is no `T` at all.
#[test]
fn a_sign_is_a_bit() {
    let mut case = HONEST.clone();
    case.bend_unit(SLOT, case.layout.window.neurons[0], |Limbs([first, second, third, _])| {
        [first, second, third, Fr::from(2)]
    });
    assert!(case.failures().contains("limbs"));
}

#[test]
fn a_multiplicity_off_by_one_is_refused() {
    for (table, number) in [(0, 0), (0, 511), (0, 1023), (1, 0), (1, 63)] {
        let mut case = HONEST.clone();
        let row = case.layout.tables[table][number];
        case.witness.rows[row].extra[1] += Fr::ONE;
        assert_eq!(case.failures(), only("totals"));
    }
}

/// Multiplicities cannot stand where something is absorbed, nor beyond the windows.
#[test]
fn tables_stand_where_nothing_is_absorbed() {
    let layout = &HONEST.layout;
    for (of_inputs, table) in layout.tables.iter().enumerate() {
        assert_eq!(table.len(), [1 << 10, 1 << 6][of_inputs]);
        for (number, &row) in table.iter().enumerate() {
            let fixed = &layout.fixed[row];
            assert_eq!((fixed.constants[3], fixed.bus), (Fr::from(number as u64), 0));
            assert_eq!(fixed.full, of_inputs as u64 + 1);
        }
    }
    let others = layout.fixed.iter().enumerate().filter(|(row, fixed)| {
        fixed.full != 0 && fixed.bus == 0 && !layout.tables.iter().any(|table| table.binary_search(row).is_ok())
    });
    assert!(others.into_iter().all(|(_, fixed)| fixed.constants[3] == Fr::ZERO), "they repeat a number that is there");
}

/// Two leaves exchanged in the tree: each path leads to the other's place.
#[test]
fn swapped_leaves_are_refused() {
    let mut case = HONEST.clone();
    let mut leaves = case.leaves();
    leaves.swap(SLOT, SLOT + 1);
    case.set_tree(leaves);
    assert_eq!(case.failures(), only("totals"));
}

/// One leaf in the place of another.
#[test]
fn a_duplicated_leaf_is_refused() {
    let mut case = HONEST.clone();
    let mut leaves = case.leaves();
    leaves[SLOT] = leaves[SLOT + 7];
    case.set_tree(leaves);
    assert_eq!(case.failures(), only("totals"));
}

/// A leaf that no window has.
#[test]
fn a_leaf_from_nowhere_is_refused() {
    let mut case = HONEST.clone();
    let mut leaves = case.leaves();
    leaves[PADDING] = Fr::from(77);
    case.set_tree(leaves);
    assert_eq!(case.failures(), only("totals"));
}

/// Two nodes of an inner level exchanged, with everything above them to match.
#[test]
fn swapped_nodes_are_refused() {
    let mut case = HONEST.clone();
    let [first, second] = [10, 11].map(|node| case.layout.slot(node + 1).start + case.layout.window.children);
    let (left, right) = (case.witness.rows[first].extra, case.witness.rows[second].extra);
    let layout = Arc::clone(&case.layout);
    for (node, children) in [(10, right), (11, left)] {
        fill_node(&layout, children, &mut case.witness.rows[layout.slot(node + 1)]);
    }
    assert_eq!(case.failures(), only("totals"));
}

/// Nobody can publish another root by a node in the first slot, which holds none.
#[test]
fn the_first_slot_has_no_node() {
    let mut case = HONEST.clone();
    let layout = Arc::clone(&case.layout);
    fill_node(&layout, [Fr::ONE, Fr::ONE], &mut case.witness.rows[layout.slot(0)]);
    assert_eq!(case.failures(), only("totals"));
    let mut case = HONEST.clone();
    case.witness.rows[layout.slot(0).start + layout.window.node].limbs[3] = Fr::ONE;
    assert_eq!(case.failures(), only("totals"));
}

/// Padding that counts, windows that do not, and flags that are no flags.
#[test]
fn a_count_that_lies_is_refused() {
    let flag_of = |case: &mut Case, slot: usize, flag: Fr| {
        let row = case.layout.slot(slot).start + case.layout.window.leaf;
        case.witness.rows[row].limbs[3] = flag;
        case.recount();
    };
    // Marked otherwise than in the tree.
    for (slot, flag) in [(SLOT, Fr::ZERO), (PADDING, Fr::ONE)] {
        let mut case = HONEST.clone();
        flag_of(&mut case, slot, flag);
        assert_eq!(case.failures(), only("totals"));
        // And counted as marked, but with the tree as it was.
        case.instances[1] += flag + flag - Fr::ONE;
        assert_eq!(case.failures(), only("totals"));
    }
    // Padding that is in the tree and counts is a window like any other.
    let mut case = HONEST.clone();
    flag_of(&mut case, PADDING, Fr::ONE);
    let mut leaves = case.leaves();
    leaves[PADDING] = case.witness.rows[case.layout.slot(PADDING).start + case.layout.window.leaf].state[1];
    case.set_tree(leaves);
    assert_eq!(case.failures(), only("totals"));
    case.instances[1] += Fr::ONE;
    assert_eq!(case.failures(), none());
    // One window that counts twice and one that counts less than nothing.
    let mut case = HONEST.clone();
    flag_of(&mut case, SLOT, Fr::from(2));
    assert!(case.failures().contains("limbs"));
    // A node that is taken out of the tree and made up for by a flag.
    let mut case = HONEST.clone();
    let row = case.layout.slot(SLOT).start + case.layout.window.node;
    case.witness.rows[row].limbs[3] = Fr::ONE;
    case.recount();
    assert_eq!(case.failures(), only("totals"));
}

/// Every cell that is not known to be free counts. Of each sort of row one is taken, in the slot in the middle.
#[test]
fn every_cell_counts() {
    let layout = &HONEST.layout;
    let first = layout.slot(SLOT).start;
    let mut seen = BTreeSet::new();
    let mut cells = Vec::new();
    for (offset, row) in layout.window.rows.iter().enumerate() {
        let sort = format!("{:?} {:?} {:?} {}", std::mem::discriminant(&row.hash), row.feed, row.bus, row.is_inputs());
        let used_cells = used(row, offset);
        if seen.insert(sort) {
            cells.extend(used_cells.into_iter().map(|cell| (first + offset, cell)));
        }
    }
    assert!(cells.len() > 80, "{} cells of {} sorts", cells.len(), seen.len());
    cells.into_par_iter().for_each(|(row, cell)| {
        let mut case = HONEST.clone();
        *cell_mut(&mut case.witness.rows[row], cell) += Fr::ONE;
        assert!(!case.failures().is_empty(), "row {row}, cell {cell}");
    });
}

/// Each way to bend the second phase so that a wrong number passes.
#[test]
fn no_sum_can_be_bent() {
    let mut wrong = HONEST.clone();
    wrong.bend_unit(SLOT, wrong.layout.window.neurons[0], |limbs| {
        Limbs::of_sum(small(limbs.sum()) - (1 << 30) + 1).0.map(Fr::from)
    });
    let ends_at = |layout: &Layout| layout.slot(layout.plan.slots).end;
    let bends: [(&str, Bend); 6] = [
        // The balance is said to be 0 at its end.
        ("totals", Arc::new(move |layout, rows| rows[ends_at(layout)].balance = Fr::ZERO)),
        // It begins at what it lacks.
        (
            "totals",
            Arc::new(move |layout, rows| {
                let lacking = rows[ends_at(layout)].balance;
                rows.iter_mut().for_each(|row| row.balance -= lacking);
            }),
        ),
        // A sum of the totals is what would do.
        (
            "sums",
            Arc::new(move |layout, rows| {
                let lacking = rows[ends_at(layout)].balance;
                let totals = layout.slot(layout.plan.slots);
                let row = totals.start + layout.window.neurons[0];
                let by = rows[row].factors[0];
                rows[row].sums[0] -= lacking * by.invert().unwrap();
                rows[row + 1..=totals.end].iter_mut().for_each(|row| row.balance -= lacking);
            }),
        ),
        // A factor of the totals is what would do.
        (
            "factors",
            Arc::new(move |layout, rows| {
                let lacking = rows[ends_at(layout)].balance;
                let totals = layout.slot(layout.plan.slots);
                let row = totals.start + layout.window.neurons[0];
                let by = rows[row].sums[0];
                rows[row].factors[0] -= lacking * by.invert().unwrap();
                rows[row + 1..=totals.end].iter_mut().for_each(|row| row.balance -= lacking);
            }),
        ),
        // The balance jumps within the windows.
        (
            "range",
            Arc::new(move |layout, rows| {
                let lacking = rows[ends_at(layout)].balance;
                rows[1000..].iter_mut().for_each(|row| row.balance -= lacking);
            }),
        ),
        // A fraction is what would do.
        (
            "range",
            Arc::new(move |layout, rows| {
                let lacking = rows[ends_at(layout)].balance;
                rows[999].fraction -= lacking;
                rows[1000..].iter_mut().for_each(|row| row.balance -= lacking);
            }),
        ),
    ];
    for (index, (expected, bend)) in bends.into_iter().enumerate() {
        let mut case = wrong.clone();
        case.second = bend;
        assert_eq!(case.failures(), only(expected), "bend {index}");
    }
}

/// Sums and factors begin at 0: otherwise any total could be reached.
#[test]
fn sums_and_factors_begin_at_zero() {
    let bend = |place: usize, of_sums: bool| -> Bend {
        Arc::new(move |layout, rows| {
            let period = layout.window.period;
            for offset in [0, 1, period - 1] {
                let cell = if of_sums { &mut rows[offset].sums } else { &mut rows[offset].factors };
                cell[place] += Fr::ONE;
            }
        })
    };
    for place in [0, 1] {
        for of_sums in [true, false] {
            let mut case = HONEST.clone();
            case.second = bend(place, of_sums);
            assert!(case.failures().contains("totals"));
        }
    }
}

/// A change to the second phase, made with what follows from the challenges.
type Bend = Arc<dyn Fn(&Layout, &mut [SecondPhaseRow]) + Send + Sync>;

/// A circuit whose witness, public values and second phase can be tampered with.
#[derive(Clone)]
struct Case {
    layout: Arc<Layout>,
    network: Arc<IntegerNetwork>,
    windows: Vec<AuditWindow>,
    witness: Witness,
    instances: [Fr; 2],
    second: Bend,
}

impl Case {
    fn random(dims: &[usize], seed: u64, windows: usize) -> Self {
        let network = random_network(dims, seed, (-8192, 8192));
        let plan = AuditPlan::for_windows(&network, windows).unwrap();
        Self::on_plan(plan, network, seed, windows)
    }

    fn on_plan(plan: AuditPlan, network: IntegerNetwork, seed: u64, windows: usize) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut window = || AuditWindow::new(random_features(&network, &mut rng), Salt::random(&mut rng));
        let windows = (0..windows).map(|_| window()).collect();
        Self::new(plan, network, windows)
    }

    fn new(plan: AuditPlan, network: IntegerNetwork, windows: Vec<AuditWindow>) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(99);
        let layout = Arc::new(Layout::new(plan, &network, SCHEMA).unwrap());
        let witness = witness::fill(&layout, &network, &windows, &mut rng).unwrap();
        let instances = witness.public().instances();
        Self { layout, network: Arc::new(network), windows, witness, instances, second: Arc::new(|_, _| ()) }
    }

    /// Names of the gates that are violated.
    fn failures(&self) -> BTreeSet<String> {
        let prover = MockProver::run(self.layout.plan.k, self, vec![self.instances.to_vec()]).unwrap();
        let name = |failure: VerifyFailure| match failure {
            VerifyFailure::ConstraintNotSatisfied { constraint, .. } => {
                let text = constraint.to_string();
                text.split('\'').nth(1).unwrap_or(&text).to_owned()
            }
            other => other.to_string(),
        };
        prover.verify().err().unwrap_or_default().into_iter().map(name).collect()
    }

    /// Digests of all leaves, padding included.
    fn leaves(&self) -> Vec<Fr> {
        let digest = |slot: usize| {
            let row = &self.witness.rows[self.layout.slot(slot).start + self.layout.window.leaf];
            row.state[1] * row.limbs[3]
        };
        (0..self.layout.plan.slots).map(digest).collect()
    }

    /// Puts a tree over these leaves in place of the one there is, and publishes its root.
    fn set_tree(&mut self, leaves: Vec<Fr>) {
        let tree = AuditTree::of_leaves(leaves, self.windows.len());
        let layout = Arc::clone(&self.layout);
        for slot in 1..layout.plan.slots {
            fill_node(&layout, tree.children(slot.checked_sub(1)), &mut self.witness.rows[layout.slot(slot)]);
        }
        self.instances[0] = tree.public().instances()[0];
        self.witness.tree = tree;
        self.recount();
    }

    /// Changes a slot up to its leaf, and the tree to match.
    fn bend_slot(&mut self, slot: usize, bend: impl Fn(&Layout, &mut [FirstPhaseRow]) -> Fr) {
        let layout = Arc::clone(&self.layout);
        bend(&layout, &mut self.witness.rows[layout.slot(slot)]);
        self.set_tree(self.leaves());
    }

    /// Changes the limbs of a row of a slot, and counts again what is looked up now.
    fn bend_unit(&mut self, slot: usize, row: usize, bend: impl Fn(Limbs<Fr>) -> [Fr; 4]) {
        let row = &mut self.witness.rows[self.layout.slot(slot).start + row];
        row.limbs = bend(Limbs(row.limbs));
        self.recount();
    }

    /// Hashes a slot's score anew if this is the number of the neuron that was bent.
    fn settle(&mut self, slot: usize, score: usize) {
        let rows = &self.witness.rows[self.layout.slot(slot)];
        let limbs = rows[self.layout.window.neurons[score]].limbs;
        let leaf = self.layout.window.permutation(self.layout.window.permutations.len() - 2).start;
        let commitment = rows[leaf].state[1] - rounds::constants()[0][1];
        let is_real = rows[self.layout.window.leaf].limbs[3] == Fr::ONE;
        self.bend_slot(slot, |layout, rows| fill_leaf(layout, commitment, Limbs(limbs).score(), is_real, rows));
    }

    fn recount(&mut self) {
        fill_multiplicities(&self.layout, &mut self.witness.rows);
    }
}

impl Circuit<Fr> for Case {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = AuditPlan;

    fn params(&self) -> AuditPlan {
        self.layout.plan.clone()
    }

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> Columns {
        unreachable!()
    }

    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, plan: AuditPlan) -> Columns {
        configure(meta, &plan)
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let second = |layout: &Layout, witness: &Witness, challenges: &Challenges| {
            let mut rows = sums::second_phase(layout, &witness.rows, self.instances, challenges);
            (self.second)(layout, &mut rows);
            rows
        };
        synthesize(&self.layout, Some(&self.witness), second, &columns, &mut layouter)
    }
}

/// Cells of a row that mean something: states 0 to 2, powers 3 to 5, extra cells 6 and 7, limbs 8 to 11.
fn used(row: &window::WindowRow, offset: usize) -> Vec<usize> {
    let mut cells: Vec<usize> = vec![0, 1, 2, 3];
    match row.hash {
        HashRow::Full(_) | HashRow::Single(_) => cells.extend([4, 5]),
        HashRow::Four(_) => cells.extend([4, 5, 6, 7]),
        HashRow::Idle => {}
    }
    match row.bus {
        Bus::Absorb | Bus::Children => cells.extend([6, 7]),
        Bus::Out => cells.push(11),
        Bus::None if row.holds_table() => cells.push(7),
        Bus::None => {}
    }
    match row.unit {
        Unit::Neuron(Some(_)) => cells.extend([8, 9, 10, 11]),
        // Eighteen features fill all pairs.
        Unit::Inputs(_) => cells.extend([8, 9, 10, 11]),
        Unit::Neuron(None) => {}
    }
    // The state of the very first row comes from nowhere and goes nowhere.
    if offset == 0 { cells.into_iter().filter(|&cell| cell > 3).collect() } else { cells }
}

fn cell_mut(row: &mut FirstPhaseRow, cell: usize) -> &mut Fr {
    match cell {
        0..3 => &mut row.state[cell],
        3..6 => &mut row.power[cell - 3],
        6..8 => &mut row.extra[cell - 6],
        _ => &mut row.limbs[cell - 8],
    }
}

/// The small number that an element is.
fn small(element: Fr) -> i64 {
    crate::statement::field_to_i64(element).unwrap()
}

fn none() -> BTreeSet<String> {
    BTreeSet::new()
}

fn only(name: &str) -> BTreeSet<String> {
    BTreeSet::from([name.to_owned()])
}

/// Random flips of whole rows, wherever they are: nothing of a window is without consequence.
#[test]
fn rows_of_two_windows_cannot_be_exchanged() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let period = HONEST.layout.window.period;
    let exchanges: Vec<(usize, usize)> = (0..24).map(|_| (rng.gen_range(0..period), rng.gen_range(1..50))).collect();
    exchanges.into_par_iter().for_each(|(offset, slot)| {
        let mut case = HONEST.clone();
        let [one, other] = [case.layout.slot(0).start, case.layout.slot(slot).start].map(|start| start + offset);
        let same = |row: &FirstPhaseRow| (row.state, row.power, row.extra, row.limbs);
        if same(&case.witness.rows[one]) != same(&case.witness.rows[other]) {
            case.witness.rows.swap(one, other);
            assert!(!case.failures().is_empty(), "row {offset} of windows 0 and {slot}");
        }
    });
}
