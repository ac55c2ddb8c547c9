//! `hygeia-sim`: runs seeds, and makes a failing one as short as it can.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use hygeia_sim::broker::Sync;
use hygeia_sim::run::{Ended, PlantedBug, Setup, run};
use hygeia_sim::shrink::{Shortest, shrink};

/// Steps that making a failing schedule shorter may take in all: about a minute of one core.
const SHRINK_STEPS_MAX: u64 = 20_000_000;
/// Runs that it takes at least, whatever the size of the ward, and at most.
const SHRINK_RUNS: (u64, u64) = (20, 300);
/// Seeds between two lines of progress.
const PROGRESS_EVERY: u64 = 10;

/// Simulates Hygeia's agents under faults, one run for each seed, and checks their invariants at every step.
///
/// A run is a ward of patients over some hours of modelled time, with crashes of the roles between any two of their
/// outputs, lost and doubled messages, a broker that loses power, and a chain that re-organises; then hours without a
/// fault, in which everything must come to rest. The same seed and sizes give the same run. A failure prints what did
/// not hold, then the shortest list of faults found that still leads there, and the command that runs it again.
///
/// Modelled are JetStream, the network, the prover and the chain; the roles' drivers are mirrored, and the real contracts
/// do not run. Examples:
///
///   hygeia-sim --seeds 1000
///   hygeia-sim --from 17 --seeds 1 --patients 4 --hours 6
///   hygeia-sim --seeds 200 --patients 4 --hours 6 --bug cool-down-reset
///   hygeia-sim --seeds 20 --sync interval
#[derive(Parser)]
#[command(name = "hygeia-sim", verbatim_doc_comment)]
struct Cli {
    /// How many seeds to run; it ends at the first that fails.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Patients of the ward.
    #[arg(long, default_value_t = 8)]
    patients: u64,
    /// Hours of observations and faults.
    #[arg(long, default_value_t = 12)]
    hours: u64,
    /// A mistake put into a driver, to see that it is found.
    #[arg(long, value_enum)]
    bug: Option<PlantedBug>,
    /// When the broker writes to disk: `interval` is the server's default, and a loss of power then loses messages.
    #[arg(long, value_enum, default_value_t = SyncArg::Always)]
    sync: SyncArg,
    /// Only these faults of the schedule of the seed, by their places: what a failure prints. `none` for none.
    #[arg(long, value_delimiter = ',')]
    faults: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SyncArg {
    Always,
    Interval,
}

fn main() -> ExitCode {
    match simulate(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the seeds; false at the first that fails.
fn simulate(cli: &Cli) -> anyhow::Result<bool> {
    let (mut steps, mut given_up) = (0, 0);
    for (done, seed) in (1..=cli.seeds).zip(cli.from..) {
        let setup = setup(cli, seed)?;
        let ended = run(setup.clone());
        if ended.outcome.is_err() {
            fail(cli, &setup, &ended);
            return Ok(false);
        }
        steps += ended.steps;
        given_up += ended.counts.given_up;
        if done % PROGRESS_EVERY == 0 || done == cli.seeds {
            let counts = ended.counts;
            println!(
                "{done} of {} seeds hold, {steps} steps, {given_up} triggers given up; \
                 seed {seed}: {} windows, {} alerts, {} settled, {} audit orders",
                cli.seeds, counts.windows, counts.alerts, counts.settlements, counts.orders,
            );
        }
    }
    Ok(true)
}

fn setup(cli: &Cli, seed: u64) -> anyhow::Result<Setup> {
    let mut setup = Setup::of_seed(seed, cli.patients, cli.hours);
    setup.bug = cli.bug;
    setup.sync = if cli.sync == SyncArg::Interval { Sync::Interval } else { Sync::Always };
    if let Some(places) = &cli.faults {
        setup.faults = places
            .iter()
            .filter(|place| *place != "none")
            .map(|place| pick(&setup, place))
            .collect::<Result<_, _>>()?;
    }
    Ok(setup)
}

fn pick(setup: &Setup, place: &str) -> anyhow::Result<hygeia_sim::schedule::Fault> {
    let place: usize =
        place.trim().parse().map_err(|_| anyhow::anyhow!("--faults: {place} is no place of a schedule"))?;
    let fault = setup.faults.get(place).copied();
    fault.ok_or_else(|| anyhow::anyhow!("--faults: the schedule has {} faults, none at {place}", setup.faults.len()))
}

fn fail(cli: &Cli, setup: &Setup, ended: &Ended) {
    println!("seed {} fails at {}", setup.seed, place(ended));
    println!("{} faults; looking for a shorter schedule", setup.faults.len());
    let runs_max = (SHRINK_STEPS_MAX / ended.steps.max(1)).clamp(SHRINK_RUNS.0, SHRINK_RUNS.1);
    let shortest = shrink(setup, ended, u32::try_from(runs_max).unwrap_or(u32::MAX));
    println!(
        "{} faults are left after {} runs; it fails at {}",
        shortest.faults.len(),
        shortest.runs,
        place(&shortest.ended)
    );
    for fault in &shortest.faults {
        println!("  {fault:?}");
    }
    if cli.faults.is_none() {
        println!("again: {}", command(cli, setup.seed, &shortest));
    }
}

fn place(ended: &Ended) -> String {
    let what = ended.outcome.as_ref().err().map_or_else(|| "no invariant".to_owned(), ToString::to_string);
    format!("step {}, {} ms of modelled time: {what}", ended.steps, ended.at_ms)
}

fn command(cli: &Cli, seed: u64, shortest: &Shortest) -> String {
    let Cli { patients, hours, .. } = cli;
    let places: Vec<String> = shortest.kept.iter().map(usize::to_string).collect();
    let faults = if places.is_empty() { "none".to_owned() } else { places.join(",") };
    let mut command =
        format!("hygeia-sim --from {seed} --seeds 1 --patients {patients} --hours {hours} --faults {faults}");
    if let Some(bug) = cli.bug.and_then(|bug| bug.to_possible_value()) {
        command += &format!(" --bug {}", bug.get_name());
    }
    if cli.sync == SyncArg::Interval {
        command += " --sync interval";
    }
    command
}
