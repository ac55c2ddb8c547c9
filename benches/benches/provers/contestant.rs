//! Who is measured, and what is known of each beside its figures.

use std::path::{Path, PathBuf};

use hygeia_benches::models::{MODELS, Model};
use hygeia_benches::process::Prover;

/// A prover of the statement.
pub struct Contestant {
    /// Name in tables and records.
    pub name: &'static str,
    /// How it is run.
    pub how: How,
    /// Windows of one proof.
    pub windows: usize,
    /// Whether a proof tells nothing but its public values.
    pub is_zero_knowledge: bool,
    /// What must be trusted about its keys.
    pub setup: &'static str,
    /// Licence of the prover's code.
    pub licence: &'static str,
    /// What its figures cannot say.
    pub note: &'static str,
}

/// How a prover is run.
pub enum How {
    /// This program, as a worker.
    Ours(&'static str),
    /// EZKL's module, by the peer's script.
    Ezkl(&'static str),
    /// The program of `peers/provers`.
    Peer(&'static str),
}

const OURS: &str = "MIT OR Apache-2.0";
const UNIVERSAL: &str = "powers of tau, one for all models";

/// Everyone.
pub const CONTESTANTS: [Contestant; 8] = [
    Contestant {
        name: "native, latency",
        how: How::Ours("latency"),
        windows: 1,
        is_zero_knowledge: true,
        setup: UNIVERSAL,
        licence: OURS,
        note: "witness, proof and verification of the own proof; keys stay in memory",
    },
    Contestant {
        name: "native, gas",
        how: How::Ours("gas"),
        windows: 1,
        is_zero_knowledge: true,
        setup: UNIVERSAL,
        licence: OURS,
        note: "the same with the cheapest circuit on chain",
    },
    Contestant {
        name: "native, audit of 256",
        how: How::Ours("256"),
        windows: 256,
        is_zero_knowledge: true,
        setup: UNIVERSAL,
        licence: OURS,
        note: "one proof of 256 windows; times are of a window, gas is of the proof",
    },
    Contestant {
        name: "EZKL engine",
        how: How::Ours("ezkl"),
        windows: 1,
        is_zero_knowledge: true,
        setup: UNIVERSAL,
        licence: "none stated",
        note: "salted input, scores equal the integers'; witness, proof and verification; keys are read for each proof",
    },
    Contestant {
        name: "EZKL, tuned",
        how: How::Ezkl("tuned"),
        windows: 1,
        is_zero_knowledge: true,
        setup: UNIVERSAL,
        licence: "none stated",
        note: "unsalted input, decomp_base 1024, decomp_legs 3; witness and proof; keys are read for each proof",
    },
    Contestant {
        name: "EZKL, default",
        how: How::Ezkl("default"),
        windows: 1,
        is_zero_knowledge: true,
        setup: UNIVERSAL,
        licence: "none stated",
        note: "the same with EZKL's own choice of range checks",
    },
    Contestant {
        name: "Groth16",
        how: How::Peer("groth16"),
        windows: 1,
        is_zero_knowledge: true,
        setup: "a ceremony for each model",
        licence: OURS,
        note: "arkworks; our own circuit of the statement; witness and proof",
    },
    Contestant {
        name: "Spartan",
        how: How::Peer("spartan"),
        windows: 1,
        is_zero_knowledge: true,
        setup: "none",
        licence: "MIT",
        note: "spartan2, zero-knowledge by its own documentation; the same constraints as Groth16; witness and proof; no \
               contract verifies it",
    },
];

impl Contestant {
    /// Whether it proves a model.
    pub fn takes(&self, model: &str) -> bool {
        match self.how {
            // An audit of windows of 192 features takes more rows than a reference string of the bench has.
            How::Ours("256") => model == MODELS[0],
            _ => true,
        }
    }

    /// Starts it; its keys are made.
    pub fn start(&self, model: &Model, tools: &Path, folder: &Path, threads: usize) -> Prover {
        match self.how {
            How::Ours(work) => Prover::ours(model, work, folder, threads),
            How::Ezkl(kind) => Prover::ezkl(model, tools, folder, threads, kind),
            How::Peer(kind) => Prover::peer(&peers(), kind, model, folder, threads),
        }
    }
}

/// The program of the peers, which `cargo xtask bench provers` builds.
fn peers() -> PathBuf {
    std::env::var_os("HYGEIA_PROVER_PEERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/provers/target/release/prover-peers"),
        PathBuf::from,
    )
}
