//! CPU time and memory of this process and of those it started, and medians.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What a piece of work took.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// CPU seconds of this process and of those it started, all threads.
    pub cpu_s: f64,
    /// Seconds on the clock.
    pub wall_s: f64,
}

/// Measures a piece of work. Its threads must outlive it, for the time of one that ended is not counted.
pub fn measured<T, E: Error + 'static>(work: impl FnOnce() -> Result<T, E>) -> Result<(Took, T), Box<dyn Error>> {
    let (cpu, wall) = (cpu_s()?, Instant::now());
    let result = work()?;
    Ok((Took { cpu_s: cpu_s()? - cpu, wall_s: wall.elapsed().as_secs_f64() }, result))
}

/// User and system time of this process and of those it started, to the nanosecond that the scheduler counts.
pub fn cpu_s() -> Result<f64, Box<dyn Error>> {
    let mut total_ns = 0.0;
    for process in family()? {
        for task in fs::read_dir(process.join("task"))? {
            let told = fs::read_to_string(task?.path().join("schedstat"))?;
            total_ns += told.split_whitespace().next().ok_or("schedstat is empty")?.parse::<f64>()?;
        }
    }
    Ok(total_ns / 1e9)
}

/// The most memory that this process had, and those it started that still run, in MB.
pub fn peak_mb() -> Result<f64, Box<dyn Error>> {
    let mut total = 0.0;
    for process in family()? {
        let status = fs::read_to_string(process.join("status"))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("no peak")?;
        total += line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0;
    }
    Ok(total)
}

/// This process and its descendants, as folders of `/proc`.
fn family() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = vec![PathBuf::from("/proc/self")];
    let mut next = 0;
    while let Some(process) = found.get(next).cloned() {
        next += 1;
        for task in fs::read_dir(process.join("task"))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            found.extend(children.split_whitespace().map(|child| Path::new("/proc").join(child)));
        }
    }
    Ok(found)
}

/// Measurements in order.
#[derive(Clone, Debug)]
pub struct Sorted(Vec<f64>);

impl Sorted {
    /// # Panics
    /// If there are none.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        assert!(!values.is_empty(), "at least one run is counted");
        Self(values)
    }

    /// The one in the middle.
    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// The least.
    pub fn least(&self) -> f64 {
        self.0[0]
    }

    /// The most.
    pub fn most(&self) -> f64 {
        self.0[self.0.len() - 1]
    }
}

/// A number with so many digits behind the point.
pub fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
