//! BN254 kernels of the proof engine: multi-scalar multiplication, number-theoretic transform and Poseidon behind one
//! trait ([`Accelerator`]), and the discovery of devices that could run them ([`discover`]).
//!
//! The CPU implementation is always there and is the oracle of every other one. This crate never needs CUDA to build,
//! to start or to pass its tests, and never panics because a device or its driver is missing.

pub mod cpu;
pub mod device;
pub mod poseidon;

pub use cpu::{CpuAccelerator, FixedBases, Transform};
pub use device::{DeviceKind, DeviceReport, discover};
pub use halo2curves_axiom::bn256::{Fr, G1, G1Affine};

/// Largest transform: the multiplicative group of the scalar field has a subgroup of order 2^28 and no larger power.
pub const LOG_N_MAX: u32 = 28;

/// A device that computes the kernels of the prover.
///
/// Implementations agree bit for bit: group elements are compared as points, field elements are canonical.
pub trait Accelerator: Send + Sync {
    /// Stable name for logs and metric labels, such as `cpu`.
    fn name(&self) -> &str;

    /// `sum(scalars[i] * bases[i])`; the identity for empty input. Bases may repeat and may be the identity.
    fn msm(&self, scalars: &[Fr], bases: &[G1Affine]) -> Result<G1, KernelError>;

    /// Evaluates the polynomial with coefficients `values` at `omega^0 .. omega^(2^log_n - 1)`, in place and in natural
    /// order. `omega` must have order `2^log_n` exactly.
    fn ntt(&self, values: &mut [Fr], omega: Fr, log_n: u32) -> Result<(), KernelError>;

    /// Hashes each message with [`poseidon::hash`] under one capacity tag.
    fn poseidon(&self, messages: &[Vec<Fr>], tag: Fr) -> Result<Vec<Fr>, KernelError>;
}

/// Why a kernel refused its input or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// Scalars and bases of a multi-scalar multiplication differ in number.
    #[error("msm: {scalars} scalars for {bases} bases")]
    LengthMismatch {
        /// Number of scalars given.
        scalars: usize,
        /// Number of bases given.
        bases: usize,
    },
    /// A fixed base is the identity, which has no multiples to keep.
    #[error("fixed bases: base {index} is the identity")]
    IdentityBase {
        /// Place of the base.
        index: usize,
    },
    /// The length of a transform is not `2^log_n`, or `log_n` is above [`LOG_N_MAX`].
    #[error("ntt: {values} values for log_n = {log_n}")]
    TransformSize {
        /// Number of values given.
        values: usize,
        /// Logarithm of the expected length.
        log_n: u32,
    },
    /// `omega` does not generate the group of `2^log_n` roots of unity.
    #[error("ntt: omega is not a primitive root of unity of order 2^{log_n}")]
    NotPrimitiveRoot {
        /// Logarithm of the expected order.
        log_n: u32,
    },
}
