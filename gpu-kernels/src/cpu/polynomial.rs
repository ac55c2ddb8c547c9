//! Polynomials as vectors of coefficients, constant term first.

use halo2curves_axiom::ff::Field;
use rayon::prelude::*;

use crate::Fr;

/// Fewest elements that are worth a thread of their own.
const PART_MIN: usize = 1 << 10;

/// `1, base, base^2, ...`
pub fn powers(base: Fr, count: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::ONE), |power| Some(power * base)).take(count).collect()
}

/// Values of polynomials at points, in order. The powers of each point are computed once.
pub fn evaluate(queries: &[(&Vec<Fr>, Fr)]) -> Vec<Fr> {
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

/// `sum(factor * vector)` with `length` elements.
pub fn combine(terms: &[(Fr, &Vec<Fr>)], length: usize) -> Vec<Fr> {
    let at = |index: usize| -> Fr {
        terms.iter().filter_map(|(factor, vector)| vector.get(index).map(|element| element * factor)).sum()
    };
    (0..length).into_par_iter().with_min_len(PART_MIN).map(at).collect()
}

/// Each element times its factor.
pub fn scale(vector: &mut [Fr], factors: &[Fr]) {
    vector.par_iter_mut().with_min_len(PART_MIN).zip(factors).for_each(|(element, factor)| *element *= factor);
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

/// Each element becomes what `operation` makes of it and all before it.
pub fn running(vector: &mut [Fr], operation: impl Fn(&Fr, &Fr) -> Fr) {
    let mut elements = vector.iter_mut();
    if let Some(first) = elements.next() {
        let mut before = *first;
        for element in elements {
            before = operation(&before, element);
            *element = before;
        }
    }
}
