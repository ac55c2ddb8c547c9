//! Temporary measurement.
use hygeia_inference::{Dense, IntegerNetwork};
use hygeia_zkml::{EngineConfig, NativeEngine, Salt, contract};
use rand::{Rng, SeedableRng};
use std::time::Instant;

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let dims: Vec<usize> = a[1].split('x').map(|v| v.parse().unwrap()).collect();
    let dir = std::path::Path::new(&a[2]);
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(3);
    let mut reach = 8192_i64;
    let layers = dims
        .windows(2)
        .map(|p| {
            let limit = ((1i64 << 29) / (reach * p[0] as i64)) as i32;
            let weights = (0..p[1]).map(|_| (0..p[0]).map(|_| rng.gen_range(-limit..=limit)).collect()).collect();
            let bias = (0..p[1]).map(|_| rng.gen_range(-(1 << 20)..1 << 20)).collect();
            reach = (reach * p[0] as i64 * limit as i64 + (1 << 20)) >> 10;
            Dense { weights, bias }
        })
        .collect();
    let net = IntegerNetwork::new(layers, vec![(-8192, 8192); dims[0]]).unwrap();
    let t = Instant::now();
    let e = NativeEngine::open_development(&net, [7; 32], dir, &EngineConfig::default()).unwrap();
    println!("open {:?} plan {:?}", t.elapsed(), e.verifying_key().plan());
    let t = Instant::now();
    let e2 = NativeEngine::open_development(&net, [7; 32], dir, &EngineConfig::default()).unwrap();
    println!("load {:?}", t.elapsed());
    drop(e2);
    let n = 20;
    let (mut wall, mut cpus) = (vec![], vec![]);
    let mut last = None;
    for _ in 0..n {
        let x: Vec<i32> = (0..dims[0]).map(|_| rng.gen_range(-8192..=8192)).collect();
        let (t, c) = (Instant::now(), cpu());
        last = Some(e.prove(&x, &Salt::new(rng.r#gen())).unwrap());
        wall.push(t.elapsed().as_secs_f64());
        cpus.push(cpu() - c);
    }
    wall.sort_by(f64::total_cmp);
    cpus.sort_by(f64::total_cmp);
    let p = last.unwrap();
    let t = Instant::now();
    hygeia_zkml::verify(e.verifying_key(), &p.bytes, &p.public).unwrap();
    println!(
        "prove wall median {:.3} min {:.3}, cpu median {:.3} min {:.3}; verify {:?}; proof {} B; score {}",
        wall[n / 2],
        wall[0],
        cpus[n / 2],
        cpus[0],
        t.elapsed(),
        p.bytes.len(),
        p.public.score
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap());
    for f in std::fs::read_dir(dir).unwrap() {
        let f = f.unwrap();
        println!("{} {}", f.metadata().unwrap().len(), f.file_name().to_string_lossy());
    }
    std::fs::write(dir.join("v.sol"), contract::verifier_solidity(e.verifying_key()).unwrap()).unwrap();
    std::fs::write(dir.join("v.calldata"), hex::encode(contract::calldata(&p.public, &p.bytes))).unwrap();
}
