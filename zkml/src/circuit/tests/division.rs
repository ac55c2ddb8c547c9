//! A neuron's `T` is divided by 2^10 with a remainder: other quotients and remainders, roundings and encodings of what
//! comes out.

use hygeia_inference::Dense;

use super::*;

/// Changes to the three limbs of a node that keep `T`: the remainder too large, below 0 so that it wraps the field, lower
/// still; a quotient whose upper limb is too large; and a part of a limb, which only a field has.
fn other_divisions() -> Vec<[Fr; 3]> {
    let step = Fr::from(1 << 10);
    let part = step.invert().unwrap();
    vec![
        [step, -Fr::ONE, Fr::ZERO],
        [-step, Fr::ONE, Fr::ZERO],
        [-step * Fr::from(1_000_000), Fr::from(1_000_000), Fr::ZERO],
        [-step * step * step, Fr::ZERO, step],
        [Fr::ONE, -part, Fr::ZERO],
    ]
}

/// The score is another, `T` is what it must be, and every number that can be counted is: only the range argument sees it.
#[test]
fn a_score_of_another_division_is_refused() {
    let honest = Case::random(&[30, 5, 1], 31);
    let row = honest.layout.score_row();
    let published = other_divisions().into_iter().take(4);
    for change in published {
        let mut case = honest.clone();
        case.divide_otherwise(row, change);
        case.publish_score_of_limbs();
        assert_ne!(case.instances, honest.instances);
        assert_eq!(case.failures(), only("range"));
    }
    let mut case = honest.clone();
    case.divide_otherwise(row, [Fr::ZERO; 3]);
    case.publish_score_of_limbs();
    assert_eq!((case.failures(), case.instances), (none(), honest.instances));
}

/// The activation of a negative `T` is 0 whatever its quotient is, so nothing else is wrong.
#[test]
fn a_remainder_or_quotient_out_of_range_is_refused() {
    let honest = Case::random(&[30, 5, 1], 11);
    let row = honest.node_with(|t| t < 0);
    for change in other_divisions() {
        let mut case = honest.clone();
        case.divide_otherwise(row, change);
        assert_eq!(case.pre_activation(row), honest.pre_activation(row));
        assert_eq!(case.failures(), only("range"));
    }
}

/// The activation of a positive `T` goes into the next layer: there a wrong quotient is a wrong input as well.
#[test]
fn an_activation_of_another_division_is_refused() {
    let honest = Case::random(&[30, 5, 1], 11);
    let row = honest.node_with(|t| t > 0);
    for change in other_divisions() {
        let mut case = honest.clone();
        case.divide_otherwise(row, change);
        let failures = case.failures();
        assert!(
            failures.contains("range") && failures.is_subset(&BTreeSet::from(["range", "seams"].map(str::to_owned)))
        );
    }
}

/// Scores are rounded down, negative ones too: neither towards 0 nor to the nearest.
#[test]
fn a_score_rounded_otherwise_is_refused() {
    let layers = || vec![Dense { weights: vec![vec![1]], bias: vec![0] }.into()];
    for (t, score) in [(-1025, -2), (-1024, -1), (-1023, -1), (-1, -1), (0, 0), (1, 0), (1023, 0), (1024, 1)] {
        let honest = Case::new(IntegerNetwork::new(layers(), vec![(-2000, 2000)]).unwrap(), vec![t]);
        assert_eq!((honest.witness.public.score, honest.failures()), (score, none()), "T of {t}");
        for other in [score - 1, score + 1] {
            let mut case = honest.clone();
            case.instances[1] = field_from_i64(other);
            case.witness.public.score = other;
            assert_eq!(case.failures(), only("seams"), "{other} for a T of {t}");
        }
    }
}

/// A negative score is the modulus less its magnitude, and no machine's two's complement of it.
#[test]
fn a_negative_score_has_one_encoding() {
    let negative = |case: &Case| case.witness.public.score < 0;
    let honest = (40..).map(|seed| Case::random(&[30, 5, 1], seed)).find(negative).unwrap();
    let magnitude = Fr::from(honest.witness.public.score.unsigned_abs());
    assert_eq!(honest.instances[1], -magnitude);
    let wrapped = |bits: u64| Fr::from(2).pow_vartime([bits]) - magnitude;
    for encoding in [magnitude, wrapped(32), wrapped(64), wrapped(128), wrapped(253), wrapped(256)] {
        let mut case = honest.clone();
        case.instances[1] = encoding;
        assert_eq!(case.failures(), only("seams"));
    }
}

impl Case {
    /// Adds to the limbs of the node that ends on this row, and counts of all numbers those that can be counted.
    fn divide_otherwise(&mut self, row: usize, change: [Fr; 3]) {
        for (cell, by) in self.witness.first.limb[row - 2..=row].iter_mut().zip(change) {
            *cell += by;
        }
        let layout = Arc::clone(&self.layout);
        let mut times = vec![0_u64; layout.table_rows.len()];
        for limb in layout.network_rows().map(|row| self.witness.first.limb[row]) {
            let number = crate::statement::field_to_i64(limb).and_then(|limb| usize::try_from(limb).ok());
            number.and_then(|number| times.get_mut(number)).into_iter().for_each(|times| *times += 1);
        }
        for (&row, times) in layout.table_rows.iter().zip(times) {
            self.witness.first.cell[row] = Fr::from(times);
        }
    }
}
