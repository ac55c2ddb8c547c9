//! Why a reference string was refused: one variant for each check.

use std::io;

use hygeia_gpu_kernels::KernelError;

use super::{super::file::FileError, K_MAX};

/// Why a reference string was refused.
#[derive(Debug, thiserror::Error)]
pub enum SrsError {
    /// The file could not be read or written, or its envelope is damaged.
    #[error("reference string file")]
    File(#[from] FileError),
    /// Reading failed half-way. Where the file's name is known, this is [`Self::File`].
    #[error("reference string: reading it failed")]
    Read(#[source] io::Error),
    /// The file is not the one that was asked for.
    #[error(
        "reference string: the file has the SHA-256 {}, expected is {}",
        hex::encode(actual),
        hex::encode(expected)
    )]
    WrongHash {
        /// Hash asked for.
        expected: [u8; 32],
        /// Hash of the file.
        actual: [u8; 32],
    },
    /// The file begins as none of the forms that are read.
    #[error("reference string: neither this project's form, nor .ptau, nor halo2's raw form")]
    UnknownForm,
    /// The file ends too early, or bytes follow its end.
    #[error("reference string: the file should have {expected} bytes and has {actual}")]
    Length {
        /// Bytes that its own tables announce.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// A table of a `.ptau` file does not say what it must.
    #[error("reference string: .ptau: {0}")]
    Ptau(&'static str),
    /// The points are of another curve than BN254.
    #[error("reference string: made for another curve than BN254")]
    WrongCurve,
    /// The content is no reference string.
    #[error("reference string: cannot be decoded: {0}")]
    Decode(&'static str),
    /// Coordinates that are those of no point.
    #[error("reference string: {group} {index} is not on its curve")]
    OffCurve {
        /// Which points: as the `.ptau` form calls them.
        group: &'static str,
        /// Its place among them.
        index: usize,
    },
    /// The point at infinity, which is no power of anything.
    #[error("reference string: {group} {index} is the identity")]
    Identity {
        /// Which points.
        group: &'static str,
        /// Its place among them.
        index: usize,
    },
    /// A point of the second curve that is not in the group of the pairing.
    #[error("reference string: tauG2 1 is outside the group of the pairing")]
    Subgroup,
    /// The first points are not the generators that everybody uses.
    #[error("reference string: does not begin with the generator of {0}")]
    Generator(&'static str),
    /// The secret is 1: a ceremony that was begun and that nobody took part in.
    #[error("reference string: nobody has contributed to it")]
    NoContribution,
    /// The points are not the successive powers of one secret.
    #[error("reference string: the points are not powers of one secret")]
    Structure,
    /// It has fewer rows than the circuit.
    #[error("reference string: has 2^{available} rows, 2^{needed} are needed")]
    TooSmall {
        /// Rows needed, as a power of two.
        needed: u32,
        /// Rows there are.
        available: u32,
    },
    /// No string of this size is made or read.
    #[error("reference string: sizes are 2^1 to 2^{K_MAX} rows, not 2^{0}")]
    Size(u32),
    /// A kernel of the check failed.
    #[error("reference string: a kernel of the check failed")]
    Kernel(#[from] KernelError),
}
