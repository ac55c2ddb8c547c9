//! A vote from proposal to execution, as token holders hold it: delegate, propose, vote, queue, execute.

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::sol_types::{SolCall as _, SolValue as _};
use hygeia_policies::hygeia_governor::HygeiaGovernor::{executeCall, proposeCall, queueCall};
use hygeia_policies::{HygeiaGovernor, HygeiaToken, refusal};
use serde::Serialize;

use super::{Chain, ChainError, Deployment};

/// A vote in favour, in the governor's counting.
const FOR: u8 = 1;

/// One call a proposal makes when it is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The contract called.
    pub target: Address,
    /// The call's data.
    pub data: Bytes,
}

/// Calls under the description that voters read; none of them moves coins. The governor keeps no more of a proposal than
/// the hash of both, so each step is told all of it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What the timelock calls when the vote has passed, in this order.
    pub calls: Vec<Call>,
    /// What voters read.
    pub description: String,
}

impl Proposal {
    /// The identifier the governor gives it.
    pub fn id(&self) -> U256 {
        let (targets, values, data) = self.columns();
        keccak256((targets, values, data, keccak256(&self.description)).abi_encode_params()).into()
    }

    /// The governor's call that opens the vote.
    pub fn propose(&self) -> Bytes {
        let (targets, values, calldatas) = self.columns();
        proposeCall { targets, values, calldatas, description: self.description.clone() }.abi_encode().into()
    }

    /// The governor's call that brings it into the timelock once the vote has passed.
    pub fn queue(&self) -> Bytes {
        let (targets, values, calldatas) = self.columns();
        let call = queueCall { targets, values, calldatas, descriptionHash: keccak256(&self.description) };
        call.abi_encode().into()
    }

    /// The governor's call that carries it out once the timelock's delay is over.
    pub fn execute(&self) -> Bytes {
        let (targets, values, calldatas) = self.columns();
        let call = executeCall { targets, values, calldatas, descriptionHash: keccak256(&self.description) };
        call.abi_encode().into()
    }

    fn columns(&self) -> (Vec<Address>, Vec<U256>, Vec<Bytes>) {
        let (targets, data) = self.calls.iter().map(|call| (call.target, call.data.clone())).unzip();
        (targets, vec![U256::ZERO; self.calls.len()], data)
    }
}

/// What came of a vote.
#[derive(Debug, Clone, Serialize)]
pub struct Vote {
    /// The proposal's identifier.
    pub proposal: U256,
    /// Votes in favour, in the token's smallest unit.
    pub votes_for: U256,
    /// Transaction of the proposal.
    pub proposed: B256,
    /// Transaction that queued it in the timelock.
    pub queued: B256,
    /// Transaction that executed it.
    pub executed: B256,
}

/// Holds a vote over `calls` on a local chain whose clock can be moved: `voters` propose, vote in favour, queue, execute.
pub async fn hold_vote(
    chain: &Chain,
    deployment: &Deployment,
    voters: &[Address],
    calls: &[Call],
    description: &str,
) -> Result<Vote, ChainError> {
    let token = HygeiaToken::new(deployment.token, &chain.provider);
    let governor = HygeiaGovernor::new(deployment.governor, &chain.provider);
    let proposer = voters.first().copied().ok_or(ChainError::Reverted { operation: "a vote needs a voter" })?;
    for voter in voters {
        send(chain, *voter, token.delegate(*voter).calldata().clone(), deployment.token, "delegating votes").await?;
    }
    move_time(chain, 1).await?;

    let proposal = Proposal { calls: calls.to_vec(), description: description.to_owned() };
    let id = proposal.id();
    let proposed = send(chain, proposer, proposal.propose(), deployment.governor, "proposing").await?;

    let delay = governor.votingDelay().call().await.map_err(ChainError::call("reading the voting delay"))?;
    move_time(chain, to_seconds(delay) + 1).await?;
    for voter in voters {
        send(chain, *voter, governor.castVote(id, FOR).calldata().clone(), deployment.governor, "voting").await?;
    }
    let deadline = governor.proposalDeadline(id).call().await.map_err(ChainError::call("reading the vote's end"))?;
    move_past(chain, deadline).await?;

    let queued = send(chain, proposer, proposal.queue(), deployment.governor, "queueing").await?;
    let eta = governor.proposalEta(id).call().await.map_err(ChainError::call("reading the timelock's date"))?;
    move_past(chain, eta).await?;

    let executed = send(chain, proposer, proposal.execute(), deployment.governor, "executing").await?;
    let votes = governor.proposalVotes(id).call().await.map_err(ChainError::call("reading the votes"))?;
    Ok(Vote {
        proposal: id,
        votes_for: votes.forVotes,
        proposed: proposed.transaction_hash,
        queued: queued.transaction_hash,
        executed: executed.transaction_hash,
    })
}

/// Asks what the chain would make of a transaction, and sends none: `Err` holds the name of the contract's error.
pub async fn dry_run(
    chain: &Chain,
    from: Address,
    data: Bytes,
    to: Address,
    operation: &'static str,
) -> Result<Result<(), String>, ChainError> {
    let request = TransactionRequest::default().with_from(from).with_to(to).with_input(data);
    let Err(error) = chain.provider.call(request).await else { return Ok(Ok(())) };
    match error.as_error_resp().and_then(|answer| answer.as_revert_data()) {
        Some(reverted) => Ok(Err(refusal::name(&reverted).unwrap_or("UnknownError").to_owned())),
        None => Err(ChainError::rpc(operation)(error)),
    }
}

/// Sends a transaction and waits until it is mined; an error when it reverts.
pub async fn send(
    chain: &Chain,
    from: Address,
    data: Bytes,
    to: Address,
    operation: &'static str,
) -> Result<TransactionReceipt, ChainError> {
    let request = TransactionRequest::default().with_from(from).with_to(to).with_input(data);
    let gas = chain.provider.estimate_gas(request.clone()).await.map_err(ChainError::rpc(operation))?;
    // An estimate holds for its own second: a vote checkpoint that is updated in it is appended in the next, for more.
    let request = request.with_gas_limit(gas.saturating_add(gas / 2));
    let pending = chain.provider.send_transaction(request).await.map_err(ChainError::rpc(operation))?;
    let receipt =
        pending.get_receipt().await.map_err(|source| ChainError::Call { operation, source: Box::new(source) })?;
    if receipt.status() { Ok(receipt) } else { Err(ChainError::Reverted { operation }) }
}

/// The timestamp of the newest block, in seconds since the epoch.
pub async fn chain_time(chain: &Chain) -> Result<u64, ChainError> {
    let block = chain
        .provider
        .get_block_by_number(alloy::eips::BlockNumberOrTag::Latest)
        .await
        .map_err(ChainError::rpc("asking for the newest block"))?;
    Ok(block.map_or(0, |block| block.header.timestamp))
}

/// Moves a local chain's clock forward and mines a block there.
pub async fn move_time(chain: &Chain, seconds: u64) -> Result<(), ChainError> {
    chain.provider.anvil_increase_time(seconds).await.map_err(ChainError::rpc("moving the local chain's clock"))?;
    chain.provider.anvil_mine(Some(1), None).await.map_err(ChainError::rpc("mining a block"))?;
    Ok(())
}

/// Moves a local chain's clock to the second after `moment`, where it is not there yet.
pub async fn move_past(chain: &Chain, moment: U256) -> Result<(), ChainError> {
    let now = chain_time(chain).await?;
    move_time(chain, to_seconds(moment).saturating_sub(now) + 1).await
}

fn to_seconds(value: U256) -> u64 {
    value.saturating_to()
}
