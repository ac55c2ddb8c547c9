//! Every decoder of `hygeia-zkml` under hostile bytes.
//!
//! A [`Target`] takes bytes and panics where the decoder lets through what it must not: a proof, a receipt or a string
//! that means something else than an honest one. What a decoder refuses, it may refuse in any way but a panic. The same
//! targets run under libFuzzer (`cargo fuzz run alert_proof`, feature `libfuzzer`) and, over mutations from a fixed seed,
//! as a test of every build. A finding is kept in `findings/<target>/` and replayed by that test for good.
//!
//! This crate never reaches into `hygeia-zkml`: it sees what anybody who sends bytes sees.

pub mod mutate;
mod patch;
mod subjects;
mod targets;

use std::sync::Once;

pub use targets::TARGETS;

/// One decoder and what must hold of it.
pub struct Target {
    /// Name of the libFuzzer program and of the folders of its corpus and findings.
    pub name: &'static str,
    /// Honest inputs, from which others are made. The first is one that is accepted.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Feeds bytes to the decoder and says whether it accepts them. Panics when it does and should not.
    pub run: fn(&[u8]) -> bool,
    /// Mutations in the test: some seconds of them.
    pub runs: usize,
    /// Bytes that the decoder may ask for at once, whatever the input says.
    pub allocation_bytes_max: usize,
}

/// The target of this name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("the programs and the tests name targets that exist")
}

/// Where a libFuzzer program begins.
pub fn enter(name: &str, bytes: &[u8]) {
    keep_quiet();
    (target(name).run)(bytes);
}

/// Takes the panic hook away, once. Decoders catch panics of the libraries beneath them, and libFuzzer's own hook would
/// end the program at the first of these; one that escapes still ends it.
pub fn keep_quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| ())));
}
