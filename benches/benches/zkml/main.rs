//! What proofs cost: alerts and audits, beside EZKL with its best settings on the same models exported to ONNX.
//!
//! Each prover is a process of its own. They prove in turn, over and over, so that a drift of the machine falls on all of
//! them, and medians of CPU seconds are compared; ours include the verification of their own proof. Every contract is
//! compiled and given its proof on a real chain, and a changed one that it must refuse.
//!
//! ```text
//! cargo xtask bench zkml                                         # some ten minutes
//! cargo xtask bench zkml --runs 1                                # quicker, less sure
//! cargo xtask bench zkml --json --record benches/records/2026-11-22-zkml.json
//! ```

mod chain;
mod process;
mod record;
mod worker;

use std::path::{Path, PathBuf};

use hygeia_benches::Arguments;
use hygeia_benches::models::{MODELS, Model};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use process::Prover;
use record::{Results, Row};

/// Windows of the audits that are measured, by model.
const AUDITS: [(&str, usize); 3] = [(MODELS[0], 256), (MODELS[0], 1024), (MODELS[1], 241)];

struct Options {
    runs: usize,
    threads: usize,
}

fn main() {
    let arguments = Arguments::read();
    if let Some(work) = arguments.value("--worker") {
        let model = Model::named(&arguments.value("--model").expect("a model"));
        let folder = PathBuf::from(arguments.value("--folder").expect("a folder"));
        let work = worker::Work::read(&work);
        return worker::run(&model, &work, &folder, arguments.number("--threads", 0)).expect("the worker works");
    }
    let options = Options { runs: arguments.number("--runs", 5), threads: arguments.number("--threads", 0) };
    let results = measure(&options);
    if !arguments.deliver(&results.json()) {
        results.print();
    }
}

fn measure(options: &Options) -> Results {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = std::env::var_os("HYGEIA_TOOLS_DIR").map_or_else(|| root.join("../.tools"), PathBuf::from);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let mut results = Results::new(options);
    for name in MODELS {
        let model = Model::named(name);
        let folder = |kind: &str| scratch.path().join(format!("{name} {kind}").replace(' ', "-"));
        eprintln!("{name}: making keys");
        let mut ezkl = Prover::ezkl(&model, &tools, &folder("ezkl"), options.threads);
        let alerts: Vec<&str> = vec!["latency", "gas"];
        let audits = AUDITS.iter().filter(|(of, _)| *of == name).map(|(_, windows)| windows.to_string());
        let kinds: Vec<String> = alerts.into_iter().map(str::to_owned).chain(audits).collect();
        let mut ours: Vec<Prover> =
            kinds.iter().map(|kind| Prover::ours(&model, kind, &folder(kind), options.threads)).collect();
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        for run in 0..=options.runs {
            eprintln!("{name}: run {run} of {}", options.runs);
            let window = model.window(&mut rng);
            ours.iter_mut().chain([&mut ezkl]).for_each(|prover| prover.prove(&window, run > 0));
        }
        let peer = results.add_ezkl(name, &mut ezkl);
        for (kind, prover) in kinds.iter().zip(&mut ours) {
            let verification = runtime.block_on(chain::verify(&folder(kind), &tools));
            results.add(Row::new(name, kind, prover, verification, peer));
        }
    }
    results
}
