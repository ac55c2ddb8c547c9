//! The seam to the chain: connecting with patience, the deployment's addresses, signers.

pub mod balance;
pub mod deploy;
pub mod governance;
pub mod registry;
pub mod signing;
pub mod transaction;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloy::network::EthereumWallet;
use alloy::primitives::Address;
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::signers::local::PrivateKeySigner;
use alloy::transports::http::reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// First pause between two attempts to reach the chain; doubled up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause between two attempts.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long one question to the node may take, the connection included. A node that is slower than this is one that does
/// not answer: every question is asked again by whoever needs it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long the connection alone may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How often the HTTP transport asks for new blocks and receipts.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// What could not be done with the chain.
#[derive(Debug, Error)]
pub enum ChainError {
    /// The address is no URL.
    #[error("{url} is not an address of a JSON-RPC server")]
    Address {
        /// What was given.
        url: String,
    },
    /// The node did not answer within the configured time.
    #[error("no chain answered at {url} within {waited_s} s; start a node, or name another with --chain")]
    Unreachable {
        /// The address tried.
        url: String,
        /// How long it was tried.
        waited_s: u64,
        /// The last answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The deployment file cannot be used.
    #[error("{} is not a usable deployment file: {reason}", path.display())]
    Deployment {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The node answers for another chain than the deployment names.
    #[error("the node at {url} serves chain {found}, the deployment is on chain {expected}")]
    WrongChain {
        /// The node's address.
        url: String,
        /// The node's chain id.
        found: u64,
        /// The deployment's chain id.
        expected: u64,
    },
    /// The validations' registry is of other agents than those named.
    #[error(
        "the validation registry is of the agents of {found}, not of {expected}; name both registries of one chain"
    )]
    OtherAgents {
        /// The identity registry named.
        expected: Address,
        /// The one the validation registry goes by.
        found: Address,
    },
    /// A key file cannot be used. The error never holds its content.
    #[error("{} holds no private key of 32 bytes in hex", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// A call or transaction failed.
    #[error("{operation} failed")]
    Call {
        /// What was tried.
        operation: &'static str,
        /// The node's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The node's answers contradict each other: it is behind, on another branch, or does not tell the truth.
    #[error("the node's answers cannot all be true: {what}")]
    Contradiction {
        /// What it answered.
        what: &'static str,
    },
    /// A transaction was mined and reverted.
    #[error("{operation} was reverted by the chain")]
    Reverted {
        /// What was tried.
        operation: &'static str,
    },
}

impl ChainError {
    /// Wraps a node's answer to `operation`.
    pub fn call(operation: &'static str) -> impl Fn(alloy::contract::Error) -> Self {
        move |source| Self::Call { operation, source: Box::new(source) }
    }

    /// Wraps a transport's answer to `operation`.
    pub fn rpc(operation: &'static str) -> impl Fn(alloy::transports::TransportError) -> Self {
        move |source| Self::Call { operation, source: Box::new(source) }
    }
}

/// Addresses of the contracts on one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The chain they are on.
    pub chain_id: u64,
    /// Block of the first contract: reading events starts here.
    pub block: u64,
    /// Governance token.
    pub token: Address,
    /// Governor.
    pub governor: Address,
    /// Timelock: owner of every registry.
    pub timelock: Address,
    /// Approved models.
    pub model_registry: Address,
    /// Verifier of inferences.
    pub inference_verifier: Address,
    /// Verified audits.
    pub audit_ledger: Address,
    /// Approved care policies.
    pub policy_registry: Address,
    /// Registered oracles.
    pub oracle_registry: Address,
    /// Patients' mandates.
    pub mandate_registry: Address,
    /// Practitioners' credentials.
    pub credential_registry: Address,
    /// Pool that pays benefits.
    pub care_pool: Address,
    /// Where triggers go.
    pub care_coordinator: Address,
    /// ERC-20 the pool holds.
    pub benefit_token: Address,
    /// ERC-8004's registries as this network goes by them; files written before they were known have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<AgentRegistries>,
}

/// Where agents are known by ERC-8004. The first two are the chain's own where it has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentRegistries {
    /// Registered agents.
    pub identity_registry: Address,
    /// Validations that agents ask for.
    pub validation_registry: Address,
    /// Answers them for our models.
    pub inference_validator: Address,
}

impl Deployment {
    /// Reads a deployment file.
    pub fn load(path: &Path) -> Result<Self, ChainError> {
        let error = |reason: String| ChainError::Deployment { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|e| error(e.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|e| error(e.to_string()))
    }

    /// Writes a deployment file.
    pub fn save(&self, path: &Path) -> Result<(), ChainError> {
        let error = |reason: String| ChainError::Deployment { path: path.to_owned(), reason };
        let bytes = serde_json::to_vec_pretty(self).map_err(|e| error(e.to_string()))?;
        std::fs::write(path, bytes).map_err(|e| error(e.to_string()))
    }
}

/// A connection to the chain, with or without signers.
#[derive(Clone)]
pub struct Chain {
    /// The node's JSON-RPC address.
    pub url: String,
    /// The chain's id.
    pub chain_id: u64,
    /// The provider; sends from the first signer's account unless told otherwise.
    pub provider: DynProvider,
}

impl Chain {
    /// Connects, retrying with back-off for `patience`; says on each failed attempt what was tried.
    pub async fn connect(url: &str, signers: &[PrivateKeySigner], patience: Duration) -> Result<Self, ChainError> {
        let address: Url = url.parse().map_err(|_| ChainError::Address { url: url.to_owned() })?;
        let client = Client::builder().timeout(ANSWER_WITHIN).connect_timeout(CONNECT_WITHIN).build();
        let client = client.map_err(|_| ChainError::Address { url: url.to_owned() })?;
        let provider = match signers {
            [first, others @ ..] => {
                let mut wallet = EthereumWallet::from(first.clone());
                for signer in others {
                    wallet.register_signer(signer.clone());
                }
                ProviderBuilder::new().wallet(wallet).connect_reqwest(client, address).erased()
            }
            [] => ProviderBuilder::new().connect_reqwest(client, address).erased(),
        };
        provider.client().set_poll_interval(POLL_INTERVAL);
        let started = Instant::now();
        let mut pause = RETRY_PAUSE_MIN;
        loop {
            match provider.get_chain_id().await {
                Ok(chain_id) => return Ok(Self { url: url.to_owned(), chain_id, provider }),
                Err(source) if started.elapsed() + pause > patience => {
                    return Err(ChainError::Unreachable {
                        url: url.to_owned(),
                        waited_s: started.elapsed().as_secs(),
                        source: Box::new(source),
                    });
                }
                Err(source) => {
                    tracing::warn!(url, retry_ms = pause.as_millis() as u64, reason = %source, "the chain does not answer yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
            }
        }
    }

    /// Refuses a deployment of another chain.
    pub fn expect(&self, deployment: &Deployment) -> Result<(), ChainError> {
        if self.chain_id == deployment.chain_id {
            return Ok(());
        }
        Err(ChainError::WrongChain { url: self.url.clone(), found: self.chain_id, expected: deployment.chain_id })
    }

    /// Number of the newest block.
    pub async fn head(&self) -> Result<u64, ChainError> {
        self.provider.get_block_number().await.map_err(ChainError::rpc("asking for the newest block"))
    }
}

/// Reads a private key (32 bytes, hex) from a file.
pub fn load_signer(path: &Path) -> Result<PrivateKeySigner, ChainError> {
    let key = load_secret(path)?;
    PrivateKeySigner::from_slice(&key).map_err(|_| ChainError::Key { path: path.to_owned() })
}

/// Reads a secret of 32 bytes in hex from a file.
pub fn load_secret(path: &Path) -> Result<[u8; 32], ChainError> {
    let error = || ChainError::Key { path: path.to_owned() };
    let text = std::fs::read_to_string(path).map_err(|_| error())?;
    let text = text.trim();
    let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|_| error())?;
    bytes.try_into().map_err(|_| error())
}
