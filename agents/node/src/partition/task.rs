//! One partition in one replica's hands, from its lease to its release.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hygeia_protocol::subject::{Partition, Stream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{FencedBus, Found, Outbox, Replica, Role, Snapshot, Snapshots, Work};
use crate::bus::{BusError, Entry, Fence, Lookup, OrderedReader};
use crate::telemetry::watchdog::Pulse;
use crate::telemetry::{Counter, Gauge};

/// Inputs taken from the reader at a time.
const READ_MAX: usize = 256;
/// Silence after which the stream is asked whether it holds an input that did not come: a consumer that vanished in a
/// restart of the broker is silent for long.
const IDLE: Duration = Duration::from_secs(2);
/// Longest time between two snapshots of a partition that takes inputs.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(30);
/// Inputs after which a snapshot is made earlier: about a second of replay.
const SNAPSHOT_INPUTS: usize = 50_000;
/// How long effects under way may take when the partition is handed over.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);
/// Partitions that take turns with their snapshots.
const STAGGER: u32 = 16;

/// A partition's task.
pub(super) struct Task<R: Role> {
    pub replica: Replica,
    pub role: Arc<R>,
    pub partition: Partition,
    pub epoch: u64,
    pub stop: CancellationToken,
    pub live: CancellationToken,
    pub pulse: Pulse,
}

/// How a task ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was asked to, and its state is on the broker.
    Stopped,
    /// A newer owner has raised its fence.
    Fenced {
        /// The newer owner's epoch, where it was read.
        by: Option<u64>,
    },
}

/// The last input in a snapshot, and its bytes once the broker has it.
type Written = (u64, Result<usize, BusError>);

/// The work with everything around it.
struct Driver<R: Role> {
    task: Task<R>,
    work: R::Work,
    outbox: Outbox,
    snapshots: Snapshots,
    /// The last input that was handled.
    handled_to: u64,
    /// The last input in the newest snapshot on the broker.
    saved_to: u64,
    /// Inputs up to this one were handled by earlier owners, as far as can be known.
    replay_to: u64,
    /// Inputs up to this one only rebuild state.
    silent_to: u64,
    replayed: u64,
    /// Inputs behind the newest snapshot that was begun.
    unsaved: usize,
    /// A state that waits until all its inputs are done.
    waiting: Option<Snapshot>,
    writing: Option<JoinHandle<Written>>,
    snapshot_due: Instant,
}

impl<R: Role> Task<R> {
    /// Runs until it is asked to stop or is fenced.
    pub(super) async fn run(self) -> Result<Ending> {
        match self.restore_and_follow().await {
            Ok(()) => Ok(Ending::Stopped),
            Err(error) => match error.downcast_ref() {
                Some(BusError::Fenced { epoch, .. }) => Ok(Ending::Fenced { by: *epoch }),
                _ => Err(error),
            },
        }
    }

    async fn restore_and_follow(self) -> Result<()> {
        let stop = self.stop.clone();
        let (mut driver, reader) = tokio::select! {
            // Handed over before it was restored: there is nothing to save.
            () = stop.cancelled() => return Ok(()),
            restored = Driver::restore(self) => restored?,
        };
        driver.follow(reader).await
    }

    async fn raise_fences(&self) -> Result<Vec<Fence>, BusError> {
        let mut fences = Vec::new();
        for stream in R::OUTPUTS.iter().filter(|stream| stream.fence_filter().is_some()) {
            let Replica { bus, member, .. } = &self.replica;
            fences.push(bus.raise_fence(*stream, self.partition, member, self.epoch).await?);
        }
        Ok(fences)
    }

    /// Ids of what stands in the output streams behind `places`, and where these streams end.
    async fn stored_since(
        &self,
        places: &BTreeMap<Stream, u64>,
    ) -> Result<(HashSet<String>, BTreeMap<Stream, u64>), BusError> {
        let (mut ids, mut ends) = (HashSet::new(), BTreeMap::new());
        for &stream in R::OUTPUTS {
            let bus = &self.replica.bus;
            ends.insert(stream, bus.stream_end(stream).await?);
            let from = places.get(&stream).map_or(1, |place| place.saturating_add(1));
            ids.extend(bus.ids_from(stream, &[R::output(stream, self.partition)], from).await?);
        }
        Ok((ids, ends))
    }
}

impl<R: Role> Driver<R> {
    /// Takes the partition over: fences, snapshot, what is stored since; then the reader of the inputs behind it.
    async fn restore(task: Task<R>) -> Result<(Self, OrderedReader)> {
        // What is read from here on, no earlier owner adds to.
        let fences = task.raise_fences().await?;
        let bus = task.replica.bus.clone();
        let mut work = task.role.work(task.partition);
        let snapshots = Snapshots::open(&bus, R::NAME, task.partition, R::INPUT).await?;
        let Loaded { sequence, places, silent_to } = load(&task, &snapshots, &mut work).await?;
        let (stored, ends) = task.stored_since(&places).await?;
        let last = Lookup::open(&bus, R::INPUT).await?.last_of(&R::input(task.partition)).await?;
        let replay_to = last.map_or(0, |entry| entry.sequence);
        let reader = OrderedReader::open(&bus, R::INPUT, vec![R::input(task.partition)], sequence + 1).await?;
        let outbox = Outbox::new(Arc::new(FencedBus::new(bus, fences)), stored, ends);
        let turn = u32::from(task.partition.0) % STAGGER + 1;
        let mut driver = Self {
            work,
            outbox,
            snapshots,
            handled_to: sequence,
            saved_to: sequence,
            replay_to,
            silent_to,
            replayed: 0,
            unsaved: 0,
            waiting: None,
            writing: None,
            snapshot_due: Instant::now() + SNAPSHOT_EVERY * (STAGGER + turn) / (2 * STAGGER),
            task,
        };
        driver.note_live();
        Ok((driver, reader))
    }

    /// Takes inputs until it is asked to stop; then finishes what it has begun, and saves.
    async fn follow(&mut self, mut reader: OrderedReader) -> Result<()> {
        let stop = self.task.stop.clone();
        loop {
            self.task.pulse.beat();
            self.save_when_done().await?;
            let snapshot_due = tokio::time::sleep_until(self.snapshot_due);
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.drain().await,
                Some(landing) = self.outbox.next() => self.outbox.land(landing)?,
                () = snapshot_due => self.begin_snapshot(),
                () = self.work.woken(), if self.outbox.has_room() => self.resume().await?,
                batch = tokio::time::timeout(IDLE, reader.next_batch(READ_MAX)), if self.outbox.has_room() => match batch {
                    Ok(batch) => self.take(batch?).await?,
                    Err(_elapsed) => reader = self.check(reader).await,
                },
            }
        }
    }

    /// Hands inputs to the work, no more at a time than it takes and only while there is room for what follows.
    async fn take(&mut self, batch: Vec<Entry>) -> Result<()> {
        let mut batch =
            batch.into_iter().filter(|entry| entry.sequence > self.handled_to).collect::<Vec<_>>().into_iter();
        loop {
            // State that is rebuilt in silence and what follows it are not mixed in one call.
            let silent_to = self.silent_to;
            let is_silent = batch.as_slice().first().is_some_and(|entry| entry.sequence <= silent_to);
            let same = batch.as_slice().iter().take_while(|entry| (entry.sequence <= silent_to) == is_silent).count();
            let inputs: Vec<Entry> = batch.by_ref().take(same.min(R::Work::BATCH_MAX)).collect();
            let Some(last) = inputs.last().map(|entry| entry.sequence) else { return Ok(()) };
            while !self.outbox.has_room()
                && let Some(landing) = self.outbox.next().await
            {
                self.task.pulse.beat();
                self.outbox.land(landing)?;
            }
            self.unsaved += inputs.len();
            self.replayed += inputs.iter().filter(|entry| entry.sequence <= self.replay_to).count() as u64;
            self.outbox.set_silent(is_silent);
            self.task.pulse.beat();
            self.work.handle(inputs, &mut self.outbox).await?;
            self.handled_to = last;
            self.note_live();
            self.task.replica.metrics.set_to(Gauge::OutboxInFlight, R::NAME, self.outbox.len() as f64);
            if self.unsaved >= SNAPSHOT_INPUTS {
                self.begin_snapshot();
            }
        }
    }

    /// Goes on with what the work put by.
    async fn resume(&mut self) -> Result<()> {
        self.work.resume(&mut self.outbox).await?;
        if self.task.live.is_cancelled() {
            self.forget_stored();
        }
        Ok(())
    }

    /// Inputs that were put by may be those of an earlier owner, who may have gone on with them after its snapshot.
    fn forget_stored(&mut self) {
        if !self.work.has_put_by() {
            self.outbox.forget_stored();
        }
    }

    /// Notes the moment from which on the newest inputs are followed.
    fn note_live(&mut self) {
        if self.handled_to < self.replay_to || self.task.live.is_cancelled() {
            return;
        }
        self.forget_stored();
        let Task { partition, epoch, .. } = self.task;
        self.task.replica.metrics.add(Counter::ReplayedEntries, R::NAME, self.replayed);
        tracing::info!(role = R::NAME, %partition, epoch, replayed = self.replayed, "partition is current");
        self.task.live.cancel();
    }

    /// After a silence: the same reader, or one opened anew where an input stands in the stream that it did not bring.
    async fn check(&mut self, reader: OrderedReader) -> OrderedReader {
        match missed_by(&self.task, self.handled_to).await {
            Ok(opened) => opened.unwrap_or(reader),
            Err(reason) => {
                tracing::debug!(role = R::NAME, %reason, "the stream could not be asked for missed inputs");
                reader
            }
        }
    }

    /// Takes the state down. It is written once all that its inputs led to is stored; meanwhile nothing waits.
    ///
    /// While inputs of earlier owners are replayed the snapshot that stands is the better one: what they led to is stored
    /// behind its places, and not behind ours.
    fn begin_snapshot(&mut self) {
        self.snapshot_due = Instant::now() + SNAPSHOT_EVERY;
        let is_under_way = self.waiting.is_some() || self.writing.is_some();
        if !is_under_way && self.handled_to != self.saved_to && self.task.live.is_cancelled() {
            self.waiting = Some(self.take_down());
        }
    }

    fn take_down(&mut self) -> Snapshot {
        self.unsaved = 0;
        Snapshot { sequence: self.handled_to, places: self.outbox.places().clone(), state: self.work.snapshot() }
    }

    /// Writes the state that waits, once it may be; takes note of one that was written.
    async fn save_when_done(&mut self) -> Result<()> {
        let done_to = self.outbox.done_to(self.handled_to);
        if let Some(snapshot) = self.waiting.take_if(|snapshot| done_to >= snapshot.sequence) {
            let (snapshots, epoch) = (self.snapshots.clone(), self.task.epoch);
            let write = async move { (snapshot.sequence, snapshots.write(epoch, &snapshot).await) };
            self.writing = Some(tokio::spawn(write));
        }
        if let Some(writing) = self.writing.take_if(|writing| writing.is_finished()) {
            self.note_saved(writing.await?)?;
        }
        Ok(())
    }

    /// A snapshot that could not be written is no reason to stop: the next one may be. Only a newer owner is.
    fn note_saved(&mut self, (sequence, written): Written) -> Result<()> {
        match written {
            Ok(bytes) => {
                self.saved_to = sequence;
                self.task.replica.metrics.set_to(Gauge::SnapshotBytes, R::NAME, bytes as f64);
            }
            Err(fenced @ BusError::Fenced { .. }) => return Err(fenced.into()),
            Err(reason) => {
                tracing::warn!(role = R::NAME, partition = %self.task.partition, %reason, "no snapshot was written");
            }
        }
        Ok(())
    }

    /// Finishes what was begun, within bounds, and saves the state.
    async fn drain(&mut self) -> Result<()> {
        match tokio::time::timeout(DRAIN_PATIENCE, self.land_all()).await {
            Ok(landed) => landed?,
            Err(_elapsed) => {
                let left = self.outbox.len();
                tracing::warn!(role = R::NAME, left, "effects are left to the next owner");
                return Ok(());
            }
        }
        if let Some(writing) = self.writing.take() {
            self.note_saved(writing.await?)?;
        }
        if self.handled_to != self.saved_to && self.task.live.is_cancelled() {
            let snapshot = self.take_down();
            let written = self.snapshots.write(self.task.epoch, &snapshot).await;
            self.note_saved((snapshot.sequence, written))?;
        }
        Ok(())
    }

    async fn land_all(&mut self) -> Result<()> {
        while let Some(landing) = self.outbox.next().await {
            self.outbox.land(landing)?;
        }
        Ok(())
    }
}

/// A reader that goes on behind `handled_to`, where the stream holds an input there.
async fn missed_by<R: Role>(task: &Task<R>, handled_to: u64) -> Result<Option<OrderedReader>, BusError> {
    let (bus, subject) = (&task.replica.bus, R::input(task.partition));
    let last = Lookup::open(bus, R::INPUT).await?.last_of(&subject).await?;
    if last.is_none_or(|entry| entry.sequence <= handled_to) {
        return Ok(None);
    }
    OrderedReader::open(bus, R::INPUT, vec![subject], handled_to + 1).await.map(Some)
}

/// Where a partition's work goes on.
struct Loaded {
    /// The last input in the state.
    sequence: u64,
    places: BTreeMap<Stream, u64>,
    silent_to: u64,
}

/// Takes up the newest snapshot; from the beginning where there is none that holds.
async fn load<R: Role>(task: &Task<R>, snapshots: &Snapshots, work: &mut R::Work) -> Result<Loaded, BusError> {
    let (silent_to, reason) = match snapshots.load(task.epoch).await? {
        Found::Nothing => return Ok(Loaded { sequence: 0, places: BTreeMap::new(), silent_to: 0 }),
        Found::Whole(Snapshot { sequence, places, state }) => {
            if work.restore(&state) {
                return Ok(Loaded { sequence, places, silent_to: 0 });
            }
            (sequence, super::Damage::State)
        }
        Found::Damaged { silent_to, reason } => (silent_to, reason),
    };
    let partition = task.partition;
    tracing::warn!(role = R::NAME, %partition, %reason, "the snapshot is put aside; state is made anew from the stream");
    *work = task.role.work(partition);
    Ok(Loaded { sequence: 0, places: BTreeMap::new(), silent_to })
}
