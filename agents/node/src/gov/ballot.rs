//! A proposal as the chain has it: what it calls, where it stands, and what may be done with it next.

use std::fmt::{self, Write as _};

use alloy::primitives::utils::format_ether;
use alloy::primitives::{B256, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::Filter;
use alloy::sol_types::{SolEvent as _, SolInterface};
use hygeia_policies::HygeiaGovernor;
use hygeia_policies::care_pool::CarePool::CarePoolCalls;
use hygeia_policies::credential_registry::CredentialRegistry::CredentialRegistryCalls;
use hygeia_policies::hygeia_governor::HygeiaGovernor::{HygeiaGovernorCalls, ProposalCreated};
use hygeia_policies::hygeia_timelock::HygeiaTimelock::HygeiaTimelockCalls;
use hygeia_policies::hygeia_token::HygeiaToken::HygeiaTokenCalls;
use hygeia_policies::model_registry::ModelRegistry::ModelRegistryCalls;
use hygeia_policies::oracle_registry::OracleRegistry::OracleRegistryCalls;
use hygeia_policies::policy_registry::PolicyRegistry::PolicyRegistryCalls;

use super::GovError;
use crate::chain::governance::{self, Call, Proposal};
use crate::chain::{Chain, ChainError, Deployment};

/// Where a proposal stands, in the governor's numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its vote has not opened.
    Pending,
    /// Votes are taken.
    Active,
    /// Taken back, by its proposer or the guardian.
    Canceled,
    /// Too few votes, or more against than for.
    Defeated,
    /// Passed, but not in the timelock yet.
    Succeeded,
    /// In the timelock.
    Queued,
    /// Passed, but no longer to be carried out.
    Expired,
    /// Carried out.
    Executed,
}

impl State {
    fn from_number(number: u8) -> Option<Self> {
        use State::{Active, Canceled, Defeated, Executed, Expired, Pending, Queued, Succeeded};
        let all = [Pending, Active, Canceled, Defeated, Succeeded, Queued, Expired, Executed];
        all.get(usize::from(number)).copied()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// A proposal and its vote.
pub struct Ballot {
    /// The proposal.
    pub proposal: Proposal,
    /// Where it stands.
    pub state: State,
    /// When its vote opens and votes are weighed, in seconds since the epoch.
    pub opens_s: u64,
    votes: Votes,
    closes_s: u64,
    /// When the timelock lets it be carried out; 0 before it is queued.
    eta_s: u64,
    now_s: u64,
}

/// Votes in the token's smallest unit.
struct Votes {
    favour: U256,
    against: U256,
    abstain: U256,
    /// What must be for or abstain; unknown before the vote opens.
    quorum: Option<U256>,
}

impl Ballot {
    /// Reads a proposal and its vote from the chain.
    pub async fn read(chain: &Chain, deployment: &Deployment, id: U256) -> Result<Self, GovError> {
        let proposal = proposed(chain, deployment, id).await?;
        let governor = HygeiaGovernor::new(deployment.governor, &chain.provider);
        let failed = ChainError::call("reading a proposal");
        let state = governor.state(id).call().await.map_err(&failed)?;
        let state = State::from_number(state).ok_or(GovError::UnknownState { number: state })?;
        let opens = governor.proposalSnapshot(id).call().await.map_err(&failed)?;
        let votes = governor.proposalVotes(id).call().await.map_err(&failed)?;
        let quorum = match state {
            // The governor weighs the supply at the vote's opening, and knows no future.
            State::Pending => None,
            _ => Some(governor.quorum(opens).call().await.map_err(&failed)?),
        };
        Ok(Self {
            proposal,
            state,
            opens_s: opens.saturating_to(),
            votes: Votes { favour: votes.forVotes, against: votes.againstVotes, abstain: votes.abstainVotes, quorum },
            closes_s: governor.proposalDeadline(id).call().await.map_err(&failed)?.saturating_to(),
            eta_s: governor.proposalEta(id).call().await.map_err(&failed)?.saturating_to(),
            now_s: governance::chain_time(chain).await?,
        })
    }

    /// Refuses a step that this state does not allow, with what would help.
    pub fn expect(&self, operation: &'static str, state: State) -> Result<(), GovError> {
        let is_locked = state == State::Queued && self.eta_s > self.now_s;
        if self.state == state && !is_locked {
            return Ok(());
        }
        let id = B256::from(self.proposal.id());
        Err(GovError::WrongState { operation, id, state: self.state, next: self.next() })
    }

    /// What may be done next, and when.
    fn next(&self) -> String {
        match self.state {
            State::Pending => format!("its vote opens at {}", self.moment(self.opens_s)),
            State::Active => format!("votes are taken until {}", self.moment(self.closes_s)),
            State::Canceled | State::Defeated | State::Expired => "it is over; propose anew".to_owned(),
            State::Succeeded => "bring it into the timelock with `hygeia gov queue`".to_owned(),
            State::Queued if self.eta_s > self.now_s => {
                format!("the timelock holds it until {}", self.moment(self.eta_s))
            }
            State::Queued => "carry it out with `hygeia gov execute`".to_owned(),
            State::Executed => "it is done".to_owned(),
        }
    }

    /// A time for people, and how far it is by the chain's clock.
    fn moment(&self, at_s: u64) -> String {
        let named = i64::try_from(at_s).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
        let named = named.map_or_else(|| at_s.to_string(), |time| time.to_string());
        match at_s.checked_sub(self.now_s) {
            Some(ahead) => format!("{named} (in {ahead} s)"),
            None => format!("{named} ({} s ago)", self.now_s.saturating_sub(at_s)),
        }
    }

    /// The whole of it, for people.
    pub fn text(&self, deployment: &Deployment) -> String {
        let quorum = self.votes.quorum.map_or_else(|| "known when the vote opens".to_owned(), format_ether);
        let eta = if self.eta_s == 0 { "not queued".to_owned() } else { self.moment(self.eta_s) };
        format!(
            "proposal   {}\nstate      {}: {}\nfor        {}\nagainst    {}\nabstain    {}\nquorum     {quorum}\n\
             opens      {}\ndeadline   {}\neta        {eta}\n{}",
            B256::from(self.proposal.id()),
            self.state,
            self.next(),
            format_ether(self.votes.favour),
            format_ether(self.votes.against),
            format_ether(self.votes.abstain),
            self.moment(self.opens_s),
            self.moment(self.closes_s),
            text_of(&self.proposal, deployment),
        )
    }
}

/// What a proposal says and calls, each call with its arguments.
pub fn text_of(proposal: &Proposal, deployment: &Deployment) -> String {
    let mut text = format!("says       {}\n", one_line(&proposal.description));
    for (number, call) in (1..).zip(&proposal.calls) {
        let (contract, arguments) = decoded(call, deployment);
        // Writing to a text does not fail.
        let _ = writeln!(text, "call {number}     {contract} at {}\n{arguments}", call.target);
    }
    text
}

fn decoded(call: &Call, d: &Deployment) -> (&'static str, String) {
    match call.target {
        to if to == d.model_registry => ("ModelRegistry", arguments::<ModelRegistryCalls>(call)),
        to if to == d.policy_registry => ("PolicyRegistry", arguments::<PolicyRegistryCalls>(call)),
        to if to == d.oracle_registry => ("OracleRegistry", arguments::<OracleRegistryCalls>(call)),
        to if to == d.credential_registry => ("CredentialRegistry", arguments::<CredentialRegistryCalls>(call)),
        to if to == d.care_pool => ("CarePool", arguments::<CarePoolCalls>(call)),
        to if to == d.governor => ("HygeiaGovernor", arguments::<HygeiaGovernorCalls>(call)),
        to if to == d.timelock => ("HygeiaTimelock", arguments::<HygeiaTimelockCalls>(call)),
        to if to == d.token => ("HygeiaToken", arguments::<HygeiaTokenCalls>(call)),
        _ => ("a contract that is not of this deployment,", call.data.to_string()),
    }
}

fn arguments<C: SolInterface + fmt::Debug>(call: &Call) -> String {
    C::abi_decode(&call.data).map_or_else(|_| format!("unknown call {}", call.data), |decoded| format!("{decoded:#?}"))
}

/// The proposal behind an identifier: the governor keeps a hash alone, the event of its proposing all of it.
async fn proposed(chain: &Chain, deployment: &Deployment, id: U256) -> Result<Proposal, GovError> {
    let filter = Filter::new()
        .address(deployment.governor)
        .event_signature(ProposalCreated::SIGNATURE_HASH)
        .from_block(deployment.block);
    let logs = chain.provider.get_logs(&filter).await.map_err(ChainError::rpc("looking for the proposal"))?;
    let events = logs.iter().filter_map(|log| ProposalCreated::decode_log(&log.inner).ok());
    let event = events.into_iter().find(|event| event.proposalId == id);
    let event = event.ok_or(GovError::UnknownProposal { id: id.into(), governor: deployment.governor })?;
    let calls = event.targets.iter().zip(&event.calldatas);
    let calls = calls.map(|(target, data)| Call { target: *target, data: data.clone() }).collect();
    let proposal = Proposal { calls, description: event.description.clone() };
    if proposal.id() == id { Ok(proposal) } else { Err(GovError::NotAsProposed { id: id.into() }) }
}

/// A stranger's words on one line: nothing in them moves the cursor or looks like another line.
pub(super) fn one_line(words: &str) -> String {
    let mut line = String::new();
    for letter in words.chars() {
        match letter {
            '"' | '\'' => line.push(letter),
            letter => line.extend(letter.escape_debug()),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_stays_on_its_line() {
        for (words, line) in [
            ("It's \"fine\": ß, 薬", "It's \"fine\": ß, 薬"),
            ("one\nstate      executed", "one\\nstate      executed"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("\u{202e}turned", "\\u{202e}turned"),
        ] {
            assert_eq!(one_line(words), line);
        }
    }
}
