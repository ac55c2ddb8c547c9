//! Observations per second on one core: decoding from the wire, and the window machine.
//!
//! Two stays of 24 hours bound what a ward sends: a bedside monitor that reports every minute, where nearly all work is
//! taking values in, and a chart kept hourly, where every seventh observation or so completes a window.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use hygeia_protocol::code::{Code, READINGS};
use hygeia_protocol::identity::{DeviceId, PatientId};
use hygeia_protocol::observation::{Limits, Observation};
use hygeia_protocol::time::Timestamp;
use hygeia_protocol::window::{PatientWindow, WindowConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// 2026-01-01T00:00:00Z: a whole hour, so that windows end where the stay's hours do.
const ADMITTED_S: u64 = 1_767_225_600;
const STAY_S: u64 = 24 * 3_600;
const LABS_EVERY_S: u64 = 6 * 3_600;
/// Codes before this one come from the monitor, the other readings from the laboratory.
const LABS_FROM: usize = 7;
/// The first window ends with the first hour; the last one still waits for late measurements.
const WINDOWS_MIN: usize = 22;

/// A stay as it arrives.
struct Stay {
    cadence: &'static str,
    observations: Vec<Observation>,
    messages: Vec<Vec<u8>>,
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let stays = [Stay::new("each-minute", 60), Stay::new("hourly", 3_600)];
    decode(&mut criterion, &stays);
    observe(&mut criterion, &stays);
    decode_and_observe(&mut criterion, &stays);
    criterion.final_summary();
}

fn decode(criterion: &mut Criterion, stays: &[Stay]) {
    let mut group = criterion.benchmark_group("window/decode");
    for stay in stays {
        group.throughput(stay.throughput());
        group.bench_function(BenchmarkId::from_parameter(stay.cadence), |bencher| {
            bencher.iter(|| stay.decoded().map(|observation| observation.seq()).sum::<u64>());
        });
    }
    group.finish();
}

fn observe(criterion: &mut Criterion, stays: &[Stay]) {
    let mut group = criterion.benchmark_group("window/observe");
    for stay in stays {
        let windows = count_windows(stay.observations.iter().cloned());
        assert!(windows >= WINDOWS_MIN, "a stay of 24 hours completes its hourly windows, not {windows}");
        group.throughput(stay.throughput());
        group.bench_function(BenchmarkId::from_parameter(stay.cadence), |bencher| {
            let empty = || PatientWindow::new(WindowConfig::default());
            bencher.iter_batched_ref(
                empty,
                |window| stay.observations.iter().map(|observation| take(window, observation)).sum::<usize>(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// What an oracle does with each message between broker and schema.
fn decode_and_observe(criterion: &mut Criterion, stays: &[Stay]) {
    let mut group = criterion.benchmark_group("window/decode-and-observe");
    for stay in stays {
        group.throughput(stay.throughput());
        group.bench_function(BenchmarkId::from_parameter(stay.cadence), |bencher| {
            bencher.iter(|| count_windows(stay.decoded()));
        });
    }
    group.finish();
}

fn count_windows(observations: impl Iterator<Item = Observation>) -> usize {
    let mut window = PatientWindow::new(WindowConfig::default());
    observations.map(|observation| take(&mut window, &observation)).sum()
}

fn take(window: &mut PatientWindow, observation: &Observation) -> usize {
    window.observe(observation).expect("the stay is in order").len()
}

impl Stay {
    fn new(cadence: &'static str, vitals_every_s: u64) -> Stay {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut observations = Vec::new();
        for after_s in (0..STAY_S).step_by(60) {
            let due = Code::ALL.into_iter().filter(|&code| after_s.is_multiple_of(every_s(code, vitals_every_s)));
            for code in due {
                observations.push(measure(code, observations.len(), after_s, &mut rng));
            }
        }
        let messages = observations.iter().map(Observation::encode).collect();
        Stay { cadence, observations, messages }
    }

    fn throughput(&self) -> Throughput {
        Throughput::Elements(self.observations.len() as u64)
    }

    fn decoded(&self) -> impl Iterator<Item = Observation> + '_ {
        let received = Timestamp::from_seconds(ADMITTED_S + STAY_S);
        let limits = Limits::default();
        self.messages
            .iter()
            .map(move |message| Observation::decode(message, received, &limits).expect("the stay is valid"))
    }
}

/// How often a code is measured; demographics once.
fn every_s(code: Code, vitals_every_s: u64) -> u64 {
    match code as usize {
        index if index < LABS_FROM => vitals_every_s,
        index if index < READINGS => LABS_EVERY_S,
        _ => STAY_S,
    }
}

fn measure(code: Code, seq: usize, after_s: u64, rng: &mut ChaCha20Rng) -> Observation {
    let value_milli = match code {
        Code::Sex => 1_000,
        _ => rng.gen_range(code.spec().min_milli..=code.spec().max_milli),
    };
    let patient = PatientId::new("patient-1").expect("an identifier");
    let device = DeviceId::new("monitor-7").expect("an identifier");
    let effective = Timestamp::from_seconds(ADMITTED_S + after_s);
    Observation::new(patient, device, seq as u64, code, value_milli, effective).expect("within the code's range")
}
