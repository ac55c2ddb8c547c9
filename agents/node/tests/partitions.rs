//! Replicas of a role on a real broker: shared, taken over, handed over, restored; fenced out; held up when nothing leaves.
//!
//! The role is the smallest that shows every mistake: it numbers the inputs of a partition. A lost input, one handled twice
//! or out of order, or state that was not restored gives another number.

mod support;

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use hygeia_node::bus::{Bus, BusError, BusSettings, Entry};
use hygeia_node::demo::processes::NatsServer;
use hygeia_node::partition::{
    self, Damage, EFFECTS_MAX, Effect, Found, Lane, Outbox, Payload, Replica, Role, Snapshot, Snapshots, Work,
};
use hygeia_node::telemetry::{Loop, Metrics};
use hygeia_protocol::lease::{LeaseRules, MemberId};
use hygeia_protocol::subject::{self, Partition, Stream};
use support::read_all;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PARTITIONS: u16 = 4;
const TTL_MS: u64 = 900;
const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers the inputs of each partition, and publishes each with its number.
#[derive(Clone)]
struct Numbering {
    /// A message leaves for each permit.
    gate: Arc<Semaphore>,
    handled: Arc<AtomicU64>,
}

struct NumberingWork {
    role: Arc<Numbering>,
    partition: Partition,
    count: u64,
}

impl Numbering {
    fn new(permits: usize) -> Self {
        Self { gate: Arc::new(Semaphore::new(permits)), handled: Arc::default() }
    }

    fn handled(&self) -> u64 {
        self.handled.load(Ordering::SeqCst)
    }
}

impl Role for Numbering {
    const NAME: &'static str = "numbering";
    const LOOP: Loop = Loop::Oracle;
    const INPUT: Stream = Stream::Observations;
    const OUTPUTS: &'static [Stream] = &[Stream::Windows];
    type Work = NumberingWork;

    fn input(partition: Partition) -> String {
        subject::observation(partition)
    }

    fn output(_stream: Stream, partition: Partition) -> String {
        subject::window(partition)
    }

    fn work(self: &Arc<Self>, partition: Partition) -> NumberingWork {
        NumberingWork { role: self.clone(), partition, count: 0 }
    }
}

impl Work for NumberingWork {
    const BATCH_MAX: usize = 16;

    fn restore(&mut self, state: &[u8]) -> bool {
        state.try_into().map(|bytes| self.count = u64::from_le_bytes(bytes)).is_ok()
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.count.to_le_bytes().to_vec()
    }

    async fn handle(&mut self, inputs: Vec<Entry>, outbox: &mut Outbox) -> Result<()> {
        for entry in inputs {
            self.count += 1;
            self.role.handled.fetch_add(1, Ordering::SeqCst);
            let input = String::from_utf8(entry.payload.to_vec())?;
            let (gate, text) = (self.role.gate.clone(), format!("{input} is number {}", self.count));
            let effect = Effect {
                lane: Lane::of(&input[..1]),
                stream: Stream::Windows,
                subject: subject::window(self.partition),
                message_id: format!("{}-{input}", self.partition),
                payload: Payload::Later(Box::pin(async move {
                    gate.acquire().await?.forget();
                    Ok(text.into_bytes())
                })),
                noted: None,
                trace: None,
            };
            outbox.push(entry.sequence, effect);
        }
        Ok(())
    }
}

/// A replica of its own connection.
struct Running {
    role: Numbering,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

async fn start(url: &str, name: &str) -> Running {
    start_with(url, name, Numbering::new(Semaphore::MAX_PERMITS)).await
}

async fn start_with(url: &str, name: &str, role: Numbering) -> Running {
    let stop = CancellationToken::new();
    let replica = Replica {
        bus: Bus::connect(url, PATIENCE).await.unwrap(),
        member: MemberId::new(name).unwrap(),
        rules: LeaseRules { partitions: NonZeroU16::new(PARTITIONS).unwrap(), ttl_ms: TTL_MS },
        metrics: Metrics::default(),
        stop: stop.clone(),
    };
    let task = tokio::spawn(partition::run(replica, Arc::new(role.clone())));
    Running { role, stop, task }
}

impl Running {
    /// As a process that is killed: nothing is handed over.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

struct Scene {
    nats: NatsServer,
    bus: Bus,
    published: BTreeMap<Partition, Vec<String>>,
}

impl Scene {
    async fn begin(dir: &Path) -> Self {
        let nats = NatsServer::start(&support::tools(), &dir.join("nats")).await.unwrap();
        let bus = Bus::connect(nats.url(), PATIENCE).await.unwrap();
        bus.ensure_streams().await.unwrap();
        Self { nats, bus, published: BTreeMap::new() }
    }

    /// So many more inputs to each partition, of ten lanes.
    async fn publish(&mut self, each: usize) {
        for partition in (0..PARTITIONS).map(Partition) {
            let published = self.published.entry(partition).or_default();
            for _ in 0..each {
                let input = format!("{}-{}", published.len() % 10, published.len());
                let id = format!("{partition}/{input}");
                let subject = subject::observation(partition);
                self.bus.publish(Stream::Observations, subject, &id, input.clone().into_bytes()).await.unwrap();
                published.push(input);
            }
        }
    }

    /// Waits until everything is answered for, and checks each answer: each input once, with its number.
    async fn settled(&self) {
        let expected: usize = self.published.values().map(Vec::len).sum();
        self.until("every input is answered", async |bus| {
            bus.stream_state(Stream::Windows).await.unwrap().0 as usize >= expected
        })
        .await;
        // Room for a wrong repetition to show itself.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut answers: BTreeMap<Partition, Vec<String>> = BTreeMap::new();
        for entry in read_all(&self.bus, Stream::Windows).await {
            let partition = subject::partition_of(&entry.subject).unwrap();
            answers.entry(partition).or_default().push(String::from_utf8(entry.payload.to_vec()).unwrap());
        }
        for (partition, inputs) in &self.published {
            let numbered = inputs.iter().enumerate().map(|(at, input)| format!("{input} is number {}", at + 1));
            let of_lane = |lane: usize| move |text: &String| text.starts_with(&lane.to_string());
            let numbered: Vec<String> = numbered.collect();
            for lane in 0..10 {
                let due: Vec<&String> = numbered.iter().filter(|text| of_lane(lane)(text)).collect();
                let found: Vec<&String> = answers[partition].iter().filter(|text| of_lane(lane)(text)).collect();
                assert_eq!(found, due, "partition {partition}, lane {lane}: in order, each once");
            }
        }
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn(&Bus) -> bool) {
        let started = Instant::now();
        while !is_so(&self.bus).await {
            assert!(started.elapsed() < PATIENCE, "never so: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn owners(&self) -> BTreeMap<u16, Option<String>> {
        let bucket = self.bus.bucket("hygeia_lease").await.unwrap();
        let mut owners = BTreeMap::new();
        for partition in 0..PARTITIONS {
            let record = bucket.get(&format!("numbering.{partition}")).await.unwrap();
            let lease: Option<serde_json::Value> = record.map(|bytes| serde_json::from_slice(&bytes).unwrap());
            let owner = lease.and_then(|lease| lease["owner"].as_str().map(str::to_owned));
            owners.insert(partition, owner);
        }
        owners
    }

    /// Waits until these members, and no others, own partitions, each at least one.
    async fn owned_by(&self, members: &[&str]) {
        self.until(&format!("{members:?} own the partitions"), async |_| {
            let owners = self.owners().await;
            let is = |member: &str| owners.values().any(|owner| owner.as_deref() == Some(member));
            let known = |owner: &Option<String>| owner.as_deref().is_some_and(|owner| members.contains(&owner));
            members.iter().all(|member| is(member)) && owners.values().all(known)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_and_one_takes_over_when_the_other_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    scene.publish(20).await;
    let a = start(scene.nats.url(), "a").await;
    let b = start(scene.nats.url(), "b").await;
    scene.owned_by(&["a", "b"]).await;
    scene.publish(100).await;
    scene.settled().await;
    a.kill().await;
    scene.publish(50).await;
    scene.owned_by(&["b"]).await;
    scene.settled().await;
    b.stop().await;
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_come_and_go_and_are_killed_and_nothing_is_lost_or_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    let mut running = vec![start(scene.nats.url(), "r0").await];
    for round in 1..6 {
        scene.publish(30).await;
        running.push(start(scene.nats.url(), &format!("r{round}")).await);
        scene.publish(30).await;
        if round % 2 == 0 {
            running.remove(0).kill().await;
        } else if round > 1 {
            running.remove(0).stop().await;
        }
    }
    scene.settled().await;
    for one in running {
        one.stop().await;
    }
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asked_to_stop_hands_over_at_once_and_the_next_goes_on_from_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    scene.publish(200).await;
    let a = start(scene.nats.url(), "a").await;
    scene.settled().await;
    assert_eq!(a.role.handled(), 4 * 200);
    a.stop().await;
    assert!(scene.owners().await.values().all(Option::is_none), "every lease is released");

    scene.publish(10).await;
    let b = start(scene.nats.url(), "b").await;
    scene.settled().await;
    assert_eq!(b.role.handled(), 4 * 10, "what the snapshots hold is not replayed");
    b.kill().await;

    // A kill leaves the snapshot of before: what came after it is replayed, and published once.
    let c = start(scene.nats.url(), "c").await;
    scene.publish(5).await;
    scene.settled().await;
    let replayed = c.role.handled();
    assert!((4 * 5..=4 * 15).contains(&replayed), "{replayed} inputs were handled of those behind the first snapshot");
    c.stop().await;
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_does_not_hold_is_put_aside_and_state_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    scene.publish(40).await;
    let a = start(scene.nats.url(), "a").await;
    scene.settled().await;
    a.stop().await;
    let bucket = scene.bus.bucket("hygeia_snapshot").await.unwrap();
    // A bit of one, a part of the next, the manifest of the third; the fourth is left as it is.
    let chunk = |partition: u16| format!("numbering.{partition}.chunk.>");
    let keys = bucket.keys(&chunk(0)).await.unwrap();
    bucket.put(&keys[0], vec![1; 8]).await.unwrap();
    let keys = bucket.keys(&chunk(1)).await.unwrap();
    bucket.purge(&keys[0]).await.unwrap();
    bucket.put("numbering.2.manifest", b"{}".to_vec()).await.unwrap();

    scene.publish(10).await;
    let b = start(scene.nats.url(), "b").await;
    scene.settled().await;
    assert_eq!(b.role.handled(), 50 + 50 + 50 + 10, "three are made anew, one is restored");
    b.stop().await;
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_outbox_stops_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::begin(dir.path()).await;
    scene.publish(2_000).await;
    let held_up = Numbering::new(0);
    let a = start_with(scene.nats.url(), "a", held_up.clone()).await;
    let full = u64::from(PARTITIONS) * EFFECTS_MAX as u64;
    scene.until("the outboxes are full", async |_| held_up.handled() >= full).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let batches = u64::from(PARTITIONS) * NumberingWork::BATCH_MAX as u64;
    let handled = held_up.handled();
    assert!((full..full + batches).contains(&handled), "{handled} inputs were taken, {full} effects have room");
    held_up.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    scene.settled().await;
    a.stop().await;
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_owner_is_refused_by_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::begin(dir.path()).await;
    let (bus, partition) = (&scene.bus, Partition(1));
    let member = |name: &str| MemberId::new(name).unwrap();
    let publish = async |fence: &_, id: &str| {
        bus.publish_fenced(fence, &subject::window(partition), id, id.to_owned().into()).await
    };
    let fenced = |result: Result<_, BusError>| matches!(result, Err(BusError::Fenced { .. }));

    let first = bus.raise_fence(Stream::Windows, partition, &member("a"), 1).await.unwrap();
    assert!(!publish(&first, "one").await.unwrap().duplicate);
    assert!(publish(&first, "one").await.unwrap().duplicate, "its own repetition is one");
    let again = bus.raise_fence(Stream::Windows, partition, &member("a"), 1).await.unwrap();
    assert_eq!(again.sequence(), first.sequence(), "a mark whose answer was lost is found again");
    let same = bus.raise_fence(Stream::Windows, partition, &member("b"), 1).await;
    assert!(matches!(same, Err(BusError::Fenced { epoch: Some(1), .. })), "two owners of one epoch");

    let second = bus.raise_fence(Stream::Windows, partition, &member("b"), 2).await.unwrap();
    assert!(fenced(publish(&first, "two").await.map(drop)));
    assert!(fenced(publish(&first, "one").await.map(drop)), "a stale owner's repetition is refused too");
    assert!(!publish(&second, "two").await.unwrap().duplicate);
    let late = bus.raise_fence(Stream::Windows, partition, &member("a"), 1).await;
    assert!(matches!(late, Err(BusError::Fenced { epoch: Some(2), .. })));

    let other = bus.raise_fence(Stream::Windows, Partition(2), &member("a"), 1).await.unwrap();
    assert!(other.sequence() > second.sequence());
    assert!(!publish(&second, "three").await.unwrap().duplicate, "another partition's mark fences nobody here");
    let unfenced = bus.raise_fence(Stream::Receipts, partition, &member("a"), 1).await;
    assert!(matches!(unfenced, Err(BusError::NotFenced { .. })));

    let (messages, last) = bus.stream_state(Stream::Windows).await.unwrap();
    let read: Vec<Vec<u8>> = read_all(bus, Stream::Windows).await.iter().map(|e| e.payload.to_vec()).collect();
    assert_eq!(read, [&b"one"[..], b"two", b"three"], "no reader sees a mark");
    assert_eq!((messages, last), (3, bus.stream_end(Stream::Windows).await.unwrap()));
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_are_whole_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::begin(dir.path()).await;
    let open = async || Snapshots::open(&scene.bus, "test", Partition(3), Stream::Observations).await.unwrap();
    let snapshots = open().await;
    assert_eq!(snapshots.load(1).await.unwrap(), Found::Nothing);
    let of = |sequence, len: usize| Snapshot {
        sequence,
        places: BTreeMap::from([(Stream::Windows, 7), (Stream::DeadLetters, 0)]),
        state: (0..len).map(|at| (at % 251) as u8).collect(),
    };
    for (epoch, snapshot) in [(1, of(10, 0)), (1, of(20, 1_300_000)), (2, of(25, 700_000)), (2, of(30, 1))] {
        snapshots.write(epoch, &snapshot).await.unwrap();
        assert_eq!(snapshots.load(epoch).await.unwrap(), Found::Whole(snapshot));
    }
    let bucket = scene.bus.bucket("hygeia_snapshot").await.unwrap();
    assert_eq!(bucket.keys("test.3.>").await.unwrap().len(), 2, "a manifest and the one chunk it names");

    let stale = snapshots.write(1, &of(40, 9)).await;
    assert!(matches!(stale, Err(BusError::Fenced { epoch: Some(2), .. })), "an earlier owner's");
    assert!(matches!(snapshots.load(1).await, Err(BusError::Fenced { epoch: Some(2), .. })));
    assert_eq!(snapshots.load(3).await.unwrap(), Found::Whole(of(30, 1)));

    // The stale owner's chunk lies about until the next snapshot.
    let keys = bucket.keys("test.3.chunk.>").await.unwrap();
    let key = keys.iter().find(|key| key.contains(".2-30.")).unwrap();
    bucket.put(key, vec![9]).await.unwrap();
    let damaged = |reason| Found::Damaged { silent_to: 30, reason };
    assert_eq!(snapshots.load(3).await.unwrap(), damaged(Damage::Hash));
    bucket.purge(key).await.unwrap();
    assert_eq!(snapshots.load(3).await.unwrap(), damaged(Damage::Missing));
    let manifest = bucket.get("test.3.manifest").await.unwrap().unwrap();
    let other =
        String::from_utf8(manifest.to_vec()).unwrap().replace("\"stream_created_ms\":", "\"stream_created_ms\":1");
    bucket.put("test.3.manifest", other.into_bytes()).await.unwrap();
    let unknown = |reason| Found::Damaged { silent_to: 0, reason };
    assert_eq!(open().await.load(3).await.unwrap(), unknown(Damage::OtherStream), "of a stream that is no more");
    bucket.put("test.3.manifest", b"{".to_vec()).await.unwrap();
    assert_eq!(open().await.load(3).await.unwrap(), unknown(Damage::Manifest));
    snapshots.write(3, &of(50, 3)).await.unwrap();
    assert_eq!(snapshots.load(3).await.unwrap(), Found::Whole(of(50, 3)), "the next one stands in its place");
    assert_eq!(bucket.keys("test.3.>").await.unwrap().len(), 2, "and nothing of the others is left");
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_on_one_broker_do_not_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::begin(dir.path()).await;
    let network = async |name: Option<&str>| {
        let network = name.map(|name| name.parse().unwrap());
        let settings = BusSettings { network, ..BusSettings::open(scene.nats.url()) };
        let bus = Bus::open(&settings, PATIENCE).await.unwrap();
        bus.ensure_streams().await.unwrap();
        bus
    };
    let buses = [network(None).await, network(Some("north")).await, network(Some("south")).await];
    for (number, bus) in buses.iter().enumerate() {
        for _ in 0..=number {
            let id = format!("{number}");
            let subject = subject::observation(Partition(5));
            bus.publish(Stream::Observations, subject, "same id", id.into_bytes()).await.unwrap();
        }
        let bucket = bus.bucket("hygeia_lease").await.unwrap();
        assert_eq!(bucket.get("key").await.unwrap(), None);
        bucket.put("key", vec![number as u8]).await.unwrap();
    }
    for (number, bus) in buses.iter().enumerate() {
        let read = read_all(bus, Stream::Observations).await;
        let seen: Vec<(&str, &[u8])> = read.iter().map(|e| (e.subject.as_str(), e.payload.as_ref())).collect();
        assert_eq!(seen, [("obs.v1.5", number.to_string().as_bytes())], "its own message, under its bare subject");
    }
    let fence = buses[1].raise_fence(Stream::Windows, Partition(5), &MemberId::new("a").unwrap(), 9).await.unwrap();
    let stored = buses[1].publish_fenced(&fence, "window.v1.5", "id", "north".into()).await.unwrap();
    assert!(!stored.duplicate);
    assert!(buses[2].raise_fence(Stream::Windows, Partition(5), &MemberId::new("b").unwrap(), 1).await.is_ok());
    assert_eq!(buses[2].stream_state(Stream::Windows).await.unwrap(), (0, 0));
    scene.nats.stop().await;
}
