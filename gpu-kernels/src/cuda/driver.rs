//! A CUDA device through its driver, which is looked for at run time.
//!
//! All work goes into one stream, in order: memory that is given back is reused only by what comes after.

use std::{
    collections::HashMap,
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cudarc::{
    driver::{
        CudaContext, CudaFunction, CudaStream, DriverError,
        result::{self, mem_pool},
        sys::{CUfunction_attribute_enum, CUmemPool_attribute, CUresult},
    },
    nvrtc::Ptx,
};

use super::{
    device::{Argument, Device, Memory, Shape},
    images::Images,
    library::DRIVER,
    source::Source,
};
use crate::KernelError;

/// Shared memory that a block gets without asking for more.
const SHARED_UNASKED: u32 = 48 << 10;

/// A CUDA device.
pub struct Driver {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    images: Images,
    budget: Arc<Budget>,
}

/// How to open a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriverConfig {
    /// Number of the device in the driver's order.
    pub ordinal: usize,
    /// Where compiled kernels are kept; without it they are compiled at every start. Whoever can write there decides
    /// what runs on the device.
    pub image_folder: Option<PathBuf>,
    /// Most memory to take; the device's own when none is given.
    pub memory_bytes_max: Option<usize>,
}

/// Memory taken, and how much may be.
struct Budget {
    taken: AtomicUsize,
    max: usize,
}

/// Memory of a CUDA device.
pub struct DeviceMemory {
    address: u64,
    bytes: usize,
    stream: Arc<CudaStream>,
    budget: Arc<Budget>,
}

/// Kernels loaded into a CUDA device.
pub struct Kernels {
    functions: HashMap<&'static str, CudaFunction>,
}

impl Driver {
    /// Opens a device. A missing driver, compiler or device is a typed error.
    pub fn open(config: &DriverConfig) -> Result<Self, KernelError> {
        DRIVER.require()?;
        // The bindings panic when a symbol is missing, as with a driver older than they expect.
        catch_unwind(AssertUnwindSafe(|| Self::open_present(config))).unwrap_or(Err(DRIVER.missing()))
    }

    fn open_present(config: &DriverConfig) -> Result<Self, KernelError> {
        let failed = failed("open the device");
        let context = CudaContext::new(config.ordinal).map_err(failed)?;
        if !context.has_async_alloc() {
            return Err(KernelError::Missing { library: "CUDA driver with memory in stream order" });
        }
        keep_freed_memory(&context)?;
        let (major, minor) = context.compute_capability().map_err(failed)?;
        let images = Images::new(format!("sm_{major}{minor}"), config.image_folder.clone())?;
        let (free, _) = context.mem_get_info().map_err(failed)?;
        let max = config.memory_bytes_max.unwrap_or(free);
        let stream = context.default_stream();
        Ok(Self { stream, context, images, budget: Arc::new(Budget { taken: AtomicUsize::new(0), max }) })
    }

    /// The name that the driver gives the device.
    pub fn device_name(&self) -> Result<String, KernelError> {
        self.context.name().map_err(failed("ask for the device's name"))
    }

    /// Memory that may still be taken.
    pub fn memory_bytes_left(&self) -> usize {
        self.budget.max.saturating_sub(self.budget.taken.load(Ordering::Relaxed))
    }

    /// Waits for everything that was asked for.
    pub fn synchronise(&self) -> Result<(), KernelError> {
        self.stream.synchronize().map_err(failed("wait for the device"))
    }

    fn bind(&self) -> Result<(), KernelError> {
        self.context.bind_to_thread().map_err(failed("bind the device to a thread"))
    }

    fn load(&self, source: &Source, image: Vec<u8>) -> Result<Kernels, KernelError> {
        let failed = failed("load kernels");
        let module = self.context.load_module(Ptx::from_binary(image)).map_err(failed)?;
        let load = |&kernel: &&'static str| Ok((kernel, module.load_function(kernel).map_err(failed)?));
        Ok(Kernels { functions: source.kernels.iter().map(load).collect::<Result<_, KernelError>>()? })
    }
}

impl Device for Driver {
    type Memory = DeviceMemory;
    type Module = Kernels;

    fn name(&self) -> &'static str {
        "cuda"
    }

    fn allocate(&self, bytes: usize) -> Result<DeviceMemory, KernelError> {
        self.bind()?;
        let budget = Arc::clone(&self.budget);
        if budget.taken.fetch_add(bytes, Ordering::Relaxed) + bytes > budget.max {
            budget.taken.fetch_sub(bytes, Ordering::Relaxed);
            return Err(KernelError::Memory { bytes });
        }
        // SAFETY: the stream is this device's, and the size is not zero, as the trait's callers see to.
        let address = unsafe { result::malloc_async(self.stream.cu_stream(), bytes) }.map_err(|error| {
            budget.taken.fetch_sub(bytes, Ordering::Relaxed);
            match error.0 {
                CUresult::CUDA_ERROR_OUT_OF_MEMORY => KernelError::Memory { bytes },
                _ => failed("allocate memory")(error),
            }
        })?;
        Ok(DeviceMemory { address, bytes, stream: Arc::clone(&self.stream), budget })
    }

    fn write(&self, memory: &mut DeviceMemory, bytes: &[u8]) -> Result<(), KernelError> {
        assert!(bytes.len() <= memory.bytes, "a transfer fits its memory");
        self.bind()?;
        // SAFETY: the memory is large enough and alive. From ordinary host memory the driver has taken a copy when it
        // returns.
        unsafe { result::memcpy_htod_async(memory.address, bytes, self.stream.cu_stream()) }
            .map_err(failed("write to the device"))
    }

    fn read(&self, memory: &DeviceMemory, offset: usize, bytes: &mut [u8]) -> Result<(), KernelError> {
        assert!(offset + bytes.len() <= memory.bytes, "a transfer fits its memory");
        self.bind()?;
        let failed = failed("read from the device");
        // SAFETY: the memory is large enough, and both ends live until the stream is synchronised below.
        unsafe { result::memcpy_dtoh_async(bytes, memory.address + offset as u64, self.stream.cu_stream()) }
            .map_err(failed)?;
        self.stream.synchronize().map_err(failed)
    }

    fn copy(&self, from: &DeviceMemory, to: &mut DeviceMemory, bytes: usize) -> Result<(), KernelError> {
        assert!(bytes <= from.bytes && bytes <= to.bytes, "a transfer fits its memory");
        self.bind()?;
        // SAFETY: both are alive and large enough; that they are given back later comes behind this in the stream.
        unsafe { result::memcpy_dtod_async(to.address, from.address, bytes, self.stream.cu_stream()) }
            .map_err(failed("copy on the device"))
    }

    fn clear(&self, memory: &mut DeviceMemory) -> Result<(), KernelError> {
        self.bind()?;
        // SAFETY: the memory is alive and has this size.
        unsafe { result::memset_d8_async(memory.address, 0, memory.bytes, self.stream.cu_stream()) }
            .map_err(failed("clear memory"))
    }

    fn compile(&self, source: &Source) -> Result<Kernels, KernelError> {
        self.bind()?;
        if let Some(image) = self.images.kept(source)
            && let Ok(kernels) = self.load(source, image)
        {
            return Ok(kernels);
        }
        self.load(source, self.images.compile(source)?)
    }

    unsafe fn launch(
        &self,
        module: &Kernels,
        kernel: &'static str,
        shape: Shape,
        arguments: &[Argument],
    ) -> Result<(), KernelError> {
        self.bind()?;
        let failed = failed(kernel);
        let function =
            module.functions.get(kernel).ok_or(KernelError::Device { operation: "find a kernel", code: 0 })?;
        if shape.shared > SHARED_UNASKED {
            let attribute = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let bytes = i32::try_from(shape.shared).expect("shared memory is a few hundred kilobytes");
            function.set_attribute(attribute, bytes).map_err(failed)?;
        }
        let mut pointers: Vec<*mut c_void> = arguments.iter().map(|argument| argument.pointer().cast_mut()).collect();
        let (columns, rows) = shape.grid;
        // SAFETY: the caller vouches for the arguments. The driver copies them, and does not write to them, before it
        // returns.
        unsafe {
            result::launch_kernel(
                function.cu_function(),
                (columns, rows, 1),
                (shape.block, 1, 1),
                shape.shared,
                self.stream.cu_stream(),
                &mut pointers,
            )
        }
        .map_err(failed)
    }
}

impl Memory for DeviceMemory {
    fn address(&self) -> u64 {
        self.address
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        let context = self.stream.context();
        // A failure is the device's, and shows at the next call.
        context.record_err(context.bind_to_thread());
        // SAFETY: allocated in this stream, and given back once, behind all that was asked for.
        context.record_err(unsafe { result::free_async(self.address, self.stream.cu_stream()) });
    }
}

/// Keeps memory that was given back, so that the next allocation need not ask the system.
fn keep_freed_memory(context: &CudaContext) -> Result<(), KernelError> {
    let failed = failed("set up the memory pool");
    let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    let mut threshold = u64::MAX;
    // SAFETY: the device is the context's, its default pool lives as long as it does, and the attribute is a number of
    // 64 bits.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device()).map_err(failed)?;
        mem_pool::set_attribute(pool, attribute, std::ptr::from_mut(&mut threshold).cast()).map_err(failed)
    }
}

fn failed(operation: &'static str) -> impl Fn(DriverError) -> KernelError + Copy {
    move |error| KernelError::Device { operation, code: error.0 as i32 }
}
