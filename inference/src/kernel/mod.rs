//! The integer network on the vector units of a processor: many windows at once, without floats and without allocation.
//!
//! Inputs are 16-bit integers, and so are nearly all weights and activations, so two products at a time go into a 32-bit
//! sum by the one instruction that processors have for it. Sums wrap, which costs nothing: a network is accepted only
//! when every `T` lies in [-2^30, 2^30), and what is right modulo 2^32 and lies there is right. Activations may reach
//! 2^20, so each is kept as 15 low bits and 5 high ones; a layer multiplies the high ones only for blocks of windows that
//! have any. A network with a weight beyond 16 bits is computed in 32-bit products. The scores are the reference's, bit
//! for bit, on every path.
//!
//! This module never computes a network that [`IntegerNetwork::new`] has not accepted.

mod pack;
mod tile;
mod wide;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::{Mutex, PoisonError};

use pack::{Packed, TAIL};
use wide::WideBlock;

use crate::network::{IntegerNetwork, NetworkError, SHIFT};

/// Windows computed together: enough to use each weight many times while it is near, few enough to stay near themselves.
const BLOCK: usize = 64;

/// An integer network laid out for one kind of vector unit.
pub struct IntegerEngine {
    network: IntegerNetwork,
    units: Units,
    /// The layers in 16 bits; nothing when a weight does not fit.
    packed: Option<Packed>,
    low: Vec<i32>,
    high: Vec<i32>,
    /// Buffers of blocks, one for each call at the same time. They are made once and lent out.
    buffers: Mutex<Vec<Buffers>>,
}

/// The vector units that there is code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// AVX-512 with VNNI: product and sum in one instruction.
    Avx512Vnni,
    /// AVX-512 with BW.
    Avx512,
    /// AVX2.
    Avx2,
    /// Whatever the compiler makes of plain loops.
    Portable,
}

/// Why a batch was not scored.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("row {row} of the batch")]
pub struct RowError {
    /// The row.
    pub row: usize,
    /// What is wrong with it.
    pub source: NetworkError,
}

/// Memory of one block.
struct Buffers {
    activations: [Activations; 2],
    scores: [i32; BLOCK],
    wide: WideBlock,
}

/// What one layer gave to a block of windows.
struct Activations {
    /// Low 15 bits; of the network's input all 16 with the sign.
    low: Vec<i16>,
    /// The bits above, where there may be any.
    high: Vec<i16>,
}

impl Units {
    /// A short name, such as `avx2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512Vnni => "avx512vnni",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }

    /// Those of this processor, the best first.
    pub fn available() -> Vec<Self> {
        let mut units = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            if wide && is_x86_feature_detected!("avx512vnni") {
                units.push(Self::Avx512Vnni);
            }
            if wide {
                units.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                units.push(Self::Avx2);
            }
        }
        units.push(Self::Portable);
        units
    }
}

impl IntegerEngine {
    /// Lays a network out for the best vector units of this processor.
    pub fn new(network: &IntegerNetwork) -> Self {
        Self::with(network, Units::available()[0]).expect("what is available can be used")
    }

    /// Lays a network out for these vector units; nothing when this processor lacks them.
    pub fn with(network: &IntegerNetwork, units: Units) -> Option<Self> {
        let (low, high) = network.input_bounds().iter().copied().unzip();
        let packed = Packed::new(network, tile::lanes(units));
        let available = Units::available().contains(&units);
        let buffers = Mutex::new(Vec::new());
        available.then(|| Self { network: network.clone(), units, packed, low, high, buffers })
    }

    /// The score of each row, exactly as [`IntegerNetwork::evaluate`] gives it.
    pub fn score_batch<R: AsRef<[i32]>>(&self, rows: &[R]) -> Result<Vec<i64>, RowError> {
        let mut scores = Vec::with_capacity(rows.len());
        self.score_into(rows, &mut scores)?;
        Ok(scores)
    }

    /// Appends the score of each row. Allocates nothing when `scores` has room and no more threads call it than before.
    /// After an error `scores` is as it was.
    pub fn score_into<R: AsRef<[i32]>>(&self, rows: &[R], scores: &mut Vec<i64>) -> Result<(), RowError> {
        let lent = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffers = lent.unwrap_or_else(|| Buffers::new(&self.network));
        let before = scores.len();
        scores.reserve(rows.len());
        let mut result = Ok(());
        for (index, block) in rows.chunks(BLOCK).enumerate() {
            result = self.block(block, index * BLOCK, &mut buffers);
            if result.is_err() {
                scores.truncate(before);
                break;
            }
            scores.extend(buffers.scores[..block.len()].iter().copied().map(i64::from));
        }
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffers);
        result
    }

    /// The vector units in use.
    pub fn units(&self) -> Units {
        self.units
    }

    /// Scores at most [`BLOCK`] rows into the buffers.
    fn block<R: AsRef<[i32]>>(&self, rows: &[R], first: usize, buffers: &mut Buffers) -> Result<(), RowError> {
        let width = self.low.len();
        for (index, row) in rows.iter().enumerate() {
            let place = index * width..(index + 1) * width;
            if !self.take(row.as_ref(), &mut buffers.activations[0].low[place]) {
                let source = self.network.check_input(row.as_ref()).expect_err("the row was just found not to be one");
                return Err(RowError { row: first + index, source });
            }
        }
        match &self.packed {
            Some(packed) => tile::score(self.units, packed, rows.len(), &mut buffers.activations, &mut buffers.scores),
            None => buffers.wide.score(&self.network, rows, &mut buffers.scores),
        }
        Ok(())
    }

    /// Copies a row that is an input of the network, in one pass that the compiler can vectorise.
    fn take(&self, row: &[i32], to: &mut [i16]) -> bool {
        if row.len() != to.len() {
            return false;
        }
        let mut outside = false;
        for (((to, &x), &low), &high) in to.iter_mut().zip(row).zip(&self.low).zip(&self.high) {
            outside |= (x < low) | (x > high);
            // Bounds of inputs lie within 16 bits.
            *to = x as i16;
        }
        !outside
    }
}

impl Buffers {
    fn new(network: &IntegerNetwork) -> Self {
        let width = network.dims().into_iter().max().unwrap_or(0);
        let zeros = || vec![0; BLOCK * width + TAIL];
        let activations = || Activations { low: zeros(), high: zeros() };
        Self { activations: [activations(), activations()], scores: [0; BLOCK], wide: WideBlock::new(width) }
    }
}

/// Shows nothing of what the buffers last held.
impl std::fmt::Debug for IntegerEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntegerEngine").field("units", &self.units).finish_non_exhaustive()
    }
}
