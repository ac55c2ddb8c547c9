//! Windows scored per second, side by side with other runtimes on the same model exported to ONNX.
//!
//! Each runtime is measured in turn, over and over, so that a drift of the machine falls on all of them; the medians are
//! compared. Time counts while a thread has a core, so that other programs cost nobody anything.
//! Before that every runtime's scores are checked against the float layers.
//!
//! ```text
//! cargo xtask bench serving                                  # about three minutes
//! cargo xtask bench serving --rounds 3 --seconds 0.1         # quicker, less sure
//! cargo xtask bench serving --record benches/records/2026-11-22-serving.json
//! ```

mod ours;
mod peer;
mod record;
#[cfg(feature = "tract")]
mod tract;
#[path = "../windows/mod.rs"]
mod windows;

use std::time::Duration;

use hygeia_benches::Arguments;
use hygeia_inference::quantise::{FloatLayer, float_score};
use hygeia_inference::{ModelPackage, onnx};

use record::{Measured, Results};

/// One alert at a time, a ward, a hospital's tick.
const BATCHES: [usize; 3] = [1, 64, 1024];
/// One core and two.
const WORKERS: [usize; 2] = [1, 2];
/// Windows that every runtime's scores are compared on.
const CHECKED: usize = 64;
/// How far, in logits, a score may be from the float layers': what rounding to floats of 32 bits makes, and for the
/// integers what rounding weights makes.
const FLOAT_ERROR_MAX: f64 = 1e-3;
const INTEGER_ERROR_MAX: f64 = 0.1;

/// Something that scores windows.
trait Runtime {
    /// What it is, with its version.
    fn name(&self) -> String;
    /// Scores, in logits.
    fn scores(&mut self, windows: &[Vec<i32>]) -> Vec<f64>;
    /// Measures for about this long; nothing when it has no such mode.
    fn measure(&mut self, windows: &[Vec<i32>], workers: usize, time: Duration) -> Option<Measured>;
}

struct Options {
    rounds: usize,
    time: Duration,
}

fn main() {
    let arguments = Arguments::read();
    let options = Options::of(&arguments);
    let package = ModelPackage::default_model();
    let layers = package.float_layers().expect("the shipped package was checked");
    let file = onnx::export(&layers, package.schema().len(), &package.card().name).expect("its layers fit");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, &file).expect("a temporary file");

    let windows = windows::features(package.schema(), BATCHES[2], 2);
    let mut runtimes: Vec<(Box<dyn Runtime>, f64)> = vec![
        (Box::new(ours::Kernels::new(package.network())), INTEGER_ERROR_MAX),
        (Box::new(ours::Candle::new(package.network())), INTEGER_ERROR_MAX),
        (Box::new(peer::Onnxruntime::start(&path)), FLOAT_ERROR_MAX),
    ];
    #[cfg(feature = "tract")]
    runtimes.push((Box::new(tract::Tract::new(&path, package.schema().len())), FLOAT_ERROR_MAX));
    for (runtime, error_max) in &mut runtimes {
        check(runtime.as_mut(), &layers, &windows[..CHECKED], *error_max);
    }

    let mut results = Results::new(package, &options);
    for batch in BATCHES {
        for workers in WORKERS {
            for _ in 0..options.rounds {
                for (runtime, _) in &mut runtimes {
                    if let Some(measured) = runtime.measure(&windows[..batch], workers, options.time) {
                        results.add(&runtime.name(), batch, workers, measured);
                    }
                }
            }
            results.print(batch, workers);
        }
    }
    arguments.deliver(&results.json());
}

fn check(runtime: &mut dyn Runtime, layers: &[FloatLayer], windows: &[Vec<i32>], error_max: f64) {
    let error = |(window, score): (&Vec<i32>, f64)| (float_score(layers, window) - score).abs();
    let scores = runtime.scores(windows);
    assert_eq!(scores.len(), windows.len());
    let worst = windows.iter().zip(scores).map(error).fold(0.0, f64::max);
    println!("{}: at most {worst:.6} logits from the float layers", runtime.name());
    assert!(worst < error_max, "{} computes something else", runtime.name());
}

impl Options {
    fn of(arguments: &Arguments) -> Self {
        let seconds = arguments.value("--seconds").map_or(0.5, |text| text.parse().expect("a number"));
        Self { rounds: arguments.number("--rounds", 9), time: Duration::from_secs_f64(seconds) }
    }
}
