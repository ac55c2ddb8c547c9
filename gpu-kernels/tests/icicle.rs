//! ICICLE: what crosses to it, its refusals, and, where `HYGEIA_ICICLE_DIR` names a folder with its libraries, the same body of
//! tests as every accelerator. `HYGEIA_ICICLE_BACKEND_DIR` names a CUDA backend's folder; without it ICICLE's processor backend
//! is tested.

mod conformance;

use std::{
    env, fs,
    mem::{align_of, offset_of, size_of},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use halo2curves_axiom::{
    bn256::Fq,
    ff::Field,
    group::{Curve, Group, prime::PrimeCurveAffine},
};
use hygeia_gpu_kernels::{
    Accelerator, CpuAccelerator, Fr, G1, G1Affine, IcicleAccelerator, IcicleConfig, KernelError,
    icicle::{
        IcicleDevice,
        abi::{AffinePoint, Device, DomainConfig, MsmConfig, NttConfig, ProjectivePoint, VectorConfig, number},
    },
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// ICICLE where it is installed. One for all tests: the process loads its libraries once.
static INSTALLED: LazyLock<Option<IcicleAccelerator>> = LazyLock::new(|| {
    let Some(folder) = env::var_os("HYGEIA_ICICLE_DIR") else {
        eprintln!("skipped: HYGEIA_ICICLE_DIR names no folder");
        return None;
    };
    let backend_folder = env::var_os("HYGEIA_ICICLE_BACKEND_DIR").map(PathBuf::from);
    let device = if backend_folder.is_some() { IcicleDevice::Cuda } else { IcicleDevice::Cpu };
    let config = IcicleConfig { backend_folder, device, ..config(Path::new(&folder)) };
    Some(IcicleAccelerator::open(&config).unwrap())
});

fn config(folder: &Path) -> IcicleConfig {
    IcicleConfig { library_folder: folder.into(), backend_folder: None, device: IcicleDevice::Cpu, ordinal: 0 }
}

fn elements(count: usize, seed: u64) -> Vec<Fr> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..count).map(|_| Fr::random(&mut rng)).collect()
}

#[test]
fn the_device_conforms() {
    if let Some(device) = &*INSTALLED {
        conformance::all(device);
    }
}

/// Two calls' worth of columns, most of them empty.
#[test]
fn many_columns_over_many_points_agree_with_the_processor() {
    let Some(device) = &*INSTALLED else { return };
    let size = (1 << 14) + 5;
    let step = G1::generator();
    let points: Vec<G1> = std::iter::successors(Some(step), |point| Some(point + step)).take(size).collect();
    let mut affine = vec![G1Affine::identity(); size];
    G1::batch_normalize(&points, &mut affine);
    let mut columns = vec![Vec::new(); 130];
    columns[0] = elements(size, 1);
    columns[126] = elements(1000, 2);
    columns[129] = vec![-Fr::ONE; size];
    let table = device.bases(&affine).unwrap();
    let sums = device.msm_many(&table, &columns.iter().collect::<Vec<_>>()).unwrap();
    for (sum, column) in sums.into_iter().zip(&columns) {
        assert_eq!(sum, CpuAccelerator.msm(column, &affine[..column.len()]).unwrap());
    }
}

/// A larger domain replaces ICICLE's roots of unity, and smaller ones go on. Each thread chooses the device for itself.
#[test]
fn domains_and_points_serve_several_threads() {
    let Some(device) = &*INSTALLED else { return };
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || {
                let (scalars, points) = (elements(64, 9), [G1Affine::generator(); 64]);
                let sum = device.msm(&scalars, &points).unwrap();
                assert_eq!(sum, points[0] * scalars.iter().sum::<Fr>());
                let small = device.domain(4 + seed).unwrap();
                let large = device.domain(12 + seed).unwrap();
                for (domain, log_n) in [(&small, 4 + seed), (&large, 12 + seed)] {
                    let values = elements(1 << log_n, u64::from(seed));
                    let (mut there, mut here) = ([values.clone()], [values]);
                    device.forward(domain, &mut there).unwrap();
                    CpuAccelerator.forward(&CpuAccelerator.domain(log_n).unwrap(), &mut here).unwrap();
                    assert_eq!(there, here);
                }
            });
        }
    });
}

#[test]
fn a_missing_library_backend_or_device_is_a_typed_error() {
    let empty = tempfile::tempdir().unwrap();
    if let Some(folder) = env::var_os("HYGEIA_ICICLE_DIR") {
        LazyLock::force(&INSTALLED);
        let second = IcicleAccelerator::open(&config(empty.path())).err();
        assert_eq!(second, Some(KernelError::Device { operation: "load a second ICICLE", code: 0 }));
        let installed = config(Path::new(&folder));
        let no_backend = IcicleConfig { backend_folder: Some(empty.path().into()), ..installed.clone() };
        let missing = |library| Some(KernelError::Missing { library });
        assert_eq!(IcicleAccelerator::open(&no_backend).err(), missing("ICICLE backend for BN254"));
        fs::write(empty.path().join("libicicle_backend_cuda_field_bn254.so"), "no library").unwrap();
        assert_eq!(IcicleAccelerator::open(&no_backend).err(), missing("ICICLE backend for BN254"));
        let no_device = IcicleConfig { ordinal: 4096, ..installed.clone() };
        assert!(matches!(IcicleAccelerator::open(&no_device).err(), Some(KernelError::Device { .. })));
        if env::var_os("HYGEIA_ICICLE_BACKEND_DIR").is_none() {
            let cuda = IcicleConfig { device: IcicleDevice::Cuda, ..installed };
            assert_eq!(IcicleAccelerator::open(&cuda).err(), missing("ICICLE backend for this device"));
        }
    } else {
        let missing = Some(KernelError::Missing { library: "libicicle_device.so" });
        assert_eq!(IcicleAccelerator::open(&config(empty.path())).err(), missing);
        fs::write(empty.path().join("libicicle_device.so"), "no library").unwrap();
        assert_eq!(IcicleAccelerator::open(&config(empty.path())).err(), missing);
    }
}

/// Size and alignment of a structure, and the offsets of its fields in the order of the header.
macro_rules! layout {
    ($structure:ty: $($field:ident),+) => {
        ((size_of::<$structure>(), align_of::<$structure>()), vec![$((stringify!($field), offset_of!($structure, $field))),+])
    };
}

/// The offsets that the C++ compiler gives the headers' structures on a 64-bit system.
#[test]
fn structures_are_laid_out_as_the_headers_say() {
    // `char type[64]; int id;`
    assert_eq!(layout!(Device: kind, ordinal), ((68, 4), vec![("kind", 0), ("ordinal", 64)]));
    // `icicleStreamHandle stream; int precompute_factor, c, bitsize, batch_size; bool` seven times `; ConfigExtension* ext;`
    let (size, msm) = layout!(MsmConfig: stream, precompute_factor, window_bits, scalar_bits, batch_size,
        are_points_shared_in_batch, are_scalars_on_device, are_scalars_montgomery_form, are_points_on_device,
        are_points_montgomery_form, are_results_on_device, is_async, extension);
    assert_eq!(size, (40, 8));
    let offsets: Vec<usize> = msm.into_iter().map(|(_, offset)| offset).collect();
    assert_eq!(offsets, [0, 8, 12, 16, 20, 24, 25, 26, 27, 28, 29, 30, 32]);
    // `icicleStreamHandle stream; S coset_gen; int batch_size; bool columns_batch; Ordering ordering; bool` three times
    // `; ConfigExtension* ext;`
    let (size, ntt) = layout!(NttConfig: stream, coset_generator, batch_size, columns_batch, ordering, are_inputs_on_device,
        are_outputs_on_device, is_async, extension);
    assert_eq!(size, (64, 8));
    let offsets: Vec<usize> = ntt.into_iter().map(|(_, offset)| offset).collect();
    assert_eq!(offsets, [0, 8, 40, 44, 48, 52, 53, 54, 56]);
    // `icicleStreamHandle stream; bool is_async; ConfigExtension* ext;`
    let domain = layout!(DomainConfig: stream, is_async, extension);
    assert_eq!(domain, ((24, 8), vec![("stream", 0), ("is_async", 8), ("extension", 16)]));
    // `icicleStreamHandle stream; bool` four times `; int batch_size; bool columns_batch; ConfigExtension* ext;`
    let (size, vector) = layout!(VectorConfig: stream, is_left_on_device, is_right_on_device, is_result_on_device, is_async,
        batch_size, columns_batch, extension);
    assert_eq!(size, (32, 8));
    let offsets: Vec<usize> = vector.into_iter().map(|(_, offset)| offset).collect();
    assert_eq!(offsets, [0, 8, 9, 10, 11, 12, 16, 24]);
    // `BaseField x, y;` and `BaseField x, y, z;` of eight words of 32 bits each
    assert_eq!(layout!(AffinePoint: x, y), ((64, 8), vec![("x", 0), ("y", 32)]));
    assert_eq!(layout!(ProjectivePoint: x, y, z), ((96, 8), vec![("x", 0), ("y", 32), ("z", 64)]));
}

#[test]
fn a_device_is_named_as_the_header_says() {
    let device = Device::new("CUDA", 3);
    let name: Vec<u8> = device.kind.iter().map(|byte| byte.to_ne_bytes()[0]).collect();
    assert!(name.starts_with(b"CUDA\0") && name[4..].iter().all(|&byte| byte == 0));
    assert_eq!(device.ordinal, 3);
    assert_eq!(Device::new(&"x".repeat(100), 0).kind[63], 0);
}

#[test]
fn a_point_that_comes_back_is_one_of_the_curve_or_refused() {
    let point = (G1::generator() * Fr::from(5)).to_affine();
    let z = Fq::from(11);
    let good = ProjectivePoint { x: number(&(point.x * z)), y: number(&(point.y * z)), z: number(&z) };
    let identity = ProjectivePoint { y: number(&Fq::from(2)), ..ProjectivePoint::default() };
    assert_eq!(good.to_curve("msm"), Ok(point.to_curve()));
    assert_eq!(identity.to_curve("msm"), Ok(G1::identity()));
    let largest = number(&-Fq::ONE);
    let above = [largest[0] + 1, largest[1], largest[2], largest[3]];
    for wrong in [
        ProjectivePoint { y: good.x, ..good },
        ProjectivePoint { z: number(&Fq::ONE), ..good },
        ProjectivePoint { x: above, ..identity },
        ProjectivePoint { x: good.x, ..identity },
        ProjectivePoint::default(),
    ] {
        assert_eq!(wrong.to_curve("msm"), Err(KernelError::Wrong { operation: "msm" }), "{wrong:?}");
    }
}
