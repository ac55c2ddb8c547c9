//! A founded network with receipts that the contract takes: real proofs, real signatures, real consents.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use clap::Parser;
use hygeia_inference::package::ModelPackage;
use hygeia_inference::schema::ClinicalState;
use hygeia_node::chain::signing::OracleSigner;
use hygeia_node::chain::transaction::Triggers;
use hygeia_node::chain::{Chain, governance};
use hygeia_node::cli::{Cli, Command, Role};
use hygeia_node::demo::network::Network;
use hygeia_node::journal::{self, Journal};
use hygeia_node::keys;
use hygeia_node::reconcile::{Depth, Reconciler, Report};
use hygeia_node::roles::{Plan, run_roles};
use hygeia_node::telemetry::Metrics;
use hygeia_protocol::bytes::{Address, B32, HexBytes, Signature};
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::journal::{Fact, message_hash};
use hygeia_protocol::message::{Message, Receipt, Settlement, V1};
use hygeia_protocol::subject::{self, Stream};
use hygeia_zkml::engine::Engine;
use hygeia_zkml::engine::native::NativeEngine;
use hygeia_zkml::statement::Salt;
use tokio_util::sync::CancellationToken;

use crate::support;

/// Below every score: the policy of these tests applies to any window.
const THRESHOLD: i64 = -1_000_000;
/// How long the chain may take to answer its first call.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(90);
/// Blocks on top of a transaction's own until it is final.
pub const CONFIRMATIONS: u64 = 2;

pub struct Scene {
    pub network: Network,
    engine: NativeEngine,
    oracle: OracleSigner,
}

/// A steward in this process.
pub struct Running {
    stop: CancellationToken,
    role: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        self.role.await.unwrap().unwrap();
    }
}

impl Scene {
    pub async fn begin(dir: &Path) -> Self {
        let network = support::network(&support::tools(), dir, Some(THRESHOLD)).await;
        let engine = keys::open_engine(ModelPackage::default_model(), &support::keys_dir(), 0).await.unwrap();
        let oracle = OracleSigner::new(network.accounts.oracle.clone(), &network.deployment);
        Self { network, engine, oracle }
    }

    /// A receipt of a patient who consents, for a window that ended a minute ago.
    pub async fn receipt(&mut self, n: u8) -> Receipt {
        let mandate = self.network.enrol(PatientId::new(&format!("patient-{n}")).unwrap()).await.unwrap();
        let end = governance::chain_time(&self.network.chain).await.unwrap() - 60;
        self.receipt_of(mandate, end, n)
    }

    fn receipt_of(&self, mandate: B256, end: u64, n: u8) -> Receipt {
        let model = ModelPackage::default_model();
        let features = model.schema().features(&ClinicalState::default());
        let proof = self.engine.prove(&features, &Salt::new([n; 16])).expect("an honest window is provable");
        let commitment = proof.public.commitment.to_bytes();
        let signature = self.oracle.attest(mandate.0, end, model.schema().hash(), commitment).unwrap();
        let (alert_id, circuit) = (B32::new([n; 32]), B32::new(self.engine.circuit_hash()));
        Receipt {
            v: V1,
            receipt_id: Receipt::id(&alert_id, &circuit),
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

    /// Publishes receipts as provers do.
    pub async fn publish(&self, receipts: &[Receipt]) {
        let journal = Journal::open(&self.network.bus, journal::PROVER, Metrics::default()).await.unwrap();
        for receipt in receipts {
            let (bytes, id) = (receipt.encode(), receipt.message_id());
            let message = message_hash(&bytes);
            let subject = subject::RECEIPT.to_owned();
            self.network.bus.publish(Stream::Receipts, subject, &id, bytes).await.unwrap();
            let (alert, receipt) = (receipt.alert_id, receipt.receipt_id);
            journal.note(Fact::ReceiptMade { alert, receipt, message }).await.unwrap();
        }
    }

    /// A connection to the chain as this address serves it.
    pub async fn chain(&self, url: &str) -> Chain {
        Chain::connect(url, &[], PATIENCE).await.unwrap()
    }

    /// The driver of one receipt, over a connection to the chain.
    pub async fn triggers(&self, chain: Chain, confirmations: u64) -> Triggers {
        let journal = Journal::open(&self.network.bus, journal::STEWARD, Metrics::default()).await.unwrap();
        let (deployment, bus) = (&self.network.deployment, &self.network.bus);
        Triggers::open(chain, deployment, confirmations, bus, Arc::new(journal), Metrics::default()).await.unwrap()
    }

    /// Starts a steward in this process, with these key files.
    pub fn steward(&self, key_files: &[&Path]) -> Running {
        let Command::Steward { connect, steward } = Cli::parse_from(self.arguments(key_files)).command else {
            unreachable!("these are a steward's arguments")
        };
        let stop = CancellationToken::new();
        let plan = Plan { steward: Some(steward), ..Plan::default() };
        let role = tokio::spawn(run_roles(vec![Role::Steward], connect, plan, stop.clone()));
        Running { stop, role }
    }

    /// Starts a steward as a process of its own; it ends with its owner.
    pub fn steward_process(&self, key_files: &[&Path]) -> tokio::process::Child {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_hygeia"));
        command.args(&self.arguments(key_files)[1..]).kill_on_drop(true);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
    }

    fn arguments(&self, key_files: &[&Path]) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let confirmations = CONFIRMATIONS.to_string();
        let mut arguments: Vec<String> = ["hygeia", "steward", "--nats", self.network.nats.url(), "--chain"]
            .into_iter()
            .chain([self.network.anvil.url(), "--confirmations", &confirmations, "--reconcile-every-s", "0"])
            .map(str::to_owned)
            .collect();
        arguments.extend(["--deployment".to_owned(), text(&self.network.deployment_file())]);
        for file in key_files {
            arguments.extend(["--signer-key-file".to_owned(), text(file)]);
        }
        arguments
    }

    pub async fn settlements(&self) -> Vec<Settlement> {
        let entries = journal::read_all(&self.network.bus, Stream::Settlements, 1).await.unwrap();
        entries.iter().map(|entry| Settlement::decode(&entry.payload).unwrap()).collect()
    }

    /// Waits until so many settlements stand.
    pub async fn wait_for_settlements(&self, number: usize) -> Vec<Settlement> {
        self.wait(|settlements| settlements.len() >= number).await
    }

    /// Waits until the settlements are such.
    pub async fn wait(&self, is_enough: impl Fn(&[Settlement]) -> bool) -> Vec<Settlement> {
        let waiting = async {
            loop {
                let settlements = self.settlements().await;
                if is_enough(&settlements) {
                    return settlements;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(REST, waiting).await.expect("the settlements do not come")
    }

    /// Waits until the journal tells of more than so much, or everything is settled; how many settlements stand.
    pub async fn wait_for_news(&self, told: u64) -> usize {
        let waiting = async {
            loop {
                let (now, _) = self.network.bus.stream_state(Stream::Journal).await.unwrap();
                if now > told {
                    return self.settlements().await.len();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(REST, waiting).await.expect("nothing happens any more")
    }

    /// Waits until every receipt is taken off the stewards' queue.
    pub async fn wait_until_the_queue_is_done(&self) {
        let waiting = async {
            loop {
                let state = self.network.bus.queue_progress(Stream::Receipts, "steward").await.unwrap();
                let (_, last) = self.network.bus.stream_state(Stream::Receipts).await.unwrap();
                if state.done_to == last {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(REST, waiting).await.expect("the queue does not come to an end");
    }

    /// What a reconciler says that sees everything at once.
    pub async fn reconcile(&self) -> Report {
        let journal = Journal::open(&self.network.bus, journal::STEWARD, Metrics::default()).await.unwrap();
        let chain = self.chain(self.network.anvil.url()).await;
        let (bus, deployment) = (self.network.bus.clone(), self.network.deployment.clone());
        let journal = Arc::new(journal);
        let mut reconciler =
            Reconciler::open(bus, chain, deployment, CONFIRMATIONS, journal, Metrics::default()).await.unwrap();
        reconciler.set_grace(Duration::ZERO);
        reconciler.once(Depth::All, false).await.unwrap()
    }
}

/// Kinds and ids of what a report found.
pub fn found(report: &Report) -> Vec<(&'static str, String)> {
    report.findings.iter().map(|found| (found.kind, found.id.clone())).collect()
}
