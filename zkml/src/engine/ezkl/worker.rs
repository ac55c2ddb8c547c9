//! One process with EZKL in it: asked over a socket, watched by the clock, ended when dropped.
//!
//! Its environment is empty but for what it needs, its standard descriptors lead nowhere, and whatever it says is read as
//! data: an answer has a bounded length and a known form, and of a failure only the kind.

use std::{
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{EzklConfig, error::WorkerError, pool::Keeper};

/// Longest answer: a proof of 2^16 bytes in hexadecimal would fit four times.
const ANSWER_BYTES_MAX: usize = 1 << 19;
/// Room for a request: a window of the most features has some ten thousand bytes, a proof to verify about as many.
const REQUEST_BYTES: usize = 1 << 15;
/// How long a process that closed its socket may take to end.
const END_GRACE: Duration = Duration::from_secs(2);
/// Loading EZKL takes a tenth of a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Signals as Linux numbers them on all processors that EZKL's wheel is built for.
const SIGABRT: i32 = 6;
const SIGXCPU: i32 = 24;
/// Variables that a build with ICICLE reads besides, to find its backend and its devices.
const GPU_VARIABLES: [&str; 3] = ["LD_LIBRARY_PATH", "ICICLE_BACKEND_INSTALL_DIR", "CUDA_VISIBLE_DEVICES"];

/// Which EZKL a worker loaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct About {
    /// Version of the package.
    pub ezkl: String,
    /// SHA-256 of the compiled module.
    pub module_sha256: String,
    /// Whether it was built with ICICLE.
    pub has_gpu: bool,
}

/// A running process.
pub(super) struct Worker {
    child: Child,
    channel: UnixStream,
    about: About,
    /// Read and not yet used: what came behind the end of a line.
    rest: Vec<u8>,
}

impl Worker {
    /// Starts a process and waits until EZKL is loaded.
    pub fn start(config: &EzklConfig, home: &Path, keeper: &Keeper) -> Result<Self, WorkerError> {
        let failed = |error: io::Error| WorkerError::Start(error.kind());
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let child = keeper.spawn(command(config, home, theirs.into())).map_err(failed)?;
        let about = About { ezkl: String::new(), module_sha256: String::new(), has_gpu: false };
        let mut worker = Self { child, channel: ours, about, rest: Vec::new() };
        worker.about = worker.answer(START_TIMEOUT)?;
        Ok(worker)
    }

    /// Which EZKL it loaded.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether the process can be asked: it may have been ended since it was asked last.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks, and waits for the answer. A worker that gave none in time has been ended.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &impl Serialize, timeout: Duration) -> Result<T, WorkerError> {
        // What is asked may be a patient's features: with room for all of it no copy is left behind by growing.
        let mut line = Zeroizing::new(Vec::with_capacity(REQUEST_BYTES));
        serde_json::to_writer(&mut *line, request).map_err(|_| WorkerError::Answer)?;
        line.push(b'\n');
        let sent = self.channel.set_write_timeout(Some(timeout)).and_then(|()| self.channel.write_all(&line));
        if sent.is_err() {
            return Err(self.ended());
        }
        self.answer(timeout)
    }

    fn answer<T: DeserializeOwned>(&mut self, timeout: Duration) -> Result<T, WorkerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        enum Answer {
            Done(Value),
            Failed(String),
        }
        let line = self.line(timeout)?;
        match serde_json::from_slice(&line) {
            Ok(Answer::Done(value)) => serde_json::from_value(value).map_err(|_| WorkerError::Answer),
            Ok(Answer::Failed(kind)) => Err(WorkerError::told(&kind)),
            Err(_) => Err(WorkerError::Answer),
        }
    }

    /// The next line, within the time.
    fn line(&mut self, timeout: Duration) -> Result<Vec<u8>, WorkerError> {
        let until = Instant::now() + timeout;
        let mut block = [0; 1 << 14];
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let rest = self.rest.split_off(end + 1);
                return Ok(std::mem::replace(&mut self.rest, rest));
            }
            if self.rest.len() > ANSWER_BYTES_MAX {
                self.end();
                return Err(WorkerError::Answer);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.end();
                return Err(WorkerError::TimedOut(timeout.as_secs()));
            }
            match self.channel.set_read_timeout(Some(left)).and_then(|()| self.channel.read(&mut block)) {
                Ok(0) => return Err(self.ended()),
                Ok(read) => self.rest.extend_from_slice(&block[..read]),
                Err(error) if is_passing(&error) => {}
                Err(_) => return Err(self.ended()),
            }
        }
    }

    /// How a process ended that no longer listens.
    fn ended(&mut self) -> WorkerError {
        let until = Instant::now() + END_GRACE;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                _ => break None,
            }
        };
        self.end();
        match status.and_then(|status| status.signal()) {
            // Rust ends a program this way when an allocation fails.
            Some(SIGABRT) => WorkerError::OutOfMemory,
            Some(SIGXCPU) => WorkerError::CpuTime,
            Some(signal) => WorkerError::Killed(signal),
            None => WorkerError::Ended,
        }
    }

    fn end(&mut self) {
        // It may have ended by itself, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

fn command(config: &EzklConfig, home: &Path, channel: OwnedFd) -> Command {
    let mut command = Command::new(&config.python);
    // Isolated: no module and no start-up file of the user's or of this folder.
    command.args(["-I", "-c", &config.program, &std::process::id().to_string(), &config.memory_bytes.to_string()]);
    command.env_clear().current_dir(home).stdin(Stdio::from(channel)).stdout(Stdio::null()).stderr(Stdio::null());
    // EZKL writes files of its own below these.
    for variable in ["HOME", "EZKL_REPO_PATH", "TMPDIR"] {
        command.env(variable, home);
    }
    // One memory arena for each thread would reserve more than the limit on addresses allows.
    command.env("MALLOC_ARENA_MAX", "2").env("RUST_LOG", "off").env("RUST_BACKTRACE", "0");
    command.env("RAYON_NUM_THREADS", config.threads().to_string());
    if config.gpu {
        command.env("ENABLE_ICICLE_GPU", "true");
        command.envs(GPU_VARIABLES.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))));
    }
    command
}

/// Whether reading again may help.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
