//! One run: the outside moves by one event, then the roles that heard something go on, until the end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::broker::Sync;
use crate::drivers::{self, OpenAlerts, Running};
use crate::invariant::{Counts, Violation};
use crate::port::Port;
use crate::process::{Process, Task};
use crate::schedule::{self, Fault};
use crate::ward::{self, Sent};
use crate::world::{Met, World};

/// A mistake that is put into a driver to see whether it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PlantedBug {
    /// The prover acknowledges a request before its receipt is stored.
    AckBeforePublish,
    /// The sentinel writes its checkpoint down before the alerts are stored.
    CheckpointBeforePublish,
    /// The steward neither stores its submissions nor sees what the chain burned: it sends a trigger again.
    NullifierLost,
    /// The sentinel does not rebuild triage when it starts.
    CoolDownReset,
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
    /// When the broker writes to disk.
    pub sync: Sync,
    /// The mistake, if any.
    pub bug: Option<PlantedBug>,
    /// Whether acknowledgements and checkpoints are held against what is stored at that moment. Without, a mistake in
    /// their order is found by what is lost through it.
    pub is_order_watched: bool,
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
        let faults = schedule::draw(seed, hours);
        Setup { seed, patients, hours, sync: Sync::Always, bug: None, is_order_watched: true, faults }
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
    let mut roles = Roles { world: world.clone(), sent, done: Rc::default(), tasks: BTreeMap::new() };
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
        for (process, is_up) in turned {
            for task in process.tasks() {
                self.tasks.remove(&task);
            }
            if is_up {
                self.start(process);
            }
        }
    }

    fn start(&mut self, process: Process) {
        let alerts = OpenAlerts::default();
        for task in process.tasks() {
            let port = Port::new(self.world.clone(), task);
            self.tasks.insert(task, drivers::start(port, task, &self.sent, &self.done, &alerts));
        }
    }

    fn poll(&mut self, task: Task) {
        let Some(running) = self.tasks.get_mut(&task) else { return };
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(end) = running.as_mut().poll(&mut context) {
            debug_assert!(end.is_err(), "a role runs until it fails");
            self.world.borrow_mut().ended(task.process());
        }
    }
}
