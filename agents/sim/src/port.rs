//! What a driver holds of the outside: calls that it awaits, under the names that the product's bus has.
//!
//! Mirrors `agents/node/src/bus/mod.rs` (`publish`, `append`), `bus/reader.rs` (`OrderedReader`, `Checkpoint`) and
//! `bus/work.rs` (`WorkQueue`, `Job`). A stream is read again for a minute where the product looks each half second: a
//! look that finds nothing changes nothing once the checkpoint is written.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::Message;
use hygeia_protocol::subject::Stream;

use crate::broker::{Delivery, Entry, Publication, Stored};
use crate::call::{Answer, Reply, Request, Unanswered};
use crate::process::Task;
use crate::run::PlantedBug;
use crate::world::{CallId, World};

/// Without a message for this long a checkpoint that moved is written down; the product's.
const IDLE_MS: u64 = 500;
/// How long a read stands that nothing is to follow upon.
const LONG_MS: u64 = 60_000;
/// First pause between two attempts to publish, doubled up to [`RETRY_PAUSE_MS_MAX`]; the product's.
const RETRY_PAUSE_MS_MIN: u64 = 200;
/// Longest pause between two attempts; the product's.
const RETRY_PAUSE_MS_MAX: u64 = 5_000;
/// Attempts to publish before the role ends; the product's.
const PUBLISH_ATTEMPTS: u32 = 8;
/// Effects between two writes of a checkpoint; the product's.
const CHECKPOINT_EVERY: u64 = 128;
/// Jobs that a worker has at hand; the product's.
const IN_HAND_MAX: usize = 8;

/// One task's way to the outside.
#[derive(Clone)]
pub struct Port {
    // Shared between the run and the tasks, which run one at a time; never borrowed across an await.
    world: Rc<RefCell<World>>,
    task: Task,
}

impl Port {
    /// The port of a task.
    #[must_use]
    pub const fn new(world: Rc<RefCell<World>>, task: Task) -> Port {
        Port { world, task }
    }

    /// The wall clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.world.borrow().clock_ms()
    }

    /// Milliseconds since the start of the run.
    #[must_use]
    pub fn run_ms(&self) -> u64 {
        self.world.borrow().now_ms()
    }

    /// Whether this bug is planted.
    #[must_use]
    pub fn has_bug(&self, bug: PlantedBug) -> bool {
        self.world.borrow().setup.bug == Some(bug)
    }

    /// Reports that an alert gets no proof, as the product does in its log.
    pub fn incident(&self, alert: B32) {
        self.world.borrow_mut().checker.incident(alert);
    }

    /// Makes a call.
    pub async fn call(&self, request: Request) -> Answer {
        let id = self.world.borrow_mut().submit(self.task, request);
        Call { world: &self.world, id }.await
    }

    /// Waits.
    pub async fn sleep(&self, ms: u64) {
        // Nothing can go wrong with a wait but the end of the process, and then nobody hears of it.
        let _ = self.call(Request::Sleep { ms }).await;
    }

    /// Publishes and returns once the broker has stored the message; tries several times.
    pub async fn publish<T: Message>(&self, stream: Stream, subject: String, message: &T) -> Result<(), Unanswered> {
        self.publish_raw(stream, subject, message.message_id(), message.encode()).await
    }

    /// Publishes bytes.
    pub async fn publish_raw(
        &self,
        stream: Stream,
        subject: String,
        id: String,
        payload: Vec<u8>,
    ) -> Result<(), Unanswered> {
        let publication = Publication { stream, subject, id, payload, after: None };
        let mut pause_ms = RETRY_PAUSE_MS_MIN;
        let mut attempt = 1;
        loop {
            match self.call(Request::Publish(publication.clone())).await {
                Ok(_) => return Ok(()),
                Err(unanswered) if attempt >= PUBLISH_ATTEMPTS => return Err(unanswered),
                Err(_) => {
                    self.sleep(pause_ms).await;
                    pause_ms = (pause_ms * 2).min(RETRY_PAUSE_MS_MAX);
                    attempt += 1;
                }
            }
        }
    }

    /// Publishes if `last` is still the place of the newest message on the subject; tried once.
    pub async fn append<T: Message>(
        &self,
        stream: Stream,
        subject: String,
        message: &T,
        last: Option<u64>,
    ) -> Result<Option<u64>, Unanswered> {
        let (id, payload) = (message.message_id(), message.encode());
        let publication = Publication { stream, subject, id, payload, after: last };
        match self.call(Request::Publish(publication)).await? {
            Reply::Stored(Stored::New(sequence)) => Ok(Some(sequence)),
            _ => Ok(None),
        }
    }

    /// The value under a key.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Unanswered> {
        let Reply::Value(value) = self.call(Request::Get { key: key.to_owned() }).await? else { return other() };
        Ok(value)
    }

    /// Stores a value.
    pub async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), Unanswered> {
        self.call(Request::Put { key: key.to_owned(), value }).await.map(drop)
    }

    /// The newest message on a subject.
    pub async fn last_of(&self, stream: Stream, subject: String) -> Result<Option<Entry>, Unanswered> {
        let Reply::Entries(mut found) = self.call(Request::LastOf { stream, subject }).await? else { return other() };
        Ok(found.pop())
    }

    /// The message at a place.
    pub async fn at(&self, stream: Stream, sequence: u64) -> Result<Option<Entry>, Unanswered> {
        let Reply::Entries(mut found) = self.call(Request::At { stream, sequence }).await? else { return other() };
        Ok(found.pop())
    }

    /// Jobs from a queue: at least one.
    pub async fn jobs(&self, stream: Stream, max: usize) -> Result<VecDeque<Delivery>, Unanswered> {
        loop {
            let Reply::Jobs(jobs) = self.call(Request::Fetch { stream, max, wait_ms: LONG_MS }).await? else {
                return other();
            };
            if !jobs.is_empty() {
                return Ok(jobs.into());
            }
        }
    }

    /// Jobs of a queue whose workers have some at hand.
    pub async fn jobs_at_hand(&self, stream: Stream) -> Result<VecDeque<Delivery>, Unanswered> {
        self.jobs(stream, IN_HAND_MAX).await
    }

    /// Runs `work` and says meanwhile that the job is alive.
    pub async fn while_working<T>(&self, stream: Stream, job: &Delivery, work: impl Future<Output = T>) -> T {
        self.work_on(stream, job, true);
        let result = work.await;
        self.work_on(stream, job, false);
        result
    }

    /// Takes a job off its queue.
    pub async fn ack(&self, stream: Stream, job: &Delivery) -> Result<(), Unanswered> {
        self.call(Request::Ack { stream, sequence: job.entry.sequence }).await.map(drop)
    }

    fn work_on(&self, stream: Stream, job: &Delivery, is_worked_on: bool) {
        self.world.borrow_mut().work_on(stream, job.entry.sequence, self.task.process(), is_worked_on);
    }
}

/// All messages of a stream in the order of their places, for ever.
pub struct OrderedReader {
    port: Port,
    stream: Stream,
    next: u64,
    at_hand: VecDeque<Entry>,
}

impl OrderedReader {
    /// Opens a stream from a place on.
    #[must_use]
    pub const fn open(port: Port, stream: Stream, from: u64) -> OrderedReader {
        OrderedReader { port, stream, next: from, at_hand: VecDeque::new() }
    }

    /// The next message, or `None` when none came for a while: a short one where something `waits` for that.
    pub async fn next_within(&mut self, waits: bool) -> Result<Option<Entry>, Unanswered> {
        if self.at_hand.is_empty() {
            let wait_ms = if waits { IDLE_MS } else { LONG_MS };
            let request = Request::Read { stream: self.stream, from: self.next, wait_ms };
            let Reply::Entries(entries) = self.port.call(request).await? else { return other() };
            self.next = entries.last().map_or(self.next, |entry| entry.sequence + 1);
            self.at_hand.extend(entries);
        }
        Ok(self.at_hand.pop_front())
    }

    /// The next message that has come already.
    pub fn take_at_hand(&mut self) -> Option<Entry> {
        self.at_hand.pop_front()
    }
}

/// How far a role has come in a stream.
pub struct Checkpoint {
    port: Port,
    key: &'static str,
    stored: u64,
    done: u64,
}

impl Checkpoint {
    /// Loads a checkpoint; 0 when there is none.
    pub async fn load(port: &Port, key: &'static str) -> Result<Checkpoint, Unanswered> {
        let value = port.get(key).await?;
        let stored = value.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok()).unwrap_or(0);
        Ok(Checkpoint { port: port.clone(), key, stored, done: stored })
    }

    /// Whether the effects of a message are stored already.
    #[must_use]
    pub const fn covers(&self, sequence: u64) -> bool {
        sequence <= self.stored
    }

    /// Whether it moved since it was written down.
    #[must_use]
    pub const fn moved(&self) -> bool {
        self.done > self.stored
    }

    /// Notes that all effects up to here are stored; writes it down now and then.
    pub async fn advance(&mut self, sequence: u64) -> Result<(), Unanswered> {
        self.done = self.done.max(sequence);
        if self.done - self.stored >= CHECKPOINT_EVERY { self.flush().await } else { Ok(()) }
    }

    /// Writes it down if it moved.
    pub async fn flush(&mut self) -> Result<(), Unanswered> {
        if self.moved() {
            self.port.put(self.key, self.done.to_string().into_bytes()).await?;
            self.stored = self.done;
        }
        Ok(())
    }
}

struct Call<'a> {
    world: &'a RefCell<World>,
    id: CallId,
}

impl Future for Call<'_> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        self.world.borrow_mut().take(self.id).map_or(Poll::Pending, Poll::Ready)
    }
}

fn other<T>() -> T {
    unreachable!("the outside answers the question that was asked")
}
