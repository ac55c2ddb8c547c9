//! `hygeia gov` on the command line.

use std::path::PathBuf;

use alloy::primitives::{Address, B256, U256};
use clap::{Args, Subcommand, ValueEnum};

use super::broker::AccessArgs;
use super::{CircuitArgs, EngineKind, EzklArgs};

/// Environment variable with a signer's private key. No flag: what is given as one stands in the list of processes.
pub const SIGNER_KEY: &str = "HYGEIA_SIGNER_KEY";

/// Environment variable with the password of a signer's keystore. No flag, for the same reason.
pub const SIGNER_PASSWORD: &str = "HYGEIA_SIGNER_PASSWORD";

/// The steps of a vote, and the registry of agents.
#[derive(Debug, Clone, Subcommand)]
pub enum GovCommand {
    /// Propose that a model be approved: its hashes, its verifier contract, and what voters should read.
    ///
    /// Hashes and the proof's length come from the model's keys, which are made where there are none, or from what
    /// `hygeia keys` printed elsewhere. Of card, fidelity certificate and evaluation the SHA-256 goes on chain; the change
    /// control texts are those of the model's card unless given.
    ///
    /// Example:
    ///
    ///   hygeia gov propose-model --model my-model --verifier 0x5FbD…0aa3 --srs ceremony.ptau \
    ///     --card my-model/card.json --fidelity fidelity.json --evaluation report.json \
    ///     --signer-key-file voter.key --dry-run
    #[command(verbatim_doc_comment)]
    ProposeModel {
        /// What is proposed.
        #[command(flatten)]
        propose: Box<ProposeModelArgs>,
        /// Where, and who signs.
        #[command(flatten)]
        act: ActArgs,
    },
    /// Propose that a care policy be approved.
    ///
    /// The terms are a JSON file. The threshold is in the model's score units, the benefit in the pool token's smallest
    /// unit; `care_code` is hashed; without `arbiter` and `arbitration_s` nothing can be disputed:
    ///
    ///   {
    ///     "model_id": "0x…", "threshold": -1024, "care_code": "snomed:736366004",
    ///     "benefit": "50000000000000000000", "cool_down_s": 43200, "max_attestation_age_s": 604800,
    ///     "fulfil_within_s": 172800, "starts_per_day_max": 100, "open_max": 500,
    ///     "arbiter": "0x…", "arbitration_s": 432000
    ///   }
    ///
    /// Example:
    ///
    ///   hygeia gov propose-policy terms.json --signer-key-file voter.key --dry-run
    #[command(verbatim_doc_comment)]
    ProposePolicy {
        /// What is proposed.
        #[command(flatten)]
        propose: ProposePolicyArgs,
        /// Where, and who signs.
        #[command(flatten)]
        act: ActArgs,
    },
    /// Make the signer's tokens count as votes: its own, or somebody's whom it trusts.
    ///
    /// Votes are counted as they stood when a vote opened, so delegate before that.
    ///
    /// Example:
    ///
    ///   hygeia gov delegate --signer-keystore voter.json --signer-password-file voter.password
    #[command(verbatim_doc_comment)]
    Delegate {
        /// Whose votes they shall be; the signer's when absent.
        #[arg(long)]
        to: Option<Address>,
        /// Where, and who signs.
        #[command(flatten)]
        act: ActArgs,
    },
    /// Vote on a proposal, once.
    ///
    /// Example:
    ///
    ///   hygeia gov vote 0x3f1c… for --reason "the evaluation holds" --signer-key-file voter.key
    #[command(verbatim_doc_comment)]
    Vote {
        /// The proposal's identifier, as `propose-…` printed it.
        proposal: U256,
        /// For, against, or neither.
        #[arg(value_enum)]
        choice: Choice,
        /// Why; it stands on chain for everyone to read.
        #[arg(long)]
        reason: Option<String>,
        /// Where, and who signs.
        #[command(flatten)]
        act: ActArgs,
    },
    /// Bring a proposal that passed into the timelock. Anybody may.
    ///
    /// Example, signed by a program that asks a key management service:
    ///
    ///   hygeia gov queue 0x3f1c… --signer-command ./kms-sign --signer-address 0x7099…79C8
    #[command(verbatim_doc_comment)]
    Queue {
        /// The proposal's identifier.
        proposal: U256,
        /// Where, and who signs.
        #[command(flatten)]
        act: ActArgs,
    },
    /// Carry out a queued proposal once the timelock's delay is over. Anybody may.
    ///
    /// Example:
    ///
    ///   HYGEIA_SIGNER_KEY=… hygeia gov execute 0x3f1c…
    #[command(verbatim_doc_comment)]
    Execute {
        /// The proposal's identifier.
        proposal: U256,
        /// Where, and who signs.
        #[command(flatten)]
        act: ActArgs,
    },
    /// Show where a proposal stands, what it would call, and what comes next.
    ///
    /// Example:
    ///
    ///   hygeia gov show 0x3f1c… --chain http://127.0.0.1:8545
    #[command(verbatim_doc_comment)]
    Show {
        /// The proposal's identifier.
        proposal: U256,
        /// Where to look.
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Publish a model's package to the broker, where the roles fetch it by the content hash that is approved.
    ///
    /// Publish before the vote: whoever votes then reads what will run, and the roles have it warm when it counts.
    ///
    /// Example:
    ///
    ///   hygeia gov publish-model --model my-model --nats nats://127.0.0.1:4222
    #[command(verbatim_doc_comment)]
    PublishModel {
        /// Model package directory.
        #[arg(long)]
        model: PathBuf,
        /// The broker.
        #[command(flatten)]
        broker: BusArgs,
    },
    /// Add up what sentinels with --shadow published about a candidate, for those who will vote.
    ///
    /// The file holds counts alone, nothing of a patient. Its SHA-256 is printed, and `propose-model --shadow-report` puts
    /// it into the proposal.
    ///
    /// Example:
    ///
    ///   hygeia gov shadow-report 64c1… --out shadow.json
    #[command(verbatim_doc_comment)]
    ShadowReport {
        /// Content hash of the candidate's package (hex).
        #[arg(value_parser = super::sha256)]
        candidate: [u8; 32],
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
        /// The broker.
        #[command(flatten)]
        broker: BusArgs,
    },
    /// Register an agent in the chain's identity registry (ERC-8004). It is the signer's, and its wallet is the signer's
    /// address.
    ///
    /// The URI leads to the agent's registration file, a JSON that says what it does, without a word about patients:
    ///
    ///   {
    ///     "type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1",
    ///     "name": "Prover of Ward 3", "description": "Proves risk scores of approved models",
    ///     "image": "https://prover.example/logo.png",
    ///     "services": [{ "name": "web", "endpoint": "https://prover.example/" }],
    ///     "active": true, "supportedTrust": ["crypto-economic"],
    ///     "registrations": [{ "agentId": 7, "agentRegistry": "eip155:1:0x8004…" }]
    ///   }
    ///
    /// Number and registry are printed once it is registered: add them to the file then.
    ///
    /// Example:
    ///
    ///   hygeia gov register-agent --uri https://prover.example/agent.json --signer-key-file prover.key --dry-run
    #[command(verbatim_doc_comment)]
    RegisterAgent {
        /// Where the registration file is found: https, ipfs, or a base64 data URI.
        #[arg(long)]
        uri: String,
        /// Where, and who signs.
        #[command(flatten)]
        act: ActArgs,
    },
    /// Show agents: whose they are, what they act with, where their file is, how many of their inferences were validated.
    ///
    /// Example:
    ///
    ///   hygeia gov agents 7 12
    #[command(verbatim_doc_comment)]
    Agents {
        /// The agents' numbers; the newest fifty registered since the deployment when absent.
        ids: Vec<U256>,
        /// Where to look.
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Which broker, and whose streams on it.
#[derive(Debug, Clone, Args)]
pub struct BusArgs {
    /// Address of a NATS server with JetStream.
    #[arg(long, env = "HYGEIA_NATS", default_value = "nats://127.0.0.1:4222")]
    pub nats: String,
    /// Whose streams they are.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// Which contracts on which chain.
#[derive(Debug, Clone, Args)]
pub struct PlaceArgs {
    /// JSON-RPC address of the chain.
    #[arg(long, env = "HYGEIA_CHAIN", default_value = "http://127.0.0.1:8545")]
    pub chain: String,
    /// JSON file with the contracts' addresses, as `hygeia deploy` writes it.
    #[arg(long, env = "HYGEIA_DEPLOYMENT", default_value = "deployment.json")]
    pub deployment: PathBuf,
}

/// Where a step is taken, and by whom.
#[derive(Debug, Clone, Args)]
pub struct ActArgs {
    /// Which contracts on which chain.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Who signs.
    #[command(flatten)]
    pub signer: SignerArgs,
    /// Say what would be done and ask the chain whether it would take it, but sign and send nothing. An address is enough
    /// then.
    #[arg(long)]
    pub dry_run: bool,
}

/// Who signs: a program before a keystore before a key file before the key in the environment variable HYGEIA_SIGNER_KEY
/// (hex).
#[derive(Debug, Clone, Args)]
pub struct SignerArgs {
    /// Keystore with the signer's key: a JSON file of version 3, as wallets write it.
    #[arg(long, env = "HYGEIA_SIGNER_KEYSTORE")]
    pub signer_keystore: Option<PathBuf>,
    /// File with the keystore's password. Without one it is taken from the environment variable HYGEIA_SIGNER_PASSWORD.
    #[arg(long, env = "HYGEIA_SIGNER_PASSWORD_FILE", requires = "signer_keystore")]
    pub signer_password_file: Option<PathBuf>,
    /// File with the signer's private key (hex). Without one the key is taken from the environment variable
    /// HYGEIA_SIGNER_KEY.
    #[arg(long, env = "HYGEIA_SIGNER_KEY_FILE")]
    pub signer_key_file: Option<PathBuf>,
    /// Program that signs for the address: reads a digest (32 bytes, hex) from standard input, prints the signature (65
    /// bytes r, s, v, hex) on standard output. So a key can stay in a key management service or a hardware module.
    #[arg(long, requires = "signer_address")]
    pub signer_command: Option<PathBuf>,
    /// The signer's address, which every signature of the program is checked against.
    #[arg(long)]
    pub signer_address: Option<Address>,
}

impl SignerArgs {
    /// The private key in the environment, if there is one.
    pub fn key_in_environment() -> Option<String> {
        std::env::var(SIGNER_KEY).ok().filter(|key| !key.is_empty())
    }

    /// The password of a keystore in the environment, if there is one; it may be empty.
    pub fn password_in_environment() -> Option<String> {
        std::env::var(SIGNER_PASSWORD).ok()
    }
}

/// What a voter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// In favour.
    For,
    /// Against.
    Against,
    /// Neither, but counted for the quorum.
    Abstain,
}

/// Which model, and what voters should read.
#[derive(Debug, Clone, Args)]
pub struct ProposeModelArgs {
    /// Model package directory; the shipped model when absent.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// The deployed contract that verifies this model's proofs, generated by `hygeia gen-verifier`.
    #[arg(long)]
    pub verifier: Address,
    /// Where the model's keys are kept.
    #[arg(long, env = "HYGEIA_KEYS_DIR", default_value = ".hygeia/keys")]
    pub keys_dir: PathBuf,
    /// Reference string and goal of the circuit.
    #[command(flatten)]
    pub circuit: CircuitArgs,
    /// What proves: this project's engine, or EZKL.
    #[arg(long, value_enum, default_value_t = EngineKind::Native)]
    pub engine: EngineKind,
    /// How EZKL is run.
    #[command(flatten)]
    pub ezkl: EzklArgs,
    /// Hash of the circuit, as `hygeia keys` prints it; no keys are opened then.
    #[arg(long, requires = "verifying_key_hash")]
    pub circuit_hash: Option<B256>,
    /// Hash of the verifying key, likewise.
    #[arg(long, requires = "proof_length")]
    pub verifying_key_hash: Option<B256>,
    /// Bytes of a proof, likewise.
    #[arg(long, requires = "circuit_hash")]
    pub proof_length: Option<u32>,
    /// The model card's file.
    #[arg(long)]
    pub card: PathBuf,
    /// The fidelity certificate's file, as `hygeia quantize --json` prints it.
    #[arg(long)]
    pub fidelity: PathBuf,
    /// The evaluation's file, report.json of `hygeia evaluate`.
    #[arg(long)]
    pub evaluation: PathBuf,
    /// The comparison with the approved model, as `hygeia gov shadow-report` wrote it. The description then names its
    /// SHA-256 and what it counted.
    #[arg(long)]
    pub shadow_report: Option<PathBuf>,
    /// Change control: what is changed and why.
    #[arg(long)]
    pub modification: Option<String>,
    /// Change control: how the change was developed, validated and is put in place.
    #[arg(long)]
    pub protocol: Option<String>,
    /// Change control: benefits and risks, and how the risks are held.
    #[arg(long)]
    pub impact: Option<String>,
    /// Where the package can be had; named by its content hash when absent.
    #[arg(long)]
    pub uri: Option<String>,
    /// What voters read first; it says which model when absent.
    #[arg(long)]
    pub description: Option<String>,
}

/// Which care policy.
#[derive(Debug, Clone, Args)]
pub struct ProposePolicyArgs {
    /// JSON file of the terms.
    pub terms: PathBuf,
    /// What voters read first; it says which policy when absent.
    #[arg(long)]
    pub description: Option<String>,
}
