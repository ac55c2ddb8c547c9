//! A trigger is accepted once with everything in order; each single thing tampered with is refused by its own error.

mod support;

use alloy::primitives::B256;
use hygeia_inference::package::ModelPackage;
use hygeia_inference::schema::ClinicalState;
use hygeia_node::chain::signing::OracleSigner;
use hygeia_node::chain::transaction::{Outcome, Payer, Triggers};
use hygeia_node::chain::{Chain, governance};
use hygeia_node::demo::network::{Network, ProvedBy};
use hygeia_node::journal::{self, Journal};
use hygeia_node::keys::KeySettings;
use hygeia_node::telemetry::Metrics;
use hygeia_node::{engines, keys};
use hygeia_policies::{MandateRegistry, ModelRegistry, OracleRegistry};
use hygeia_protocol::bytes::{Address, B32, HexBytes, Signature};
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::message::{Receipt, V1};
use hygeia_zkml::engine::Engine;
use hygeia_zkml::statement::Salt;

/// Below every score: the policy of this test applies to any window.
const THRESHOLD: i64 = -1_000_000;

struct Scene {
    network: Network,
    engine: Box<dyn Engine>,
    triggers: Triggers,
    payer: Payer,
    oracle: OracleSigner,
}

impl Scene {
    /// A receipt with everything in order, for the window of `mandate` that ends at `end`.
    fn receipt(&self, mandate: B256, end: u64) -> Receipt {
        let model = ModelPackage::default_model();
        let features = model.schema().features(&ClinicalState::default());
        let proof = self.engine.prove(&features, &Salt::new([7; 16])).expect("an honest window is provable");
        let commitment = proof.public.commitment.to_bytes();
        let signature = self.oracle.attest(mandate.0, end, model.schema().hash(), commitment).unwrap();
        let alert_id = B32::new([1; 32]);
        let circuit = B32::new(self.engine.circuit_hash());
        Receipt {
            v: V1,
            // One submission per window: the store of submissions goes by this.
            receipt_id: Receipt::id(&B32::new(B256::from(alloy::primitives::U256::from(end)).0), &circuit),
            alert_id,
            mandate: B32::new(mandate.0),
            policy: B32::new(self.network.policy_id.0),
            model: B32::new(model.hash()),
            circuit,
            verifying_key: B32::new(self.engine.verifying_key_hash()),
            proof_system: self.engine.proof_system_id().to_owned(),
            commitment: B32::new(commitment),
            score: proof.public.score,
            proof: HexBytes::new(proof.bytes),
            end,
            oracle: Address::new(self.oracle.address().into_array()),
            signature: Signature::new(signature),
            proved_at_ms: 0,
            prove_ms: 0,
        }
    }

    async fn refused(&self, what: &str, receipt: &Receipt, error: &str) {
        let answer = self.triggers.dry_run(receipt, self.payer.address()).await.expect("the chain answers");
        assert_eq!(answer, Err(error.to_owned()), "{what}");
    }

    async fn accepted(&self, what: &str, receipt: &Receipt) {
        let answer = self.triggers.dry_run(receipt, self.payer.address()).await.expect("the chain answers");
        assert_eq!(answer, Ok(()), "{what}");
    }
}

fn patient(name: &str) -> PatientId {
    PatientId::new(name).unwrap()
}

fn flipped<const N: usize>(bytes: &[u8; N], at: usize) -> [u8; N] {
    let mut changed = *bytes;
    changed[at] ^= 1;
    changed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_forgery_is_refused_by_its_own_error() {
    let model = ModelPackage::default_model();
    let engine = keys::open_engine(model, &support::keys_dir(), 0).await.unwrap();
    refuse_each_forgery(ProvedBy::Native, Box::new(engine)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_forgery_of_a_proof_of_ezkl_is_refused_by_the_same_error() {
    let settings = KeySettings::development(&support::keys_dir(), 0);
    let by = support::ezkl();
    let ProvedBy::Ezkl { ezkl, .. } = &by else { unreachable!("EZKL it is") };
    let engine = engines::open_ezkl(ModelPackage::default_model(), &settings, ezkl).await.unwrap();
    refuse_each_forgery(by, Box::new(engine)).await;
}

async fn refuse_each_forgery(by: ProvedBy, engine: Box<dyn Engine>) {
    let dir = tempfile::tempdir().unwrap();
    let mut network = support::network_by(&support::tools(), dir.path(), Some(THRESHOLD), by).await;
    let first = network.enrol(patient("first")).await.unwrap();
    let second = network.enrol(patient("second")).await.unwrap();
    let now = governance::chain_time(&network.chain).await.unwrap();
    let (end, later) = (now - 3_600, now - 1_800);

    let steward = network.accounts.steward.clone();
    let chain = Chain::connect(network.anvil.url(), &[], std::time::Duration::from_secs(5)).await.unwrap();
    let journal = Journal::open(&network.bus, journal::STEWARD, Metrics::default()).await.unwrap();
    let (deployment, bus) = (&network.deployment, &network.bus);
    let triggers = Triggers::open(chain, deployment, 0, bus, journal.into(), Metrics::default()).await.unwrap();
    let payer = Payer::new(steward, 1_000.try_into().unwrap());
    let oracle = OracleSigner::new(network.accounts.oracle.clone(), &network.deployment);
    let scene = Scene { network, engine, triggers, payer, oracle };

    let honest = scene.receipt(second, later);
    scene.accepted("everything in order", &honest).await;

    let mut proof = honest.proof.as_slice().to_vec();
    proof[40] ^= 1;
    scene
        .refused("one bit of the proof", &Receipt { proof: HexBytes::new(proof), ..honest.clone() }, "ProofRejected")
        .await;

    let mut longer = honest.proof.as_slice().to_vec();
    longer.push(0);
    scene
        .refused("a trailing byte", &Receipt { proof: HexBytes::new(longer), ..honest.clone() }, "ProofRejected")
        .await;

    scene
        .refused("the score, one higher", &Receipt { score: honest.score + 1, ..honest.clone() }, "ProofRejected")
        .await;

    let commitment = B32::new(flipped(honest.commitment.as_bytes(), 31));
    scene.refused("the commitment", &Receipt { commitment, ..honest.clone() }, "BadOracleSignature").await;

    let schema = ModelPackage::default_model().schema().hash();
    let signed = scene.oracle.attest(second.0, later, schema, *commitment.as_bytes()).unwrap();
    let colluding = Receipt { commitment, signature: Signature::new(signed), ..honest.clone() };
    scene.refused("the commitment, signed by a colluding oracle", &colluding, "ProofRejected").await;

    let signature = Signature::new(flipped(honest.signature.as_bytes(), 10));
    scene.refused("the oracle's signature", &Receipt { signature, ..honest.clone() }, "BadOracleSignature").await;

    let stranger = Address::new(scene.network.accounts.guardian.address().into_array());
    scene
        .refused(
            "another oracle than the mandate names",
            &Receipt { oracle: stranger, ..honest.clone() },
            "MandateNotLive",
        )
        .await;

    let other_window = Receipt { end: later - 60, ..honest.clone() };
    scene.refused("another window's end", &other_window, "BadOracleSignature").await;

    let other_policy = B32::new(flipped(honest.policy.as_bytes(), 0));
    let other_policy = Receipt { policy: other_policy, ..honest.clone() };
    scene.refused("a policy with another threshold", &other_policy, "PolicyNotActive").await;

    scene
        .refused(
            "a score under the threshold",
            &Receipt { score: THRESHOLD - 1, ..honest.clone() },
            "ScoreBelowThreshold",
        )
        .await;

    // The same trigger twice: the first is taken for good, the second burns on the nullifier.
    let once = scene.receipt(first, end);
    let outcome = scene.triggers.settle(&once, &scene.payer).await.unwrap();
    assert!(matches!(outcome, Outcome::Triggered { .. }), "{outcome:?}");
    scene.refused("the same trigger twice", &once, "NullifierUsed").await;
    let again = scene.triggers.settle(&once, &scene.payer).await.unwrap();
    assert_eq!(again, outcome, "a steward that comes back finds its own trigger, and sends nothing");

    suspend_model(&scene.network).await;
    scene.refused("a suspended model", &honest, "ModelNotActive").await;
    reinstate_model(&scene.network).await;
    scene.refused("a window from before the vote, ten days old by now", &honest, "AttestationTooOld").await;
    let now = governance::chain_time(&scene.network.chain).await.unwrap();
    scene.refused("a window that has not ended yet", &scene.receipt(second, now + 3_600), "AttestationInFuture").await;
    let honest = scene.receipt(second, now - 60);
    scene.accepted("the model reinstated by a vote", &honest).await;

    suspend_oracle(&scene.network).await;
    scene.refused("an oracle the guardian suspended", &honest, "OracleNotActive").await;

    revoke(&scene.network, "second").await;
    scene.refused("a revoked mandate", &honest, "MandateNotLive").await;

    scene.network.stop().await;
}

async fn suspend_model(network: &Network) {
    let models = ModelRegistry::new(network.deployment.model_registry, &network.chain.provider);
    let suspend = models.suspendModel(network.model_id).calldata().clone();
    network
        .send(&network.accounts.guardian, suspend, network.deployment.model_registry, "suspending the model")
        .await
        .unwrap();
}

async fn suspend_oracle(network: &Network) {
    let oracles = OracleRegistry::new(network.deployment.oracle_registry, &network.chain.provider);
    let suspend = oracles.suspendOracle(network.accounts.oracle.address()).calldata().clone();
    network
        .send(&network.accounts.guardian, suspend, network.deployment.oracle_registry, "suspending the oracle")
        .await
        .unwrap();
}

async fn reinstate_model(network: &Network) {
    let models = ModelRegistry::new(network.deployment.model_registry, &network.chain.provider);
    let data = models.reinstateModel(network.model_id).calldata().clone();
    let call = governance::Call { target: network.deployment.model_registry, data };
    let voters: Vec<_> = network.accounts.voters.iter().map(|voter| voter.address()).collect();
    governance::hold_vote(&network.chain, &network.deployment, &voters, &[call], "Reinstate the model").await.unwrap();
}

async fn revoke(network: &Network, name: &str) {
    let key = &network.mandates[&patient(name)];
    let signature = key.revoke(&network.deployment).unwrap();
    let mandates = MandateRegistry::new(network.deployment.mandate_registry, &network.chain.provider);
    let revoke = mandates.revoke(key.id(), signature.to_vec().into()).calldata().clone();
    network
        .send(&network.accounts.deployer, revoke, network.deployment.mandate_registry, "revoking a mandate")
        .await
        .unwrap();
}
