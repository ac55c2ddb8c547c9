//! A few workers, lent one at a time, replaced when they fail.
//!
//! A process is told to end with the thread that started it, so one thread starts all of them and lives as long as the pool.

use std::{
    io,
    process::{Child, Command},
    sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc},
};

use tempfile::TempDir;

use super::{EzklConfig, error::WorkerError, worker::Worker};

/// The workers of one package.
pub(super) struct Pool {
    // Before the keeper, so that they are gone when its thread ends.
    lent: Mutex<Lent>,
    returned: Condvar,
    keeper: Keeper,
    config: EzklConfig,
    home: TempDir,
    prepare: Prepare,
}

/// What a new worker is asked before it is lent.
pub(super) type Prepare = Box<dyn Fn(&mut Worker) -> Result<(), WorkerError> + Send + Sync>;

struct Lent {
    idle: Vec<Worker>,
    /// Workers that exist, idle or lent.
    alive: usize,
}

impl Pool {
    /// A pool without workers: each is started when it is needed first.
    pub fn new(config: &EzklConfig, prepare: Prepare) -> io::Result<Self> {
        Ok(Self {
            lent: Mutex::new(Lent { idle: Vec::new(), alive: 0 }),
            returned: Condvar::new(),
            keeper: Keeper::start()?,
            config: config.clone(),
            home: tempfile::Builder::new().prefix("hygeia-ezkl-").tempdir()?,
            prepare,
        })
    }

    /// Lends a worker. It is taken back when it still lives, whatever it answered; else the next one is a new one.
    pub fn with<T>(&self, work: impl FnOnce(&mut Worker) -> Result<T, WorkerError>) -> Result<T, WorkerError> {
        let mut place = Place { pool: self, worker: self.take() };
        // A worker may have been ended while it was idle.
        let idle = place.worker.take().and_then(|mut worker| worker.is_alive().then_some(worker));
        let mut worker = match idle {
            Some(worker) => worker,
            None => self.start()?,
        };
        let result = work(&mut worker);
        let is_sound = !matches!(result, Err(WorkerError::Answer)) && worker.is_alive();
        place.worker = is_sound.then_some(worker);
        result
    }

    fn start(&self) -> Result<Worker, WorkerError> {
        let mut worker = Worker::start(&self.config, self.home.path(), &self.keeper)?;
        (self.prepare)(&mut worker)?;
        Ok(worker)
    }

    /// An idle worker, or the right to start one.
    fn take(&self) -> Option<Worker> {
        let mut lent = self.lock();
        loop {
            if let Some(worker) = lent.idle.pop() {
                return Some(worker);
            }
            if lent.alive < self.config.workers.max(1) {
                lent.alive += 1;
                return None;
            }
            lent = self.returned.wait(lent).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing is left half done under this lock, so a panic elsewhere does no harm.
    fn lock(&self) -> MutexGuard<'_, Lent> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the pool, given back with its worker or without.
struct Place<'p> {
    pool: &'p Pool,
    worker: Option<Worker>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lent = self.pool.lock();
        match self.worker.take() {
            Some(worker) => lent.idle.push(worker),
            None => lent.alive -= 1,
        }
        self.pool.returned.notify_one();
    }
}

/// The thread that starts processes.
pub(super) struct Keeper {
    orders: mpsc::Sender<(Command, mpsc::Sender<io::Result<Child>>)>,
}

impl Keeper {
    /// Starts the thread. It ends when this value is dropped.
    pub fn start() -> io::Result<Self> {
        let (orders, received) = mpsc::channel::<(Command, mpsc::Sender<io::Result<Child>>)>();
        std::thread::Builder::new().name("ezkl-keeper".to_owned()).spawn(move || {
            for (mut command, answer) in received {
                // Whoever asked waits for the answer; the command's own end of the socket is closed with it.
                let _ = answer.send(command.spawn());
            }
        })?;
        Ok(Self { orders })
    }

    /// Starts a process that ends with the keeper.
    pub fn spawn(&self, command: Command) -> io::Result<Child> {
        let (answer, child) = mpsc::channel();
        let gone = || io::Error::other("the keeper has ended");
        self.orders.send((command, answer)).map_err(|_| gone())?;
        child.recv().map_err(|_| gone())?
    }
}
