//! A JetStream as the agents know it: streams with places and message ids, conditional appends, key-value pairs with
//! revisions, shared queues.
//!
//! What a crash of the broker leaves depends on [`Sync`]: under `Always` a message is answered for once it is on disk,
//! under `Interval` whatever came since the last write is gone, although it was answered for.

mod bucket;
mod log;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;

use hygeia_protocol::subject::{Partition, Stream};

pub use self::bucket::{Bucket, Change};
use self::log::Log;
use self::queue::Queue;
use crate::process::Process;

/// How long a message id is remembered; the product's.
pub const DUPLICATE_WINDOW_MS: u64 = 10 * 60_000;
/// How long a job may be held without a sign of life; the product's.
pub const ACK_WAIT_MS: u64 = 15_000;
/// Time between two writes under [`Sync::Interval`]; the server's default.
pub const SYNC_INTERVAL_MS: u64 = 2 * 60_000;

/// When the broker writes to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sync {
    /// Before it answers (`sync_interval: always`).
    #[default]
    Always,
    /// Every two minutes.
    Interval,
}

/// Where a message goes inside its stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The messages of a partition.
    Of(Partition),
    /// The fence of a partition: who may write its messages.
    Fence(Partition),
    /// Any other, by its name.
    Named(Rc<str>),
}

/// Which messages of a stream are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All but fences.
    All,
    /// Those of one partition.
    Of(Partition),
}

/// One stored message.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place, from 1.
    pub sequence: u64,
    /// When it was stored, in milliseconds since the epoch.
    pub stored_at_ms: u64,
    /// Where it was published.
    pub subject: Subject,
    /// Its identity; empty for none.
    pub id: Rc<str>,
    /// The message.
    pub payload: Rc<[u8]>,
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// At this place.
    New(u64),
    /// It was there already, at this place.
    Duplicate(u64),
    /// Another message stood after the one it was to follow.
    WrongLast,
}

/// A job as a worker gets it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub entry: Entry,
    /// How often it was delivered, this time included.
    pub deliveries: u64,
}

/// A message to be stored.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Where.
    pub stream: Stream,
    /// On which subject.
    pub subject: Subject,
    /// Its identity; one without is never taken for a repetition.
    pub id: Rc<str>,
    /// The message.
    pub payload: Rc<[u8]>,
    /// What it is to follow, where that matters.
    pub after: Option<After>,
}

/// The headers `Nats-Expected-Last-Subject-Sequence` and `Nats-Expected-Last-Subject-Sequence-Subject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The subject.
    pub subject: Subject,
    /// The place of its newest message; 0 for none.
    pub sequence: u64,
}

/// The broker. It never forgets what [`Sync::Always`] has answered for.
#[derive(Debug, Default)]
pub struct Broker {
    sync: Sync,
    logs: BTreeMap<Stream, Log>,
    queues: BTreeMap<Stream, Queue>,
    /// Key-value pairs.
    pub bucket: Bucket,
    bucket_on_disk: Bucket,
}

impl Broker {
    /// An empty one.
    #[must_use]
    pub fn new(sync: Sync) -> Broker {
        Broker { sync, ..Broker::default() }
    }

    /// Stores a message unless something else came before it or it is there already. What a message is to follow is
    /// looked at first: a writer that was shut out hears so even of what it stored before.
    pub fn publish(&mut self, message: &Publication, now_ms: u64) -> Stored {
        let log = self.logs.entry(message.stream).or_default();
        if message.after.as_ref().is_some_and(|after| log.last_of(&after.subject) != after.sequence) {
            return Stored::WrongLast;
        }
        if let Some(sequence) = log.remembered(&message.id, now_ms) {
            return Stored::Duplicate(sequence);
        }
        let sequence = log.len() + 1;
        log.add(Entry {
            sequence,
            stored_at_ms: now_ms,
            subject: message.subject.clone(),
            id: message.id.clone(),
            payload: message.payload.clone(),
        });
        if self.sync == Sync::Always {
            log.write_down();
        }
        Stored::New(sequence)
    }

    /// Up to `max` messages from a place on.
    #[must_use]
    pub fn read(&self, stream: Stream, filter: Filter, from: u64, max: usize) -> Vec<Entry> {
        self.logs.get(&stream).map_or_else(Vec::new, |log| log.read(filter, from, max))
    }

    /// How many messages a stream holds, fences included.
    #[must_use]
    pub fn len(&self, stream: Stream) -> u64 {
        self.logs.get(&stream).map_or(0, Log::len)
    }

    /// The message at a place.
    #[must_use]
    pub fn at(&self, stream: Stream, sequence: u64) -> Option<Entry> {
        self.logs.get(&stream)?.at(sequence).cloned()
    }

    /// The newest message on a subject.
    #[must_use]
    pub fn last_of(&self, stream: Stream, subject: &Subject) -> Option<Entry> {
        let log = self.logs.get(&stream)?;
        log.at(log.last_of(subject)).cloned()
    }

    /// Gives out up to `max` jobs of a queue: those that came back first.
    pub fn fetch(&mut self, stream: Stream, by: Process, max: usize, now_ms: u64) -> Vec<Delivery> {
        let newest = self.len(stream);
        let given = self.queues.entry(stream).or_default().fetch(by, max, newest, now_ms);
        let entry = |place| self.at(stream, place).expect("a queue gives out what its stream holds");
        given.into_iter().map(|(place, deliveries)| Delivery { entry: entry(place), deliveries }).collect()
    }

    /// Notes whether a job is being worked on, in which case it does not time out.
    pub fn work_on(&mut self, stream: Stream, sequence: u64, by: Process, is_worked_on: bool) {
        self.queues.entry(stream).or_default().work_on(sequence, by, is_worked_on);
    }

    /// A process is gone: nobody works on its jobs, and they time out.
    pub fn abandon(&mut self, by: Process) {
        self.queues.values_mut().for_each(|queue| queue.abandon(by));
    }

    /// Takes a job off a queue.
    pub fn ack(&mut self, stream: Stream, sequence: u64, now_ms: u64) {
        self.queues.entry(stream).or_default().ack(sequence, now_ms);
    }

    /// Gives a job back, to come again at an instant. Whether the queue knew it as held.
    pub fn give_back(&mut self, stream: Stream, sequence: u64, after_ms: u64) -> bool {
        self.queues.entry(stream).or_default().give_back(sequence, after_ms)
    }

    /// The time of a delivery is over: `None` where the job is settled or was given out again, else whether it comes back.
    pub fn is_overdue(
        &self,
        stream: Stream,
        sequence: u64,
        delivery: u64,
        lives: impl Fn(Process) -> bool,
    ) -> Option<bool> {
        self.queues.get(&stream)?.is_overdue(sequence, delivery, lives)
    }

    /// What stands unwritten is written.
    pub fn write_down(&mut self) {
        self.logs.values_mut().for_each(Log::write_down);
        self.bucket_on_disk.clone_from(&self.bucket);
    }

    /// Power is lost. Gives the streams that lost messages which had been answered for.
    pub fn crash(&mut self, now_ms: u64) -> Vec<Stream> {
        let cut = self.logs.iter_mut().filter_map(|(stream, log)| log.cut().then_some(*stream));
        let shorter: Vec<Stream> = cut.collect();
        if self.sync == Sync::Interval {
            self.bucket.clone_from(&self.bucket_on_disk);
        }
        for (stream, queue) in &mut self.queues {
            queue.crash(self.logs.get(stream).map_or(0, Log::len), now_ms);
        }
        shorter
    }
}
