//! ICICLE as an accelerator: libraries that the user installs, opened at run time through their C interface.
//!
//! ICICLE offers multi-scalar multiplication, transforms and operations on vectors; gates, openings, sums and hashes are left to
//! the processor. So vectors lie in the processor's memory, ICICLE copies what it works on, and only fixed bases stay on the
//! device. This module never needs ICICLE to build or to start, and takes nothing from it that it has not checked to be a
//! value.
//!
//! ICICLE reports misuse by C++ exceptions. What raises them is checked before it is called; one that comes all the same, such
//! as from a backend that lacks an operation, ends the process.

pub mod abi;
mod accelerator;
mod bases;
mod domain;
mod library;

pub use accelerator::{IcicleAccelerator, IcicleConfig, IcicleDevice};
pub use bases::Bases;
pub use domain::{Coset, Domain};
