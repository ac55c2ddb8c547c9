//! The keeper of cases on a real nats-server: what the streams have is what the stores have, also when the network's store
//! was away, after a restart, and when a mandate is revoked.

#[path = "case_memory/stand_in.rs"]
mod stand_in;
mod support;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hygeia_inference::package::ModelPackage;
use hygeia_inference::schema::ClinicalState;
use hygeia_node::bus::Bus;
use hygeia_node::demo::processes::NatsServer;
use hygeia_node::memory::{CaseKey, CaseStore, Embedding, FoundCase, Keeper, KeeperParts, OwnCases, QdrantCases};
use hygeia_node::telemetry::Metrics;
use hygeia_protocol::message::{
    Address, Alert, AlertOutcome, AttestedWindow, B32, ClinicalSummary, Message, Outcome, ProofMode, ProofRequest,
    Salt, Settlement, SettlementStatus, Signature, V1,
};
use hygeia_protocol::subject::{self, Stream};
use stand_in::StandIn;
use tokio_util::sync::CancellationToken;

/// How long to wait for a state that must come.
const PATIENCE: Duration = Duration::from_secs(60);
const KEY: CaseKey = CaseKey::new([9; 32]);
const ALICE: B32 = B32::new([0xa1; 32]);
const BOB: B32 = B32::new([0xb0; 32]);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_have_what_the_streams_have() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start(&support::tools(), &dir.path().join("nats")).await.unwrap();
    let bus = Bus::connect(nats.url(), PATIENCE).await.unwrap();
    bus.ensure_streams().await.unwrap();

    // Three alerts of two patients, and one of another model, while the network's store is away.
    let raised = [request(&ALICE, 3_600), request(&BOB, 3_600), request(&ALICE, 7_200)];
    for request in &raised {
        publish(&bus, Stream::ProofRequests, subject::PROVE_REQUEST, request).await;
    }
    let foreign = ProofRequest { model: B32::new([7; 32]), alert_id: B32::new([8; 32]), ..request(&BOB, 7_200) };
    publish(&bus, Stream::ProofRequests, subject::PROVE_REQUEST, &foreign).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let kept = Kept::start(&bus, &format!("http://{port}"));
    until("its own cases are there", async || kept.own.count().await == Ok(3)).await;
    until("writing was tried", async || kept.metrics.render().contains("hygeia_case_writes_failed_total")).await;

    let server = StandIn::start_at(port).await;
    until("what was raised meanwhile is made up for", async || kept.shared.count().await == Ok(3)).await;
    assert_eq!(kept.own.count().await, Ok(3), "another model's alert is no case of this one");

    outcomes_reach_both(&bus, &kept, &raised).await;
    a_restart_reads_the_stream_again(&bus, &server, &kept).await;
    a_revoked_mandate_is_forgotten(&bus, &kept).await;
    kept.stop.cancel();
    nats.stop().await;
}

async fn outcomes_reach_both(bus: &Bus, kept: &Kept, raised: &[ProofRequest]) {
    publish(bus, Stream::Settlements, subject::SETTLEMENT, &settlement(&raised[1])).await;
    until("what the chain did", async || kept.outcomes().await == both(&[Outcome::CareTriggered])).await;
    let word = |outcome, said_at_ms| AlertOutcome { v: V1, alert_id: raised[1].alert_id, outcome, said_at_ms };
    publish(bus, Stream::Outcomes, subject::OUTCOME, &word(Outcome::Dismissed, 1)).await;
    until("what a person says", async || kept.outcomes().await == both(&[Outcome::Dismissed])).await;
}

/// A second process starts with nothing of its own.
async fn a_restart_reads_the_stream_again(bus: &Bus, server: &StandIn, first: &Kept) {
    let second = Kept::start(bus, &server.url());
    until("cases and outcomes are read again", async || second.outcomes().await == both(&[Outcome::Dismissed])).await;
    assert_eq!(second.own.count().await, Ok(3));
    assert_eq!(first.shared.count().await, Ok(3), "and the network's are as they were");
    second.stop.cancel();
}

async fn a_revoked_mandate_is_forgotten(bus: &Bus, kept: &Kept) {
    kept.revoked.lock().unwrap_or_else(PoisonError::into_inner).push(ALICE);
    until("both stores forget", async || (kept.own.count().await, kept.shared.count().await) == (Ok(1), Ok(1))).await;
    assert_eq!(kept.outcomes().await, both(&[Outcome::Dismissed]), "the other patient's case stays");
    until("it is counted", async || kept.metrics.render().contains("hygeia_case_mandates_forgotten_total 1")).await;

    // An alert of hers that was on its way all the same leaves no case; one after it does.
    publish(bus, Stream::ProofRequests, subject::PROVE_REQUEST, &request(&ALICE, 10_800)).await;
    publish(bus, Stream::ProofRequests, subject::PROVE_REQUEST, &request(&BOB, 10_800)).await;
    until("the next case is there", async || (kept.own.count().await, kept.shared.count().await) == (Ok(2), Ok(2)))
        .await;
}

/// A keeper with its stores.
struct Kept {
    own: Arc<OwnCases>,
    shared: Arc<dyn CaseStore>,
    metrics: Metrics,
    revoked: Arc<Mutex<Vec<B32>>>,
    stop: CancellationToken,
}

impl Kept {
    fn start(bus: &Bus, url: &str) -> Self {
        let model = ModelPackage::default_model();
        let hash = B32::new(model.hash());
        let kept = Self {
            own: Arc::default(),
            shared: Arc::new(QdrantCases::at(url, &hash).unwrap()),
            metrics: Metrics::default(),
            revoked: Arc::default(),
            stop: CancellationToken::new(),
        };
        let parts = KeeperParts {
            bus: bus.clone(),
            key: KEY,
            model: hash,
            network: model.network().clone(),
            own: kept.own.clone(),
            shared: Some(kept.shared.clone()),
            metrics: kept.metrics.clone(),
            stop: kept.stop.clone(),
        };
        let revoked = kept.revoked.clone();
        Keeper::start(parts, move || revoked.lock().unwrap_or_else(PoisonError::into_inner).clone());
        kept
    }

    /// The outcomes that the process's own store and the network's know.
    async fn outcomes(&self) -> [Vec<Outcome>; 2] {
        let known = |found: Vec<FoundCase>| found.into_iter().filter_map(|case| case.outcome).collect();
        let embedding = Embedding::of(ModelPackage::default_model().network(), &features(3_600)).unwrap();
        let own = self.own.search(&embedding, 10).await.map_or_else(|_| Vec::new(), known);
        let shared = self.shared.search(&embedding, 10).await.map_or_else(|_| Vec::new(), known);
        [own, shared]
    }
}

fn both(outcomes: &[Outcome]) -> [Vec<Outcome>; 2] {
    [outcomes.to_vec(), outcomes.to_vec()]
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn publish<T: Message>(bus: &Bus, stream: Stream, subject: &str, message: &T) {
    bus.publish(stream, subject.to_owned(), &message.message_id(), message.encode()).await.unwrap();
}

fn features(end: u64) -> Vec<i32> {
    let state = ClinicalState { hours_observed: u32::try_from(end / 3_600).unwrap(), ..ClinicalState::default() };
    ModelPackage::default_model().schema().features(&state)
}

fn request(mandate: &B32, end: u64) -> ProofRequest {
    let model = ModelPackage::default_model();
    let (schema, hash) = (B32::new(model.schema().hash()), B32::new(model.hash()));
    let window_id = AttestedWindow::id(mandate, end, &schema);
    let policy = B32::new([3; 32]);
    let window = AttestedWindow {
        v: V1,
        window_id,
        mandate: *mandate,
        end,
        schema,
        features: features(end),
        salt: Salt::new([1; 16]),
        commitment: B32::new([2; 32]),
        oracle: Address::new([4; 20]),
        signature: Signature::new([5; 65]),
        clinical: ClinicalSummary {
            hours_observed: 0,
            age_years: None,
            sex: None,
            unit: None,
            hours_before_icu: None,
            readings: Default::default(),
        },
        observed_at_ms: 0,
        emitted_at_ms: 0,
    };
    ProofRequest {
        v: V1,
        alert_id: Alert::id(&window_id, &policy, &hash),
        window,
        policy,
        model: hash,
        score: 640,
        requested_at_ms: 0,
        mode: ProofMode::Alert,
    }
}

fn settlement(request: &ProofRequest) -> Settlement {
    Settlement {
        v: V1,
        receipt_id: B32::new([6; 32]),
        alert_id: request.alert_id,
        trigger_id: B32::new([1; 32]),
        transaction: B32::new([2; 32]),
        block: 1,
        gas_used: 1,
        status: SettlementStatus::Triggered,
        reason: None,
        settled_at_ms: 0,
    }
}
