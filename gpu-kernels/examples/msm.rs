//! CPU time of multiplications over fixed bases and of transforms, on one thread, by way of computing.

use halo2curves_axiom::{
    ff::Field,
    group::{Curve, Group},
};
use hygeia_gpu_kernels::{FixedBases, Fr, G1, G1Affine, Transform, cpu::Arithmetic};
use rand::{Rng, SeedableRng};

/// Least time of a few spans, each long beside the scheduler's tick at which the kernel keeps its books.
fn ms(work: &mut dyn FnMut()) -> f64 {
    let used = || {
        let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux kernel");
        schedstat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).expect("nanoseconds first") / 1e6
    };
    let span = |work: &mut dyn FnMut()| {
        let (start, mut runs) = (used(), 0);
        while used() - start < 120.0 {
            work();
            runs += 1;
        }
        (used() - start) / f64::from(runs)
    };
    (0..6).map(|_| span(work)).fold(f64::MAX, f64::min)
}

fn measure(arithmetic: Arithmetic) {
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(3);
    let mut point = G1::random(&mut rng);
    for log in [11, 13, 15] {
        let n = 1 << log;
        let curve: Vec<G1> = (0..n)
            .map(|_| {
                point += G1::generator();
                point
            })
            .collect();
        let mut bases = vec![G1Affine::default(); n];
        G1::batch_normalize(&curve, &mut bases);
        let table = FixedBases::with_arithmetic(&bases, arithmetic).expect("no identity");
        let random: Vec<Fr> = (0..n).map(|_| Fr::random(&mut rng)).collect();
        let small: Vec<Fr> = (0..n).map(|_| Fr::from(rng.gen_range(0..1024))).collect();
        let transform = Transform::with_arithmetic(log, arithmetic).expect("a domain");
        let mut values = random.clone();
        let random_ms = ms(&mut || drop(table.msm(&random)));
        let small_ms = ms(&mut || drop(table.msm(&small)));
        let transform_ms = ms(&mut || drop(transform.forward(&mut values)));
        println!("2^{log}: random {random_ms:.3} small {small_ms:.3} transform {transform_ms:.3}");
    }
}

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let only = std::env::args().nth(1);
    for arithmetic in [Arithmetic::SCALAR, Arithmetic::detect()] {
        if only.as_deref() == Some("lanes") && !arithmetic.is_vector() {
            continue;
        }
        println!("in lanes: {}", arithmetic.is_vector());
        pool.install(|| measure(arithmetic));
    }
}
