//! Observations per second that a whole network sustains, and how long an alert takes from the observation that led to it.
//!
//! Broker, chain, load and all roles run on this machine, each as a process of its own; streams are durable. An alert's
//! latency is from the moment the broker stored the observation that closed its window to the moment it stored the alert.
//!
//! ```text
//! cargo xtask bench throughput                                    # some fifteen minutes
//! cargo xtask bench throughput --patients 1000,10000 --seconds 60 # quicker
//! cargo xtask bench throughput --parts steady,ramp,burst --record benches/records/2026-11-22-throughput.json
//! ```

use hygeia_benches::load::outcome::{Outcome, Way, latency};
use hygeia_benches::load::scene::{self, Scene};
use hygeia_benches::load::threshold;
use hygeia_benches::load::watch::{Watched, processes};
use hygeia_benches::measure::rounded;
use hygeia_benches::{Arguments, record};
use hygeia_node::load::ward::WardConfig;
use serde_json::{Map, Value, json};

/// Seconds of a patient's time between two chartings: one that gives an observation each half a minute.
const CHART_EVERY_S: f64 = 240.0;
/// Share of the windows that alert, so that there are enough alerts for their rarest latencies.
const ALERTING: f64 = 0.08;
/// Latency that 99 of 100 alerts must keep.
const P99_MS_MAX: f64 = 50.0;
/// Seconds at the beginning of a run that do not count.
const WARM_UP_S: f64 = 20.0;
/// Seconds of a ramp that are looked at together.
const RAMP_BIN_S: u64 = 5;
/// A burst has the shape of a real hour on the clock, in a fifth of the time until it comes: monitors chart each minute, and
/// all windows close within one of them. Times on the patients' clocks: windows close five minutes after their hour.
const BURST_SPEED: f64 = 5.0;
const BURST_CHART_EVERY_S: f64 = 60.0 * BURST_SPEED;
const BURST_BEFORE_S: u32 = 340;
const BURST_S: f64 = (340.0 + 300.0 + 2.0 * BURST_CHART_EVERY_S) / BURST_SPEED;

struct Options {
    patients: Vec<u32>,
    rate: f64,
    seconds: f64,
    ramp: [f64; 2],
    parts: Vec<String>,
    seed: u64,
}

fn main() {
    let arguments = Arguments::read();
    if !scene::is_asked_for() {
        return;
    }
    let options = Options::of(&arguments);
    let threshold = threshold::alerting(ALERTING);
    eprintln!("{:.0} % of the windows reach a score of {threshold}", ALERTING * 100.0);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut parts = Map::new();
    for part in &options.parts {
        let results = match part.as_str() {
            "steady" => runtime.block_on(steady_of_each(&options, threshold)),
            "ramp" => runtime.block_on(ramp(&options, threshold)),
            "burst" => runtime.block_on(burst(&options, threshold)),
            other => panic!("there is no part named {other}"),
        };
        println!("{part}: {}", serde_json::to_string_pretty(&results).expect("it is JSON"));
        parts.insert(part.clone(), results);
    }
    let figures = json!({ "method": method(&options), "run": parts });
    arguments.deliver(&record::text("cargo xtask bench throughput --record FILE", headline(&parts), figures));
}

/// One run for each number of patients, each on a network of its own, and what of their memory is a patient's.
async fn steady_of_each(options: &Options, threshold: i64) -> Value {
    let mut runs = Map::new();
    let mut memory = Vec::new();
    for &patients in &options.patients {
        let (results, resident_kb) = steady(options, patients, threshold).await;
        runs.insert(format!("{patients} patients"), results);
        memory.push((patients, resident_kb));
    }
    if let (Some(&(few, few_kb)), Some(&(many, many_kb))) = (memory.first(), memory.last())
        && many > few
    {
        let bytes = (many_kb as f64 - few_kb as f64) * 1024.0 / f64::from(many - few);
        runs.insert("bytes_per_patient".to_owned(), json!(bytes.round()));
    }
    Value::Object(runs)
}

async fn steady(options: &Options, patients: u32, threshold: i64) -> (Value, u64) {
    eprintln!("{patients} patients, {} observations a second, {} s", options.rate, options.seconds);
    let mut scene = Scene::start(threshold).await;
    let watched = Watched::run(&mut scene, &load(options, patients, options.rate, options.seconds)).await;
    let span = watched.span(WARM_UP_S);
    let mut outcome = Outcome::read(&scene.network.bus).await;
    outcome.compare_dead_letters(&watched.summary["expected_dead_letters"]);
    let (backlog_max, backlog_end) = watched.backlog(span);
    let alerts = latency(&outcome.alerts, span.0, span.1);
    let has_kept_up = backlog_end as f64 <= options.rate
        && watched.summary["kept_pace"] == true
        && alerts["p99_ms"].as_f64().is_some_and(|p99| p99 <= P99_MS_MAX);
    let results = json!({
        "sustained": has_kept_up && outcome.faults.is_empty(),
        "alert_latency": alerts,
        "window_latency": latency(&outcome.windows, span.0, span.1),
        "windows_per_second": per_second(&outcome.windows, span),
        "backlog_max": backlog_max,
        "backlog_at_the_end": backlog_end,
        "drained_s": watched.drained_s,
        "cores": watched.cores(span),
        "before": processes(&watched.before),
        "after": processes(&watched.after),
        "store_mb": rounded(watched.after.disk_bytes as f64 / 1e6, 1),
        "ledger": outcome.ledger,
        "dead_letters": outcome.dead_letters,
        "proofs": outcome.receipts,
        "proofs_waiting": (outcome.alerts.len() as u64).saturating_sub(outcome.receipts),
        "faults": outcome.faults,
        "load": watched.summary,
    });
    let patients_kb = watched.after.patients_kb();
    scene.network.stop().await;
    (results, patients_kb)
}

/// A rate that rises until the network no longer follows.
async fn ramp(options: &Options, threshold: i64) -> Value {
    let patients = options.patients.last().copied().expect("there are patients");
    let [from, to] = options.ramp;
    eprintln!("{patients} patients, {from} to {to} observations a second, {} s", options.seconds);
    let mut scene = Scene::start(threshold).await;
    let mut arguments = load(options, patients, from, options.seconds);
    arguments.extend(["--ramp-to".to_owned(), to.to_string()]);
    let watched = Watched::run(&mut scene, &arguments).await;
    let outcome = Outcome::read(&scene.network.bus).await;
    let (begin_ms, end_ms) = watched.span(0.0);
    let mut bins = Vec::new();
    let mut highest = None;
    let mut follows = true;
    for bin in 0..(end_ms - begin_ms) / (RAMP_BIN_S * 1_000) {
        let from_ms = begin_ms + bin * RAMP_BIN_S * 1_000;
        let middle_s = (bin as f64 + 0.5) * RAMP_BIN_S as f64;
        let rate = from + (to - from) * middle_s / options.seconds;
        let alerts = latency(&outcome.alerts, from_ms, from_ms + RAMP_BIN_S * 1_000);
        let (_, backlog) = watched.backlog((from_ms, from_ms + RAMP_BIN_S * 1_000));
        // The first windows of a run meet caches that are empty; a bin without an alert says nothing.
        let is_warm = middle_s >= WARM_UP_S;
        if let Some(p99) = alerts["p99_ms"].as_f64()
            && is_warm
        {
            follows = follows && p99 <= P99_MS_MAX && backlog as f64 <= rate;
            highest = if follows { Some(rate.round()) } else { highest };
        }
        bins.push(json!({ "rate": rate.round(), "alerts": alerts["count"], "p50_ms": alerts["p50_ms"],
                          "p99_ms": alerts["p99_ms"], "backlog": backlog }));
    }
    let results = json!({
        "patients": patients,
        "highest_rate_followed": highest,
        "bins": bins,
        "cores": watched.cores((begin_ms, end_ms)),
        "drained_s": watched.drained_s,
        "faults": outcome.faults,
        "load": watched.summary,
    });
    scene.network.stop().await;
    results
}

/// Right clocks: the windows of all patients close with the same hour.
async fn burst(options: &Options, threshold: i64) -> Value {
    let patients = options.patients.last().copied().expect("there are patients");
    let rate = WardConfig::per_hour(patients, BURST_CHART_EVERY_S) * BURST_SPEED / 3_600.0;
    eprintln!("{patients} patients whose windows close with the hour, {rate:.0} observations a second, {BURST_S} s");
    let mut scene = Scene::start(threshold).await;
    let mut arguments = load(options, patients, rate, BURST_S);
    set(&mut arguments, "--speed", &BURST_SPEED.to_string());
    arguments.extend(["--together".to_owned(), "--before-hour-s".to_owned(), BURST_BEFORE_S.to_string()]);
    let watched = Watched::run(&mut scene, &arguments).await;
    let span = watched.span(0.0);
    let mut outcome = Outcome::read(&scene.network.bus).await;
    outcome.compare_dead_letters(&watched.summary["expected_dead_letters"]);
    let first_ms = outcome.windows.iter().map(|window| window.observed_at_ms).min().unwrap_or(0);
    let last_ms = outcome.windows.iter().map(|window| window.stored_at_ms).max().unwrap_or(0);
    let results = json!({
        "patients": patients,
        "windows": outcome.windows.len(),
        "windows_within_s": rounded(last_ms.saturating_sub(first_ms) as f64 / 1e3, 1),
        "alert_latency": latency(&outcome.alerts, span.0, span.1),
        "window_latency": latency(&outcome.windows, span.0, span.1),
        "backlog_max": watched.backlog(span).0,
        "drained_s": watched.drained_s,
        "cores": watched.cores(span),
        "faults": outcome.faults,
        "load": watched.summary,
    });
    scene.network.stop().await;
    results
}

/// Arguments of `hygeia load`.
fn load(options: &Options, patients: u32, rate: f64, seconds: f64) -> Vec<String> {
    let speed = rate * 3_600.0 / WardConfig::per_hour(patients, CHART_EVERY_S);
    let pairs = [
        ("--patients", patients.to_string()),
        ("--rate", rate.to_string()),
        ("--speed", speed.to_string()),
        ("--seconds", seconds.to_string()),
        ("--seed", options.seed.to_string()),
    ];
    pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

fn set(arguments: &mut [String], name: &str, value: &str) {
    let place = arguments.iter().position(|argument| argument == name).expect("the argument is there");
    arguments[place + 1] = value.to_owned();
}

fn per_second(ways: &[Way], (from_ms, to_ms): (u64, u64)) -> f64 {
    let inside = ways.iter().filter(|way| (from_ms..to_ms).contains(&way.observed_at_ms)).count();
    rounded(inside as f64 * 1e3 / to_ms.saturating_sub(from_ms).max(1) as f64, 1)
}

fn headline(parts: &Map<String, Value>) -> Value {
    let mut headline = Map::new();
    if let Some(Value::Object(runs)) = parts.get("steady") {
        for (patients, run) in runs {
            if let Some(p99) = run.get("alert_latency").map(|latency| latency["p99_ms"].clone()) {
                headline.insert(format!("alert_p99_ms, {patients}"), p99);
                headline.insert(format!("sustained, {patients}"), run["sustained"].clone());
            }
        }
        headline.extend(runs.get("bytes_per_patient").map(|bytes| ("bytes_per_patient".to_owned(), bytes.clone())));
    }
    if let Some(ramp) = parts.get("ramp") {
        headline.insert("highest_rate_followed".to_owned(), ramp["highest_rate_followed"].clone());
    }
    Value::Object(headline)
}

fn method(options: &Options) -> Value {
    json!({
        "machine_runs": "nats-server (file storage), anvil, oracle, sentinel, prover (one thread, nice 19, alerts only), steward, \
                         and the load, each a process of its own",
        "rate": options.rate,
        "seconds": options.seconds,
        "warm_up_s": WARM_UP_S,
        "chart_every_s": CHART_EVERY_S,
        "alerting_share": ALERTING,
        "alerting": "the policy's threshold is the score that this share of the windows reaches, and its cool-down an hour, so \
                     that there are enough alerts for the rarest latencies; no ward alerts so often",
        "staggered": "the patients' clocks are spread over an hour, so that windows close at all times alike; the burst has \
                      right clocks, and its windows close with the hour, within the minute in which each monitor charts once",
        "latency": "from the moment the broker stored the observation that closed the window to the moment it stored the \
                    alert or window, whole milliseconds",
        "sync": "JetStream's own: acknowledged before the disk has it, synced every two minutes",
        "bytes_per_patient": "resident memory of oracle and sentinel after the run with the most patients less that with the \
                              fewest, by the difference of patients",
        "sustained": "the load kept its pace, p99 of the alerts is at most 50 ms, no more than a second of observations waits \
                      at the end, every window, alert, ledger line and dead letter is there exactly once",
    })
}

impl Options {
    fn of(arguments: &Arguments) -> Self {
        let number =
            |name: &str, default: f64| arguments.value(name).map_or(default, |text| text.parse().expect("a number"));
        let list = |name: &str, default: &str| -> Vec<String> {
            arguments.value(name).unwrap_or_else(|| default.to_owned()).split(',').map(str::to_owned).collect()
        };
        Self {
            patients: list("--patients", "1000,10000").iter().map(|text| text.parse().expect("a number")).collect(),
            rate: number("--rate", 20_000.0),
            seconds: number("--seconds", 120.0),
            ramp: [number("--ramp-from", 2_000.0), number("--ramp-to", 60_000.0)],
            parts: list("--parts", "steady,ramp,burst"),
            seed: number("--seed", 1.0) as u64,
        }
    }
}
