//! A JetStream as the agents know it: streams with places and message ids, key-value pairs, shared queues.
//!
//! What a crash of the broker leaves depends on [`Sync`]: under `Always` a message is answered for once it is on disk,
//! under `Interval` whatever came since the last write is gone, although it was answered for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use hygeia_protocol::subject::Stream;

use crate::process::Process;

/// How long a message id is remembered; the product's.
pub const DUPLICATE_WINDOW_MS: u64 = 10 * 60_000;
/// How long a job may be held without a sign of life; the product's.
pub const ACK_WAIT_MS: u64 = 15_000;
/// Time between two writes under [`Sync::Interval`]; the server's default.
pub const SYNC_INTERVAL_MS: u64 = 2 * 60_000;
/// Acknowledgements younger than this are forgotten in a crash: a consumer's state is written after the answer.
const ACK_LOSS_MS: u64 = 2_000;

/// When the broker writes to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sync {
    /// Before it answers (`sync_interval: always`).
    #[default]
    Always,
    /// Every two minutes.
    Interval,
}

/// One stored message.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place, from 1.
    pub sequence: u64,
    /// When it was stored, in milliseconds since the epoch.
    pub stored_at_ms: u64,
    /// Where it was published.
    pub subject: Rc<str>,
    /// Its identity.
    pub id: Rc<str>,
    /// The message.
    pub payload: Rc<[u8]>,
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// At this place.
    New(u64),
    /// It was there already.
    Duplicate,
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
    pub subject: String,
    /// Its identity.
    pub id: String,
    /// The message.
    pub payload: Vec<u8>,
    /// The place of the newest message on the subject that it is to follow, where that matters.
    pub after: Option<u64>,
}

/// The broker. It never forgets what [`Sync::Always`] has answered for.
#[derive(Debug, Default)]
pub struct Broker {
    sync: Sync,
    logs: BTreeMap<Stream, Log>,
    values: BTreeMap<String, Vec<u8>>,
    values_on_disk: BTreeMap<String, Vec<u8>>,
    queues: BTreeMap<Stream, Queue>,
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    on_disk: usize,
    // Looked up and never walked, so that its order does not matter.
    ids: HashMap<Rc<str>, u64>,
    last_of: HashMap<Rc<str>, u64>,
}

/// A durable consumer of one stream, shared by all workers.
#[derive(Debug, Default)]
struct Queue {
    /// The newest place that was given out.
    given_to: u64,
    held: BTreeMap<u64, Held>,
    /// To be given again, and not before when.
    returned: BTreeMap<u64, u64>,
    deliveries: BTreeMap<u64, u64>,
    acked: BTreeSet<u64>,
    acked_at: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    by: Process,
    delivery: u64,
    /// The worker says every few seconds that it is alive.
    is_worked_on: bool,
}

impl Broker {
    /// An empty one.
    #[must_use]
    pub fn new(sync: Sync) -> Broker {
        Broker { sync, ..Broker::default() }
    }

    /// Stores a message unless it is there already or something else came before it.
    pub fn publish(&mut self, message: &Publication, now_ms: u64) -> Stored {
        let log = self.logs.entry(message.stream).or_default();
        if log.remembers(&message.id, now_ms) {
            return Stored::Duplicate;
        }
        let last = log.last_of.get(message.subject.as_str()).copied().unwrap_or(0);
        if message.after.is_some_and(|after| after != last) {
            return Stored::WrongLast;
        }
        let sequence = log.entries.len() as u64 + 1;
        log.add(Entry {
            sequence,
            stored_at_ms: now_ms,
            subject: message.subject.as_str().into(),
            id: message.id.as_str().into(),
            payload: message.payload.as_slice().into(),
        });
        if self.sync == Sync::Always {
            log.on_disk = log.entries.len();
        }
        Stored::New(sequence)
    }

    /// Up to `max` messages from a place on.
    #[must_use]
    pub fn read(&self, stream: Stream, from: u64, max: usize) -> Vec<Entry> {
        let from = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        self.entries(stream).iter().skip(from).take(max).cloned().collect()
    }

    /// All messages of a stream.
    #[must_use]
    pub fn entries(&self, stream: Stream) -> &[Entry] {
        self.logs.get(&stream).map_or(&[], |log| &log.entries)
    }

    /// The message at a place.
    #[must_use]
    pub fn at(&self, stream: Stream, sequence: u64) -> Option<Entry> {
        self.read(stream, sequence, 1).pop().filter(|_| sequence > 0)
    }

    /// The newest message on a subject.
    #[must_use]
    pub fn last_of(&self, stream: Stream, subject: &str) -> Option<Entry> {
        let sequence = *self.logs.get(&stream)?.last_of.get(subject)?;
        self.at(stream, sequence)
    }

    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.values.get(key).cloned()
    }

    /// Stores a value.
    pub fn put(&mut self, key: &str, value: Vec<u8>) {
        if self.sync == Sync::Always {
            self.values_on_disk.insert(key.to_owned(), value.clone());
        }
        self.values.insert(key.to_owned(), value);
    }

    /// Gives out up to `max` jobs of a queue: those that came back first.
    pub fn fetch(&mut self, stream: Stream, by: Process, max: usize, now_ms: u64) -> Vec<Delivery> {
        let newest = self.entries(stream).len() as u64;
        let queue = self.queues.entry(stream).or_default();
        let mut due: Vec<u64> =
            queue.returned.iter().filter(|(_, after_ms)| **after_ms <= now_ms).map(|(place, _)| *place).collect();
        due.truncate(max);
        while due.len() < max && queue.given_to < newest {
            queue.given_to += 1;
            if !queue.acked.contains(&queue.given_to) {
                due.push(queue.given_to);
            }
        }
        let given: Vec<(u64, u64)> = due.into_iter().map(|place| (place, queue.give(place, by))).collect();
        let entry = |place| self.at(stream, place).expect("a queue gives out what its stream holds");
        given.into_iter().map(|(place, deliveries)| Delivery { entry: entry(place), deliveries }).collect()
    }

    /// Notes whether a job is being worked on, in which case it does not time out.
    pub fn work_on(&mut self, stream: Stream, sequence: u64, by: Process, is_worked_on: bool) {
        let queue = self.queues.entry(stream).or_default();
        if let Some(held) = queue.held.get_mut(&sequence).filter(|held| held.by == by) {
            held.is_worked_on = is_worked_on;
        }
    }

    /// A process is gone: nobody works on its jobs, and they time out.
    pub fn abandon(&mut self, by: Process) {
        let held = self.queues.values_mut().flat_map(|queue| queue.held.values_mut());
        held.filter(|held| held.by == by).for_each(|held| held.is_worked_on = false);
    }

    /// Takes a job off a queue.
    pub fn ack(&mut self, stream: Stream, sequence: u64, now_ms: u64) {
        let queue = self.queues.entry(stream).or_default();
        queue.held.remove(&sequence);
        queue.returned.remove(&sequence);
        queue.acked.insert(sequence);
        queue.acked_at.retain(|(at_ms, _)| at_ms + ACK_LOSS_MS > now_ms);
        queue.acked_at.push((now_ms, sequence));
    }

    /// Gives a job back, to come again at an instant. Whether the queue knew it as held.
    pub fn give_back(&mut self, stream: Stream, sequence: u64, after_ms: u64) -> bool {
        let queue = self.queues.entry(stream).or_default();
        let was_held = queue.held.remove(&sequence).is_some();
        if was_held {
            queue.returned.insert(sequence, after_ms);
        }
        was_held
    }

    /// The time of a delivery is over: `None` where the job is settled or was given out again, else whether it comes back.
    pub fn is_overdue(
        &self,
        stream: Stream,
        sequence: u64,
        delivery: u64,
        lives: impl Fn(Process) -> bool,
    ) -> Option<bool> {
        let held = self.queues.get(&stream)?.held.get(&sequence).filter(|held| held.delivery == delivery)?;
        Some(!(held.is_worked_on && lives(held.by)))
    }

    /// What stands unwritten is written.
    pub fn write_down(&mut self) {
        self.logs.values_mut().for_each(|log| log.on_disk = log.entries.len());
        self.values_on_disk.clone_from(&self.values);
    }

    /// Power is lost. Gives the streams that lost messages which had been answered for.
    pub fn crash(&mut self, now_ms: u64) -> Vec<Stream> {
        let mut shorter = Vec::new();
        for (stream, log) in &mut self.logs {
            if log.on_disk < log.entries.len() {
                log.cut();
                shorter.push(*stream);
            }
        }
        self.values.clone_from(&self.values_on_disk);
        for (stream, queue) in &mut self.queues {
            queue.crash(self.logs.get(stream).map_or(0, |log| log.entries.len() as u64), now_ms);
        }
        shorter
    }
}

impl Log {
    fn remembers(&self, id: &str, now_ms: u64) -> bool {
        let stored = self.ids.get(id).and_then(|place| self.entries.get(usize::try_from(place - 1).ok()?));
        stored.is_some_and(|entry| entry.stored_at_ms + DUPLICATE_WINDOW_MS > now_ms)
    }

    fn add(&mut self, entry: Entry) {
        self.ids.insert(entry.id.clone(), entry.sequence);
        self.last_of.insert(entry.subject.clone(), entry.sequence);
        self.entries.push(entry);
    }

    fn cut(&mut self) {
        self.entries.truncate(self.on_disk);
        self.ids.clear();
        self.last_of.clear();
        for entry in std::mem::take(&mut self.entries) {
            self.add(entry);
        }
    }
}

impl Queue {
    fn give(&mut self, place: u64, by: Process) -> u64 {
        self.returned.remove(&place);
        let delivery = self.deliveries.entry(place).or_insert(0);
        *delivery += 1;
        self.held.insert(place, Held { by, delivery: *delivery, is_worked_on: false });
        *delivery
    }

    fn crash(&mut self, newest: u64, now_ms: u64) {
        for (at_ms, place) in std::mem::take(&mut self.acked_at) {
            if at_ms + ACK_LOSS_MS > now_ms {
                self.acked.remove(&place);
                self.returned.insert(place, now_ms);
            }
        }
        let held = std::mem::take(&mut self.held);
        self.returned.extend(held.into_keys().map(|place| (place, now_ms)));
        self.returned.retain(|&place, _| place <= newest);
        self.acked.retain(|&place| place <= newest);
        self.given_to = self.given_to.min(newest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, after: Option<u64>) -> Publication {
        let (stream, subject) = (Stream::Alerts, "alert.v1.0".to_owned());
        Publication { stream, subject, id: id.to_owned(), payload: vec![1], after }
    }

    #[test]
    fn an_id_is_remembered_for_as_long_as_the_window() {
        let mut broker = Broker::new(Sync::Always);
        assert_eq!(broker.publish(&message("a", None), 0), Stored::New(1));
        assert_eq!(broker.publish(&message("a", None), DUPLICATE_WINDOW_MS - 1), Stored::Duplicate);
        assert_eq!(broker.publish(&message("a", None), DUPLICATE_WINDOW_MS), Stored::New(2));
    }

    #[test]
    fn of_two_messages_that_would_follow_one_the_first_is_taken() {
        let mut broker = Broker::new(Sync::Always);
        assert_eq!(broker.publish(&message("a", Some(0)), 0), Stored::New(1));
        assert_eq!(broker.publish(&message("b", Some(0)), 0), Stored::WrongLast);
        assert_eq!(broker.publish(&message("b", Some(1)), 0), Stored::New(2));
    }

    #[test]
    fn a_crash_takes_what_was_not_written() {
        for (sync, left) in [(Sync::Always, 2), (Sync::Interval, 1)] {
            let mut broker = Broker::new(sync);
            broker.publish(&message("a", None), 0);
            broker.write_down();
            broker.publish(&message("b", None), 1);
            let lost = broker.crash(2);
            assert_eq!(lost.is_empty(), sync == Sync::Always);
            assert_eq!(broker.entries(Stream::Alerts).len(), left);
            assert_eq!(broker.publish(&message("b", None), 3) == Stored::Duplicate, sync == Sync::Always);
        }
    }

    #[test]
    fn a_job_comes_again_until_it_is_acknowledged() {
        let mut broker = Broker::new(Sync::Always);
        broker.publish(&message("a", None), 0);
        let fetch = |broker: &mut Broker, now_ms| {
            let jobs = broker.fetch(Stream::Alerts, Process::ProverA, 8, now_ms);
            jobs.iter().map(|job| job.deliveries).collect::<Vec<_>>()
        };
        assert_eq!(fetch(&mut broker, 0), [1]);
        assert_eq!(fetch(&mut broker, 0), [0; 0], "it is held");
        assert_eq!(broker.is_overdue(Stream::Alerts, 1, 1, |_| true), Some(true));
        broker.work_on(Stream::Alerts, 1, Process::ProverA, true);
        assert_eq!(broker.is_overdue(Stream::Alerts, 1, 1, |_| true), Some(false));
        assert_eq!(broker.is_overdue(Stream::Alerts, 1, 1, |_| false), Some(true), "who worked on it is gone");
        assert!(broker.give_back(Stream::Alerts, 1, 5));
        assert_eq!(fetch(&mut broker, 4), [0; 0], "not before its pause is over");
        assert_eq!(fetch(&mut broker, 5), [2]);
        broker.ack(Stream::Alerts, 1, 6);
        broker.crash(10_000);
        assert_eq!(fetch(&mut broker, 10_000), [0; 0]);
    }
}
