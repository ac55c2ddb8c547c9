//! What stands where ICICLE should, and is not it: libraries with its functions' names that lack one, fail, or compute nothing.
//! They are compiled by this system's C++ compiler, in a test process of their own: a process loads one ICICLE.

use std::{env, fs, path::Path, process::Command};

use hygeia_gpu_kernels::{IcicleAccelerator, IcicleConfig, KernelError, icicle::IcicleDevice};

/// The device's number chooses what goes wrong: choosing it fails with codes above 8, a transform with smaller ones. Below that
/// everything succeeds and nothing is computed; -1 at least writes the identity for every sum.
const DEVICE: &str = r#"
#include <cstdlib>
#define F extern "C" int
struct Device { char kind[64]; int ordinal; };
int chosen = 0;
F stand_in_chosen() { return chosen; }
F icicle_load_backend(const char *, bool) { return 0; }
F icicle_is_device_available(const Device *device) { return device->kind[1] == 'P' ? 0 : 1; }
F icicle_set_device(const Device *device) { chosen = device->ordinal; return chosen > 8 ? chosen : 0; }
F icicle_malloc(void **place, size_t size) { *place = malloc(size); return 0; }
F icicle_free(void *place) { free(place); return 0; }
"#;
const FIELD: &str = r#"
#define F extern "C" int
F stand_in_chosen();
F bn254_ntt_init_domain(void *, void *) { return 0; }
F bn254_ntt_release_domain() { return 0; }
F bn254_ntt(void *, int, int, void *, void *) { return stand_in_chosen() > 0 ? stand_in_chosen() : 0; }
F bn254_scalar_mul_vec(void *, void *, unsigned long, void *, void *) { return 0; }
F bn254_vector_accumulate(void *, void *, unsigned long, void *) { return 0; }
"#;
const INVERT: &str = "F bn254_vector_inv(void *, unsigned long, void *, void *) { return 0; }";
const CURVE: &str = r#"
#define F extern "C" int
F stand_in_chosen();
struct Point { unsigned long x[4], y[4], z[4]; };
struct Config { void *stream; int factor, window, bits, batch; };
F bn254_msm(void *, void *, int, const Config *config, Point *sums) {
  for (int i = 0; stand_in_chosen() < 0 && i < config->batch; i++) sums[i] = Point{{0}, {1}, {0}};
  return 0;
}
F bn254_msm_precompute_bases(void *, int, void *, void *) { return 0; }
"#;

fn compile(folder: &Path, library: &str, text: &str) {
    let (source, built) = (folder.join(format!("{library}.cpp")), folder.join(format!("lib{library}.so")));
    fs::write(&source, text).unwrap();
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let status = Command::new(compiler).args(["-shared", "-fPIC", "-o"]).args([built, source]).status().unwrap();
    assert!(status.success());
}

fn open(folder: &Path, device: IcicleDevice, ordinal: i32) -> Option<KernelError> {
    let config = IcicleConfig { library_folder: folder.into(), backend_folder: None, device, ordinal };
    IcicleAccelerator::open(&config).err()
}

#[test]
fn what_is_not_icicle_is_refused() {
    let (first, second, third) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let missing = |library| Some(KernelError::Missing { library });
    compile(first.path(), "icicle_device", DEVICE);
    assert_eq!(open(first.path(), IcicleDevice::Cpu, 0), missing("libicicle_field_bn254.so"));

    for (library, text) in [("icicle_device", DEVICE), ("icicle_field_bn254", FIELD), ("icicle_curve_bn254", CURVE)] {
        compile(second.path(), library, text);
    }
    let lacking = KernelError::Symbol { library: "libicicle_field_bn254.so", symbol: "bn254_vector_inv" };
    assert_eq!(open(second.path(), IcicleDevice::Cpu, 0), Some(lacking));

    let field = format!("{FIELD}{INVERT}");
    for (library, text) in [("icicle_device", DEVICE), ("icicle_field_bn254", &field), ("icicle_curve_bn254", CURVE)] {
        compile(third.path(), library, text);
    }
    assert_eq!(open(third.path(), IcicleDevice::Cuda, 0), missing("ICICLE backend for this device"));
    // What a licence server's refusal comes as.
    let refused = KernelError::Device { operation: "choose ICICLE's device", code: 13 };
    assert_eq!(open(third.path(), IcicleDevice::Cpu, 13), Some(refused));
    assert_eq!(open(third.path(), IcicleDevice::Cpu, 2), Some(KernelError::Memory { bytes: 8 * 32 }));
    assert_eq!(open(third.path(), IcicleDevice::Cpu, 7), Some(KernelError::Device { operation: "transform", code: 7 }));
    let wrong = |operation| Some(KernelError::Wrong { operation });
    assert_eq!(open(third.path(), IcicleDevice::Cpu, 0), wrong("msm"));
    assert_eq!(open(third.path(), IcicleDevice::Cpu, -1), wrong("forward"));
}
