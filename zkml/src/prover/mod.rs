//! Our own prover for halo2-axiom's keys: its proofs are those that the stock verifier and the generated contract accept.
//!
//! A prover needs no trust, since every proof is verified before it leaves, so it can be made for speed. What never changes
//! between proofs is kept beside the key: multiples of the reference string's points, the values of fixed columns on the
//! quotient's cosets ([`quotient`]) and the gates as a straight-line program ([`program`]). An [`Accelerator`] keeps and computes
//! all of it. It proves what our circuits have: gates, phases and challenges. A key with halo2's permutations, lookups or
//! shuffles is refused.
//!
//! This module never writes a column that is not blinded, and never decides that a proof is good: its callers verify.

mod opening;
pub(crate) mod placed;
pub(crate) mod program;
pub(crate) mod quotient;
pub(crate) mod stock;
mod transcript;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use halo2_axiom::{
    SerdeCurveAffine, SerdeFormat,
    halo2curves::{
        bn256::{Bn256, Fr, G1, G1Affine},
        ff::Field,
        group::{Curve, prime::PrimeCurveAffine},
    },
    plonk::{ConstraintSystem, ProvingKey},
    poly::{Rotation, commitment::ParamsProver, kzg::commitment::ParamsKZG},
};
use hygeia_gpu_kernels::{Accelerator, CpuAccelerator, KernelError, cpu::powers};
use rand::{CryptoRng, RngCore};

pub use placed::{PlacedProver, Placement};
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
    /// halo2-axiom's own prover refused the witness.
    #[error("prover: halo2-axiom's own prover refused the witness")]
    Stock,
    /// The transcript could not be written.
    #[error("prover: the transcript could not be written")]
    Transcript,
}

/// A proving key with what can be computed from it once.
pub struct Prover<A: Accelerator = CpuAccelerator> {
    key: Arc<ProvingKey<G1Affine>>,
    device: A,
    domain: A::Domain,
    /// Commits to coefficients.
    powers: A::Bases,
    /// Commits to values on the rows.
    lagrange: A::Bases,
    /// Coefficients of the fixed columns.
    fixed: Vec<A::Vector>,
    quotient: Quotient<A>,
}

impl<A: Accelerator> Prover<A> {
    /// Prepares a key for a device. The reference string must have the key's size.
    pub fn new(device: A, key: Arc<ProvingKey<G1Affine>>, params: &ParamsKZG<Bn256>) -> Result<Self, ProverError> {
        let (cs, k) = (key.get_vk().cs(), key.get_vk().get_domain().k());
        refuse_unsupported(cs)?;
        if params.get_g().len() != 1 << k {
            return Err(ProverError::Shape("size"));
        }
        let domain = device.domain(k)?;
        let powers = device.bases(params.get_g())?;
        let lagrange = device.bases(&lagrange_points(params))?;
        let fixed = key.fixed_polys().iter().map(|poly| device.upload(poly.to_vec())).collect::<Result<Vec<_>, _>>()?;
        let quotient = Quotient::new(&device, &domain, cs, &fixed, k)?;
        Ok(Self { key, device, domain, powers, lagrange, fixed, quotient })
    }

    /// What it computes with.
    pub fn device(&self) -> &A {
        &self.device
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
        // Beside other proofs that are in flight on the device.
        self.device.in_flight(|device| self.prove_on(device, witness, instances, freedom, transcript))?
    }

    fn prove_on<W: PhasedWitness>(
        &self,
        device: &A,
        witness: &W,
        instances: &[Fr],
        freedom: &mut impl Freedom,
        transcript: &mut impl Transcript,
    ) -> Result<(), ProverError> {
        transcript.absorb(self.key.get_vk().transcript_repr())?;
        instances.iter().try_for_each(|&value| transcript.absorb(value))?;
        let (mut advice, challenges) = self.commit_advice(device, witness, freedom, transcript)?;
        // Challenges of the arguments that the circuit does not use; the verifier draws them all the same.
        let _theta_beta_gamma = [(); 3].map(|()| transcript.challenge());

        let mut vanishing = vec![Fr::ZERO; self.rows()];
        freedom.vanishing(&mut vanishing);
        let vanishing = device.upload(vanishing)?;
        commit(device, &self.powers, &[&vanishing], transcript)?;
        let y = transcript.challenge();

        device.inverse(&self.domain, &mut advice)?;
        let instance = self.instance_column(device, instances)?;
        let pieces = self.quotient.pieces(device, &advice, &instance, &challenges, y)?;
        commit(device, &self.powers, &pieces.each_ref(), transcript)?;

        let x = transcript.challenge();
        let folding = powers(x.pow_vartime([self.rows() as u64]), pieces.len());
        let terms: Vec<(Fr, &A::Vector)> = folding.into_iter().zip(&pieces).collect();
        let folded = device.combine(&terms, self.rows())?;
        let opened = self.evaluate(device, &advice, &vanishing, &folded, x, transcript)?;
        opening::open(device, &opened, self.rows(), &self.powers, transcript)
    }

    /// What the quotient is computed with.
    #[cfg(test)]
    pub(crate) fn quotient(&self) -> &Quotient<A> {
        &self.quotient
    }

    fn rows(&self) -> usize {
        1 << self.key.get_vk().get_domain().k()
    }

    /// Coefficients of the instance column.
    fn instance_column(&self, device: &A, instances: &[Fr]) -> Result<A::Vector, KernelError> {
        let mut values = instances.to_vec();
        values.resize(self.rows(), Fr::ZERO);
        let mut column = [device.upload(values)?];
        device.inverse(&self.domain, &mut column)?;
        let [column] = column;
        Ok(column)
    }

    /// Fills, blinds and commits to the columns of each phase. Returns the columns and the challenges of all phases.
    fn commit_advice<W: PhasedWitness>(
        &self,
        device: &A,
        witness: &W,
        freedom: &mut impl Freedom,
        transcript: &mut impl Transcript,
    ) -> Result<(Vec<A::Vector>, Vec<Fr>), ProverError> {
        let usable = self.rows() - (self.key.get_vk().cs().blinding_factors() + 1);
        let (mut columns, mut challenges): (Vec<A::Vector>, Vec<Fr>) = (Vec::new(), Vec::new());
        for (phase, shape) in W::PHASES.iter().enumerate() {
            let of_phase = witness.columns(phase, &challenges);
            if of_phase.len() != shape.columns || of_phase.iter().any(|column| column.len() > usable) {
                return Err(ProverError::Shape("columns of a phase"));
            }
            let first = columns.len();
            for mut column in of_phase {
                column.resize(self.rows(), Fr::ZERO);
                freedom.blind(columns.len(), &mut column[usable..]);
                columns.push(device.upload(column)?);
            }
            commit(device, &self.lagrange, &columns[first..].iter().collect::<Vec<_>>(), transcript)?;
            challenges.extend((0..shape.challenges).map(|_| transcript.challenge()));
        }
        Ok((columns, challenges))
    }

    /// Evaluates what the verifier asks for, writes the values, and says what is to be opened where.
    fn evaluate<'p>(
        &'p self,
        device: &A,
        advice: &'p [A::Vector],
        vanishing: &'p A::Vector,
        folded: &'p A::Vector,
        x: Fr,
        transcript: &mut impl Transcript,
    ) -> Result<Vec<Opened<'p, A::Vector>>, ProverError> {
        let (cs, domain) = (self.key.get_vk().cs(), self.key.get_vk().get_domain());
        let at = |rotation: Rotation| domain.rotate_omega(x, rotation);
        let of_advice = cs.advice_queries().iter().map(|&(column, rotation)| (&advice[column.index()], at(rotation)));
        let of_fixed = cs.fixed_queries().iter().map(|&(column, rotation)| (&self.fixed[column.index()], at(rotation)));
        let asked = of_advice.chain(of_fixed).chain([(vanishing, x)]);
        // The quotient's value is not written: the verifier computes what it must be.
        let queries: Vec<(&A::Vector, Fr)> = asked.chain([(folded, x)]).collect();
        let values = device.evaluate(&queries)?;
        let (_, written) = values.split_last().expect("the quotient was evaluated");
        written.iter().try_for_each(|&value| transcript.write_scalar(value))?;
        // In the opening the quotient comes before the vanishing polynomial.
        let mut order: Vec<usize> = (0..queries.len()).collect();
        order.swap(queries.len() - 2, queries.len() - 1);
        let mut opened: Vec<Opened<'_, A::Vector>> = Vec::new();
        for index in order {
            let (poly, point) = queries[index];
            Opened::push(&mut opened, poly, point, values[index]);
        }
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

fn commit<A: Accelerator>(
    device: &A,
    bases: &A::Bases,
    vectors: &[&A::Vector],
    transcript: &mut impl Transcript,
) -> Result<(), ProverError> {
    write_points(transcript, &device.msm_many(bases, vectors)?)
}

fn write_points(transcript: &mut impl Transcript, points: &[G1]) -> Result<(), ProverError> {
    let mut affine = vec![G1Affine::identity(); points.len()];
    G1::batch_normalize(points, &mut affine);
    affine.into_iter().try_for_each(|point| transcript.write_point(point))
}
