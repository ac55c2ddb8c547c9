//! `hygeia gov`: token holders decide, and agents are registered, from the command line.
//!
//! Each step says what it will do before it does it, and asks the chain whether it would take it. This module never sends
//! what the chain would refuse, and in a dry run never signs.

mod agents;
mod ballot;
mod evidence;
mod keystore;
mod proposals;
mod signer;

use std::time::Duration;

use alloy::network::EthereumWallet;
use alloy::primitives::utils::format_ether;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::{Provider as _, ProviderBuilder};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::SolCall as _;
use anyhow::Result;
use hygeia_policies::hygeia_governor::HygeiaGovernor::castVoteWithReasonCall;
use hygeia_policies::hygeia_token::HygeiaToken::delegateCall;
use hygeia_policies::{HygeiaGovernor, HygeiaToken};
use thiserror::Error;

use crate::chain::{Chain, ChainError, Deployment, governance};
use crate::cli::gov::{ActArgs, Choice, GovCommand, PlaceArgs};
use ballot::{Ballot, State};
use proposals::Motion;
use signer::{Signer, SignerError};

/// How long the chain may take to answer its first call.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a step was not taken.
#[derive(Debug, Error)]
pub enum GovError {
    /// Nobody proposed that.
    #[error(
        "nothing was proposed as {id} to the governor {governor}; take the identifier that `hygeia gov propose-…` printed, \
         and the --deployment it was proposed on"
    )]
    UnknownProposal {
        /// What was asked for.
        id: B256,
        /// The governor asked.
        governor: Address,
    },
    /// What the node tells of a proposal is not what its identifier is made of.
    #[error(
        "what the chain tells of proposal {id} does not hash to it: it moves coins, which no proposal of this program does, or \
         the node is not to be trusted"
    )]
    NotAsProposed {
        /// What was asked for.
        id: B256,
    },
    /// The governor counts states that this program does not know.
    #[error("the governor answers with state {number}, which this version does not know")]
    UnknownState {
        /// Its number.
        number: u8,
    },
    /// The step does not fit where the proposal stands.
    #[error("{operation} is not possible: proposal {id} is {state}; {next}")]
    WrongState {
        /// What was tried.
        operation: &'static str,
        /// The proposal.
        id: B256,
        /// Where it stands.
        state: State,
        /// What may be done next.
        next: String,
    },
    /// The signer's vote would weigh nothing.
    #[error(
        "{voter} had no votes when this vote opened, so its vote would not count; delegate with `hygeia gov delegate` before \
         the next one opens"
    )]
    NoVotes {
        /// The voter.
        voter: Address,
    },
    /// The deployment file is of before agents were registered.
    #[error(
        "the deployment file names no registries of agents; add \"agents\" with identity_registry, validation_registry and \
         inference_validator, as `hygeia deploy` writes them"
    )]
    NoAgentRegistries,
    /// Nobody registered that agent.
    #[error("the registry {registry} has no agent {id}; `hygeia gov agents` lists those it has")]
    UnknownAgent {
        /// What was asked for.
        id: U256,
        /// The registry asked.
        registry: Address,
    },
    /// Nothing can be found there.
    #[error("{given} is no URI of a registration file, such as https://prover.example/agent.json")]
    NoUri {
        /// What was given.
        given: String,
    },
    /// The chain would refuse the transaction.
    #[error("{operation} would be refused with {error}{}; nothing was sent", hint(error))]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// Name of the contract's error.
        error: String,
    },
    /// A vote could pass and its calls still fail.
    #[error(
        "call {number} of the proposal would be refused with {error}{} when it is carried out; nothing was sent",
        hint(error)
    )]
    CallRefused {
        /// Which call, from 1.
        number: usize,
        /// Name of the contract's error.
        error: String,
    },
    /// Nobody can sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The chain did not do it.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// What helps against an error of the contracts that voters are likely to meet.
fn hint(error: &str) -> &'static str {
    match error {
        "GovernorInsufficientProposerVotes" => {
            " (the signer has fewer votes than a proposal needs; `hygeia gov delegate` makes its tokens count)"
        }
        "GovernorAlreadyCastVote" => " (the signer has voted)",
        "GovernorUnexpectedProposalState" => " (proposed already, or moved on; `hygeia gov show` says where it stands)",
        "VerifierHasNoCode" => " (deploy what `hygeia gen-verifier` writes, and name its address with --verifier)",
        "ModelExists" | "PolicyExists" => " (the same was approved before)",
        "IncompleteChangeControl" => " (give --modification, --protocol and --impact)",
        "InvalidTerms" => " (a term is zero that must not be, or there is an arbiter without arbitration_s)",
        _ => "",
    }
}

/// Takes one step.
pub async fn command(command: &GovCommand) -> Result<()> {
    match command {
        GovCommand::ProposeModel { propose, act } => {
            let session = Session::open(act).await?;
            let motion = proposals::model(propose, &session.deployment).await?;
            session.propose(&motion).await?;
        }
        GovCommand::ProposePolicy { propose, act } => {
            let session = Session::open(act).await?;
            session.propose(&proposals::policy(propose, &session.deployment)?).await?;
        }
        GovCommand::Delegate { to, act } => Session::open(act).await?.delegate(*to).await?,
        GovCommand::Vote { proposal, choice, reason, act } => {
            Session::open(act).await?.vote(*proposal, *choice, reason.as_deref()).await?;
        }
        GovCommand::Queue { proposal, act } => Session::open(act).await?.queue(*proposal).await?,
        GovCommand::Execute { proposal, act } => Session::open(act).await?.execute(*proposal).await?,
        GovCommand::Show { proposal, place } => {
            let (chain, deployment) = connect(place).await?;
            print!("{}", Ballot::read(&chain, &deployment, *proposal).await?.text(&deployment));
        }
        GovCommand::PublishModel { model, broker } => evidence::publish_model(model, broker).await?,
        GovCommand::ShadowReport { candidate, out, broker } => {
            evidence::shadow_report(*candidate, out, broker).await?;
        }
        GovCommand::RegisterAgent { uri, act } => Session::open(act).await?.register_agent(uri).await?,
        GovCommand::Agents { ids, place } => {
            let (chain, deployment) = connect(place).await?;
            print!("{}", agents::text_of(&chain, &deployment, ids).await?);
        }
    }
    Ok(())
}

async fn connect(place: &PlaceArgs) -> Result<(Chain, Deployment), ChainError> {
    let deployment = Deployment::load(&place.deployment)?;
    let chain = Chain::connect(&place.chain, &[], PATIENCE).await?;
    chain.expect(&deployment)?;
    Ok((chain, deployment))
}

/// One step of one signer.
struct Session {
    chain: Chain,
    deployment: Deployment,
    signer: Address,
    is_dry_run: bool,
}

impl Session {
    async fn open(args: &ActArgs) -> Result<Self, GovError> {
        let signer = Signer::open(&args.signer).await?;
        if signer.wallet.is_none() && !args.dry_run {
            return Err(SignerError::Nobody.into());
        }
        let (chain, deployment) = connect(&args.place).await?;
        println!(
            "chain      {} at {}\nsigns      {}, with {}",
            chain.chain_id, chain.url, signer.address, signer.means
        );
        let chain = match signer.wallet {
            Some(wallet) if !args.dry_run => signing(&chain, wallet)?,
            _ => chain,
        };
        Ok(Self { chain, deployment, signer: signer.address, is_dry_run: args.dry_run })
    }

    async fn propose(&self, motion: &Motion) -> Result<(), GovError> {
        let proposal = &motion.proposal;
        println!("{:<10} {}\nproposal   {}", motion.subject, motion.id, B256::from(proposal.id()));
        print!("{}", ballot::text_of(proposal, &self.deployment));
        // The governor looks at no call before it is carried out, days later.
        for (number, call) in (1..).zip(&proposal.calls) {
            let from = self.deployment.timelock;
            let answer =
                governance::dry_run(&self.chain, from, call.data.clone(), call.target, "trying a call").await?;
            answer.map_err(|error| GovError::CallRefused { number, error })?;
        }
        self.act("proposing", self.deployment.governor, proposal.propose()).await.map(drop)
    }

    async fn delegate(&self, to: Option<Address>) -> Result<(), GovError> {
        let delegatee = to.unwrap_or(self.signer);
        let token = HygeiaToken::new(self.deployment.token, &self.chain.provider);
        let held = token.balanceOf(self.signer).call().await.map_err(ChainError::call("reading a balance"))?;
        println!("delegates  the votes of {} tokens to {delegatee}", format_ether(held));
        self.act("delegating", self.deployment.token, delegateCall { delegatee }.abi_encode().into()).await.map(drop)
    }

    async fn vote(&self, id: U256, choice: Choice, reason: Option<&str>) -> Result<(), GovError> {
        let ballot = self.ballot(id, "voting", State::Active).await?;
        let governor = HygeiaGovernor::new(self.deployment.governor, &self.chain.provider);
        let votes = governor.getVotes(self.signer, U256::from(ballot.opens_s));
        let votes = votes.call().await.map_err(ChainError::call("reading the signer's votes"))?;
        if votes.is_zero() {
            return Err(GovError::NoVotes { voter: self.signer });
        }
        println!("votes      {choice:?} with {}", format_ether(votes));
        let support = match choice {
            Choice::Against => 0,
            Choice::For => 1,
            Choice::Abstain => 2,
        };
        // Without a reason the governor takes it for a plain vote.
        let cast = castVoteWithReasonCall { proposalId: id, support, reason: reason.unwrap_or_default().to_owned() };
        self.act("voting", self.deployment.governor, cast.abi_encode().into()).await.map(drop)
    }

    async fn queue(&self, id: U256) -> Result<(), GovError> {
        let ballot = self.ballot(id, "queueing", State::Succeeded).await?;
        self.act("queueing", self.deployment.governor, ballot.proposal.queue()).await.map(drop)
    }

    async fn execute(&self, id: U256) -> Result<(), GovError> {
        let ballot = self.ballot(id, "executing", State::Queued).await?;
        self.act("executing", self.deployment.governor, ballot.proposal.execute()).await.map(drop)
    }

    /// A proposal that is in the state this operation needs, after saying what it is about.
    async fn ballot(&self, id: U256, operation: &'static str, needed: State) -> Result<Ballot, GovError> {
        let ballot = Ballot::read(&self.chain, &self.deployment, id).await?;
        ballot.expect(operation, needed)?;
        println!("proposal   {}", B256::from(id));
        print!("{}", ballot::text_of(&ballot.proposal, &self.deployment));
        Ok(ballot)
    }

    /// Sends a transaction that the chain would take, unless this is a dry run.
    async fn act(
        &self,
        operation: &'static str,
        to: Address,
        data: Bytes,
    ) -> Result<Option<TransactionReceipt>, GovError> {
        let answer = governance::dry_run(&self.chain, self.signer, data.clone(), to, operation).await?;
        answer.map_err(|error| GovError::Refused { operation, error })?;
        if self.is_dry_run {
            println!("dry run    the chain would take it; nothing was signed or sent");
            return Ok(None);
        }
        let receipt = governance::send(&self.chain, self.signer, data, to, operation).await?;
        let block = receipt.block_number.unwrap_or_default();
        println!("sent       {} in block {block}, {} gas", receipt.transaction_hash, receipt.gas_used);
        Ok(Some(receipt))
    }
}

/// The same connection with something that signs.
fn signing(chain: &Chain, wallet: EthereumWallet) -> Result<Chain, ChainError> {
    let address = chain.url.parse().map_err(|_| ChainError::Address { url: chain.url.clone() })?;
    let provider = ProviderBuilder::new().wallet(wallet).connect_http(address).erased();
    Ok(Chain { provider, ..chain.clone() })
}
