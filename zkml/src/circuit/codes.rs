//! Selector columns that carry small codes instead of bits.
//!
//! A fixed column costs 32 bytes of proof and some 7,400 gas, so rows of different sorts share columns and tell themselves
//! apart by numbers. There are two codes:
//!
//! **Mark** says how the running sums of [`layers`](super::layers) go on from row to row. Its five values cost four
//! degrees, which gates that are linear in the running sums can afford.
//!
//! **Kind** says what a row holds. It is a pair of numbers in the columns `unit` and `round`, so chosen that for every
//! kind there are two lines through all other kinds and not through this one. The product of the two lines is the kind's
//! selector, of degree two, which leaves three to the S-boxes of the hash and to the sign of a neuron.
//!
//! ```text
//! round
//!   2    absorb
//!   1    partial rounds   feature, or seam where the mark is OFF
//!   0    plain            neuron                                   full round
//!        0                1                                        2          unit
//! ```

use halo2_axiom::{
    halo2curves::bn256::Fr,
    plonk::{Expression, VirtualCells},
    poly::Rotation,
};

use super::{columns::Columns, node::Number};

/// How the running sums go on. Codes of the column `mark`.
pub mod mark {
    /// No sum runs here.
    pub const OFF: u64 = 0;
    /// Within a node: all sums go on.
    pub const WITHIN: u64 = 1;
    /// A node begins: its weights are summed up anew, its place is one further.
    pub const NODE: u64 = 2;
    /// A layer begins: its weights are summed up anew, places begin at 1, and the layers before move up a power.
    pub const LAYER: u64 = 3;
    /// A feature begins that goes into the same packed element as the one before it.
    pub const NEXT_FEATURE: u64 = 4;
    /// Greatest code.
    pub const LAST: u64 = 4;
}

/// What a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Weights, entries of the range table, limbs that a later row speaks of; or nothing.
    Plain,
    /// The last row of a neuron; that of the output where the mark is [`mark::LAYER`].
    Neuron,
    /// The last row of a feature.
    Feature,
    /// Where running sums begin or end, outside of them.
    Seam,
    /// The last of three rows with the state before a full round of the hash.
    FullRound,
    /// The last of three rows with the state before three partial rounds.
    PartialRounds,
    /// The last of three rows with the state before two elements are absorbed.
    Absorb,
}

impl Kind {
    /// Codes in the columns `unit` and `round`.
    pub const fn codes(self) -> [u64; 2] {
        match self {
            Self::Plain => [0, 0],
            Self::Neuron => [1, 0],
            Self::Feature | Self::Seam => [1, 1],
            Self::FullRound => [2, 0],
            Self::PartialRounds => [0, 1],
            Self::Absorb => [0, 2],
        }
    }
}

/// Each 1 on its own sort of row, 0 on all others.
pub struct Selectors<T> {
    /// Some sum runs. Degree 4, as the others of the mark.
    pub on: T,
    /// [`mark::WITHIN`].
    pub within: T,
    /// [`mark::NODE`].
    pub node: T,
    /// [`mark::LAYER`].
    pub layer: T,
    /// [`mark::NEXT_FEATURE`].
    pub next_feature: T,
    /// [`Kind::Neuron`]. Degree 2.
    pub neuron: T,
    /// The neuron that is the output. Degree 3.
    pub output: T,
    /// [`Kind::Feature`] and [`Kind::Seam`]. Degree 2.
    pub feature_or_seam: T,
    /// [`Kind::Feature`]. Degree 3.
    pub feature: T,
    /// [`Kind::Seam`]. Degree 3.
    pub seam: T,
    /// [`Kind::FullRound`]. Degree 2.
    pub full_round: T,
    /// [`Kind::PartialRounds`]. Degree 2.
    pub partial_rounds: T,
    /// [`Kind::Absorb`]. Degree 2.
    pub absorb: T,
    /// Not the last row of a neuron or feature; of use on rows of the network alone. Degree 1.
    pub not_last: T,
}

impl<T: Number> Selectors<T> {
    /// From the columns of the two codes.
    pub fn new(mark: &T, unit: &T, round: &T) -> Self {
        let constant = |value: u64| T::constant(Fr::from(value));
        let half = Fr::from(2).invert().expect("two is not zero");
        let [within, node, layer, next_feature] =
            [mark::WITHIN, mark::NODE, mark::LAYER, mark::NEXT_FEATURE].map(|code| is(mark, code, mark::LAST));
        let off_the_line = constant(2) - unit.clone() - round.clone();
        let feature_or_seam = unit.clone() * round.clone();
        let neuron = unit.clone() * off_the_line.clone();
        Self {
            on: within.clone() + node.clone() + layer.clone() + next_feature.clone(),
            within,
            node,
            layer,
            next_feature,
            output: neuron.clone() * (mark.clone() - constant(mark::WITHIN)) * half,
            neuron,
            feature: feature_or_seam.clone() * mark.clone(),
            seam: feature_or_seam.clone() * (constant(1) - mark.clone()),
            feature_or_seam,
            full_round: unit.clone() * (unit.clone() - constant(1)) * half,
            partial_rounds: round.clone() * off_the_line,
            absorb: round.clone() * (round.clone() - constant(1)) * half,
            not_last: constant(1) - unit.clone(),
        }
    }
}

impl Selectors<Expression<Fr>> {
    /// Those of the current row.
    pub fn query(cells: &mut VirtualCells<'_, Fr>, columns: &Columns) -> Self {
        let [mark, unit, round] =
            [columns.mark, columns.unit, columns.round].map(|column| cells.query_fixed(column, Rotation::cur()));
        Self::new(&mark, &unit, &round)
    }
}

/// 1 where the column holds `code`, 0 where it holds any other code from 0 to `last`. Degree `last`.
pub fn is<T: Number>(column: &T, code: u64, last: u64) -> T {
    let others = (0..=last).filter(|&other| other != code);
    let scale: Fr = others.clone().map(|other| Fr::from(code) - Fr::from(other)).product();
    let inverse = scale.invert().expect("codes are distinct and small");
    let factors = others.map(|other| if other == 0 { column.clone() } else { minus(column, other) });
    let product = factors.reduce(|product, factor| product * factor).expect("a column has more than one code");
    product * inverse
}

fn minus<T: Number>(column: &T, code: u64) -> T {
    column.clone() - T::constant(Fr::from(code))
}

#[cfg(test)]
mod tests {
    use halo2_axiom::halo2curves::ff::Field;

    use super::*;

    fn selected(kind: Kind, mark: u64) -> Vec<(&'static str, Fr)> {
        let [unit, round] = kind.codes().map(Fr::from);
        let all = Selectors::new(&Fr::from(mark), &unit, &round);
        let named = [
            ("on", all.on),
            ("within", all.within),
            ("node", all.node),
            ("layer", all.layer),
            ("next feature", all.next_feature),
            ("neuron", all.neuron),
            ("output", all.output),
            ("feature or seam", all.feature_or_seam),
            ("feature", all.feature),
            ("seam", all.seam),
            ("full round", all.full_round),
            ("partial rounds", all.partial_rounds),
            ("absorb", all.absorb),
        ];
        named.into_iter().filter(|(_, value)| *value != Fr::ZERO).collect()
    }

    /// Every pair of codes that a layout writes switches on its own gates, with a factor of 1, and no others.
    #[test]
    fn selectors_are_one_on_their_own_rows_and_zero_on_all_others() {
        let marks = ["", "within", "node", "layer", "next feature"];
        let cases: [(Kind, &[u64], &[&str]); 9] = [
            (Kind::Plain, &[0, 1, 2, 3, 4], &[]),
            (Kind::Neuron, &[mark::WITHIN], &["neuron"]),
            (Kind::Neuron, &[mark::LAYER], &["neuron", "output"]),
            (Kind::Feature, &[mark::WITHIN], &["feature or seam", "feature"]),
            (Kind::Seam, &[mark::OFF], &["feature or seam", "seam"]),
            (Kind::FullRound, &[mark::WITHIN, mark::NODE], &["full round"]),
            (Kind::PartialRounds, &[mark::WITHIN, mark::NODE], &["partial rounds"]),
            (Kind::Absorb, &[mark::WITHIN, mark::NODE], &["absorb"]),
            (Kind::Plain, &[mark::OFF], &[]),
        ];
        for (kind, allowed, expected) in cases {
            for &code in allowed {
                let of_mark: &[&str] = if code == mark::OFF { &[] } else { &["on", marks[code as usize]] };
                let expected: Vec<_> = of_mark.iter().chain(expected).map(|&name| (name, Fr::ONE)).collect();
                assert_eq!(selected(kind, code), expected, "{kind:?} at mark {code}");
            }
        }
    }
}
