//! SHPLONK: polynomials that are opened at the same points are combined, then the quotients of all, and the combination is
//! opened once more at one point (Boneh, Drake, Fisch and Gabizon, 2020). Step for step as halo2-axiom's verifier reads it.

use halo2_axiom::{
    arithmetic::{eval_polynomial, evaluate_vanishing_polynomial, lagrange_interpolate},
    halo2curves::bn256::Fr,
};
use hygeia_gpu_kernels::{Accelerator, KernelError, cpu::powers};

use super::{ProverError, Transcript, write_points};

/// A polynomial and its values where it is opened.
pub struct Opened<'p, V> {
    poly: &'p V,
    points: Vec<Fr>,
    values: Vec<Fr>,
}

impl<'p, V> Opened<'p, V> {
    /// Adds a point to a polynomial, which may be new.
    pub fn push(opened: &mut Vec<Self>, poly: &'p V, point: Fr, value: Fr) {
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
struct Set<V> {
    points: Vec<Fr>,
    combined: V,
    /// The polynomial of least degree with the same values.
    low: Vec<Fr>,
}

/// Writes both points of the opening.
pub fn open<A: Accelerator>(
    device: &A,
    opened: &[Opened<'_, A::Vector>],
    rows: usize,
    bases: &A::Bases,
    transcript: &mut impl Transcript,
) -> Result<(), ProverError> {
    let y = transcript.challenge();
    let sets: Vec<Set<A::Vector>> =
        group(opened).iter().map(|members| Set::new(device, members, y, rows)).collect::<Result<_, _>>()?;
    let v = transcript.challenge();
    let factors = powers(v, sets.len());

    let quotients: Vec<A::Vector> = sets.iter().map(|set| set.quotient(device)).collect::<Result<_, _>>()?;
    let terms: Vec<(Fr, &A::Vector)> = factors.iter().copied().zip(&quotients).collect();
    let quotient = device.combine(&terms, rows)?;
    write_points(transcript, &device.msm_many(bases, &[&quotient])?)?;

    let u = transcript.challenge();
    let all_points = all_points(&sets);
    let beyond: Vec<Fr> = sets.iter().map(|set| set.beyond(&all_points, u)).collect();
    let scale = Option::<Fr>::from(beyond[0].invert()).ok_or(ProverError::Challenge)?;
    let factors: Vec<Fr> = factors.iter().zip(&beyond).map(|(factor, beyond)| factor * beyond * scale).collect();
    let whole = evaluate_vanishing_polynomial(&all_points, u) * scale;
    let combined = sets.iter().map(|set| &set.combined);
    let mut terms: Vec<(Fr, &A::Vector)> = factors.iter().copied().zip(combined).collect();
    terms.push((-whole, &quotient));
    let mut last = device.combine(&terms, rows)?;
    let low = sets.iter().zip(&factors).map(|(set, factor)| eval_polynomial(&set.low, u) * factor).sum::<Fr>();
    device.subtract_low(&mut last, &[low])?;
    device.divide(&mut last, u)?;
    write_points(transcript, &device.msm_many(bases, &[&last])?)
}

impl<V> Set<V> {
    fn new<A: Accelerator<Vector = V>>(
        device: &A,
        members: &[&Opened<'_, V>],
        y: Fr,
        rows: usize,
    ) -> Result<Self, KernelError> {
        let points = members[0].points.clone();
        let factors = powers(y, members.len());
        let terms: Vec<(Fr, &V)> =
            members.iter().zip(&factors).map(|(member, &factor)| (factor, member.poly)).collect();
        let value =
            |&point: &Fr| members.iter().zip(&factors).map(|(member, factor)| member.value_at(point) * factor).sum();
        let values: Vec<Fr> = points.iter().map(value).collect();
        Ok(Self { combined: device.combine(&terms, rows)?, low: lagrange_interpolate(&points, &values), points })
    }

    /// What is combined, less its values at the points, over the polynomial that vanishes there.
    fn quotient<A: Accelerator<Vector = V>>(&self, device: &A) -> Result<V, KernelError> {
        let mut poly = device.copy(&self.combined)?;
        device.subtract_low(&mut poly, &self.low)?;
        self.points.iter().try_for_each(|&point| device.divide(&mut poly, point))?;
        Ok(poly)
    }

    /// The polynomial that vanishes at all points but those of this set, at `u`.
    fn beyond(&self, all_points: &[Fr], u: Fr) -> Fr {
        let others: Vec<Fr> = all_points.iter().copied().filter(|point| !self.points.contains(point)).collect();
        evaluate_vanishing_polynomial(&others, u)
    }
}

/// Polynomials by the points they are opened at, in the order in which those first appear.
fn group<'o, 'p, V>(opened: &'o [Opened<'p, V>]) -> Vec<Vec<&'o Opened<'p, V>>> {
    let same = |one: &Opened<'_, V>, other: &Opened<'_, V>| {
        one.points.len() == other.points.len() && one.points.iter().all(|point| other.points.contains(point))
    };
    let mut sets: Vec<Vec<&Opened<'_, V>>> = Vec::new();
    for member in opened {
        match sets.iter_mut().find(|set| same(set[0], member)) {
            Some(set) => set.push(member),
            None => sets.push(vec![member]),
        }
    }
    sets
}

fn all_points<V>(sets: &[Set<V>]) -> Vec<Fr> {
    let mut all: Vec<Fr> = Vec::new();
    for point in sets.iter().flat_map(|set| &set.points) {
        if !all.contains(point) {
            all.push(*point);
        }
    }
    all
}
