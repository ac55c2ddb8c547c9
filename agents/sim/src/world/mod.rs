//! Everything outside the roles: time, the network, broker and chain, and who is alive.
//!
//! It is a queue of events by time. Nothing in it depends on anything but the seed and the schedule: no clock, no thread,
//! no map whose order is random is read.

mod effect;
mod life;
mod queue;
mod weather;

use std::collections::{BTreeMap, BTreeSet};

use hygeia_protocol::subject::Stream;

use self::life::Life;
pub use self::life::Turn;
use self::queue::Queue;
use self::weather::Weather;
use crate::broker::{Broker, SYNC_INTERVAL_MS, Sync};
use crate::call::{Answer, Reply, Request, Target, Unanswered};
use crate::chain::Chain;
use crate::governance::{self, Decision};
use crate::invariant::{Checker, Violation};
use crate::process::{Process, Task};
use crate::rng::Rng;
use crate::run::Setup;
use crate::schedule::{CallFault, Fault};
use crate::ward::{HOUR_MS, START};

/// How long a caller waits for an answer.
const ANSWER_WITHIN_MS: u64 = 5_000;
/// Pause of a supervisor before it starts a process again that ended by itself.
const RESTART_MS: u64 = 2_000;
/// Time between two blocks.
pub(crate) const BLOCK_MS: u64 = 12_000;
/// How long after the last hour everything may take to come to rest: more than a submission is tried for.
const REST_HOURS: u64 = 8;
/// How often it is looked whether everything is at rest.
const LOOK_MS: u64 = 5 * 60_000;
/// Messages of one answer to a read.
const READ_MAX: usize = 256;

/// Names a call.
pub type CallId = u64;

/// How often something went wrong, so that a run which meets nothing is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Met {
    /// Processes that ended, killed or by themselves.
    pub ends: u64,
    /// Jobs that came again.
    pub redeliveries: u64,
    /// Messages that the broker had already.
    pub duplicates: u64,
    /// Messages that a fence kept out.
    pub fenced: u64,
    /// Partitions that were begun from a snapshot.
    pub restored: u64,
    /// Parts of snapshots that were damaged.
    pub spoiled: u64,
    /// Orders that came too late to follow the one before.
    pub late_orders: u64,
    /// Transactions that a re-org took out of their block.
    pub taken_out: u64,
    /// Transactions that a node forgot.
    pub forgotten: u64,
    /// Calls that no node of the chain answered.
    pub silences: u64,
    /// Transactions sent again with a nonce that was sent before.
    pub sent_again: u64,
    /// Proofs that failed.
    pub failed_proofs: u64,
}

/// The outside.
#[derive(Debug)]
pub struct World {
    pub(crate) setup: Setup,
    now_ms: u64,
    events: Queue<Event>,
    /// Calls and events made so far.
    made: u64,
    calls: BTreeMap<CallId, Caller>,
    answers: BTreeMap<CallId, (Process, Answer)>,
    waiting: BTreeMap<CallId, Request>,
    lives: [Life; Process::COUNT],
    weather: Weather,
    decisions: Vec<(u64, Decision)>,
    pub(crate) broker: Broker,
    pub(crate) chain: Chain,
    pub(crate) checker: Checker,
    /// Messages that the devices send in all.
    pub(crate) sent: usize,
    /// Tasks that have something to hear.
    pub(crate) ready: BTreeSet<Task>,
    /// Tasks of paused processes that have something to hear.
    held_up: BTreeSet<Task>,
    /// What became of processes since the roles were last let run.
    pub(crate) turned: Vec<(Process, Turn)>,
    pub(crate) end: Option<Result<(), Violation>>,
    pub(crate) steps: u64,
    pub(crate) met: Met,
}

#[derive(Clone, Copy, Debug)]
struct Caller {
    task: Task,
    life: u64,
}

/// A request on its way.
#[derive(Debug)]
struct Sent {
    call: CallId,
    by: Process,
    life: u64,
    request: Request,
    heard: Heard,
    /// When the caller gives up waiting.
    until_ms: u64,
}

#[derive(Debug)]
enum Event {
    Start(Process),
    Arrive(Box<Sent>),
    /// What a process did by itself is done.
    Done(CallId),
    /// A caller gives up waiting.
    Unanswered(CallId),
    /// Nothing came for who waits.
    Empty(CallId),
    /// A held job times out.
    Overdue {
        stream: Stream,
        sequence: u64,
        delivery: u64,
    },
    Fault(usize),
    GoOn(Process),
    RightClock(Process),
    Decide(usize),
    BrokerUp,
    WriteDown,
    Block,
    Look,
}

/// What the caller hears of a call that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Answer,
    Nothing,
    /// The process is killed with the effect.
    Killed {
        down_ms: u64,
    },
}

impl World {
    /// The outside at the start, with the faults that `setup` keeps of its schedule.
    #[must_use]
    pub fn new(setup: Setup, sent: usize) -> World {
        let decisions = governance::draw(setup.seed, setup.hours);
        let mut world = World {
            now_ms: 0,
            events: Queue::default(),
            made: 0,
            calls: BTreeMap::new(),
            answers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            lives: Default::default(),
            weather: Weather::new(&setup.faults),
            decisions: decisions.clone(),
            broker: Broker::new(setup.sync),
            chain: Chain::with(setup.contracts.map(|found| found(setup.patients))),
            checker: Checker::new(setup.is_order_watched, decisions),
            sent,
            ready: BTreeSet::new(),
            held_up: BTreeSet::new(),
            turned: Vec::new(),
            end: None,
            steps: 0,
            met: Met::default(),
            setup,
        };
        Process::all(world.setup.replicas).for_each(|process| world.after(0, Event::Start(process)));
        let faults: Vec<u64> = world.setup.faults.iter().map(Fault::at_ms).collect();
        faults.into_iter().enumerate().for_each(|(place, at_ms)| world.after(at_ms, Event::Fault(place)));
        let decisions: Vec<u64> = world.decisions.iter().map(|(at_ms, _)| *at_ms).collect();
        decisions.into_iter().enumerate().for_each(|(place, at_ms)| world.after(at_ms, Event::Decide(place)));
        world.after(BLOCK_MS, Event::Block);
        world.after(world.setup.hours * HOUR_MS, Event::Look);
        if world.setup.sync == Sync::Interval {
            world.after(SYNC_INTERVAL_MS, Event::WriteDown);
        }
        world
    }

    /// Milliseconds since the start.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn clock_ms(&self) -> u64 {
        START.as_millis() + self.now_ms
    }

    /// Takes a call of a task; its answer comes with an event. Of one that is not `heard` nobody waits for an answer.
    pub fn submit(&mut self, task: Task, request: Request, heard: bool) -> CallId {
        let process = task.process();
        self.made += 1;
        let call = self.made;
        let life = &mut self.lives[process.index()];
        life.calls += 1;
        life.effects += u64::from(request.has_effect());
        let (number, effects, calls) = (life.number, life.effects, life.calls);
        if heard {
            self.calls.insert(call, Caller { task, life: number });
        }
        if let Request::Sleep { ms } = request {
            self.after(ms, Event::Done(call));
            return call;
        }
        let mut rng = Rng::of(self.setup.seed, &[task.key(), calls]);
        let fault = if request.has_effect() { self.weather.hit(process, self.now_ms, effects) } else { None };
        self.send(call, process, request, fault, &mut rng);
        call
    }

    fn send(&mut self, call: CallId, by: Process, request: Request, fault: Option<CallFault>, rng: &mut Rng) {
        let target = request.target();
        if let Some(CallFault::KillBefore { down_ms }) = fault {
            return self.kill(by, down_ms);
        }
        let heard = match fault {
            Some(CallFault::KillAfter { down_ms }) => Heard::Killed { down_ms },
            Some(CallFault::AnswerLost) if target != Target::Own => Heard::Nothing,
            _ => Heard::Answer,
        };
        if let Request::Prove { takes_ms } = request {
            // A fault of the network is a failure of the proof here.
            let is_proved = matches!(fault, None | Some(CallFault::KillAfter { .. }));
            self.met.failed_proofs += u64::from(!is_proved);
            match heard {
                Heard::Killed { down_ms } => self.kill(by, down_ms),
                _ => self.after(takes_ms, if is_proved { Event::Done(call) } else { Event::Unanswered(call) }),
            }
            return;
        }
        let now_ms = self.now_ms;
        let until_ms = now_ms + ANSWER_WITHIN_MS + request.wait_ms();
        let late_ms = if let Some(CallFault::Late { by_ms }) = fault { by_ms } else { 0 };
        let latency_ms = late_ms + if target == Target::Chain { rng.between(20, 300) } else { rng.between(1, 4) };
        let life = &mut self.lives[by.index()];
        let number = life.number;
        let mut at_ms = now_ms + latency_ms;
        if target == Target::Broker {
            at_ms = at_ms.max(life.lane_ms);
            life.lane_ms = at_ms;
        }
        let is_lost = fault == Some(CallFault::RequestLost);
        // Whoever hears in time needs no end of the waiting.
        if is_lost || heard == Heard::Nothing || at_ms > now_ms + ANSWER_WITHIN_MS {
            self.after(until_ms - now_ms, Event::Unanswered(call));
        }
        if is_lost {
            return;
        }
        let twice = (fault == Some(CallFault::Twice)).then(|| request.clone());
        let sent = |request, heard| Box::new(Sent { call, by, life: number, request, heard, until_ms });
        self.after(at_ms - now_ms, Event::Arrive(sent(request, heard)));
        if let Some(request) = twice {
            self.after(at_ms - now_ms + 1, Event::Arrive(sent(request, Heard::Nothing)));
        }
    }

    /// What a call has heard, if it has.
    pub fn take(&mut self, call: CallId) -> Option<Answer> {
        self.answers.remove(&call).map(|(_, answer)| answer)
    }

    /// Nobody waits for the answer to a call any more.
    pub fn forget(&mut self, call: CallId) {
        self.calls.remove(&call);
        self.waiting.remove(&call);
        self.answers.remove(&call);
    }

    /// Notes that a job is being worked on, or no more.
    pub fn work_on(&mut self, stream: Stream, sequence: u64, by: Process, is_worked_on: bool) {
        self.broker.work_on(stream, sequence, by, is_worked_on);
    }

    /// Moves to the next event. False where the run is over.
    pub fn advance(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        let Some((at_ms, event)) = self.events.pop() else {
            self.end = Some(Err(Violation::Endless));
            return false;
        };
        self.now_ms = at_ms;
        self.steps += 1;
        self.happen(event);
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(process) => self.start(process),
            Event::Arrive(sent) => self.arrive(*sent),
            Event::Done(call) => self.answer(call, Ok(Reply::Done)),
            Event::Unanswered(call) => self.answer(call, Err(Unanswered)),
            Event::Empty(call) => self.empty(call),
            Event::Overdue { stream, sequence, delivery } => self.overdue(stream, sequence, delivery),
            Event::Fault(place) => self.fault(place),
            Event::GoOn(process) => self.go_on(process),
            Event::RightClock(process) => self.lives[process.index()].clock_off_ms = 0,
            Event::Decide(place) => self.chain.decide(self.decisions[place].1),
            Event::BrokerUp => self.weather.broker_is_down = false,
            Event::WriteDown => {
                self.broker.write_down();
                self.after(SYNC_INTERVAL_MS, Event::WriteDown);
            }
            Event::Block => self.block(),
            Event::Look => self.look(),
        }
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.events.push(self.now_ms + ms, event);
    }

    fn answer(&mut self, call: CallId, answer: Answer) {
        self.waiting.remove(&call);
        if let Some(caller) = self.calls.remove(&call) {
            self.answers.insert(call, (caller.task.process(), answer));
            self.wake(caller.task);
        }
    }

    fn fault(&mut self, place: usize) {
        let faults = &self.setup.faults;
        match faults[place] {
            Fault::Call { process, at_ms, skip, what } => {
                let effects = self.lives[process.index()].effects;
                self.weather.arm(process, at_ms, effects + skip, what);
            }
            Fault::Kill { process, down_ms, .. } => self.kill(process, down_ms),
            Fault::Stop { process, .. } => self.stop(process),
            Fault::Pause { process, for_ms, .. } => self.pause(process, for_ms),
            Fault::Clock { process, off_ms, for_ms, .. } => self.set_clock(process, off_ms, for_ms),
            Fault::BrokerDown { down_ms, .. } => self.broker_down(down_ms),
            Fault::Rot { role, partition, .. } => {
                self.met.spoiled += self.broker.bucket.spoil(&format!("snapshot.{}.{partition}.chunk.", role.name()));
            }
            // The weather knows these by their times.
            Fault::Cut { .. }
            | Fault::Reorg { .. }
            | Fault::Silence { .. }
            | Fault::Congestion { .. }
            | Fault::Forget { .. } => {}
        }
    }

    fn broker_down(&mut self, down_ms: u64) {
        if self.weather.broker_is_down {
            return;
        }
        self.weather.broker_is_down = true;
        // Nobody who waits there is answered; each hears so when its time is over.
        self.waiting.clear();
        if let Some(stream) = self.broker.crash(self.clock_ms()).first() {
            self.violated(Violation::BrokerForgot { stream: stream.name() });
        }
        self.after(down_ms, Event::BrokerUp);
    }

    fn block(&mut self) {
        match self.weather.on_block(self.now_ms, &self.chain) {
            Some(Fault::Reorg { depth, keep, .. }) => self.met.taken_out += self.chain.reorg(depth, keep),
            Some(Fault::Forget { .. }) => self.met.forgotten += self.chain.forget(),
            _ => {}
        }
        let number = self.chain.head();
        let mut rng = Rng::of(self.setup.seed, &[0xb10c, number]);
        let has_room = !self.weather.is_congested(self.now_ms) && !rng.once_in(8);
        let time_s = self.clock_ms() / 1_000;
        for tx in self.chain.mine(has_room, time_s) {
            let checked = self.checker.triggered(&tx);
            self.check(checked);
        }
        self.compare();
        self.after(BLOCK_MS, Event::Block);
    }

    /// Holds what the real contracts answered against the model.
    pub(super) fn compare(&mut self) {
        if let Some(receipt) = self.chain.differs() {
            self.violated(Violation::ContractsDiffer { receipt });
        }
    }

    fn look(&mut self) {
        match self.checker.missing(&self.chain, self.sent) {
            Ok(()) => self.end = self.end.take().or(Some(Ok(()))),
            Err(_) if self.now_ms < (self.setup.hours + REST_HOURS) * HOUR_MS => self.after(LOOK_MS, Event::Look),
            Err(missing) => self.violated(Violation::NotAtRest { missing }),
        }
    }

    pub(crate) fn check(&mut self, checked: Result<(), Violation>) {
        if let Err(violation) = checked {
            self.violated(violation);
        }
    }

    fn violated(&mut self, violation: Violation) {
        if !matches!(self.end, Some(Err(_))) {
            self.end = Some(Err(violation));
        }
    }
}
