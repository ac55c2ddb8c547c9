//! Cases of a part: each is tried, whatever became of the one before, and told as one line of JSON behind a mark.

use std::{
    any::Any,
    error::Error,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use hygeia_benches::measure::rounded;
use serde_json::{Map, Value, json};

/// In front of every case's line.
pub const MARK: &str = "@@";

/// What became of the cases so far.
pub struct Cases {
    is_passed: bool,
}

impl Cases {
    pub fn new() -> Self {
        Self { is_passed: true }
    }

    /// Whether all cases passed.
    pub fn are_passed(&self) -> bool {
        self.is_passed
    }

    /// Tries a case, which gives an object of figures.
    pub fn add(&mut self, name: &str, case: impl FnOnce() -> Result<Value, Box<dyn Error>>) {
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(case))
            .unwrap_or_else(|panic| Err(said(panic.as_ref()).into()))
            .map_err(|error| chain(error.as_ref()));
        self.is_passed &= result.is_ok();
        let mut line = Map::from_iter([("case".to_owned(), json!(name))]);
        match result {
            Ok(Value::Object(figures)) => line.extend(figures),
            Ok(other) => unreachable!("{other} is no object"),
            Err(message) => {
                line.insert("failed".to_owned(), json!(message));
            }
        }
        line.insert("took_s".to_owned(), json!(rounded(start.elapsed().as_secs_f64(), 3)));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{MARK}{}", Value::Object(line)).and_then(|()| out.flush()).expect("standard output is open");
    }
}

/// The message of a panic: these are of our own assertions, on made-up inputs.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}

/// An error with all its causes.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
