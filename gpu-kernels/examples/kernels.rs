//! CPU time of the kernels on one thread, with scalar arithmetic and with what this processor offers. With the argument
//! `lanes` the scalar one is left out.

use halo2curves_axiom::{
    ff::Field,
    group::{Curve, Group},
};
use hygeia_gpu_kernels::{
    Columns, FixedBases, Fr, G1, G1Affine, RowProgram, Transform,
    cpu::{Arithmetic, run_rows},
    program::{Operand, Operation, Query, Source, Step},
};
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

/// Two hundred steps like those of the circuits' gates: half products.
fn program() -> RowProgram {
    let sources = [Source::Fixed(0), Source::Fixed(1), Source::Advice(0), Source::Advice(1)];
    let queries = (0..8).map(|query| Query { source: sources[query % 4], rotation: query as i32 / 4 }).collect();
    let mut steps = Vec::new();
    for step in 0..100 {
        let (target, before) = (step % 20, (step + 19) % 20);
        let other = if step < 20 { Operand::Scalar(1) } else { Operand::Register(before) };
        steps.push(Step::Compute(target, Operation::Multiply, Operand::Query(step % 8), other));
        let operation = if step % 2 == 0 { Operation::Add } else { Operation::Subtract };
        steps.push(Step::Compute(20 + target, operation, Operand::Register(target), Operand::Query((step + 3) % 8)));
        if step % 5 == 4 {
            steps.push(Step::Gather(Operand::Register(20 + target)));
        }
    }
    RowProgram { queries, steps, registers: 40, scalars: 2 }
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
        let columns: [Vec<Fr>; 5] = std::array::from_fn(|_| (0..n).map(|_| Fr::random(&mut rng)).collect());
        let [instance, rest @ ..] = columns;
        let columns = Columns { fixed: &rest[..2], advice: &rest[2..], instance: &instance };
        let (program, scalars) = (program(), [Fr::random(&mut rng), Fr::random(&mut rng)]);
        let gates_ms = ms(&mut || drop(run_rows(&program, &columns, &scalars, arithmetic)));
        println!("2^{log}: random {random_ms:.3} small {small_ms:.3} transform {transform_ms:.3} gates {gates_ms:.3}");
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
