//! The parts of the suite, and the process that each is run in.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    panic::resume_unwind,
    process::{ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use hygeia_gpu_kernels::{Accelerator, CudaAccelerator, Fr, KernelError};
use serde_json::{Value, json};

use crate::{
    cases::{Cases, MARK},
    conformance, kernels,
    place::{Place, Scale},
    proofs,
};

/// Something that is run on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Every kernel against its definition, edge inputs included.
    Conformance,
    /// Alerts, device against processor.
    Alerts,
    /// Audits, device against processor.
    Audits,
    /// Kernels with resident data.
    Kernels,
    /// What happens at the end of the device's memory.
    Memory,
}

/// What a part's process said, and how it ended.
pub struct Outcome {
    pub cases: Vec<Value>,
    /// Why it did not pass.
    pub failure: Option<String>,
}

type Check<A> = fn(&A);

impl Part {
    /// In the order in which they run: what matters most first.
    pub const ALL: [Self; 5] = [Self::Conformance, Self::Alerts, Self::Audits, Self::Kernels, Self::Memory];

    pub fn name(self) -> &'static str {
        match self {
            Self::Conformance => "conformance",
            Self::Alerts => "alerts",
            Self::Audits => "audits",
            Self::Kernels => "kernels",
            Self::Memory => "memory",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Longest it may take on a device. A fraction of this is expected.
    pub fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Conformance | Self::Alerts => 60,
            Self::Audits => 150,
            Self::Kernels => 90,
            Self::Memory => 20,
        })
    }

    /// Runs it in this process and says whether all its cases passed.
    pub fn run<P: Place>(self, scale: &Scale) -> bool {
        let mut cases = Cases::new();
        match self {
            Self::Conformance => conforms::<P>(&mut cases),
            Self::Alerts => scale.alerts.iter().for_each(|model| {
                cases.add(&format!("alert, {model}"), || proofs::alert::<P>(model, scale));
            }),
            Self::Audits => scale.audits.iter().for_each(|&windows| {
                cases.add(&format!("audit of {windows}"), || proofs::audit::<P>(windows, scale));
            }),
            Self::Kernels => kernels::run::<P>(&mut cases, scale),
            Self::Memory => cases.add("more than there is", ends_of_memory::<P>),
        }
        cases.are_passed()
    }

    /// Runs it in a process of its own, which is ended after a while. `tell` hears of each case as it ends.
    pub fn run_apart(self, flags: &[String], limit: Duration, mut tell: impl FnMut(&Value)) -> Outcome {
        let failed = |failure: String| Outcome { cases: Vec::new(), failure: Some(failure) };
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => return failed(format!("this program is not found: {error}")),
        };
        let mut command = Command::new(program);
        command.args(["--part", self.name()]).args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return failed(format!("the part did not start: {error}")),
        };
        let lines = lines(child.stdout.take().expect("a pipe"));
        let (cases, is_ended) = collect(&lines, Instant::now() + limit, &mut tell);
        if !is_ended {
            // It may have ended this very moment.
            let _ = child.kill();
        }
        let status = child.wait();
        let failure = match status {
            _ if !is_ended => Some(format!("not done after {} s", limit.as_secs())),
            Ok(status) if status.success() => None,
            Ok(_) if cases.iter().any(|case| case.get("failed").is_some()) => Some("a case failed".to_owned()),
            Ok(status) => Some(format!("the process ended with {status}")),
            Err(error) => Some(format!("the process was lost: {error}")),
        };
        Outcome { cases, failure }
    }
}

/// The lines of a process, as they come. The thread ends when the process closes its output.
fn lines(out: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The cases told until a time, and whether the process ended by then.
fn collect(lines: &Receiver<String>, until: Instant, tell: &mut impl FnMut(&Value)) -> (Vec<Value>, bool) {
    let mut cases = Vec::new();
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(case) = line.strip_prefix(MARK).and_then(|text| serde_json::from_str(text).ok()) {
                    tell(&case);
                    cases.push(case);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return (cases, true),
            Err(RecvTimeoutError::Timeout) => return (cases, false),
        }
    }
}

/// Lanes that are checked beside each other.
const LANES: usize = 2;

fn conforms<P: Place>(cases: &mut Cases) {
    let checks: [(&str, Check<CudaAccelerator<P>>); 10] = [
        ("vectors", conformance::vectors),
        ("multiplications", conformance::multiplications),
        ("single multiplications", conformance::single_multiplications),
        ("transforms", conformance::transforms),
        ("cosets", conformance::cosets),
        ("programs", conformance::programs),
        ("polynomials", conformance::polynomials),
        ("scans", conformance::scans),
        ("hashes", conformance::hashes),
        ("refusals", conformance::refusals),
    ];
    let mut opened = None;
    cases.add("open the device and compile the kernels", || {
        opened = Some(CudaAccelerator::over(P::open(None)?)?);
        Ok(json!({}))
    });
    let Some(device) = opened else { return };
    for (name, check) in checks {
        cases.add(name, || {
            check(&device);
            Ok(json!({}))
        });
    }
    for (name, check) in checks {
        cases.add(&format!("{name}, in lanes beside each other"), || {
            thread::scope(|scope| {
                let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(|| device.in_flight(check))).collect();
                lanes.into_iter().try_for_each(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic)))
            })?;
            Ok(json!({}))
        });
    }
}

/// A device without room says so, and goes on.
fn ends_of_memory<P: Place>() -> Result<Value, Box<dyn Error>> {
    let device = CudaAccelerator::over(P::open(Some(1 << 20))?)?;
    let bytes = (1 << 16) * size_of::<Fr>();
    assert_eq!(device.upload(vec![Fr::one(); 1 << 16]).err(), Some(KernelError::Memory { bytes }));
    let vector = device.upload(vec![Fr::one(); 1 << 14])?;
    assert_eq!(device.evaluate(&[(&vector, Fr::one())]), Ok(vec![Fr::from(1 << 14)]));
    Ok(json!({ "refused_bytes": bytes }))
}
