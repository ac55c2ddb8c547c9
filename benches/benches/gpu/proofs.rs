//! Proofs on the device beside the same proofs on this machine's processor, by turns on the same windows.

use std::{
    error::Error,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use hygeia_benches::measure::{Sorted, Took, cpu_s, rounded};
use hygeia_benches::models::{MODELS, Model};
use hygeia_gpu_kernels::CudaAccelerator;
use hygeia_zkml::audit::{self, AuditBatch, AuditKeys, AuditPlan, AuditWindow};
use hygeia_zkml::{EngineConfig, Goal, NativeEngine, Placement, PublicInputs, Salt, Srs, VerifyError, verify};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

use crate::place::{Place, Scale};

const SCHEMA: [u8; 32] = [7; 32];
/// The processor's prover on all cores.
const CONFIG: EngineConfig = EngineConfig { threads: 0, goal: Goal::Latency, placement: Placement::Cpu };
/// How often the memory in use is looked at.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// Proofs of both, in the order in which they were made.
#[derive(Default)]
struct Contest {
    cpu: Vec<Took>,
    device: Vec<Took>,
}

/// Alerts of one model: one at a time, then several.
pub fn alert<P: Place>(name: &str, scale: &Scale) -> Result<Value, Box<dyn Error>> {
    let model = Model::named(name);
    let srs = Srs::development(NativeEngine::plan(&model.network, CONFIG.goal)?.k)?;
    let engine = NativeEngine::new(&model.network, SCHEMA, &srs, &CONFIG)?;
    let place = CudaAccelerator::over(P::open(None)?)?;
    let left = place.device().memory_bytes_left();
    let prover = engine.prover_on(place.clone())?;
    let resident = taken(left, place.device().memory_bytes_left());
    eprintln!("           keys of {name} are made and on the device");

    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut window = || (model.window(&mut rng), Salt::new(rng.r#gen()));
    let mut contest = Contest::default();
    for _ in 0..=scale.runs {
        let (features, salt) = window();
        contest.cpu.push(timed(|| engine.prove(&features, &salt))?.0);
        let (took, proof) = timed(|| engine.prove_on(&prover, &features, &salt))?;
        contest.device.push(took);
        let other = PublicInputs { score: proof.public.score + 1, ..proof.public };
        assert_eq!(verify(engine.verifying_key(), &proof.bytes, &other), Err(VerifyError::Rejected));
    }
    let (features, salt) = window();
    let peak = peak(place.device(), || engine.prove_on(&prover, &features, &salt).map(drop))?;
    let by_cpu = in_flight(scale, || engine.prove(&features, &salt).map(drop))?;
    let by_device = in_flight(scale, || engine.prove_on(&prover, &features, &salt).map(drop))?;
    let several = json!({
        "in_flight": scale.in_flight.0,
        "cpu_proofs_per_s": rounded(by_cpu, 2),
        "device_proofs_per_s": rounded(by_device, 2),
    });
    Ok(contest.json(json!({ "windows": 1, "several": several, "resident_bytes": resident, "peak_bytes": peak })))
}

/// Audits of so many windows.
pub fn audit<P: Place>(windows: usize, scale: &Scale) -> Result<Value, Box<dyn Error>> {
    let model = Model::named(MODELS[0]);
    let plan = AuditPlan::for_windows(&model.network, windows)?;
    let start = Instant::now();
    let keys = AuditKeys::generate(&model.network, SCHEMA, &plan, &Srs::development(plan.k)?, &CONFIG)?;
    let keys_s = start.elapsed().as_secs_f64();
    eprintln!("           keys of {windows} windows, made in {keys_s:.1} s");
    let place = CudaAccelerator::over(P::open(None)?)?;
    let left = place.device().memory_bytes_left();
    let prover = keys.prover_on(place.clone())?;
    let resident = taken(left, place.device().memory_bytes_left());

    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut batch = || -> AuditBatch {
        (0..windows).map(|_| AuditWindow::new(model.window(&mut rng), Salt::new(rng.r#gen()))).collect()
    };
    let mut contest = Contest::default();
    for run in 0..=scale.runs {
        let batch = batch();
        contest.cpu.push(timed(|| keys.prove(&batch))?.0);
        let (took, proof) = timed(|| keys.prove_on(&prover, &batch))?;
        contest.device.push(took);
        let mut bytes = proof.bytes;
        bytes[run] ^= 1;
        assert_ne!(audit::verify(keys.verifying_key(), &bytes, &proof.public), Ok(()));
    }
    let batch = batch();
    let peak = peak(place.device(), || keys.prove_on(&prover, &batch).map(drop))?;
    let about = json!({
        "windows": windows, "k": plan.k, "keys_s": rounded(keys_s, 2), "resident_bytes": resident, "peak_bytes": peak,
    });
    Ok(contest.json(about))
}

impl Contest {
    fn json(&self, mut about: Value) -> Value {
        // The first run warms caches and is not counted.
        let wall = |proofs: &[Took]| Sorted::new(proofs[1..].iter().map(|proof| proof.wall_s));
        let figures = |proofs: &[Took]| {
            let (wall, cpu) = (wall(proofs), Sorted::new(proofs[1..].iter().map(|proof| proof.cpu_s)));
            json!({
                "wall_s": rounded(wall.median(), 5),
                "wall_s_least": rounded(wall.least(), 5),
                "wall_s_most": rounded(wall.most(), 5),
                "cpu_s": rounded(cpu.median(), 5),
            })
        };
        about["ratio_vs_cpu"] = json!(rounded(wall(&self.cpu).median() / wall(&self.device).median(), 3));
        about["cpu"] = figures(&self.cpu);
        about["device"] = figures(&self.device);
        about
    }
}

/// Time of a piece of work. Where the system does not count CPU time for each thread, that is no number.
fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(Took, T), E> {
    let cpu = || cpu_s().unwrap_or(f64::NAN);
    let (before, start) = (cpu(), Instant::now());
    let result = work()?;
    Ok((Took { wall_s: start.elapsed().as_secs_f64(), cpu_s: cpu() - before }, result))
}

/// Proofs a second with several callers.
fn in_flight<E: Error + Send + 'static>(
    scale: &Scale,
    prove: impl Fn() -> Result<(), E> + Sync,
) -> Result<f64, Box<dyn Error>> {
    let ((callers, proofs_each), start) = (scale.in_flight, Instant::now());
    thread::scope(|scope| {
        let caller = || (0..proofs_each).try_for_each(|_| prove());
        let callers: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        callers.into_iter().try_for_each(|caller| caller.join().expect("a caller does not panic"))
    })?;
    Ok((callers * proofs_each) as f64 / start.elapsed().as_secs_f64())
}

/// The most memory that was seen to be taken while something ran, beside what was taken before. Where that cannot be
/// seen, it is not run.
fn peak<P: Place, E>(place: &P, work: impl FnOnce() -> Result<(), E>) -> Result<Option<usize>, E> {
    let Some(before) = place.memory_bytes_left() else { return Ok(None) };
    let (least_left, is_done) = (AtomicUsize::new(before), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                least_left.fetch_min(place.memory_bytes_left().unwrap_or(before), Ordering::Relaxed);
                thread::sleep(LOOK_EVERY);
            }
        });
        let result = work();
        is_done.store(true, Ordering::Relaxed);
        result
    })?;
    Ok(Some(before - least_left.into_inner()))
}

fn taken(before: Option<usize>, now: Option<usize>) -> Option<usize> {
    Some(before?.saturating_sub(now?))
}
