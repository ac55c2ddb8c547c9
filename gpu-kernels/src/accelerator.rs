//! What a device offers the prover.

use crate::{Columns, Fr, G1, G1Affine, LOG_N_MAX, RowProgram};

/// A device that computes the kernels of the prover.
///
/// Vectors of field elements stay where they are computed: what a proof needs crosses to the host as points and single
/// numbers. Implementations agree bit for bit: group elements are compared as points, field elements are canonical. One
/// device serves many callers at a time.
pub trait Accelerator: Send + Sync + 'static {
    /// Field elements on the device: values on rows, or coefficients with the constant term first.
    type Vector: Send + Sync;
    /// Points that never change, with what makes multiplying them quick.
    type Bases: Send + Sync;
    /// The powers of a root of unity.
    type Domain: Send + Sync;
    /// A shifted domain.
    type Coset: Send + Sync;
    /// A program made ready for the device.
    type Program: Send + Sync;

    /// Stable name for logs and metric labels, such as `cpu`.
    fn name(&self) -> &'static str;

    /// Does work that is in flight beside others': on a device with lanes it has one of its own, as long as there are
    /// enough. What it asked for in a lane is done when this returns.
    ///
    /// `work` computes with the accelerator that it is given, and changes and gives away only vectors that it made. Of
    /// others it may read those that were made before it began. What breaks this computes with wrong numbers.
    fn in_flight<T>(&self, work: impl FnOnce(&Self) -> T) -> Result<T, KernelError> {
        Ok(work(self))
    }

    /// Brings field elements to the device.
    fn upload(&self, values: Vec<Fr>) -> Result<Self::Vector, KernelError>;

    /// Brings them back.
    fn download(&self, vector: &Self::Vector) -> Result<Vec<Fr>, KernelError>;

    /// Another vector with the same elements.
    fn copy(&self, vector: &Self::Vector) -> Result<Self::Vector, KernelError>;

    /// Prepares points for [`Self::msm_many`]. None may be the identity.
    fn bases(&self, points: &[G1Affine]) -> Result<Self::Bases, KernelError>;

    /// `sum(scalars[i] * bases[i])` for each vector of scalars. One may be shorter than the bases.
    fn msm_many(&self, bases: &Self::Bases, scalars: &[&Self::Vector]) -> Result<Vec<G1>, KernelError>;

    /// The same once, for points that are not used again. Bases may repeat and may be the identity; an empty sum is it.
    fn msm(&self, scalars: &[Fr], bases: &[G1Affine]) -> Result<G1, KernelError>;

    /// The domain of `2^log_n` elements.
    fn domain(&self, log_n: u32) -> Result<Self::Domain, KernelError>;

    /// Coefficients become values on the domain, in natural order.
    fn forward(&self, domain: &Self::Domain, vectors: &mut [Self::Vector]) -> Result<(), KernelError>;

    /// Values on the domain become coefficients.
    fn inverse(&self, domain: &Self::Domain, vectors: &mut [Self::Vector]) -> Result<(), KernelError>;

    /// The domain with every element multiplied by a number that is not zero.
    fn coset(&self, domain: &Self::Domain, shift: Fr) -> Result<Self::Coset, KernelError>;

    /// The values on a coset of polynomials with at most as many coefficients.
    fn coset_values(
        &self,
        coset: &Self::Coset,
        polynomials: &[&Self::Vector],
    ) -> Result<Vec<Self::Vector>, KernelError>;

    /// Values on a coset become coefficients, times `factor`.
    fn coset_coefficients(&self, coset: &Self::Coset, values: &mut Self::Vector, factor: Fr)
    -> Result<(), KernelError>;

    /// Makes a program ready.
    fn prepare(&self, program: &RowProgram) -> Result<Self::Program, KernelError>;

    /// Runs a program on every row. All columns have one length.
    fn run(
        &self,
        program: &Self::Program,
        columns: &Columns<'_, Self::Vector>,
        scalars: &[Fr],
    ) -> Result<Self::Vector, KernelError>;

    /// `sum(factor * vector)`, with `length` elements; what a vector lacks counts as zero.
    fn combine(&self, terms: &[(Fr, &Self::Vector)], length: usize) -> Result<Self::Vector, KernelError>;

    /// The value of each polynomial at its point.
    fn evaluate(&self, queries: &[(&Self::Vector, Fr)]) -> Result<Vec<Fr>, KernelError>;

    /// Subtracts a few numbers from the first elements.
    fn subtract_low(&self, vector: &mut Self::Vector, low: &[Fr]) -> Result<(), KernelError>;

    /// Divides a polynomial by `X - point`; what does not divide is left away.
    fn divide(&self, polynomial: &mut Self::Vector, point: Fr) -> Result<(), KernelError>;

    /// Inverts every element; zero stays zero.
    fn invert(&self, vector: &mut Self::Vector) -> Result<(), KernelError>;

    /// Each element becomes the sum of itself and all before it: what a logarithmic derivative is summed up with.
    fn running_sum(&self, vector: &mut Self::Vector) -> Result<(), KernelError>;

    /// Each element becomes the product of itself and all before it: a grand product.
    fn running_product(&self, vector: &mut Self::Vector) -> Result<(), KernelError>;

    /// Hashes each message with [`poseidon::hash`](crate::poseidon::hash) under one capacity tag.
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
    /// There is no domain of `2^log_n` elements.
    #[error("domain: the field has no subgroup of 2^{log_n} elements, only up to 2^{LOG_N_MAX}")]
    DomainSize {
        /// Logarithm of the size asked for.
        log_n: u32,
    },
    /// A vector does not have the length that an operation needs.
    #[error("{operation}: {actual} elements, expected are {expected}")]
    Length {
        /// The operation.
        operation: &'static str,
        /// What it needs.
        expected: usize,
        /// What it was given.
        actual: usize,
    },
    /// A coset was to be shifted by zero.
    #[error("coset: the shift is zero")]
    ZeroShift,
    /// The device has too little memory left.
    #[error("device: no memory for {bytes} bytes")]
    Memory {
        /// How much was asked for.
        bytes: usize,
    },
    /// The device or its driver failed.
    #[error("device: {operation} failed ({code})")]
    Device {
        /// What was being done.
        operation: &'static str,
        /// What the driver said, in its own code.
        code: i32,
    },
    /// A library that the device needs is not on this machine.
    #[error("device: no {library} on this machine")]
    Missing {
        /// The library.
        library: &'static str,
    },
    /// A library lacks a function: it is another version than the one that it is called as.
    #[error("device: no function {symbol} in {library}")]
    Symbol {
        /// The library.
        library: &'static str,
        /// The function.
        symbol: &'static str,
    },
    /// A device computed something else than the processor, or what is no value at all.
    #[error("device: the result of {operation} is wrong")]
    Wrong {
        /// What was computed.
        operation: &'static str,
    },
    /// Kernels could not be compiled for the device.
    #[error("device: the kernels of {name} could not be compiled: {log}")]
    Compile {
        /// Which kernels.
        name: &'static str,
        /// What the compiler said. Sources hold no data, so neither does this.
        log: String,
    },
}

impl KernelError {
    /// Whether it was the device that failed, so that another may do better.
    pub fn is_of_device(&self) -> bool {
        match self {
            Self::Memory { .. } | Self::Device { .. } | Self::Missing { .. } => true,
            Self::Symbol { .. } | Self::Wrong { .. } | Self::Compile { .. } => true,
            Self::LengthMismatch { .. } | Self::IdentityBase { .. } | Self::DomainSize { .. } => false,
            Self::Length { .. } | Self::ZeroShift => false,
        }
    }

    /// Refuses a vector of another length.
    pub(crate) fn unless_length(operation: &'static str, expected: usize, actual: usize) -> Result<(), Self> {
        if expected == actual { Ok(()) } else { Err(Self::Length { operation, expected, actual }) }
    }
}
