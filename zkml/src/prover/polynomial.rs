//! Polynomials as vectors of coefficients, constant term first.

use halo2_axiom::halo2curves::{bn256::Fr, ff::Field};
use rayon::prelude::*;

/// Fewest coefficients that are worth a thread of their own.
pub const PART_MIN: usize = 1 << 10;

/// Values of polynomials at points, in order. The powers of each point are computed once.
pub fn evaluate_all(queries: &[(&[Fr], Fr)]) -> Vec<Fr> {
    let mut points: Vec<Fr> = Vec::new();
    for (_, point) in queries {
        if !points.contains(point) {
            points.push(*point);
        }
    }
    let length = queries.iter().map(|(poly, _)| poly.len()).max().unwrap_or(0);
    let mut values = vec![Fr::ZERO; queries.len()];
    for point in points {
        let powers = powers(point, length);
        values.par_iter_mut().zip(queries).filter(|(_, (_, other))| *other == point).for_each(|(value, (poly, _))| {
            *value = poly.iter().zip(&powers).map(|(coefficient, power)| coefficient * power).sum();
        });
    }
    values
}

/// `1, base, base^2, ...`
pub fn powers(base: Fr, count: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::ONE), |power| Some(power * base)).take(count).collect()
}

/// `sum(factor * poly)` with `length` coefficients.
pub fn combine(terms: &[(Fr, &[Fr])], length: usize) -> Vec<Fr> {
    let at = |index: usize| -> Fr {
        terms.iter().filter_map(|(factor, poly)| poly.get(index).map(|coefficient| coefficient * factor)).sum()
    };
    (0..length).into_par_iter().with_min_len(PART_MIN).map(at).collect()
}

/// The polynomial over `X - point`; what does not divide is left away.
pub fn divide(poly: &mut [Fr], point: Fr) {
    let mut carry = Fr::ZERO;
    for coefficient in poly.iter_mut().rev() {
        let next = *coefficient + carry * point;
        *coefficient = carry;
        carry = next;
    }
}
