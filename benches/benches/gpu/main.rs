//! What a machine with a CUDA device is asked to do with the kernels and the prover: agree with the definitions first,
//! then be timed beside the same machine's processor. Writes one record as JSON, `$OUT/record.json` or `./record.json`.
//!
//! `cargo xtask gpu-suite` packs this program for machines that have no Rust. Each part runs in a process of its own
//! and within a time limit, so one that fails, hangs or breaks the device costs the others nothing; the record says
//! which did.
//!
//! ```text
//! gpu                         # everything
//! gpu --check                 # conformance alone, in this process: what compute-sanitizer is run on
//! gpu --probe                 # names the device
//! gpu --emulated              # the processor in the device's place, at small sizes: shows that the suite runs to
//!                             # its end, and nothing about speed
//! gpu --log-max 18 --runs 3   # sizes of kernels up to 2^18, three proofs of each kind
//! gpu --sanitizer TEXT [--sanitizer-failed]   # what a sanitizer said before, for the record
//! ```
//!
//! The exit status is 1 where something failed and 3 where there is no device. This program never has the processor stand in
//! for a device that fails.

#[expect(dead_code, reason = "the checks are run one by one here, so that each is recorded")]
#[path = "../../../gpu-kernels/tests/conformance/mod.rs"]
mod conformance;

mod cases;
mod kernels;
mod machine;
mod part;
mod place;
mod proofs;
mod suite;

use std::process::ExitCode;

use hygeia_benches::Arguments;
use hygeia_gpu_emulator::Emulator;
use hygeia_gpu_kernels::cuda::Driver;

use part::Part;
use place::{Place, Scale};

/// Exit status where there is no device to run on.
const NO_DEVICE: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    if arguments.has("--emulated") { run::<Emulator>(&arguments) } else { run::<Driver>(&arguments) }
}

fn run<P: Place>(arguments: &Arguments) -> ExitCode {
    let scale = Scale::read::<P>(arguments);
    if let Some(name) = arguments.value("--part") {
        let part = Part::named(&name).expect("the suite names its parts");
        return code(part.run::<P>(&scale));
    }
    let device = match P::open(None).and_then(|place| place.title()) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("gpu suite: {error}; `--emulated` puts the processor in the device's place");
            // Among all suites of a machine without a device this one has nothing to say.
            return if arguments.has("--bench") { ExitCode::SUCCESS } else { ExitCode::from(NO_DEVICE) };
        }
    };
    println!("device: {device}");
    if arguments.has("--probe") {
        return ExitCode::SUCCESS;
    }
    if arguments.has("--check") {
        return code(Part::Conformance.run::<P>(&scale));
    }
    code(suite::run::<P>(&device, arguments))
}

fn code(is_passed: bool) -> ExitCode {
    if is_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
