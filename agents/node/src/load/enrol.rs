//! Enrolment of a whole ward: a mandate on chain for each patient, and the record that ties the pseudonym to it.
//!
//! Many transactions are on their way at once, from one account whose count of them is kept here. It never signs for a
//! person: every key is fresh, made for a simulated patient and forgotten.

use std::time::{Duration, Instant};

use alloy::network::TransactionBuilder as _;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::{Filter, TransactionRequest};
use alloy::sol_types::SolEvent as _;
use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hygeia_policies::mandate_registry::MandateRegistry as MandateEvents;
use hygeia_policies::oracle_registry::OracleRegistry as OracleEvents;
use hygeia_policies::policy_registry::PolicyRegistry as PolicyEvents;
use hygeia_policies::{MandateRegistry, OracleRegistry, PolicyRegistry};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::identity::PatientId;

use crate::chain::governance::chain_time;
use crate::chain::signing::MandateKey;
use crate::chain::{Chain, ChainError, Deployment};
use crate::enrolment::Enrolments;

/// Mandates that are sent before the chain is asked whether it has them: what a node keeps of one account's transactions.
const BATCH: usize = 2_000;
/// Requests on their way to the node, or to the broker, at once.
const AT_ONCE: usize = 64;
/// How long a batch may take until it is on the chain.
const MINED_WITHIN: Duration = Duration::from_secs(180);
/// How long its node may take to show what is on it.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);
/// How often the chain is asked.
const POLL: Duration = Duration::from_millis(50);
/// How long a simulated patient consents, in seconds.
const CONSENT_S: u64 = 90 * 86_400;
/// Gas of a block on a local chain: as much as a batch needs, so that enrolment does not wait for blocks.
const LOCAL_BLOCK_GAS: u64 = 1 << 40;

/// What mandates are granted for.
#[derive(Debug, Clone, Copy)]
pub struct Consent {
    /// The care policy.
    pub policy: B256,
    /// The oracle that may attest.
    pub oracle: Address,
}

impl Consent {
    /// What is named, and of the rest the only policy that is active and the only oracle that is registered.
    pub async fn find(
        chain: &Chain,
        deployment: &Deployment,
        policy: Option<B256>,
        oracle: Option<Address>,
    ) -> Result<Self> {
        let policy = match policy {
            Some(policy) => policy,
            None => only("active care policy", "--policy", &active_policies(chain, deployment).await?)?,
        };
        let oracle = match oracle {
            Some(oracle) => oracle,
            None => only("active oracle", "--oracle", &active_oracles(chain, deployment).await?)?,
        };
        Ok(Self { policy, oracle })
    }
}

/// Enrols patients; how many are done is told to `say` after each batch.
pub async fn enrol(
    chain: &Chain,
    deployment: &Deployment,
    payer: Address,
    enrolments: &Enrolments,
    consent: Consent,
    patients: &[PatientId],
    say: &mut dyn FnMut(usize),
) -> Result<()> {
    make_room_in_blocks(chain).await;
    let expires = chain_time(chain).await? + CONSENT_S;
    let mut done = 0;
    for batch in patients.chunks(BATCH) {
        let (ids, grants) = sign(deployment, consent, expires, batch.len()).await?;
        grant(chain, deployment, payer, grants).await?;
        stream::iter(batch.iter().zip(&ids))
            .map(|(patient, id)| enrolments.enrol(patient, B32::new(id.0)))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        done += batch.len();
        say(done);
    }
    Ok(())
}

/// Fresh mandates and their calls. Signing keeps a core busy, so it is done beside the runtime.
async fn sign(
    deployment: &Deployment,
    consent: Consent,
    expires: u64,
    count: usize,
) -> Result<(Vec<B256>, Vec<Bytes>)> {
    let deployment = deployment.clone();
    let signed = move || -> Result<(Vec<B256>, Vec<Bytes>), ChainError> {
        let one = |_| {
            let (mandate, signature) =
                MandateKey::fresh().grant(consent.policy, consent.oracle, expires, &deployment)?;
            let id = mandate.id;
            let call = MandateEvents::grantCall { mandate: (&mandate).into(), signature: signature.to_vec().into() };
            Ok((id, Bytes::from(alloy::sol_types::SolCall::abi_encode(&call))))
        };
        (0..count).map(one).collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().unzip())
    };
    Ok(tokio::task::spawn_blocking(signed).await.context("signing mandates was cut off")??)
}

/// Sends the calls of a batch and waits until each has left its event.
async fn grant(chain: &Chain, deployment: &Deployment, payer: Address, calls: Vec<Bytes>) -> Result<()> {
    let registry = MandateRegistry::new(deployment.mandate_registry, &chain.provider);
    let expected = calls.len();
    let from_block = chain.head().await?;
    let first = count_of(chain, payer).await?;
    let fees = chain.provider.estimate_eip1559_fees().await.map_err(ChainError::rpc("asking for fees"))?;
    let request =
        |call: Bytes| TransactionRequest::default().with_from(payer).with_to(*registry.address()).with_input(call);
    let sample = calls.first().cloned().unwrap_or_default();
    let gas = chain.provider.estimate_gas(request(sample)).await.map_err(ChainError::rpc("granting a mandate"))?;
    let requests = (first..).zip(calls).map(|(nonce, call)| {
        request(call)
            .with_nonce(nonce)
            .with_chain_id(chain.chain_id)
            // Signatures differ in their zero bytes, and those are cheaper.
            .with_gas_limit(gas + gas / 10)
            // Full blocks raise the base fee by an eighth each: this lasts for five of them.
            .with_max_fee_per_gas(fees.max_fee_per_gas * 2)
            .with_max_priority_fee_per_gas(fees.max_priority_fee_per_gas)
    });
    stream::iter(requests)
        .map(|request| async move {
            let sent = chain.provider.send_transaction(request).await;
            sent.map(drop).map_err(ChainError::rpc("granting a mandate"))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    wait_until(MINED_WITHIN, async || Ok(count_of(chain, payer).await? >= first + expected as u64))
        .await?
        .with_context(|| format!("the chain did not take {expected} mandates within {} s", MINED_WITHIN.as_secs()))?;
    let granted = Filter::new()
        .from_block(from_block)
        .address(deployment.mandate_registry)
        .event_signature(MandateEvents::MandateGranted::SIGNATURE_HASH);
    let all_granted = async || {
        let logs = chain.provider.get_logs(&granted).await.map_err(ChainError::rpc("reading the mandates' events"))?;
        Ok(logs.len() >= expected)
    };
    // A node may count a transaction a moment before it shows its event.
    wait_until(SHOWN_WITHIN, all_granted).await?.context("the chain refused some of the mandates")
}

/// Asks until it is so; `None` when the time is over.
async fn wait_until(within: Duration, so: impl AsyncFn() -> Result<bool>) -> Result<Option<()>> {
    let until = Instant::now() + within;
    while !so().await? {
        if Instant::now() >= until {
            return Ok(None);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(Some(()))
}

async fn count_of(chain: &Chain, payer: Address) -> Result<u64> {
    let count = chain.provider.get_transaction_count(payer).await;
    Ok(count.map_err(ChainError::rpc("counting the payer's transactions"))?)
}

/// A node of a local chain lets its blocks be made larger; another one refuses, and enrolment goes at its pace.
async fn make_room_in_blocks(chain: &Chain) {
    let asked: Result<bool, _> =
        chain.provider.raw_request("evm_setBlockGasLimit".into(), (U256::from(LOCAL_BLOCK_GAS),)).await;
    if let Err(reason) = asked {
        tracing::info!(%reason, "blocks keep their size");
    }
}

async fn active_policies(chain: &Chain, deployment: &Deployment) -> Result<Vec<B256>> {
    let registry = PolicyRegistry::new(deployment.policy_registry, &chain.provider);
    let mut active = Vec::new();
    for log in
        events(chain, deployment, deployment.policy_registry, PolicyEvents::PolicyApproved::SIGNATURE_HASH).await?
    {
        let id = PolicyEvents::PolicyApproved::decode_log(&log.inner)?.policyId;
        if registry.isActive(id).call().await.map_err(ChainError::call("asking for a policy's state"))? {
            active.push(id);
        }
    }
    Ok(active)
}

async fn active_oracles(chain: &Chain, deployment: &Deployment) -> Result<Vec<Address>> {
    let registry = OracleRegistry::new(deployment.oracle_registry, &chain.provider);
    let mut active = Vec::new();
    for log in
        events(chain, deployment, deployment.oracle_registry, OracleEvents::OracleAdmitted::SIGNATURE_HASH).await?
    {
        let oracle = OracleEvents::OracleAdmitted::decode_log(&log.inner)?.oracle;
        if registry.isActive(oracle).call().await.map_err(ChainError::call("asking for an oracle's state"))? {
            active.push(oracle);
        }
    }
    Ok(active)
}

async fn events(
    chain: &Chain,
    deployment: &Deployment,
    contract: Address,
    signature: B256,
) -> Result<Vec<alloy::rpc::types::Log>, ChainError> {
    let filter = Filter::new().from_block(deployment.block).address(contract).event_signature(signature);
    chain.provider.get_logs(&filter).await.map_err(ChainError::rpc("reading the registries' events"))
}

/// The only one; else which flag chooses.
fn only<T: Copy + std::fmt::Display>(what: &str, flag: &str, found: &[T]) -> Result<T> {
    match found {
        [one] => Ok(*one),
        [] => bail!("there is no {what} on this chain: hold a vote first"),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            bail!("there are several of them; name one {what} with {flag}: {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_one_is_taken_and_of_several_none() {
        assert_eq!(only("oracle", "--oracle", &[3]).unwrap(), 3);
        for found in [&[][..], &[3, 4]] {
            let error = only("oracle", "--oracle", found).unwrap_err().to_string();
            assert!(error.contains("oracle"), "{error}");
        }
        let error = only("oracle", "--oracle", &[3, 4]).unwrap_err().to_string();
        assert!(error.ends_with("--oracle: 3, 4"), "{error}");
    }
}
