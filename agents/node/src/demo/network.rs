//! A care network on one machine: real broker, real chain, contracts passed through a real vote, the roles as processes.
//! The demo shows it, the tests break it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use alloy::providers::ext::AnvilApi;
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result};
use hygeia_inference::package::ModelPackage;
use hygeia_policies::{AuditBinding, MandateRegistry, ModelRegistry};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::subject::Partitioner;
use hygeia_zkml::engine::Engine;
use rand::RngCore;
use tokio::process::Command;

use super::founding::{self, Proposal};
use super::processes::{Anvil, NatsServer, Process, Tools};
use crate::bus::Bus;
use crate::chain::deploy::{self, Founding};
use crate::chain::governance::{self, Vote};
use crate::chain::signing::MandateKey;
use crate::chain::{Chain, ChainError, Deployment};
use crate::cli::{EzklArgs, Role};
use crate::clock::now_s;
use crate::engines;
use crate::enrolment::Enrolments;
use crate::keys::{self, KeySettings};

/// Partitions of the local network.
const PARTITIONS: u16 = 16;
/// How long the broker and the chain may take to answer their first call.
const PATIENCE: Duration = Duration::from_secs(20);
/// Coins each account gets for transactions.
const COINS: u64 = 1_000;
/// Confirmations the local steward waits for.
const CONFIRMATIONS: u64 = 1;
/// Roles the network runs.
pub const ROLES: [Role; 4] = [Role::Oracle, Role::Sentinel, Role::Prover, Role::Steward];

/// Fresh accounts, funded by the local chain.
pub struct Accounts {
    /// Puts the contracts on the chain and holds nothing after.
    pub deployer: PrivateKeySigner,
    /// Token holders.
    pub voters: Vec<PrivateKeySigner>,
    /// May suspend and cancel.
    pub guardian: PrivateKeySigner,
    /// Signs windows.
    pub oracle: PrivateKeySigner,
    /// Pays for triggers.
    pub steward: PrivateKeySigner,
}

impl Accounts {
    fn fresh() -> Self {
        let key = PrivateKeySigner::random;
        Self { deployer: key(), voters: vec![key(), key(), key()], guardian: key(), oracle: key(), steward: key() }
    }

    fn all(&self) -> Vec<PrivateKeySigner> {
        let mut all = vec![self.deployer.clone(), self.guardian.clone(), self.oracle.clone(), self.steward.clone()];
        all.extend(self.voters.iter().cloned());
        all
    }
}

/// The local network.
pub struct Network {
    /// The broker.
    pub nats: NatsServer,
    /// The chain's process.
    pub anvil: Anvil,
    /// A connection to the broker.
    pub bus: Bus,
    /// A connection to the chain that can send from every account.
    pub chain: Chain,
    /// The contracts.
    pub deployment: Deployment,
    /// The accounts.
    pub accounts: Accounts,
    /// The vote that approved model, policy and oracle.
    pub vote: Vote,
    /// Content hash of the approved model.
    pub model_hash: [u8; 32],
    /// Identifier of the approved model.
    pub model_id: B256,
    /// Identifier of the approved care policy.
    pub policy_id: B256,
    /// The consent of each enrolled patient.
    pub mandates: BTreeMap<PatientId, MandateKey>,
    /// Spreads patients over partitions as the roles do.
    pub partitioner: Partitioner,
    network_key: [u8; 32],
    nats_urls: String,
    replicas: usize,
    roles: BTreeMap<&'static str, Process>,
    program: PathBuf,
    dir: PathBuf,
    keys_dir: PathBuf,
    qdrant: Option<String>,
    prover_arguments: Vec<String>,
    /// Variables that roles started from now on find beside those of this process.
    environment: BTreeMap<String, String>,
}

/// What a network is started with.
pub struct Setup<'a> {
    /// The installed tools.
    pub tools: &'a Tools,
    /// The `hygeia` binary the roles run.
    pub program: PathBuf,
    /// Working folder.
    pub dir: &'a Path,
    /// Where proving keys are kept between runs.
    pub keys_dir: PathBuf,
    /// Qdrant server, if any.
    pub qdrant: Option<String>,
    /// Threshold of the care policy; that of the ward's alert budget when absent.
    pub threshold: Option<i64>,
    /// Least time between two alerts of a patient, in seconds; half a day when absent.
    pub cool_down_s: Option<u32>,
    /// What proves the alerts.
    pub engine: ProvedBy,
    /// More arguments of the prover.
    pub prover_arguments: Vec<String>,
    /// Windows of an audit, where the vote is to approve a verifier of audits too.
    pub audit_windows: Option<usize>,
    /// A broker that runs already; one is started when absent.
    pub broker: Option<Broker>,
}

/// A broker, and how clients reach it.
pub struct Broker {
    /// The server that the network owns.
    pub server: NatsServer,
    /// Addresses for clients, separated by commas.
    pub urls: String,
    /// Servers that are to hold each message.
    pub replicas: usize,
}

/// What proves the alerts of a network.
#[derive(Debug, Clone, Default)]
pub enum ProvedBy {
    /// This project's own engine.
    #[default]
    Native,
    /// EZKL.
    Ezkl {
        /// How it is run.
        ezkl: EzklArgs,
        /// Folder with the tools that compile its verifier.
        policies: PathBuf,
    },
}

impl ProvedBy {
    /// Opens the engine and deploys the contract that verifies its proofs.
    async fn set_up(
        &self,
        chain: &Chain,
        deployer: Address,
        model: &ModelPackage,
        keys_dir: &Path,
    ) -> Result<(Box<dyn Engine>, Address)> {
        match self {
            Self::Native => {
                let verifier = deploy::deploy_verifier(chain, deployer).await?;
                Ok((Box::new(keys::open_engine(model, keys_dir, 0).await?), verifier))
            }
            Self::Ezkl { ezkl, policies } => {
                let engine = engines::open_ezkl(model, &KeySettings::development(keys_dir, 0), ezkl).await?;
                let verifier = deploy::deploy_ezkl_verifier(chain, deployer, policies, engine.contract()).await?;
                Ok((Box::new(engine), verifier))
            }
        }
    }

    /// What the prover is told of it.
    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Native => Vec::new(),
            Self::Ezkl { ezkl, .. } => vec!["--ezkl-python".to_owned(), ezkl.ezkl_python.display().to_string()],
        }
    }
}

impl Broker {
    async fn start(tools: &Tools, dir: &Path) -> Result<Self> {
        let server = NatsServer::start(tools, dir).await?;
        Ok(Self { urls: server.url().to_owned(), server, replicas: 1 })
    }
}

impl Network {
    /// Starts broker and chain, deploys, holds the vote, funds pool and bond. `say` is told of each step.
    pub async fn found(setup: Setup<'_>, say: &mut dyn FnMut(&str)) -> Result<Self> {
        say("starting nats-server and anvil on free ports");
        let broker = match setup.broker {
            Some(broker) => broker,
            None => Broker::start(setup.tools, &setup.dir.join("nats")).await?,
        };
        let bus = Bus::connect(&broker.urls, PATIENCE).await?;
        bus.ensure_streams().await?;

        let accounts = Accounts::fresh();
        let voter = |index: usize| accounts.voters.get(index).map(PrivateKeySigner::address).unwrap_or_default();
        let rules = Founding::standard(voter(0), accounts.guardian.address());
        let governance_s = rules.voting_delay_s + rules.voting_period_s + rules.timelock_s;
        // The vote takes days of the chain's time: a chain that begins that long ago is at the present after it.
        let genesis_s = now_s().saturating_sub(u64::from(governance_s) + 60);
        let anvil = Anvil::start(setup.tools, &setup.dir.join("anvil"), genesis_s).await?;
        let chain = Chain::connect(anvil.url(), &accounts.all(), PATIENCE).await?;
        for account in accounts.all() {
            let coins = U256::from(COINS) * U256::from(10).pow(U256::from(18));
            chain.provider.anvil_set_balance(account.address(), coins).await?;
        }

        say("deploying the contracts");
        let deployer = accounts.deployer.address();
        let deployment = deploy::deploy(&chain, deployer, &rules).await?;
        deployment.save(&setup.dir.join("deployment.json"))?;

        say("making or opening the proving keys of the shipped model, and deploying their verifier");
        let model = ModelPackage::default_model();
        let (engine, verifier) = setup.engine.set_up(&chain, deployer, model, &setup.keys_dir).await?;
        let audits = match setup.audit_windows {
            Some(windows) => Some(audit_binding(&chain, deployer, model, &setup.keys_dir, windows).await?),
            None => None,
        };
        let mut proposal = Proposal::new(model, engine.as_ref(), verifier, &accounts, setup.threshold, audits)?;
        if let Some(cool_down_s) = setup.cool_down_s {
            proposal.set_cool_down(cool_down_s);
        }

        say("holding the vote: delegate, propose, vote, queue, execute (the chain's clock is moved)");
        founding::distribute(&chain, &deployment, &accounts).await?;
        let voters: Vec<Address> = accounts.voters.iter().map(PrivateKeySigner::address).collect();
        let calls = proposal.calls(&deployment, &chain);
        let vote = governance::hold_vote(&chain, &deployment, &voters, &calls, &proposal.description()).await?;
        founding::fund(&chain, &deployment, &accounts, rules.oracle_bond).await?;
        founding::catch_up(&chain).await?;

        let mut network_key = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut network_key);
        let partitions = PARTITIONS.try_into().context("a network has partitions")?;
        let network = Self {
            partitioner: Partitioner::new(network_key, partitions),
            nats: broker.server,
            nats_urls: broker.urls,
            replicas: broker.replicas,
            anvil,
            bus,
            chain,
            deployment,
            accounts,
            vote,
            model_hash: model.hash(),
            model_id: proposal.model_id,
            policy_id: proposal.policy_id(),
            mandates: BTreeMap::new(),
            network_key,
            roles: BTreeMap::new(),
            program: setup.program,
            dir: setup.dir.to_owned(),
            keys_dir: setup.keys_dir,
            qdrant: setup.qdrant,
            prover_arguments: [setup.engine.arguments(), setup.prover_arguments].concat(),
            environment: BTreeMap::new(),
        };
        network.write_keys()?;
        Ok(network)
    }

    /// Holds a vote on another model whose proofs the deployed verifier takes, with a policy on it. Both identifiers.
    pub async fn approve(&self, model: &ModelPackage, threshold: Option<i64>) -> Result<(B256, B256)> {
        let registry = ModelRegistry::new(self.deployment.model_registry, &self.chain.provider);
        let service = registry.serviceOf(self.model_id).call().await.map_err(ChainError::call("reading a model"))?;
        let engine = keys::open_engine(model, &self.keys_dir, 0).await?;
        let proposal = Proposal::new(model, &engine, service.verifier, &self.accounts, threshold, None)?;
        let voters: Vec<Address> = self.accounts.voters.iter().map(PrivateKeySigner::address).collect();
        let calls = proposal.approvals(&self.deployment, &self.chain);
        governance::hold_vote(&self.chain, &self.deployment, &voters, &calls, "Approve a second model").await?;
        Ok((proposal.model_id, proposal.policy_id()))
    }

    /// Enrols a patient: a fresh mandate key, consent on chain (gas paid by the steward), a fresh salt key.
    pub async fn enrol(&mut self, patient: PatientId) -> Result<B256> {
        self.enrol_under(patient, self.policy_id).await
    }

    /// The same, under another policy than the first. Whoever was enrolled before goes over to it.
    pub async fn enrol_under(&mut self, patient: PatientId, policy: B256) -> Result<B256> {
        let key = MandateKey::fresh();
        let expires = governance::chain_time(&self.chain).await? + 90 * 86_400;
        let (mandate, signature) = key.grant(policy, self.accounts.oracle.address(), expires, &self.deployment)?;
        let registry = MandateRegistry::new(self.deployment.mandate_registry, &self.chain.provider);
        let grant = registry.grant((&mandate).into(), signature.to_vec().into());
        self.send(
            &self.accounts.deployer,
            grant.calldata().clone(),
            self.deployment.mandate_registry,
            "granting a mandate",
        )
        .await?;
        let enrolments = Enrolments::open(&self.bus, self.network_key).await?;
        enrolments.enrol(&patient, B32::new(mandate.id.0)).await?;
        self.mandates.insert(patient, key);
        Ok(mandate.id)
    }

    /// Blocks come by themselves from now on, one a second, as on a public chain.
    pub async fn mine_by_interval(&self) -> Result<()> {
        self.chain.provider.anvil_set_auto_mine(false).await?;
        self.chain.provider.anvil_set_interval_mining(1).await?;
        Ok(())
    }

    /// Gives a variable to every role that is started from now on.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Starts a role as a process of its own.
    pub fn start_role(&mut self, role: Role) -> Result<()> {
        let command = self.replica_command(role);
        self.spawn(role.name(), command)
    }

    /// The same, with more arguments.
    pub fn start_role_with(&mut self, role: Role, arguments: &[&str]) -> Result<()> {
        let mut command = self.replica_command(role);
        command.args(arguments);
        self.spawn(role.name(), command)
    }

    /// The command of one more replica of a role, for who starts it himself.
    pub fn replica_command(&self, role: Role) -> Command {
        let mut command = self.command(role.name());
        self.add_settings(&mut command, role);
        command
    }

    /// Starts all roles in one process, as a small network runs them.
    pub fn start_together(&mut self) -> Result<()> {
        let mut command = self.command("run");
        for role in ROLES {
            self.add_settings(&mut command, role);
        }
        self.spawn("run", command)
    }

    /// Starts the gateway on a free port; its address.
    pub fn start_gateway(&mut self) -> Result<String> {
        // Free a moment ago: a port given away in between ends the gateway with a clear line in its log.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = self.command("gateway");
        command.args(["--listen", &address.to_string()]);
        self.add_settings(&mut command, Role::Gateway);
        self.spawn("gateway", command)?;
        Ok(format!("http://{address}"))
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.envs(&self.environment);
        let partitions = PARTITIONS.to_string();
        command.arg(subcommand).args(["--nats", &self.nats_urls, "--chain", self.anvil.url()]);
        command.args(["--partitions", &partitions, "--deployment"]).arg(self.deployment_file());
        if self.replicas > 1 {
            command.args(["--stream-replicas", &self.replicas.to_string()]);
        }
        if matches!(subcommand, "oracle" | "gateway" | "run") {
            command.arg("--network-key-file").arg(self.dir.join("network.key"));
        }
        command
    }

    fn add_settings(&self, command: &mut Command, role: Role) {
        match role {
            Role::Oracle => {
                command.arg("--oracle-key-file").arg(self.dir.join("oracle.key"));
            }
            Role::Sentinel => {
                if let Some(url) = &self.qdrant {
                    command.args(["--qdrant", url]);
                }
            }
            Role::Prover => {
                command.arg("--keys-dir").arg(&self.keys_dir).args(&self.prover_arguments);
            }
            Role::Steward => {
                command.arg("--signer-key-file").arg(self.dir.join("steward.key"));
                command.args(["--confirmations", &CONFIRMATIONS.to_string()]);
            }
            Role::Gateway => {}
        }
    }

    fn spawn(&mut self, name: &'static str, command: Command) -> Result<()> {
        let process = Process::spawn(name, command, Some(&self.dir.join(format!("{name}.log"))))?;
        self.roles.insert(name, process);
        Ok(())
    }

    /// File with the contracts' addresses.
    pub fn deployment_file(&self) -> PathBuf {
        self.dir.join("deployment.json")
    }

    /// SIGKILLs a role; it does not come back by itself.
    pub async fn kill_role(&mut self, role: Role) {
        if let Some(mut process) = self.roles.remove(role.name()) {
            process.kill().await;
        }
    }

    /// Asks a role to end; whether it did so by itself before the patience was over.
    pub async fn stop_role(&mut self, role: Role) -> bool {
        match self.roles.remove(role.name()) {
            Some(mut process) => process.stop().await,
            None => true,
        }
    }

    /// Roles that have ended although nobody asked them to.
    pub fn ended_roles(&mut self) -> Vec<Role> {
        ROLES
            .into_iter()
            .filter(|role| self.roles.get_mut(role.name()).is_some_and(|p| p.exited().ok().flatten().is_some()))
            .collect()
    }

    /// Process id of a running role.
    pub fn role_id(&self, role: Role) -> Option<u32> {
        self.roles.get(role.name()).and_then(Process::id)
    }

    /// A short name of this run, so that pseudonyms of two runs differ.
    pub fn run_tag(&self) -> String {
        hex::encode(self.vote.proposed.0.get(..3).unwrap_or_default())
    }

    /// Where a role's own words go.
    pub fn log_of(&self, role: Role) -> PathBuf {
        self.dir.join(format!("{}.log", role.name()))
    }

    /// Sends a transaction from one of the accounts and waits until it is mined.
    pub async fn send(
        &self,
        from: &PrivateKeySigner,
        data: alloy::primitives::Bytes,
        to: Address,
        operation: &'static str,
    ) -> Result<(), ChainError> {
        governance::send(&self.chain, from.address(), data, to, operation).await.map(|_| ())
    }

    /// Stops everything the network started.
    pub async fn stop(mut self) {
        for process in self.roles.values_mut() {
            process.stop().await;
        }
        self.anvil.stop().await;
        self.nats.stop().await;
    }

    fn write_keys(&self) -> Result<()> {
        write_secret(&self.dir.join("oracle.key"), &self.accounts.oracle.to_bytes().0)?;
        write_secret(&self.dir.join("steward.key"), &self.accounts.steward.to_bytes().0)?;
        write_secret(&self.dir.join("network.key"), &self.network_key)
    }
}

/// Deploys the generated verifier of audits, and says to which keys it belongs.
async fn audit_binding(
    chain: &Chain,
    deployer: Address,
    model: &ModelPackage,
    keys_dir: &Path,
    windows: usize,
) -> Result<AuditBinding> {
    let plan = keys::audit_plan(model.network(), windows)?;
    let opened = keys::open_audit_keys(model, &plan, &KeySettings::development(keys_dir, 0)).await?;
    let key = opened.verifying_key();
    Ok(AuditBinding {
        verifier: deploy::deploy_audit_verifier(chain, deployer).await?,
        proofLength: u32::try_from(key.proof_bytes()).context("a proof is shorter than 4 GiB")?,
        leaves: u32::try_from(plan.slots).context("a tree has at most 4,096 leaves")?,
        vkHash: B256::from(key.hash()),
    })
}

/// Writes a secret so that only its owner can read it.
fn write_secret(path: &Path, secret: &[u8]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("writing {}", path.display()))?;
    file.write_all(hex::encode(secret).as_bytes())?;
    Ok(())
}
