//! Medians, the table and the record.

use hygeia_benches::chain::Verification;
use hygeia_benches::measure::{Sorted, rounded};
use hygeia_benches::process::Prover;
use hygeia_benches::record;
use serde_json::{Value, json};

use super::contestant::Contestant;

/// What one prover cost on one model.
pub struct Row {
    /// The model.
    pub model: &'static str,
    /// The prover.
    pub prover: &'static str,
    value: Value,
}

/// All measurements.
pub struct Table {
    method: Value,
    /// In the order of models, then provers.
    pub rows: Vec<Row>,
}

impl Row {
    /// Medians of a prover's proofs. It ends with this.
    pub fn new(
        model: &'static str,
        contestant: &Contestant,
        prover: &mut Prover,
        verification: Option<Verification>,
    ) -> Self {
        let per_window = |seconds: f64| seconds / contestant.windows as f64;
        let cpu = Sorted::new(prover.proofs.iter().map(|proof| per_window(proof.cpu_s)));
        let wall = Sorted::new(prover.proofs.iter().map(|proof| proof.wall_s));
        let value = json!({
            "model": model,
            "prover": contestant.name,
            "windows": contestant.windows,
            "cpu_s": rounded(cpu.median(), 4),
            "cpu_s_least": rounded(cpu.least(), 4),
            "cpu_s_most": rounded(cpu.most(), 4),
            "wall_s_of_a_proof": rounded(wall.median(), 4),
            "verify_cpu_s": prover.last["verify_cpu_s"],
            "peak_mb": rounded(prover.peak_mb(), 1),
            "key_bytes": prover.about["key_bytes"],
            "setup_cpu_s": prover.about["setup_cpu_s"],
            "proof_bytes": prover.last["proof_bytes"],
            "gas": verification.as_ref().map(|verification| verification.gas),
            "contract_bytes": verification.as_ref().map(|verification| verification.contract_bytes),
            "zero_knowledge": contestant.is_zero_knowledge,
            "setup": contestant.setup,
            "licence": contestant.licence,
            "note": contestant.note,
        });
        Self { model, prover: contestant.name, value }
    }
}

impl Table {
    /// An empty one.
    pub fn new(runs: usize, threads: usize) -> Self {
        let all = std::thread::available_parallelism().map_or(0, usize::from);
        let method = json!({
            "runs": runs,
            "threads": if threads == 0 { all } else { threads },
            "cpu_s": "user and system time for each window, all threads and processes of the prover; median of the runs after \
                      one that warms caches; provers take turns",
            "peak_mb": "of a process that has keys and proves; ours opens saved ones, EZKL's and the peers' includes making them",
            "gas": "of a transaction to the verifier contract on anvil, calldata included; a contract over EIP-170's limit has \
                    none",
        });
        Self { method, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The rows as the record has them.
    pub fn values(&self) -> Vec<Value> {
        self.rows.iter().map(|row| row.value.clone()).collect()
    }

    /// For people.
    pub fn print(&self) {
        let titles = ["CPU-ms", "wall ms", "MB", "key", "proof", "gas", "contract"];
        print!("{:<16} {:<22}", "model", "prover");
        titles.iter().for_each(|title| print!(" {title:>10}"));
        println!("  zk");
        for row in &self.rows {
            let number = |name: &str| row.value[name].as_f64();
            let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0}"));
            let ms = |name: &str| number(name).map_or("-".to_owned(), |seconds| format!("{:.1}", seconds * 1e3));
            print!("{:<16} {:<22} {:>10} {:>10}", row.model, row.prover, ms("cpu_s"), ms("wall_s_of_a_proof"));
            ["peak_mb", "key_bytes", "proof_bytes", "gas", "contract_bytes"]
                .iter()
                .for_each(|name| print!(" {:>10}", shown(number(name))));
            println!("  {}", if row.value["zero_knowledge"] == true { "yes" } else { "no" });
        }
    }

    /// The record.
    pub fn record(&self) -> String {
        record::text(
            "cargo xtask bench provers --json --record FILE --plot FILE",
            json!({}),
            json!({ "method": self.method, "provers": self.values() }),
        )
    }
}
