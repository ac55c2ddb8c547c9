//! A second prover of the same proofs, step by step as the protocol has them, with every source of randomness in the
//! test's hands. halo2-axiom draws its vanishing polynomial from the thread's generator, out of reach of a caller.

use halo2_axiom::{
    arithmetic::{eval_polynomial, evaluate_vanishing_polynomial, kate_division, lagrange_interpolate, powers},
    halo2curves::{
        bn256::{Fr, G1Affine},
        ff::Field,
        group::Curve,
    },
    plonk::Expression,
    poly::{
        Coeff, Polynomial, Rotation,
        commitment::{Blind, ParamsProver},
    },
    transcript::{Transcript, TranscriptWrite, TranscriptWriterBuffer},
};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use snark_verifier::system::halo2::transcript::evm::{ChallengeEvm, EvmTranscript};

use super::super::{NativeEngine, Witness};
use crate::circuit::{columns::Challenges, second_phase};

pub type Poly = Polynomial<Fr, Coeff>;
type Written = EvmTranscript<G1Affine, snark_verifier::loader::native::NativeLoader, Vec<u8>, Vec<u8>>;

/// Where the numbers come from that a prover is free to choose.
pub struct Freedom<'t> {
    /// Fills the last rows of every advice column but the mask.
    pub blinding: ChaCha20Rng,
    /// Fills the masking column.
    pub mask: ChaCha20Rng,
    /// Coefficients of the vanishing argument's polynomial.
    pub vanishing: &'t dyn Fn(usize) -> Vec<Fr>,
    /// Challenges in the place of the transcript's, so that what depends on what shows. Such a proof does not verify.
    pub challenges: Option<ChaCha20Rng>,
}

/// The proof that a witness holds. Its masking column is drawn anew.
pub fn prove(engine: &NativeEngine, witness: &Witness, mut freedom: Freedom<'_>) -> Vec<u8> {
    let key = engine.proving_key.get_vk();
    let (domain, cs, params) = (key.get_domain(), key.cs(), engine.srs.params());
    let n = 1 << domain.k();
    let mut out = Out { transcript: Written::init(Vec::new()), challenges: freedom.challenges.take() };
    let commit = |poly: &Poly| params.commit(poly, Blind::default()).to_affine();
    out.transcript.common_scalar(key.transcript_repr()).unwrap();
    let instances = witness.public.instances();
    instances.iter().for_each(|&value| out.transcript.common_scalar(value).unwrap());

    let mask: Vec<Fr> = (0..engine.layout.plan.rows_usable()).map(|_| Fr::random(&mut freedom.mask)).collect();
    let mut column = |values: &[Fr], is_mask: bool| -> Poly {
        let rng = if is_mask { &mut freedom.mask } else { &mut freedom.blinding };
        interpolate(engine, &blinded(engine, values, rng))
    };
    let first = &witness.first;
    let mut advice = vec![column(&first.limb, false), column(&first.cell, false), column(&mask, true)];
    advice.iter().for_each(|poly| out.point(commit(poly)));
    let [node, layer, range] = [(); 3].map(|()| out.challenge());
    let second = second_phase(&engine.layout, witness, &Challenges { node, layer, range });
    let of_second = [&second.weight, &second.place, &second.sum, &second.tally].map(|values| column(values, false));
    of_second.iter().for_each(|poly| out.point(commit(poly)));
    advice.extend(of_second);

    let _theta_beta_gamma = [(); 3].map(|()| out.challenge());
    let vanishing = domain.coeff_from_vec((freedom.vanishing)(n));
    out.point(commit(&vanishing));
    let y = out.challenge();
    let quotient = quotient(engine, &advice, &instances, &[node, layer, range], y);
    let pieces: Vec<Poly> = quotient.chunks_exact(n).map(|piece| domain.coeff_from_vec(piece.to_vec())).collect();
    pieces.iter().for_each(|piece| out.point(commit(piece)));

    let x = out.challenge();
    let at = |rotation: Rotation| domain.rotate_omega(x, rotation);
    let mut queries: Vec<(&Poly, Fr)> = Vec::new();
    queries.extend(cs.advice_queries().iter().map(|&(column, rotation)| (&advice[column.index()], at(rotation))));
    let fixed = engine.proving_key.fixed_polys();
    queries.extend(cs.fixed_queries().iter().map(|&(column, rotation)| (&fixed[column.index()], at(rotation))));
    queries.iter().chain(&[(&vanishing, x)]).for_each(|(poly, point)| out.scalar(eval_polynomial(poly, *point)));
    let folded = pieces.iter().rev().fold(domain.empty_coeff(), |sum, piece| sum * x.pow_vartime([n as u64]) + piece);
    queries.extend([(&folded, x), (&vanishing, x)]);
    open(&queries, n, &mut out, &commit);
    out.transcript.finalize()
}

/// A column with its last rows drawn at random.
pub fn blinded(engine: &NativeEngine, values: &[Fr], rng: &mut ChaCha20Rng) -> Vec<Fr> {
    let usable = engine.layout.plan.rows_usable();
    let mut values = values.to_vec();
    values.resize(usable, Fr::ZERO);
    values.extend((usable..1 << engine.layout.plan.k).map(|_| Fr::random(&mut *rng)));
    values
}

/// The polynomial with these values on the rows.
pub fn interpolate(engine: &NativeEngine, values: &[Fr]) -> Poly {
    let domain = engine.proving_key.get_vk().get_domain();
    domain.lagrange_to_coeff(domain.lagrange_from_vec(values.to_vec()))
}

/// A transcript whose challenges may be replaced.
struct Out {
    transcript: Written,
    challenges: Option<ChaCha20Rng>,
}

impl Out {
    fn point(&mut self, point: G1Affine) {
        self.transcript.write_point(point).unwrap();
    }

    fn scalar(&mut self, scalar: Fr) {
        self.transcript.write_scalar(scalar).unwrap();
    }

    fn challenge(&mut self) -> Fr {
        let squeezed: ChallengeEvm<G1Affine> = self.transcript.squeeze_challenge();
        match &mut self.challenges {
            Some(rng) => Fr::random(rng),
            None => halo2_axiom::transcript::EncodedChallenge::get_scalar(&squeezed),
        }
    }
}

/// All gates, combined by powers of `y`, over `X^n - 1`.
pub fn quotient(engine: &NativeEngine, advice: &[Poly], instances: &[Fr; 2], challenges: &[Fr; 3], y: Fr) -> Vec<Fr> {
    let key = engine.proving_key.get_vk();
    let (domain, cs) = (key.get_domain(), key.cs());
    let extended = |polys: &[Poly]| -> Vec<_> { polys.iter().map(|poly| domain.coeff_to_extended(poly)).collect() };
    let (fixed, advice) = (extended(engine.proving_key.fixed_polys()), extended(advice));
    let mut instance = instances.to_vec();
    instance.resize(1 << domain.k(), Fr::ZERO);
    let instance = domain.coeff_to_extended(&interpolate(engine, &instance));
    let length = domain.extended_len();
    let step = i64::try_from(length >> domain.k()).unwrap();
    let evaluate = |expression: &Expression<Fr>, row: usize| {
        let rotated = |rotation: Rotation| {
            (row as i64 + i64::from(rotation.0) * step).rem_euclid(i64::try_from(length).unwrap()) as usize
        };
        expression.evaluate(
            &|constant| constant,
            &|_| unreachable!("the circuit has no selectors"),
            &|query| fixed[query.column_index()][rotated(query.rotation())],
            &|query| advice[query.column_index()][rotated(query.rotation())],
            &|query| instance[rotated(query.rotation())],
            &|challenge| challenges[challenge.index()],
            &|value| -value,
            &|left, right| left + right,
            &|left, right| left * right,
            &|value, factor| value * factor,
        )
    };
    let gates: Vec<&Expression<Fr>> = cs.gates().iter().flat_map(|gate| gate.polynomials()).collect();
    let mut numerator = domain.empty_extended();
    numerator.values_mut().par_iter_mut().enumerate().for_each(|(row, value)| {
        *value = gates.iter().fold(Fr::ZERO, |sum, gate| sum * y + evaluate(gate, row));
    });
    domain.extended_to_coeff(domain.divide_by_vanishing_poly(numerator))
}

/// SHPLONK: polynomials that are opened at the same points are combined, then all quotients, then all are opened once
/// more at one point.
fn open(queries: &[(&Poly, Fr)], n: usize, out: &mut Out, commit: &dyn Fn(&Poly) -> G1Affine) {
    let mut opened: Vec<(&Poly, Vec<Fr>)> = Vec::new();
    for &(poly, point) in queries {
        match opened.iter_mut().find(|(other, _)| std::ptr::eq(*other, poly)) {
            Some((_, points)) => points.push(point),
            None => opened.push((poly, vec![point])),
        }
    }
    let same = |one: &[Fr], other: &[Fr]| one.len() == other.len() && one.iter().all(|point| other.contains(point));
    let mut sets: Vec<(Vec<Fr>, Vec<&Poly>)> = Vec::new();
    for (poly, points) in opened {
        match sets.iter_mut().find(|(other, _)| same(other, &points)) {
            Some((_, polys)) => polys.push(poly),
            None => sets.push((points, vec![poly])),
        }
    }
    let mut all_points: Vec<Fr> = Vec::new();
    for point in sets.iter().flat_map(|(points, _)| points) {
        if !all_points.contains(point) {
            all_points.push(*point);
        }
    }
    let (y, v) = (out.challenge(), out.challenge());
    let sum = |terms: Vec<(Vec<Fr>, Fr)>| {
        let mut total = vec![Fr::ZERO; n];
        for (poly, factor) in terms {
            total.iter_mut().zip(poly).for_each(|(sum, value)| *sum += value * factor);
        }
        total
    };
    // The polynomial of least degree with the same values at a set's points.
    let low = |points: &[Fr], poly: &Poly| {
        let values: Vec<Fr> = points.iter().map(|&point| eval_polynomial(poly, point)).collect();
        lagrange_interpolate(points, &values)
    };
    let less = |poly: &Poly, other: &[Fr]| {
        let mut difference = poly.values().to_vec();
        difference.iter_mut().zip(other).for_each(|(value, other)| *value -= other);
        difference
    };
    let quotient_of = |(points, polys): &(Vec<Fr>, Vec<&Poly>)| {
        let numerators = polys.iter().map(|poly| less(poly, &low(points, poly))).zip(powers(y)).collect();
        points.iter().fold(sum(numerators), |poly, &point| kate_division(&poly, point))
    };
    let quotient = sum(sets.iter().map(quotient_of).zip(powers(v)).collect());
    let as_poly = |values: Vec<Fr>| {
        let mut values = values;
        values.resize(n, Fr::ZERO);
        Poly::new(values)
    };
    out.point(commit(&as_poly(quotient.clone())));

    let u = out.challenge();
    let beyond = |points: &[Fr]| {
        let others: Vec<Fr> = all_points.iter().copied().filter(|point| !points.contains(point)).collect();
        evaluate_vanishing_polynomial(&others, u)
    };
    let combined = |(points, polys): &(Vec<Fr>, Vec<&Poly>)| {
        let terms = polys.iter().map(|poly| less(poly, &[eval_polynomial(&low(points, poly), u)])).zip(powers(y));
        let factor = beyond(points);
        sum(terms.collect()).into_iter().map(|value| value * factor).collect::<Vec<_>>()
    };
    let mut last = sum(sets.iter().map(combined).zip(powers(v)).collect());
    let whole = evaluate_vanishing_polynomial(&all_points, u);
    last.iter_mut().zip(quotient).for_each(|(value, quotient)| *value -= quotient * whole);
    let scale = beyond(&sets[0].0).invert().unwrap();
    let opening = kate_division(&last, u).into_iter().map(|value| value * scale).collect();
    out.point(commit(&as_poly(opening)));
}
