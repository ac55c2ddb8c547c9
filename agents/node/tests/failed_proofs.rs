//! A proof that fails is made again by the queue, and put aside visibly when its time is over; what no prover could prove
//! is refused at once; an engine that hangs holds up nobody else's alerts.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hygeia_node::bus::{Bus, BusSettings, SlowQueue};
use hygeia_node::clock::now_ms;
use hygeia_node::demo::processes::NatsServer;
use hygeia_node::journal::{self, Journal};
use hygeia_node::roles::prover::ProveError;
use hygeia_node::roles::prover::alert::{self, AlertProofs};
use hygeia_node::roles::prover::lanes::Lanes;
use hygeia_node::telemetry::Metrics;
use hygeia_protocol::bytes::{Address, B32, Salt, Signature};
use hygeia_protocol::journal::{Fact, JournalEntry};
use hygeia_protocol::message::{
    AttestedWindow, ClinicalSummary, DeadLetter, Message, ProofMode, ProofRequest, Receipt, V1,
};
use hygeia_protocol::retry::RetryRules;
use hygeia_protocol::subject::{self, Stream};
use hygeia_zkml::VerifyError;
use hygeia_zkml::engine::{self, Engine, Proof};
use hygeia_zkml::statement::{CommitmentScheme, PublicInputs};
use tokio_util::sync::CancellationToken;

const FEATURES: [i32; 4] = [1, 2, 3, 4];
const SALT: [u8; 16] = [7; 16];
const SCHEMA: [u8; 32] = [3; 32];
const SCORE: i64 = 42;
/// At once, so that no test waits for a pause to pass.
const AT_ONCE: RetryRules = RetryRules { pause_s_min: 0, pause_s_max: 0, give_up_after_s: 3_600, tries_min: 3 };

/// Proves what it is told to: fails so many times first, or hangs until it is let go.
struct Faked {
    key: u8,
    failures: AtomicU64,
    tries: AtomicU64,
    hangs: Mutex<bool>,
    let_go: Condvar,
}

impl Faked {
    fn new(key: u8, failures: u64) -> Arc<Self> {
        let (failures, tries) = (AtomicU64::new(failures), AtomicU64::new(0));
        Arc::new(Self { key, failures, tries, hangs: Mutex::new(false), let_go: Condvar::new() })
    }

    fn hanging(key: u8) -> Arc<Self> {
        let faked = Self::new(key, 0);
        *faked.hangs.lock().unwrap() = true;
        faked
    }

    fn lets_go(&self) {
        *self.hangs.lock().unwrap() = false;
        self.let_go.notify_all();
    }
}

impl Engine for Faked {
    fn name(&self) -> &'static str {
        "faked"
    }
    fn proof_system_id(&self) -> &'static str {
        "faked"
    }
    fn circuit_hash(&self) -> [u8; 32] {
        [self.key; 32]
    }
    fn verifying_key_hash(&self) -> [u8; 32] {
        [self.key; 32]
    }
    fn proof_bytes(&self) -> usize {
        1
    }
    fn is_development(&self) -> bool {
        true
    }
    fn commitment_scheme(&self) -> CommitmentScheme {
        CommitmentScheme::Native
    }

    fn prove(&self, features: &[i32], salt: &hygeia_zkml::Salt) -> Result<Proof, engine::ProveError> {
        let mut hangs = self.hangs.lock().unwrap();
        while *hangs {
            hangs = self.let_go.wait(hangs).unwrap();
        }
        self.tries.fetch_add(1, Ordering::SeqCst);
        let failed = |left: u64| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, failed).is_ok() {
            return Err(engine::ProveError::ProofSystem("the device is gone".to_owned()));
        }
        let commitment = self.commitment_scheme().commit(SCHEMA, features, salt)?;
        Ok(Proof { bytes: vec![1], public: PublicInputs { commitment, score: SCORE } })
    }

    fn verify(&self, _: &PublicInputs, _: &[u8]) -> Result<(), VerifyError> {
        Ok(())
    }
}

fn request(n: u8) -> ProofRequest {
    let commitment = CommitmentScheme::Native.commit(SCHEMA, &FEATURES, &hygeia_zkml::Salt::new(SALT)).unwrap();
    let (mandate, schema, end) = (B32::new([n; 32]), B32::new(SCHEMA), 1_767_225_600);
    ProofRequest {
        v: V1,
        alert_id: B32::new([n; 32]),
        window: AttestedWindow {
            v: V1,
            window_id: AttestedWindow::id(&mandate, end, &schema),
            mandate,
            end,
            schema,
            features: FEATURES.to_vec(),
            salt: Salt::new(SALT),
            commitment: B32::new(commitment.to_bytes()),
            oracle: Address::new([1; 20]),
            signature: Signature::new([1; 65]),
            clinical: ClinicalSummary {
                hours_observed: 1,
                age_years: None,
                sex: None,
                unit: None,
                hours_before_icu: None,
                readings: BTreeMap::new(),
            },
            observed_at_ms: 0,
            emitted_at_ms: 0,
        },
        policy: B32::new([4; 32]),
        model: B32::new([5; 32]),
        score: SCORE,
        requested_at_ms: now_ms(),
        mode: ProofMode::Alert,
    }
}

struct Scene {
    nats: NatsServer,
    bus: Bus,
    proofs: Arc<AlertProofs>,
    queue: SlowQueue,
    stop: CancellationToken,
}

impl Scene {
    async fn begin(dir: &std::path::Path, rules: RetryRules, lanes: Lanes) -> Self {
        let nats = NatsServer::start(&support::tools(), dir).await.unwrap();
        let bus = Bus::connect(nats.url(), Duration::from_secs(5)).await.unwrap();
        bus.ensure_streams().await.unwrap();
        let metrics = Metrics::default();
        let journal = Journal::open(&bus, journal::PROVER, metrics.clone()).await.unwrap();
        let proofs = Arc::new(AlertProofs { bus: bus.clone(), journal, metrics, lanes, rules });
        let queue = alert::queue(&bus).await.unwrap();
        Self { nats, bus, proofs, queue, stop: CancellationToken::new() }
    }

    async fn ask(&self, request: &ProofRequest) {
        let (id, bytes) = (request.message_id(), request.encode());
        self.bus.publish(Stream::ProofRequests, subject::PROVE_REQUEST.to_owned(), &id, bytes).await.unwrap();
    }

    /// Works on the next request with this engine.
    async fn work(&self, engine: Result<Arc<dyn Engine>, ProveError>) {
        let (request, job) = self.queue.next_of::<ProofRequest>(&self.stop).await.unwrap().unwrap();
        self.proofs.handle(request, job, engine).await.unwrap();
    }

    async fn all<T: Message>(&self, stream: Stream) -> Vec<T> {
        let entries = journal::read_all(&self.bus, stream, 1).await.unwrap();
        entries.iter().map(|entry| T::decode(&entry.payload).unwrap()).collect()
    }

    async fn kinds(&self) -> Vec<&'static str> {
        self.all::<JournalEntry>(Stream::Journal).await.iter().map(|entry| entry.fact.kind()).collect()
    }

    async fn is_done(&self) -> bool {
        let state = self.bus.queue_progress(Stream::ProofRequests, "prover").await.unwrap();
        state.done_to == state.given_to
    }
}

fn patient_lanes() -> Lanes {
    Lanes::new(Duration::from_secs(60), Duration::from_secs(60))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_proof_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::begin(dir.path(), AT_ONCE, patient_lanes()).await;
    let engine = Faked::new(1, 2);
    scene.ask(&request(1)).await;
    for _ in 0..2 {
        scene.work(Ok(engine.clone())).await;
        assert!(!scene.is_done().await, "it is not taken off the queue");
    }
    scene.work(Ok(engine.clone())).await;
    assert!(scene.is_done().await);
    assert_eq!(engine.tries.load(Ordering::SeqCst), 3);
    assert_eq!(scene.all::<Receipt>(Stream::Receipts).await.len(), 1);
    assert_eq!(scene.all::<DeadLetter>(Stream::DeadLetters).await, []);
    assert_eq!(scene.kinds().await, ["proof_accepted", "receipt_made"]);
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_for_too_long_is_put_aside_for_all_to_see() {
    let dir = tempfile::tempdir().unwrap();
    let rules = RetryRules { give_up_after_s: 0, ..AT_ONCE };
    let scene = Scene::begin(dir.path(), rules, patient_lanes()).await;
    let engine = Faked::new(1, u64::MAX);
    scene.ask(&request(1)).await;
    for _ in 0..3 {
        assert!(!scene.is_done().await || engine.tries.load(Ordering::SeqCst) == 0);
        scene.work(Ok(engine.clone())).await;
    }
    assert!(scene.is_done().await);
    let letters: Vec<DeadLetter> = scene.all(Stream::DeadLetters).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].digest, letters[0].reason.as_str()), (request(1).alert_id, "proof"));
    let last = scene.all::<JournalEntry>(Stream::Journal).await.pop().unwrap().fact;
    assert!(matches!(last, Fact::ProofSetAside { reason, .. } if reason == "engine"));
    assert_eq!(scene.all::<Receipt>(Stream::Receipts).await, []);
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_could_prove_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::begin(dir.path(), AT_ONCE, patient_lanes()).await;
    let engine = Faked::new(1, 0);
    let mut touched = request(1);
    touched.window.features[0] += 1;
    let other_score = ProofRequest { score: SCORE + 1, ..request(2) };
    for refused in [touched, other_score] {
        scene.ask(&refused).await;
        scene.work(Ok(engine.clone())).await;
        assert!(scene.is_done().await);
    }
    scene.ask(&request(3)).await;
    scene.work(Err(ProveError::OtherModel)).await;
    assert!(scene.is_done().await);
    let reasons: Vec<String> =
        scene.all::<JournalEntry>(Stream::Journal).await.into_iter().filter_map(reason).collect();
    assert_eq!(reasons, ["wrong_commitment", "wrong_score", "other_model"]);
    assert_eq!(scene.all::<Receipt>(Stream::Receipts).await, []);
    assert_eq!(scene.all::<DeadLetter>(Stream::DeadLetters).await.len(), 3);
    scene.nats.stop().await;
}

fn reason(entry: JournalEntry) -> Option<String> {
    match entry.fact {
        Fact::ProofSetAside { reason, .. } => Some(reason),
        _ => None,
    }
}

/// The hanging engine's proofs end as failures and come again; the other's go on; and when it is let go, all are made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_hangs_holds_up_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let lanes = Lanes::new(Duration::from_millis(200), Duration::from_millis(200));
    let scene = Scene::begin(dir.path(), AT_ONCE, lanes).await;
    let (hanging, sound) = (Faked::hanging(1), Faked::new(2, 0));
    scene.ask(&request(1)).await;
    scene.work(Ok(hanging.clone())).await;
    assert!(!scene.is_done().await, "late, and comes again");
    // As often as it comes: it is turned away without a thread being lost on it.
    for _ in 0..5 {
        scene.work(Ok(hanging.clone())).await;
    }
    scene.ask(&request(2)).await;
    let mut made = 0;
    while made == 0 {
        let (request, job) = scene.queue.next_of::<ProofRequest>(&scene.stop).await.unwrap().unwrap();
        let engine: Arc<dyn Engine> =
            if request.alert_id == B32::new([2; 32]) { sound.clone() } else { hanging.clone() };
        scene.proofs.handle(request, job, Ok(engine)).await.unwrap();
        made = scene.all::<Receipt>(Stream::Receipts).await.len();
    }
    assert_eq!(hanging.tries.load(Ordering::SeqCst), 0, "one thread hangs, and no other was started");
    hanging.lets_go();
    while !scene.is_done().await {
        scene.work(Ok(hanging.clone())).await;
    }
    let proved: Vec<B32> = scene.all::<Receipt>(Stream::Receipts).await.iter().map(|r| r.alert_id).collect();
    assert_eq!(proved, [B32::new([2; 32]), B32::new([1; 32])]);
    scene.nats.stop().await;
}

/// On a broker that two networks share, each has its requests to itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_of_a_network_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let nats = NatsServer::start(&support::tools(), dir.path()).await.unwrap();
    let mut buses = Vec::new();
    for name in ["north", "south"] {
        let settings = BusSettings { network: Some(name.parse().unwrap()), ..BusSettings::open(nats.url()) };
        let bus = Bus::open(&settings, Duration::from_secs(5)).await.unwrap();
        bus.ensure_streams().await.unwrap();
        buses.push(bus);
    }
    let (id, bytes) = (request(1).message_id(), request(1).encode());
    buses[0].publish(Stream::ProofRequests, subject::PROVE_REQUEST.to_owned(), &id, bytes).await.unwrap();
    let (north, south) = (alert::queue(&buses[0]).await.unwrap(), alert::queue(&buses[1]).await.unwrap());
    assert_eq!((north.waiting().await.unwrap(), south.waiting().await.unwrap()), (1, 0));
    let (taken, job) = north.next_of::<ProofRequest>(&CancellationToken::new()).await.unwrap().unwrap();
    assert_eq!(taken.alert_id, request(1).alert_id);
    job.done().await.unwrap();
    nats.stop().await;
}
