//! Every way of computing gives what the scalar one gives.

use halo2curves_axiom::ff::Field;
use hygeia_gpu_kernels::{
    Columns, Fr, RowProgram, Transform,
    cpu::{Arithmetic, run_rows},
    program::{Operand, Operation, Query, Source, Step},
};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha20Rng;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(29)
}

fn elements(count: usize, rng: &mut ChaCha20Rng) -> Vec<Fr> {
    (0..count).map(|_| Fr::random(&mut *rng)).collect()
}

#[test]
fn transforms_agree() {
    let mut rng = rng();
    for log_n in 0..=14 {
        let [scalar, detected] =
            [Arithmetic::SCALAR, Arithmetic::detect()].map(|way| Transform::with_arithmetic(log_n, way).unwrap());
        let n = scalar.size();
        let mut impulse = vec![Fr::ZERO; n];
        impulse[n - 1] = -Fr::ONE;
        // Where every second coefficient is zero, products that may be above the prime are subtracted from zero.
        let halves = (0..10).map(|_| {
            let mut values = elements(n, &mut rng);
            values.iter_mut().step_by(2).for_each(|value| *value = Fr::ZERO);
            values
        });
        let halves: Vec<Vec<Fr>> = halves.collect();
        let ends = [elements(n, &mut rng), vec![-Fr::ONE; n], vec![Fr::ZERO; n], impulse];
        for values in ends.into_iter().chain(halves) {
            let both = [&scalar, &detected].map(|transform| {
                let mut forward = values.clone();
                transform.forward(&mut forward).unwrap();
                let mut inverse = values.clone();
                transform.inverse_times(&mut inverse, -Fr::from(7)).unwrap();
                (forward, inverse)
            });
            assert_eq!(both[0], both[1], "2^{log_n}");
        }
    }
}

/// Programs of many steps in a row, in which bounds grow as far as they can, over numbers that are as large as they can be.
#[test]
fn programs_agree() {
    let mut rng = rng();
    let queries: Vec<Query> = [(Source::Fixed(0), 0), (Source::Advice(0), -3), (Source::Instance, 40)]
        .map(|(source, rotation)| Query { source, rotation })
        .into();
    let operations = [Operation::Add, Operation::Subtract, Operation::Multiply];
    for round in 0..40 {
        let (registers, scalars) = (6, 4);
        // One kind of operation alone, or all of them.
        let kinds = if round < 6 { &operations[round % 3..=round % 3] } else { &operations[..] };
        let mut steps: Vec<Step> = (0..registers)
            .map(|register| Step::Compute(register, Operation::Add, Operand::Query(register % 3), Operand::Scalar(1)))
            .collect();
        for _ in 0..200 {
            let target = rng.gen_range(0..registers);
            let mut operand = || match rng.gen_range(0..6) {
                0 => Operand::Query(rng.gen_range(0..3)),
                1 => Operand::Scalar(rng.gen_range(0..scalars)),
                _ => Operand::Register((target + rng.gen_range(1..registers)) % registers),
            };
            let (left, right) = (operand(), operand());
            steps.push(Step::Compute(target, *kinds.choose(&mut rng).unwrap(), left, right));
            if rng.gen_bool(0.1) {
                steps.push(Step::Gather(Operand::Register(target)));
            }
        }
        steps.push(Step::Gather(Operand::Register(0)));
        let program = RowProgram { queries: queries.clone(), steps, registers, scalars };
        let rows = [1, 7, 16, 17, 64, 200][round % 6];
        let column = |rng: &mut ChaCha20Rng| if round % 2 == 0 { elements(rows, rng) } else { vec![-Fr::ONE; rows] };
        let (fixed, advice, instance) = ([column(&mut rng)], [column(&mut rng)], column(&mut rng));
        let columns = Columns { fixed: &fixed, advice: &advice, instance: &instance };
        let scalars = [Fr::random(&mut rng), -Fr::ONE, Fr::ZERO, Fr::random(&mut rng)];
        let [expected, found] =
            [Arithmetic::SCALAR, Arithmetic::detect()].map(|way| run_rows(&program, &columns, &scalars, way));
        assert_eq!(found, expected, "round {round}");
    }
}
