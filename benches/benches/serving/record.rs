//! What was measured: medians, ratios, and the record of a machine.

use std::collections::BTreeMap;

use hygeia_benches::measure::Sorted;
use hygeia_benches::record;
use hygeia_inference::ModelPackage;
use serde_json::{Value, json};

use super::Options;

/// One measurement of one runtime.
#[derive(Clone, Copy)]
pub struct Measured {
    /// Windows per second of all workers.
    pub windows_per_second: f64,
    /// What of each call is not the runtime's own but that of the language it is called from.
    pub overhead_s: f64,
}

/// All measurements, by batch and workers, then runtime.
pub struct Results {
    model: Value,
    method: Value,
    runs: BTreeMap<(usize, usize), BTreeMap<String, Vec<Measured>>>,
}

/// Medians of one runtime.
struct Summary {
    windows_per_second: f64,
    /// With the overhead of each call taken off.
    windows_per_second_bare: f64,
    least: f64,
    most: f64,
}

impl Results {
    pub fn new(package: &ModelPackage, options: &Options) -> Self {
        let model = json!({ "name": package.card().name, "dims": package.network().dims() });
        let method = json!({
            "rounds": options.rounds,
            "seconds": options.time.as_secs_f64(),
            "seconds_counted": "those in which a worker's thread had a core, since other programs ran too; the rates of two \
                                workers are added",
            "workers": "each worker is a thread with batches of its own; onnxruntime has a session of one thread for each",
            "inputs": "ours: vectors of 32-bit integers, checked against their bounds; onnxruntime: floats bound once",
            "bare": "the time of a call less that of a graph that passes its input on; this flatters onnxruntime, since \
                     passing on copies, and ratios are taken of it",
        });
        Self { model, method, runs: BTreeMap::new() }
    }

    pub fn add(&mut self, runtime: &str, batch: usize, workers: usize, measured: Measured) {
        self.runs.entry((batch, workers)).or_default().entry(runtime.to_owned()).or_default().push(measured);
    }

    /// Prints one batch size, once it is measured.
    pub fn print(&self, batch: usize, workers: usize) {
        let runs = &self.runs[&(batch, workers)];
        println!("\nbatch {batch}, {workers} core(s): windows per second, the first against each");
        let ours = ours(runs, batch, workers);
        for (name, measured) in runs {
            let summary = Summary::of(measured, batch, workers);
            println!(
                "  {name:<32} {:>12.0} ({:.0} to {:.0}), bare {:>12.0}, ratio {:.2}",
                summary.windows_per_second,
                summary.least,
                summary.most,
                summary.windows_per_second_bare,
                ours / summary.windows_per_second_bare
            );
        }
    }

    /// The record, without the state of the machine, which a person knows.
    pub fn json(&self) -> String {
        let runs: serde_json::Map<String, Value> = self.runs.iter().map(|(&key, runs)| entry(key, runs)).collect();
        let figures = json!({ "model": self.model, "method": self.method, "run": runs });
        record::text("cargo xtask bench serving --record FILE", json!({}), figures)
    }
}

fn entry((batch, workers): (usize, usize), runs: &BTreeMap<String, Vec<Measured>>) -> (String, Value) {
    let ours = ours(runs, batch, workers);
    let runtime = |(name, measured): (&String, &Vec<Measured>)| {
        let summary = Summary::of(measured, batch, workers);
        let value = json!({
            "windows_per_second": summary.windows_per_second.round(),
            "least": summary.least.round(),
            "most": summary.most.round(),
            "windows_per_second_bare": summary.windows_per_second_bare.round(),
            "ours_over_this": (100.0 * ours / summary.windows_per_second_bare).round() / 100.0,
        });
        (name.clone(), value)
    };
    (format!("batch {batch}, {workers} core(s)"), runs.iter().map(runtime).collect::<serde_json::Map<_, _>>().into())
}

/// The kernels' median.
fn ours(runs: &BTreeMap<String, Vec<Measured>>, batch: usize, workers: usize) -> f64 {
    let (_, measured) = runs.iter().find(|(name, _)| name.starts_with("integer")).expect("ours is measured first");
    Summary::of(measured, batch, workers).windows_per_second
}

impl Summary {
    fn of(measured: &[Measured], batch: usize, workers: usize) -> Self {
        let bare = |m: &Measured| {
            let windows_at_once = (batch * workers) as f64;
            let call_s = windows_at_once / m.windows_per_second;
            windows_at_once / (call_s - m.overhead_s).max(call_s / 10.0)
        };
        let all = Sorted::new(measured.iter().map(|m| m.windows_per_second));
        Self {
            windows_per_second: all.median(),
            windows_per_second_bare: Sorted::new(measured.iter().map(bare)).median(),
            least: all.least(),
            most: all.most(),
        }
    }
}
