//! Prints how many bytes a packed chart takes, and how long one observation of a packed patient takes.
//!
//! `cargo run --release -p hygeia-protocol --example window_pack`

#[path = "../tests/it/charts.rs"]
mod charts;

use std::time::Instant;

use hygeia_protocol::code::Code;
use hygeia_protocol::observation::{DeviceId, Observation, PatientId};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig};

use self::charts::{Monitor, NOW, Stay};

/// Observations of a round: few enough that most rounds pass without another process taking the core.
const STEPS: u64 = 100;
const ROUNDS: u32 = 2_000;

fn main() {
    let half_minute = Monitor { every_ms: 30_000, step_milli: None };
    let unrounded = Monitor { every_ms: 29_993, step_milli: Some(1) };
    report("by the hour", &Stay::charted().window);
    report("every half minute", &Stay::monitored(half_minute).window);
    report("every half minute, unrounded", &Stay::monitored(unrounded).window);
}

fn report(name: &str, window: &PatientWindow) {
    let packed = window.pack();
    let json = serde_json::to_vec(window).expect("a window is JSON").len();
    println!("{name}: {} bytes packed, {json} as JSON", packed.len());
    print_time("  unpack, observe, pack", &packed, |window, observation| {
        let mut window = PatientWindow::unpack(&window, WindowConfig::default()).expect("it was packed");
        window.observe(observation).expect("in order");
        window.pack()
    });
    print_time("  unpack, pack", &packed, |window, _| {
        PatientWindow::unpack(&window, WindowConfig::default()).expect("it was packed").pack()
    });
}

/// The fastest round: what the work takes when nothing else has the core.
fn print_time(name: &str, packed: &[u8], step: impl Fn(Box<[u8]>, &Observation) -> Box<[u8]>) {
    // Not far enough to end the tick: the chart keeps its size.
    let observations: Vec<_> = (1..=STEPS).map(|index| observation(index, NOW)).collect();
    let round = || {
        let packed: Box<[u8]> = packed.into();
        let start = Instant::now();
        observations.iter().fold(packed, &step);
        start.elapsed()
    };
    let fastest = (0..ROUNDS).map(|_| round()).min().unwrap_or_default();
    println!("{name}: {:.2} µs", fastest.as_secs_f64() * 1e6 / STEPS as f64);
}

fn observation(index: u64, start: Timestamp) -> Observation {
    let (patient, device) = (PatientId::new("p").expect("a name"), DeviceId::new("monitor-0417").expect("a name"));
    let code = [Code::HeartRate, Code::Spo2, Code::Systolic, Code::RespiratoryRate][usize::from(index as u8) % 4];
    let at = Timestamp::from_millis(start.as_millis() + index * 100);
    let value_milli = 50_000 + i32::from(index as u8) * 100;
    Observation::new(patient, device, 1_000_000 + index, code, value_milli, at).expect("plausible")
}
