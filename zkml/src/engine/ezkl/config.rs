//! How many workers there are, what each may have, and what it runs.

use std::{borrow::Cow, num::NonZero, path::PathBuf, time::Duration};

/// The program that workers run.
pub const WORKER: &str = include_str!("../../../ezkl/worker.py");

/// How workers run.
#[derive(Debug, Clone)]
pub struct EzklConfig {
    /// The interpreter of an environment that has the module `ezkl`.
    pub python: PathBuf,
    /// Processes, each of which proves one window at a time.
    pub workers: usize,
    /// Threads of each process; 0 takes one for each processor.
    pub threads: usize,
    /// Addresses that a process may have. A proof of 2^13 rows needs some 400 MB.
    pub memory_bytes: u64,
    /// Longest wait for a proof or a verification.
    pub timeout: Duration,
    /// Longest wait for settings, and for keys.
    pub make_timeout: Duration,
    /// Whether a build with ICICLE is told to use it. Any other build proves on the processor as ever, and so does one that
    /// fails with it.
    pub gpu: bool,
    /// The program that workers run: [`WORKER`], or another that speaks as it does.
    pub program: Cow<'static, str>,
}

impl EzklConfig {
    /// One process on all processors, 4 GiB, two minutes for a proof and fifteen for keys.
    pub fn new(python: impl Into<PathBuf>) -> Self {
        Self {
            python: python.into(),
            workers: 1,
            threads: 0,
            memory_bytes: 4 << 30,
            timeout: Duration::from_secs(120),
            make_timeout: Duration::from_secs(900),
            gpu: false,
            program: Cow::Borrowed(WORKER),
        }
    }

    pub(super) fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, NonZero::get);
        if self.threads > 0 { self.threads } else { all() }
    }

    /// Seconds of processor time that fill this time on all threads.
    pub(super) fn cpu_s(&self, time: Duration) -> u64 {
        time.as_secs().max(1).saturating_mul(self.threads() as u64)
    }
}
