//! What a call does when it arrives, and who is told of it.

use hygeia_protocol::subject::Stream;

use super::{CallId, Event, Heard, READ_MAX, World};
use crate::broker::{ACK_WAIT_MS, Delivery, Publication, Stored};
use crate::call::{Reply, Request, Target};
use crate::invariant::Violation;
use crate::process::Process;

/// Keys of the checkpoints of the two stateful roles.
pub(crate) const CHECKPOINTS: [&str; 2] = ["checkpoint/oracle", "checkpoint/sentinel"];

impl World {
    pub(super) fn arrive(&mut self, call: CallId, by: Process, request: Request, heard: Heard) {
        let is_reached = match request.target() {
            Target::Broker => self.weather.reaches_broker(by, self.now_ms),
            Target::Chain => self.weather.chain_answers(self.now_ms),
            Target::Own => true,
        };
        self.met.silences += u64::from(!is_reached && request.target() == Target::Chain);
        if !is_reached {
            return;
        }
        let reply = self.apply(by, request.clone());
        match (heard, reply) {
            (Heard::Answer, Some(reply)) => self.reply(call, reply),
            (Heard::Answer, None) => self.wait(call, request),
            (Heard::Nothing, _) => {}
            (Heard::Killed { down_ms }, _) => self.kill(by, down_ms),
        }
    }

    fn reply(&mut self, call: CallId, reply: Reply) {
        self.after(1, Event::Answer { call, answer: Ok(reply) });
    }

    /// Nothing to read yet: the call stays until something comes or its time is over.
    fn wait(&mut self, call: CallId, request: Request) {
        let wait_ms = request.wait_ms();
        let empty = match request {
            Request::Fetch { .. } => Reply::Jobs(Vec::new()),
            _ => Reply::Entries(Vec::new()),
        };
        self.after(wait_ms, Event::Answer { call, answer: Ok(empty) });
        if self.calls.contains_key(&call) {
            self.waiting.insert(call, request);
        }
    }

    /// Does what is asked for; nothing where the answer is to wait.
    fn apply(&mut self, by: Process, request: Request) -> Option<Reply> {
        let reply = match request {
            Request::Publish(message) => Reply::Stored(self.store(&message)),
            Request::Read { stream, from, .. } => {
                Reply::Entries(Some(self.broker.read(stream, from, READ_MAX)).filter(|read| !read.is_empty())?)
            }
            Request::At { stream, sequence } => Reply::Entries(self.broker.at(stream, sequence).into_iter().collect()),
            Request::LastOf { stream, subject } => {
                Reply::Entries(self.broker.last_of(stream, &subject).into_iter().collect())
            }
            Request::Get { key } => Reply::Value(self.broker.get(&key)),
            Request::Put { key, value } => {
                self.put(&key, value);
                Reply::Done
            }
            Request::Fetch { stream, max, .. } => {
                Reply::Jobs(Some(self.fetch(stream, by, max)).filter(|jobs| !jobs.is_empty())?)
            }
            Request::Ack { stream, sequence } => {
                self.ack(stream, sequence);
                Reply::Done
            }
            Request::Head => Reply::Number(self.chain.head()),
            Request::Nonce { block } => {
                Reply::Number(block.map_or_else(|| self.chain.pending_nonce(), |block| self.chain.nonce_at(block)))
            }
            Request::Landing { nullifier, receipt } => Reply::Landing(self.chain.landing(&nullifier, &receipt)),
            Request::Estimate { nullifier } => Reply::Refuses(self.chain.refuses(&nullifier)),
            Request::Send { nonce, fee_percent, receipt, nullifier } => {
                self.weather.on_send(self.now_ms);
                let sent = self.chain.send(nonce, fee_percent, receipt, nullifier);
                if let Ok(tx) = &sent {
                    self.met.sent_again += u64::from(fee_percent > 100);
                    let checked = self.checker.sent(tx, &self.chain);
                    self.check(checked);
                }
                Reply::Sent(sent)
            }
            Request::Mined { tx } => Reply::Mined(self.chain.find(&tx)),
            Request::Prove { .. } | Request::Sleep { .. } => Reply::Done,
        };
        Some(reply)
    }

    fn store(&mut self, message: &Publication) -> Stored {
        let stored = self.broker.publish(message, self.clock_ms());
        self.met.duplicates += u64::from(stored == Stored::Duplicate);
        self.met.late_orders += u64::from(stored == Stored::WrongLast);
        if let Stored::New(sequence) = stored {
            let entry = self.broker.at(message.stream, sequence).expect("it was just stored");
            let alerts = self.checker.counts().alerts;
            let checked = self.checker.stored(message.stream, &entry, &self.chain);
            self.check(checked);
            let is_repeated = message.stream == Stream::Alerts && self.checker.counts().alerts == alerts;
            self.met.repeated_alerts += u64::from(is_repeated);
            self.serve_waiting(message.stream);
        }
        stored
    }

    fn put(&mut self, key: &str, value: Vec<u8>) {
        let place = || std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let checked = match key {
            _ if !self.setup.is_order_watched => Ok(()),
            _ if key == CHECKPOINTS[0] => self.checker.oracle_checkpoint(place()),
            _ if key == CHECKPOINTS[1] => self.checker.sentinel_checkpoint(place()),
            _ => Ok(()),
        };
        self.check(checked);
        self.broker.put(key, value);
    }

    fn ack(&mut self, stream: Stream, sequence: u64) {
        if let Some(entry) = self.broker.at(stream, sequence).filter(|_| self.setup.is_order_watched) {
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
            lives.get(&process).is_some_and(|life| life.is_up) && weather.reaches_broker(process, now_ms)
        };
        match self.broker.is_overdue(stream, sequence, delivery, is_alive) {
            None => {}
            Some(false) => self.after(ACK_WAIT_MS, Event::Overdue { stream, sequence, delivery }),
            Some(true) => {
                self.broker.give_back(stream, sequence, self.clock_ms());
                self.serve_waiting(stream);
            }
        }
    }

    /// Answers those that wait for something in this stream.
    pub(super) fn serve_waiting(&mut self, stream: Stream) {
        let waits = |request: &Request| matches!(request, Request::Read { stream: of, .. } | Request::Fetch { stream: of, .. } if *of == stream);
        let served: Vec<CallId> =
            self.waiting.iter().filter(|(_, request)| waits(request)).map(|(call, _)| *call).collect();
        for call in served {
            let Some(by) = self.calls.get(&call).map(|caller| caller.task.process()) else { continue };
            if !self.weather.reaches_broker(by, self.now_ms) {
                continue;
            }
            let request = self.waiting[&call].clone();
            if let Some(reply) = self.apply(by, request) {
                self.waiting.remove(&call);
                self.reply(call, reply);
            }
        }
    }

    pub(super) fn check(&mut self, checked: Result<(), Violation>) {
        if let Err(violation) = checked {
            self.violated(violation);
        }
    }
}
