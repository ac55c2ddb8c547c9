//! The kernels of `cuda/` on a CUDA device, driver and compiler looked for at run time.
//!
//! Host code is written over a [`Device`]. One is the driver's; the tests have another that runs the same kernels, from
//! the same files, on the processor. This module never needs CUDA to build, and never panics because it is missing.

mod accelerator;
mod device;
mod driver;
mod graph;
mod hash;
mod images;
mod lanes;
pub(crate) mod library;
mod memory;
mod msm;
mod ntt;
pub mod nvrtc;
mod pinned;
mod plain;
mod polynomial;
mod program;
mod recorded;
mod runtime;
mod source;
mod staging;
mod steps;

pub use accelerator::CudaAccelerator;
pub use device::{AlignedField, Argument, Device, Memory, Shape};
pub use driver::{Driver, DriverConfig, Kernels};
pub use graph::Graph;
pub use memory::DeviceMemory;
pub use msm::Bases;
pub use ntt::{Coset, Domain};
pub use program::{Program, source as program_source};
pub use runtime::Vector;
pub use source::Source;
