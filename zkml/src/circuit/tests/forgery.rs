//! Dishonest witnesses, public values and running sums.

use hygeia_inference::Dense;

use super::*;
use crate::{
    circuit::{codes, hash},
    statement::{FEATURE_OFFSET, pack},
};

#[test]
fn wrong_public_values_are_refused() {
    let honest = Case::random(&[30, 5, 1], 7);
    for index in [0, 1] {
        let mut case = honest.clone();
        case.instances[index] += Fr::ONE;
        assert_eq!(case.failures(), only("seams"));
    }
    // The prover, too, begins with the wrong value: then it does not come out in the end.
    let mut case = honest.clone();
    case.instances[1] += Fr::ONE;
    case.witness.public.score += 1;
    assert_eq!(case.failures(), only("seams"));
}

#[test]
fn another_salt_gives_another_commitment() {
    let mut case = Case::random(&[30, 5, 1], 8);
    let mut message = pack(&case.features).unwrap();
    message.push(Fr::from(1234));
    hash::fill(&case.layout.hash, &message, &mut case.witness.first);
    assert_eq!(case.failures(), only("seams"));
}

/// The hash of other features than those the network sees.
#[test]
fn hashed_features_are_the_evaluated_ones() {
    for changed in [0, 14, 15, 29] {
        let mut case = Case::random(&[30, 5, 1], 9);
        let mut features = case.features.clone();
        features[changed] ^= 1;
        let mut message = pack(&features).unwrap();
        message.push(Fr::from(1234));
        let digest = hash::fill(&case.layout.hash, &message, &mut case.witness.first);
        case.publish_commitment(digest);
        assert_eq!(case.failures(), only("seams"), "feature {changed}");
    }
}

/// Elements exchanged, or their sum kept while each is wrong: places tell them apart.
#[test]
fn elements_keep_their_places() {
    let honest = Case::random(&[50, 5, 1], 19);
    let elements = pack(&honest.features).unwrap();
    let forged = |change: &dyn Fn(&mut Vec<Fr>)| {
        let mut case = honest.clone();
        let mut message = elements.clone();
        change(&mut message);
        message.push(honest.salt.to_field());
        let digest = hash::fill(&case.layout.hash, &message, &mut case.witness.first);
        case.publish_commitment(digest);
        case.failures()
    };
    assert_eq!(forged(&|_| ()), none());
    for (one, other) in [(0, 1), (1, 2), (0, 2), (2, 3)] {
        assert_eq!(forged(&|message| message.swap(one, other)), only("seams"), "{one} and {other}");
        let shifted = |message: &mut Vec<Fr>| {
            message[one] += Fr::ONE;
            message[other] -= Fr::ONE;
        };
        assert_eq!(forged(&shifted), only("seams"), "{one} and {other}");
    }
}

/// With four elements the salt stands alone in the last block: what fills the block up must be 0.
#[test]
fn the_last_block_is_filled_up_with_zero() {
    let mut case = Case::random(&[50, 5, 1], 20);
    let mut message = pack(&case.features).unwrap();
    message.push(case.salt.to_field());
    message.push(Fr::ONE);
    let digest = hash::fill(&case.layout.hash, &message, &mut case.witness.first);
    case.publish_commitment(digest);
    assert_eq!(case.failures(), only("seams"));
}

/// Full rounds, partial rounds, absorptions, the digest taken out: state, elements and scratch.
#[test]
fn every_cell_of_the_hash_counts() {
    let honest = Case::random(&[30, 5, 1], 10);
    let (start, end) = (honest.layout.hash.start, honest.layout.hash.closing - honest.layout.hash.start);
    let failures = |change: &dyn Fn(&mut FirstPhaseValues)| {
        let mut case = honest.clone();
        change(&mut case.witness.first);
        case.failures()
    };
    for offset in [3, 5, 6, 14, 15, 17, 71, 83, 84, 86, 87, end - 4, end - 2, end - 1, end, end + 1] {
        assert!(!failures(&|first| first.cell[start + offset] += Fr::ONE).is_empty(), "cell, row {offset}");
    }
    for offset in [0, 1, 3, 5, 14, 15, 16, 17, 71, 84, 85, end - 4, end - 3] {
        assert!(!failures(&|first| first.limb[start + offset] += Fr::ONE).is_empty(), "limb, row {offset}");
    }
    for offset in [16, 17, 70, 71] {
        assert_eq!(failures(&|first| first.scratch[start + offset] += Fr::ONE), only("hash"), "scratch, row {offset}");
    }
    // The state before the first absorption is not asked for, nor what stands beside two elements.
    assert_eq!(failures(&|first| first.cell[start] += Fr::ONE), none());
    assert_eq!(failures(&|first| first.limb[start + 2] += Fr::ONE), none());
}

/// A limb of 1024 and more with the next one lowered: `T` and activation stay, so only the range argument sees it.
#[test]
fn a_limb_out_of_range_is_refused() {
    let mut case = Case::random(&[30, 5, 1], 11);
    let row = case.node_with(|t| t.abs() > 1 << 21);
    case.witness.first.limb[row - 1] += Fr::from(1 << 10);
    case.witness.first.limb[row] -= Fr::ONE;
    assert_eq!(case.failures(), only("range"));

    // A running sum that ends as it must, and one that starts at what is missing.
    let mut forged = case.clone();
    forged.second = Arc::new(|layout, values, _| values.tally[layout.score_row()] = Fr::ZERO);
    assert_eq!(forged.failures(), only("range"));
    case.second = Arc::new(|layout, values, _| {
        let missing = values.tally[layout.score_row()];
        values.tally[layout.opening..=layout.score_row()].iter_mut().for_each(|tally| *tally -= missing);
    });
    assert_eq!(case.failures(), only("seams"));
}

#[test]
fn a_multiplicity_off_by_one_is_refused() {
    let honest = Case::random(&[30, 5, 1], 12);
    for number in [0, 1, 512, 1023] {
        let mut case = honest.clone();
        case.witness.first.cell[honest.layout.table_rows[number]] += Fr::ONE;
        assert_eq!(case.failures(), only("range"));
    }
}

/// On the last row of a feature stands neither sign nor count: nothing can be counted there.
#[test]
fn nothing_is_counted_beside_a_node() {
    let mut case = Case::random(&[30, 5, 1], 21);
    let zeros = case.layout.table_rows[0];
    let feature = case.layout.nodes[0][3];
    case.witness.first.cell[feature] = Fr::from(7);
    assert_eq!(case.failures(), none());
    case.witness.first.cell[zeros] -= Fr::from(7);
    assert_eq!(case.failures(), only("range"));
}

/// With `u = 0`, a sign of `T + 1` would give every `T`, and 0 for its activation.
#[test]
fn a_sign_is_a_bit() {
    let layers = [(0, 5), (1, 0)].map(|(weight, bias)| Dense { weights: vec![vec![weight]], bias: vec![bias] }.into());
    let mut case = Case::new(IntegerNetwork::new(layers.into(), vec![(-10, 10)]).unwrap(), vec![3]);
    let row = case.layout.nodes[1][0];
    case.set_node(row, &Node { sign: 6, low: 0, middle: 0, high: 0 });
    case.recount();
    assert_eq!(case.failures(), only("nodes"));
}

/// A feature whose weights are all zero can only be caught by its own range check.
#[test]
fn a_feature_has_sixteen_bits() {
    let layers = vec![Dense { weights: vec![vec![0]], bias: vec![5] }.into()];
    let network = IntegerNetwork::new(layers, vec![(-10, 10)]).unwrap();
    for (high, expected) in [(1024, "range"), (0, "nodes")] {
        let mut case = Case::new(network.clone(), vec![3]);
        case.set_node(case.layout.nodes[0][0], &Node { sign: 0, low: 0, middle: 64, high });
        let message = [Fr::from(1 << 16), case.salt.to_field()];
        let digest = hash::fill(&case.layout.hash, &message, &mut case.witness.first);
        case.publish_commitment(digest);
        if high < 1024 {
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
        case.shift_node(case.layout.nodes[layer][0], 1024);
        case.recount();
        case.publish_score_of_limbs();
        assert_eq!(case.failures(), only("seams"), "layer {layer}");
    }
}

/// The other sign of the same number: `T` and `-1 - T` have the same limbs.
#[test]
fn the_other_sign_is_refused() {
    for layer in [1, 2] {
        let mut case = Case::random(&[30, 5, 1], 22);
        let row = case.layout.nodes[layer][0];
        case.witness.first.cell[row] = Fr::ONE - case.witness.first.cell[row];
        case.publish_score_of_limbs();
        assert_eq!(case.failures(), only("seams"), "layer {layer}");
    }
}

/// A wrong output, and each way to bend a running sum so that it closes nevertheless.
#[test]
fn no_running_sum_can_be_bent() {
    let mut wrong = Case::random(&[30, 5, 1], 15);
    wrong.shift_node(wrong.layout.score_row(), 1024);
    wrong.recount();
    wrong.publish_score_of_limbs();

    // The sum is off by 1024 s. It closes when it starts at what it lacks, lifted through three layers.
    let started_off: Bend = Arc::new(|layout, values, challenges| {
        let lift = challenges.layer.invert().unwrap();
        let mut offset = -Fr::from(1024) * challenges.layer;
        for row in (0..layout.hash.closing).rev() {
            values.sum[row] += offset;
            if layout.fixed.mark[row] == codes::mark::LAYER {
                offset *= lift;
            }
        }
    });
    // Or when the seam passes a weight on as biases of a layer before the first.
    let bias_before_all: Bend = {
        let started_off = Arc::clone(&started_off);
        Arc::new(move |layout, values, challenges| {
            let honest = values.sum[layout.opening];
            started_off(layout, values, challenges);
            values.weight[layout.opening] = honest - values.sum[layout.opening];
            values.sum[layout.opening] = honest;
            values.sum[layout.opening - 1] = Fr::ZERO;
        })
    };
    let closed_by_force: Bend = Arc::new(|layout, values, _| values.sum[layout.hash.closing - 1] = Fr::ZERO);
    // A place that makes the last sum right.
    let last_place: Bend = Arc::new(move |layout, values, _| values.place[layout.score_row()] = Fr::ZERO);
    // The sum set right within the rows of the hash, where only digest and elements are taken in.
    let set_right_later: Bend = Arc::new(|layout, values, challenges| {
        let rows = layout.hash.start + 40..layout.hash.closing;
        values.sum[rows].iter_mut().for_each(|sum| *sum -= Fr::from(1024) * challenges.layer);
    });
    for (bend, expected) in [
        (started_off, "seams"),
        (bias_before_all, "seams"),
        (closed_by_force, "layers"),
        (last_place, "layers"),
        (set_right_later, "layers"),
    ] {
        let mut case = wrong.clone();
        case.second = bend;
        assert!(case.failures().contains(expected), "{:?}", case.failures());
        assert!(case.failures().is_subset(&BTreeSet::from(["seams".to_owned(), "layers".to_owned()])));
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
    let layout = &honest.layout;
    let (first_node, last, hash) = (layout.nodes[0][0], layout.score_row(), layout.hash.start);
    for row in [layout.opening, first_node, first_node + 1, last - 1, last, hash + 50, layout.hash.closing - 1] {
        assert!(!bend(|values| &mut values.weight, row).is_empty(), "weight, row {row}");
        // At the opening no place is asked for: each layer begins with its own.
        assert_eq!(bend(|values| &mut values.place, row).is_empty(), row == layout.opening, "place, row {row}");
        assert!(!bend(|values| &mut values.sum, row).is_empty(), "sum, row {row}");
        if row <= last {
            assert!(!bend(|values| &mut values.tally, row).is_empty(), "tally, row {row}");
        }
    }
}

/// The offset is what makes the packed digit of the least feature 0.
#[test]
fn the_least_feature_packs_to_zero() {
    assert_eq!(pack(&[-FEATURE_OFFSET]).unwrap(), vec![Fr::ZERO]);
}

impl Case {
    /// Makes a digest the public commitment, and what the prover claims it is.
    fn publish_commitment(&mut self, digest: Fr) {
        self.instances[0] = digest;
        self.witness.public.commitment = crate::Commitment::from_field(digest);
    }
}
