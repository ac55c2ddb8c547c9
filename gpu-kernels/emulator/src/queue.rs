//! The operations of one lane, done at once or as late as a device may.

use std::{
    collections::VecDeque,
    ffi::c_void,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hygeia_gpu_kernels::{
    KernelError,
    cuda::{Argument, Shape},
};
use libloading::Library;

use crate::{Entry, memory::Block};

/// Kernels of all late lanes run one after the other: lanes wait for each other in any order.
static LATE: Mutex<()> = Mutex::new(());

/// What a lane is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Write(Arc<Block>, Arc<[u8]>),
    Copy(Arc<Block>, Arc<Block>, usize),
    Clear(Arc<Block>),
    Launch(Launch),
    /// Everything that another lane had been asked for by then.
    Follow(Arc<Queue>, u64),
    /// The last that holds it drops it.
    GiveBack(Arc<Block>),
}

/// A kernel to be started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub entry: Entry,
    /// Keeps the entry's code.
    pub _library: Arc<Library>,
    pub kernel: &'static str,
    pub shape: Shape,
    pub arguments: Arc<[Argument]>,
}

/// A lane.
#[derive(Debug)]
pub(crate) struct Queue {
    is_late: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Operation>,
    /// Operations that were taken from the queue to be done.
    done: u64,
    /// The first that failed; told once.
    failed: Option<KernelError>,
}

impl Queue {
    pub fn new(is_late: bool) -> Self {
        Self { is_late, state: Mutex::default() }
    }

    pub fn is_late(&self) -> bool {
        self.is_late
    }

    pub fn ask(&self, operation: Operation) -> Result<(), KernelError> {
        if !self.is_late {
            return operation.run();
        }
        self.state().waiting.push_back(operation);
        Ok(())
    }

    /// What comes after this waits for what the other lane was asked for before it.
    pub fn follow(&self, other: &Arc<Self>) -> Result<(), KernelError> {
        let until = {
            let state = other.state();
            state.done + state.waiting.len() as u64
        };
        self.ask(Operation::Follow(Arc::clone(other), until))
    }

    /// Does everything that was asked for.
    pub fn finish(&self) -> Result<(), KernelError> {
        let _alone = LATE.lock().unwrap_or_else(PoisonError::into_inner);
        self.run_until(u64::MAX);
        self.state().failed.take().map_or(Ok(()), Err)
    }

    fn run_until(&self, count: u64) {
        while let Some(operation) = self.next(count) {
            let done = operation.run();
            if let Err(error) = done {
                self.state().failed.get_or_insert(error);
            }
        }
    }

    fn next(&self, count: u64) -> Option<Operation> {
        let mut state = self.state();
        let next = (state.done < count).then(|| state.waiting.pop_front())??;
        state.done += 1;
        Some(next)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operation {
    fn run(self) -> Result<(), KernelError> {
        match self {
            Self::Write(to, bytes) => to.write(&bytes),
            Self::Copy(from, to, bytes) => to.write(&from.bytes()[..bytes]),
            Self::Clear(block) => block.fill(0),
            Self::Launch(launch) => launch.run()?,
            Self::Follow(queue, until) => queue.run_until(until),
            Self::GiveBack(block) => drop(block),
        }
        Ok(())
    }
}

impl Launch {
    fn run(&self) -> Result<(), KernelError> {
        let pointers: Vec<*const c_void> = self.arguments.iter().map(Argument::pointer).collect();
        let ((columns, rows), shape) = (self.shape.grid, self.shape);
        // SAFETY: who launched it vouches for the arguments; the pointers live until the call returns, and it returns
        // when all threads have. The library is held.
        match unsafe { (self.entry)(columns, rows, shape.block, shape.shared, pointers.as_ptr()) } {
            0 => Ok(()),
            code => Err(KernelError::Device { operation: self.kernel, code }),
        }
    }
}
