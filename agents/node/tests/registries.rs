//! The watcher of the registries on real contracts and a real node, and on one that answers wrong.

#[path = "registries/scene.rs"]
mod scene;
mod support;

use hygeia_protocol::bytes::B32;
use scene::{Lie, Scene};

/// Blocks on top of an approval before it counts.
const CONFIRMATIONS: u64 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_waits_for_its_confirmations_and_a_suspension_for_nothing() {
    let scene = Scene::begin(CONFIRMATIONS).await;
    let policy = scene.approve().await;
    scene.until("the approval is seen", |view| view.policy(&policy).is_some()).await;
    assert!(!scene.is_live(&policy), "no block stands on it");
    scene.mine(1).await;
    scene.until_head().await;
    assert!(!scene.is_live(&policy), "one block does");
    scene.mine(1).await;
    scene.until("two do", |view| view.live_policies().any(|live| live.id == policy)).await;

    let suspended_in = scene.suspend().await;
    let seen = scene.until("it is suspended", |view| view.live_policies().count() == 0).await;
    assert_eq!(seen.head().unwrap().number, suspended_in, "in the view of its very block");
    scene.reinstate().await;
    scene.until_head().await;
    assert!(!scene.is_live(&policy), "a reinstatement is an approval");
    scene.mine(2).await;
    scene.until("it is back", |view| view.live_policies().count() == 1).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_that_is_organised_away_comes_back_late() {
    let scene = Scene::begin(CONFIRMATIONS).await;
    let policy = scene.approve().await;
    scene.mine(3).await;
    let suspended_in = scene.suspend().await;
    scene.mine(4).await;
    scene.until_head().await;
    assert!(!scene.is_live(&policy));

    scene.reorganise(5).await;
    let view = scene.until_head().await;
    assert_eq!(view.head().unwrap().number, suspended_in + 4, "the new branch is as long as the old");
    scene.until("the chain has grown past it", |view| view.live_policies().count() == 1).await;
    assert!(scene.head().await >= suspended_in + CONFIRMATIONS);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_set_back_is_followed_once_it_goes_on_another_way() {
    let scene = Scene::begin(CONFIRMATIONS).await;
    let policy = scene.approve().await;
    let mandate = scene.grant(&policy).await;
    scene.mine(2).await;
    scene.until("consent is live", |view| view.consented(&mandate).is_some()).await;
    let snapshot = scene.snapshot().await;
    let revoked_in = scene.revoke(&mandate).await;
    scene.until("consent is taken back", |view| view.consented(&mandate).is_none()).await;

    scene.set_back(snapshot).await;
    assert_eq!(scene.head().await, revoked_in - 1);
    scene.unchanged_for_polls().await;
    assert!(scene.view().consented(&mandate).is_none(), "a node behind our head changes nothing");

    scene.mine_later(1).await;
    let view = scene.until_head().await;
    assert_eq!(view.head().unwrap().number, revoked_in, "another block stands where the revocation stood");
    assert!(view.consented(&mandate).is_none(), "which lifts nothing yet");
    scene.mine(CONFIRMATIONS).await;
    scene.until("it is the chain's word", |view| view.consented(&mandate).is_some()).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_a_revocation_out_is_not_followed() {
    for lie in [Lie::LogsLeftOut, Lie::ReceiptsLeftOut, Lie::FilterForged] {
        let scene = Scene::begin(CONFIRMATIONS).await;
        let policy = scene.approve().await;
        let mandate = scene.grant(&policy).await;
        scene.mine(2).await;
        scene.until("consent is live", |view| view.consented(&mandate).is_some()).await;

        scene.tell(lie);
        let revoked_in = scene.revoke(&mandate).await;
        scene.mine(3).await;
        scene.unchanged_for_polls().await;
        let stands = scene.view().head().unwrap().number;
        assert!(stands < revoked_in, "{lie:?}: the last view stands, of block {stands}");

        scene.tell(Lie::None);
        scene.until("the node answers in full again", |view| view.consented(&mandate).is_none()).await;
        scene.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_outlives_a_node_that_is_behind_or_on_another_chain() {
    let scene = Scene::begin(CONFIRMATIONS).await;
    let policy = scene.approve().await;
    let mandate = scene.grant(&policy).await;
    scene.mine(2).await;
    scene.revoke(&mandate).await;
    scene.mine(3).await;
    scene.until_head().await;
    assert!(scene.view().consented(&mandate).is_none() && scene.is_live(&policy));

    for lie in [Lie::HeadBehind(4), Lie::OtherNode] {
        scene.tell(lie);
        scene.mine(1).await;
        scene.unchanged_for_polls().await;
        assert!(scene.view().consented(&mandate).is_none(), "{lie:?}");
        assert!(scene.is_live(&policy), "{lie:?}: what was approved stands as well");
        scene.tell(Lie::None);
        scene.until_head().await;
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_with_its_state_is_followed_on() {
    let scene = Scene::begin(CONFIRMATIONS).await;
    let policy = scene.approve().await;
    scene.mine(3).await;
    scene.until("it is live", |view| view.live_policies().count() == 1).await;
    scene.restart_node().await;
    scene.unchanged_for_polls().await;
    assert!(scene.is_live(&policy));
    scene.suspend().await;
    scene.until("its next blocks are read", |view| view.live_policies().count() == 0).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_grew_far_while_nobody_looked_is_read_anew() {
    let scene = Scene::begin(CONFIRMATIONS).await;
    let policy = scene.approve().await;
    scene.mine(2).await;
    scene.until("it is live", |view| view.live_policies().count() == 1).await;
    scene.tell(Lie::Silent);
    let mandate = scene.grant(&policy).await;
    let other: B32 = scene.grant(&policy).await;
    scene.revoke(&mandate).await;
    scene.mine(300).await;
    scene.unchanged_for_polls().await;
    scene.tell(Lie::None);
    scene.until("the others' consent is read", |view| view.consented(&other).is_some()).await;
    assert!(scene.view().consented(&mandate).is_none());
    assert!(scene.is_live(&policy));
    scene.end().await;
}
