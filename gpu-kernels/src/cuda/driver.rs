//! A CUDA device through its driver, which is looked for at run time.
//!
//! Each lane is a stream of its own that waits for no other, candle's included: memory that is given back is reused only
//! by what comes after. This module never works in CUDA's default stream, which all others wait for.

use std::{
    collections::HashMap,
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use cudarc::{
    driver::{
        CudaContext, CudaFunction, CudaStream, DriverError, result,
        sys::{self, CUfunction_attribute_enum, CUresult},
    },
    nvrtc::Ptx,
};

use super::{
    device::{Argument, Device, Shape},
    graph::Graph,
    images::Images,
    library::DRIVER,
    memory::{Budget, DeviceMemory, Shared, keep_freed_memory},
    pinned::PinnedLink,
    source::Source,
    staging::Staging,
};
use crate::KernelError;

/// Shared memory that a block gets without asking for more.
const SHARED_UNASKED: u32 = 48 << 10;

/// First version of the driver that is asked to record: all functions that this takes are in it.
const RECORDING_DRIVER: i32 = 12_000;

/// One lane of a CUDA device.
pub struct Driver {
    shared: Arc<Shared>,
    stream: Arc<CudaStream>,
    is_home: bool,
    /// Made at the first transfer; none where no memory could be locked.
    staging: Mutex<Transfers>,
}

/// How bytes come to the device and back.
enum Transfers {
    Untried,
    Staged(Staging<PinnedLink>),
    /// The driver copies from and to ordinary memory by itself.
    Plain,
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
        let budget = Budget { taken: AtomicUsize::new(0), max: config.memory_bytes_max.unwrap_or(free) };
        let stream = context.new_stream().map_err(failed)?;
        let mut version = 0;
        // SAFETY: the argument is a place for a number.
        unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(failed)?;
        let records = version >= RECORDING_DRIVER;
        Ok(Self::over(Arc::new(Shared { context, images, budget, records, lanes: Mutex::default() }), stream, true))
    }

    fn over(shared: Arc<Shared>, stream: Arc<CudaStream>, is_home: bool) -> Self {
        Self { shared, stream, is_home, staging: Mutex::new(Transfers::Untried) }
    }

    /// The name that the driver gives the device.
    pub fn device_name(&self) -> Result<String, KernelError> {
        self.shared.context.name().map_err(failed("ask for the device's name"))
    }

    /// Memory that may still be taken.
    pub fn memory_bytes_left(&self) -> usize {
        let budget = &self.shared.budget;
        budget.max.saturating_sub(budget.taken.load(Ordering::Relaxed))
    }

    /// Waits for everything that was asked for in all lanes.
    pub fn synchronise(&self) -> Result<(), KernelError> {
        self.shared.context.synchronize().map_err(failed("wait for the device"))
    }

    fn bind(&self) -> Result<(), KernelError> {
        self.shared.context.bind_to_thread().map_err(failed("bind the device to a thread"))
    }

    fn load(&self, source: &Source, image: Vec<u8>) -> Result<Kernels, KernelError> {
        let failed = failed("load kernels");
        let module = self.shared.context.load_module(Ptx::from_binary(image)).map_err(failed)?;
        let load = |&kernel: &&'static str| Ok((kernel, module.load_function(kernel).map_err(failed)?));
        Ok(Kernels { functions: source.kernels.iter().map(load).collect::<Result<_, KernelError>>()? })
    }
}

impl Transfers {
    /// The staging, where memory can be locked.
    fn staging(&mut self, stream: &Arc<CudaStream>) -> Option<&mut Staging<PinnedLink>> {
        if matches!(self, Self::Untried) {
            *self = PinnedLink::new(stream).map_or(Self::Plain, |link| Self::Staged(Staging::new(link)));
        }
        match self {
            Self::Staged(staging) => Some(staging),
            Self::Untried | Self::Plain => None,
        }
    }
}

impl Device for Driver {
    type Memory = DeviceMemory;
    type Module = Kernels;
    type Recording = Graph;

    fn lane(&self) -> Result<Self, KernelError> {
        let stream = self.shared.context.new_stream().map_err(failed("open a lane"))?;
        self.shared.lanes().push(Arc::clone(&stream));
        Ok(Self::over(Arc::clone(&self.shared), stream, false))
    }

    fn follow(&self, other: &Self) -> Result<(), KernelError> {
        self.stream.join(&other.stream).map_err(failed("order two lanes"))
    }

    fn finish(&self) -> Result<(), KernelError> {
        self.stream.synchronize().map_err(failed("wait for a lane"))
    }

    fn name(&self) -> &'static str {
        "cuda"
    }

    fn allocate(&self, bytes: usize) -> Result<DeviceMemory, KernelError> {
        self.bind()?;
        let budget = &self.shared.budget;
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
        let (shared, stream) = (Arc::clone(&self.shared), Arc::clone(&self.stream));
        Ok(DeviceMemory { address, bytes, shared, stream, is_home: self.is_home })
    }

    fn write(&self, memory: &mut DeviceMemory, bytes: &[u8]) -> Result<(), KernelError> {
        assert!(bytes.len() <= memory.bytes, "a transfer fits its memory");
        self.bind()?;
        let mut transfers = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(staging) = transfers.staging(&self.stream) {
            return staging.write(memory.address, bytes);
        }
        // SAFETY: the memory is large enough and alive. From ordinary host memory the driver has taken a copy when it
        // returns.
        unsafe { result::memcpy_htod_async(memory.address, bytes, self.stream.cu_stream()) }
            .map_err(failed("write to the device"))
    }

    fn read(&self, memory: &DeviceMemory, offset: usize, bytes: &mut [u8]) -> Result<(), KernelError> {
        assert!(offset + bytes.len() <= memory.bytes, "a transfer fits its memory");
        self.bind()?;
        let address = memory.address + offset as u64;
        let mut transfers = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(staging) = transfers.staging(&self.stream) {
            return staging.read(address, bytes);
        }
        let failed = failed("read from the device");
        // SAFETY: the memory is large enough, and both ends live until the stream is synchronised below.
        unsafe { result::memcpy_dtoh_async(bytes, address, self.stream.cu_stream()) }.map_err(failed)?;
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
        if let Some(image) = self.shared.images.kept(source)
            && let Ok(kernels) = self.load(source, image)
        {
            return Ok(kernels);
        }
        self.load(source, self.shared.images.compile(source)?)
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

    fn record(&self, work: &mut dyn FnMut(&Self) -> Result<(), KernelError>) -> Result<Option<Graph>, KernelError> {
        if !self.shared.records {
            return Ok(None);
        }
        // In a stream of its own that nobody waits for, so that nothing else is recorded with it.
        let stream = self.shared.context.new_stream().map_err(failed("open a lane"))?;
        let lane = Self::over(Arc::clone(&self.shared), stream, false);
        Graph::record(&lane.stream, || work(&lane))
    }

    unsafe fn replay(&self, graph: &Graph) -> Result<(), KernelError> {
        self.bind()?;
        // SAFETY: the caller vouches for the memory.
        unsafe { graph.replay(&self.stream) }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.lanes().retain(|stream| !Arc::ptr_eq(stream, &self.stream));
    }
}

pub(super) fn failed(operation: &'static str) -> impl Fn(DriverError) -> KernelError + Copy {
    move |error| KernelError::Device { operation, code: error.0 as i32 }
}
