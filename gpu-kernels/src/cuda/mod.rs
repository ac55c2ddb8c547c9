//! The kernels of `cuda/` on a CUDA device, driver and compiler looked for at run time.
//!
//! Host code is written over a [`Device`]. One is the driver's; the tests have another that runs the same kernels, from
//! the same files, on the processor. This module never needs CUDA to build, and never panics because it is missing.

mod accelerator;
mod device;
mod driver;
mod hash;
mod images;
pub(crate) mod library;
mod msm;
mod ntt;
pub mod nvrtc;
mod plain;
mod polynomial;
mod program;
mod runtime;
mod source;

pub use accelerator::CudaAccelerator;
pub use device::{AlignedField, Argument, Device, Memory, Shape};
pub use driver::{DeviceMemory, Driver, DriverConfig, Kernels};
pub use msm::Bases;
pub use ntt::{Coset, Domain};
pub use program::{Program, source as program_source};
pub use runtime::Vector;
pub use source::Source;
