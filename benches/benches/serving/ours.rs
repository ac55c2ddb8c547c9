//! This project's own engines.

use std::time::{Duration, Instant};

use candle_core::Device;
use hygeia_inference::IntegerNetwork;
use hygeia_inference::engine::CandleEngine;
use hygeia_inference::kernel::IntegerEngine;

use super::Runtime;
use super::record::Measured;

/// The integer kernels, as the sentinel uses them.
pub struct Kernels(IntegerEngine);

/// candle on the CPU.
pub struct Candle(CandleEngine);

impl Kernels {
    pub fn new(network: &IntegerNetwork) -> Self {
        Self(IntegerEngine::new(network))
    }
}

impl Candle {
    pub fn new(network: &IntegerNetwork) -> Self {
        Self(CandleEngine::new(network, &Device::Cpu).expect("the shipped network is exact in a float type"))
    }
}

impl Runtime for Kernels {
    fn name(&self) -> String {
        format!("integer kernels ({})", self.0.units().name())
    }

    fn scores(&mut self, windows: &[Vec<i32>]) -> Vec<f64> {
        logits(&self.0.score_batch(windows).expect("inputs"))
    }

    fn measure(&mut self, windows: &[Vec<i32>], workers: usize, time: Duration) -> Option<Measured> {
        let engine = &self.0;
        Some(measure(windows.len(), workers, time, || {
            let mut scores = Vec::with_capacity(windows.len());
            move || {
                scores.clear();
                engine.score_into(windows, &mut scores).expect("inputs");
                std::hint::black_box(&scores);
            }
        }))
    }
}

impl Runtime for Candle {
    fn name(&self) -> String {
        format!("candle ({})", self.0.dtype().as_str())
    }

    fn scores(&mut self, windows: &[Vec<i32>]) -> Vec<f64> {
        logits(&self.0.score_batch(windows).expect("inputs"))
    }

    /// On one core only, and only when candle was told to use one: it hands every batch to all threads of its pool.
    fn measure(&mut self, windows: &[Vec<i32>], workers: usize, time: Duration) -> Option<Measured> {
        let one_thread = std::env::var("RAYON_NUM_THREADS").is_ok_and(|threads| threads == "1");
        (workers == 1 && one_thread).then(|| {
            measure(windows.len(), 1, time, || {
                || drop(std::hint::black_box(self.0.score_batch(windows).expect("inputs")))
            })
        })
    }
}

/// 1.0 as a score.
const ONE: f64 = 1024.0;

fn logits(scores: &[i64]) -> Vec<f64> {
    scores.iter().map(|&score| score as f64 / ONE).collect()
}

/// Windows per second of some workers that each score batches of their own.
pub fn measure<F: FnMut()>(batch: usize, workers: usize, time: Duration, worker: impl Fn() -> F + Sync) -> Measured {
    let start = Instant::now();
    let run = || {
        let mut call = worker();
        let (mut calls, busy) = (0u64, busy_s());
        while start.elapsed() < time {
            for _ in 0..8 {
                call();
            }
            calls += 8;
        }
        (calls * batch as u64) as f64 / (busy_s() - busy)
    };
    let windows_per_second = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a worker")).sum()
    });
    Measured { windows_per_second, overhead_s: 0.0 }
}

/// Seconds this thread has had a core.
fn busy_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells how long a thread ran");
    let nanoseconds: f64 = text.split(' ').next().and_then(|first| first.parse().ok()).expect("a number");
    nanoseconds * 1e-9
}
