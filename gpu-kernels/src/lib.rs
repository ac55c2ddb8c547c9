//! BN254 kernels of the proof engine behind one trait ([`Accelerator`]): multi-scalar multiplication, transforms, gates,
//! openings and Poseidon on vectors that stay on their device, and the discovery of devices that could run them
//! ([`discover`]).
//!
//! The CPU implementation is always there and is the oracle of every other one. This crate never needs CUDA or ICICLE to
//! build, to start or to pass its tests, and never panics because a device or its driver is missing.

pub mod accelerator;
pub mod cpu;
pub mod cuda;
pub mod device;
pub mod gate;
pub mod icicle;
pub mod poseidon;
pub mod program;

pub use accelerator::{Accelerator, KernelError};
pub use cpu::{CpuAccelerator, FixedBases, Transform};
pub use cuda::CudaAccelerator;
pub use device::{DeviceKind, DeviceReport, discover};
pub use gate::{InferenceGate, Scoring};
pub use halo2curves_axiom::bn256::{Fr, G1, G1Affine};
pub use icicle::{IcicleAccelerator, IcicleConfig};
pub use program::{Columns, RowProgram};

/// Largest transform: the multiplicative group of the scalar field has a subgroup of order 2^28 and no larger power.
pub const LOG_N_MAX: u32 = 28;
