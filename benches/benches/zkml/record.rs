//! Medians, ratios, the table and the record of a machine.

use hygeia_benches::measure::{Sorted, rounded};
use hygeia_benches::models::MODELS;
use hygeia_benches::record;
use serde_json::{Value, json};

use super::Options;
use super::chain::Verification;
use super::process::Prover;

/// What one prover of ours cost on one model.
pub struct Row {
    model: &'static str,
    /// Windows of one proof; 1 for an alert.
    windows: usize,
    kind: String,
    cpu_s: f64,
    cpu_s_least: f64,
    cpu_s_most: f64,
    wall_s: f64,
    peak_mb: f64,
    about: Value,
    last: Value,
    verification: Verification,
    /// How many times more EZKL takes for each window.
    ratio: f64,
}

/// All measurements.
pub struct Results {
    method: Value,
    rows: Vec<Row>,
    ezkl: Vec<(&'static str, Value)>,
}

impl Row {
    /// Medians of a prover's proofs. It ends with this. `peer_cpu_s` is EZKL's median on the same model.
    pub fn new(
        model: &'static str,
        kind: &str,
        prover: &mut Prover,
        verification: Verification,
        peer_cpu_s: f64,
    ) -> Self {
        let windows = kind.parse().unwrap_or(1);
        let cpu = Sorted::new(prover.proofs.iter().map(|proof| proof.cpu_s));
        let cpu_s = cpu.median();
        Self {
            model,
            windows,
            kind: if windows > 1 { format!("audit of {windows}") } else { format!("alert, {kind}") },
            cpu_s,
            cpu_s_least: cpu.least(),
            cpu_s_most: cpu.most(),
            wall_s: Sorted::new(prover.proofs.iter().map(|proof| proof.wall_s)).median(),
            peak_mb: prover.peak_mb(),
            about: prover.about.clone(),
            last: prover.last.clone(),
            verification,
            ratio: peer_cpu_s * windows as f64 / cpu_s,
        }
    }

    fn json(&self) -> Value {
        json!({
            "model": self.model,
            "kind": self.kind,
            "plan": self.about["plan"],
            "cpu_s": rounded(self.cpu_s, 4),
            "cpu_s_least": rounded(self.cpu_s_least, 4),
            "cpu_s_most": rounded(self.cpu_s_most, 4),
            "cpu_ms_per_window": rounded(self.cpu_s * 1e3 / self.windows as f64, 2),
            "wall_s": rounded(self.wall_s, 4),
            "verify_cpu_s": rounded(self.last["verify_cpu_s"].as_f64().unwrap_or(0.0), 4),
            "ratio_vs_ezkl_tuned": rounded(self.ratio, 1),
            "peak_mb": rounded(self.peak_mb, 1),
            "key_bytes": self.about["key_bytes"],
            "proof_bytes": self.last["proof_bytes"],
            "gas": self.verification.gas,
            "contract_bytes": self.verification.contract_bytes,
        })
    }
}

impl Results {
    pub fn new(options: &Options) -> Self {
        let threads = std::thread::available_parallelism().map_or(0, usize::from);
        let method = json!({
            "runs": options.runs,
            "threads": if options.threads == 0 { threads } else { options.threads },
            "cpu_s": "user and system time of the proving process, all threads; median of the runs after one that warms \
                      caches; provers take turns",
            "ours": "witness, proof and verification of the own proof; keys resident",
            "ezkl": "witness and proof, not the verification; hashed input without a salt, fixed parameters, public output, \
                     scale 13, decomp_base 1024, decomp_legs 3, calibrated for resources; it reads its keys for each proof",
            "peak_mb": "of a process that opens saved keys, prepares them and proves",
            "gas": "of a transaction to the verifier contract on anvil, calldata included",
        });
        Self { method, rows: Vec::new(), ezkl: Vec::new() }
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Notes EZKL's figures on a model, and gives its median CPU seconds.
    pub fn add_ezkl(&mut self, model: &'static str, prover: &mut Prover) -> f64 {
        let cpu = Sorted::new(prover.proofs.iter().map(|proof| proof.cpu_s));
        let median = cpu.median();
        let peak_mb = prover.peak_mb();
        let value = json!({
            "version": prover.about["ezkl"],
            "logrows": prover.about["logrows"],
            "rows": prover.about["rows"],
            "setup_cpu_s": prover.about["setup_cpu_s"],
            "cpu_s": rounded(median, 3),
            "cpu_s_least": rounded(cpu.least(), 3),
            "cpu_s_most": rounded(cpu.most(), 3),
            "wall_s": rounded(Sorted::new(prover.proofs.iter().map(|proof| proof.wall_s)).median(), 3),
            "peak_mb": rounded(peak_mb, 1),
            "key_bytes": prover.about["key_bytes"],
            "proof_bytes": prover.last["proof_bytes"],
        });
        self.ezkl.push((model, value));
        median
    }

    pub fn print(&self) {
        println!(
            "{:<16} {:<16} {:>9} {:>9} {:>8} {:>8} {:>9} {:>7} {:>8} {:>9}",
            "model", "kind", "CPU-ms", "per wind.", "x EZKL", "MB", "key", "proof", "gas", "contract"
        );
        for row in &self.rows {
            println!(
                "{:<16} {:<16} {:>9.1} {:>9.2} {:>8.1} {:>8.1} {:>9} {:>7} {:>8} {:>9}",
                row.model,
                row.kind,
                row.cpu_s * 1e3,
                row.cpu_s * 1e3 / row.windows as f64,
                row.ratio,
                row.peak_mb,
                row.about["key_bytes"],
                row.last["proof_bytes"],
                row.verification.gas,
                row.verification.contract_bytes,
            );
        }
        for (model, value) in &self.ezkl {
            println!(
                "EZKL {} on {model}: {} CPU-s, {} MB, key {} bytes",
                value["version"], value["cpu_s"], value["peak_mb"], value["key_bytes"]
            );
        }
    }

    /// The record. The first keys are those of the model 48-64-32-1.
    pub fn json(&self) -> String {
        let of =
            |kind: &str| self.rows.iter().find(|row| row.model == MODELS[0] && row.kind == kind).expect("measured");
        let (alert, audit) = (of("alert, latency"), of("audit of 256"));
        let headline = json!({
            "alert_ratio_vs_ezkl_tuned": rounded(alert.ratio, 1),
            "audit_ratio_vs_ezkl_tuned": rounded(audit.ratio, 1),
            "gas_alert": alert.verification.gas,
            "gas_audit": audit.verification.gas,
            "contract_bytes": alert.verification.contract_bytes,
            "proof_bytes": alert.last["proof_bytes"],
        });
        let of_ezkl = |(model, value): &(&str, Value)| json!({ "model": model, "figures": value });
        let figures = json!({
            "method": self.method,
            "ours": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "ezkl_tuned": self.ezkl.iter().map(of_ezkl).collect::<Vec<_>>(),
        });
        record::text("cargo xtask bench zkml --json --record FILE", headline, figures)
    }
}
