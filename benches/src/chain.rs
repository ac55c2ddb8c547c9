//! What a verification costs on a chain: a real EVM node, the compiled contract, one transaction.

use std::path::Path;
use std::process::Command;

use alloy::network::TransactionBuilder;
use alloy::primitives::Bytes;
use alloy::providers::{Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use hygeia_node::demo::processes::{Anvil, Tools};
use serde_json::Value;

/// A verifier contract on a chain.
pub struct Verification {
    /// Gas of a transaction that verifies, its calldata included.
    pub gas: u64,
    /// Bytes of the contract.
    pub contract_bytes: u64,
}

/// Compiles the contract that a prover left in its folder, deploys it, and sends it the proof that lies beside it. A proof
/// with one bit changed must be refused.
pub async fn verify(folder: &Path, tools: &Path) -> Verification {
    try_verify(folder, tools).await.expect("the contract compiles")
}

/// The same; nothing where the contract does not compile to what a chain takes.
pub async fn try_verify(folder: &Path, tools: &Path) -> Option<Verification> {
    let compiled = folder.join("verifier.json");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/tools/compile-verifier.mjs");
    let status = Command::new("node").arg(script).arg(folder.join("verifier.sol")).arg(&compiled).status();
    if !status.expect("node starts").success() {
        return None;
    }
    let text = std::fs::read_to_string(&compiled).expect("the compiled contract");
    let compiled: Value = serde_json::from_str(&text).expect("it is JSON");
    let code: Bytes = compiled["bytecode"].as_str().expect("bytecode").parse().expect("hexadecimal");
    let calldata = std::fs::read(folder.join("calldata.bin")).expect("a proof was made");

    let tools = Tools::at(tools).expect("`cargo xtask setup` installs anvil");
    let anvil = Anvil::start(&tools, &folder.join("anvil"), 1_800_000_000).await.expect("anvil starts");
    let provider = ProviderBuilder::new().connect_http(anvil.url().parse().expect("an address"));
    let from = provider.get_accounts().await.expect("the chain answers")[0];
    let send = async |request: TransactionRequest| {
        let sent = provider.send_transaction(request.from(from)).await.expect("the chain takes it");
        sent.get_receipt().await.expect("a receipt")
    };
    let deployed = send(TransactionRequest::default().with_deploy_code(code)).await;
    let contract = deployed.contract_address.expect("a contract");
    let verified = send(TransactionRequest::default().to(contract).input(calldata.clone().into())).await;
    assert!(verified.status(), "the contract accepts the proof");
    let mut forged = calldata;
    let middle = forged.len() / 2;
    forged[middle] ^= 1;
    let refused =
        provider.call(TransactionRequest::default().from(from).to(contract).gas_limit(2_000_000).input(forged.into()));
    assert!(refused.await.is_err(), "the contract refuses a changed proof");
    anvil.stop().await;
    Some(Verification { gas: verified.gas_used, contract_bytes: compiled["deployedBytes"].as_u64().expect("a number") })
}
