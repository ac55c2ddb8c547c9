//! The CUDA kernels of `hygeia-gpu-kernels` on the processor, for tests: the same files, compiled by this system's C++
//! compiler behind a header that makes fibers of a block's threads.
//!
//! This crate never runs in the product, and never needs CUDA. It needs a C++ compiler (`c++`, or the one named by
//! `CXX`).

mod memory;
mod queue;

use std::{
    alloc::Layout,
    collections::HashMap,
    env,
    ffi::c_void,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use hygeia_gpu_kernels::{
    KernelError,
    cuda::{Argument, CudaAccelerator, Device, Memory, Shape, Source},
};
use libloading::Library;

use memory::Block;
pub use memory::HostMemory;
use queue::{Launch, Operation, Queue};

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
/// The processor in the place of a CUDA device, as one of its lanes sees it.
#[derive(Debug)]
pub struct Emulator {
    /// Where compiled kernels are kept.
    folder: PathBuf,
    /// Memory that may still be taken.
    left: Arc<AtomicUsize>,
    queue: Arc<Queue>,
    /// Of all lanes but the first.
    lanes: Arc<Mutex<Vec<Arc<Queue>>>>,
    is_home: bool,
    /// Where operations go that are not to be done.
    recording: Option<Recording>,
    replays: AtomicUsize,
}

/// The kernels on the processor.
pub type EmulatedAccelerator = CudaAccelerator<Emulator>;

/// Compiled kernels.
pub struct Module {
    entries: HashMap<&'static str, Entry>,
    /// Owns the code that the entries point to.
    library: Arc<Library>,
}

/// Operations to be repeated.
#[derive(Debug, Clone, Default)]
pub struct Recording(Arc<Mutex<Vec<Operation>>>);

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
        let (left, queue) = (Arc::new(AtomicUsize::new(bytes)), Arc::new(Queue::new(false)));
        Ok(Self {
            folder,
            left,
            queue,
            lanes: Arc::default(),
            is_home: true,
            recording: None,
            replays: AtomicUsize::new(0),
        })
    }

    /// The same device, which does nothing before somebody waits for it: as late as a device may, lane by lane.
    pub fn late(mut self) -> Self {
        self.queue = Arc::new(Queue::new(true));
        self
    }

    /// Recordings that were repeated in this lane.
    pub fn replays(&self) -> usize {
        self.replays.load(Ordering::Relaxed)
    }

    /// Does an operation in this lane, or records it.
    fn ask(&self, operation: Operation) -> Result<(), KernelError> {
        match &self.recording {
            Some(recording) => {
                recording.operations().push(operation);
                Ok(())
            }
            None => self.queue.ask(operation),
        }
    }

    fn beside(&self, queue: Arc<Queue>, recording: Option<Recording>) -> Self {
        let (folder, left, lanes) = (self.folder.clone(), Arc::clone(&self.left), Arc::clone(&self.lanes));
        Self { folder, left, queue, lanes, is_home: false, recording, replays: AtomicUsize::new(0) }
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
    type Recording = Recording;

    fn lane(&self) -> Result<Self, KernelError> {
        let queue = Arc::new(Queue::new(self.queue.is_late()));
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&queue));
        Ok(self.beside(queue, None))
    }

    fn follow(&self, other: &Self) -> Result<(), KernelError> {
        self.queue.follow(&other.queue)
    }

    fn finish(&self) -> Result<(), KernelError> {
        self.queue.finish()
    }

    fn name(&self) -> &'static str {
        "cuda-emulated"
    }

    fn allocate(&self, bytes: usize) -> Result<HostMemory, KernelError> {
        let refused = KernelError::Memory { bytes };
        let layout = layout(bytes).ok_or(refused.clone())?;
        let take = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_err(|_| refused)?;
        let block = Arc::new(Block::new(layout, Arc::clone(&self.left)));
        let (queue, lanes) = (Arc::clone(&self.queue), Arc::clone(&self.lanes));
        Ok(HostMemory { block: Some(block), queue, lanes, is_home: self.is_home })
    }

    fn write(&self, memory: &mut HostMemory, bytes: &[u8]) -> Result<(), KernelError> {
        assert!(self.recording.is_none() && bytes.len() <= memory.bytes());
        self.ask(Operation::Write(memory.block(), bytes.into()))
    }

    fn read(&self, memory: &HostMemory, offset: usize, bytes: &mut [u8]) -> Result<(), KernelError> {
        assert!(self.recording.is_none());
        self.queue.finish()?;
        bytes.copy_from_slice(&memory.block().bytes()[offset..][..bytes.len()]);
        Ok(())
    }

    fn copy(&self, from: &HostMemory, to: &mut HostMemory, bytes: usize) -> Result<(), KernelError> {
        assert!(bytes <= from.bytes() && bytes <= to.bytes());
        self.ask(Operation::Copy(from.block(), to.block(), bytes))
    }

    fn clear(&self, memory: &mut HostMemory) -> Result<(), KernelError> {
        self.ask(Operation::Clear(memory.block()))
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
        Ok(Module { entries, library: Arc::new(library) })
    }

    unsafe fn launch(
        &self,
        module: &Module,
        kernel: &'static str,
        shape: Shape,
        arguments: &[Argument],
    ) -> Result<(), KernelError> {
        let entry = *module.entries.get(kernel).ok_or(KernelError::Device { operation: "find a kernel", code: 0 })?;
        // The caller vouches for the arguments until the kernel is done, whenever that is.
        let (_library, arguments) = (Arc::clone(&module.library), arguments.into());
        self.ask(Operation::Launch(Launch { entry, _library, kernel, shape, arguments }))
    }

    fn record(&self, work: &mut dyn FnMut(&Self) -> Result<(), KernelError>) -> Result<Option<Recording>, KernelError> {
        let recording = Recording::default();
        work(&self.beside(Arc::clone(&self.queue), Some(recording.clone())))?;
        Ok(Some(recording))
    }

    unsafe fn replay(&self, recording: &Recording) -> Result<(), KernelError> {
        self.replays.fetch_add(1, Ordering::Relaxed);
        recording.operations().iter().try_for_each(|operation| self.ask(operation.clone()))
    }
}

impl Recording {
    fn operations(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|queue| !Arc::ptr_eq(queue, &self.queue) || self.recording.is_some());
    }
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.max(1), ALIGNMENT).ok()
}
