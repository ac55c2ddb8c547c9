//! Approved models are fetched, verified and warm before they are asked for, and a candidate beside them is counted right.

#[path = "registries/scene.rs"]
mod scene;
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use hygeia_inference::package::ModelPackage;
use hygeia_inference::schema::ClinicalState;
use hygeia_node::alarm::triage_policy;
use hygeia_node::bus::Bus;
use hygeia_node::demo::processes::NatsServer;
use hygeia_node::models::host::{Host, RoleMetrics};
use hygeia_node::models::served::Served;
use hygeia_node::models::serving::{Answer, Assignment, Leave, Serving, Wait};
use hygeia_node::models::store::ModelStore;
use hygeia_node::shadow::{Shadow, ShadowSettings, report};
use hygeia_node::telemetry::Metrics;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::{Address, AttestedWindow, ClinicalSummary, Salt, Signature, V1};
use hygeia_protocol::registry::{Model, Policy};
use hygeia_protocol::shadow::{Comparison, Opinion, Pair, Tally};
use hygeia_protocol::time::Timestamp;
use scene::Scene;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);
const CONFIRMATIONS: u64 = 2;

/// A broker beside the chain.
struct Broker {
    nats: NatsServer,
    bus: Bus,
    store: ModelStore,
}

impl Broker {
    async fn begin(dir: &Path) -> Self {
        let nats = NatsServer::start(&support::tools(), dir).await.unwrap();
        let bus = Bus::connect(nats.url(), PATIENCE).await.unwrap();
        bus.ensure_streams().await.unwrap();
        let store = ModelStore::open(&bus, None, None).await.unwrap();
        Self { nats, bus, store }
    }
}

fn host(scene: &Scene, store: &ModelStore, stop: &CancellationToken) -> Host<Served> {
    let metrics = RoleMetrics { metrics: Metrics::default(), role: "test" };
    let warm_up = |_: Model, package: Arc<ModelPackage>| async move { Ok(Served::warm_up(package, &Device::Cpu)?) };
    Host::start(scene.registries(), store.clone(), warm_up, metrics, stop.clone())
}

async fn until(host: &Host<Served>, what: &str, holds: impl Fn(&dyn Fn(&B32) -> bool) -> bool) {
    let mut tables = host.changes();
    let found = tables.wait_for(|table| holds(&|id| table.get(id).is_some()));
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("not in time: {what}")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_warm_before_its_approval_counts_and_gone_after_its_end() {
    let scene = Scene::begin(CONFIRMATIONS).await;
    let dir = tempfile::tempdir().unwrap();
    let (broker, stop) = (Broker::begin(dir.path()).await, CancellationToken::new());
    let host = host(&scene, &broker.store, &stop);
    let serving = Serving::new(scene.registries(), host.clone());
    let schema = B32::new(ModelPackage::default_model().schema().hash());
    let another = support::another_model();

    let (first, policy) = scene.approve_package(ModelPackage::default_model().hash()).await;
    until(&host, "the shipped model is warm", |has| has(&first)).await;
    assert_eq!(scene.view().live_policies().count(), 0, "before its approval counts");
    let mandate = scene.grant(&policy).await;
    scene.mine(CONFIRMATIONS).await;
    let (second, other_policy) = scene.approve_package(another.hash()).await;
    let other_mandate = scene.grant(&other_policy).await;
    scene.until("consent is seen", |view| view.live_mandate(&other_mandate).is_some()).await;
    assert!(matches!(serving.answer(&other_mandate, &schema), Answer::Wait(Wait::Unconfirmed)));
    scene.mine(CONFIRMATIONS).await;
    scene.until("both are live", |view| view.live_policies().count() == 2).await;
    assert!(
        matches!(serving.answer(&other_mandate, &schema), Answer::Wait(Wait::NotReady)),
        "approved, and not published yet"
    );
    let Answer::Score(Assignment { policy: scored, model }) = serving.answer(&mandate, &schema) else {
        panic!("must be scored")
    };
    assert_eq!((scored.id, model.hash.into_bytes()), (policy, ModelPackage::default_model().hash()));

    broker.store.publish(&another).await.unwrap();
    until(&host, "the published model is warm", |has| has(&first) && has(&second)).await;
    let Answer::Score(Assignment { model, .. }) = serving.answer(&other_mandate, &schema) else {
        panic!("must be scored")
    };
    assert_eq!(model.hash.into_bytes(), another.hash());

    let leave = |mandate: &B32, schema: &B32| match serving.answer(mandate, schema) {
        Answer::Leave(why) => Some(why),
        _ => None,
    };
    assert_eq!(leave(&mandate, &B32::new([1; 32])), Some(Leave::OtherSchema));
    assert!(
        matches!(serving.answer(&B32::new([1; 32]), &schema), Answer::Wait(Wait::Unknown)),
        "perhaps of a later block"
    );
    scene.suspend_model(&second).await;
    scene.until("one is suspended", |view| view.live_policies().count() == 1).await;
    assert_eq!(leave(&other_mandate, &schema), Some(Leave::NotLive), "from the block of its suspension on");
    assert!(host.table().get(&second).is_some(), "but it stays warm");
    assert!(matches!(serving.answer(&mandate, &schema), Answer::Score(_)), "the other one serves on");

    scene.deprecate(&second).await;
    until(&host, "what is ended is let go", |has| has(&first) && !has(&second)).await;
    assert_eq!(model.hash.into_bytes(), another.hash(), "whoever works with it still holds it");
    stop.cancel();
    broker.nats.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_is_not_the_approved_one_never_serves() {
    let scene = Scene::begin(0).await;
    let dir = tempfile::tempdir().unwrap();
    let (broker, stop) = (Broker::begin(dir.path()).await, CancellationToken::new());
    let another = support::another_model();
    let mut archive = another.to_archive();
    let middle = archive.len() / 2;
    archive[middle] ^= 1;
    let objects = broker.bus.objects("hygeia_models").await.unwrap();
    objects.put(&hex::encode(another.hash()), &archive).await.unwrap();

    let host = host(&scene, &broker.store, &stop);
    let nothing = host.first_ready(Duration::from_millis(300)).await.unwrap_err();
    assert!(format!("{nothing:#}").contains("no active policy"), "{nothing:#}");
    let (model, _) = scene.approve_package(another.hash()).await;
    let refused = host.first_ready(PATIENCE).await.unwrap_err();
    let said = format!("{refused:#}");
    assert!(said.contains("is refused") && said.contains(&hex::encode(another.hash())), "{said}");

    broker.store.publish(&another).await.unwrap();
    until(&host, "the right one serves", |has| has(&model)).await;
    assert_eq!(host.first_ready(PATIENCE).await.unwrap(), 1);
    stop.cancel();
    broker.nats.stop().await;
    scene.end().await;
}

/// A window of a patient, and what the shipped model says of it.
fn window(mandate: u8, hour: u64, age_years: u8) -> AttestedWindow {
    let schema = ModelPackage::default_model().schema();
    let state = ClinicalState { hours_observed: hour as u32, age_years: Some(age_years), ..ClinicalState::default() };
    let (mandate, end, schema_hash) = (B32::new([mandate; 32]), 1_767_225_600 + hour * 3_600, B32::new(schema.hash()));
    AttestedWindow {
        v: V1,
        window_id: AttestedWindow::id(&mandate, end, &schema_hash),
        mandate,
        end,
        schema: schema_hash,
        features: schema.features(&state),
        salt: Salt::new([0; 16]),
        commitment: B32::new([0; 32]),
        oracle: Address::new([0; 20]),
        signature: Signature::new([0; 65]),
        clinical: ClinicalSummary {
            hours_observed: hour as u32,
            age_years: Some(age_years),
            sex: None,
            unit: None,
            hours_before_icu: None,
            readings: Default::default(),
        },
        observed_at_ms: 0,
        emitted_at_ms: 0,
    }
}

fn opinion(model: &ModelPackage, features: &[i32]) -> Opinion {
    let evaluation = model.network().evaluate(features).unwrap();
    let is_outside = !model.guard().judge(features, &evaluation.activations).is_inside();
    Opinion { score: evaluation.score, is_outside }
}

/// What the candidate's thread publishes is what anybody computes of the same windows with both packages at hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_equals_one_made_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::begin(dir.path()).await;
    let (approved, candidate) = (ModelPackage::default_model(), support::shifted_model(300));
    broker.store.publish(&candidate).await.unwrap();
    let windows: Vec<AttestedWindow> =
        (0..400).map(|n| window((n % 7) as u8, n / 7, 30 + (n * 13 % 60) as u8)).collect();
    let scores: Vec<i64> = windows.iter().map(|w| opinion(approved, &w.features).score).collect();
    let mut sorted = scores.clone();
    sorted.sort_unstable();
    let threshold = sorted[sorted.len() / 2];
    let model = Model {
        id: B32::new([1; 32]),
        package: B32::new(approved.hash()),
        circuit: B32::new([2; 32]),
        verifying_key: B32::new([3; 32]),
        proof_system: [0; 4],
    };
    let policy = Policy {
        id: B32::new([4; 32]),
        threshold,
        cool_down_s: 6 * 3_600,
        model,
        schema: B32::new(approved.schema().hash()),
        is_live: true,
        is_pending: false,
        is_ended: false,
    };
    let own = triage_policy(threshold + 100, policy.cool_down_s);
    let mut offline = Comparison::default();

    let hash = B32::new(candidate.hash());
    // The first half by hash, the second after a restart, from a folder.
    let folder = dir.path().join("candidate");
    candidate.save(&folder).unwrap();
    let halves = windows.split_at(200);
    for (named, half) in [(hash.to_hex(), halves.0), (folder.display().to_string(), halves.1)] {
        let settings =
            ShadowSettings { candidate: named, threshold: Some(threshold + 100), every: Duration::from_secs(3_600) };
        let shadow = Shadow::start(&broker.bus, &broker.store, &settings, Metrics::default()).await.unwrap();
        let mut pieces = Tally::new(triage_policy(threshold, policy.cool_down_s), own);
        for window in half {
            let approved = opinion(approved, &window.features);
            shadow.offer(window, &policy, approved);
            let candidate = opinion(&candidate, &window.features);
            let end = Timestamp::from_seconds(window.end);
            pieces.take(&Pair { mandate: window.mandate, end, approved, candidate });
        }
        let mut foreign = half[0].clone();
        foreign.schema = B32::new([9; 32]);
        shadow.offer(&foreign, &policy, Opinion { score: 0, is_outside: false });
        shadow.finish().await;
        offline.add(&pieces.report());
    }

    let evidence = report::collect(&broker.bus, &hash).await.unwrap();
    let [evidence] = evidence.as_slice() else { panic!("one policy, one sum") };
    assert_eq!(evidence.comparison, offline);
    assert_eq!((evidence.comparison.windows, evidence.reports.len()), (400, 2));
    assert!(evidence.comparison.candidate_over > 0 && evidence.comparison.both_over > 0, "it tells them apart");
    assert!(evidence.text().contains("400 compared, 0 dropped"), "{}", evidence.text());
    let other = report::collect(&broker.bus, &B32::new([7; 32])).await.unwrap_err();
    assert!(other.to_string().contains("nothing was published"));
    broker.nats.stop().await;
}
