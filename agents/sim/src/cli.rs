//! The command: runs seeds, and makes a failing one as short as it can.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use crate::broker::Sync;
use crate::contracts::NewContracts;
use crate::run::{Ended, PlantedBug, Setup};
use crate::schedule::{FAULTS_PER_HOUR, Fault};
use crate::shrink::{Shortest, shrink};
use crate::sweep::sweep;
use clap::{Parser, ValueEnum};

/// Steps that making a failing schedule shorter may take in all: about a minute of one core.
const SHRINK_STEPS_MAX: u64 = 100_000_000;
/// Runs that it takes at least, whatever the size of the ward, and at most.
const SHRINK_RUNS: (u64, u64) = (20, 300);
/// Seeds between two lines of progress.
const PROGRESS_EVERY: u64 = 10;
/// What a night runs: small wards in storms, where much happens to few; then the size of a hospital.
const NIGHTLY: [Sweep; 3] = [
    Sweep { seeds: 6_000, patients: 6, hours: 10, faults_per_hour: 16 },
    Sweep { seeds: 2_000, patients: 40, hours: 24, faults_per_hour: 8 },
    Sweep { seeds: 2_000, patients: 200, hours: 24, faults_per_hour: FAULTS_PER_HOUR },
];

/// Simulates Hygeia's agents under faults, one run for each seed, and checks their invariants at every step.
///
/// A run is a ward of patients over some hours of modelled time, with crashes of the roles between any two of their
/// outputs, replicas that stand still for longer than their leases, cut networks, rolling restarts, clocks that are wrong
/// by hours, lost and doubled messages, a broker that loses power, and a chain that re-organises; then hours without a
/// fault, in which everything must come to rest. The same seed and sizes give the same run. A failure prints what did
/// not hold, then the shortest list of faults found that still leads there, and the command that runs it again.
///
/// Modelled are JetStream, the network, the prover and the chain; the roles' drivers are mirrored, and the real contracts
/// do not run. Examples:
///
///   hygeia-sim --seeds 1000
///   hygeia-sim --profile nightly
///   hygeia-sim --from 17 --seeds 1 --patients 4 --hours 6
///   hygeia-sim --seeds 200 --patients 8 --hours 12 --bug stale-owner-publishes
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
    #[arg(long, default_value_t = 200)]
    patients: u64,
    /// Hours of observations and faults.
    #[arg(long, default_value_t = 24)]
    hours: u64,
    /// Faults in an hour of a run.
    #[arg(long, default_value_t = FAULTS_PER_HOUR)]
    faults_per_hour: u64,
    /// Seeds at a time; as many as there are processors where it is not given.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Sizes and numbers of seeds that belong together, in place of those above.
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// A mistake put into a driver, to see that it is found.
    #[arg(long, value_enum)]
    bug: Option<PlantedBug>,
    /// When the broker writes to disk: `interval` is the server's default, and a loss of power then loses messages.
    #[arg(long, value_enum, default_value_t = SyncArg::Always)]
    sync: SyncArg,
    /// What stands for the chain: a model of it alone, or the real contracts in an EVM beside it.
    #[arg(long, value_enum, default_value_t = ChainArg::Model, hide = true)]
    chain: ChainArg,
    /// Only these faults of the schedule of the seed, by their places: what a failure prints. `none` for none.
    #[arg(long, value_delimiter = ',')]
    faults: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SyncArg {
    Always,
    Interval,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ChainArg {
    Model,
    Revm,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// Thousands of seeds, in wards of several sizes.
    Nightly,
}

#[derive(Clone, Copy)]
struct Sweep {
    seeds: u64,
    patients: u64,
    hours: u64,
    faults_per_hour: u64,
}

/// Runs what the command line asks for. `evm` founds the real contracts, in a program that has them.
#[must_use]
pub fn main(evm: Option<NewContracts>) -> ExitCode {
    match simulate(&Cli::parse(), evm) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the seeds; false at the first that fails.
fn simulate(cli: &Cli, evm: Option<NewContracts>) -> anyhow::Result<bool> {
    let contracts = if cli.chain == ChainArg::Revm { evm } else { None };
    anyhow::ensure!(
        cli.chain == ChainArg::Model || contracts.is_some(),
        "--chain revm: this program has no EVM, so the real contracts cannot run in it"
    );
    let Cli { seeds, patients, hours, faults_per_hour, .. } = *cli;
    let own = [Sweep { seeds, patients, hours, faults_per_hour }];
    let sweeps: &[Sweep] = if cli.profile == Some(Profile::Nightly) { &NIGHTLY } else { &own };
    for sweep in sweeps {
        // A wrong `--faults` is told before anything runs.
        setup(cli, sweep, contracts, cli.from)?;
        if !run_all(cli, sweep, contracts) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn run_all(cli: &Cli, sizes: &Sweep, contracts: Option<NewContracts>) -> bool {
    let jobs = cli.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    println!(
        "{} seeds: {} patients, {} hours, {} faults an hour",
        sizes.seeds, sizes.patients, sizes.hours, sizes.faults_per_hour
    );
    let (mut done, mut steps, mut given_up) = (0, 0, 0);
    let of = |seed| setup(cli, sizes, contracts, seed).expect("the places of the first seed are those of all");
    let failed = sweep(cli.from, sizes.seeds, jobs, of, |seed, ended| {
        (done, steps, given_up) = (done + 1, steps + ended.steps, given_up + ended.counts.given_up);
        if ended.outcome.is_ok() && (done % PROGRESS_EVERY == 0 || done == sizes.seeds) {
            println!("{}", progress(done, sizes.seeds, steps, given_up, seed, ended));
        }
    });
    let Some((seed, ended)) = failed else { return true };
    fail(cli, sizes, &of(seed), &ended);
    false
}

fn progress(done: u64, seeds: u64, steps: u64, given_up: usize, seed: u64, ended: &Ended) -> String {
    let counts = ended.counts;
    format!(
        "{done} of {seeds} seeds hold, {steps} steps, {given_up} triggers given up; \
         seed {seed}: {} windows, {} alerts, {} held back, {} settled, {} audit orders",
        counts.windows, counts.alerts, counts.held_back, counts.settlements, counts.orders,
    )
}

fn setup(cli: &Cli, sizes: &Sweep, contracts: Option<NewContracts>, seed: u64) -> anyhow::Result<Setup> {
    let mut setup = Setup::with_weather(seed, sizes.patients, sizes.hours, sizes.faults_per_hour);
    setup.contracts = contracts;
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

fn pick(setup: &Setup, place: &str) -> anyhow::Result<Fault> {
    let place: usize =
        place.trim().parse().map_err(|_| anyhow::anyhow!("--faults: {place} is no place of a schedule"))?;
    let fault = setup.faults.get(place).copied();
    fault.ok_or_else(|| anyhow::anyhow!("--faults: the schedule has {} faults, none at {place}", setup.faults.len()))
}

fn fail(cli: &Cli, sizes: &Sweep, setup: &Setup, ended: &Ended) {
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
        println!("again: {}", command(cli, sizes, setup.seed, &shortest));
    }
}

fn place(ended: &Ended) -> String {
    let what = ended.outcome.as_ref().err().map_or_else(|| "no invariant".to_owned(), ToString::to_string);
    format!("step {}, {} ms of modelled time: {what}", ended.steps, ended.at_ms)
}

fn command(cli: &Cli, sizes: &Sweep, seed: u64, shortest: &Shortest) -> String {
    let Sweep { patients, hours, faults_per_hour, .. } = sizes;
    let places: Vec<String> = shortest.kept.iter().map(usize::to_string).collect();
    let faults = if places.is_empty() { "none".to_owned() } else { places.join(",") };
    let mut command = format!("hygeia-sim --from {seed} --seeds 1 --patients {patients} --hours {hours}");
    if *faults_per_hour != FAULTS_PER_HOUR {
        command += &format!(" --faults-per-hour {faults_per_hour}");
    }
    command += &format!(" --faults {faults}");
    if let Some(bug) = cli.bug.and_then(|bug| bug.to_possible_value()) {
        command += &format!(" --bug {}", bug.get_name());
    }
    if cli.sync == SyncArg::Interval {
        command += " --sync interval";
    }
    if cli.chain == ChainArg::Revm {
        command += " --chain revm";
    }
    command
}
