//! The command line: every flag with its default and its environment variable. The one place that reads either.

pub mod broker;
pub mod device;
pub mod gov;
pub mod load;
pub mod money;
pub mod telemetry;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use broker::{AccessArgs, BrokerArgs, ReplicaArgs};
use device::{ProofDevice, ScoringDevice};
use telemetry::{LogLevelArgs, SchemaArgs, TelemetryArgs, TopArgs};

use crate::shadow::ShadowSettings;

/// Agents that watch patients' streams, alert at once, prove every score and trigger approved care.
#[derive(Debug, Parser)]
#[command(name = "hygeia", version, about, propagate_version = true)]
pub struct Cli {
    /// Log as JSON lines instead of text.
    #[arg(long, global = true, env = "HYGEIA_LOG_JSON")]
    pub log_json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take observations, keep each patient's window, attest it at every tick (runs inside the hospital).
    Oracle {
        /// Where the broker and the chain are.
        #[command(flatten)]
        connect: Connect,
        /// The oracle's own settings.
        #[command(flatten)]
        oracle: OracleArgs,
    },
    /// Score attested windows and alert people at once.
    Sentinel {
        /// Where the broker and the chain are.
        #[command(flatten)]
        connect: Connect,
        /// The sentinel's own settings.
        #[command(flatten)]
        sentinel: SentinelArgs,
    },
    /// Prove in zero knowledge what the sentinel alerted on.
    Prover {
        /// Where the broker and the chain are.
        #[command(flatten)]
        connect: Connect,
        /// The prover's own settings.
        #[command(flatten)]
        prover: ProverArgs,
    },
    /// Bring proved alerts to the chain and follow them to finality.
    Steward {
        /// Where the broker and the chain are.
        #[command(flatten)]
        connect: Connect,
        /// The steward's own settings.
        #[command(flatten)]
        steward: StewardArgs,
    },
    /// Take observations over HTTP; show the ward's alerts as a page and as FHIR resources.
    Gateway {
        /// Where the broker and the chain are.
        #[command(flatten)]
        connect: Connect,
        /// The gateway's own settings.
        #[command(flatten)]
        gateway: GatewayArgs,
    },
    /// Run several roles in this one process.
    Run(Box<RunArgs>),
    /// The whole way of a datum on this machine: real stays, a real broker, a real chain, a governance vote, proofs.
    Demo(DemoArgs),
    /// Load a running network with a simulated ward: any number of patients, any rate, faults included.
    ///
    /// The patients are enrolled first, each with a mandate on the chain. Then their monitors and laboratories publish, with
    /// the rhythm of day and night, deteriorations, gaps, stuck and mad sensors, repetitions and delays; what must become a
    /// dead letter is counted. The pace does not change when the system is slow. It fails when it could not keep the pace, or
    /// when the broker did not confirm everything.
    ///
    /// Examples, against the network that `hygeia demo --keep` leaves running:
    ///
    ///   hygeia load --patients 100 --rate 50 --nats $NATS --chain $CHAIN --deployment deployment.json \
    ///     --network-key-file network.key --signer-key-file steward.key
    ///
    ///   hygeia load --patients 10000 --rate 20000 --speed 60 --seconds 120 … # a day of each in 24 minutes
    ///
    ///   hygeia load --rate 1000 --ramp-to 50000 --speed 60 --seconds 120 …   # how much it can take
    #[command(verbatim_doc_comment)]
    Load(Box<load::LoadArgs>),
    /// Check a receipt: offline with its verifying key, and against a chain when one is given.
    Verify(VerifyArgs),
    /// Tell a clinician what moved a score, under which policy, with which model, proof and transaction.
    Explain(ExplainArgs),
    /// Compute one alert anew, bit for bit: window, commitment, signature, score, decision, proof.
    ///
    /// Takes the alert, its window, its line in the ledger and its receipt from the streams, the policy's terms and the
    /// approved hashes from the chain (with --chain), the model by its content hash, and says for each step whether the same
    /// comes out. With --with-observations, inside the hospital, the window itself is made anew from the observations.
    ///
    /// With --export everything goes into one file as well, which `hygeia replay --bundle FILE` checks on another machine
    /// with no broker and no chain. The file holds a patient's data; its owner alone may read it. What it says of the chain
    /// is what was there at the export: name --chain beside --bundle to ask anew.
    ///
    /// Examples:
    ///
    ///   hygeia replay 3fa9c1 --chain http://127.0.0.1:8545 --export alert.bundle
    ///
    ///   hygeia replay --bundle alert.bundle
    #[command(verbatim_doc_comment)]
    Replay(ReplayArgs),
    /// Train a risk model on the Challenge 2019 layout and write its package.
    Train(TrainArgs),
    /// Evaluate a model package on a file of the Challenge 2019 layout.
    Evaluate(EvaluateArgs),
    /// Certify how far a model's integers are from the floats they were rounded from; round them anew.
    ///
    /// The integers alone serve and are proved, so this is what quantisation costs: the distance of the scores (mean and
    /// greatest, in logits), the area under the curve that ranking loses, the decisions that fall otherwise at each
    /// threshold of the card, and for each layer its scale, its largest sum and the float type that holds it exactly. The
    /// command fails where more than 0.002 of the area is lost.
    ///
    /// With --out the floats are rounded anew, with scales of the hidden neurons chosen on the stays of --data; thresholds,
    /// calibration, baselines and guard are fitted anew with them. Give it the stays the model was trained on.
    ///
    /// Examples:
    ///
    ///   hygeia quantize --data setB_val.csv.gz
    ///
    ///   hygeia quantize --model my-model --data setB_train.csv.gz --out my-model-2
    #[command(verbatim_doc_comment)]
    Quantize(QuantizeArgs),
    /// Write a model's floats as an ONNX file, for onnxruntime, EZKL and other tools.
    ///
    /// The file's input `features` [batch, features] takes features as floats: the integers of the schema over 1024, so
    /// that 1.0 is one standard deviation. `hygeia features` writes them. Its output `score` [batch, 1] is the logit.
    /// What serves and is proved are the integers; `hygeia quantize` says how close they are.
    ///
    /// Example:
    ///
    ///   hygeia export --model my-model --onnx my-model.onnx
    #[command(verbatim_doc_comment)]
    Export(ExportArgs),
    /// Make a model package of an ONNX file that was trained elsewhere.
    ///
    /// Takes fully connected and convolutional networks with ReLU, as PyTorch and scikit-learn (skl2onnx) export them. A
    /// scaler in front becomes part of the first layer; a sigmoid, or the softmax of two classes, behind it is left away,
    /// since the score is the logit. An operator that has no place in such a network is named.
    ///
    /// The model must take the features of the schema, in its order, as `hygeia features` writes them: train it on those.
    /// The schema is a JSON file like the schema.json of any package.
    ///
    /// The calibration data are labelled stays. Four fifths of them choose scales, baselines and guard; the rest sets
    /// thresholds and reads scores as probabilities. Take stays the model was not trained on, else every figure flatters.
    ///
    /// Example:
    ///
    ///   hygeia features --data train.csv --out train-features.csv
    ///
    ///   hygeia import mine.onnx --schema schema.json --calibration calibration.csv --out my-model --name my-model
    #[command(verbatim_doc_comment)]
    Import(ImportArgs),
    /// Write the features of every hour of labelled stays as CSV, to train or score a model elsewhere.
    ///
    /// Columns: stay, hour, label (0 or 1), then each feature of the schema by name, as the models take it: 1.0 is one
    /// standard deviation. With --scores also `score_float`, the logit of the model's floats, and `score`, the integer that
    /// serves, in 1024ths. Written for people's own data: the file holds what was measured of patients.
    #[command(verbatim_doc_comment)]
    Features(FeaturesArgs),
    /// Make the proving and verifying keys of a model, or say where they lie.
    Keys(KeysArgs),
    /// Write the Solidity verifier of a model's circuit.
    GenVerifier(GenVerifierArgs),
    /// Deploy the contracts to a chain and hand every role to governance.
    Deploy(DeployArgs),
    /// Compare journal, broker and chain; say where they differ and set right what a machine may. Fails where they differed.
    ///
    /// The steward does the same every few minutes over the newest part; this reads everything.
    Reconcile(Box<money::ReconcileArgs>),
    /// Check the journal of everything that led to money.
    #[command(subcommand)]
    Journal(money::JournalCommand),
    /// Take part in governance: propose, delegate, vote, queue, execute, show; register agents.
    ///
    /// Each step says what it will do, who signs and which proposal it is about, asks the chain whether it would take it,
    /// and only then sends. With --dry-run it ends before it signs.
    #[command(subcommand)]
    Gov(gov::GovCommand),
    /// Watch a running network: rates, latencies, queues, partitions and alerts, live in the terminal.
    Top(TopArgs),
    /// Show or change what a running process logs.
    LogLevel(LogLevelArgs),
    /// Write the schema of metrics, spans and log fields.
    Telemetry(SchemaArgs),
}

/// Several roles with all their settings.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Which roles, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "oracle,sentinel,prover,steward")]
    pub roles: Vec<Role>,
    /// Where the broker and the chain are.
    #[command(flatten)]
    pub connect: Connect,
    /// Settings of the oracle.
    #[command(flatten)]
    pub oracle: OracleArgs,
    /// Settings of the sentinel.
    #[command(flatten)]
    pub sentinel: SentinelArgs,
    /// Settings of the prover.
    #[command(flatten)]
    pub prover: ProverArgs,
    /// Settings of the steward.
    #[command(flatten)]
    pub steward: StewardArgs,
    /// Settings of the gateway.
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

/// A role that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Observations to attested windows.
    Oracle,
    /// Windows to scores and alerts.
    Sentinel,
    /// Alerts to proofs.
    Prover,
    /// Proofs to the chain.
    Steward,
    /// People and other systems.
    Gateway,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Oracle, Self::Sentinel, Self::Prover, Self::Steward, Self::Gateway];

    /// The role's name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oracle => "oracle",
            Self::Sentinel => "sentinel",
            Self::Prover => "prover",
            Self::Steward => "steward",
            Self::Gateway => "gateway",
        }
    }
}

/// What several roles share: broker, chain, model, the network's secret.
#[derive(Debug, Clone, Args)]
pub struct Connect {
    /// Address of a NATS server with JetStream.
    #[arg(long, env = "HYGEIA_NATS", default_value = "nats://127.0.0.1:4222")]
    pub nats: String,
    /// How the network is kept on the broker.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// How replicas of a role share its partitions.
    #[command(flatten)]
    pub replica: ReplicaArgs,
    /// JSON-RPC address of the chain.
    #[arg(long, env = "HYGEIA_CHAIN", default_value = "http://127.0.0.1:8545")]
    pub chain: String,
    /// JSON file with the contracts' addresses, as `hygeia deploy` writes it.
    #[arg(long, env = "HYGEIA_DEPLOYMENT", default_value = "deployment.json")]
    pub deployment: PathBuf,
    /// Seconds to keep trying when the broker or the chain is down at start, or nothing is approved yet.
    #[arg(long, env = "HYGEIA_PATIENCE_S", default_value_t = 60)]
    pub patience_s: u64,
    /// Serve /healthz, /readyz and /metrics here.
    #[arg(long, env = "HYGEIA_HEALTH_ADDR")]
    pub health_addr: Option<SocketAddr>,
    /// Number of partitions the network's patients are spread over; the same for every role.
    #[arg(long, env = "HYGEIA_PARTITIONS", default_value = "16")]
    pub partitions: std::num::NonZeroU16,
    /// Model package directory: one more place where an approved model is found, beside the shipped one and those that
    /// `hygeia gov publish-model` published. It must be approved on chain.
    #[arg(long, env = "HYGEIA_MODEL")]
    pub model: Option<PathBuf>,
    /// Folder where published models are kept once they were fetched.
    #[arg(long, env = "HYGEIA_MODEL_CACHE")]
    pub model_cache: Option<PathBuf>,
    /// Blocks on top of an approval before it counts. A suspension or a revocation counts as soon as it is seen.
    #[arg(long, env = "HYGEIA_GOVERNANCE_CONFIRMATIONS", default_value_t = crate::chain::registry::CONFIRMATIONS)]
    pub governance_confirmations: u64,
    /// File with the network's secret (32 bytes, hex), for oracle and gateway: partitions and enrolment records are keyed
    /// by it. The compute side never sees it.
    #[arg(long, env = "HYGEIA_NETWORK_KEY_FILE")]
    pub network_key_file: Option<PathBuf>,
    /// What is told of the role's work, and to whom.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// Settings of the oracle.
#[derive(Debug, Clone, Args)]
pub struct OracleArgs {
    /// File with the private key the oracle signs windows with (hex).
    #[arg(long, env = "HYGEIA_ORACLE_KEY_FILE")]
    pub oracle_key_file: Option<PathBuf>,
}

/// Settings of the sentinel.
#[derive(Debug, Clone, Args)]
pub struct SentinelArgs {
    /// Name of the ward the alerts go to.
    #[arg(long, env = "HYGEIA_WARD", default_value = "ward")]
    pub ward: String,
    /// gRPC address of a Qdrant server: alerts then carry the nearest earlier cases.
    #[arg(long, env = "HYGEIA_QDRANT")]
    pub qdrant: Option<String>,
    /// Alerts that one patient may raise in a minute. What is held back is counted and kept in the ledger; an escalation is
    /// never held back. A restart begins the count anew.
    #[arg(long, env = "HYGEIA_ALERTS_PER_PATIENT", default_value = "6")]
    pub alerts_per_patient: NonZeroU32,
    /// Alerts that the ward may get in a minute: more than a person can answer is noise.
    #[arg(long, env = "HYGEIA_ALERTS_PER_WARD", default_value = "600")]
    pub alerts_per_ward: NonZeroU32,
    /// Alerts that one care policy may raise in a minute.
    #[arg(long, env = "HYGEIA_ALERTS_PER_POLICY", default_value = "600")]
    pub alerts_per_policy: NonZeroU32,
    /// A candidate to score the same windows beside the approved model: the content hash of a published package (hex), or the
    /// folder of one. It never alerts; what would have been different is published for those who will vote.
    #[arg(long, env = "HYGEIA_SHADOW")]
    pub shadow: Option<String>,
    /// Score from which the candidate would call; that of its card for the ward's alert budget when absent.
    #[arg(long, env = "HYGEIA_SHADOW_THRESHOLD", requires = "shadow", allow_negative_numbers = true)]
    pub shadow_threshold: Option<i64>,
    /// Seconds between two published comparisons; the last one comes when the sentinel ends.
    #[arg(long, env = "HYGEIA_SHADOW_EVERY_S", default_value = "3600")]
    pub shadow_every_s: NonZeroU32,
    /// Where windows are scored: `cpu`, or `cuda`, `cuda:0`, `cuda:1`… in a binary that `cargo xtask cuda` built. The scores are
    /// the same.
    #[arg(long, env = "HYGEIA_SCORING_DEVICE", default_value = "cpu", value_parser = device::scoring_device)]
    pub scoring_device: ScoringDevice,
}

impl SentinelArgs {
    /// What runs beside the approved models, if anything does.
    pub fn shadow(&self) -> Option<ShadowSettings> {
        Some(ShadowSettings {
            candidate: self.shadow.clone()?,
            threshold: self.shadow_threshold,
            every: Duration::from_secs(u64::from(self.shadow_every_s.get())),
        })
    }
}

/// What the circuits and their keys are made for and from.
#[derive(Debug, Clone, Default, Args)]
pub struct CircuitArgs {
    /// Reference string of a ceremony: a `.ptau` file of snarkjs, or a raw one of halo2. Without it keys come from the
    /// development string, whose secret is public: right for a local chain, refused on every other.
    #[arg(long, env = "HYGEIA_SRS")]
    pub srs: Option<PathBuf>,
    /// SHA-256 that the file must have (hex). What is made of a file pinned in this way is kept beside the keys.
    #[arg(long, env = "HYGEIA_SRS_SHA256", requires = "srs", value_parser = sha256)]
    pub srs_sha256: Option<[u8; 32]>,
    /// What the circuit of alerts is chosen for: the quickest proof, or the cheapest verification on chain.
    #[arg(long, env = "HYGEIA_GOAL", value_enum, default_value_t = CircuitGoal::Latency)]
    pub goal: CircuitGoal,
}

/// What a circuit is chosen for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CircuitGoal {
    /// The quickest proof.
    #[default]
    Latency,
    /// The cheapest verification on chain.
    Gas,
}

impl From<CircuitGoal> for hygeia_zkml::Goal {
    fn from(goal: CircuitGoal) -> Self {
        match goal {
            CircuitGoal::Latency => Self::Latency,
            CircuitGoal::Gas => Self::Gas,
        }
    }
}

/// Reads a SHA-256.
fn sha256(text: &str) -> Result<[u8; 32], String> {
    let mut hash = [0; 32];
    match hex::decode_to_slice(text.trim_start_matches("0x"), &mut hash) {
        Ok(()) => Ok(hash),
        Err(_) => Err("32 bytes in hex are needed".to_owned()),
    }
}

/// Settings of the prover.
#[derive(Debug, Clone, Args)]
pub struct ProverArgs {
    /// Where proving keys are kept; made there when absent.
    #[arg(long, env = "HYGEIA_KEYS_DIR", default_value = ".hygeia/keys")]
    pub keys_dir: PathBuf,
    /// Threads one proof may use; 0 for as many as there are cores. Audits have as many again, at a lower priority.
    #[arg(long, env = "HYGEIA_PROVER_THREADS", default_value_t = 0)]
    pub threads: usize,
    /// Scored windows that one audit proof is to hold: a power of two from 64 to 4096. The circuit's rows are filled, so a
    /// batch holds up to a tenth fewer, or somewhat more. Memory grows with it: some 250 MB for 256, 1 GB for 1024.
    #[arg(long, env = "HYGEIA_AUDIT_WINDOWS", default_value = "256", value_parser = audit_windows)]
    pub audit_windows: usize,
    /// Seconds that a scored window waits for others before its audit batch closes, full or not.
    #[arg(long, env = "HYGEIA_AUDIT_WAIT_S", default_value_t = 900)]
    pub audit_wait_s: u64,
    /// Where proofs are made: `cpu`; `cuda`, `cuda:0`, `cuda:1`… for a CUDA device; `icicle`, `icicle:0`… for one that ICICLE
    /// drives, or `icicle-cpu`. Every proof is verified before it leaves, and a device that fails is stood in for by the
    /// processor.
    #[arg(long, env = "HYGEIA_DEVICE", default_value = "cpu", value_parser = device::proof_device)]
    pub device: ProofDevice,
    /// Folder of ICICLE's libraries.
    #[arg(long, env = "HYGEIA_ICICLE_DIR")]
    pub icicle_dir: Option<PathBuf>,
    /// Folder of ICICLE's CUDA backend.
    #[arg(long, env = "HYGEIA_ICICLE_BACKEND_DIR")]
    pub icicle_backend_dir: Option<PathBuf>,
    /// Device memory to take at most, in MiB; all of it when absent.
    #[arg(long, env = "HYGEIA_DEVICE_MEMORY_MIB")]
    pub device_memory_mib: Option<usize>,
    /// Seconds since an alert's request within which a failed proof is made again; then it is dead-lettered.
    #[arg(long, env = "HYGEIA_PROOF_RETRY_S", default_value_t = 3_600)]
    pub proof_retry_s: u64,
    /// Prove alerts only, and leave the audits to another prover.
    #[arg(long, env = "HYGEIA_NO_AUDIT")]
    pub no_audit: bool,
    /// Reference string and goal of the circuits.
    #[command(flatten)]
    pub circuit: CircuitArgs,
    /// How EZKL is run.
    #[command(flatten)]
    pub ezkl: EzklArgs,
}

/// How EZKL is run, for models that are approved under its proof system.
#[derive(Debug, Clone, Args)]
pub struct EzklArgs {
    /// Python interpreter of an environment that has the package `ezkl`. It is started for EZKL's proofs alone.
    #[arg(long, env = "HYGEIA_EZKL_PYTHON", default_value = ".tools/venv/bin/python")]
    pub ezkl_python: PathBuf,
    /// Memory that an EZKL process may have, in MiB; one that wants more ends, and its proof is tried no further.
    #[arg(long, env = "HYGEIA_EZKL_MEMORY_MIB", default_value = "4096")]
    pub ezkl_memory_mib: std::num::NonZeroU32,
    /// Let EZKL use a GPU, where it was built with ICICLE; any other build proves on the processor as ever.
    #[arg(long, env = "HYGEIA_EZKL_GPU")]
    pub ezkl_gpu: bool,
}

impl EzklArgs {
    /// With what `cargo xtask setup` installed in a folder.
    pub fn of_tools(tools: &Path) -> Self {
        let ezkl_memory_mib = const { std::num::NonZeroU32::new(4096).unwrap() };
        Self { ezkl_python: tools.join("venv/bin/python"), ezkl_memory_mib, ezkl_gpu: false }
    }
}

/// Reads how many windows an audit holds.
fn audit_windows(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(windows) if (64..=4096).contains(&windows) && usize::is_power_of_two(windows) => Ok(windows),
        _ => Err("a power of two from 64 to 4096 is needed".to_owned()),
    }
}

/// Settings of the steward.
#[derive(Debug, Clone, Args)]
pub struct StewardArgs {
    /// File with a private key that pays for transactions (hex). Given several times, as many receipts are on their way at
    /// once; two stewards never share a key.
    #[arg(long, env = "HYGEIA_SIGNER_KEY_FILE", value_delimiter = ',')]
    pub signer_key_file: Vec<PathBuf>,
    /// Blocks on top of a transaction before it counts as final.
    #[arg(long, env = "HYGEIA_CONFIRMATIONS", default_value_t = 2)]
    pub confirmations: u64,
    /// Transactions a minute of each key at most; the rest waits.
    #[arg(long, env = "HYGEIA_TRANSACTIONS_PER_MINUTE", default_value = "120")]
    pub transactions_per_minute: std::num::NonZeroU32,
    /// Seconds between two comparisons of journal, broker and chain; 0 for none.
    #[arg(long, env = "HYGEIA_RECONCILE_EVERY_S", default_value_t = 300)]
    pub reconcile_every_s: u64,
}

/// Settings of the gateway.
#[derive(Debug, Clone, Args)]
pub struct GatewayArgs {
    /// Serve people and systems here.
    #[arg(long, env = "HYGEIA_GATEWAY_ADDR", default_value = "127.0.0.1:8088")]
    pub listen: SocketAddr,
}

/// Settings of the demo.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How many real intensive-care stays to replay.
    #[arg(long, default_value_t = 8)]
    pub stays: usize,
    /// Seconds of a stay per second of the demo.
    #[arg(long, default_value_t = 7200.0)]
    pub speed: f64,
    /// Hours of each stay to replay at most.
    #[arg(long, default_value_t = 72)]
    pub hours: u32,
    /// Leave everything running at the end and print how to look around; Ctrl-C stops it.
    #[arg(long)]
    pub keep: bool,
    /// Print one JSON object on standard output instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Folder with the tools that `cargo xtask setup` installed.
    #[arg(long, default_value = ".tools")]
    pub tools: PathBuf,
    /// Working folder (broker store, keys, receipts); one under the system's temporary folder, removed at the end, when
    /// absent.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// gRPC address of a Qdrant server for the memory of similar cases.
    #[arg(long)]
    pub qdrant: Option<String>,
    /// What proves the alerts: this project's engine, or EZKL. With EZKL nothing is audited.
    #[arg(long, value_enum, default_value_t = EngineKind::Native)]
    pub engine: EngineKind,
    /// Folder with the contracts and the compiler's tools, for EZKL's verifier.
    #[arg(long, default_value = "policies")]
    pub policies: PathBuf,
}

/// What proves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
    /// This project's own engine.
    #[default]
    Native,
    /// EZKL, in processes of its own.
    Ezkl,
}

/// What to verify.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The receipt, a JSON file: of an alert's proof, or of a window's audit.
    pub receipt: PathBuf,
    /// For the receipt of an audit: the batch it is of, a JSON file.
    #[arg(long)]
    pub batch: Option<PathBuf>,
    /// The verifying key's file; that of the shipped model is made when absent.
    #[arg(long)]
    pub verifying_key: Option<PathBuf>,
    /// Where keys are kept.
    #[arg(long, env = "HYGEIA_KEYS_DIR", default_value = ".hygeia/keys")]
    pub keys_dir: PathBuf,
    /// Also ask this chain's contracts (JSON-RPC address).
    #[arg(long)]
    pub chain: Option<String>,
    /// JSON file with the contracts' addresses.
    #[arg(long, env = "HYGEIA_DEPLOYMENT", default_value = "deployment.json")]
    pub deployment: PathBuf,
    /// How EZKL is run, for its receipts.
    #[command(flatten)]
    pub ezkl: EzklArgs,
}

/// What to explain.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// The alert's id (or a unique beginning of it), or a JSON file holding the alert.
    pub alert: String,
    /// Address of the NATS server whose streams hold the alert, its receipt and its settlement.
    #[arg(long, env = "HYGEIA_NATS", default_value = "nats://127.0.0.1:4222")]
    pub nats: String,
    /// Whose streams they are.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// What to replay, and from where.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The alert's id, or a unique beginning of it.
    #[arg(required_unless_present = "bundle", conflicts_with = "bundle")]
    pub alert: Option<String>,
    /// Replay this bundle instead of asking the broker.
    #[arg(long)]
    pub bundle: Option<PathBuf>,
    /// Also write a bundle here. It holds a patient's data.
    #[arg(long, conflicts_with = "bundle")]
    pub export: Option<PathBuf>,
    /// Address of the NATS server whose streams hold the alert.
    #[arg(long, env = "HYGEIA_NATS", default_value = "nats://127.0.0.1:4222")]
    pub nats: String,
    /// Whose streams they are.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Ask this chain (JSON-RPC address) what was approved.
    #[arg(long)]
    pub chain: Option<String>,
    /// JSON file with the contracts' addresses.
    #[arg(long, env = "HYGEIA_DEPLOYMENT", default_value = "deployment.json")]
    pub deployment: PathBuf,
    /// Model package directory; the shipped model when absent.
    #[arg(long, env = "HYGEIA_MODEL")]
    pub model: Option<PathBuf>,
    /// The verifying key's file; the model's development key when absent.
    #[arg(long)]
    pub verifying_key: Option<PathBuf>,
    /// Where keys are kept.
    #[arg(long, env = "HYGEIA_KEYS_DIR", default_value = ".hygeia/keys")]
    pub keys_dir: PathBuf,
    /// Make the window anew from the observations; only inside the hospital, which has the network's key.
    #[arg(long, requires = "network_key_file", conflicts_with = "bundle")]
    pub with_observations: bool,
    /// File with the network's secret (32 bytes, hex).
    #[arg(long, env = "HYGEIA_NETWORK_KEY_FILE")]
    pub network_key_file: Option<PathBuf>,
    /// Number of partitions the network's patients are spread over.
    #[arg(long, env = "HYGEIA_PARTITIONS", default_value = "16")]
    pub partitions: std::num::NonZeroU16,
}

/// How to train.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    /// Training data: a directory of .psv files or a CSV file of the same columns (may be gzipped).
    #[arg(long)]
    pub data: PathBuf,
    /// Directory to write the model package to.
    #[arg(long)]
    pub out: PathBuf,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Passes over the data at most; training stops earlier when it no longer helps.
    #[arg(long, default_value_t = 16)]
    pub epochs: usize,
    /// Kind of network: fully connected over engineered features, or a convolution over the raw window.
    #[arg(long, value_enum, default_value_t = ModelFamily::Mlp)]
    pub family: ModelFamily,
    /// Leave out every feature that tells how long the patient has been in hospital.
    #[arg(long)]
    pub no_clock: bool,
    /// Learn from the labels alone, without boosted trees as a teacher.
    #[arg(long)]
    pub no_teacher: bool,
    /// Directory for the state of the run: the same command started again goes on from there.
    #[arg(long)]
    pub checkpoints: Option<PathBuf>,
}

/// Kinds of networks that can be trained, served and proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelFamily {
    /// Fully connected layers over engineered features.
    Mlp,
    /// Convolutions over the raw window of eight hours.
    Conv1d,
}

/// What to evaluate.
#[derive(Debug, Clone, Args)]
pub struct EvaluateArgs {
    /// Data: a directory of .psv files or a CSV file of the same columns (may be gzipped).
    #[arg(long)]
    pub data: PathBuf,
    /// Model package directory; the shipped model when absent.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Print the report as one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Directory for report.html and report.json; one named after data and model under target/evaluation when absent.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Hours that triage waits after an alert before it repeats one.
    #[arg(long, default_value_t = 12)]
    pub cool_down_h: u32,
    /// Also write the package, with this evaluation in its card, into this directory. Its content hash is another one.
    #[arg(long)]
    pub into_card: Option<PathBuf>,
    /// Name of the data in the card; the file's own when absent.
    #[arg(long, requires = "into_card")]
    pub data_name: Option<String>,
}

/// What to certify.
#[derive(Debug, Clone, Args)]
pub struct QuantizeArgs {
    /// Labelled stays: a directory of .psv files or a CSV file of the same columns (may be gzipped).
    #[arg(long)]
    pub data: PathBuf,
    /// Model package directory; the shipped model when absent.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Round the floats anew, with scales chosen on these stays, write the package here and certify that one.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Print the certificate as one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// What to export.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Model package directory; the shipped model when absent.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// The ONNX file to write.
    #[arg(long)]
    pub onnx: PathBuf,
}

/// What to import.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The ONNX file, with its weights inside.
    pub onnx: PathBuf,
    /// JSON file of the feature schema the model was trained on.
    #[arg(long)]
    pub schema: PathBuf,
    /// Labelled stays: a directory of .psv files or a CSV file of the same columns (may be gzipped).
    #[arg(long)]
    pub calibration: PathBuf,
    /// Directory to write the model package to.
    #[arg(long)]
    pub out: PathBuf,
    /// Name of the model, for its card; that of the file when absent.
    #[arg(long)]
    pub name: Option<String>,
    /// Name of the calibration data, for the card; that of the file when absent.
    #[arg(long)]
    pub data_name: Option<String>,
    /// Licence of the calibration data, for the card.
    #[arg(long, default_value = "not stated")]
    pub licence: String,
    /// Share of the stays kept for thresholds and calibration, in per cent.
    #[arg(long, default_value_t = 20)]
    pub kept_percent: u8,
}

/// Whose features to write.
#[derive(Debug, Clone, Args)]
pub struct FeaturesArgs {
    /// Labelled stays: a directory of .psv files or a CSV file of the same columns (may be gzipped); or a directory of
    /// parquet files in the CLIF format, whose labels are not known and stand as 0.
    #[arg(long)]
    pub data: PathBuf,
    /// The CSV file to write.
    #[arg(long)]
    pub out: PathBuf,
    /// Model package directory, whose schema is used; the shipped model when absent.
    #[arg(long, conflicts_with = "schema")]
    pub model: Option<PathBuf>,
    /// JSON file of a feature schema, instead of a model's.
    #[arg(long, conflicts_with = "scores")]
    pub schema: Option<PathBuf>,
    /// Write the model's scores too.
    #[arg(long)]
    pub scores: bool,
}

/// Which keys.
#[derive(Debug, Clone, Args)]
pub struct KeysArgs {
    /// Model package directory; the shipped model when absent.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Where keys are kept.
    #[arg(long, env = "HYGEIA_KEYS_DIR", default_value = ".hygeia/keys")]
    pub keys_dir: PathBuf,
    /// Also make the keys of audits that hold about so many windows: a power of two from 64 to 4096.
    #[arg(long, value_parser = audit_windows)]
    pub audit_windows: Option<usize>,
    /// Reference string and goal of the circuits.
    #[command(flatten)]
    pub circuit: CircuitArgs,
}

/// Whose verifier contract.
#[derive(Debug, Clone, Args)]
pub struct GenVerifierArgs {
    /// Where to write the contract.
    #[arg(long)]
    pub out: PathBuf,
    /// Also write a proof of made-up windows here, for the contracts' own tests. It differs at every call.
    #[arg(long)]
    pub proof: Option<PathBuf>,
    /// Model package directory; the shipped model when absent.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Write the verifier of audits that hold about so many windows, instead of that of alerts.
    #[arg(long, value_parser = audit_windows)]
    pub audit_windows: Option<usize>,
    /// Reference string and goal of the circuit.
    #[command(flatten)]
    pub circuit: CircuitArgs,
    /// Whose verifier of alerts: this project's, or the one that EZKL generates.
    #[arg(long, value_enum, default_value_t = EngineKind::Native, conflicts_with = "audit_windows")]
    pub engine: EngineKind,
    /// How EZKL is run.
    #[command(flatten)]
    pub ezkl: EzklArgs,
}

/// Where and how to deploy.
#[derive(Debug, Clone, Args)]
pub struct DeployArgs {
    /// JSON-RPC address of the chain.
    #[arg(long, env = "HYGEIA_CHAIN", default_value = "http://127.0.0.1:8545")]
    pub chain: String,
    /// File with the deployer's private key (hex). The deployer keeps no role.
    #[arg(long, env = "HYGEIA_SIGNER_KEY_FILE")]
    pub signer_key_file: PathBuf,
    /// Account that receives the governance token's whole supply; the deployer when absent.
    #[arg(long)]
    pub holder: Option<alloy::primitives::Address>,
    /// Account that may suspend and cancel, and nothing else; the holder when absent.
    #[arg(long)]
    pub guardian: Option<alloy::primitives::Address>,
    /// The chain's identity registry of ERC-8004 agents; one is deployed when absent.
    #[arg(long)]
    pub identity_registry: Option<alloy::primitives::Address>,
    /// The chain's validation registry beside it; one is deployed when absent.
    #[arg(long, requires = "identity_registry")]
    pub validation_registry: Option<alloy::primitives::Address>,
    /// Where to write the contracts' addresses.
    #[arg(long, default_value = "deployment.json")]
    pub out: PathBuf,
    /// Leave out the verifier of the shipped model's development keys, which only a local chain may accept.
    #[arg(long)]
    pub no_verifier: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prover(arguments: &[&str]) -> Result<ProverArgs, clap::Error> {
        let line = ["hygeia", "prover"].iter().chain(arguments);
        Cli::try_parse_from(line).map(|cli| match cli.command {
            Command::Prover { prover, .. } => prover,
            _ => unreachable!("the line names the prover"),
        })
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn audits_hold_a_power_of_two() {
        assert_eq!(prover(&[]).unwrap().audit_windows, 256);
        for (windows, is_taken) in
            [("64", true), ("4096", true), ("32", false), ("8192", false), ("100", false), ("x", false)]
        {
            let parsed = prover(&["--audit-windows", windows]).map(|args| args.audit_windows.to_string());
            assert_eq!(parsed.is_ok_and(|parsed| parsed == windows), is_taken, "{windows}");
        }
    }

    #[test]
    fn a_hash_pins_a_file_that_is_named() {
        let hash = "ab".repeat(32);
        let parsed = prover(&["--srs", "string.ptau", "--srs-sha256", &hash]).unwrap();
        assert_eq!(parsed.circuit.srs_sha256, Some([0xab; 32]));
        assert!(prover(&["--srs-sha256", &hash]).is_err(), "no file to pin");
        assert!(prover(&["--srs", "string.ptau", "--srs-sha256", &hash[1..]]).is_err());
    }
}
