//! Our own prover for halo2-axiom's keys: its proofs are those that the stock verifier and the generated contract accept.
//!
//! A prover needs no trust, since every proof is verified before it leaves, so it can be made for speed. What never changes
//! between proofs is kept beside the key: multiples of the reference string's points ([`FixedBases`]), the values of fixed
//! columns on the quotient's cosets ([`quotient`]) and the gates as a straight-line program ([`program`]). It proves what our
//! circuits have: gates, phases and challenges. A key with halo2's permutations, lookups or shuffles is refused.
//!
//! This module never writes a column that is not blinded, and never decides that a proof is good: its callers verify.

mod opening;
mod polynomial;
mod program;
pub(crate) mod quotient;
mod transcript;

#[cfg(test)]
mod tests;

use halo2_axiom::{
    SerdeCurveAffine, SerdeFormat,
    arithmetic::eval_polynomial,
    halo2curves::{
        bn256::{Bn256, Fr, G1, G1Affine},
        ff::Field,
        group::{Curve, prime::PrimeCurveAffine},
    },
    plonk::{ConstraintSystem, ProvingKey},
    poly::{Rotation, commitment::ParamsProver, kzg::commitment::ParamsKZG},
};
use hygeia_gpu_kernels::{FixedBases, KernelError, Transform};
use rand::{CryptoRng, RngCore};
use rayon::prelude::*;

pub use transcript::Transcript;

use opening::Opened;
use quotient::Quotient;

/// The advice columns of a circuit as the prover asks for them, phase after phase.
pub trait PhasedWitness: Sync {
    /// Phases, in order. The columns of a phase stand beside each other in the key, in the order of the phases.
    const PHASES: &'static [Phase];

    /// Values of a phase's columns by row, in the order of the columns. Rows left out at the end are 0. `challenges` are
    /// those of all phases before.
    fn columns(&self, phase: usize, challenges: &[Fr]) -> Vec<Vec<Fr>>;
}

/// What a phase holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// Advice columns.
    pub columns: usize,
    /// Challenges that are drawn after it.
    pub challenges: usize,
}

/// Where the numbers come from that a prover is free to choose.
pub trait Freedom {
    /// Random numbers for the last rows of an advice column, which halo2 leaves to that.
    fn blind(&mut self, column: usize, rows: &mut [Fr]);

    /// Coefficients of the vanishing argument's random polynomial.
    fn vanishing(&mut self, coefficients: &mut [Fr]);
}

/// Everything random, from one generator.
impl<R: RngCore + CryptoRng> Freedom for R {
    fn blind(&mut self, _: usize, rows: &mut [Fr]) {
        rows.fill_with(|| Fr::random(&mut *self));
    }

    fn vanishing(&mut self, coefficients: &mut [Fr]) {
        coefficients.fill_with(|| Fr::random(&mut *self));
    }
}

/// Why there is no prover for a key, or no proof.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProverError {
    /// The key's circuit uses an argument that this prover does not make.
    #[error("prover: the circuit uses {0}, which this prover does not make")]
    Unsupported(&'static str),
    /// Key, witness and instances do not belong together.
    #[error("prover: the {0} of witness and key differ")]
    Shape(&'static str),
    /// Two challenges fell together, which happens with probability 2^-240.
    #[error("prover: the challenges cannot be used; prove again")]
    Challenge,
    /// A kernel refused its input.
    #[error("prover: a kernel refused its input")]
    Kernel(#[from] KernelError),
    /// The transcript could not be written.
    #[error("prover: the transcript could not be written")]
    Transcript,
}

/// A proving key with what can be computed from it once.
pub struct Prover {
    key: ProvingKey<G1Affine>,
    /// Commits to coefficients.
    powers: FixedBases,
    /// Commits to values on the rows.
    lagrange: FixedBases,
    quotient: Quotient,
}

impl Prover {
    /// Prepares a key. The reference string must have the key's size.
    pub fn new(key: ProvingKey<G1Affine>, params: &ParamsKZG<Bn256>) -> Result<Self, ProverError> {
        let (vk, n) = (key.get_vk(), 1_usize << key.get_vk().get_domain().k());
        let cs = vk.cs();
        refuse_unsupported(cs)?;
        if params.get_g().len() != n {
            return Err(ProverError::Shape("size"));
        }
        let powers = FixedBases::new(params.get_g())?;
        let lagrange = FixedBases::new(&lagrange_points(params))?;
        let quotient = Quotient::new(cs, key.fixed_polys(), vk.get_domain().k())?;
        Ok(Self { key, powers, lagrange, quotient })
    }

    /// The key it was made from.
    pub fn key(&self) -> &ProvingKey<G1Affine> {
        &self.key
    }

    /// Proves a witness, on the threads of the current rayon pool. Whether the witness is right shows when the proof is
    /// verified.
    pub fn prove<W: PhasedWitness>(
        &self,
        witness: &W,
        instances: &[Fr],
        freedom: &mut impl Freedom,
        transcript: &mut impl Transcript,
    ) -> Result<(), ProverError> {
        let key = self.key.get_vk();
        let (columns, challenges) = W::PHASES
            .iter()
            .fold((0, 0), |(columns, challenges), phase| (columns + phase.columns, challenges + phase.challenges));
        if (columns, challenges) != (key.cs().num_advice_columns(), key.cs().num_challenges()) {
            return Err(ProverError::Shape("columns and challenges"));
        }
        transcript.absorb(key.transcript_repr())?;
        instances.iter().try_for_each(|&value| transcript.absorb(value))?;
        let (values, challenges) = self.commit_advice(witness, freedom, transcript)?;
        // Challenges of the arguments that the circuit does not use; the verifier draws them all the same.
        let _theta_beta_gamma = [(); 3].map(|()| transcript.challenge());

        let mut vanishing = vec![Fr::ZERO; self.rows()];
        freedom.vanishing(&mut vanishing);
        write_points(transcript, &self.powers.msm_many(&[&vanishing])?)?;
        let y = transcript.challenge();

        let transform = self.quotient.transform();
        let advice = interpolate(values, transform);
        let pieces = self.quotient.pieces(&advice, instances, &challenges, y);
        write_points(transcript, &self.powers.msm_many(&pieces.each_ref().map(Vec::as_slice))?)?;

        let x = transcript.challenge();
        let folded = fold(&pieces, x.pow_vartime([self.rows() as u64]));
        let opened = self.evaluate(&advice, &vanishing, &folded, x, transcript)?;
        opening::open(&opened, self.rows(), &self.powers, transcript)
    }

    /// What the quotient is computed with.
    #[cfg(test)]
    pub(crate) fn quotient(&self) -> &Quotient {
        &self.quotient
    }

    fn rows(&self) -> usize {
        self.quotient.transform().size()
    }

    /// Fills, blinds and commits to the columns of each phase. Returns the columns and the challenges of all phases.
    fn commit_advice<W: PhasedWitness>(
        &self,
        witness: &W,
        freedom: &mut impl Freedom,
        transcript: &mut impl Transcript,
    ) -> Result<(Vec<Vec<Fr>>, Vec<Fr>), ProverError> {
        let usable = self.rows() - (self.key.get_vk().cs().blinding_factors() + 1);
        let (mut columns, mut challenges): (Vec<Vec<Fr>>, Vec<Fr>) = (Vec::new(), Vec::new());
        for (phase, shape) in W::PHASES.iter().enumerate() {
            let mut of_phase = witness.columns(phase, &challenges);
            if of_phase.len() != shape.columns || of_phase.iter().any(|column| column.len() > usable) {
                return Err(ProverError::Shape("columns of a phase"));
            }
            for (index, column) in of_phase.iter_mut().enumerate() {
                column.resize(self.rows(), Fr::ZERO);
                freedom.blind(columns.len() + index, &mut column[usable..]);
            }
            let slices: Vec<&[Fr]> = of_phase.iter().map(Vec::as_slice).collect();
            write_points(transcript, &self.lagrange.msm_many(&slices)?)?;
            columns.extend(of_phase);
            challenges.extend((0..shape.challenges).map(|_| transcript.challenge()));
        }
        Ok((columns, challenges))
    }

    /// Evaluates what the verifier asks for, writes the values, and says what is to be opened where.
    fn evaluate<'p>(
        &'p self,
        advice: &'p [Vec<Fr>],
        vanishing: &'p [Fr],
        folded: &'p [Fr],
        x: Fr,
        transcript: &mut impl Transcript,
    ) -> Result<Vec<Opened<'p>>, ProverError> {
        let (cs, domain) = (self.key.get_vk().cs(), self.key.get_vk().get_domain());
        let fixed = self.key.fixed_polys();
        let at = |rotation: Rotation| domain.rotate_omega(x, rotation);
        let of_advice =
            cs.advice_queries().iter().map(|&(column, rotation)| (&advice[column.index()][..], at(rotation)));
        let of_fixed = cs.fixed_queries().iter().map(|&(column, rotation)| (&fixed[column.index()][..], at(rotation)));
        let queries: Vec<(&[Fr], Fr)> = of_advice.chain(of_fixed).chain([(vanishing, x)]).collect();
        let mut values = polynomial::evaluate_all(&queries);
        values.iter().try_for_each(|&value| transcript.write_scalar(value))?;
        // The quotient's value is not written: the verifier computes what it must be.
        let last = (values.pop(), queries.len() - 1);
        let mut opened: Vec<Opened<'_>> = Vec::new();
        let mut push = |poly, point, value| Opened::push(&mut opened, poly, point, value);
        queries[..last.1].iter().zip(values).for_each(|(&(poly, point), value)| push(poly, point, value));
        push(folded, x, eval_polynomial(folded, x));
        push(vanishing, x, last.0.expect("the vanishing polynomial was evaluated"));
        Ok(opened)
    }
}

fn refuse_unsupported(cs: &ConstraintSystem<Fr>) -> Result<(), ProverError> {
    let unsupported = [
        (!cs.permutation().get_columns().is_empty(), "a permutation argument"),
        (!cs.lookups().is_empty(), "halo2's lookups"),
        (cs.num_selectors() > 0, "selectors"),
        (cs.num_instance_columns() != 1, "another number of instance columns than one"),
    ];
    match unsupported.iter().find(|(is_used, _)| *is_used) {
        Some(&(_, what)) => Err(ProverError::Unsupported(what)),
        None => Ok(()),
    }
}

/// The points that commit to values on the rows. halo2-axiom keeps them to itself, but writes them: size, powers, these
/// points.
fn lagrange_points(params: &ParamsKZG<Bn256>) -> Vec<G1Affine> {
    let mut written = Vec::new();
    params.write_custom(&mut written, SerdeFormat::RawBytesUnchecked).expect("writing to memory does not fail");
    let (count, bytes) = (params.get_g().len(), size_of::<G1Affine>());
    let points = &written[size_of::<u32>() + count * bytes..][..count * bytes];
    let read = |mut point: &[u8]| <G1Affine as SerdeCurveAffine>::read(&mut point, SerdeFormat::RawBytesUnchecked);
    points.chunks_exact(bytes).map(|point| read(point).expect("a point just written")).collect()
}

fn interpolate(mut values: Vec<Vec<Fr>>, transform: &Transform) -> Vec<Vec<Fr>> {
    values.par_iter_mut().for_each(|column| transform.inverse(column));
    values
}

/// `sum(pieces[i] * factor^i)`.
fn fold(pieces: &[Vec<Fr>], factor: Fr) -> Vec<Fr> {
    let at = |index: usize| pieces.iter().rev().fold(Fr::ZERO, |sum, piece| sum * factor + piece[index]);
    (0..pieces[0].len()).into_par_iter().with_min_len(polynomial::PART_MIN).map(at).collect()
}

fn write_points(transcript: &mut impl Transcript, points: &[G1]) -> Result<(), ProverError> {
    let mut affine = vec![G1Affine::identity(); points.len()];
    G1::batch_normalize(points, &mut affine);
    affine.into_iter().try_for_each(|point| transcript.write_point(point))
}
