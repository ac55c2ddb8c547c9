//! Discovery of the devices of this machine. The CUDA driver is looked for at run time only.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cudarc::driver::{result, sys::CUdevice_attribute_enum as Attribute};

use crate::cuda::library::DRIVER;

/// One device that could run the kernels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceReport {
    /// What sort of device it is.
    pub kind: DeviceKind,
    /// The name its driver gives it.
    pub name: String,
    /// Memory of the device itself in bytes; none for the CPU.
    pub memory_bytes: Option<u64>,
}

/// Sort of a device, with what is particular to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// This machine's processor.
    Cpu {
        /// Threads that a rayon pool of default size takes.
        threads: usize,
    },
    /// A CUDA device.
    Cuda {
        /// Number of the device in the driver's order.
        ordinal: u32,
        /// Compute capability, major and minor.
        capability: (u32, u32),
    },
}

/// The CPU first, then every CUDA device that answers.
///
/// A missing or failing driver means that no CUDA device is listed; it is no error.
pub fn discover() -> Vec<DeviceReport> {
    let cpu = DeviceReport {
        kind: DeviceKind::Cpu { threads: rayon::current_num_threads() },
        name: std::env::consts::ARCH.to_owned(),
        memory_bytes: None,
    };
    std::iter::once(cpu).chain(cuda_devices()).collect()
}

fn cuda_devices() -> Vec<DeviceReport> {
    if DRIVER.require().is_err() {
        return Vec::new();
    }
    // The bindings panic when a symbol is missing, as with a driver older than they expect.
    catch_unwind(AssertUnwindSafe(query_driver)).unwrap_or_default()
}

fn query_driver() -> Vec<DeviceReport> {
    let count = result::init().and_then(|()| result::device::get_count()).unwrap_or(0);
    (0..count).filter_map(query_device).collect()
}

fn query_device(ordinal: i32) -> Option<DeviceReport> {
    let device = result::device::get(ordinal).ok()?;
    let attribute = |which| {
        // SAFETY: `device` was returned by `device::get`.
        let value = unsafe { result::device::get_attribute(device, which) }.ok()?;
        u32::try_from(value).ok()
    };
    // SAFETY: `device` was returned by `device::get`.
    let memory_bytes = unsafe { result::device::total_mem(device) }.ok().map(|bytes| bytes as u64);
    let capability = (
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    let name = result::device::get_name(device).ok()?;
    Some(DeviceReport {
        kind: DeviceKind::Cuda { ordinal: u32::try_from(ordinal).ok()?, capability },
        name,
        memory_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_found_and_nothing_panics() {
        let devices = discover();
        assert!(matches!(devices[0].kind, DeviceKind::Cpu { threads } if threads > 0));
        assert!(devices[1..].iter().all(|device| matches!(device.kind, DeviceKind::Cuda { .. })));
    }
}
