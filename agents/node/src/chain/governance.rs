//! A vote from proposal to execution, as token holders hold it: delegate, propose, vote, queue, execute.

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use hygeia_policies::{HygeiaGovernor, HygeiaToken};
use serde::Serialize;

use super::{Chain, ChainError, Deployment};

/// A vote in favour, in the governor's counting.
const FOR: u8 = 1;

/// One call a proposal makes when it is executed.
#[derive(Debug, Clone)]
pub struct Call {
    /// The contract called.
    pub target: Address,
    /// The call's data.
    pub data: Bytes,
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

    let targets: Vec<Address> = calls.iter().map(|call| call.target).collect();
    let values = vec![U256::ZERO; calls.len()];
    let data: Vec<Bytes> = calls.iter().map(|call| call.data.clone()).collect();
    let hash = keccak256(description);

    let propose = governor.propose(targets.clone(), values.clone(), data.clone(), description.to_owned());
    let proposed = send(chain, proposer, propose.calldata().clone(), deployment.governor, "proposing").await?;
    let proposal = governor
        .hashProposal(targets.clone(), values.clone(), data.clone(), hash)
        .call()
        .await
        .map_err(ChainError::call("computing the proposal's identifier"))?;

    let delay = governor.votingDelay().call().await.map_err(ChainError::call("reading the voting delay"))?;
    move_time(chain, to_seconds(delay) + 1).await?;
    for voter in voters {
        send(chain, *voter, governor.castVote(proposal, FOR).calldata().clone(), deployment.governor, "voting").await?;
    }
    let deadline =
        governor.proposalDeadline(proposal).call().await.map_err(ChainError::call("reading the vote's end"))?;
    let now = chain_time(chain).await?;
    move_time(chain, to_seconds(deadline).saturating_sub(now) + 1).await?;

    let queue = governor.queue(targets.clone(), values.clone(), data.clone(), hash);
    let queued = send(chain, proposer, queue.calldata().clone(), deployment.governor, "queueing").await?;
    let eta = governor.proposalEta(proposal).call().await.map_err(ChainError::call("reading the timelock's date"))?;
    let now = chain_time(chain).await?;
    move_time(chain, to_seconds(eta).saturating_sub(now) + 1).await?;

    let execute = governor.execute(targets, values, data, hash);
    let executed = send(chain, proposer, execute.calldata().clone(), deployment.governor, "executing").await?;
    let votes = governor.proposalVotes(proposal).call().await.map_err(ChainError::call("reading the votes"))?;
    Ok(Vote {
        proposal,
        votes_for: votes.forVotes,
        proposed: proposed.transaction_hash,
        queued: queued.transaction_hash,
        executed: executed.transaction_hash,
    })
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

fn to_seconds(value: U256) -> u64 {
    value.saturating_to()
}
