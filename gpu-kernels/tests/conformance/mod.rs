//! What every accelerator must do, edge inputs included. The expected values come from the definitions, by another way than
//! any implementation takes.

use halo2curves_axiom::{
    ff::{Field, PrimeField},
    group::{Curve, Group, prime::PrimeCurveAffine},
};
use hygeia_gpu_kernels::{
    Accelerator, Columns, Fr, G1, G1Affine, KernelError, LOG_N_MAX, RowProgram, poseidon,
    program::{Operand, Operation, Query, Source, Step},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// Runs everything.
pub fn all<A: Accelerator>(device: &A) {
    vectors(device);
    multiplications(device);
    single_multiplications(device);
    transforms(device);
    cosets(device);
    programs(device);
    polynomials(device);
    scans(device);
    hashes(device);
    refusals(device);
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn elements(count: usize, rng: &mut ChaCha20Rng) -> Vec<Fr> {
    (0..count).map(|_| Fr::random(&mut *rng)).collect()
}

fn points(count: usize, rng: &mut ChaCha20Rng) -> Vec<G1Affine> {
    (0..count).map(|_| G1::random(&mut *rng).to_affine()).collect()
}

fn upload<A: Accelerator>(device: &A, values: &[Fr]) -> A::Vector {
    device.upload(values.to_vec()).unwrap()
}

fn naive_msm(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    scalars.iter().zip(bases).map(|(scalar, base)| *base * scalar).sum()
}

/// The value of a polynomial.
fn at(polynomial: &[Fr], x: Fr) -> Fr {
    polynomial.iter().rev().fold(Fr::ZERO, |sum, coefficient| sum * x + coefficient)
}

fn root_of_unity(log_n: u32) -> Fr {
    (log_n..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square())
}

/// The scalars next to which digits, signs and carries change, cut to a number.
fn edges(count: usize) -> Vec<Fr> {
    let two = Fr::from(2);
    let half = -two.invert().unwrap();
    let powers = (1..254).map(|power| two.pow_vartime([power]));
    let near = powers.flat_map(|power| [power - Fr::ONE, power, -power]);
    [Fr::ZERO, Fr::ONE, -Fr::ONE, half, half + Fr::ONE].into_iter().chain(near).cycle().take(count).collect()
}

/// What is brought to a device comes back, and a copy is another vector.
pub fn vectors<A: Accelerator>(device: &A) {
    let mut rng = rng(1);
    for size in [0, 1, 33, 1000] {
        let values = elements(size, &mut rng);
        let vector = upload(device, &values);
        let mut copy = device.copy(&vector).unwrap();
        device.subtract_low(&mut copy, &values[..size.min(1)]).unwrap();
        assert_eq!(device.download(&vector).unwrap(), values);
        let expected: Vec<Fr> = std::iter::once(Fr::ZERO).take(size.min(1)).chain(values.into_iter().skip(1)).collect();
        assert_eq!(device.download(&copy).unwrap(), expected);
    }
}

/// Fixed bases: any number of them, any kind of scalars, fewer scalars than bases, several vectors at a time.
pub fn multiplications<A: Accelerator>(device: &A) {
    let mut rng = rng(2);
    for size in [1, 2, 3, 31, 32, 33, 257, 1000] {
        let bases = points(size, &mut rng);
        let table = device.bases(&bases).unwrap();
        let small: Vec<Fr> = (0..size).map(|_| Fr::from(rng.gen_range(0..1024))).collect();
        let negative: Vec<Fr> = small.iter().map(|scalar| -scalar).collect();
        let columns = [
            elements(size, &mut rng),
            small,
            negative,
            vec![Fr::ZERO; size],
            vec![-Fr::ONE; size],
            vec![Fr::from(3); size],
            edges(size),
            elements(size.div_ceil(2), &mut rng),
            Vec::new(),
        ];
        let vectors: Vec<A::Vector> = columns.iter().map(|column| upload(device, column)).collect();
        let sums = device.msm_many(&table, &vectors.iter().collect::<Vec<_>>()).unwrap();
        for (kind, (sum, column)) in sums.iter().zip(&columns).enumerate() {
            assert_eq!(*sum, naive_msm(column, &bases), "{size} bases, scalars of kind {kind}");
        }
    }
    // A point and its negative in every bucket, and one point many times.
    let base = points(1, &mut rng)[0];
    for other in [base, -base] {
        let bases: Vec<G1Affine> = (0..200).map(|index| if index % 2 == 0 { base } else { other }).collect();
        let table = device.bases(&bases).unwrap();
        for scalars in [vec![Fr::from(5); 200], edges(200)] {
            let sum = device.msm_many(&table, &[&upload(device, &scalars)]).unwrap();
            assert_eq!(sum, [naive_msm(&scalars, &bases)], "one point and its like");
        }
    }
}

/// Points that are used once: repeated, opposite, and the identity.
pub fn single_multiplications<A: Accelerator>(device: &A) {
    let mut rng = rng(3);
    let check = |case: &str, scalars: &[Fr], bases: &[G1Affine]| {
        assert_eq!(device.msm(scalars, bases).unwrap(), naive_msm(scalars, bases), "{case}");
    };
    for size in [1, 4, 32, 257] {
        let bases = points(size, &mut rng);
        check("random scalars", &elements(size, &mut rng), &bases);
        check("zero scalars", &vec![Fr::ZERO; size], &bases);
        check("scalars r - 1", &vec![-Fr::ONE; size], &bases);
    }
    for size in [5, 300, 3000] {
        let mut bases = vec![points(1, &mut rng)[0]; size];
        bases[1] = -bases[0];
        bases[2] = G1Affine::identity();
        let scalars: Vec<Fr> = (0..size as u64).map(Fr::from).collect();
        check("one point repeated", &scalars, &bases);
    }
    check("identity alone", &[Fr::from(7)], &[G1Affine::identity()]);
    check("empty", &[], &[]);
    // Many points, of which few differ: the sum is that over the few.
    let few = points(16, &mut rng);
    let bases: Vec<G1Affine> = few.iter().copied().cycle().take(1 << 12).collect();
    let scalars = elements(bases.len(), &mut rng);
    let folded: Vec<Fr> = (0..few.len()).map(|start| scalars.iter().skip(start).step_by(few.len()).sum()).collect();
    assert_eq!(device.msm(&scalars, &bases).unwrap(), naive_msm(&folded, &few));
}

/// Values on the domain are those of the polynomial, and the way back leads back.
pub fn transforms<A: Accelerator>(device: &A) {
    let mut rng = rng(4);
    for log_n in [0, 1, 2, 5, 8, 11, 14] {
        let (n, omega) = (1_usize << log_n, root_of_unity(log_n));
        let domain = device.domain(log_n).unwrap();
        let polynomials = [elements(n, &mut rng), vec![-Fr::ONE; n]];
        let mut vectors: Vec<A::Vector> = polynomials.iter().map(|values| upload(device, values)).collect();
        device.forward(&domain, &mut vectors).unwrap();
        for (vector, polynomial) in vectors.iter().zip(&polynomials) {
            let values = device.download(vector).unwrap();
            for index in (0..n).step_by(1 + n / 64).chain([n - 1]) {
                let x = omega.pow_vartime([index as u64]);
                assert_eq!(values[index], at(polynomial, x), "2^{log_n}, value {index}");
            }
        }
        device.inverse(&domain, &mut vectors).unwrap();
        for (vector, polynomial) in vectors.iter().zip(&polynomials) {
            assert_eq!(&device.download(vector).unwrap(), polynomial, "2^{log_n} and back");
        }
    }
}

/// The same on a shifted domain, also for polynomials with fewer coefficients.
pub fn cosets<A: Accelerator>(device: &A) {
    let mut rng = rng(5);
    for log_n in [0, 3, 9] {
        let (n, omega) = (1_usize << log_n, root_of_unity(log_n));
        let domain = device.domain(log_n).unwrap();
        let (shift, factor) = (Fr::random(&mut rng), Fr::random(&mut rng));
        let coset = device.coset(&domain, shift).unwrap();
        for length in [n, n.div_ceil(3)] {
            let polynomial = elements(length, &mut rng);
            let mut values = device.coset_values(&coset, &[&upload(device, &polynomial)]).unwrap();
            let mut values = values.pop().unwrap();
            let found = device.download(&values).unwrap();
            for index in (0..n).step_by(1 + n / 64) {
                let x = shift * omega.pow_vartime([index as u64]);
                assert_eq!(found[index], at(&polynomial, x), "2^{log_n}, value {index} of {length} coefficients");
            }
            device.coset_coefficients(&coset, &mut values, factor).unwrap();
            let mut expected: Vec<Fr> = polynomial.iter().map(|coefficient| coefficient * factor).collect();
            expected.resize(n, Fr::ZERO);
            assert_eq!(device.download(&values).unwrap(), expected, "2^{log_n} and back");
        }
    }
}

/// A program with every operation, every kind of operand, rotations around both ends, and gates that are one scalar.
pub fn programs<A: Accelerator>(device: &A) {
    use Operand::{Query as Q, Register as R, Scalar as S};
    use Operation::{Add, Multiply, Subtract};
    let query = |source, rotation| Query { source, rotation };
    let program = RowProgram {
        queries: vec![
            query(Source::Fixed(0), 0),
            query(Source::Advice(0), 1),
            query(Source::Advice(1), -7),
            query(Source::Instance, 3),
        ],
        steps: vec![
            Step::Compute(0, Multiply, Q(0), Q(1)),
            Step::Compute(1, Add, R(0), Q(2)),
            Step::Gather(R(1)),
            Step::Compute(2, Subtract, S(1), R(1)),
            Step::Compute(0, Multiply, R(2), R(2)),
            Step::Gather(R(0)),
            Step::Gather(S(2)),
            Step::Compute(1, Subtract, Q(3), S(1)),
            Step::Compute(2, Add, S(2), S(1)),
            Step::Compute(0, Multiply, R(2), R(1)),
            Step::Gather(R(0)),
            Step::Gather(Q(3)),
        ],
        registers: 3,
        scalars: 3,
    };
    let prepared = device.prepare(&program).unwrap();
    let mut rng = rng(6);
    for rows in [8, 32, 48, 1000] {
        let columns: [Vec<Fr>; 4] = std::array::from_fn(|_| elements(rows, &mut rng));
        let [y, s, t] = std::array::from_fn(|_| Fr::random(&mut rng));
        let [fixed, left, right, instance] = columns.each_ref().map(|column| upload(device, column));
        let (fixed, advice) = ([fixed], [left, right]);
        let columns_there = Columns { fixed: &fixed, advice: &advice, instance: &instance };
        let found = device.download(&device.run(&prepared, &columns_there, &[y, s, t]).unwrap()).unwrap();
        for (row, found) in found.into_iter().enumerate() {
            let read = |column: usize, rotation: i64| {
                columns[column][(row as i64 + rotation).rem_euclid(rows as i64) as usize]
            };
            let (a, b, c, d) = (read(0, 0), read(1, 1), read(2, -7), read(3, 3));
            let first = a * b + c;
            let gates = [first, (s - first).square(), t, (t + s) * (d - s), d];
            assert_eq!(found, gates.iter().fold(Fr::ZERO, |sum, gate| sum * y + gate), "row {row} of {rows}");
        }
    }
}

/// Combination, evaluation and division.
pub fn polynomials<A: Accelerator>(device: &A) {
    let mut rng = rng(7);
    for size in [1, 2, 63, 64, 1025, 5000] {
        let (long, short) = (elements(size, &mut rng), elements(size.div_ceil(2), &mut rng));
        let [x, z, factor] = std::array::from_fn(|_| Fr::random(&mut rng));
        let (there_long, there_short) = (upload(device, &long), upload(device, &short));
        let queries = [(&there_long, x), (&there_short, z), (&there_short, x), (&there_long, Fr::ZERO)];
        let values = device.evaluate(&queries).unwrap();
        assert_eq!(values, [at(&long, x), at(&short, z), at(&short, x), long[0]], "{size} coefficients");

        let combined = device.combine(&[(Fr::ONE, &there_long), (factor, &there_short)], size + 1).unwrap();
        let expected: Vec<Fr> = (0..=size)
            .map(|index| {
                let of = |vector: &[Fr]| vector.get(index).copied().unwrap_or(Fr::ZERO);
                of(&long) + factor * of(&short)
            })
            .collect();
        assert_eq!(device.download(&combined).unwrap(), expected);

        let mut quotient = combined;
        device.divide(&mut quotient, x).unwrap();
        let quotient = device.download(&quotient).unwrap();
        assert_eq!(quotient.len(), size + 1);
        // p(z) = q(z) (z - x) + p(x)
        assert_eq!(at(&quotient, z) * (z - x) + at(&expected, x), at(&expected, z), "{size} coefficients");
    }
}

/// Inverses, sums and products.
pub fn scans<A: Accelerator>(device: &A) {
    let mut rng = rng(8);
    for size in [0, 1, 2, 31, 1024, 1025, 5000] {
        let mut values = elements(size, &mut rng);
        values.iter_mut().skip(1).step_by(97).for_each(|value| *value = Fr::ZERO);
        let mut inverted = upload(device, &values);
        device.invert(&mut inverted).unwrap();
        let expected: Vec<Fr> = values.iter().map(|value| value.invert().unwrap_or(Fr::ZERO)).collect();
        assert_eq!(device.download(&inverted).unwrap(), expected, "{size} inverses");

        let mut summed = upload(device, &values);
        device.running_sum(&mut summed).unwrap();
        let sums = values.iter().scan(Fr::ZERO, |sum, value| {
            *sum += value;
            Some(*sum)
        });
        assert_eq!(device.download(&summed).unwrap(), sums.collect::<Vec<_>>(), "{size} sums");

        let factors = elements(size, &mut rng);
        let mut multiplied = upload(device, &factors);
        device.running_product(&mut multiplied).unwrap();
        let products = factors.iter().scan(Fr::ONE, |product, factor| {
            *product *= factor;
            Some(*product)
        });
        assert_eq!(device.download(&multiplied).unwrap(), products.collect::<Vec<_>>(), "{size} products");
    }
}

/// Messages of several lengths under one tag.
pub fn hashes<A: Accelerator>(device: &A) {
    let mut rng = rng(9);
    let messages: Vec<Vec<Fr>> = [1, 2, 3, 4, 9, 2].into_iter().map(|length| elements(length, &mut rng)).collect();
    let tag = Fr::from(5);
    let expected: Vec<Fr> = messages.iter().map(|message| poseidon::hash(tag, message)).collect();
    assert_eq!(device.poseidon(&messages, tag).unwrap(), expected);
    assert_eq!(device.poseidon(&[], tag).unwrap(), []);
}

/// Input that has no answer gets a typed error.
pub fn refusals<A: Accelerator>(device: &A) {
    let mut rng = rng(10);
    assert_eq!(device.msm(&[Fr::ONE], &[]).unwrap_err(), KernelError::LengthMismatch { scalars: 1, bases: 0 });
    let mut bases = points(3, &mut rng);
    let table = device.bases(&bases).unwrap();
    let scalars = upload(device, &[Fr::ONE; 4]);
    assert_eq!(device.msm_many(&table, &[&scalars]).unwrap_err(), KernelError::LengthMismatch { scalars: 4, bases: 3 });
    bases[1] = G1Affine::identity();
    assert_eq!(device.bases(&bases).err(), Some(KernelError::IdentityBase { index: 1 }));

    let too_large = LOG_N_MAX + 1;
    assert_eq!(device.domain(too_large).err(), Some(KernelError::DomainSize { log_n: too_large }));
    let domain = device.domain(2).unwrap();
    let length = |operation| Some(KernelError::Length { operation, expected: 4, actual: 3 });
    let mut short = [upload(device, &[Fr::ONE; 3])];
    assert_eq!(device.forward(&domain, &mut short).err(), length("transform"));
    assert_eq!(device.inverse(&domain, &mut short).err(), length("transform"));
    assert_eq!(device.coset(&domain, Fr::ZERO).err(), Some(KernelError::ZeroShift));
    let coset = device.coset(&domain, Fr::from(3)).unwrap();
    assert_eq!(device.coset_coefficients(&coset, &mut short[0], Fr::ONE).err(), length("transform"));
    let long = upload(device, &[Fr::ONE; 5]);
    let too_long = KernelError::Length { operation: "coset values", expected: 4, actual: 5 };
    assert_eq!(device.coset_values(&coset, &[&long]).err(), Some(too_long));
    let low = KernelError::Length { operation: "subtract low", expected: 3, actual: 4 };
    assert_eq!(device.subtract_low(&mut short[0], &[Fr::ONE; 4]), Err(low));

    let program = RowProgram { queries: vec![], steps: vec![], registers: 0, scalars: 1 };
    let prepared = device.prepare(&program).unwrap();
    let columns = Columns { fixed: &[], advice: &short, instance: &long };
    let run = |scalars: &[Fr]| device.run(&prepared, &columns, scalars).err();
    assert_eq!(run(&[]), Some(KernelError::Length { operation: "run: scalars", expected: 1, actual: 0 }));
    assert_eq!(run(&[Fr::ONE]), Some(KernelError::Length { operation: "run: a column", expected: 5, actual: 3 }));
}
