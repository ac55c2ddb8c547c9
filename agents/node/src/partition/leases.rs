//! The lease store: a bucket with a record for each partition, and one that forgets members who fall silent.
//!
//! Reading and writing are apart. What is read comes from a watch and is the whole truth; a write is sent off, and whether
//! it was taken shows in the watch.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hygeia_protocol::lease::{Coordinator, Lease, LeaseAction, LeaseEvent, LeaseRules, MemberId};
use hygeia_protocol::subject::Partition;
use tokio::task::JoinSet;

use crate::bus::{Bucket, Bus, BusError, Record, Watch};

/// Bucket with the lease of each partition of each role.
const LEASES: &str = "hygeia_lease";
/// Bucket with the signs of life.
const MEMBERS: &str = "hygeia_member";
/// How long a member's sign of life is kept: much longer than any time of a lease, so that only litter is forgotten.
const MEMBER_KEPT: Duration = Duration::from_secs(10 * 60);
/// Steps in the time of a lease: how late an expiry may be noticed.
const STEPS_IN_TTL: u32 = 12;
/// Silence, in times of a lease, after which the watches are opened anew. Own renewals come back through them.
const SILENCE_TTLS: u32 = 2;
/// How long the store may take to show all that stands in it.
const READ_PATIENCE: Duration = Duration::from_secs(5);
/// Pause before the watches are opened anew after a failure.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// What a replica is told to do by its coordinator, writes aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Start the partition's task.
    Start(Partition, u64),
    /// Let it finish, and report.
    Stop(Partition),
    /// End it at once.
    Abandon(Partition),
}

/// The coordinator of one replica with its store.
pub struct Leases {
    role: &'static str,
    rules: LeaseRules,
    coordinator: Coordinator,
    leases: Bucket,
    members: Bucket,
    watches: Option<(Watch, Watch)>,
    heard_at: Instant,
    started: Instant,
    tick: tokio::time::Interval,
    // Ends with this; a write that was not sent is tried again by whoever is there then.
    writes: JoinSet<()>,
}

impl Leases {
    /// Opens the store for a replica of a role.
    pub async fn open(bus: &Bus, role: &'static str, me: MemberId, rules: LeaseRules) -> Result<Self, BusError> {
        let mut tick = tokio::time::interval(Duration::from_millis(rules.ttl_ms) / STEPS_IN_TTL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Ok(Self {
            role,
            rules,
            coordinator: Coordinator::new(me, rules),
            leases: bus.bucket(LEASES).await?,
            members: bus.forgetful_bucket(MEMBERS, MEMBER_KEPT).await?,
            watches: None,
            heard_at: Instant::now(),
            started: Instant::now(),
            tick,
            writes: JoinSet::new(),
        })
    }

    /// The coordinator, to look at.
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// Waits for something to happen in the store or for a tick; what it calls for. Nothing is lost when it is dropped.
    pub async fn next(&mut self) -> Vec<Order> {
        if self.watches.is_none() {
            return self.reopen().await;
        }
        let silent = self.heard_at.elapsed() > Duration::from_millis(self.rules.ttl_ms) * SILENCE_TTLS;
        let Some((leases, members)) = self.watches.as_mut().filter(|_| !silent) else {
            tracing::warn!(role = self.role, "nothing is heard of the leases; watching them anew");
            self.watches = None;
            return Vec::new();
        };
        let seen = tokio::select! {
            record = leases.next() => record.map(|record| lease_event(self.role, &record)),
            record = members.next() => record.map(|record| member_event(self.role, &record)),
            _ = self.tick.tick() => return self.tell(LeaseEvent::Tick),
        };
        match seen {
            Ok(event) => {
                self.heard_at = Instant::now();
                event.map_or_else(Vec::new, |event| self.tell(event))
            }
            Err(reason) => {
                tracing::warn!(role = self.role, %reason, "the leases cannot be watched");
                self.watches = None;
                Vec::new()
            }
        }
    }

    /// Tells the coordinator of something; sends its writes off and hands over the rest.
    pub fn tell(&mut self, event: LeaseEvent) -> Vec<Order> {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let actions = self.coordinator.step(event, now_ms);
        while self.writes.try_join_next().is_some() {}
        actions.into_iter().filter_map(|action| self.act(action)).collect()
    }

    fn act(&mut self, action: LeaseAction) -> Option<Order> {
        match action {
            LeaseAction::Start { partition, epoch } => return Some(Order::Start(partition, epoch)),
            LeaseAction::Stop { partition } => return Some(Order::Stop(partition)),
            LeaseAction::Abandon { partition } => return Some(Order::Abandon(partition)),
            LeaseAction::Beat => {
                let (members, key) = (self.members.clone(), self.member_key());
                self.write("sign of life", async move { members.put(&key, Vec::new()).await });
            }
            LeaseAction::Resign => {
                let (members, key) = (self.members.clone(), self.member_key());
                self.write("farewell", async move { members.delete(&key).await });
            }
            LeaseAction::Claim { partition, revision, epoch } | LeaseAction::Renew { partition, revision, epoch } => {
                let owner = Some(self.coordinator.me().clone());
                self.put(partition, revision, &Lease { owner, epoch });
            }
            LeaseAction::Release { partition, revision, epoch } => {
                self.put(partition, revision, &Lease { owner: None, epoch });
            }
        }
        None
    }

    fn put(&mut self, partition: Partition, revision: u64, lease: &Lease) {
        let (leases, key) = (self.leases.clone(), format!("{}.{partition}", self.role));
        let Ok(bytes) = serde_json::to_vec(lease) else { return };
        self.write("lease", async move { leases.put_if(&key, bytes, revision).await.map(drop) });
    }

    fn write(&mut self, what: &'static str, write: impl Future<Output = Result<(), BusError>> + Send + 'static) {
        let role = self.role;
        self.writes.spawn(async move {
            if let Err(reason) = write.await {
                tracing::debug!(role, what, %reason, "was not written; it is tried again");
            }
        });
    }

    /// Watches the store from here on, and tells the coordinator all that stands in it.
    async fn reopen(&mut self) -> Vec<Order> {
        let read = tokio::time::timeout(READ_PATIENCE, self.read_all()).await;
        match read.unwrap_or_else(|_elapsed| Err(BusError::Silent { bucket: LEASES })) {
            Ok(events) => {
                self.heard_at = Instant::now();
                events.into_iter().flat_map(|event| self.tell(event)).collect()
            }
            Err(reason) => {
                tracing::warn!(role = self.role, %reason, "the leases cannot be read; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
                self.tell(LeaseEvent::Tick)
            }
        }
    }

    async fn read_all(&mut self) -> Result<Vec<LeaseEvent>, BusError> {
        let own = format!("{}.*", self.role);
        let leases_empty = self.leases.is_empty(&own).await?;
        let members_empty = self.members.is_empty(&own).await?;
        let mut leases = self.leases.watch(std::slice::from_ref(&own)).await?;
        let mut members = self.members.watch(std::slice::from_ref(&own)).await?;
        let mut events = Vec::new();
        let mut absent: BTreeSet<Partition> = (0..self.rules.partitions.get()).map(Partition).collect();
        for event in standing(&mut leases, leases_empty, |record| lease_event(self.role, record)).await? {
            if let LeaseEvent::Seen { partition, .. } | LeaseEvent::Absent { partition, .. } = &event {
                absent.remove(partition);
            }
            events.push(event);
        }
        events.extend(absent.into_iter().map(|partition| LeaseEvent::Absent { partition, revision: 0 }));
        events.extend(standing(&mut members, members_empty, |record| member_event(self.role, record)).await?);
        self.watches = Some((leases, members));
        Ok(events)
    }

    fn member_key(&self) -> String {
        format!("{}.{}", self.role, self.coordinator.me())
    }
}

/// What a watch shows of before it began. Where there is nothing, it shows nothing, and is not waited for.
async fn standing(
    watch: &mut Watch,
    is_empty: bool,
    event: impl Fn(&Record) -> Option<LeaseEvent>,
) -> Result<Vec<LeaseEvent>, BusError> {
    let mut events = Vec::new();
    if is_empty {
        return Ok(events);
    }
    loop {
        let record = watch.next().await?;
        events.extend(event(&record));
        if record.before_current == 0 {
            return Ok(events);
        }
    }
}

fn lease_event(role: &str, record: &Record) -> Option<LeaseEvent> {
    let partition = record.key.strip_prefix(role)?.strip_prefix('.')?.parse().ok().map(Partition)?;
    let revision = record.revision;
    let Some(value) = &record.value else { return Some(LeaseEvent::Absent { partition, revision }) };
    match serde_json::from_slice(value) {
        Ok(lease) => Some(LeaseEvent::Seen { partition, lease, revision }),
        // Nobody of ours wrote it: whoever claims the partition writes over it.
        Err(reason) => {
            tracing::warn!(role, %partition, %reason, "a lease cannot be read");
            Some(LeaseEvent::Absent { partition, revision })
        }
    }
}

fn member_event(role: &str, record: &Record) -> Option<LeaseEvent> {
    let member = MemberId::new(record.key.strip_prefix(role)?.strip_prefix('.')?).ok()?;
    Some(if record.value.is_some() { LeaseEvent::MemberSeen { member } } else { LeaseEvent::MemberGone { member } })
}
