//! Number-theoretic transforms of one size, with their twiddle factors kept.

use halo2curves_axiom::ff::{Field, PrimeField};

use super::{Arithmetic, ifma};
use crate::{Fr, KernelError, LOG_N_MAX};

/// Values below this many fit a core's second-level cache and are transformed stage by stage.
const LOG_BLOCK: u32 = 13;

/// Lanes are filled twice over by this many values.
const LOG_LANES_MIN: u32 = 6;

/// Transforms between coefficients and values at the powers of a root of unity, both in natural order.
#[derive(Clone)]
pub struct Transform {
    log_n: u32,
    omega: Fr,
    size_inverse: Fr,
    forward: Twiddles,
    inverse: Twiddles,
}

/// Twiddle factors, in the form that a way of computing needs.
#[derive(Clone)]
enum Twiddles {
    /// Stage after stage: `2^s` of them for stage `s`.
    Scalar(Vec<Vec<Fr>>),
    /// Lanes.
    Lanes(ifma::Twiddles),
}

impl Transform {
    /// A transform of `2^log_n` values.
    pub fn new(log_n: u32) -> Result<Self, KernelError> {
        Self::with_arithmetic(log_n, Arithmetic::detect())
    }

    /// The same, computed in a certain way.
    pub fn with_arithmetic(log_n: u32, arithmetic: Arithmetic) -> Result<Self, KernelError> {
        if log_n > LOG_N_MAX {
            return Err(KernelError::DomainSize { log_n });
        }
        let omega = (log_n..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square());
        let inverse = omega.invert().expect("a root of unity is not zero");
        let size_inverse = Fr::from(1_u64 << log_n).invert().expect("a power of two is not zero");
        let [forward, inverse] = [omega, inverse].map(|root| Twiddles::new(root, log_n, arithmetic));
        Ok(Self { log_n, omega, size_inverse, forward, inverse })
    }

    /// Number of values.
    pub fn size(&self) -> usize {
        1 << self.log_n
    }

    /// The root of unity.
    pub fn omega(&self) -> Fr {
        self.omega
    }

    /// From coefficients to values.
    pub fn forward(&self, values: &mut [Fr]) -> Result<(), KernelError> {
        self.run(values, &self.forward, Fr::ONE)
    }

    /// From values to coefficients.
    pub fn inverse(&self, values: &mut [Fr]) -> Result<(), KernelError> {
        self.inverse_times(values, Fr::ONE)
    }

    /// From values to coefficients, times `factor`.
    pub fn inverse_times(&self, values: &mut [Fr], factor: Fr) -> Result<(), KernelError> {
        self.run(values, &self.inverse, self.size_inverse * factor)
    }

    fn run(&self, values: &mut [Fr], twiddles: &Twiddles, factor: Fr) -> Result<(), KernelError> {
        KernelError::unless_length("transform", self.size(), values.len())?;
        match twiddles {
            Twiddles::Scalar(twiddles) => run_scalar(values, self.log_n, twiddles, factor),
            Twiddles::Lanes(twiddles) => twiddles.run(values, factor),
        }
        Ok(())
    }
}

impl Twiddles {
    fn new(root: Fr, log_n: u32, arithmetic: Arithmetic) -> Self {
        let twiddles = twiddles(root, log_n);
        match arithmetic.lanes().filter(|_| log_n >= LOG_LANES_MIN) {
            Some(ifma) => Self::Lanes(ifma::Twiddles::new(ifma, &twiddles)),
            None => Self::Scalar(twiddles),
        }
    }
}

fn run_scalar(values: &mut [Fr], log_n: u32, twiddles: &[Vec<Fr>], factor: Fr) {
    for index in 0..values.len() {
        let reversed = index.reverse_bits().checked_shr(usize::BITS - log_n).unwrap_or(0);
        if index < reversed {
            values.swap(index, reversed);
        }
    }
    butterflies(values, log_n, twiddles);
    if factor != Fr::ONE {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}

/// Decimation in time on values in bit-reversed order: halves first as long as they do not fit the cache.
fn butterflies(values: &mut [Fr], log_n: u32, twiddles: &[Vec<Fr>]) {
    if log_n <= LOG_BLOCK {
        (0..log_n).for_each(|stage| butterfly(values, &twiddles[stage as usize]));
    } else {
        let (left, right) = values.split_at_mut(1 << (log_n - 1));
        butterflies(left, log_n - 1, twiddles);
        butterflies(right, log_n - 1, twiddles);
        butterfly(values, &twiddles[log_n as usize - 1]);
    }
}

fn butterfly(values: &mut [Fr], twiddles: &[Fr]) {
    for block in values.chunks_exact_mut(2 * twiddles.len()) {
        let (left, right) = block.split_at_mut(twiddles.len());
        let mut pairs = left.iter_mut().zip(right).zip(twiddles);
        // The first factor is one. Stages are short at first, so this saves as many products as two stages have.
        if let Some(((left, right), _)) = pairs.next() {
            let turned = *right;
            *right = *left - turned;
            *left += turned;
        }
        for ((left, right), twiddle) in pairs {
            let turned = *right * twiddle;
            *right = *left - turned;
            *left += turned;
        }
    }
}

fn twiddles(omega: Fr, log_n: u32) -> Vec<Vec<Fr>> {
    let stage = |stage: u32| {
        let root = (stage + 1..log_n).fold(omega, |root, _| root.square());
        std::iter::successors(Some(Fr::ONE), |power| Some(power * root)).take(1 << stage).collect()
    };
    (0..log_n).map(stage).collect()
}
