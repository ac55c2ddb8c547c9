//! Where a string came from, and how far reading it has come.

/// The form a string was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SrsForm {
    /// This project's own: what [`Srs::write`](super::Srs::write) writes.
    Sealed,
    /// The `.ptau` of snarkjs, as the perpetual powers of tau are published.
    Ptau,
    /// What halo2's `ParamsKZG::write` writes.
    Raw,
}

/// The file a string was read from, to be shown and pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SrsOrigin {
    /// Its form.
    pub form: SrsForm,
    /// SHA-256 of the whole file.
    pub sha256: [u8; 32],
    /// Logarithm of the number of powers that the file could have given.
    pub k: u32,
}

/// How far [`Srs::open`](super::Srs::open) has come. Of a large string each step takes minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SrsProgress {
    /// Reading the file.
    Reading {
        /// Bytes read.
        bytes: u64,
        /// Bytes of the whole file.
        of: u64,
    },
    /// Checking that the points are powers of one secret.
    Checking,
    /// Computing the Lagrange form: some `k / 2` multiplications for each of the 2^k points.
    Lagrange,
}
