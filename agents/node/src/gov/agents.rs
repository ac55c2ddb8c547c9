//! Agents as ERC-8004 knows them: registering one, and what the chain says of those that are.
//!
//! This module never follows an agent's URI: what lies there is a stranger's.

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::Filter;
use alloy::sol_types::{SolCall as _, SolEvent as _};
use hygeia_policies::agent_identity_registry::AgentIdentityRegistry::{Registered, register_2Call};
use hygeia_policies::{AgentIdentityRegistry, AgentValidationRegistry, OracleRegistry};

use super::{GovError, Session, ballot};
use crate::chain::{AgentRegistries, Chain, ChainError, Deployment};

/// How many agents are shown where none is named: the newest, as many as somebody reads.
const SHOWN_MAX: usize = 50;

impl Session {
    /// Registers an agent of the signer's.
    pub(super) async fn register_agent(&self, uri: &str) -> Result<(), GovError> {
        let registries = registries(&self.deployment)?;
        if !is_uri(uri) {
            return Err(GovError::NoUri { given: ballot::one_line(uri) });
        }
        println!("registry   {}\nfile       {uri}", name_of(&self.chain, registries.identity_registry));
        let data = register_2Call { agentURI: uri.to_owned() }.abi_encode().into();
        let receipt = self.act("registering", registries.identity_registry, data).await?;
        let logs = receipt.iter().flat_map(|receipt| receipt.logs());
        for event in logs.filter_map(|log| Registered::decode_log(&log.inner).ok()) {
            println!("agent      {}", event.agentId);
        }
        Ok(())
    }
}

/// What the chain says of these agents; of the newest that were registered since the deployment where none is named.
pub(super) async fn text_of(chain: &Chain, deployment: &Deployment, ids: &[U256]) -> Result<String, GovError> {
    let registries = registries(deployment)?;
    let found = match ids {
        [] => newest(chain, deployment, registries).await?,
        named => named.to_vec(),
    };
    let mut text = String::new();
    for id in &found {
        text += &describe(chain, deployment, registries, *id).await?;
    }
    if found.is_empty() {
        text =
            format!("no agent was registered at {} since block {}\n", registries.identity_registry, deployment.block);
    }
    Ok(text)
}

fn registries(deployment: &Deployment) -> Result<&AgentRegistries, GovError> {
    deployment.agents.as_ref().ok_or(GovError::NoAgentRegistries)
}

/// The name the world knows the registry by.
fn name_of(chain: &Chain, registry: Address) -> String {
    format!("eip155:{}:{registry}", chain.chain_id)
}

async fn newest(chain: &Chain, deployment: &Deployment, registries: &AgentRegistries) -> Result<Vec<U256>, GovError> {
    let filter = Filter::new()
        .address(registries.identity_registry)
        .event_signature(Registered::SIGNATURE_HASH)
        .from_block(deployment.block);
    let logs = chain.provider.get_logs(&filter).await.map_err(ChainError::rpc("looking for agents"))?;
    let events = logs.iter().rev().filter_map(|log| Registered::decode_log(&log.inner).ok());
    Ok(events.take(SHOWN_MAX).map(|event| event.agentId).collect())
}

async fn describe(
    chain: &Chain,
    deployment: &Deployment,
    registries: &AgentRegistries,
    id: U256,
) -> Result<String, GovError> {
    let agents = AgentIdentityRegistry::new(registries.identity_registry, &chain.provider);
    let failed = ChainError::call("reading an agent");
    let owner = match agents.ownerOf(id).call().await {
        // It reverts for an agent that does not exist, and for nothing else.
        Err(error) if error.as_revert_data().is_some() => {
            return Err(GovError::UnknownAgent { id, registry: registries.identity_registry });
        }
        answer => answer.map_err(&failed)?,
    };
    let wallet = agents.getAgentWallet(id).call().await.map_err(&failed)?;
    let uri = agents.tokenURI(id).call().await.map_err(&failed)?;
    let oracles = OracleRegistry::new(deployment.oracle_registry, &chain.provider);
    let is_oracle = oracles.isActive(wallet).call().await.map_err(&failed)?;
    let validator = registries.inference_validator;
    let validations = AgentValidationRegistry::new(registries.validation_registry, &chain.provider);
    let summary = validations.getSummary(id, vec![validator], String::new()).call().await.map_err(&failed)?;
    let role = if is_oracle { ", a bonded oracle of this network" } else { "" };
    let wallet = if wallet.is_zero() { "none".to_owned() } else { format!("{wallet}{role}") };
    Ok(format!(
        "agent      {id} of {}\nowner      {owner}\nwallet     {wallet}\nfile       {}\nvalidated  {} by {validator}\n",
        name_of(chain, registries.identity_registry),
        ballot::one_line(&uri),
        summary.count,
    ))
}

/// A scheme and something behind it, all of it printable.
fn is_uri(text: &str) -> bool {
    let is_printable = text.chars().all(|letter| letter.is_ascii_graphic());
    let scheme = text.split_once(':').filter(|(_, rest)| !rest.is_empty()).map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
    };
    is_printable && scheme.is_some_and(is_scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_has_a_scheme_and_a_rest() {
        for uri in ["https://prover.example/agent.json", "ipfs://bafy", "data:application/json;base64,e30="] {
            assert!(is_uri(uri), "{uri}");
        }
        for other in ["", "agent.json", "https:", "://agent", "1ftp://a", "https://a b", "https://a\nb", "ht tp://a"] {
            assert!(!is_uri(other), "{other}");
        }
    }
}
