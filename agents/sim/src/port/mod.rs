//! What a driver holds of the outside: calls that it awaits, under the names that the product's bus has.
//!
//! Mirrors `agents/node/src/bus/mod.rs` (`publish`, `append`), `bus/reader.rs` (`OrderedReader`) and `bus/work.rs`
//! (`WorkQueue`, `Job`). A stream is read again for a minute where the product looks each half second: a look that finds
//! nothing changes nothing.

mod reader;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hygeia_protocol::bytes::B32;
use hygeia_protocol::message::Message;
use hygeia_protocol::subject::{Partition, Stream};

pub use self::reader::OrderedReader;
use crate::broker::{After, Change, Delivery, Entry, Publication, Stored, Subject};
use crate::call::{Answer, Reply, Request, Unanswered};
use crate::process::{Process, Task};
use crate::run::PlantedBug;
use crate::world::{CallId, World};

/// How long a read stands.
pub const LONG_MS: u64 = 60_000;
/// First pause between two attempts to publish, doubled up to [`RETRY_PAUSE_MS_MAX`]; the product's.
const RETRY_PAUSE_MS_MIN: u64 = 200;
/// Longest pause between two attempts; the product's.
const RETRY_PAUSE_MS_MAX: u64 = 5_000;
/// Attempts to publish before the role ends; the product's.
const PUBLISH_ATTEMPTS: u32 = 8;
/// Jobs that a worker has at hand; the product's.
const IN_HAND_MAX: usize = 8;

/// One task's way to the outside.
#[derive(Clone)]
pub struct Port {
    // Shared between the run and the tasks, which run one at a time; never borrowed across an await.
    world: Rc<RefCell<World>>,
    task: Task,
}

/// A call under way. Who drops it does not hear the answer.
pub struct Call {
    world: Rc<RefCell<World>>,
    id: CallId,
    is_answered: bool,
}

impl Port {
    /// The port of a task.
    #[must_use]
    pub const fn new(world: Rc<RefCell<World>>, task: Task) -> Port {
        Port { world, task }
    }

    /// The port of another task of the same process.
    #[must_use]
    pub fn of(&self, task: Task) -> Port {
        Port { world: self.world.clone(), task }
    }

    /// The process that the task runs in.
    #[must_use]
    pub const fn process(&self) -> Process {
        self.task.process()
    }

    /// Which life of the process this is.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.world.borrow().life(self.process())
    }

    /// The wall clock of the process.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.world.borrow().clock_of(self.process())
    }

    /// Milliseconds since the start of the run: a monotonic clock.
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

    /// Reports that a window is scored by a model at this moment.
    pub fn scored(&self, model: &B32) {
        let mut world = self.world.borrow_mut();
        let now_ms = world.now_ms();
        let checked = world.checker.scored(self.process(), model, now_ms);
        world.check(checked);
    }

    /// Reports that a partition was begun from a snapshot.
    pub fn restored(&self) {
        self.world.borrow_mut().met.restored += 1;
    }

    /// Lets another task of the process go on.
    pub fn wake(&self, task: Task) {
        self.world.borrow_mut().wake(task);
    }

    /// Begins a call.
    #[must_use]
    pub fn begin(&self, request: Request) -> Call {
        let id = self.world.borrow_mut().submit(self.task, request, true);
        Call { world: self.world.clone(), id, is_answered: false }
    }

    /// Makes a call whose answer nobody waits for.
    pub fn tell(&self, request: Request) {
        self.world.borrow_mut().submit(self.task, request, false);
    }

    /// Makes a call.
    pub async fn call(&self, request: Request) -> Answer {
        self.begin(request).await
    }

    /// Waits.
    pub async fn sleep(&self, ms: u64) {
        // Nothing can go wrong with a wait but the end of the process, and then nobody hears of it.
        let _ = self.call(Request::Sleep { ms }).await;
    }

    /// Publishes and returns once the broker has stored the message; tries several times.
    pub async fn publish<T: Message>(&self, stream: Stream, subject: Subject, message: &T) -> Result<(), Unanswered> {
        let (id, payload) = (message.message_id().into(), message.encode().into());
        self.publish_raw(Publication { stream, subject, id, payload, after: None }).await.map(drop)
    }

    /// Publishes bytes; tries several times.
    pub async fn publish_raw(&self, publication: Publication) -> Result<Stored, Unanswered> {
        let mut pause_ms = RETRY_PAUSE_MS_MIN;
        let mut attempt = 1;
        loop {
            match self.call(Request::Publish(publication.clone())).await {
                Ok(Reply::Stored(stored)) => return Ok(stored),
                Ok(_) => return other(),
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
        subject: Subject,
        message: &T,
        last: u64,
    ) -> Result<Option<u64>, Unanswered> {
        let (id, payload) = (message.message_id().into(), message.encode().into());
        let after = Some(After { subject: subject.clone(), sequence: last });
        match self.call(Request::Publish(Publication { stream, subject, id, payload, after })).await? {
            Reply::Stored(Stored::New(sequence)) => Ok(Some(sequence)),
            _ => Ok(None),
        }
    }

    /// The value under a key, and its revision.
    pub async fn get(&self, key: &Rc<str>) -> Result<Option<(u64, Rc<[u8]>)>, Unanswered> {
        let Reply::Value(value) = self.call(Request::Get { key: key.clone() }).await? else { return other() };
        Ok(value)
    }

    /// Writes a value if `after` still is its revision; gives the new one.
    pub async fn put(&self, key: &Rc<str>, value: Vec<u8>, after: Option<u64>) -> Result<Option<u64>, Unanswered> {
        let bytes = Some(value.into());
        let request = Request::Write { key: key.clone(), bytes, after, ttl_ms: None, is_routine: false };
        let Reply::Written(revision) = self.call(request).await? else { return other() };
        Ok(revision)
    }

    /// What was written since a revision.
    pub async fn changes(&self, prefix: &Rc<str>, since: u64) -> Result<Vec<Change>, Unanswered> {
        let request = Request::Watch { prefix: prefix.clone(), since, wait_ms: 0 };
        let Reply::Changes(changes) = self.call(request).await? else { return other() };
        Ok(changes)
    }

    /// The newest message on a subject.
    pub async fn last_of(&self, stream: Stream, subject: Subject) -> Result<Option<Entry>, Unanswered> {
        let Reply::Entries(mut found) = self.call(Request::LastOf { stream, subject }).await? else { return other() };
        Ok(found.pop())
    }

    /// The message at a place.
    pub async fn at(&self, stream: Stream, sequence: u64) -> Result<Option<Entry>, Unanswered> {
        let Reply::Entries(mut found) = self.call(Request::At { stream, sequence }).await? else { return other() };
        Ok(found.pop())
    }

    /// Messages of a partition that stand in a stream, from a place on.
    pub async fn read(&self, stream: Stream, partition: Partition, from: u64) -> Result<Vec<Entry>, Unanswered> {
        let request = Request::Read { stream, filter: crate::broker::Filter::Of(partition), from, wait_ms: 0 };
        let Reply::Entries(entries) = self.call(request).await? else { return other() };
        Ok(entries)
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
        self.world.borrow_mut().work_on(stream, job.entry.sequence, self.process(), is_worked_on);
    }
}

impl Future for Call {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        let answer = self.world.borrow_mut().take(self.id);
        self.is_answered = answer.is_some();
        answer.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_answered {
            self.world.borrow_mut().forget(self.id);
        }
    }
}

/// What no question is answered with.
pub(crate) fn other<T>() -> T {
    unreachable!("the outside answers the question that was asked")
}
