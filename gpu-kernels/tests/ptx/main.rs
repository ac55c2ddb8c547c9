//! The fields' arithmetic in the instructions that CUDA's compiler makes of it, run one by one: what the emulator
//! cannot show, since it has no carry chains. Needs `libnvrtc` on the loader's path, and no device.

mod machine;

use halo2curves_axiom::{bn256::Fq, ff::PrimeField, serde::SerdeObject};
use hygeia_gpu_kernels::{
    Fr, KernelError,
    cuda::{Source, nvrtc},
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use machine::Machine;

/// Kernels without branches.
const TEXT: &str = r#"
template <class F>
__device__ __forceinline__ void probe(F* out, const F* a, const F* b) {
    F x = load(a), y = load(b);
    store(out, x * y);
    store(out + 1, x + y);
    store(out + 2, x - y);
    store(out + 3, canonical(x));
}
extern "C" __global__ void of_fr(Fr* out, const Fr* a, const Fr* b) { probe(out, a, b); }
extern "C" __global__ void of_fq(Fq* out, const Fq* a, const Fq* b) { probe(out, a, b); }
"#;

/// Where the kernel's three parameters point.
const OUT: u64 = 0x1000;
const A: u64 = 0x2000;
const B: u64 = 0x3000;

#[test]
fn compiled_arithmetic_is_that_of_halo2curves() {
    let source = Source::over_fields("probe", TEXT, vec!["of_fr", "of_fq"]);
    let ptx = match nvrtc::compile_to_ptx(&source, "sm_90") {
        Ok(ptx) => ptx,
        Err(error @ KernelError::Missing { .. }) => return eprintln!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    check::<Fr>(&Machine::of(&ptx, "of_fr"));
    check::<Fq>(&Machine::of(&ptx, "of_fq"));
}

fn check<F: PrimeField<Repr = [u8; 32]> + SerdeObject>(machine: &Machine) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let words = |fill: u8, top: u8| {
        let mut bytes = [fill; 32];
        bytes[31] = top;
        F::from_raw_bytes_unchecked(&bytes)
    };
    // Words of ones below the modulus' top word send carries through the whole chain.
    let edges = [F::ZERO, F::ONE, -F::ONE, -F::ONE - F::ONE, words(0xff, 0x2f), words(0, 0x30), words(0xff, 0)];
    let pairs = edges.into_iter().flat_map(|a| edges.map(|b| (a, b)));
    let random = std::iter::repeat_with(|| (F::random(&mut rng), F::random(&mut rng))).take(500);
    for (a, b) in pairs.chain(random) {
        let memory = machine.run(&[OUT, A, B], &[(A, &a.to_raw_bytes()), (B, &b.to_raw_bytes())]);
        let found: Vec<F> =
            (0..4).map(|index| F::from_raw_bytes_unchecked(&memory.read(OUT + 32 * index, 32))).collect();
        let number = F::from_raw_bytes_unchecked(a.to_repr().as_ref());
        assert_eq!(found, [a * b, a + b, a - b, number], "{a:?} and {b:?}");
    }
}

/// The machine is no better than its carries: a program that drops one is told from one that does not.
#[test]
fn the_machine_keeps_carries() {
    let kernel = |last: &str| {
        format!(
            ".visible .entry k(\n.param .u64 k_param_0\n)\n{{\nld.param.u64 %rd1, [k_param_0];\n\
             mov.u32 %r1, 4294967295;\nadd.cc.u32 %r2, %r1, 1;\n{last} %r3, 0, 0;\n\
             st.global.v4.u32 [%rd1], {{%r2, %r3, %r1, %r1}};\nret;\n}}\n"
        )
    };
    let sum = |last| Machine::of(&kernel(last), "k").run(&[OUT], &[]).read(OUT, 8);
    assert_eq!(sum("addc.u32"), [0, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(sum("add.u32"), [0; 8]);
}
