//! The only calls into ICICLE: its libraries looked for at run time, and each function behind one that checks what it is given.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    mem,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr,
    sync::{Arc, Mutex, PoisonError},
};

use libloading::os::unix::{Library as Handle, RTLD_GLOBAL, RTLD_LAZY, RTLD_LOCAL, RTLD_NOW};

use super::{
    IcicleConfig,
    abi::{AffinePoint, Device, DomainConfig, MsmConfig, NttConfig, Number, ProjectivePoint, VectorConfig},
};
use crate::{Fr, KernelError};

const DEVICE_LIBRARY: &str = "libicicle_device.so";
const FIELD_LIBRARY: &str = "libicicle_field_bn254.so";
const CURVE_LIBRARY: &str = "libicicle_curve_bn254.so";
/// Hashes, without which the field library of the published builds does not load.
const HASH_LIBRARY: &str = "libicicle_hash.so";
/// Folders within folders that a backend's libraries lie in, at most.
const BACKEND_DEPTH_MAX: u32 = 4;

/// `eIcicleError`: no memory on the device.
const OUT_OF_MEMORY: c_int = 2;
/// `eIcicleError`: memory could not be allocated.
const ALLOCATION_FAILED: c_int = 4;

/// ICICLE answers with a number; its exceptions are let through, since they are no more defined behind an `extern "C"`.
type Answer = c_int;
type OnDevice = unsafe extern "C-unwind" fn(*const Device) -> Answer;
type ScalarFunction =
    unsafe extern "C-unwind" fn(*const Number, *const Fr, u64, *const VectorConfig, *mut Fr) -> Answer;
type MsmFunction =
    unsafe extern "C-unwind" fn(*const Fr, *const AffinePoint, c_int, *const MsmConfig, *mut ProjectivePoint) -> Answer;

/// ICICLE's functions, loaded for as long as the process lives.
#[derive(Clone, Copy)]
struct Functions {
    load_backend: unsafe extern "C-unwind" fn(*const c_char, bool) -> Answer,
    is_device_available: OnDevice,
    set_device: OnDevice,
    malloc: unsafe extern "C-unwind" fn(*mut *mut c_void, usize) -> Answer,
    free: unsafe extern "C-unwind" fn(*mut c_void) -> Answer,
    init_domain: unsafe extern "C-unwind" fn(*const Number, *const DomainConfig) -> Answer,
    release_domain: unsafe extern "C-unwind" fn() -> Answer,
    ntt: unsafe extern "C-unwind" fn(*const Fr, c_int, c_int, *const NttConfig, *mut Fr) -> Answer,
    scale: ScalarFunction,
    accumulate: unsafe extern "C-unwind" fn(*mut Fr, *const Fr, u64, *const VectorConfig) -> Answer,
    invert: unsafe extern "C-unwind" fn(*const Fr, u64, *const VectorConfig, *mut Fr) -> Answer,
    msm: MsmFunction,
    precompute: unsafe extern "C-unwind" fn(*const AffinePoint, c_int, *const MsmConfig, *mut AffinePoint) -> Answer,
}

/// ICICLE on one device.
pub(super) struct Library {
    functions: Functions,
    device: Device,
}

/// Which way a transform goes, as ICICLE numbers them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Direction {
    Forward = 0,
    Inverse = 1,
}

/// Points that stay on the device, each with its multiples.
pub(super) struct KeptPoints {
    library: Arc<Library>,
    address: ptr::NonNull<AffinePoint>,
    count: usize,
    /// How they were computed; sums over them must say the same.
    config: MsmConfig,
}

// SAFETY: the address is the device's and is only handed to ICICLE, which keeps account of its memory under a lock; the
// configuration's pointers are null.
unsafe impl Send for KeptPoints {}
// SAFETY: as above, and nothing is written to the memory once the points are there.
unsafe impl Sync for KeptPoints {}

impl Library {
    /// Opens the libraries of a folder and, if one is given, a backend's. The process loads one ICICLE: its state is global.
    pub fn open(config: &IcicleConfig) -> Result<Arc<Self>, KernelError> {
        static LOADED: Mutex<Option<(PathBuf, Functions)>> = Mutex::new(None);
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let functions = match &*loaded {
            Some((folder, functions)) if *folder == config.library_folder => *functions,
            Some(_) => return Err(KernelError::Device { operation: "load a second ICICLE", code: 0 }),
            None => loaded.insert((config.library_folder.clone(), Functions::load(&config.library_folder)?)).1,
        };
        if let Some(folder) = &config.backend_folder {
            functions.load_backend(folder)?;
        }
        let device = Device::new(config.device.name(), config.ordinal);
        // SAFETY: the structure is alive and laid out as the header says. Setting a device that is not there would raise an
        // exception, asking for it does not.
        if unsafe { (functions.is_device_available)(&device) } != 0 {
            return Err(KernelError::Missing { library: "ICICLE backend for this device" });
        }
        let library = Self { functions, device };
        library.bind()?;
        Ok(Arc::new(library))
    }

    /// Makes the device this thread's: ICICLE keeps one for each. All that computes begins here.
    fn bind(&self) -> Result<(), KernelError> {
        // SAFETY: the structure is alive, and the device is registered, as `open` has checked.
        accepted("choose ICICLE's device", 0, unsafe { (self.functions.set_device)(&self.device) })
    }

    /// Prepares roots of unity: powers of `root`, which is primitive of the order of the largest transform to come.
    pub fn init_domain(&self, root: &Number) -> Result<(), KernelError> {
        self.bind()?;
        // SAFETY: both are alive during the call, which blocks.
        accepted("prepare roots of unity", 0, unsafe { (self.functions.init_domain)(root, &DomainConfig::default()) })
    }

    /// Drops them. No transform may be running.
    pub fn release_domain(&self) -> Result<(), KernelError> {
        self.bind()?;
        // SAFETY: the function takes nothing; the callers' lock keeps transforms away.
        accepted("drop roots of unity", 0, unsafe { (self.functions.release_domain)() })
    }

    /// Transforms a vector in place, on the domain shifted by a number. Its length is a power of two, and roots of unity for it
    /// are there.
    pub fn transform(&self, values: &mut [Fr], direction: Direction, shift: Number) -> Result<(), KernelError> {
        assert!(values.len().is_power_of_two(), "domains have a power of two of elements");
        self.bind()?;
        let size = size_of_call(values.len(), size_of_val(values))?;
        let (config, values) = (NttConfig::shifted(shift), values.as_mut_ptr());
        // SAFETY: the vector is alive and this call's own; input and output may be the same.
        let answer = unsafe { (self.functions.ntt)(values, size, direction as c_int, &config, values) };
        accepted("transform", size as usize * size_of::<Fr>(), answer)
    }

    /// A vector times a number.
    pub fn scaled(&self, factor: Number, vector: &[Fr]) -> Result<Vec<Fr>, KernelError> {
        let config = VectorConfig::default();
        self.to_new_vector("scale", vector, |from, length, to| {
            // SAFETY: the caller vouches for the vectors; number and configuration are alive.
            unsafe { (self.functions.scale)(&factor, from, length, &config, to) }
        })
    }

    /// The inverse of each number. Of an element's Montgomery form it is the inverse, times 2^-512.
    pub fn inverses(&self, vector: &[Fr]) -> Result<Vec<Fr>, KernelError> {
        let config = VectorConfig::default();
        self.to_new_vector("invert", vector, |from, length, to| {
            // SAFETY: the caller vouches for the vectors; the configuration is alive.
            unsafe { (self.functions.invert)(from, length, &config, to) }
        })
    }

    fn to_new_vector(
        &self,
        operation: &'static str,
        vector: &[Fr],
        call: impl FnOnce(*const Fr, u64, *mut Fr) -> Answer,
    ) -> Result<Vec<Fr>, KernelError> {
        let mut result = vec![Fr::zero(); vector.len()];
        if !vector.is_empty() {
            self.bind()?;
            let answer = call(vector.as_ptr(), vector.len() as u64, result.as_mut_ptr());
            accepted(operation, size_of_val(vector), answer)?;
        }
        Ok(result)
    }

    /// Adds a vector of the same length.
    pub fn accumulate(&self, sum: &mut [Fr], other: &[Fr]) -> Result<(), KernelError> {
        assert_eq!(sum.len(), other.len(), "vectors that are added have one length");
        if sum.is_empty() {
            return Ok(());
        }
        self.bind()?;
        let config = VectorConfig::default();
        // SAFETY: both vectors are alive and have the length given, and one is not the other.
        let answer =
            unsafe { (self.functions.accumulate)(sum.as_mut_ptr(), other.as_ptr(), other.len() as u64, &config) };
        accepted("add", size_of_val(other), answer)
    }

    /// The sum of points times scalars, of which there are as many and at least one.
    pub fn sum(&self, scalars: &[Fr], points: &[AffinePoint]) -> Result<ProjectivePoint, KernelError> {
        assert_eq!(scalars.len(), points.len(), "each point has a scalar");
        let config = MsmConfig { are_scalars_montgomery_form: true, ..MsmConfig::default() };
        let mut sum = [ProjectivePoint::default()];
        self.sums(scalars, points.as_ptr(), points.len(), config, &mut sum)?;
        Ok(sum[0])
    }

    /// As many sums as there is room for, over the same points. Scalars of one sum follow those of another.
    fn sums(
        &self,
        scalars: &[Fr],
        points: *const AffinePoint,
        count: usize,
        config: MsmConfig,
        sums: &mut [ProjectivePoint],
    ) -> Result<(), KernelError> {
        assert!(count > 0 && scalars.len() == count * sums.len(), "each point has a scalar in each sum");
        self.bind()?;
        let bytes = size_of_val(scalars);
        let batch_size = size_of_call(sums.len(), bytes)?;
        let (config, count) = (MsmConfig { batch_size, ..config }, size_of_call(count, bytes)?);
        // SAFETY: scalars and sums are alive and have the lengths asserted; points are alive, since callers hold them.
        let answer = unsafe { (self.functions.msm)(scalars.as_ptr(), points, count, &config, sums.as_mut_ptr()) };
        accepted("multiply points", bytes, answer)
    }

    /// Brings points to the device, each with `factor - 1` multiples. There is at least one.
    pub fn keep(
        self: &Arc<Self>,
        points: &[AffinePoint],
        factor: c_int,
        window_bits: c_int,
    ) -> Result<KeptPoints, KernelError> {
        assert!(!points.is_empty() && factor > 0, "there are points to keep");
        self.bind()?;
        let bytes = size_of_val(points) * factor as usize;
        let count = size_of_call(points.len(), bytes)?;
        let mut address = ptr::null_mut();
        // SAFETY: the place for the address is alive.
        accepted("allocate", bytes, unsafe { (self.functions.malloc)(&mut address, bytes) })?;
        let address = ptr::NonNull::new(address.cast()).ok_or(KernelError::Memory { bytes })?;
        let config = MsmConfig { precompute_factor: factor, window_bits, ..MsmConfig::default() };
        // From here on the memory is given back however this ends.
        let kept = KeptPoints { library: Arc::clone(self), address, count: points.len(), config };
        let config = MsmConfig { are_results_on_device: true, ..config };
        // SAFETY: the points are alive, and the memory has room for `factor` points of each.
        let answer = unsafe { (self.functions.precompute)(points.as_ptr(), count, &config, kept.address.as_ptr()) };
        accepted("precompute points", bytes, answer)?;
        Ok(kept)
    }
}

impl KeptPoints {
    /// Number of points.
    pub fn count(&self) -> usize {
        self.count
    }

    /// One sum for each run of as many scalars as there are points.
    pub fn sums(&self, scalars: &[Fr]) -> Result<Vec<ProjectivePoint>, KernelError> {
        let mut sums = vec![ProjectivePoint::default(); scalars.len() / self.count];
        let config = MsmConfig { are_points_on_device: true, are_scalars_montgomery_form: true, ..self.config };
        self.library.sums(scalars, self.address.as_ptr(), self.count, config, &mut sums)?;
        Ok(sums)
    }
}

impl Drop for KeptPoints {
    fn drop(&mut self) {
        // Nothing can be done about a failure, here and below.
        let _ = self.library.bind();
        // SAFETY: allocated by ICICLE, and given back once; no call that reads it is running, since it would hold `self`.
        let _ = unsafe { (self.library.functions.free)(self.address.as_ptr().cast()) };
    }
}

impl Functions {
    /// Looks the libraries up in a folder, in the order in which they need each other.
    fn load(folder: &Path) -> Result<Self, KernelError> {
        let open =
            |name| open(&folder.join(name), RTLD_NOW | RTLD_GLOBAL).ok_or(KernelError::Missing { library: name });
        let device = open(DEVICE_LIBRARY)?;
        // Builds without hashes do without it; where it is needed and not there, the field library does not open.
        let _ = open(HASH_LIBRARY);
        let (field, curve) = (open(FIELD_LIBRARY)?, open(CURVE_LIBRARY)?);
        let (device, field, curve) = ((device, DEVICE_LIBRARY), (field, FIELD_LIBRARY), (curve, CURVE_LIBRARY));
        // SAFETY: each type above is the function's in the headers.
        unsafe {
            Ok(Self {
                load_backend: find(device, "icicle_load_backend")?,
                is_device_available: find(device, "icicle_is_device_available")?,
                set_device: find(device, "icicle_set_device")?,
                malloc: find(device, "icicle_malloc")?,
                free: find(device, "icicle_free")?,
                init_domain: find(field, "bn254_ntt_init_domain")?,
                release_domain: find(field, "bn254_ntt_release_domain")?,
                ntt: find(field, "bn254_ntt")?,
                scale: find(field, "bn254_scalar_mul_vec")?,
                accumulate: find(field, "bn254_vector_accumulate")?,
                invert: find(field, "bn254_vector_inv")?,
                msm: find(curve, "bn254_msm")?,
                precompute: find(curve, "bn254_msm_precompute_bases")?,
            })
        }
    }

    /// Has ICICLE load a backend. It says nothing about libraries that it could not load, and an operation whose library is not
    /// there raises an exception: so those of our curve are opened once more, and there must be one.
    fn load_backend(&self, folder: &Path) -> Result<(), KernelError> {
        let missing = KernelError::Missing { library: "ICICLE backend for BN254" };
        let path = CString::new(folder.as_os_str().as_bytes()).map_err(|_| missing.clone())?;
        // SAFETY: the path is alive and ends in a zero.
        accepted("load ICICLE's backend", 0, unsafe { (self.load_backend)(path.as_ptr(), true) })?;
        let libraries = backend_libraries(folder, BACKEND_DEPTH_MAX);
        let is_loaded = |path: &PathBuf| open(path, RTLD_LAZY | RTLD_LOCAL).is_some();
        if libraries.is_empty() || !libraries.iter().all(is_loaded) { Err(missing) } else { Ok(()) }
    }
}

/// The libraries below a folder that are a backend's for BN254.
fn backend_libraries(folder: &Path, depth: u32) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains("icicle_backend") && name.contains("bn254") && name.ends_with(".so")
    };
    let below = folders.iter().filter(|_| depth > 0).flat_map(|folder| backend_libraries(folder, depth - 1));
    files.into_iter().filter(is_ours).chain(below).collect()
}

/// Opens a library for good: its threads and registries do not outlive being closed.
fn open(path: &Path, flags: c_int) -> Option<&'static Handle> {
    // SAFETY: initialising the library runs its code, which is as trusted as the folder that the operator named.
    let handle = unsafe { Handle::open(Some(path), flags) }.ok()?;
    Some(Box::leak(Box::new(handle)))
}

/// # Safety
/// `T` must be the type of the function.
unsafe fn find<T: Copy>((library, name): (&Handle, &'static str), symbol: &'static str) -> Result<T, KernelError> {
    const { assert!(mem::size_of::<T>() == mem::size_of::<fn()>()) };
    // SAFETY: the caller vouches for the type.
    match unsafe { library.get::<T>(symbol) } {
        Ok(function) => Ok(*function),
        Err(_) => Err(KernelError::Symbol { library: name, symbol }),
    }
}

/// A length as calls take it. What is too long for them is too much memory.
fn size_of_call(length: usize, bytes: usize) -> Result<c_int, KernelError> {
    c_int::try_from(length).map_err(|_| KernelError::Memory { bytes })
}

fn accepted(operation: &'static str, bytes: usize, answer: Answer) -> Result<(), KernelError> {
    match answer {
        0 => Ok(()),
        OUT_OF_MEMORY | ALLOCATION_FAILED => Err(KernelError::Memory { bytes }),
        code => Err(KernelError::Device { operation, code }),
    }
}
