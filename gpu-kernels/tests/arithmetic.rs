//! The fields and the curve of the kernels against halo2curves: the device's carry chains, and the twin that stands in
//! for them on the host.

use std::sync::LazyLock;

use halo2curves_axiom::{
    CurveAffine,
    bn256::Fq,
    ff::{Field, FromUniformBytes, PrimeField},
    group::Curve,
    serde::SerdeObject,
};
use hygeia_gpu_emulator::{Emulator, HostMemory, Module};
use hygeia_gpu_kernels::{
    Fr, G1Affine, KernelError,
    cuda::{Argument, Device, Shape, Source},
};
use proptest::prelude::*;

/// An emulated device and the probing kernels.
struct Probe {
    device: Emulator,
    module: Module,
}

static PROBE: LazyLock<Probe> = LazyLock::new(|| {
    let text = include_str!("../cuda/emulator/probe.cu");
    let kernels = vec!["probe_fr", "probe_fq", "probe_constants", "probe_curve", "probe_barrier"];
    let device = Emulator::new().unwrap();
    let module = device.compile(&Source::over_curve("probe", text, kernels)).unwrap();
    Probe { device, module }
});

impl Probe {
    fn put(&self, bytes: &[u8]) -> HostMemory {
        let mut memory = self.device.allocate(bytes.len()).unwrap();
        self.device.write(&mut memory, bytes).unwrap();
        memory
    }

    fn run(&self, kernel: &'static str, block: u32, arguments: &[Argument]) -> Result<(), KernelError> {
        let shape = Shape { grid: (1, 1), block, shared: 0 };
        // SAFETY: every caller below passes what its kernel takes, and keeps the memory.
        unsafe { self.device.launch(&self.module, kernel, shape, arguments) }
    }

    fn get(&self, memory: &HostMemory, bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        self.device.read(memory, 0, &mut out).unwrap();
        out
    }
}

/// What a probe of a field writes for one pair.
fn probe_field<F: SerdeObject>(kernel: &'static str, a: &F, b: &F) -> Vec<F> {
    let (left, right) = (PROBE.put(&a.to_raw_bytes()), PROBE.put(&b.to_raw_bytes()));
    let out = PROBE.device.allocate(8 * 32).unwrap();
    PROBE.run(kernel, 1, &[(&out).into(), (&left).into(), (&right).into(), 1_u32.into()]).unwrap();
    PROBE.get(&out, 8 * 32).chunks_exact(32).map(F::from_raw_bytes_unchecked).collect()
}

fn check_field<F: PrimeField<Repr = [u8; 32]> + SerdeObject>(kernel: &'static str, a: F, b: F) {
    let found = probe_field(kernel, &a, &b);
    let number = F::from_raw_bytes_unchecked(a.to_repr().as_ref());
    let inverse = Option::<F>::from(a.invert()).unwrap_or(F::ZERO);
    assert_eq!(found, [a + b, a - b, a * b, a + b, a - b, a * b, inverse, number], "{a:?} and {b:?}");
}

/// Elements at the edges, and others.
fn element<F: PrimeField + FromUniformBytes<64> + SerdeObject>() -> impl Strategy<Value = F> {
    let words = |fill: u8, top: u8| {
        let mut bytes = [fill; 32];
        bytes[31] = top;
        F::from_raw_bytes_unchecked(&bytes)
    };
    let minus_two = -F::ONE - F::ONE;
    // Words of ones below the modulus' top word send carries through the whole chain.
    let edges = vec![F::ZERO, F::ONE, -F::ONE, minus_two, words(0xff, 0x2f), words(0, 0x30), words(0xff, 0)];
    let random = prop::array::uniform32(any::<u8>()).prop_map(|half| {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&half);
        bytes[32..].copy_from_slice(&half);
        F::from_uniform_bytes(&bytes)
    });
    prop_oneof![1 => prop::sample::select(edges), 2 => random]
}

fn point() -> impl Strategy<Value = G1Affine> {
    let of = |scalar: Fr| (G1Affine::generator() * scalar).to_affine();
    element::<Fr>().prop_map(of)
}

proptest! {
    #[test]
    fn scalars_are_those_of_halo2curves(a in element::<Fr>(), b in element::<Fr>()) {
        check_field("probe_fr", a, b);
    }

    #[test]
    fn base_field_is_that_of_halo2curves(a in element::<Fq>(), b in element::<Fq>()) {
        check_field("probe_fq", a, b);
    }

    #[test]
    fn points_add_up_as_those_of_halo2curves(p in point(), q in point(), factor: u32) {
        check_points(p, q, factor);
        // Equal points, and a point with its negative.
        check_points(p, p, factor);
        check_points(p, -p, 0);
    }
}

fn check_points(p: G1Affine, q: G1Affine, factor: u32) {
    let raw = |point: G1Affine| [point.x.to_raw_bytes(), point.y.to_raw_bytes()].concat();
    let (left, right, out) = (PROBE.put(&raw(p)), PROBE.put(&raw(q)), PROBE.device.allocate(5 * 64).unwrap());
    let arguments = [(&out).into(), (&left).into(), (&right).into(), factor.into(), 1_u32.into()];
    PROBE.run("probe_curve", 1, &arguments).unwrap();
    let found: Vec<G1Affine> = PROBE.get(&out, 5 * 64).chunks_exact(64).map(read_point).collect();
    let sum = (p + q).to_affine();
    let times = (p * Fr::from(u64::from(factor))).to_affine();
    assert_eq!(found, [sum, sum, sum, (p + p).to_affine(), times], "{p:?} and {q:?}, factor {factor}");
}

fn read_point(raw: &[u8]) -> G1Affine {
    let [x, y] = [&raw[..32], &raw[32..]].map(Fq::from_raw_bytes_unchecked);
    let point = G1Affine { x, y };
    assert!(bool::from(point.is_on_curve()));
    point
}

#[test]
fn constants_are_those_of_halo2curves() {
    let [of_fr, of_fq] = [(); 2].map(|()| PROBE.device.allocate(64).unwrap());
    PROBE.run("probe_constants", 1, &[(&of_fr).into(), (&of_fq).into()]).unwrap();
    for (memory, one, modulus) in
        [(of_fr, Fr::ONE.to_raw_bytes(), Fr::MODULUS), (of_fq, Fq::ONE.to_raw_bytes(), Fq::MODULUS)]
    {
        let found = PROBE.get(&memory, 64);
        assert_eq!(found[..32], one);
        let big_endian: Vec<u8> = found[32..].iter().rev().copied().collect();
        let written: String = big_endian.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(format!("0x{written}"), modulus);
    }
}

#[test]
fn a_barrier_that_threads_miss_is_an_error() {
    let out = PROBE.device.allocate(4 * 64).unwrap();
    let missed = PROBE.run("probe_barrier", 64, &[(&out).into()]);
    assert_eq!(missed, Err(KernelError::Device { operation: "probe_barrier", code: 1 }));
    // With one thread there is nobody to wait for: half of it is none.
    assert_eq!(PROBE.run("probe_barrier", 1, &[(&out).into()]), Ok(()));
}
