//! `hygeia-sim-evm`: the simulation that can run the real contracts beside the model of the chain.

use std::process::ExitCode;

fn main() -> ExitCode {
    hygeia_sim::cli::main(Some(hygeia_sim_evm::found))
}
