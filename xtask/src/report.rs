//! The steps of a run: each is announced and timed, all are gone through, and the end says which failed.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What a run has done so far.
#[derive(Default)]
pub struct Report {
    steps: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    error: Option<String>,
}

impl Report {
    /// Runs one step. A failure is kept for the end, so that one run shows every failure; the value is there for
    /// the steps that build on this one.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let result = work();
        let took = start.elapsed();
        let (value, error) = match result {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        match &error {
            None => eprintln!("=== {name}: ok, {:.1} s", took.as_secs_f64()),
            Some(error) => eprintln!("=== {name}: FAILED after {:.1} s: {error}", took.as_secs_f64()),
        }
        self.steps.push(Step { name: name.to_owned(), took, error });
        value
    }

    /// Prints the summary and fails if any step did.
    pub fn close(self) -> Result<()> {
        println!("\n{}", self.summary());
        match self.failed() {
            0 => Ok(()),
            failed => bail!("{failed} of {} steps failed", self.steps.len()),
        }
    }

    fn failed(&self) -> usize {
        self.steps.iter().filter(|step| step.error.is_some()).count()
    }

    fn summary(&self) -> String {
        let mut lines = Vec::with_capacity(self.steps.len() + 1);
        for step in &self.steps {
            let mark = if step.error.is_some() { "FAILED" } else { "ok" };
            lines.push(format!("{mark:<6} {:>8.1} s  {}", step.took.as_secs_f64(), step.name));
        }
        lines.push(format!("steps: {} passed, {} failed", self.steps.len() - self.failed(), self.failed()));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_failed_step_does_not_stop_the_next_and_fails_the_run() {
        let mut report = Report::default();
        assert_eq!(report.step("one", || Ok(1)), Some(1));
        assert_eq!(report.step::<()>("two", || Err(anyhow!("broken"))), None);
        assert_eq!(report.step("three", || Ok(3)), Some(3));
        assert!(report.summary().ends_with("steps: 2 passed, 1 failed"));
        assert_eq!(report.close().unwrap_err().to_string(), "1 of 3 steps failed");
    }
}
