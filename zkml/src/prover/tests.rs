//! The compiled gates against the expressions themselves; keys and witnesses that are refused. Whole
//! proofs are tested where keys are made: in the engines, with the stock verifier.

use halo2_axiom::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    plonk::{Advice, Circuit, Column, Error, Expression, Instance, keygen_pk, keygen_vk},
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use hygeia_gpu_kernels::Columns;

use super::{program::Program, *};

const K: u32 = 5;
const N: usize = 1 << K;

fn random(rng: &mut ChaCha20Rng, count: usize) -> Vec<Fr> {
    (0..count).map(|_| Fr::random(&mut *rng)).collect()
}

/// Gates that have parts in common, challenges, negations, scalings, and rotations around both ends.
fn gates(meta: &mut ConstraintSystem<Fr>) -> Vec<Expression<Fr>> {
    let (fixed, advice, public) = (meta.fixed_column(), [(); 2].map(|()| meta.advice_column()), meta.instance_column());
    let challenge = meta.challenge_usable_after(halo2_axiom::plonk::FirstPhase);
    let mut gates = Vec::new();
    meta.create_gate("all kinds", |meta| {
        let code = meta.query_fixed(fixed, Rotation::cur());
        let [near, far] = [Rotation::next(), Rotation(-7)].map(|rotation| meta.query_advice(advice[0], rotation));
        let (other, public) =
            (meta.query_advice(advice[1], Rotation::cur()), meta.query_instance(public, Rotation::cur()));
        let challenge = Expression::Challenge(challenge);
        let five = Expression::Constant(Fr::from(5));
        let shared = near.clone() * (other.clone() - five.clone());
        gates = vec![
            code.clone() * (shared.clone() + challenge.clone() * far.clone()),
            code.clone() * code.clone() - shared.clone() * shared.clone(),
            -(public - other.clone() * (challenge.clone() + five.clone())) * Fr::from(3),
            -shared + (challenge.clone() - five) * challenge,
            -(-other) * far.clone() * far,
        ];
        gates.clone()
    });
    gates
}

#[test]
fn a_program_computes_its_gates() {
    let mut meta = ConstraintSystem::default();
    let gates = gates(&mut meta);
    let program = Program::compile(gates.iter());
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    // More rows than a block, fewer than two.
    for rows in [N, 48] {
        let (fixed, advice) = (vec![random(&mut rng, rows)], vec![random(&mut rng, rows), random(&mut rng, rows)]);
        let (instance, challenge, y) = (random(&mut rng, rows), Fr::random(&mut rng), Fr::random(&mut rng));
        let columns = Columns { fixed: &fixed, advice: &advice, instance: &instance };
        let values = CpuAccelerator.run(program.rows(), &columns, &program.scalars(&[challenge], y)).unwrap();
        for (row, value) in values.into_iter().enumerate() {
            let at = |column: &[Fr], rotation: Rotation| {
                column[(row as i64 + i64::from(rotation.0)).rem_euclid(rows as i64) as usize]
            };
            let evaluate = |gate: &Expression<Fr>| {
                gate.evaluate(
                    &|constant| constant,
                    &|_| unreachable!("no selectors"),
                    &|query| at(&fixed[query.column_index()], query.rotation()),
                    &|query| at(&advice[query.column_index()], query.rotation()),
                    &|query| at(&instance, query.rotation()),
                    &|_| challenge,
                    &|value| -value,
                    &|left, right| left + right,
                    &|left, right| left * right,
                    &|value, factor| value * factor,
                )
            };
            let expected = gates.iter().fold(Fr::ZERO, |sum, gate| sum * y + evaluate(gate));
            assert_eq!(value, expected, "row {row} of {rows}");
        }
    }
}

/// A circuit of one gate and whatever else a test wants.
#[derive(Clone, Default)]
struct Small {
    copies: bool,
    lookup: bool,
}

impl Circuit<Fr> for Small {
    type Config = (Column<Advice>, Column<Instance>);
    type FloorPlanner = SimpleFloorPlanner;
    type Params = (bool, bool);

    fn params(&self) -> (bool, bool) {
        (self.copies, self.lookup)
    }

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> Self::Config {
        unreachable!("configured with parameters")
    }

    fn configure_with_params(meta: &mut ConstraintSystem<Fr>, (copies, lookup): (bool, bool)) -> Self::Config {
        let (column, public) = (meta.advice_column(), meta.instance_column());
        meta.create_gate("fifth power", |meta| {
            let [value, public] =
                [meta.query_advice(column, Rotation::cur()), meta.query_instance(public, Rotation::cur())];
            [value.clone() * value.clone() * value.clone() * value.clone() * value - public]
        });
        if copies {
            meta.enable_equality(column);
        }
        if lookup {
            let table = meta.lookup_table_column();
            meta.lookup("table", |meta| vec![(meta.query_advice(column, Rotation::cur()), table)]);
        }
        (column, public)
    }

    fn synthesize(&self, (column, _): Self::Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        layouter.assign_region(
            || "values",
            |mut region| {
                region.assign_advice(column, 0, Value::known(Fr::from(2)));
                Ok(())
            },
        )
    }
}

struct Values(Vec<Vec<Fr>>);

impl PhasedWitness for Values {
    const PHASES: &'static [Phase] = &[Phase { columns: 1, challenges: 0 }];

    fn columns(&self, _: usize, _: &[Fr]) -> Vec<Vec<Fr>> {
        self.0.clone()
    }
}

struct Other;

impl PhasedWitness for Other {
    const PHASES: &'static [Phase] = &[Phase { columns: 2, challenges: 1 }];

    fn columns(&self, _: usize, _: &[Fr]) -> Vec<Vec<Fr>> {
        unreachable!("refused before")
    }
}

fn prover(circuit: &Small) -> Result<Prover, ProverError> {
    let params: ParamsKZG<Bn256> = ParamsKZG::setup(K, ChaCha20Rng::seed_from_u64(3));
    let vk = keygen_vk(&params, circuit).unwrap();
    Prover::new(CpuAccelerator, Arc::new(keygen_pk(&params, vk, circuit).unwrap()), &params)
}

#[test]
fn keys_with_other_arguments_are_refused() {
    let refused = |circuit: &Small| prover(circuit).err();
    assert_eq!(refused(&Small::default()), None);
    let copies = Small { copies: true, lookup: false };
    assert_eq!(refused(&copies), Some(ProverError::Unsupported("a permutation argument")));
    let lookup = Small { copies: false, lookup: true };
    assert_eq!(refused(&lookup), Some(ProverError::Unsupported("halo2's lookups")));
    let params: ParamsKZG<Bn256> = ParamsKZG::setup(K, ChaCha20Rng::seed_from_u64(3));
    let vk = keygen_vk(&params, &Small::default()).unwrap();
    let key = keygen_pk(&params, vk, &Small::default()).unwrap();
    let larger: ParamsKZG<Bn256> = ParamsKZG::setup(K + 1, ChaCha20Rng::seed_from_u64(3));
    assert_eq!(Prover::new(CpuAccelerator, Arc::new(key), &larger).err(), Some(ProverError::Shape("size")));
}

#[test]
fn witnesses_of_another_shape_are_refused() {
    use halo2_axiom::transcript::TranscriptWriterBuffer;
    use snark_verifier::system::halo2::transcript::evm::EvmTranscript;

    let prover = prover(&Small::default()).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let mut transcript: EvmTranscript<G1Affine, _, _, _> = TranscriptWriterBuffer::<_, G1Affine, _>::init(Vec::new());
    let shape = |what| Err(ProverError::Shape(what));
    let other = prover.prove(&Other, &[], &mut rng, &mut transcript);
    assert_eq!(other, shape("columns and challenges"));
    for columns in [vec![], vec![vec![Fr::ONE]; 2], vec![vec![Fr::ONE; N]]] {
        let refused = prover.prove(&Values(columns), &[], &mut rng, &mut transcript);
        assert_eq!(refused, shape("columns of a phase"));
    }
    let fine = prover.prove(&Values(vec![vec![Fr::from(2)]]), &[Fr::from(32)], &mut rng, &mut transcript);
    assert_eq!(fine, Ok(()));
}
