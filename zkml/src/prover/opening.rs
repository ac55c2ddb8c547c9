//! SHPLONK: polynomials that are opened at the same points are combined, then the quotients of all, and the combination is
//! opened once more at one point (Boneh, Drake, Fisch and Gabizon, 2020). Step for step as halo2-axiom's verifier reads it.

use halo2_axiom::{
    arithmetic::{eval_polynomial, evaluate_vanishing_polynomial, lagrange_interpolate},
    halo2curves::bn256::Fr,
};
use hygeia_gpu_kernels::FixedBases;

use super::{
    ProverError, Transcript,
    polynomial::{combine, divide, powers},
    write_points,
};

/// A polynomial and its values where it is opened.
pub struct Opened<'p> {
    poly: &'p [Fr],
    points: Vec<Fr>,
    values: Vec<Fr>,
}

impl<'p> Opened<'p> {
    /// Adds a point to a polynomial, which may be new.
    pub fn push(opened: &mut Vec<Self>, poly: &'p [Fr], point: Fr, value: Fr) {
        match opened.iter_mut().find(|opened| std::ptr::eq(opened.poly, poly)) {
            Some(opened) => {
                opened.points.push(point);
                opened.values.push(value);
            }
            None => opened.push(Self { poly, points: vec![point], values: vec![value] }),
        }
    }

    /// The value at one of its points.
    fn value_at(&self, point: Fr) -> Fr {
        let index = self.points.iter().position(|other| *other == point);
        self.values[index.expect("polynomials of one set are opened at its points")]
    }
}

/// Polynomials that are opened at the same points, combined.
struct Set {
    points: Vec<Fr>,
    combined: Vec<Fr>,
    /// The polynomial of least degree with the same values.
    low: Vec<Fr>,
}

/// Writes both points of the opening.
pub fn open(
    opened: &[Opened<'_>],
    rows: usize,
    bases: &FixedBases,
    transcript: &mut impl Transcript,
) -> Result<(), ProverError> {
    let y = transcript.challenge();
    let sets: Vec<Set> = group(opened).iter().map(|members| Set::new(members, y, rows)).collect();
    let v = transcript.challenge();
    let factors = powers(v, sets.len());

    let quotients: Vec<Vec<Fr>> = sets.iter().map(Set::quotient).collect();
    let quotient = combine(&weighted(&factors, &quotients), rows);
    write_points(transcript, &[bases.msm(&quotient)?])?;

    let u = transcript.challenge();
    let all_points = all_points(&sets);
    let beyond: Vec<Fr> = sets.iter().map(|set| set.beyond(&all_points, u)).collect();
    let factors: Vec<Fr> = factors.iter().zip(&beyond).map(|(factor, beyond)| factor * beyond).collect();
    let whole = evaluate_vanishing_polynomial(&all_points, u);
    let mut terms: Vec<(Fr, &[Fr])> =
        sets.iter().zip(&factors).map(|(set, &factor)| (factor, &set.combined[..])).collect();
    terms.push((-whole, &quotient));
    let mut last = combine(&terms, rows);
    last[0] -= sets.iter().zip(&factors).map(|(set, factor)| eval_polynomial(&set.low, u) * factor).sum::<Fr>();
    divide(&mut last, u);
    let scale = Option::<Fr>::from(beyond[0].invert()).ok_or(ProverError::Challenge)?;
    last.iter_mut().for_each(|value| *value *= scale);
    write_points(transcript, &[bases.msm(&last)?])
}

impl Set {
    fn new(members: &[&Opened<'_>], y: Fr, rows: usize) -> Self {
        let points = members[0].points.clone();
        let factors = powers(y, members.len());
        let terms: Vec<(Fr, &[Fr])> =
            members.iter().zip(&factors).map(|(member, &factor)| (factor, member.poly)).collect();
        let value =
            |&point: &Fr| members.iter().zip(&factors).map(|(member, factor)| member.value_at(point) * factor).sum();
        let values: Vec<Fr> = points.iter().map(value).collect();
        Self { combined: combine(&terms, rows), low: lagrange_interpolate(&points, &values), points }
    }

    /// What is combined, less its values at the points, over the polynomial that vanishes there.
    fn quotient(&self) -> Vec<Fr> {
        let mut poly = self.combined.clone();
        poly.iter_mut().zip(&self.low).for_each(|(coefficient, low)| *coefficient -= low);
        self.points.iter().for_each(|&point| divide(&mut poly, point));
        poly
    }

    /// The polynomial that vanishes at all points but those of this set, at `u`.
    fn beyond(&self, all_points: &[Fr], u: Fr) -> Fr {
        let others: Vec<Fr> = all_points.iter().copied().filter(|point| !self.points.contains(point)).collect();
        evaluate_vanishing_polynomial(&others, u)
    }
}

/// Polynomials by the points they are opened at, in the order in which those first appear.
fn group<'o, 'p>(opened: &'o [Opened<'p>]) -> Vec<Vec<&'o Opened<'p>>> {
    let same = |one: &Opened<'_>, other: &Opened<'_>| {
        one.points.len() == other.points.len() && one.points.iter().all(|point| other.points.contains(point))
    };
    let mut sets: Vec<Vec<&Opened<'_>>> = Vec::new();
    for member in opened {
        match sets.iter_mut().find(|set| same(set[0], member)) {
            Some(set) => set.push(member),
            None => sets.push(vec![member]),
        }
    }
    sets
}

fn all_points(sets: &[Set]) -> Vec<Fr> {
    let mut all: Vec<Fr> = Vec::new();
    for point in sets.iter().flat_map(|set| &set.points) {
        if !all.contains(point) {
            all.push(*point);
        }
    }
    all
}

fn weighted<'p>(factors: &[Fr], polys: &'p [Vec<Fr>]) -> Vec<(Fr, &'p [Fr])> {
    factors.iter().zip(polys).map(|(&factor, poly)| (factor, poly.as_slice())).collect()
}
