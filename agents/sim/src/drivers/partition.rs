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
use super::snapshot::{self, Manifest, Snapshot};
use crate::broker::{After, Entry, Filter, Publication, Stored, Subject};
use crate::call::{Reply, Request, Unanswered};
use crate::port::{Call, LONG_MS, Port, other};
use crate::process::Role;
use crate::run::PlantedBug;

/// Jobs that wait or are under way at most, before reading stops.
const JOBS_MAX: usize = 32;
/// Messages between two snapshots. The product has time as a second bound; here messages are time.
const SNAPSHOT_EVERY: u64 = 48;
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

    /// Goes on from a snapshot; nothing where it is none of this role's.
    fn restore(&mut self, bytes: &[u8]) -> Option<()>;

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

/// Works until it is told to hand over; an error where it cannot go on.
pub(super) async fn run<S: State>(
    state: S,
    port: Port,
    shared: Rc<Shared>,
    partition: Partition,
    (owner, epoch): (MemberId, u64),
) -> Result<(), End> {
    Work::begin(state, port, shared, partition, (owner, epoch)).await?.follow().await
}

struct Work<S> {
    state: S,
    port: Port,
    shared: Rc<Shared>,
    partition: Partition,
    epoch: u64,
    outbox: Outbox,
    /// Ids of what stood in the output streams when this owner came; nothing once all inputs behind it are handled again.
    stored: BTreeSet<Rc<str>>,
    /// The newest input taken in.
    position: u64,
    /// Inputs up to this one were handled by the owners before, as far as can be known.
    replay_to: u64,
    /// The newest input in the newest snapshot.
    saved_to: u64,
    inputs_since: u64,
    /// A state that waits until all its inputs are done.
    waiting: Option<Snapshot>,
    writing: Option<Writing>,
    /// What waits for a snapshot to be written, in the planted bug.
    delayed: Option<(u64, Job)>,
    at_hand: VecDeque<Entry>,
    read: Option<Call>,
}

type Writing = Pin<Box<dyn Future<Output = Result<(), End>>>>;

enum Turn {
    Read(Vec<Entry>),
    /// There is room, and something at hand.
    Handle,
    /// Asked to hand over, and everything that was begun is done.
    Drained,
}

impl<S: State> Work<S> {
    /// Fence, snapshot, and what the owners before stored since.
    async fn begin(
        mut state: S,
        port: Port,
        shared: Rc<Shared>,
        partition: Partition,
        (owner, epoch): (MemberId, u64),
    ) -> Result<Work<S>, End> {
        let mut fences = Vec::new();
        for &stream in S::OUTPUTS {
            fences.push((stream, raise(&port, stream, partition, &owner, epoch).await?));
        }
        let Manifest { sequence, mut places, .. } = match snapshot::load(&port, S::ROLE, partition, epoch).await? {
            Some((manifest, bytes)) if state.restore(&bytes).is_some() => {
                port.restored();
                manifest
            }
            _ => Manifest::none(S::OUTPUTS.len()),
        };
        let mut stored = BTreeSet::new();
        for (place, &stream) in places.iter_mut().zip(S::OUTPUTS) {
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
        let replay_to = port.last_of(S::INPUT, Subject::Of(partition)).await?.map_or(0, |entry| entry.sequence);
        let fences = if port.has_bug(PlantedBug::StaleOwnerPublishes) { Vec::new() } else { fences };
        let places = S::OUTPUTS.iter().copied().zip(places).collect();
        let mut work = Work {
            state,
            outbox: Outbox::new(port.clone(), partition, fences, places),
            port,
            shared,
            partition,
            epoch,
            stored,
            position: sequence,
            replay_to,
            saved_to: sequence,
            inputs_since: 0,
            waiting: None,
            writing: None,
            delayed: None,
            at_hand: VecDeque::new(),
            read: None,
        };
        work.note_live();
        Ok(work)
    }

    /// Ends without an error once everything is handed over.
    async fn follow(&mut self) -> Result<(), End> {
        loop {
            match std::future::poll_fn(|context| self.poll(context)).await? {
                Turn::Read(entries) => self.at_hand.extend(entries),
                Turn::Handle => self.handle(),
                Turn::Drained => return self.save_at_the_end().await,
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Turn, End>> {
        self.outbox.poll(context)?;
        self.save_when_done(context)?;
        if self.waiting.is_none()
            && self.writing.is_none()
            && let Some((input, job)) = self.delayed.take()
        {
            self.outbox.push(input, job);
            self.outbox.poll(context)?;
        }
        if self.is_stopping() {
            let is_done = self.outbox.is_empty() && self.writing.is_none() && self.waiting.is_none();
            return if is_done { Poll::Ready(Ok(Turn::Drained)) } else { Poll::Pending };
        }
        if self.outbox.len() >= JOBS_MAX || !self.state.is_ready() || self.delayed.is_some() {
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
        self.inputs_since += 1;
        let stored = &self.stored;
        let is_hasty = self.port.has_bug(PlantedBug::SnapshotBeforePublish);
        let job = self.state.handle(&entry, &|id| stored.contains(id));
        match job {
            Some(job) if is_hasty && self.is_live() => {
                self.waiting = Some(self.take_down());
                self.delayed = Some((entry.sequence, job));
            }
            Some(job) => self.outbox.push(entry.sequence, job),
            None => {}
        }
        self.note_live();
        let is_under_way = self.waiting.is_some() || self.writing.is_some();
        // While inputs of the owners before are replayed, the snapshot that stands is the better one: what they led to is
        // stored behind its places.
        if self.inputs_since >= SNAPSHOT_EVERY && !is_under_way && self.is_live() {
            self.waiting = Some(self.take_down());
        }
    }

    const fn is_live(&self) -> bool {
        self.position >= self.replay_to
    }

    fn note_live(&mut self) {
        if self.is_live() && !self.stored.is_empty() {
            self.stored.clear();
        }
    }

    fn take_down(&mut self) -> Snapshot {
        self.inputs_since = 0;
        let places = S::OUTPUTS.iter().map(|stream| self.outbox.place(*stream)).collect();
        let (epoch, sequence) = (self.epoch, self.position);
        let manifest = Manifest { epoch, sequence, places, id: format!("{epoch}-{sequence}"), hashes: Vec::new() };
        Snapshot { manifest, state: self.state.pack() }
    }

    /// Writes the state that waits, once all that its inputs led to is stored; meanwhile nothing else waits.
    fn save_when_done(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        let done_to = self.outbox.done_to(self.position);
        if let Some(snapshot) = self.waiting.take_if(|snapshot| done_to >= snapshot.manifest.sequence) {
            self.saved_to = snapshot.manifest.sequence;
            self.writing = Some(Box::pin(snapshot::write(self.port.clone(), S::ROLE, self.partition, snapshot)));
        }
        if let Some(writing) = &mut self.writing
            && let Poll::Ready(written) = writing.as_mut().poll(context)
        {
            self.writing = None;
            written?;
        }
        Ok(())
    }

    async fn save_at_the_end(&mut self) -> Result<(), End> {
        if self.position == self.saved_to || !self.is_live() {
            return Ok(());
        }
        let snapshot = self.take_down();
        snapshot::write(self.port.clone(), S::ROLE, self.partition, snapshot).await
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
        if let Ok(Reply::Stored(Stored::New(sequence))) = port.call(Request::Publish(publication)).await {
            return Ok(Fence { sequence });
        }
    }
    Err(End::Unanswered)
}

/// Epoch and owner that a fence names.
fn marker(payload: &[u8]) -> Option<(u64, MemberId)> {
    serde_json::from_slice(payload).ok()
}
