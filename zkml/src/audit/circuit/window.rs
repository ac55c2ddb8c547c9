//! The rows of one window. Every window of a proof has the same, one after the other.
//!
//! The left columns hold five or more permutations of the hash, the right ones one node of the network a row: a neuron,
//! or two features. Where the hash takes something in or gives something out, the row's node stays empty.
//!
//! ```text
//! hash                                               what the row does for the window's sums
//! begin        tag, elements 0 and 1                 ABSORB   adds both elements
//! 23 rows      a permutation; its last row absorbs   ABSORB   adds elements 2 and 3
//! ...          the last one absorbs the salt                  (nothing)
//! 23 rows      its last row begins the leaf with     (neuron) the score is on this row
//!              commitment and score
//! 23 rows      the leaf
//! end          digest of the leaf                    OUT      adds it, if the window is real
//! begin        two nodes of the tree                 CHILDREN adds both
//! 23 rows      the node above them
//! end          its digest                            OUT      adds it
//! ```

use hygeia_gpu_kernels::poseidon::{FULL_ROUNDS, RATE, ROUNDS};

use super::{codes, rounds::PARTIAL_ROUNDS_PER_ROW};
use crate::statement::FEATURES_PER_ELEMENT;

/// What the hash columns of a row hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashRow {
    /// No rounds.
    Idle,
    /// A full round.
    Full(usize),
    /// One partial round, for their number is odd.
    Single(usize),
    /// Four partial rounds, the first of which is named.
    Four(usize),
}

/// What enters the state after a row's rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Nothing.
    None,
    /// The window's tag with the row's two extra cells.
    BeginWindow,
    /// The row's two extra cells.
    Absorb,
    /// The row's first extra cell.
    Salt,
    /// The leaf's tag with the commitment, which is the state's lane 1, and the score of the row's node.
    BeginLeaf,
    /// The node's tag with the row's two extra cells.
    BeginNode,
}

/// What a row does for the sums of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// Only what its node does.
    None,
    /// Adds both extra cells, each to a sum of its own.
    Absorb,
    /// Adds two nodes of the tree as the children of a third.
    Children,
    /// Adds a digest; the row's flag says whether it counts.
    Out,
}

/// What the node of a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A neuron, by its number through all layers; or none.
    Neuron(Option<usize>),
    /// Two features, of which this is the first.
    Inputs(usize),
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRow {
    /// Rounds.
    pub hash: HashRow,
    /// What enters the state of the next row.
    pub feed: Feed,
    /// Links to the sums.
    pub bus: Bus,
    /// Node of the network.
    pub unit: Unit,
}

/// The rows of one window, and where to find things on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Rows from one window to the next.
    pub period: usize,
    /// The rows; `period` of them.
    pub rows: Vec<WindowRow>,
    /// By pair of features.
    pub inputs: Vec<usize>,
    /// By neuron; the last is the score.
    pub neurons: Vec<usize>,
    /// By pair of absorbed elements, the salt counted as one: the row on which they stand.
    pub absorptions: Vec<usize>,
    /// First row of each permutation: those of the commitment, then leaf and node.
    pub permutations: Vec<usize>,
    /// Digest of the leaf.
    pub leaf: usize,
    /// Children of the node.
    pub children: usize,
    /// Digest of the node.
    pub node: usize,
}

/// Rows of a permutation.
pub const ROWS_PER_PERMUTATION: usize = FULL_ROUNDS + 1 + (ROUNDS - FULL_ROUNDS - 1) / PARTIAL_ROUNDS_PER_ROW;

impl Window {
    /// Lays out a window of this many features and neurons.
    pub fn new(inputs: usize, neurons: usize) -> Self {
        let mut window = lay_out_hash(inputs.div_ceil(FEATURES_PER_ELEMENT) + 1);
        let score_row = window.permutations[window.permutations.len() - 2] - 1;
        let (pairs, hidden) = (inputs.div_ceil(2), neurons.saturating_sub(1));
        let links = window.rows.iter().filter(|row| row.bus != Bus::None).count();
        window.period = window.rows.len().max(links + 1 + pairs + hidden);
        window.rows.resize(window.period, IDLE);

        let mut free: Vec<usize> = (0..window.period).collect();
        free.retain(|&row| window.rows[row].bus == Bus::None && row != score_row);
        window.inputs = window.take_rows_for_inputs(&mut free, pairs);
        window.neurons = free[..hidden.min(free.len())].iter().copied().chain([score_row]).collect();
        for (pair, &row) in window.inputs.iter().enumerate() {
            window.rows[row].unit = Unit::Inputs(2 * pair);
        }
        for (neuron, &row) in window.neurons.iter().enumerate() {
            window.rows[row].unit = Unit::Neuron(Some(neuron));
        }
        window
    }

    /// Rows of a window beside which a range table has room: those with a full round and nothing absorbed.
    pub fn table_rows(&self, of_inputs: bool) -> usize {
        self.rows.iter().filter(|row| row.holds_table() && row.is_inputs() == of_inputs).count()
    }

    /// Where a permutation's rounds lie.
    pub fn permutation(&self, index: usize) -> std::ops::Range<usize> {
        let first = self.permutations[index];
        first..first + ROWS_PER_PERMUTATION
    }

    /// Features go beside partial rounds first, so that enough full rounds stay beside neurons; but some stand beside
    /// full rounds, where their own table is. Rows on which the hash does something out of the ordinary hold none.
    fn take_rows_for_inputs(&self, free: &mut Vec<usize>, pairs: usize) -> Vec<usize> {
        let is_ordinary = |row: &WindowRow| codes::feed_code(row) == codes::feed::NONE;
        let rank = |&row: &usize| match self.rows[row] {
            row if !is_ordinary(&row) => 3,
            row if row.holds_table() => 2,
            _ => 1,
        };
        let mut ranked = free.clone();
        ranked.sort_by_key(rank);
        // One row beside a full round; with at least 64 windows that is enough for a table of 2^6.
        if let Some(with_table) = ranked.iter().position(|row| rank(row) == 2) {
            ranked[..=with_table].rotate_right(1);
        }
        let mut taken: Vec<usize> = ranked.into_iter().take(pairs).collect();
        taken.sort_unstable();
        free.retain(|row| !taken.contains(row));
        taken
    }
}

impl WindowRow {
    /// Whether a row of a range table can stand here, and its multiplicity in the second extra cell.
    pub fn holds_table(&self) -> bool {
        matches!(self.hash, HashRow::Full(_)) && self.bus == Bus::None
    }

    /// Whether the node is a pair of features.
    pub fn is_inputs(&self) -> bool {
        matches!(self.unit, Unit::Inputs(_))
    }
}

const IDLE: WindowRow = WindowRow { hash: HashRow::Idle, feed: Feed::None, bus: Bus::None, unit: Unit::Neuron(None) };

/// The hash of a message of this many elements, the leaf and the node; no nodes of the network yet.
fn lay_out_hash(message: usize) -> Window {
    let mut window = Window {
        period: 0,
        rows: vec![WindowRow { feed: Feed::BeginWindow, bus: Bus::Absorb, ..IDLE }],
        inputs: Vec::new(),
        neurons: Vec::new(),
        absorptions: vec![0],
        permutations: Vec::new(),
        leaf: 0,
        children: 0,
        node: 0,
    };
    for absorbed in (RATE..message + RATE).step_by(RATE) {
        let (feed, bus) = match message.saturating_sub(absorbed) {
            0 => (Feed::BeginLeaf, Bus::None),
            1 => (Feed::Salt, Bus::None),
            _ => (Feed::Absorb, Bus::Absorb),
        };
        window.push_permutation(feed, bus);
        if feed != Feed::BeginLeaf {
            window.absorptions.push(window.rows.len() - 1);
        }
    }
    window.push_permutation(Feed::None, Bus::None);
    window.leaf = window.push(WindowRow { bus: Bus::Out, ..IDLE });
    window.children = window.push(WindowRow { feed: Feed::BeginNode, bus: Bus::Children, ..IDLE });
    window.push_permutation(Feed::None, Bus::None);
    window.node = window.push(WindowRow { bus: Bus::Out, ..IDLE });
    window
}

impl Window {
    fn push(&mut self, row: WindowRow) -> usize {
        self.rows.push(row);
        self.rows.len() - 1
    }

    /// A permutation, with what its last row does.
    fn push_permutation(&mut self, feed: Feed, bus: Bus) {
        self.permutations.push(self.rows.len());
        let half = FULL_ROUNDS / 2;
        let first_four = half + 1;
        let last_half = ROUNDS - half;
        let rounds = (0..half)
            .map(HashRow::Full)
            .chain([HashRow::Single(half)])
            .chain((first_four..last_half).step_by(PARTIAL_ROUNDS_PER_ROW).map(HashRow::Four))
            .chain((last_half..ROUNDS).map(HashRow::Full));
        self.rows.extend(rounds.map(|hash| WindowRow { hash, ..IDLE }));
        let last = self.rows.len() - 1;
        self.rows[last] = WindowRow { feed, bus, ..self.rows[last] };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_of_the_benchmark_network_fits_an_eighth_of_a_thousand_rows() {
        let window = Window::new(48, 97);
        assert_eq!(window.period, 126);
        assert_eq!(window.permutations, [1, 24, 47, 70, 95]);
        assert_eq!((window.absorptions.as_slice(), window.leaf, window.children), (&[0, 23, 46][..], 93, 94));
        assert_eq!(window.node, 118);
        assert_eq!(window.neurons[96], 69);
    }

    #[test]
    fn every_row_has_one_use() {
        for (inputs, neurons) in [(1, 1), (2, 1), (15, 3), (16, 20), (48, 97), (64, 97), (1024, 1000), (1000, 4096)] {
            let window = Window::new(inputs, neurons);
            assert_eq!((window.inputs.len(), window.neurons.len()), (inputs.div_ceil(2), neurons));
            assert_eq!(window.rows.len(), window.period);
            let mut used: Vec<usize> = [window.inputs.clone(), window.neurons.clone()].concat();
            used.extend((0..window.period).filter(|&row| window.rows[row].bus != Bus::None));
            let all = used.len();
            used.sort_unstable();
            used.dedup();
            assert_eq!(used.len(), all, "{inputs} features, {neurons} neurons");
            // What a code of the hash is scaled by is the code of a neuron.
            let special = |row: &&WindowRow| codes::feed_code(row) != codes::feed::NONE;
            assert!(window.rows.iter().filter(special).all(|row| !row.is_inputs()));
            let links = |row: &&WindowRow| row.bus != Bus::None;
            assert!(window.rows.iter().filter(links).all(|row| row.unit == Unit::Neuron(None)));
            assert!(window.table_rows(true) >= 1);
        }
    }

    #[test]
    fn elements_and_salt_are_absorbed_in_pairs() {
        for (inputs, feeds) in [
            (15, vec![Feed::BeginWindow]),
            (16, vec![Feed::BeginWindow, Feed::Salt]),
            (45, vec![Feed::BeginWindow, Feed::Absorb]),
            (60, vec![Feed::BeginWindow, Feed::Absorb, Feed::Salt]),
        ] {
            let window = Window::new(inputs, 3);
            let found: Vec<Feed> = window.absorptions.iter().map(|&row| window.rows[row].feed).collect();
            assert_eq!(found, feeds, "{inputs} features");
            assert_eq!(window.permutations.len(), feeds.len() + 2);
        }
    }
}
