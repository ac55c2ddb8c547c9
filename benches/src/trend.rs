//! Whether something grows: the slope of a line through its second half, against what its noise could make of it.

use crate::measure::rounded;
use serde_json::{Value, json};

/// How the verdict is found, for the record.
pub const VERDICT: &str = "a line is fitted to the second half of the run; something grows where the line rises over that \
    half by more than three standard errors and by more than 5 % of what it was in the middle, and by more than one unit \
    (files, consumers), 50 messages, 4 MiB of memory or 4 MB stored";

/// A quantity over the run.
pub struct Trend {
    unit: &'static str,
    points: Vec<(f64, f64)>,
}

/// A line through points.
struct Line {
    slope: f64,
    slope_error: f64,
    mean: f64,
}

impl Trend {
    /// Of points in time, in seconds.
    pub fn new(unit: &'static str, points: Vec<(f64, f64)>) -> Self {
        Self { unit, points }
    }

    /// Whether it rises in the second half, more than noise explains and more than would matter.
    pub fn grows(&self) -> bool {
        let half = self.second_half();
        let Some(line) = Line::through(half) else { return false };
        let (rise, error) = (self.rise(&line), line.slope_error * length_s(half));
        rise > 3.0 * error && rise > 0.05 * line.mean.abs() && rise > least_that_matters(self.unit)
    }

    /// For the record.
    pub fn json(&self) -> Value {
        let most = self.points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let Some(line) = Line::through(self.second_half()) else { return Value::Null };
        json!({
            "unit": self.unit,
            "first": self.points.first().map(|(_, value)| rounded(*value, 2)),
            "most": rounded(most, 2),
            "last": self.points.last().map(|(_, value)| rounded(*value, 2)),
            "rise_in_the_second_half": rounded(self.rise(&line), 2),
            "grows": self.grows(),
        })
    }

    fn second_half(&self) -> &[(f64, f64)] {
        &self.points[self.points.len() / 2..]
    }

    fn rise(&self, line: &Line) -> f64 {
        line.slope * length_s(self.second_half())
    }
}

impl Line {
    /// Least squares; nothing with fewer than three points.
    fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        if points.len() < 3 {
            return None;
        }
        let mean_of = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (time, mean) = (mean_of(|point| point.0), mean_of(|point| point.1));
        let spread: f64 = points.iter().map(|(at, _)| (at - time).powi(2)).sum();
        let slope = points.iter().map(|(at, value)| (at - time) * (value - mean)).sum::<f64>() / spread;
        let residual: f64 = points.iter().map(|(at, value)| (value - mean - slope * (at - time)).powi(2)).sum();
        Some(Self { slope, slope_error: (residual / (count - 2.0) / spread).sqrt(), mean })
    }
}

fn length_s(points: &[(f64, f64)]) -> f64 {
    points.last().map_or(0.0, |last| last.0) - points.first().map_or(0.0, |first| first.0)
}

/// A rise below this is none, whatever its statistics.
fn least_that_matters(unit: &str) -> f64 {
    match unit {
        "messages" => 50.0,
        "MiB" | "MB" => 4.0,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grows(unit: &'static str, of: impl Fn(f64) -> f64) -> bool {
        Trend::new(unit, (0..240).map(f64::from).map(|at| (at, of(at))).collect()).grows()
    }

    #[test]
    fn what_rises_to_the_end_grows() {
        assert!(grows("MiB", |at| 100.0 + at / 2.0));
        assert!(grows("messages", |at| 3.0 * at + 40.0 * (at * 0.9).sin()));
        assert!(grows("files", |at| 20.0 + (at / 20.0).floor()));
    }

    #[test]
    fn what_fills_up_swings_or_falls_does_not() {
        assert!(!grows("MiB", |at| 100.0 + at.min(60.0)), "caches fill in the first half");
        assert!(!grows("MB", |at| 80.0 + at % 15.0), "files are cut off at the far end");
        assert!(!grows("messages", |at| 60.0 + 40.0 * (at * 0.9).sin()));
        assert!(!grows("MiB", |at| 400.0 - at));
        assert!(!grows("MiB", |_| 100.0));
    }

    #[test]
    fn a_rise_that_does_not_matter_is_none() {
        assert!(!grows("messages", |at| 1_000.0 + at / 10.0));
        assert!(!grows("MiB", |at| 10.0 + at / 100.0));
    }
}
