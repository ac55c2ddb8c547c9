//! The columns of the audit circuit, and the values that fill them.

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::{Advice, Challenge, Column, ConstraintSystem, FirstPhase, Fixed, Instance, SecondPhase},
};

/// Columns and challenges, as the constraint system knows them.
#[derive(Debug, Clone)]
pub struct Columns {
    /// Phase 1. State of the hash before the S-boxes of the row's first round.
    pub state: [Column<Advice>; 3],
    /// Phase 1. Powers of S-box inputs; beside four partial rounds the third S-box input too.
    pub power: [Column<Advice>; 3],
    /// Phase 1. Beside four partial rounds more powers; else what is absorbed, or the multiplicity of a table's row.
    pub extra: [Column<Advice>; 2],
    /// Phase 1. Limbs of the row's node; every cell of a window is looked up in the range tables.
    pub limbs: [Column<Advice>; 4],
    /// Phase 1. Random values, constrained by nothing, opened at one point: they mask the opening proof.
    pub mask: Column<Advice>,
    /// Phase 2. Sums of each row over the windows before, combined by powers of the window challenge.
    pub sums: [Column<Advice>; 2],
    /// Phase 2. Factors of the sums, combined over the equations by powers of the equation challenge.
    pub factors: [Column<Advice>; 2],
    /// Phase 2. Fractions of three limbs in the range argument.
    pub fraction: Column<Advice>,
    /// Phase 2. Running sum over all fractions and, on the totals, over sums times factors.
    pub balance: Column<Advice>,
    /// Constants of the hash. The last one has a use beside four partial rounds only; beside full rounds it is a number of
    /// a range table (below 2^10 on rows of neurons, below 2^6 on rows of features), and where a digest comes out it says
    /// whether that counts without a flag.
    pub constants: [Column<Fixed>; 4],
    /// The unit's code beside a full round.
    pub full: Column<Fixed>,
    /// The unit's code beside four partial rounds.
    pub four: Column<Fixed>,
    /// Codes of [`feed`](super::codes::feed).
    pub feed: Column<Fixed>,
    /// Codes of [`bus`](super::codes::bus).
    pub bus: Column<Fixed>,
    /// Codes of [`unit`](super::codes::unit).
    pub unit: Column<Fixed>,
    /// Codes of [`stage`](super::codes::stage).
    pub stage: Column<Fixed>,
    /// Coefficients of the equations, by equation (a window's rows for each) and place.
    pub coefficients: [Column<Fixed>; 2],
    /// Root, then count.
    pub public: Column<Instance>,
    /// Combines the equations.
    pub equation_challenge: Challenge,
    /// Combines the windows, and the nodes of the tree.
    pub window_challenge: Challenge,
    /// Shifts limbs and tables of the range argument.
    pub range_challenge: Challenge,
    /// Tells the two range tables apart.
    pub table_challenge: Challenge,
}

impl Columns {
    /// Allocates all columns. Their order is part of every key.
    pub fn allocate(meta: &mut ConstraintSystem<Fr>) -> Self {
        let state = std::array::from_fn(|_| meta.advice_column());
        let power = std::array::from_fn(|_| meta.advice_column());
        let extra = std::array::from_fn(|_| meta.advice_column());
        let limbs = std::array::from_fn(|_| meta.advice_column());
        let mask = meta.advice_column();
        let public = meta.instance_column();
        let [equation_challenge, window_challenge, range_challenge, table_challenge] =
            std::array::from_fn(|_| meta.challenge_usable_after(FirstPhase));
        let sums = std::array::from_fn(|_| meta.advice_column_in(SecondPhase));
        let factors = std::array::from_fn(|_| meta.advice_column_in(SecondPhase));
        let [fraction, balance] = std::array::from_fn(|_| meta.advice_column_in(SecondPhase));
        let constants = std::array::from_fn(|_| meta.fixed_column());
        let [full, four, feed, bus, unit, stage] = std::array::from_fn(|_| meta.fixed_column());
        let coefficients = std::array::from_fn(|_| meta.fixed_column());
        Self {
            state,
            power,
            extra,
            limbs,
            mask,
            sums,
            factors,
            fraction,
            balance,
            constants,
            full,
            four,
            feed,
            bus,
            unit,
            stage,
            coefficients,
            public,
            equation_challenge,
            window_challenge,
            range_challenge,
            table_challenge,
        }
    }
}

/// One row of the fixed columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FixedRow {
    /// Constants of the hash, a table's number, or whether a digest counts.
    pub constants: [Fr; 4],
    /// Code of the unit beside a full round.
    pub full: u64,
    /// Code of the unit beside four partial rounds.
    pub four: u64,
    /// Code.
    pub feed: u64,
    /// Code.
    pub bus: u64,
    /// Code.
    pub unit: u64,
    /// Code.
    pub stage: u64,
    /// Coefficients of an equation.
    pub coefficients: [Fr; 2],
}

/// One row of what the prover commits to before it knows a challenge. Holds features and salts in the clear: never
/// printed.
#[derive(Clone, Copy)]
pub struct FirstPhaseRow {
    /// State of the hash.
    pub state: [Fr; 3],
    /// Powers of S-box inputs.
    pub power: [Fr; 3],
    /// More powers, absorbed values, or a multiplicity.
    pub extra: [Fr; 2],
    /// Limbs of the node.
    pub limbs: [Fr; 4],
}

impl FirstPhaseRow {
    /// All zero.
    pub const ZERO: Self =
        Self { state: [Fr::ZERO; 3], power: [Fr::ZERO; 3], extra: [Fr::ZERO; 2], limbs: [Fr::ZERO; 4] };
}

/// One row of what follows from the first phase and the challenges.
#[derive(Clone, Copy)]
pub struct SecondPhaseRow {
    /// Sums of the row's two places.
    pub sums: [Fr; 2],
    /// Factors of the row's two places.
    pub factors: [Fr; 2],
    /// Fractions of three limbs.
    pub fraction: Fr,
    /// Running sum.
    pub balance: Fr,
}

impl SecondPhaseRow {
    /// All zero.
    pub const ZERO: Self = Self { sums: [Fr::ZERO; 2], factors: [Fr::ZERO; 2], fraction: Fr::ZERO, balance: Fr::ZERO };
}

/// The challenges of the second phase.
#[derive(Debug, Clone, Copy)]
pub struct Challenges {
    /// Combines the equations.
    pub equation: Fr,
    /// Combines the windows.
    pub window: Fr,
    /// Shifts limbs and tables.
    pub range: Fr,
    /// Tells the tables apart.
    pub table: Fr,
}
