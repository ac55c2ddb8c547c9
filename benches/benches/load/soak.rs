//! A day of a ward in minutes: does memory, a file, a stream or a queue grow that should not?
//!
//! The patients' time runs faster than the clock's, and streams keep messages for seconds instead of days, so that within
//! the run everything that should be forgotten is. What remains must have stopped growing in the second half.
//!
//! ```text
//! cargo xtask bench soak                                  # 24 hours in six minutes
//! cargo xtask bench soak --hours 2 --seconds 60           # a try
//! cargo xtask bench soak --record benches/records/2026-11-22-soak.json
//! ```

use std::time::Duration;

use async_nats::jetstream;
use hygeia_benches::load::outcome::Outcome;
use hygeia_benches::load::scene::{self, Scene};
use hygeia_benches::load::threshold;
use hygeia_benches::load::watch::{Sample, Watched, processes};
use hygeia_benches::measure::rounded;
use hygeia_benches::trend::{self, Trend};
use hygeia_benches::{Arguments, record};
use hygeia_protocol::subject::Stream;
use serde_json::{Map, Value, json};

/// Share of the windows that alert: as many proofs as the prover makes in the time that is left to it.
const ALERTING: f64 = 0.01;
/// How long streams keep messages in the soak: days, at the soak's speed.
const KEPT: Duration = Duration::from_secs(45);

struct Options {
    patients: u32,
    rate: f64,
    hours: f64,
    seconds: f64,
}

fn main() {
    let arguments = Arguments::read();
    if !scene::is_asked_for() {
        return;
    }
    let options = Options::of(&arguments);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (holds, figures) = runtime.block_on(soak(&options));
    let text = record::text("cargo xtask bench soak --record FILE", json!({ "nothing_grows": holds }), figures);
    if !arguments.deliver(&text) {
        println!("{text}");
    }
    assert!(holds, "something grows");
}

async fn soak(options: &Options) -> (bool, Value) {
    let mut scene = Scene::start(threshold::alerting(ALERTING)).await;
    keep_for_seconds(&scene).await;
    let speed = options.hours * 3_600.0 / options.seconds;
    let pairs = [
        ("--patients", options.patients.to_string()),
        ("--rate", options.rate.to_string()),
        ("--speed", speed.to_string()),
        ("--seconds", options.seconds.to_string()),
    ];
    eprintln!("{} patients, {} hours in {} s", options.patients, options.hours, options.seconds);
    let arguments: Vec<String> = pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    let watched = Watched::run(&mut scene, &arguments).await;
    let outcome = Outcome::read(&scene.network.bus).await;
    let span = watched.span(0.0);
    let trends = trends(&watched, span);
    let growing: Vec<&String> = trends.iter().filter(|(_, trend)| trend.grows()).map(|(name, _)| name).collect();
    let kept_up =
        watched.summary["failed"] == 0 && outcome.dead_letters_are_of(&watched.summary["expected_dead_letters"]);
    let figures = json!({
        "method": {
            "hours": options.hours, "seconds": options.seconds, "speed": speed, "patients": options.patients,
            "observations_per_second": options.rate,
            "streams_keep_s": KEPT.as_secs(),
            "verdict": trend::VERDICT,
        },
        "growing": growing,
        "trends": trends.iter().map(|(name, trend)| (name.clone(), trend.json())).collect::<Map<_, _>>(),
        "before": processes(&watched.before),
        "after": processes(&watched.after),
        "drained_s": watched.drained_s,
        "cores": watched.cores(span),
        "dead_letters": outcome.dead_letters,
        "load": watched.summary,
    });
    let holds = growing.is_empty() && kept_up;
    scene.network.stop().await;
    (holds, figures)
}

/// Lets the streams of the messages that a role rebuilds its state from, and of what it made of them, forget early. Buckets
/// and dead letters are left as they are: what is in them must not grow by itself.
async fn keep_for_seconds(scene: &Scene) {
    let context = jetstream::new(scene.network.bus.client().clone());
    for stream in [Stream::Observations, Stream::Windows, Stream::Alerts, Stream::Ledger, Stream::ProofRequests] {
        let mut found = context.get_stream(stream.name()).await.expect("the stream is there");
        let mut config = found.info().await.expect("the broker answers").config.clone();
        config.max_age = KEPT;
        config.duplicate_window = KEPT;
        context.update_stream(config).await.expect("the stream takes it");
    }
}

/// Everything that could grow, over the run.
fn trends(watched: &Watched, (from_ms, to_ms): (u64, u64)) -> Vec<(String, Trend)> {
    let inside: Vec<&Sample> = watched.samples.iter().filter(|s| (from_ms..=to_ms).contains(&s.at_ms)).collect();
    let series = |unit: &'static str, of: &dyn Fn(&Sample) -> Option<f64>| {
        let points = inside.iter().filter_map(|s| Some(((s.at_ms - from_ms) as f64 / 1e3, of(s)?)));
        Trend::new(unit, points.collect())
    };
    let mut trends = Vec::new();
    let Some(last) = inside.last() else { return trends };
    for name in last.processes.keys() {
        // The chain keeps its blocks and the load is not what is tested.
        if ["anvil", "load"].contains(name) {
            continue;
        }
        let process = |s: &Sample| s.processes.get(name).copied();
        let resident = |s: &Sample| Some(process(s)?.resident_kb as f64 / 1024.0);
        trends.push((format!("{name}, resident"), series("MiB", &resident)));
        trends.push((format!("{name}, open files"), series("files", &|s| Some(process(s)?.open_files as f64))));
    }
    for name in last.streams.keys() {
        let stream = |s: &Sample| s.streams.get(name).copied();
        trends.push((format!("{name}, consumers"), series("consumers", &|s| Some(stream(s)?.consumers as f64))));
        // What is kept for the auditors and for the ward does grow with what happens; only its readers' queues must not.
        trends.push((format!("{name}, unread"), series("messages", &|s| Some(stream(s)?.pending as f64))));
        if is_bounded(name) {
            let megabytes = |s: &Sample| Some(stream(s)?.bytes as f64 / 1e6);
            trends.push((format!("{name}, stored"), series("MB", &megabytes)));
        }
    }
    trends.push(("store on disk".to_owned(), series("MB", &|s| Some(rounded(s.disk_bytes as f64 / 1e6, 3)))));
    trends
}

/// Streams that forget in the soak, and buckets of state.
fn is_bounded(name: &str) -> bool {
    let kept = [Stream::Receipts, Stream::Settlements, Stream::AuditOrders, Stream::Audits, Stream::DeadLetters];
    // What the steward has settled stays known, as long as its receipts.
    !kept.iter().any(|stream| stream.name() == name) && !name.ends_with("submission") && !name.ends_with("journal")
}

impl Options {
    fn of(arguments: &Arguments) -> Self {
        let number =
            |name: &str, default: f64| arguments.value(name).map_or(default, |text| text.parse().expect("a number"));
        Self {
            patients: number("--patients", 1_000.0) as u32,
            rate: number("--rate", 2_000.0),
            hours: number("--hours", 24.0),
            seconds: number("--seconds", 360.0),
        }
    }
}
