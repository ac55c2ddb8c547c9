//! Governance at run time, on a whole network: a second model is approved, served, proved and suspended while patients'
//! hours go on, and no role is started anew.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hygeia_inference::package::ModelPackage;
use hygeia_node::bus::Bus;
use hygeia_node::chain::Chain;
use hygeia_node::chain::registry::{CONFIRMATIONS, Registries};
use hygeia_node::cli::Role;
use hygeia_node::clock::now_s;
use hygeia_node::demo::network::{Network, ROLES};
use hygeia_node::models::store::ModelStore;
use hygeia_node::shadow::report;
use hygeia_policies::model_registry::ModelRegistry::suspendModelCall;
use hygeia_protocol::bytes::B32;
use hygeia_protocol::code::Code;
use hygeia_protocol::identity::{DeviceId, PatientId};
use hygeia_protocol::message::{Alert, AttestedWindow, Message, Receipt, ScoredWindow};
use hygeia_protocol::observation::Observation;
use hygeia_protocol::subject::{self, Partitioner, Stream};
use hygeia_protocol::time::Timestamp;
use tokio_util::sync::CancellationToken;

/// Below every score, so that each mandate's first window alerts.
const THRESHOLD: i64 = -1_000_000;
/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Patients, and of them those who go over to the second model.
const PATIENTS: usize = 6;
const MOVERS: usize = 3;
/// How much higher the candidate scores, in score units.
const SHIFT: i64 = 300;
/// Hours of stay that lie before now.
const HOURS: u64 = 1_000;
/// Time between two hours.
const PACE: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_model_comes_and_is_suspended_while_hours_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut network = support::network(&support::tools(), dir.path(), Some(THRESHOLD)).await;
    let mut mandates: BTreeMap<usize, Vec<B32>> = BTreeMap::new();
    for number in 0..PATIENTS {
        let mandate = network.enrol(patient(number)).await.unwrap();
        mandates.entry(number).or_default().push(B32::new(mandate.0));
    }
    let candidate = support::shifted_model(SHIFT);
    let folder = dir.path().join("candidate");
    candidate.save(&folder).unwrap();
    for role in ROLES {
        let beside = ["--shadow", folder.to_str().unwrap(), "--shadow-threshold", "0"];
        let arguments = if role == Role::Sentinel { &beside[..] } else { &[] };
        network.start_role_with(role, arguments).unwrap();
    }
    let ward = Ward::begin(&network);
    until("hours are scored", async || lines(&network.bus).await.len() >= PATIENTS * 3).await;

    // The vote, the package, the patients' new consent; hours go on all the while.
    let (first, second) = (ModelPackage::default_model(), support::another_model());
    let (model, policy) = network.approve(&second, Some(THRESHOLD)).await.unwrap();
    network.mine_by_interval().await.unwrap();
    for number in 0..MOVERS {
        let mandate = network.enrol_under(patient(number), policy).await.unwrap();
        mandates.entry(number).or_default().push(B32::new(mandate.0));
    }
    // Only now: windows under the new consent wait for the package, and are not lost.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let store = ModelStore::open(&network.bus, None, None).await.unwrap();
    assert!(store.publish(&second).await.unwrap());
    let by_second = B32::new(second.hash());
    let scored_by_second = async || {
        let lines = lines(&network.bus).await;
        let movers: BTreeSet<B32> = lines.iter().filter(|l| l.model == by_second).map(|l| l.mandate).collect();
        movers.len() == MOVERS && lines.iter().filter(|l| l.model == by_second).count() > MOVERS * 4
    };
    until("the second model scores every patient who went over", scored_by_second).await;
    ward.pause().await;
    let due = due_windows(&network.bus).await;
    assert!(due.values().all(|ends| ends.len() > 10), "many hours are due");
    let windows_due = due.values().map(Vec::len).sum::<usize>();
    let rest = async || lines(&network.bus).await.len() >= windows_due;
    if !within(Duration::from_secs(30), rest).await {
        panic!("hours without a score: {:?}", unscored(&network.bus, &mandates, &due).await);
    }
    let all = lines(&network.bus).await;
    let ids: BTreeSet<String> = all.iter().map(Message::message_id).collect();
    assert_eq!(ids.len(), all.len(), "nothing is scored twice by one model");
    for (number, mandates) in &mandates {
        let of_patient = all.iter().filter(|line| mandates.contains(&line.mandate));
        let mut scored = Vec::new();
        for line in of_patient {
            let is_new = mandates.get(1) == Some(&line.mandate);
            let expected = if is_new { second.hash() } else { first.hash() };
            assert_eq!(line.model, B32::new(expected), "each consent has its model");
            scored.push(line.end);
        }
        scored.sort_unstable();
        assert_eq!(scored, due[number], "patient {number}: every hour once, across the swap");
    }

    // Alerts of the new model are proved with its keys, which were opened meanwhile.
    let alerts: Vec<Alert> = support::decoded(&network.bus, Stream::Alerts).await;
    let of_second: BTreeSet<B32> = alerts.iter().filter(|a| a.model == by_second).map(|a| a.alert_id).collect();
    assert!(of_second.len() >= MOVERS, "each new consent's first window alerts");
    until("they are proved", async || {
        let receipts: Vec<Receipt> = support::decoded(&network.bus, Stream::Receipts).await;
        of_second.iter().all(|id| receipts.iter().any(|receipt| receipt.alert_id == *id))
    })
    .await;

    // Suspended: once it is seen, nothing more is scored by it; the other model goes on.
    let stop = CancellationToken::new();
    let chain = Chain::connect(network.anvil.url(), &[], PATIENCE).await.unwrap();
    let registries = Registries::watch(chain, network.deployment.clone(), CONFIRMATIONS, stop.clone()).await.unwrap();
    assert_eq!(registries.view().live_policies().count(), 2);
    let call = alloy::sol_types::SolCall::abi_encode(&suspendModelCall { modelId: model });
    let registry = network.deployment.model_registry;
    network.send(&network.accounts.guardian, call.into(), registry, "suspending").await.unwrap();
    let mut views = registries.changes();
    let seen = views.wait_for(|view| view.live_policies().count() == 1);
    tokio::time::timeout(PATIENCE, seen).await.unwrap().unwrap();
    ward.resume();
    let movers: BTreeSet<B32> = (0..MOVERS).map(|number| mandates[&number][1]).collect();
    let windows_of = async |stream_from: usize| {
        let windows: Vec<AttestedWindow> = support::decoded(&network.bus, Stream::Windows).await;
        windows.into_iter().filter(|w| movers.contains(&w.mandate)).skip(stream_from).count()
    };
    let attested = windows_of(0).await;
    until("hours after the suspension are attested", async || windows_of(attested).await > MOVERS * 12).await;
    ward.pause().await;
    let before = all.len();
    until("the first model goes on", async || {
        lines(&network.bus).await.iter().skip(before).filter(|l| l.model != by_second).count() > (PATIENTS - MOVERS) * 8
    })
    .await;
    // The roles look twice a second, so a few hours may have come before theirs; from the first hour that was left on none
    // is scored.
    let scored: BTreeSet<B32> = lines(&network.bus).await.iter().map(|line| line.window_id).collect();
    let windows: Vec<AttestedWindow> = support::decoded(&network.bus, Stream::Windows).await;
    let after = windows.iter().filter(|w| movers.contains(&w.mandate)).skip(attested);
    let is_scored: Vec<bool> = after.map(|window| scored.contains(&window.window_id)).collect();
    let first_left = is_scored.iter().position(|scored| !scored).expect("the suspension is seen");
    assert!(first_left <= MOVERS * 8, "{first_left} windows were scored after it");
    assert!(is_scored[first_left..].iter().all(|scored| !scored), "once seen, it holds: {is_scored:?}");

    assert!(network.ended_roles().is_empty(), "nothing was started anew");
    ward.end().await;

    // What the candidate would have done, told as the sentinel ends: of each window that was scored, once.
    assert!(network.stop_role(Role::Sentinel).await);
    let evidence = report::collect(&network.bus, &B32::new(candidate.hash())).await.unwrap();
    assert_eq!(evidence.len(), 2, "a comparison with each approved model");
    for part in &evidence {
        let compared = &part.comparison;
        let of_model = lines(&network.bus).await.iter().filter(|line| line.model == part.approved).count() as u64;
        assert_eq!(compared.windows + compared.dropped, of_model);
        assert_eq!(compared.difference_sum, SHIFT * i64::try_from(compared.windows).unwrap());
        assert_eq!(compared.difference_magnitude_max, SHIFT.unsigned_abs());
    }
    let alerts: Vec<Alert> = support::decoded(&network.bus, Stream::Alerts).await;
    assert!(alerts.iter().all(|alert| alert.model != B32::new(candidate.hash())), "it calls nobody");
    stop.cancel();
    network.stop().await;
}

fn patient(number: usize) -> PatientId {
    PatientId::new(&format!("governed-{number}")).unwrap()
}

/// The ends of the windows that the stored observations close, for each patient, by the pure state machine.
async fn due_windows(bus: &Bus) -> BTreeMap<usize, Vec<u64>> {
    let tag = |number: usize| B32::new([u8::try_from(number).unwrap(); 32]);
    let tags = (0..PATIENTS).map(|number| (patient(number), tag(number))).collect();
    let windows = support::expected_windows(&support::read_all(bus, Stream::Observations).await, &tags);
    let of = |number| windows.iter().filter(|(mandate, _)| *mandate == tag(number)).map(|(_, end)| *end).collect();
    (0..PATIENTS).map(|number| (number, of(number))).collect()
}

/// Fixed for the process: the ward and what is expected of it begin at the same moment.
fn begin_s() -> u64 {
    static BEGIN: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *BEGIN.get_or_init(|| (now_s() / 3_600 - HOURS) * 3_600)
}

/// Publishes an observation of every patient for hour after hour.
struct Ward {
    // 0 while hours go on; else the ward stands still.
    paused: Arc<AtomicU64>,
    published: Arc<AtomicU64>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Ward {
    fn begin(network: &Network) -> Self {
        let (bus, partitioner) = (network.bus.clone(), network.partitioner.clone());
        let (paused, published) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let stop = CancellationToken::new();
        let (is_paused, done, ends) = (paused.clone(), published.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut hour = 0;
            while !ends.is_cancelled() && hour < HOURS {
                tokio::time::sleep(PACE).await;
                if is_paused.load(Ordering::SeqCst) != 0 {
                    // Told only after the last hour is stored.
                    is_paused.store(2, Ordering::SeqCst);
                    continue;
                }
                publish_hour(&bus, &partitioner, hour).await;
                hour += 1;
                done.store(hour, Ordering::SeqCst);
            }
        });
        Self { paused, published, stop, task }
    }

    /// Stands still once the hour at hand is stored.
    async fn pause(&self) {
        self.paused.store(1, Ordering::SeqCst);
        until("the ward stands still", async || self.paused.load(Ordering::SeqCst) == 2).await;
        assert!(self.published.load(Ordering::SeqCst) < HOURS, "the ward ran out of hours");
    }

    fn resume(&self) {
        self.paused.store(0, Ordering::SeqCst);
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn publish_hour(bus: &Bus, partitioner: &Partitioner, hour: u64) {
    for number in 0..PATIENTS {
        let at = Timestamp::from_seconds(begin_s() + hour * 3_600 + 60);
        let device = DeviceId::new("monitor").unwrap();
        let rate = 70_000 + i32::try_from(hour % 60).unwrap() * 1_000;
        let observation = Observation::new(patient(number), device, hour, Code::HeartRate, rate, at).unwrap();
        let subject = subject::observation(partitioner.of(observation.patient()));
        bus.publish(Stream::Observations, subject, &observation.message_id(), observation.encode()).await.unwrap();
    }
}

/// Hours that are due and not in the ledger: the patient, which hour, and the consents that windows of it were attested
/// under.
async fn unscored(
    bus: &Bus,
    mandates: &BTreeMap<usize, Vec<B32>>,
    due: &BTreeMap<usize, Vec<u64>>,
) -> Vec<(usize, u64, Vec<usize>)> {
    let (lines, windows) = (lines(bus).await, support::decoded::<AttestedWindow>(bus, Stream::Windows).await);
    let mut missing = Vec::new();
    for (number, ends) in due {
        let of_patient = &mandates[number];
        for end in ends {
            if lines.iter().any(|line| line.end == *end && of_patient.contains(&line.mandate)) {
                continue;
            }
            let at = windows.iter().filter(|window| window.end == *end);
            let under = at.filter_map(|window| of_patient.iter().position(|mandate| *mandate == window.mandate));
            missing.push((*number, (end - begin_s()) / 3_600, under.collect()));
        }
    }
    missing
}

async fn lines(bus: &Bus) -> Vec<ScoredWindow> {
    support::decoded(bus, Stream::Ledger).await
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    assert!(within(PATIENCE, holds).await, "not in time: {what}");
}

async fn within(patience: Duration, holds: impl AsyncFn() -> bool) -> bool {
    let until = Instant::now() + patience;
    while !holds().await {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    true
}
