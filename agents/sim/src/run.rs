//! One run: the outside moves by one event, then the roles that heard something go on, until the end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::broker::Sync;
use crate::contracts::NewContracts;
use crate::drivers::{self, Command, Running, Shared};
use crate::invariant::{Counts, Violation};
use crate::port::Port;
use crate::process::{Process, REPLICAS_MAX, Task};
use crate::schedule::{self, Fault};
use crate::ward::{self, Sent};
use crate::world::{Met, Turn, World};

/// A mistake that is put into a driver to see whether it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PlantedBug {
    /// The prover acknowledges a request before its receipt is stored.
    AckBeforePublish,
    /// A partition writes its snapshot before all that led to it is stored.
    SnapshotBeforePublish,
    /// The steward neither stores its submissions nor sees what the chain burned: it sends a trigger again.
    NullifierLost,
    /// A replica leaves the fence out of what it publishes.
    StaleOwnerPublishes,
    /// The sentinel does not restore triage when a partition begins.
    CoolDownReset,
    /// The sentinel passes over what comes while it goes from one set of models to another.
    SwapDropsAWindow,
    /// The collector does not read the stored orders when it starts.
    OrdersForgotten,
}

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The seed.
    pub seed: u64,
    /// Patients of the ward.
    pub patients: u64,
    /// Hours with faults and observations; the rest that follows comes on top.
    pub hours: u64,
    /// Replicas of the oracle and of the sentinel.
    pub replicas: u8,
    /// When the broker writes to disk.
    pub sync: Sync,
    /// The mistake, if any.
    pub bug: Option<PlantedBug>,
    /// Whether acknowledgements and snapshots are held against what is stored at that moment. Without, a mistake in
    /// their order is found by what is lost through it.
    pub is_order_watched: bool,
    /// Founds the real contracts, which then run beside the model of the chain.
    pub contracts: Option<NewContracts>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The first invariant that did not hold.
    pub outcome: Result<(), Violation>,
    /// Events until then.
    pub steps: u64,
    /// Modelled time until then.
    pub at_ms: u64,
    /// What came about.
    pub counts: Counts,
    /// What went wrong on the way.
    pub met: Met,
}

impl Setup {
    /// A run with all faults of its seed.
    #[must_use]
    pub fn of_seed(seed: u64, patients: u64, hours: u64) -> Setup {
        Setup::with_weather(seed, patients, hours, schedule::FAULTS_PER_HOUR)
    }

    /// A run with so many faults in an hour.
    #[must_use]
    pub fn with_weather(seed: u64, patients: u64, hours: u64, faults_per_hour: u64) -> Setup {
        let replicas = if seed.is_multiple_of(2) { 2 } else { REPLICAS_MAX };
        let faults = schedule::draw(seed, hours, replicas, faults_per_hour);
        let (sync, bug, is_order_watched, contracts) = (Sync::Always, None, true, None);
        Setup { seed, patients, hours, replicas, sync, bug, is_order_watched, contracts, faults }
    }

    /// The same run with these faults only.
    #[must_use]
    pub fn with_faults(&self, faults: Vec<Fault>) -> Setup {
        Setup { faults, ..self.clone() }
    }
}

/// Runs to the end, or to the first violation.
#[must_use]
pub fn run(setup: Setup) -> Ended {
    let sent = Rc::new(ward::observations(setup.seed, setup.patients, setup.hours));
    let world = Rc::new(RefCell::new(World::new(setup, sent.len())));
    let mut roles = Roles {
        world: world.clone(),
        sent,
        done: Rc::default(),
        tasks: BTreeMap::new(),
        shared: std::array::from_fn(|_| Rc::default()),
    };
    while world.borrow_mut().advance() {
        roles.settle();
    }
    // The roles hold the outside too: without this neither would be dropped.
    drop(roles);
    let mut world = world.borrow_mut();
    let outcome = world.end.take().unwrap_or(Err(Violation::Endless));
    let (counts, met) = (world.checker.counts(), world.met);
    Ended { outcome, steps: world.steps, at_ms: world.now_ms(), counts, met }
}

struct Roles {
    world: Rc<RefCell<World>>,
    sent: Rc<Vec<Sent>>,
    /// Messages that the gateway was told to be stored.
    done: Rc<Cell<usize>>,
    tasks: BTreeMap<Task, Running>,
    /// What the tasks of each process share in its present life.
    shared: [Rc<Shared>; Process::COUNT],
}

impl Roles {
    /// Lets the roles go on until each waits for something.
    fn settle(&mut self) {
        loop {
            self.turn();
            let Some(task) = self.world.borrow_mut().ready.pop_first() else { return };
            self.poll(task);
        }
    }

    /// Drops the tasks of processes that were killed and starts those of processes that were started.
    fn turn(&mut self) {
        let turned = std::mem::take(&mut self.world.borrow_mut().turned);
        for (process, turn) in turned {
            match turn {
                Turn::Up => self.start(process),
                Turn::Down => self.tasks.retain(|task, _| task.process() != process),
                Turn::Stop => {
                    self.shared[process.index()].is_leaving.set(true);
                    self.world.borrow_mut().wake(Task::Member(process));
                }
            }
        }
    }

    fn start(&mut self, process: Process) {
        let shared: Rc<Shared> = Rc::default();
        for task in process.tasks() {
            let port = Port::new(self.world.clone(), task);
            self.tasks.insert(task, drivers::start(port, task, &self.sent, &self.done, &shared));
        }
        self.shared[process.index()] = shared;
    }

    fn poll(&mut self, task: Task) {
        let Some(running) = self.tasks.get_mut(&task) else { return };
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(end) = running.as_mut().poll(&mut context) {
            self.tasks.remove(&task);
            if end.is_err() {
                self.world.borrow_mut().ended(task.process());
            }
        }
        self.obey(task.process());
    }

    /// Starts and drops the tasks that a process asks for.
    fn obey(&mut self, process: Process) {
        for command in self.shared[process.index()].commands.take() {
            match command {
                Command::Start(task, running) => {
                    self.tasks.insert(task, running);
                    self.world.borrow_mut().wake(task);
                }
                Command::Drop(task) => drop(self.tasks.remove(&task)),
            }
        }
    }
}
