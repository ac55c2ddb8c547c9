//! What a call does when it arrives, and who is told of it.

use std::rc::Rc;

use hygeia_protocol::subject::Stream;

use super::{CallId, Event, Heard, READ_MAX, Sent, World};
use crate::broker::{ACK_WAIT_MS, Delivery, Filter, Publication, Stored, Subject};
use crate::call::{Reply, Request, Target, Unanswered};
use crate::process::Process;

impl World {
    pub(super) fn arrive(&mut self, sent: Sent) {
        let Sent { call, by, life, request, heard, until_ms } = sent;
        let is_reached = match request.target() {
            Target::Broker => self.weather.reaches_broker(by, self.now_ms),
            Target::Chain => self.weather.chain_answers(self.now_ms),
            Target::Own => true,
        };
        self.met.silences += u64::from(!is_reached && request.target() == Target::Chain);
        if !is_reached {
            // Nothing is told; the caller gives up in its own time.
            let left_ms = until_ms.saturating_sub(self.now_ms);
            return self.after(left_ms, Event::Unanswered(call));
        }
        let reply = self.apply(by, life, &request);
        match (heard, reply) {
            (Heard::Answer, Some(reply)) => self.answer(call, Ok(reply)),
            (Heard::Answer, None) => self.wait(call, request),
            (Heard::Nothing, _) => {}
            (Heard::Killed { down_ms }, _) => self.kill(by, down_ms),
        }
    }

    /// Nothing to read yet: the call stays until something comes or its time is over.
    fn wait(&mut self, call: CallId, request: Request) {
        if self.calls.contains_key(&call) {
            self.after(request.wait_ms(), Event::Empty(call));
            self.waiting.insert(call, request);
        }
    }

    /// The time of a call that waits is over.
    pub(super) fn empty(&mut self, call: CallId) {
        let Some(caller) = self.calls.get(&call) else { return };
        let is_reached = self.weather.reaches_broker(caller.task.process(), self.now_ms);
        let answer = match self.waiting.remove(&call).filter(|_| is_reached) {
            Some(Request::Fetch { .. }) => Ok(Reply::Jobs(Vec::new())),
            Some(Request::Watch { .. }) => Ok(Reply::Changes(Vec::new())),
            Some(_) => Ok(Reply::Entries(Vec::new())),
            None => Err(Unanswered),
        };
        self.answer(call, answer);
    }

    /// Does what is asked for; nothing where the answer is to wait.
    fn apply(&mut self, by: Process, life: u64, request: &Request) -> Option<Reply> {
        let reply = match request {
            Request::Publish(message) => Reply::Stored(self.store(by, life, message)),
            Request::Read { stream, filter, from, wait_ms } => {
                let read = self.broker.read(*stream, *filter, *from, READ_MAX);
                Reply::Entries(Some(read).filter(|read| !read.is_empty() || *wait_ms == 0)?)
            }
            Request::At { stream, sequence } => {
                Reply::Entries(self.broker.at(*stream, *sequence).into_iter().collect())
            }
            Request::LastOf { stream, subject } => {
                Reply::Entries(self.broker.last_of(*stream, subject).into_iter().collect())
            }
            Request::Get { key } => Reply::Value(self.broker.bucket.get(key)),
            Request::Write { key, bytes, after, ttl_ms, .. } => {
                Reply::Written(self.write(key, bytes.as_ref(), *after, *ttl_ms))
            }
            Request::Purge { prefix, but } => {
                self.broker.bucket.purge(prefix, but);
                Reply::Done
            }
            Request::Watch { prefix, since, wait_ms } => {
                let changes = self.broker.bucket.changes(prefix, *since, self.now_ms);
                Reply::Changes(Some(changes).filter(|changes| !changes.is_empty() || *wait_ms == 0)?)
            }
            Request::Fetch { stream, max, .. } => {
                Reply::Jobs(Some(self.fetch(*stream, by, *max)).filter(|jobs| !jobs.is_empty())?)
            }
            Request::Ack { stream, sequence } => {
                self.ack(*stream, *sequence);
                Reply::Done
            }
            Request::Prove { .. } | Request::Sleep { .. } => Reply::Done,
            _ => self.apply_to_chain(by, request),
        };
        Some(reply)
    }

    fn apply_to_chain(&mut self, by: Process, request: &Request) -> Reply {
        match *request {
            Request::Registries => {
                let seen = self.chain.registries();
                self.checker.told(by, &seen, self.now_ms);
                Reply::Registries(seen)
            }
            Request::Nonce { account, block: Some(block) } => Reply::Number(self.chain.nonce_at(account, block)),
            Request::Nonce { account, block: None } => Reply::Number(self.chain.pending_nonce(account)),
            Request::Landing { nullifier, receipt } => Reply::Landing(self.chain.landing(&nullifier, &receipt)),
            Request::Estimate { call } => {
                let time_s = self.clock_ms() / 1_000;
                let refuses = self.chain.refuses(&call, time_s);
                self.compare();
                Reply::Refuses(refuses)
            }
            Request::Send { account, nonce, fee_percent, call } => {
                self.weather.on_send(self.now_ms);
                let sent = self.chain.send(account, nonce, fee_percent, call);
                if let Ok(tx) = &sent {
                    self.met.sent_again += u64::from(fee_percent > 100);
                    let checked = self.checker.sent(tx, &self.chain);
                    self.check(checked);
                }
                Reply::Sent(sent)
            }
            Request::Mined { tx } => Reply::Mined(self.chain.find(&tx)),
            _ => Reply::Number(self.chain.head()),
        }
    }

    fn store(&mut self, by: Process, life: u64, message: &Publication) -> Stored {
        let stored = self.broker.publish(message, self.clock_ms());
        let is_shut_out = message.after.as_ref().is_some_and(|after| matches!(after.subject, Subject::Fence(_)));
        match stored {
            Stored::Duplicate(_) => self.met.duplicates += 1,
            Stored::WrongLast if is_shut_out => self.met.fenced += 1,
            Stored::WrongLast => self.met.late_orders += 1,
            Stored::New(sequence) => {
                let entry = self.broker.at(message.stream, sequence).expect("it was just stored");
                let checked = self.checker.stored(message.stream, &entry, (by, life), (&self.chain, self.now_ms));
                self.check(checked);
                self.serve_waiting(|request| match request {
                    Request::Read { stream, filter, .. } => {
                        *stream == message.stream && is_read_by(&message.subject, *filter)
                    }
                    Request::Fetch { stream, .. } => *stream == message.stream,
                    _ => false,
                });
            }
        }
        stored
    }

    fn write(
        &mut self,
        key: &Rc<str>,
        bytes: Option<&Rc<[u8]>>,
        after: Option<u64>,
        ttl_ms: Option<u64>,
    ) -> Option<u64> {
        let until_ms = ttl_ms.map_or(u64::MAX, |ttl_ms| self.now_ms + ttl_ms);
        let revision = self.broker.bucket.write(key, bytes.cloned(), after, until_ms)?;
        let checked = bytes.map_or(Ok(()), |bytes| self.checker.written(key, bytes));
        self.check(checked);
        self.serve_waiting(|request| matches!(request, Request::Watch { prefix, .. } if key.starts_with(&**prefix)));
        Some(revision)
    }

    fn ack(&mut self, stream: Stream, sequence: u64) {
        if let Some(entry) = self.broker.at(stream, sequence) {
            let checked = self.checker.acked(stream, &entry);
            self.check(checked);
        }
        self.broker.ack(stream, sequence, self.clock_ms());
    }

    fn fetch(&mut self, stream: Stream, by: Process, max: usize) -> Vec<Delivery> {
        let jobs = self.broker.fetch(stream, by, max, self.clock_ms());
        for job in &jobs {
            let (sequence, delivery) = (job.entry.sequence, job.deliveries);
            self.met.redeliveries += u64::from(delivery > 1);
            self.after(ACK_WAIT_MS, Event::Overdue { stream, sequence, delivery });
        }
        jobs
    }

    /// A job whose worker has shown no sign of life goes to another.
    pub(super) fn overdue(&mut self, stream: Stream, sequence: u64, delivery: u64) {
        let (weather, lives, now_ms) = (&self.weather, &self.lives, self.now_ms);
        let is_alive = |process: Process| {
            let life = &lives[process.index()];
            life.is_up && !life.is_paused && weather.reaches_broker(process, now_ms)
        };
        match self.broker.is_overdue(stream, sequence, delivery, is_alive) {
            None => {}
            Some(false) => self.after(ACK_WAIT_MS, Event::Overdue { stream, sequence, delivery }),
            Some(true) => {
                self.broker.give_back(stream, sequence, self.clock_ms());
                self.serve_waiting(|request| matches!(request, Request::Fetch { stream: of, .. } if *of == stream));
            }
        }
    }

    /// Answers those that wait for something that is there now.
    fn serve_waiting(&mut self, is_served: impl Fn(&Request) -> bool) {
        let served = self.waiting.iter().filter(|(_, request)| is_served(request)).map(|(call, _)| *call);
        for call in served.collect::<Vec<CallId>>() {
            let Some(caller) = self.calls.get(&call) else { continue };
            let (by, life) = (caller.task.process(), caller.life);
            if !self.weather.reaches_broker(by, self.now_ms) {
                continue;
            }
            let Some(request) = self.waiting.remove(&call) else { continue };
            match self.apply(by, life, &request) {
                Some(reply) => self.answer(call, Ok(reply)),
                None => drop(self.waiting.insert(call, request)),
            }
        }
    }
}

fn is_read_by(subject: &Subject, filter: Filter) -> bool {
    match (subject, filter) {
        (Subject::Fence(_), _) => false,
        (_, Filter::All) => true,
        (Subject::Of(partition), Filter::Of(wanted)) => *partition == wanted,
        (Subject::Named(_), Filter::Of(_)) => false,
    }
}
