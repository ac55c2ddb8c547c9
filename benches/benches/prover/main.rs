//! Our prover against halo2-axiom's own, on the same keys and witnesses and in the same process, by turns.
//!
//! Each figure is the CPU time of witness, proof and verification of the own proof; medians are compared.
//!
//! ```text
//! cargo xtask bench prover                    # some two minutes
//! cargo xtask bench prover --runs 3 --json
//! cargo xtask bench prover --scalar           # as on a processor without AVX-512 IFMA
//! cargo xtask bench prover --record benches/records/2026-11-22-prover.json
//! ```

use std::error::Error;

use hygeia_benches::Arguments;
use hygeia_benches::measure::{Sorted, Took, measured, rounded};
use hygeia_benches::models::{MODELS, Model};
use hygeia_benches::record;
use hygeia_gpu_kernels::cpu::Arithmetic;
use hygeia_zkml::audit::{AuditBatch, AuditKeys, AuditPlan, AuditWindow};
use hygeia_zkml::{EngineConfig, Goal, NativeEngine, Placement, Salt};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

const SCHEMA: [u8; 32] = [7; 32];
/// Windows of the audit.
const AUDIT: usize = 256;
/// What an alert's circuit is chosen for.
const GOALS: [(&str, Goal); 2] = [("alert, latency", Goal::Latency), ("alert, gas", Goal::Gas)];

/// Proofs of both provers on one circuit.
struct Pair {
    model: &'static str,
    kind: String,
    own: Vec<Took>,
    stock: Vec<Took>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read();
    let runs = arguments.number("--runs", 5);
    if arguments.has("--scalar") {
        Arithmetic::detect_none();
    }
    let pairs = measure(runs, arguments.number("--threads", 0))?;
    let worst = pairs.iter().map(Pair::ratio).fold(0.0, f64::max);
    let method = json!({
        "runs": runs,
        "lanes": Arithmetic::detect().is_vector(),
        "cpu_s": "user and system time of the process, all threads: witness, proof, and verification of the own proof; median \
                  of the runs after one that warms caches; the provers take turns on the same windows",
        "stock": "halo2-axiom 0.5.3, create_proof on the same proving key",
    });
    let figures = json!({ "method": method, "circuits": pairs.iter().map(Pair::json).collect::<Vec<_>>() });
    let headline = json!({ "cpu_ratio_vs_stock": rounded(worst, 3) });
    if !arguments.deliver(&record::text("cargo xtask bench prover --json --record FILE", headline, figures)) {
        pairs.iter().for_each(Pair::print);
    }
    Ok(())
}

/// Every circuit: an alert's on each model and for each goal, and an audit's.
fn measure(runs: usize, threads: usize) -> Result<Vec<Pair>, Box<dyn Error>> {
    let mut pairs = Vec::new();
    for name in MODELS {
        let model = Model::named(name);
        for (kind, goal) in GOALS {
            eprintln!("{name}: {kind}");
            pairs.push(alerts(&model, kind, EngineConfig { threads, goal, placement: Placement::Cpu }, runs)?);
        }
    }
    let model = Model::named(MODELS[0]);
    eprintln!("{}: audit of {AUDIT}", model.name);
    pairs.push(audits(&model, EngineConfig { threads, goal: Goal::Latency, placement: Placement::Cpu }, runs)?);
    Ok(pairs)
}

fn alerts(model: &Model, kind: &str, config: EngineConfig, runs: usize) -> Result<Pair, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let engine = NativeEngine::open_development(&model.network, SCHEMA, folder.path(), &config)?;
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut pair = Pair::new(model.name, kind.to_owned());
    for run in 0..=runs {
        let (window, salt) = (model.window(&mut rng), Salt::new(rng.r#gen()));
        let own = measured(|| engine.prove(&window, &salt))?.0;
        let stock = measured(|| engine.prove_by_stock(&window, &salt))?.0;
        pair.add(run, own, stock);
    }
    Ok(pair)
}

fn audits(model: &Model, config: EngineConfig, runs: usize) -> Result<Pair, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let plan = AuditPlan::for_windows(&model.network, AUDIT)?;
    let keys = AuditKeys::open_development(&model.network, SCHEMA, &plan, folder.path(), &config)?;
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut pair = Pair::new(model.name, format!("audit of {AUDIT}"));
    for run in 0..=runs {
        let mut window = || AuditWindow::new(model.window(&mut rng), Salt::new(rng.r#gen()));
        let batch: AuditBatch = (0..AUDIT).map(|_| window()).collect();
        let own = measured(|| keys.prove(&batch))?.0;
        let stock = measured(|| keys.prove_by_stock(&batch))?.0;
        pair.add(run, own, stock);
    }
    Ok(pair)
}

impl Pair {
    fn new(model: &'static str, kind: String) -> Self {
        Self { model, kind, own: Vec::new(), stock: Vec::new() }
    }

    /// The first run warms caches and is not counted.
    fn add(&mut self, run: usize, own: Took, stock: Took) {
        if run > 0 {
            self.own.push(own);
            self.stock.push(stock);
        }
    }

    fn ratio(&self) -> f64 {
        cpu(&self.own).median() / cpu(&self.stock).median()
    }

    fn json(&self) -> Value {
        let figures = |proofs: &[Took]| {
            let cpu = cpu(proofs);
            json!({
                "cpu_s": rounded(cpu.median(), 4),
                "cpu_s_least": rounded(cpu.least(), 4),
                "cpu_s_most": rounded(cpu.most(), 4),
                "wall_s": rounded(Sorted::new(proofs.iter().map(|proof| proof.wall_s)).median(), 4),
            })
        };
        json!({
            "model": self.model,
            "kind": self.kind,
            "cpu_ratio_vs_stock": rounded(self.ratio(), 3),
            "own": figures(&self.own),
            "stock": figures(&self.stock),
        })
    }

    fn print(&self) {
        let [own, stock] = [&self.own, &self.stock].map(|proofs| cpu(proofs).median() * 1e3);
        println!(
            "{:<16} {:<16} own {own:>9.1} CPU-ms, stock {stock:>9.1} CPU-ms, ratio {:.3}",
            self.model,
            self.kind,
            self.ratio()
        );
    }
}

fn cpu(proofs: &[Took]) -> Sorted {
    Sorted::new(proofs.iter().map(|proof| proof.cpu_s))
}
