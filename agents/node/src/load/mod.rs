//! `hygeia load`: a simulated ward that loads a running network, as many patients and observations as asked for.
//!
//! It is a client like any other: it enrols its patients on the chain and publishes what their devices say. It never slows
//! down because the system is slow, and never runs against a chain that is not local unless it is forced to.

pub mod course;
pub mod enrol;
pub mod publish;
pub mod report;
pub mod rng;
pub mod sensor;
pub mod ward;

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hygeia_protocol::subject::{Partition, Partitioner};
use hygeia_protocol::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::chain::{Chain, Deployment, load_secret, load_signer};
use crate::cli::load::LoadArgs;
use crate::clock::now_ms;
use crate::enrolment::Enrolments;
use crate::roles::{patience, required};
use enrol::Consent;
use publish::{Counts, Pace, Tally};
use report::{Expectations, Summary, live_line};
use ward::{Clocks, Ward, WardConfig};

/// Chains whose mandates nobody will miss, as for the keys of the development string.
const LOCAL_CHAINS: [u64; 2] = [31_337, 1_337];
/// How long the roles get to see the last mandates: they look at the chain twice a second.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
/// How often the live line is written, on a terminal and elsewhere.
const LIVE_EVERY: Duration = Duration::from_secs(1);
const LIVE_EVERY_LINE: u32 = 10;
/// How long a monitor may take from one charting to the next, in seconds of the patients' time.
const CHART_EVERY_S: [f64; 2] = [0.2, 4.0 * 3_600.0];
/// How far back the patients' time may begin: within the year that observations are taken from.
const BACK_MS_MAX: u64 = 300 * 86_400_000;
const HOUR_MS: u64 = 3_600_000;

/// `hygeia load`. Whether the pace was kept and every observation was confirmed.
pub async fn command(args: &LoadArgs, stop: CancellationToken) -> Result<bool> {
    let deployment = Deployment::load(&args.connect.deployment)?;
    let payer = load_signer(&args.signer_key_file)?;
    let chain = Chain::connect(&args.connect.chain, std::slice::from_ref(&payer), patience(&args.connect)).await?;
    chain.expect(&deployment)?;
    refuse_unless_local(chain.chain_id, args.force)?;
    let network_key = load_secret(&required(
        args.connect.network_key_file.clone(),
        "--network-key-file",
        "patients are enrolled and spread over partitions by it",
    )?)?;
    let bus = Bus::connect(&args.connect.nats, patience(&args.connect)).await?;
    bus.ensure_streams().await?;

    let mut ward = Ward::new(config(args)?)?;
    let partitioner = Partitioner::new(network_key, args.connect.partitions);
    let partitions: Vec<Partition> = ward.patients().map(|patient| partitioner.of(patient)).collect();
    let mut summary = Summary::of(args, &ward);

    let consent = Consent::find(&chain, &deployment, args.policy, args.oracle).await?;
    let enrolments = Enrolments::open(&bus, network_key).await?;
    let patients: Vec<_> = ward.patients().cloned().collect();
    let started = Instant::now();
    let mut say = |done: usize| live(&format!("enrolled {done} of {}", patients.len()));
    enrol::enrol(&chain, &deployment, payer.address(), &enrolments, consent, &patients, &mut say).await?;
    summary.enrolment_s = started.elapsed().as_secs_f64().round();
    tokio::time::sleep(SEEN_WITHIN).await;

    summary.began_at_ms = now_ms();
    ward.begin_at(Timestamp::from_millis(begin(args, summary.began_at_ms)));
    let (tally, expectations, took) = run(&bus, &mut ward, &partitions, pace(args), &stop).await?;
    summary.count(tally, expectations, took);
    match args.json {
        true => println!("{}", serde_json::to_string(&summary)?),
        false => println!("{}", summary.text()),
    }
    Ok(summary.kept_pace && summary.failed == 0)
}

/// Publishes, with a live line beside it.
async fn run(
    bus: &Bus,
    ward: &mut Ward,
    partitions: &[Partition],
    pace: Pace,
    stop: &CancellationToken,
) -> Result<(Tally, Expectations, Duration)> {
    let counts = Arc::new(Counts::default());
    let lines = tokio::spawn(write_lines(counts.clone()));
    let mut expectations = Expectations::default();
    let started = Instant::now();
    let mut expect = |emission: &ward::Emission| expectations.add(emission);
    let published = publish::publish(bus, ward, partitions, pace, &counts, &mut expect, stop).await;
    lines.abort();
    live("");
    published?;
    Ok((counts.tally(), expectations, started.elapsed()))
}

/// Writes the live line to standard error until it is aborted.
async fn write_lines(counts: Arc<Counts>) {
    let started = Instant::now();
    let every = if std::io::stderr().is_terminal() { LIVE_EVERY } else { LIVE_EVERY * LIVE_EVERY_LINE };
    let mut before = (Duration::ZERO, 0);
    loop {
        tokio::time::sleep(every).await;
        let (now, tally) = (started.elapsed(), counts.tally());
        let rate = (tally.sent - before.1) as f64 / (now - before.0).as_secs_f64();
        live(&live_line(now, tally, rate));
        before = (now, tally.sent);
    }
}

/// Writes over the line before on a terminal, and a line of its own elsewhere.
fn live(line: &str) {
    let mut out = std::io::stderr().lock();
    // A closed standard error is no reason to end a load.
    let _ = match (out.is_terminal(), line) {
        (true, line) => write!(out, "\r\x1b[K{line}"),
        (false, "") => Ok(()),
        (false, line) => writeln!(out, "{line}"),
    };
    let _ = out.flush();
}

fn refuse_unless_local(chain_id: u64, is_forced: bool) -> Result<()> {
    if LOCAL_CHAINS.contains(&chain_id) || is_forced {
        return Ok(());
    }
    bail!(
        "chain {chain_id} is not a local one (31337, 1337): a load grants mandates of people who do not exist, and they stay \
         there for ever; --force does it all the same"
    )
}

fn config(args: &LoadArgs) -> Result<WardConfig> {
    let per_hour = args.rate / args.speed * 3_600.0;
    let chart_every_s = WardConfig::chart_every_s(args.patients.get(), per_hour);
    let [least, most] = CHART_EVERY_S;
    let chart_every_s = chart_every_s.filter(|every_s| (least..=most).contains(every_s)).with_context(|| {
        format!(
            "{} patients cannot have {} observations a second at speed {}: a monitor would not chart between every {least} s \
             and every {} h of their time; change --rate, --speed or --patients",
            args.patients,
            args.rate,
            args.speed,
            most / 3_600.0
        )
    })?;
    let tag = args.tag.clone().unwrap_or_else(|| format!("{:06x}", rand::random::<u32>() >> 8));
    Ok(WardConfig {
        patients: args.patients.get(),
        seed: args.seed,
        tag,
        chart_every_s,
        begin: Timestamp::from_millis(begin(args, now_ms())),
        clocks: if args.together { Clocks::Together } else { Clocks::Spread },
        faults: !args.no_faults,
    })
}

fn pace(args: &LoadArgs) -> Pace {
    Pace {
        speed: args.speed,
        speed_at_end: args.speed * args.ramp_to.map_or(1.0, |most| most / args.rate),
        length: args.seconds.map(Duration::from_secs_f64),
    }
}

/// When the patients' time begins: so that it has come to the present when the load ends. A load without an end begins as
/// far back as observations are taken from, where it is faster than time.
fn begin(args: &LoadArgs, now_ms: u64) -> u64 {
    let back_ms = match pace(args).ward_ms() {
        Some(ward_ms) => ward_ms,
        None if args.speed <= 1.0 => 0,
        None => BACK_MS_MAX,
    };
    let begin_ms = now_ms.saturating_sub(back_ms.min(BACK_MS_MAX));
    match args.before_hour_s {
        Some(before_s) => (begin_ms / HOUR_MS * HOUR_MS).saturating_sub(u64::from(before_s) * 1_000),
        None => begin_ms,
    }
}

impl Summary {
    /// What is known before the load begins.
    fn of(args: &LoadArgs, ward: &Ward) -> Self {
        let config = ward.config();
        Self {
            patients: config.patients,
            seed: config.seed,
            tag: config.tag.clone(),
            chart_every_s: (config.chart_every_s * 100.0).round() / 100.0,
            speed: args.speed,
            rate_asked: args.ramp_to.map_or(args.rate, |most| (args.rate + most) / 2.0),
            enrolment_s: 0.0,
            began_at_ms: 0,
            seconds: 0.0,
            rate: 0.0,
            sent: 0,
            stored: 0,
            dropped: 0,
            failed: 0,
            late: 0,
            behind_ms_max: 0,
            kept_pace: false,
            expected_dropped: 0,
            expected_dead_letters: Default::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_is_not_local_is_refused_unless_forced() {
        for (chain_id, is_forced, is_taken) in
            [(31_337, false, true), (1_337, false, true), (1, false, false), (1, true, true)]
        {
            assert_eq!(refuse_unless_local(chain_id, is_forced).is_ok(), is_taken, "{chain_id} {is_forced}");
        }
    }
}
