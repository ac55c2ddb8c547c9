//! `hygeia load` on the command line.

use std::num::NonZeroU32;
use std::path::PathBuf;

use alloy::primitives::{Address, B256};
use clap::Args;

use super::Connect;

/// What to load a network with.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Where the broker and the chain are.
    #[command(flatten)]
    pub connect: Connect,
    /// Simulated patients. Each is enrolled first, with a mandate on the chain.
    #[arg(long, default_value = "1000")]
    pub patients: NonZeroU32,
    /// Observations in a second, of all patients together. How often a monitor charts follows from it.
    #[arg(long, default_value_t = 1000.0, value_parser = positive)]
    pub rate: f64,
    /// Let the rate rise evenly to this one until the end.
    #[arg(long, value_parser = positive, requires = "seconds")]
    pub ramp_to: Option<f64>,
    /// Seconds of the patients' time in a second: 1 is real time, 60 closes a window of every patient each minute.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub speed: f64,
    /// How long to publish; until Ctrl-C when absent.
    #[arg(long, value_parser = positive)]
    pub seconds: Option<f64>,
    /// Let all windows close with the hour, as they do where clocks are right. Else the patients' clocks are spread over an
    /// hour, so that windows close at all times alike.
    #[arg(long)]
    pub together: bool,
    /// Begin this many seconds before the hour of the patients' time, so that it is known when windows close.
    #[arg(long, requires = "together")]
    pub before_hour_s: Option<u32>,
    /// Leave out every fault of sensors and networks.
    #[arg(long)]
    pub no_faults: bool,
    /// Seed of everything random about patients and faults. Mandates are always fresh.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Middle of the pseudonyms; a random one when absent, so that two runs have different patients.
    #[arg(long)]
    pub tag: Option<String>,
    /// File with the private key that pays for the mandates (hex).
    #[arg(long, env = "HYGEIA_SIGNER_KEY_FILE")]
    pub signer_key_file: PathBuf,
    /// Care policy the patients consent to; the only active one when absent.
    #[arg(long)]
    pub policy: Option<B256>,
    /// Oracle they consent to; the only active one when absent.
    #[arg(long)]
    pub oracle: Option<Address>,
    /// Load a network on a chain that is not local. Mandates of people who do not exist stay there for ever.
    #[arg(long)]
    pub force: bool,
    /// Print the summary as one JSON object on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Reads a number above zero.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("a number above zero is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn load(arguments: &[&str]) -> Result<LoadArgs, clap::Error> {
        let line = ["hygeia", "load", "--signer-key-file", "payer.key"].iter().chain(arguments);
        Cli::try_parse_from(line).map(|cli| match cli.command {
            Command::Load(args) => *args,
            _ => unreachable!("the line names the load"),
        })
    }

    #[test]
    fn rates_are_above_zero() {
        assert_eq!(load(&["--rate", "20000"]).unwrap().rate, 20_000.0);
        for rate in ["0", "-1", "x", "inf", "NaN"] {
            assert!(load(&[&format!("--rate={rate}")]).is_err(), "{rate}");
        }
        assert!(load(&["--patients", "0"]).is_err());
    }

    #[test]
    fn a_ramp_has_an_end() {
        assert!(load(&["--ramp-to", "9", "--seconds", "5"]).is_ok());
        assert!(load(&["--ramp-to", "9"]).is_err());
        assert!(load(&["--before-hour-s", "9"]).is_err(), "clocks that are spread have no hour in common");
    }
}
