//! Mirrors `agents/node/src/partition`: one partition of a role, from the fence over the snapshot and what was stored
//! since, to the newest message, until the partition is handed over or a fence is met.

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hygeia_protocol::lease::MemberId;
use hygeia_protocol::subject::{Partition, Stream};

use super::Shared;
use super::outbox::{Fence, Job, Outbox};
use super::snapshot::{self, Manifest};
use crate::broker::{After, Entry, Filter, Publication, Stored, Subject};
use crate::call::{Reply, Request, Unanswered};
use crate::port::{Call, LONG_MS, Port, other};
use crate::process::Role;
use crate::run::PlantedBug;

/// Jobs that wait or are under way at most, before reading stops.
const JOBS_MAX: usize = 32;
/// Messages between two snapshots. The product has time as a second bound; here messages are time.
const SNAPSHOT_EVERY: u64 = 160;
/// Attempts at a fence that another write came before.
const FENCE_ATTEMPTS: u32 = 5;

/// What a role keeps of one partition.
pub(super) trait State {
    /// The role.
    const ROLE: Role;
    /// What it reads.
    const INPUT: Stream;
    /// What it writes behind a fence.
    const OUTPUTS: &'static [Stream];

    /// Goes on from a snapshot; false where it is none of this role's.
    fn restore(&mut self, bytes: &[u8]) -> bool;

    /// All that must not be lost.
    fn pack(&self) -> Vec<u8>;

    /// A message that an owner before stored since the snapshot.
    fn stored(&mut self, stream: Stream, entry: &Entry);

    /// Whether a message can be taken in at the moment.
    fn is_ready(&self) -> bool {
        true
    }

    /// Takes a message in; what is to be stored because of it. `is_stored` tells what was stored already.
    fn handle(&mut self, entry: &Entry, is_stored: &dyn Fn(&str) -> bool) -> Option<Job>;
}

/// Why a partition's task ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The broker does not answer.
    Unanswered,
    /// Another owner has come, under this epoch if it is known.
    Fenced(u64),
}

impl From<Unanswered> for End {
    fn from(Unanswered: Unanswered) -> End {
        End::Unanswered
    }
}

/// Works until it is told to hand over, or cannot go on; gives the epoch of a fence that it met.
pub(super) async fn run<S: State>(
    state: S,
    port: Port,
    shared: Rc<Shared>,
    partition: Partition,
    owner: MemberId,
    epoch: u64,
) -> Option<u64> {
    let begun = Work::begin(state, port, shared, partition, owner, epoch).await;
    let ended = match begun {
        Ok(mut work) => work.follow().await,
        Err(end) => Err(end),
    };
    match ended {
        Err(End::Fenced(by)) => Some(by),
        Ok(()) | Err(End::Unanswered) => None,
    }
}

struct Work<S> {
    state: S,
    port: Port,
    shared: Rc<Shared>,
    partition: Partition,
    epoch: u64,
    outbox: Outbox,
    /// Ids of what stood in the output streams when this owner came.
    stored: BTreeSet<Rc<str>>,
    /// Newest places of the outputs then, in the order of [`State::OUTPUTS`].
    outputs: Vec<u64>,
    /// The newest input taken in.
    position: u64,
    /// Inputs since the newest snapshot.
    since_snapshot: u64,
    /// Snapshots written by this owner, and the manifest's revision.
    snapshots: u64,
    revision: u64,
    at_hand: VecDeque<Entry>,
    read: Option<Call>,
}

enum Turn {
    Read(Vec<Entry>),
    /// There is room, and something at hand.
    Handle,
    Drained,
}

impl<S: State> Work<S> {
    /// Fence, snapshot, and what the owners before stored since.
    async fn begin(
        mut state: S,
        port: Port,
        shared: Rc<Shared>,
        partition: Partition,
        owner: MemberId,
        epoch: u64,
    ) -> Result<Work<S>, End> {
        let mut fences = Vec::new();
        for &stream in S::OUTPUTS {
            fences.push((stream, raise(&port, stream, partition, &owner, epoch).await?));
        }
        let (revision, manifest) = match snapshot::load(&port, S::ROLE, partition, epoch).await? {
            (revision, Some((manifest, bytes))) if state.restore(&bytes) => {
                port.restored();
                (revision, manifest)
            }
            (revision, _) => (revision, Manifest::none(S::OUTPUTS.len())),
        };
        let mut stored = BTreeSet::new();
        let mut outputs = manifest.outputs;
        for (place, &stream) in outputs.iter_mut().zip(S::OUTPUTS) {
            loop {
                let entries = port.read(stream, partition, *place + 1).await?;
                let Some(last) = entries.last() else { break };
                *place = last.sequence;
                for entry in &entries {
                    state.stored(stream, entry);
                    stored.insert(entry.id.clone());
                }
            }
        }
        let fences = if port.has_bug(PlantedBug::StaleOwnerPublishes) { Vec::new() } else { fences };
        let outbox = Outbox::new(port.clone(), partition, fences);
        Ok(Work {
            state,
            port,
            shared,
            partition,
            epoch,
            outbox,
            stored,
            outputs,
            position: manifest.sequence,
            since_snapshot: 0,
            snapshots: 0,
            revision,
            at_hand: VecDeque::new(),
            read: None,
        })
    }

    /// Ends without an error once everything is handed over.
    async fn follow(&mut self) -> Result<(), End> {
        loop {
            match std::future::poll_fn(|context| self.poll(context)).await? {
                Turn::Read(entries) => self.at_hand.extend(entries),
                Turn::Handle => self.handle(),
                Turn::Drained => {
                    self.write_snapshot().await?;
                    if self.is_stopping() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Turn, End>> {
        self.outbox.poll(context)?;
        if self.is_stopping() || self.since_snapshot >= SNAPSHOT_EVERY {
            let is_hasty = self.port.has_bug(PlantedBug::SnapshotBeforePublish);
            return if self.outbox.is_empty() || is_hasty { Poll::Ready(Ok(Turn::Drained)) } else { Poll::Pending };
        }
        if self.outbox.len() >= JOBS_MAX || !self.state.is_ready() {
            return Poll::Pending;
        }
        if !self.at_hand.is_empty() {
            return Poll::Ready(Ok(Turn::Handle));
        }
        let (stream, filter, from) = (S::INPUT, Filter::Of(self.partition), self.position + 1);
        let request = || Request::Read { stream, filter, from, wait_ms: LONG_MS };
        let call = self.read.get_or_insert_with(|| self.port.begin(request()));
        let Poll::Ready(answer) = Pin::new(call).poll(context) else { return Poll::Pending };
        self.read = None;
        Poll::Ready(Ok(Turn::Read(match answer {
            Ok(Reply::Entries(entries)) => entries,
            Ok(_) => other(),
            // The consumer is opened again.
            Err(Unanswered) => Vec::new(),
        })))
    }

    fn handle(&mut self) {
        let Some(entry) = self.at_hand.pop_front() else { return };
        self.position = entry.sequence;
        self.since_snapshot += 1;
        let stored = &self.stored;
        if let Some(job) = self.state.handle(&entry, &|id| stored.contains(id)) {
            self.outbox.push(job);
        }
    }

    async fn write_snapshot(&mut self) -> Result<(), End> {
        self.since_snapshot = 0;
        self.snapshots += 1;
        // All that was stored before lies behind it.
        self.stored.clear();
        for (place, &stream) in self.outputs.iter_mut().zip(S::OUTPUTS) {
            *place = (*place).max(self.outbox.newest(stream));
        }
        let manifest = Manifest {
            epoch: self.epoch,
            sequence: self.position,
            outputs: self.outputs.clone(),
            id: format!("{}-{}", self.epoch, self.snapshots),
            hashes: Vec::new(),
        };
        let bytes = self.state.pack();
        self.revision = snapshot::write(&self.port, S::ROLE, self.partition, manifest, &bytes, self.revision).await?;
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        self.shared.stopping.borrow().contains(&self.partition)
    }
}

/// Puts this owner's fence up, after the one that stands; what every output is to follow from then on.
async fn raise(port: &Port, stream: Stream, partition: Partition, me: &MemberId, epoch: u64) -> Result<Fence, End> {
    let subject = Subject::Fence(partition);
    for _ in 0..FENCE_ATTEMPTS {
        let standing = port.last_of(stream, subject.clone()).await?;
        let (last, owner) = standing.map_or((0, None), |entry| (entry.sequence, marker(&entry.payload)));
        match owner {
            Some((by, _)) if by > epoch => return Err(End::Fenced(by)),
            // The answer to the attempt before was lost.
            Some((by, owner)) if by == epoch && owner == *me => return Ok(Fence { sequence: last }),
            _ => {}
        }
        let publication = Publication {
            stream,
            subject: subject.clone(),
            id: "".into(),
            payload: serde_json::to_vec(&(epoch, me)).expect("a marker is JSON").into(),
            after: Some(After { subject: subject.clone(), sequence: last }),
        };
        match port.call(Request::Publish(publication)).await {
            Ok(Reply::Stored(Stored::New(sequence))) => return Ok(Fence { sequence }),
            Ok(_) | Err(Unanswered) => {}
        }
    }
    Err(End::Unanswered)
}

/// Epoch and owner that a fence names.
pub(super) fn marker(payload: &[u8]) -> Option<(u64, MemberId)> {
    serde_json::from_slice(payload).ok()
}
