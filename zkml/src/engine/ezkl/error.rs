//! What may go wrong between this program and EZKL. No error holds a word that a worker said: EZKL quotes its inputs.

use std::{io, path::PathBuf};

use hygeia_inference::{NetworkError, onnx::OnnxError};

use crate::{
    engine::{ProveError, VerifyError, native::SrsError},
    statement::StatementError,
};

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EzklError {
    /// The network has no exact form that EZKL reads.
    #[error("EZKL: the network cannot be exported")]
    Export(#[from] OnnxError),
    /// The reference string was refused.
    #[error("EZKL: the reference string was refused")]
    Srs(#[from] SrsError),
    /// The compiled circuit was refused.
    #[error("EZKL: the package was refused")]
    Package(#[from] PackageError),
    /// A worker failed.
    #[error("EZKL: a worker failed")]
    Worker(#[from] WorkerError),
    /// The pool of workers could not be set up.
    #[error("EZKL: setting up workers")]
    Pool(#[source] io::Error),
    /// No window fits the network's bounds and the statement.
    #[error("EZKL: the network's bounds allow no valid window")]
    Bounds(#[from] StatementError),
    /// A new circuit did not prove what it must: the export does not fit this build of EZKL.
    #[error("EZKL: the new circuit does not prove the reference's score")]
    Trial(#[source] Box<ProveError>),
}

/// Why a compiled circuit was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file could not be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The manifest is malformed, or of a version that this build does not know.
    #[error("the manifest is malformed")]
    Manifest,
    /// The package is for something else.
    #[error("the package is for another {0}")]
    Other(&'static str),
    /// A file is not the one that the manifest names.
    #[error("the hash of {0} is not the manifest's")]
    Corrupted(&'static str),
}

/// Why a worker gave no answer that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The interpreter did not start.
    #[error("the interpreter did not start: {0}")]
    Start(io::ErrorKind),
    /// A step failed; this is all that is known of it.
    #[error("the step failed: {0}")]
    Failed(Fault),
    /// No answer came in time. The worker was ended.
    #[error("no answer within {0} seconds")]
    TimedOut(u64),
    /// The worker had used up its processor time.
    #[error("the limit of processor time was reached")]
    CpuTime,
    /// The worker ran out of the memory it may have.
    #[error("the limit of memory was reached")]
    OutOfMemory,
    /// The worker was ended by somebody else.
    #[error("the worker was ended by signal {0}")]
    Killed(i32),
    /// The worker ended by itself.
    #[error("the worker ended")]
    Ended,
    /// The answer is not what was asked for.
    #[error("the answer is malformed")]
    Answer,
}

/// Kinds of failure that a worker tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The EZKL module could not be loaded.
    #[error("loading EZKL")]
    Import,
    /// A lane is no integer, or out of range.
    #[error("reading the inputs")]
    Input,
    /// A file of the package could not be opened.
    #[error("opening the package")]
    Package,
    /// EZKL made no settings.
    #[error("making settings")]
    Settings,
    /// EZKL found no settings that fit.
    #[error("calibrating")]
    Calibrate,
    /// EZKL compiled no circuit.
    #[error("compiling the circuit")]
    Compile,
    /// EZKL made no keys.
    #[error("making keys")]
    Setup,
    /// EZKL wrote no verifier contract.
    #[error("writing the verifier contract")]
    Contract,
    /// EZKL evaluated nothing.
    #[error("making the witness")]
    Witness,
    /// EZKL made no proof.
    #[error("proving")]
    Prove,
    /// The proof does not hold.
    #[error("verifying")]
    Rejected,
    /// EZKL panicked.
    #[error("EZKL panicked")]
    Panic,
    /// The worker did not understand.
    #[error("understanding the request")]
    Request,
}

impl WorkerError {
    /// The failure behind a kind that a worker told.
    pub(super) fn told(kind: &str) -> Self {
        let fault = match kind {
            "memory" => return Self::OutOfMemory,
            "import" => Fault::Import,
            "input" => Fault::Input,
            "package" => Fault::Package,
            "settings" => Fault::Settings,
            "calibrate" => Fault::Calibrate,
            "compile" => Fault::Compile,
            "setup" => Fault::Setup,
            "contract" => Fault::Contract,
            "witness" => Fault::Witness,
            "prove" => Fault::Prove,
            "rejected" => Fault::Rejected,
            "panic" => Fault::Panic,
            "request" => Fault::Request,
            _ => return Self::Answer,
        };
        Self::Failed(fault)
    }
}

/// Why EZKL's proof of a window was not released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The worker failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The proof is about another commitment than that of this window.
    #[error("the proof is about another commitment")]
    Commitment,
    /// The proof is about another score than the reference's.
    #[error("the proof is about another score")]
    Score,
    /// The proof has another length than every proof of this circuit.
    #[error("the proof has another length")]
    Length,
}

impl From<ProofFault> for ProveError {
    fn from(fault: ProofFault) -> Self {
        match fault {
            ProofFault::Worker(WorkerError::Failed(Fault::Panic)) => Self::Panicked,
            fault => Self::Ezkl(fault),
        }
    }
}

impl From<WorkerError> for ProveError {
    fn from(error: WorkerError) -> Self {
        ProofFault::from(error).into()
    }
}

impl From<WorkerError> for VerifyError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Failed(Fault::Rejected) => Self::Rejected,
            WorkerError::Failed(Fault::Panic) => Self::Panicked,
            error => Self::Worker(error),
        }
    }
}

impl From<ProveError> for EzklError {
    fn from(error: ProveError) -> Self {
        match error {
            ProveError::Ezkl(ProofFault::Worker(error)) => Self::Worker(error),
            error => Self::Trial(Box::new(error)),
        }
    }
}

impl PackageError {
    /// Whether there simply is no package.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { path, source } if source.kind() == io::ErrorKind::NotFound && path.ends_with(super::package::MANIFEST))
    }
}

/// A network that refuses its own bounds' windows would be a contradiction; the error keeps the network's word for it.
impl From<NetworkError> for EzklError {
    fn from(error: NetworkError) -> Self {
        Self::Trial(Box::new(ProveError::Input(error)))
    }
}
