//! The chain re-organised, started again, and answering late.

use std::time::Duration;

use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi as _;
use alloy::rpc::types::anvil::ReorgOptions;

use crate::scene::Scene;

/// Blocks that are taken back.
const DEPTH: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more; `cargo xtask faults` runs it"]
async fn a_chain_may_take_ten_blocks_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let replaying = scene.replay(Duration::from_secs(45));
    tokio::time::sleep(Duration::from_secs(14)).await;
    let head = scene.network.chain.provider.get_block_number().await.unwrap();
    assert!(head > DEPTH);
    let options = ReorgOptions { depth: DEPTH, tx_block_pairs: Vec::new() };
    scene.network.chain.provider.anvil_reorg(options).await.unwrap();
    scene.time_recovery("ten blocks re-organised").await;
    scene.check(replaying).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more; `cargo xtask faults` runs it"]
async fn a_chain_may_be_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let replaying = scene.replay(Duration::from_secs(45));
    tokio::time::sleep(Duration::from_secs(8)).await;
    scene.network.anvil.restart(Duration::from_secs(5)).await.unwrap();
    scene.network.mine_by_interval().await.unwrap();
    scene.time_recovery("chain started again").await;
    scene.check(replaying).await;
}
