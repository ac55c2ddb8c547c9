//! Every prover of the same statement that can be had, side by side: this project's for alerts and audits, EZKL, and those of
//! `peers/provers` (Groth16 and others).
//!
//! Each is a process of its own. They prove in turn, over and over, so that a drift of the machine falls on all of them; medians
//! are compared. Contracts are compiled and given their proof on a real chain, and a changed one that they must refuse.
//!
//! ```text
//! cargo xtask bench provers                         # half an hour: EZKL's defaults take a quarter of a minute a proof
//! cargo xtask bench provers --runs 1                # less sure
//! cargo xtask bench provers --plot-of benches/records/2026-11-22-provers.json --plot again.svg    # measures nothing
//! cargo xtask bench provers --json --record benches/records/2026-11-22-provers.json --plot benches/records/2026-11-22-provers.svg
//! ```

mod contestant;
mod plot;
mod table;

use std::path::{Path, PathBuf};

use hygeia_benches::models::{MODELS, Model};
use hygeia_benches::{Arguments, chain, process, worker};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use contestant::{CONTESTANTS, Contestant};
use table::{Row, Table};

fn main() {
    let arguments = Arguments::read();
    if worker::worked(&arguments) {
        return;
    }
    if let Some(record) = arguments.value("--plot-of") {
        let record = std::fs::read_to_string(from_root(&record)).expect("the record can be read");
        let record: serde_json::Value = serde_json::from_str(&record).expect("a record is JSON");
        return draw(&arguments, record["provers"].as_array().expect("a record has provers"));
    }
    let runs = arguments.number("--runs", 3);
    let table = measure(runs, arguments.number("--threads", 0));
    draw(&arguments, &table.values());
    if !arguments.deliver(&table.record()) {
        table.print();
    }
}

fn draw(arguments: &Arguments, rows: &[serde_json::Value]) {
    if let Some(path) = arguments.value("--plot") {
        let path = from_root(&path);
        std::fs::write(&path, plot::svg(rows)).expect("the plot can be written");
        eprintln!("wrote {}", path.display());
    }
}

/// A path as the command line has it, from the repository's root.
fn from_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn measure(runs: usize, threads: usize) -> Table {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = std::env::var_os("HYGEIA_TOOLS_DIR").map_or_else(|| root.join("../.tools"), PathBuf::from);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let mut table = Table::new(runs, threads);
    for name in MODELS {
        let model = Model::named(name);
        let running: Vec<&Contestant> = CONTESTANTS.iter().filter(|contestant| contestant.takes(name)).collect();
        let folder = |of: &Contestant| scratch.path().join(format!("{name} {}", of.name).replace([' ', ','], "-"));
        let start = |of: &&Contestant| {
            eprintln!("{name}: {}: making keys", of.name);
            of.start(&model, &tools, &folder(of), threads)
        };
        let mut provers: Vec<process::Prover> = running.iter().map(start).collect();
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        for run in 0..=runs {
            eprintln!("{name}: run {run} of {runs}");
            let window = model.window(&mut rng);
            provers.iter_mut().for_each(|prover| prover.prove(&window, run > 0));
        }
        for (contestant, prover) in running.iter().zip(&mut provers) {
            let has_contract = folder(contestant).join("verifier.sol").exists();
            let verification = has_contract.then(|| runtime.block_on(chain::try_verify(&folder(contestant), &tools)));
            table.add(Row::new(name, contestant, prover, verification.flatten()));
        }
    }
    table
}
