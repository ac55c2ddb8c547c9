//! A network under a steady replay, a supervisor that starts ended roles again as Kubernetes would, and a stopwatch.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hygeia_node::bus::Bus;
use hygeia_node::cli::Role;
use hygeia_node::demo::network::{Network, ROLES};
use hygeia_node::demo::stays::Stay;
use hygeia_node::demo::{replay, stays};
use hygeia_protocol::bytes::B32;
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::observation::Observation;
use hygeia_protocol::subject::{self, Stream};
use rustix::process::{Pid, Signal, kill_process};

use crate::{support, tally};

/// Below every score, so that each patient's first window alerts, and every later one once the cool-down is over.
pub const THRESHOLD: i64 = -1_000_000;
/// Real stays replayed.
pub const STAYS: usize = 4;
/// Hours of each stay: two cool-downs and a bit.
const HOURS: u32 = 26;
/// How long everything may take to come to rest after the replay.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks at the ledger while a recovery is timed.
const LOOK: Duration = Duration::from_millis(50);
/// A recovery that takes longer fails its test.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(90);
/// Pause of the publisher of observations before it tries again.
const PUBLISH_PAUSE: Duration = Duration::from_millis(500);

/// A network with enrolled patients.
pub struct Scene {
    pub network: Network,
    stays: Vec<Stay>,
    run: String,
    mandates: BTreeMap<PatientId, B32>,
}

impl Scene {
    /// Enrols the patients of real stays. The roles are not started yet.
    pub async fn of(mut network: Network) -> Self {
        let stays = stays::read(&support::tools().stays(), STAYS, HOURS).unwrap();
        let run = network.run_tag();
        let mut mandates = BTreeMap::new();
        for stay in &stays {
            let patient = replay::pseudonym(stay, &run).unwrap();
            let mandate = network.enrol(patient.clone()).await.unwrap();
            mandates.insert(patient, B32::new(mandate.0));
        }
        network.mine_by_interval().await.unwrap();
        Self { network, stays, run, mandates }
    }

    /// A founded network under `dir`, its roles running.
    pub async fn begin(dir: &Path) -> Self {
        let network = support::network(&support::tools(), dir, Some(THRESHOLD)).await;
        let mut scene = Self::of(network).await;
        scene.start_roles();
        scene
    }

    /// Starts every role.
    pub fn start_roles(&mut self) {
        for role in ROLES {
            self.network.start_role(role).unwrap();
        }
    }

    /// Publishes the stays over `lasting`, whatever the broker does meanwhile; the task ends when all are stored.
    pub fn replay(&self, lasting: Duration) -> tokio::task::JoinHandle<()> {
        let (events, _implausible) = replay::schedule(&self.stays, &self.run).unwrap();
        let (bus, partitioner) = (self.network.bus.clone(), self.network.partitioner.clone());
        tokio::spawn(async move {
            let (begin, end) = (events[0].at_s, events[events.len() - 1].at_s);
            let started = Instant::now();
            for event in events {
                let share = (event.at_s - begin) as f64 / (end - begin) as f64;
                tokio::time::sleep_until((started + lasting.mul_f64(share)).into()).await;
                let subject = subject::observation(partitioner.of(event.observation.patient()));
                publish_until_stored(&bus, &subject, &event.observation).await;
            }
        })
    }

    /// Starts roles again that have ended, for as long as `work` takes, as whoever runs them would.
    pub async fn supervised<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                () = tokio::time::sleep(Duration::from_millis(500)) => self.revive().await,
            }
        }
    }

    /// Starts roles again that have ended.
    pub async fn revive(&mut self) {
        for role in self.network.ended_roles() {
            self.network.kill_role(role).await;
            self.network.start_role(role).unwrap();
        }
    }

    /// Time from now until the ledger has grown, with ended roles started again; reported under `name`.
    pub async fn time_recovery(&mut self, name: &str) {
        let bus = self.network.bus.clone();
        let started = Instant::now();
        let before = last_of_ledger(&bus).await;
        self.supervised(async move {
            while last_of_ledger(&bus).await.zip(before.or(Some(0))).is_none_or(|(now, before)| now <= before) {
                assert!(started.elapsed() < RECOVERY_PATIENCE, "no window was scored since the fault ended");
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
        report(name, started.elapsed());
    }

    /// Waits for the replay's end and for rest, then compares every count.
    pub async fn check(mut self, replaying: tokio::task::JoinHandle<()>) {
        self.supervised(replaying).await.unwrap();
        let expected = tally::expected_windows(&self.network.bus, &self.mandates).await;
        assert!(expected.len() > STAYS * 10, "the replay closes many windows, not {}", expected.len());
        let bus = self.network.bus.clone();
        let windows = expected.len();
        self.supervised(rest(bus, windows)).await;
        tally::check(&self.network, &expected, STAYS).await;
        self.network.stop().await;
    }

    /// Waits until the chain holds this many triggers.
    pub async fn wait_for_triggers(&mut self, count: usize) {
        let until = Instant::now() + PATIENCE;
        while tally::triggers_on_chain(&self.network).await.len() < count {
            assert!(Instant::now() < until, "fewer than {count} triggers came to the chain");
            self.revive().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Enrols the same stays as new patients under new consents: what a network does that lost its enrolments.
    pub async fn enrol_again(&mut self) {
        self.run.push('b');
        self.mandates.clear();
        for stay in &self.stays {
            let patient = replay::pseudonym(stay, &self.run).unwrap();
            let mandate = self.network.enrol(patient.clone()).await.unwrap();
            self.mandates.insert(patient, B32::new(mandate.0));
        }
    }

    /// Sends a signal to a running role.
    pub fn signal(&self, role: Role, signal: Signal) {
        send(self.network.role_id(role).expect("the role runs"), signal);
    }
}

/// Sends a signal to a process.
pub fn send(process: u32, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(process).unwrap()).expect("a process id is not zero");
    kill_process(id, signal).unwrap();
}

/// Prints a recovery time, and appends it to the file that a record is made of.
pub fn report(name: &str, took: Duration) {
    let line = format!("{{\"fault\":\"{name}\",\"recovery_ms\":{}}}", took.as_millis());
    eprintln!("> {line}");
    if let Some(path) = std::env::var_os("HYGEIA_FAULT_RECORD") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

async fn publish_until_stored(bus: &Bus, subject: &str, observation: &Observation) {
    let id = observation.message_id();
    while bus.publish(Stream::Observations, subject.to_owned(), &id, observation.encode()).await.is_err() {
        tokio::time::sleep(PUBLISH_PAUSE).await;
    }
}

/// Place of the newest message of the ledger; nothing while the broker does not answer.
async fn last_of_ledger(bus: &Bus) -> Option<u64> {
    bus.stream_state(Stream::Ledger).await.ok().map(|(_, last)| last)
}

async fn rest(bus: Bus, windows: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (ledger, alerts) = (tally::count(&bus, Stream::Ledger).await, tally::count(&bus, Stream::Alerts).await);
        let settled = tally::count(&bus, Stream::Settlements).await;
        if ledger >= windows && settled >= alerts {
            // Room for a wrong repetition to show itself.
            tokio::time::sleep(Duration::from_secs(3)).await;
            return;
        }
        assert!(
            Instant::now() < until,
            "not at rest after {} s: {ledger} of {windows} windows in the ledger, {settled} of {alerts} alerts settled",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
