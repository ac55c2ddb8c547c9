//! The memory of similar cases: one suite that every store of cases passes, and what becomes of alerts and cases when a
//! store is slow, absent or talks nonsense.
//!
//! The suite runs against the process's own store, against Qdrant's client with a stand-in for its server, and against a
//! real Qdrant where `QDRANT_URL` names one.

#[path = "case_memory/stand_in.rs"]
mod stand_in;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hygeia_node::memory::{
    Case, CaseId, CaseKey, CaseMemory, CaseStore, Embedding, FoundCase, MandateTag, OwnCases, QdrantCases, StoreError,
    collection_of,
};
use hygeia_node::telemetry::Metrics;
use hygeia_protocol::message::{B32, Outcome};
use stand_in::StandIn;
use tokio::io::AsyncWriteExt as _;

const KEY: CaseKey = CaseKey::new([9; 32]);
const ALICE: B32 = B32::new([0xa1; 32]);
const BOB: B32 = B32::new([0xb0; 32]);

fn alert(n: u8) -> B32 {
    B32::new([n; 32])
}

fn case(n: u8, mandate: &B32, direction: [f64; 3], score: i64) -> Case {
    Case::new(&KEY, &alert(n), mandate, Embedding::scaled(&direction), score)
}

#[tokio::test]
async fn the_own_store_is_a_store_of_cases() {
    conforms(&OwnCases::default()).await;
}

#[tokio::test]
async fn qdrants_client_is_a_store_of_cases() {
    let server = StandIn::start().await;
    conforms(&QdrantCases::at(&server.url(), &alert(0)).unwrap()).await;
}

/// Runs where a Qdrant is; elsewhere it says so, since nothing else stands for one.
#[tokio::test]
async fn a_real_qdrant_is_a_store_of_cases() {
    let Ok(url) = std::env::var("QDRANT_URL") else {
        eprintln!("QDRANT_URL names no server: the suite was not run against a real Qdrant");
        return;
    };
    let model = B32::new(rand::random());
    conforms(&QdrantCases::at(&url, &model).unwrap()).await;
    let client = qdrant_client::Qdrant::from_url(&url).build().unwrap();
    client.delete_collection(collection_of(&model)).await.unwrap();
}

/// What every store of cases does.
async fn conforms(store: &dyn CaseStore) {
    an_empty_one_has_nothing(store).await;
    the_nearest_come_first(store).await;
    a_case_is_kept_once(store).await;
    outcomes_are_noted(store).await;
    a_mandates_cases_are_deleted(store).await;
}

async fn an_empty_one_has_nothing(store: &dyn CaseStore) {
    assert_eq!(store.count().await, Ok(0));
    assert_eq!(store.search(&Embedding::scaled(&[1.0, 0.0, 0.0]), 3).await, Ok(Vec::new()));
    assert_eq!(store.set_outcome(KEY.case(&alert(1)), Outcome::Confirmed).await, Ok(false));
    assert_eq!(store.forget(&[KEY.mandate(&ALICE)]).await, Ok(()));
}

async fn the_nearest_come_first(store: &dyn CaseStore) {
    for case in [
        case(1, &ALICE, [1.0, 0.0, 0.0], 640),
        case(2, &BOB, [0.0, 1.0, 0.0], -1280),
        case(3, &ALICE, [1.0, 1.0, 0.0], 1920),
    ] {
        store.remember(&case).await.unwrap();
    }
    assert_eq!(store.count().await, Ok(3));
    let found = near_y(store, 3).await;
    let scores: Vec<i64> = found.iter().map(|case| case.score).collect();
    assert_eq!(scores, [-1280, 1920, 640]);
    // The cosines of (0.1, 1, 0) with the three, in millionths.
    for (case, expected) in found.iter().zip([995_037_i64, 773_957, 99_504]) {
        let difference = i64::from(case.similarity_ppm) - expected;
        assert!(difference.abs() < 50, "{case:?} is not {expected} near");
    }
    assert_eq!(near_y(store, 1).await.len(), 1, "no more than asked for");
}

async fn a_case_is_kept_once(store: &dyn CaseStore) {
    store.remember(&case(2, &BOB, [1.0, 0.0, 0.0], 64)).await.unwrap();
    assert_eq!(store.count().await, Ok(3));
    assert_eq!(near_y(store, 1).await[0].score, -1280, "as it was first");
}

async fn outcomes_are_noted(store: &dyn CaseStore) {
    let id = KEY.case(&alert(2));
    for (outcome, known) in [
        (Outcome::ChainRefused, Outcome::ChainRefused),
        (Outcome::CareTriggered, Outcome::CareTriggered),
        (Outcome::Dismissed, Outcome::Dismissed),
        (Outcome::CareTriggered, Outcome::Dismissed),
    ] {
        assert_eq!(store.set_outcome(id, outcome).await, Ok(true));
        let found = near_y(store, 3).await;
        assert_eq!(found[0].outcome, Some(known), "after {outcome:?}");
        assert!(found[1..].iter().all(|other| other.outcome.is_none()), "no other case's");
    }
    store.remember(&case(2, &BOB, [0.0, 1.0, 0.0], -1280)).await.unwrap();
    assert_eq!(near_y(store, 1).await[0].outcome, Some(Outcome::Dismissed), "remembered again");
    assert_eq!(store.set_outcome(KEY.case(&alert(77)), Outcome::Confirmed).await, Ok(false), "no such case");
}

async fn a_mandates_cases_are_deleted(store: &dyn CaseStore) {
    store.forget(&[KEY.mandate(&alert(99))]).await.unwrap();
    assert_eq!(store.count().await, Ok(3), "somebody else's mandate");
    store.forget(&[CaseKey::new([1; 32]).mandate(&ALICE)]).await.unwrap();
    assert_eq!(store.count().await, Ok(3), "another network's name of it");
    // More than one call holds.
    let mut many: Vec<MandateTag> = (0..300).map(|_| KEY.mandate(&B32::new(rand::random()))).collect();
    many.push(KEY.mandate(&ALICE));
    store.forget(&many).await.unwrap();
    assert_eq!(store.count().await, Ok(1));
    assert_eq!(near_y(store, 3).await.iter().map(|case| case.score).collect::<Vec<_>>(), [-1280], "the other's stays");
    store.forget(&many).await.unwrap();
    assert_eq!(store.count().await, Ok(1), "deleted again");
}

async fn near_y(store: &dyn CaseStore, limit: usize) -> Vec<FoundCase> {
    store.search(&Embedding::scaled(&[0.1, 1.0, 0.0]), limit).await.unwrap()
}

#[tokio::test]
async fn a_server_learns_no_identity_and_comes_back_empty_without_harm() {
    let server = StandIn::start().await;
    let store = QdrantCases::at(&server.url(), &alert(0)).unwrap();
    let first = case(1, &ALICE, [1.0, 0.0, 0.0], 1000);
    store.remember(&first).await.unwrap();
    let told = server.told();
    assert!(told.contains(&first.id.to_string()) && told.contains(&first.mandate.to_string()), "{told}");
    for public in [ALICE.to_hex(), alert(1).to_hex(), "1000".to_owned()] {
        assert!(!told.contains(&public[..public.len().min(8)]), "what stands on chain leads to no case");
    }

    server.wipe();
    let away = store.remember(&first).await.unwrap_err();
    assert!(away.is_passing(), "{away}");
    store.remember(&first).await.unwrap();
    assert_eq!(store.count().await, Ok(1), "the collection was made anew");
}

/// A memory with one case of its own, which is what an alert gets when the network's store does not answer.
fn memory(shared: impl CaseStore + 'static, metrics: &Metrics) -> CaseMemory {
    let own = OwnCases::default();
    own.keep(&case(1, &ALICE, [1.0, 0.0, 0.0], 640));
    CaseMemory::new(Arc::new(own), Some(Arc::new(shared)), metrics.clone())
}

async fn own_cases_serve(memory: &CaseMemory) {
    let found = memory.search(Embedding::scaled(&[1.0, 0.0, 0.0])).cases().await;
    assert_eq!(found.iter().map(|case| case.score).collect::<Vec<_>>(), [640]);
}

fn unavailable(metrics: &Metrics) -> u64 {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix("hygeia_similar_cases_unavailable_total "));
    line.map_or(0, |count| count.parse().unwrap())
}

/// Never answers, and counts how often it was asked.
#[derive(Clone, Default)]
struct Silent(Arc<AtomicU32>);

impl CaseStore for Silent {
    fn search<'a>(&'a self, _: &'a Embedding, _: usize) -> BoxFuture<'a, Result<Vec<FoundCase>, StoreError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        futures::future::pending().boxed()
    }

    fn remember<'a>(&'a self, _: &'a Case) -> BoxFuture<'a, Result<(), StoreError>> {
        futures::future::pending().boxed()
    }

    fn set_outcome(&self, _: CaseId, _: Outcome) -> BoxFuture<'_, Result<bool, StoreError>> {
        futures::future::pending().boxed()
    }

    fn forget<'a>(&'a self, _: &'a [MandateTag]) -> BoxFuture<'a, Result<(), StoreError>> {
        futures::future::pending().boxed()
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        futures::future::pending().boxed()
    }
}

#[tokio::test]
async fn a_store_that_never_answers_is_asked_three_times_and_then_left_alone() {
    let (store, metrics) = (Silent::default(), Metrics::default());
    let memory = memory(store.clone(), &metrics);
    let begun = Instant::now();
    for _ in 0..100 {
        own_cases_serve(&memory).await;
    }
    // One trial after each pause, of which the shortest is a second.
    let trials = u32::try_from(begun.elapsed().as_secs()).unwrap();
    let asked = store.0.load(Ordering::Relaxed);
    assert!((3..=3 + trials).contains(&asked), "asked {asked} times, {trials} trials");
    assert_eq!(unavailable(&metrics), 100, "each alert that went without is counted");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_holds_nothing_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    not_held_up_by(&url).await;
    server.abort();
}

#[tokio::test]
async fn a_server_that_talks_nonsense_holds_nothing_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nmoo\0\xff").await;
        }
    });
    not_held_up_by(&url).await;
    server.abort();
}

#[tokio::test]
async fn an_absent_server_holds_nothing_up() {
    // A port of the loopback interface that was just free: nothing answers there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    not_held_up_by(&format!("http://{free}")).await;
}

/// Searches end with the process's own cases, and a write fails in a way that is tried again.
async fn not_held_up_by(url: &str) {
    let metrics = Metrics::default();
    let memory = memory(QdrantCases::at(url, &alert(0)).unwrap(), &metrics);
    for _ in 0..10 {
        own_cases_serve(&memory).await;
    }
    assert_eq!(unavailable(&metrics), 10);
    let writing = QdrantCases::at(url, &alert(0)).unwrap();
    let error = writing.remember(&case(1, &ALICE, [1.0, 0.0, 0.0], 640)).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
}

#[tokio::test]
async fn a_store_that_answers_is_what_is_shown() {
    let (server, metrics) = (StandIn::start().await, Metrics::default());
    let store = QdrantCases::at(&server.url(), &alert(0)).unwrap();
    store.remember(&case(5, &BOB, [1.0, 0.0, 0.0], 128)).await.unwrap();
    store.set_outcome(KEY.case(&alert(5)), Outcome::Confirmed).await.unwrap();
    let memory = memory(store, &metrics);
    // A slow machine may miss the budget once or twice; the network's case comes all the same.
    for _ in 0..1_000 {
        let found = memory.nearest(&Embedding::scaled(&[1.0, 0.0, 0.0])).await;
        if found[0].score == 128 {
            assert_eq!(found[0].outcome.as_deref(), Some("confirmed"));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the network's store never answered in time");
}
