//! Everything outside the roles: time, the network, broker and chain, and who is alive.
//!
//! It is a queue of events by time. Nothing in it depends on anything but the seed and the schedule: no clock, no thread,
//! no map whose order is random is read.

mod effect;
mod weather;

use std::collections::{BTreeMap, BTreeSet};

use hygeia_protocol::subject::Stream;

pub(crate) use self::effect::CHECKPOINTS;
use self::weather::Weather;
use crate::broker::{Broker, SYNC_INTERVAL_MS, Sync};
use crate::call::{Answer, Reply, Request, Target, Unanswered};
use crate::chain::Chain;
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
const BLOCK_MS: u64 = 12_000;
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
    /// Alerts stored again, beyond the broker's memory of ids.
    pub repeated_alerts: u64,
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
    events: BTreeMap<(u64, u64), Event>,
    /// Events made so far: of two at one time the earlier made comes first.
    made: u64,
    calls: BTreeMap<CallId, Caller>,
    answers: BTreeMap<CallId, Answer>,
    waiting: BTreeMap<CallId, Request>,
    lives: BTreeMap<Process, Life>,
    weather: Weather,
    pub(crate) broker: Broker,
    pub(crate) chain: Chain,
    pub(crate) checker: Checker,
    /// Messages that the devices send in all.
    pub(crate) sent: usize,
    /// Tasks that have something to hear.
    pub(crate) ready: BTreeSet<Task>,
    /// Processes that were killed or started since the roles were last let run.
    pub(crate) turned: Vec<(Process, bool)>,
    pub(crate) end: Option<Result<(), Violation>>,
    pub(crate) steps: u64,
    pub(crate) met: Met,
}

#[derive(Clone, Copy, Debug)]
struct Caller {
    task: Task,
    life: u64,
}

/// One process, through all its lives.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    number: u64,
    is_up: bool,
    /// Calls made by it, as a key for random numbers.
    calls: u64,
    /// Calls with an effect.
    effects: u64,
    /// When the newest of its messages to the broker arrives: one connection keeps their order.
    lane_ms: u64,
}

#[derive(Clone, Debug)]
enum Event {
    Start(Process),
    Arrive {
        call: CallId,
        by: Process,
        request: Request,
        heard: Heard,
    },
    Answer {
        call: CallId,
        answer: Answer,
    },
    /// A held job times out.
    Overdue {
        stream: Stream,
        sequence: u64,
        delivery: u64,
    },
    Fault(usize),
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
        let broker = Broker::new(setup.sync);
        let weather = Weather::new(&setup.faults);
        let mut world = World {
            setup,
            now_ms: 0,
            events: BTreeMap::new(),
            made: 0,
            calls: BTreeMap::new(),
            answers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            lives: BTreeMap::new(),
            weather,
            broker,
            chain: Chain::default(),
            checker: Checker::default(),
            sent,
            ready: BTreeSet::new(),
            turned: Vec::new(),
            end: None,
            steps: 0,
            met: Met::default(),
        };
        Process::ALL.into_iter().for_each(|process| world.after(0, Event::Start(process)));
        let faults: Vec<u64> = world.setup.faults.iter().map(Fault::at_ms).collect();
        faults.into_iter().enumerate().for_each(|(place, at_ms)| world.after(at_ms, Event::Fault(place)));
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

    /// Takes a call of a task; its answer comes with an event.
    pub fn submit(&mut self, task: Task, request: Request) -> CallId {
        let process = task.process();
        self.made += 1;
        let call = self.made;
        let life = self.lives.entry(process).or_default();
        life.calls += 1;
        life.effects += u64::from(request.has_effect());
        let (number, effects) = (life.number, life.effects);
        let mut rng = Rng::of(self.setup.seed, &[task.key(), life.calls]);
        self.calls.insert(call, Caller { task, life: number });
        if let Request::Sleep { ms } = request {
            self.after(ms, Event::Answer { call, answer: Ok(Reply::Done) });
            return call;
        }
        let fault = if request.has_effect() { self.weather.hit(process, self.now_ms, effects) } else { None };
        self.send(call, task, request, fault, &mut rng);
        call
    }

    fn send(&mut self, call: CallId, task: Task, request: Request, fault: Option<CallFault>, rng: &mut Rng) {
        let by = task.process();
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
            let answer = if is_proved { Ok(Reply::Done) } else { Err(Unanswered) };
            self.met.failed_proofs += u64::from(!is_proved);
            match heard {
                Heard::Killed { down_ms } => self.kill(by, down_ms),
                _ => self.after(takes_ms, Event::Answer { call, answer }),
            }
            return;
        }
        let timeout_ms = ANSWER_WITHIN_MS + request.wait_ms();
        self.after(timeout_ms, Event::Answer { call, answer: Err(Unanswered) });
        if fault == Some(CallFault::RequestLost) {
            return;
        }
        let late_ms = if let Some(CallFault::Late { by_ms }) = fault { by_ms } else { 0 };
        let latency_ms = late_ms + if target == Target::Chain { rng.between(20, 300) } else { rng.between(1, 4) };
        let now_ms = self.now_ms;
        let life = self.lives.entry(by).or_default();
        let mut at_ms = now_ms + latency_ms;
        if target == Target::Broker {
            at_ms = at_ms.max(life.lane_ms);
            life.lane_ms = at_ms;
        }
        let twice = (fault == Some(CallFault::Twice)).then(|| request.clone());
        self.after(at_ms - now_ms, Event::Arrive { call, by, request, heard });
        if let Some(request) = twice {
            self.after(at_ms - now_ms + 1, Event::Arrive { call, by, request, heard: Heard::Nothing });
        }
    }

    /// What a call has heard, if it has.
    pub fn take(&mut self, call: CallId) -> Option<Answer> {
        self.answers.remove(&call)
    }

    /// A role ended by itself: its supervisor starts the process again.
    pub fn ended(&mut self, process: Process) {
        self.kill(process, RESTART_MS);
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
        let Some(((at_ms, _), event)) = self.events.pop_first() else {
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
            Event::Arrive { call, by, request, heard } => self.arrive(call, by, request, heard),
            Event::Answer { call, answer } => self.answer(call, answer),
            Event::Overdue { stream, sequence, delivery } => self.overdue(stream, sequence, delivery),
            Event::Fault(place) => self.fault(place),
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
        self.made += 1;
        self.events.insert((self.now_ms + ms, self.made), event);
    }

    fn start(&mut self, process: Process) {
        let life = self.lives.entry(process).or_default();
        if life.is_up {
            return;
        }
        // A connection of its own: what the life before has sent may still arrive, after what this one sends.
        life.number += 1;
        life.is_up = true;
        life.lane_ms = 0;
        self.turned.push((process, true));
        self.ready.extend(process.tasks());
    }

    fn kill(&mut self, process: Process, down_ms: u64) {
        let life = self.lives.entry(process).or_default();
        if !life.is_up {
            return;
        }
        life.is_up = false;
        self.met.ends += 1;
        let number = life.number;
        self.calls.retain(|_, caller| caller.task.process() != process || caller.life != number);
        let calls = &self.calls;
        self.waiting.retain(|call, _| calls.contains_key(call));
        self.answers.retain(|call, _| calls.contains_key(call));
        self.broker.abandon(process);
        self.turned.push((process, false));
        self.after(down_ms, Event::Start(process));
    }

    fn answer(&mut self, call: CallId, answer: Answer) {
        self.waiting.remove(&call);
        if let Some(caller) = self.calls.remove(&call) {
            self.answers.insert(call, answer);
            self.ready.insert(caller.task);
        }
    }

    fn fault(&mut self, place: usize) {
        let faults = &self.setup.faults;
        match faults[place] {
            Fault::Call { process, at_ms, skip, what } => {
                let effects = self.lives.get(&process).map_or(0, |life| life.effects);
                self.weather.arm(process, at_ms, effects + skip, what);
            }
            Fault::Kill { process, down_ms, .. } => self.kill(process, down_ms),
            Fault::BrokerDown { down_ms, .. } => self.broker_down(down_ms),
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
        for tx in self.chain.mine(has_room) {
            if let Err(violation) = self.checker.triggered(&tx) {
                self.violated(violation);
            }
        }
        self.after(BLOCK_MS, Event::Block);
    }

    fn look(&mut self) {
        match self.checker.missing(&self.broker, &self.chain, self.sent) {
            Ok(()) => self.end = self.end.take().or(Some(Ok(()))),
            Err(_) if self.now_ms < (self.setup.hours + REST_HOURS) * HOUR_MS => self.after(LOOK_MS, Event::Look),
            Err(missing) => self.violated(Violation::NotAtRest { missing }),
        }
    }

    fn violated(&mut self, violation: Violation) {
        if !matches!(self.end, Some(Err(_))) {
            self.end = Some(Err(violation));
        }
    }
}
