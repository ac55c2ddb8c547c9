//! The network that is measured: broker, chain and every role as a process of its own, and the load as another.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use alloy::primitives::hex;
use hygeia_node::cli::Role;
use hygeia_node::demo::network::{Network, ProvedBy, ROLES, Setup};
use hygeia_node::demo::processes::Tools;
use hygeia_protocol::subject::Stream;
use rustix::process::{Pid, setpriority_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::sample;

/// Where the binary of the roles lies, built by `cargo xtask bench`.
const PROGRAM_VARIABLE: &str = "HYGEIA_PROGRAM";
/// Where the tools lie.
const TOOLS_VARIABLE: &str = "HYGEIA_TOOLS_DIR";
/// How far the prover steps back behind the roles that alert: on a machine that it shares with them, it has what they leave.
const PROVER_NICE: i32 = 19;
/// How long the roles may take until they follow their streams.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Seconds between two windows of a patient: every window at the threshold may alert.
const COOL_DOWN_S: u32 = 3_600;

/// Whether the suite was asked for by its name: it takes minutes, so it is no part of all suites.
pub fn is_asked_for() -> bool {
    let is_asked_for = std::env::var_os(PROGRAM_VARIABLE).is_some();
    if !is_asked_for {
        eprintln!("this suite is run by its name alone: cargo xtask bench throughput, cargo xtask bench soak");
    }
    is_asked_for
}

/// The network with its roles running.
pub struct Scene {
    /// Broker, chain, accounts and roles.
    pub network: Network,
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Scene {
    /// Founds a network whose care policy applies from `threshold` on, and starts its roles.
    pub async fn start(threshold: i64) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tools_dir = std::env::var_os(TOOLS_VARIABLE).map_or_else(|| root.join("../.tools"), PathBuf::from);
        let program = std::env::var_os(PROGRAM_VARIABLE).map(PathBuf::from);
        let program = program.expect("cargo xtask bench builds the binary and names it");
        let tools = Tools::at(&tools_dir).expect("cargo xtask setup installed the tools");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let setup = Setup {
            tools: &tools,
            program: program.clone(),
            dir: folder.path(),
            keys_dir: tools_dir.join("keys"),
            qdrant: None,
            threshold: Some(threshold),
            cool_down_s: Some(COOL_DOWN_S),
            engine: ProvedBy::Native,
            prover_arguments: ["--no-audit", "--threads", "1"].map(str::to_owned).to_vec(),
            audit_windows: None,
            broker: None,
        };
        let network = Network::found(setup, &mut |step| eprintln!("  {step}")).await.expect("the network is founded");
        let mut scene = Self { network, program, folder };
        scene.start_roles().await;
        scene
    }

    async fn start_roles(&mut self) {
        let payer = hex::encode(self.network.accounts.deployer.to_bytes());
        std::fs::write(self.payer_file(), payer).expect("the payer's key is written");
        for role in ROLES {
            self.network.start_role(role).expect("the role starts");
        }
        let prover = self.network.role_id(Role::Prover).expect("the prover runs");
        step_back(prover);
        self.wait_for_readers().await;
        self.network.mine_by_interval().await.expect("the chain mines by the clock");
        // Threads that the prover started since have the priority of the one that started them; once more for the first.
        step_back(prover);
    }

    /// Waits until every stream on the way of an alert and of its proof is read.
    async fn wait_for_readers(&mut self) {
        let started = Instant::now();
        // A reader for each partition, and a prover.
        let partitions = self.network.partitioner.all().count() as u64;
        let read = [(Stream::Observations, partitions), (Stream::Windows, partitions), (Stream::ProofRequests, 1)];
        loop {
            self.check_roles();
            let depths = sample::streams(self.network.bus.client()).await;
            if read.iter().all(|&(stream, readers)| sample::depth(&depths, stream).consumers >= readers) {
                return;
            }
            assert!(started.elapsed() < READY_WITHIN, "the roles do not follow their streams");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Starts a load as a process.
    pub fn load(&self, arguments: &[String]) -> Load {
        let mut command = Command::new(&self.program);
        command.args(["load", "--json", "--nats", self.network.nats.url(), "--chain", self.network.anvil.url()]);
        command.arg("--deployment").arg(self.network.deployment_file());
        command.arg("--network-key-file").arg(self.folder.path().join("network.key"));
        command.arg("--signer-key-file").arg(self.payer_file()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        Load(command.spawn().expect("the load starts"))
    }

    /// Folder of the broker's store.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("nats/store")
    }

    /// Every process of the network by name.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        let roles = ROLES.into_iter().filter_map(|role| Some((role.name(), self.network.role_id(role)?)));
        let servers = [("nats-server", self.network.nats.id()), ("anvil", self.network.anvil.id())];
        roles.chain(servers.into_iter().filter_map(|(name, id)| Some((name, id?)))).collect()
    }

    /// Roles that ended although nobody asked them to, with the end of their log.
    pub fn check_roles(&mut self) {
        if let Some(role) = self.network.ended_roles().into_iter().next() {
            let log = std::fs::read_to_string(self.network.log_of(role)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(5).collect();
            panic!("the {} ended: {lines:#?}", role.name());
        }
    }

    fn payer_file(&self) -> PathBuf {
        self.folder.path().join("payer.key")
    }
}

/// A load that runs.
pub struct Load(Child);

impl Load {
    /// Its process.
    pub fn id(&self) -> Option<u32> {
        self.0.id()
    }

    /// Waits for its end; its summary.
    pub async fn summary(self) -> Value {
        let output = self.0.wait_with_output().await.expect("the load ends");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("the load ended without a summary: {}", output.status))
    }
}

/// Lowers the priority of every thread of a process.
fn step_back(process: u32) {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse::<i32>().ok());
    for id in ids.filter_map(Pid::from_raw) {
        // A thread may have ended in between.
        let _ = setpriority_process(Some(id), PROVER_NICE);
    }
}
