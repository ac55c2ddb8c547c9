//! Whether CUDA's libraries are on this machine.
//!
//! The bindings can say so only where they load the libraries themselves. Built together with candle they are linked
//! with them instead, or with stand-ins that answer every call with an error; so the question is asked of the loader
//! here, whichever way the bindings were built. This module never calls a function of a library that it finds.

use std::sync::OnceLock;

use libloading::Library;

use crate::KernelError;

/// A library of CUDA's, by the names that its versions go by.
pub(crate) struct CudaLibrary {
    title: &'static str,
    files: &'static [&'static str],
    is_there: OnceLock<bool>,
}

/// The driver.
pub(crate) static DRIVER: CudaLibrary = CudaLibrary::new("CUDA driver", &["libcuda.so.1", "libcuda.so", "nvcuda.dll"]);
/// The run-time compiler.
pub(crate) static NVRTC: CudaLibrary = CudaLibrary::new(
    "NVRTC",
    &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll"],
);

impl CudaLibrary {
    const fn new(title: &'static str, files: &'static [&'static str]) -> Self {
        Self { title, files, is_there: OnceLock::new() }
    }

    /// Refuses where the library cannot be loaded. Once asked, the answer stays.
    pub fn require(&self) -> Result<(), KernelError> {
        let is_there = *self.is_there.get_or_init(|| {
            // SAFETY: loading runs the library's own start alone; it is NVIDIA's, or none.
            self.files.iter().any(|&file| unsafe { Library::new(file) }.is_ok())
        });
        if is_there { Ok(()) } else { Err(self.missing()) }
    }

    /// What is said where it is not there.
    pub const fn missing(&self) -> KernelError {
        KernelError::Missing { library: self.title }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_there_or_it_is_named() {
        let there = CudaLibrary::new("C library", &["libnowhere.so.1", "libc.so.6"]);
        assert_eq!(there.require(), Ok(()));
        let nowhere = CudaLibrary::new("nowhere", &["libnowhere.so.1"]);
        assert_eq!(nowhere.require(), Err(KernelError::Missing { library: "nowhere" }));
    }
}
