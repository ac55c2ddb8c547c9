//! The CUDA kernels of `hygeia-gpu-kernels` on the processor, for tests: the same files, compiled by this system's C++
//! compiler behind a header that makes fibers of a block's threads.
//!
//! This crate never runs in the product, and never needs CUDA. It needs a C++ compiler (`c++`, or the one named by
//! `CXX`).

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    collections::HashMap,
    env,
    ffi::c_void,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{self, Command},
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use hygeia_gpu_kernels::{
    KernelError,
    cuda::{Argument, CudaAccelerator, Device, Memory, Shape, Source},
};
use libloading::Library;

const HEADER: &str = include_str!("../../cuda/emulator/emulator.h");
/// Libraries hide what is not an entry: they define the same names, and each has workers of its own.
const FLAGS: [&str; 8] = [
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-shared",
    "-pthread",
    "-fvisibility=hidden",
    // CUDA's compiler lets words of one type be read as another's; elements are loaded so.
    "-fno-strict-aliasing",
    "-Wno-unknown-pragmas",
];
/// Alignment that a device's allocations have.
const ALIGNMENT: usize = 256;
/// Contents of fresh memory: a kernel that counts on zeros must fail.
const STALE: u8 = 0xa5;

/// The processor in the place of a CUDA device.
#[derive(Debug)]
pub struct Emulator {
    /// Where compiled kernels are kept.
    folder: PathBuf,
    /// Memory that may still be taken.
    left: Arc<AtomicUsize>,
}

/// The kernels on the processor.
pub type EmulatedAccelerator = CudaAccelerator<Emulator>;

/// Memory of the emulated device.
pub struct HostMemory {
    start: NonNull<u8>,
    bytes: usize,
    /// Of the device, to give back to.
    left: Arc<AtomicUsize>,
}

/// Compiled kernels.
pub struct Module {
    entries: HashMap<&'static str, Entry>,
    /// Owns the code that the entries point to.
    _library: Library,
}

/// Grid along two axes, threads of a block, bytes of shared memory, and pointers to the arguments. The result is not
/// zero where a launch is refused or threads of a block missed a barrier.
type Entry = unsafe extern "C" fn(u32, u32, u32, u32, *const *const c_void) -> i32;

/// An accelerator whose compiled kernels are kept beside this test's executable.
pub fn accelerator() -> Result<EmulatedAccelerator, KernelError> {
    CudaAccelerator::over(Emulator::new()?)
}

impl Emulator {
    /// A device with as much memory as the processor has.
    pub fn new() -> Result<Self, KernelError> {
        Self::with_memory(usize::MAX)
    }

    /// A device with so much memory. Compiled kernels are kept beside this executable.
    pub fn with_memory(bytes: usize) -> Result<Self, KernelError> {
        let failed = |_| KernelError::Device { operation: "find this executable", code: 0 };
        let executable = env::current_exe().map_err(failed)?;
        let folder = executable.parent().unwrap_or(Path::new(".")).join("emulated-kernels");
        fs::create_dir_all(&folder).map_err(|_| KernelError::Device { operation: "make a folder", code: 0 })?;
        Ok(Self { folder, left: Arc::new(AtomicUsize::new(bytes)) })
    }

    /// Compiles a library, unless the same text was compiled before.
    fn build(&self, name: &'static str, text: &str) -> Result<PathBuf, KernelError> {
        static BUILDS: AtomicU64 = AtomicU64::new(0);
        let mut hasher = DefaultHasher::new();
        (FLAGS, text).hash(&mut hasher);
        let library = self.folder.join(format!("{name}-{:016x}.so", hasher.finish()));
        if library.exists() {
            return Ok(library);
        }
        // Tests run beside each other: each builds under a name of its own, and the last one to finish stays.
        let own = format!("{name}-{}-{}", process::id(), BUILDS.fetch_add(1, Ordering::Relaxed));
        let (source, built) = (self.folder.join(format!("{own}.cpp")), self.folder.join(format!("{own}.so")));
        let failed = |log: String| KernelError::Compile { name, log };
        fs::write(&source, text).map_err(|error| failed(error.to_string()))?;
        let output = Command::new(env::var_os("CXX").unwrap_or_else(|| "c++".into()))
            .args(FLAGS)
            .arg("-o")
            .args([&built, &source])
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        fs::rename(&built, &library).map_err(|error| failed(error.to_string()))?;
        fs::remove_file(&source).map_err(|error| failed(error.to_string()))?;
        Ok(library)
    }
}

impl Device for Emulator {
    type Memory = HostMemory;
    type Module = Module;

    fn name(&self) -> &'static str {
        "cuda-emulated"
    }

    fn allocate(&self, bytes: usize) -> Result<HostMemory, KernelError> {
        let refused = KernelError::Memory { bytes };
        let layout = layout(bytes).ok_or(refused.clone())?;
        let take = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_err(|_| refused)?;
        // SAFETY: the layout has a size above zero.
        let start = unsafe { alloc(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        // SAFETY: the memory was just allocated, with this size.
        unsafe { start.write_bytes(STALE, bytes) };
        Ok(HostMemory { start, bytes, left: Arc::clone(&self.left) })
    }

    fn write(&self, memory: &mut HostMemory, bytes: &[u8]) -> Result<(), KernelError> {
        memory.slice_mut()[..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, memory: &HostMemory, offset: usize, bytes: &mut [u8]) -> Result<(), KernelError> {
        bytes.copy_from_slice(&memory.slice()[offset..offset + bytes.len()]);
        Ok(())
    }

    fn copy(&self, from: &HostMemory, to: &mut HostMemory, bytes: usize) -> Result<(), KernelError> {
        to.slice_mut()[..bytes].copy_from_slice(&from.slice()[..bytes]);
        Ok(())
    }

    fn clear(&self, memory: &mut HostMemory) -> Result<(), KernelError> {
        memory.slice_mut().fill(0);
        Ok(())
    }

    fn compile(&self, source: &Source) -> Result<Module, KernelError> {
        let entries: String = source.kernels.iter().map(|kernel| format!("EMULATED_KERNEL({kernel})\n")).collect();
        let library = self.build(source.name, &format!("{HEADER}\n{}\n{entries}", source.text))?;
        let failed = |operation| move |_| KernelError::Device { operation, code: 0 };
        // SAFETY: the library is one that `build` made; loading it runs no code but C++'s own start.
        let library = unsafe { Library::new(library) }.map_err(failed("load emulated kernels"))?;
        let entry = |&kernel: &&'static str| {
            let symbol = format!("emulated_{kernel}");
            // SAFETY: the header gives each entry this type.
            let entry =
                unsafe { library.get::<Entry>(symbol.as_bytes()) }.map_err(failed("find an emulated kernel"))?;
            Ok((kernel, *entry))
        };
        let entries = source.kernels.iter().map(entry).collect::<Result<_, KernelError>>()?;
        Ok(Module { entries, _library: library })
    }

    unsafe fn launch(
        &self,
        module: &Module,
        kernel: &'static str,
        shape: Shape,
        arguments: &[Argument],
    ) -> Result<(), KernelError> {
        let entry = module.entries.get(kernel).ok_or(KernelError::Device { operation: "find a kernel", code: 0 })?;
        let pointers: Vec<*const c_void> = arguments.iter().map(Argument::pointer).collect();
        let (columns, rows) = shape.grid;
        // SAFETY: the caller vouches for the arguments; the pointers live until the call returns, and it returns when
        // all threads have.
        match unsafe { entry(columns, rows, shape.block, shape.shared, pointers.as_ptr()) } {
            0 => Ok(()),
            code => Err(KernelError::Device { operation: kernel, code }),
        }
    }
}

impl HostMemory {
    fn slice(&self) -> &[u8] {
        // SAFETY: the memory is this value's own, has this size and was filled when it was allocated. Kernels have
        // returned.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    fn slice_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `slice`, and nobody else holds it.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

impl Memory for HostMemory {
    fn address(&self) -> u64 {
        self.start.as_ptr().expose_provenance() as u64
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

// SAFETY: the memory is owned, and written through `&mut` or by kernels that the caller of `launch` vouches for.
unsafe impl Send for HostMemory {}
// SAFETY: as above; `&self` only reads.
unsafe impl Sync for HostMemory {}

impl Drop for HostMemory {
    fn drop(&mut self) {
        let layout = layout(self.bytes).expect("the layout was good when the memory was allocated");
        self.left.fetch_add(self.bytes, Ordering::Relaxed);
        // SAFETY: allocated with this layout, and dropped once.
        unsafe { dealloc(self.start.as_ptr(), layout) };
    }
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.max(1), ALIGNMENT).ok()
}
