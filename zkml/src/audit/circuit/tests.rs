//! Honest witnesses satisfy the circuit, and each kind of dishonest one breaks the constraint that is there for it.
use super::*;
use crate::{
    audit::{batch::AuditBatch, plan::{AuditPlan, UNUSABLE_ROWS}},
    fixtures::{SCHEMA, random_features, random_network},
    statement::Salt,
};
use halo2_axiom::dev::MockProver;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

#[test]
fn honest() {
    let network = random_network(&[18, 5, 1], 1, (-8192, 8192));
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let plan = AuditPlan::for_windows(&network, 64).unwrap();
    eprintln!("{plan:?}");
    let layout = Arc::new(Layout::new(plan, &network, SCHEMA).unwrap());
    let batch: AuditBatch = (0..50).map(|_| crate::audit::batch::AuditWindow::new(random_features(&network, &mut rng), Salt::random(&mut rng))).collect();
    let witness = witness::fill(&layout, &network, batch.windows(), &mut rng).unwrap();
    let instances = witness.public().instances().to_vec();
    let k = layout.plan.k;
    let circuit = AuditCircuit::with_witness(layout, Arc::new(witness));
    let prover = MockProver::run(k, &circuit, vec![instances]).unwrap();
    if let Err(f) = prover.verify() { panic!("{} {:#?}", f.len(), f.iter().take(3).map(|f| f.to_string()).collect::<Vec<_>>()) }
}

#[test]
fn degree() {
    let mut meta = ConstraintSystem::default();
    configure(&mut meta, &AuditPlan { k: 13, slots: 64, inputs: 48, neurons: 97 });
    assert_eq!(gate_degree(&meta), DEGREE);
    assert_eq!(meta.degree(), DEGREE);
    assert_eq!(meta.blinding_factors() + 1, UNUSABLE_ROWS);
    eprintln!("adv {} fix {} aq {} fq {} iq {}", meta.num_advice_columns(), meta.num_fixed_columns(), meta.advice_queries().len(), meta.fixed_queries().len(), meta.instance_queries().len());
}
