//! `hygeia-sim`: the simulation with a model of the chain.

use std::process::ExitCode;

fn main() -> ExitCode {
    hygeia_sim::cli::main(None)
}
