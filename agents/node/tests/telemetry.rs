//! One trace from an observation to the transaction, told to a real collector by roles that are processes of their own;
//! and nothing about a patient in anything that leaves them.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use hygeia_node::cli::Role;
use hygeia_node::clock::now_s;
use hygeia_node::demo::network::{Network, ROLES};
use hygeia_protocol::code::Code;
use hygeia_protocol::identity::{DeviceId, PatientId};
use hygeia_protocol::observation::Observation;
use hygeia_protocol::subject::Stream;
use hygeia_protocol::time::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::process::Command;

/// Below every score: each patient's first window alerts.
const THRESHOLD: i64 = -1_000_000;
/// How long one alert may take from its observation to a final transaction.
const PATIENCE: Duration = Duration::from_secs(120);
/// A patient's name and a device's that stand nowhere else.
const PATIENT: &str = "pseudonym-zqxwv-31";
const DEVICE: &str = "device-jkqzx-77";
/// A value that stands nowhere else, in thousandths: it is looked for as it is and as it is written.
const VALUE: i32 = 83_617;
/// Spans of a whole way.
const WAY: [&str; 6] = ["observation", "window", "score", "alert", "proof", "settlement"];

/// What collectors are told, as it came.
#[derive(Clone, Default)]
struct Collector {
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let take = async |State(collector): State<Self>, body: Bytes| {
            collector.bodies.lock().unwrap().push(body);
            StatusCode::OK
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().unwrap().clone();
        let requests = bodies.into_iter().map(|body| ExportTraceServiceRequest::decode(body).unwrap());
        let of_resource = requests.flat_map(|request| request.resource_spans);
        of_resource.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        self.bodies.lock().unwrap().concat()
    }
}

/// The first trace that has every step, by its identifier.
fn whole_trace(spans: &[Span]) -> Option<Vec<Span>> {
    let mut traces: BTreeMap<&[u8], Vec<&Span>> = BTreeMap::new();
    for span in spans {
        traces.entry(&span.trace_id).or_default().push(span);
    }
    let is_whole = |trace: &&Vec<&Span>| WAY.iter().all(|step| trace.iter().any(|span| span.name == *step));
    traces.values().find(is_whole).map(|trace| trace.iter().map(|span| (*span).clone()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_goes_from_the_observation_to_the_transaction_and_tells_nothing_of_the_patient() {
    let dir = tempfile::tempdir().unwrap();
    let (collector, address) = Collector::start().await;
    let mut network = support::network(&support::tools(), dir.path(), Some(THRESHOLD)).await;
    let patient = PatientId::new(PATIENT).unwrap();
    let mandate = network.enrol(patient.clone()).await.unwrap();
    network.mine_by_interval().await.unwrap();
    // No trace is kept from the beginning: that of the alert is kept all the same.
    network.set_environment("HYGEIA_OTLP", &address);
    network.set_environment("HYGEIA_TRACE_SAMPLE", "0");
    network.set_environment("HYGEIA_LOG_JSON", "true");
    network.set_environment("HYGEIA_LOG", "hygeia_node=trace,info");
    let mut health = BTreeMap::new();
    for role in ROLES {
        // Free a moment ago; a port given away in between ends the role with a clear line.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        network.set_environment("HYGEIA_HEALTH_ADDR", &free.to_string());
        health.insert(role.name(), format!("http://{free}"));
        network.start_role(role).unwrap();
    }

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    network.set_environment("HYGEIA_HEALTH_ADDR", &free.to_string());
    health.insert(Role::Gateway.name(), format!("http://{free}"));
    let gateway = network.start_gateway().unwrap();

    send_to(&gateway, &patient).await;
    let spans = wait_for_whole_trace(&network, &collector).await;
    the_steps_hang_together(&spans);
    the_logs_name_the_trace(&network, &spans);
    metrics_tell_of_the_way(&health).await;
    a_filter_is_changed_while_the_role_runs(&health[Role::Oracle.name()]).await;
    top_shows_the_network(&network, &health).await;

    let secrets = secrets(&mandate.0);
    let told = everything_told(&network, &collector, &health).await;
    for (place, bytes) in &told {
        assert_eq!(leaks(bytes, &secrets), Vec::<&str>::new(), "{place}");
        assert!(!bytes.is_empty(), "{place} was looked at");
    }
    network.stop().await;
}

/// Hours of one vital sign, of one value: each full hour closes a window. And one that is refused.
async fn send_to(gateway: &str, patient: &PatientId) {
    let begin_s = now_s() - 4 * 3_600;
    let mut observations = Vec::new();
    for (sequence, at_s) in (begin_s..now_s()).step_by(600).enumerate() {
        let observation = Observation::new(
            patient.clone(),
            DeviceId::new(DEVICE).unwrap(),
            sequence as u64,
            Code::HeartRate,
            VALUE,
            Timestamp::from_seconds(at_s),
        )
        .unwrap();
        observations.push(String::from_utf8(observation.encode()).unwrap());
    }
    let refused = observations[0].replace("8867-4", "1-1");
    let body = format!("[{},{refused}]", observations.join(","));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let until = Instant::now() + PATIENCE;
    loop {
        let request = client.post(format!("{gateway}/v1/observations")).header("content-type", "application/json");
        match request.body(body.clone()).send().await {
            Ok(answer) => break assert_eq!(answer.status().as_u16(), 422, "all but one are stored"),
            Err(error) => assert!(Instant::now() < until, "the gateway does not answer: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn wait_for_whole_trace(network: &Network, collector: &Collector) -> Vec<Span> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(trace) = whole_trace(&collector.spans()) {
            return trace;
        }
        let names: Vec<String> = collector.spans().into_iter().map(|span| span.name).collect();
        let (settled, _) = network.bus.stream_state(Stream::Settlements).await.unwrap();
        assert!(Instant::now() < until, "no whole trace: {names:?}, {settled} settled");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Each step's parent is the step before it, and none ends before it begins.
fn the_steps_hang_together(trace: &[Span]) {
    let of = |name: &str| trace.iter().find(|span| span.name == name).unwrap();
    assert_eq!(of("observation").parent_span_id, Vec::<u8>::new());
    for pair in WAY.windows(2) {
        assert_eq!(of(pair[1]).parent_span_id, of(pair[0]).span_id, "{} follows {}", pair[1], pair[0]);
    }
    assert!(trace.iter().all(|span| span.start_time_unix_nano <= span.end_time_unix_nano));
    let roles: BTreeSet<String> = trace.iter().filter_map(|span| attribute(span, "hygeia.role")).collect();
    assert_eq!(roles, ROLES.iter().map(|role| role.name().to_owned()).collect());
    assert_eq!(attribute(of("window"), "hygeia.recorded_by").as_deref(), Some("sentinel"), "kept late");
    assert!(attribute(of("settlement"), "hygeia.receipt").is_some());
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The JSON logs of sentinel, prover and steward name the trace, their role and their process.
fn the_logs_name_the_trace(network: &Network, trace: &[Span]) {
    let id = hex::encode(&trace[0].trace_id);
    for role in [Role::Sentinel, Role::Prover, Role::Steward] {
        let log = std::fs::read_to_string(network.log_of(role)).unwrap();
        let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of_trace = lines.iter().find(|line| line["trace_id"] == id.as_str());
        let line = of_trace.unwrap_or_else(|| panic!("no line of the {} names {id}: {log}", role.name()));
        assert_eq!(line["role"], role.name());
        assert!(line["member"].as_str().is_some_and(|member| !member.is_empty()));
    }
}

async fn metrics_tell_of_the_way(health: &BTreeMap<&str, String>) {
    for (role, series) in [
        (Role::Oracle, "hygeia_window_latency_seconds_count"),
        (Role::Sentinel, "hygeia_alert_latency_seconds_count"),
        (Role::Prover, "hygeia_proof_seconds_count"),
        (Role::Steward, "hygeia_settlement_seconds_count"),
    ] {
        let text = get(&health[role.name()], "metrics").await;
        let line = text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{series}: {text}"));
        let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(count >= 1.0, "{line}");
        assert_eq!(get(&health[role.name()], "healthz").await, "ok\n");
    }
    let steward = get(&health[Role::Steward.name()], "metrics").await;
    assert!(steward.contains("hygeia_signer_balance_ether "), "{steward}");
}

async fn a_filter_is_changed_while_the_role_runs(health: &str) {
    let change = async |filter: &str| hygeia(&["log-level", "--health", health, filter]).await;
    assert!(change("hygeia_node=debug,warn").await.status.success());
    assert_eq!(get(health, "log").await, "hygeia_node=debug,warn\n");
    let refused = change("hygeia_node=loud").await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("this is no filter"));
    assert_eq!(get(health, "log").await, "hygeia_node=debug,warn\n", "what was refused changes nothing");
}

async fn top_shows_the_network(network: &Network, health: &BTreeMap<&str, String>) {
    let targets = health.values().cloned().collect::<Vec<_>>().join(",");
    let arguments = ["top", "--once", "--json", "--every", "0.5", "--nats", network.nats.url(), "--targets", &targets];
    let output = hygeia(&arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let look: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let targets = look["targets"].as_array().unwrap();
    assert_eq!(targets.len(), ROLES.len() + 1);
    assert!(targets.iter().all(|target| target["up"] == true), "{look}");
    assert_eq!(look["broker_up"], true);
    assert!(look["streams"]["HYGEIA_OBS"]["messages"].as_u64().unwrap() >= 20, "{look}");
    assert!(look["head_block"].as_f64().unwrap() > 0.0, "{look}");
    let names: Vec<&str> = look["latencies"].as_array().unwrap().iter().filter_map(|l| l["name"].as_str()).collect();
    assert!(names.contains(&"hygeia_alert_latency_seconds"), "{names:?}");
    assert!(look["queues"]["prove"]["waiting"].is_number(), "{look}");
}

/// What must stand nowhere: the patient's name, the device's, the value, the mandate in each way it may be written.
fn secrets(mandate: &[u8; 32]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("the patient", PATIENT.as_bytes().to_vec()),
        ("the device", DEVICE.as_bytes().to_vec()),
        ("the value", VALUE.to_string().into_bytes()),
        ("the value", format!("{:.3}", f64::from(VALUE) / 1e3).into_bytes()),
        ("the mandate", mandate.to_vec()),
        ("the mandate", hex::encode(mandate).into_bytes()),
        ("the mandate", hex::encode(mandate).to_uppercase().into_bytes()),
        ("the mandate", format!("{mandate:?}").into_bytes()),
    ]
}

fn leaks(bytes: &[u8], secrets: &[(&'static str, Vec<u8>)]) -> Vec<&'static str> {
    let stands = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    secrets.iter().filter(|(_, secret)| stands(secret)).map(|(what, _)| *what).collect()
}

#[test]
fn a_leak_is_found() {
    let secrets = secrets(&[0xa7; 32]);
    for (place, what) in [
        (format!("patient={PATIENT}"), "the patient"),
        (format!("[{DEVICE}]"), "the device"),
        ("value 83.617 refused".to_owned(), "the value"),
        (format!("mandate 0x{}", "a7".repeat(32)), "the mandate"),
    ] {
        assert_eq!(leaks(place.as_bytes(), &secrets), [what], "{place}");
    }
    assert_eq!(leaks(b"nothing at all", &secrets), Vec::<&str>::new());
}

/// All that leaves the roles beside their messages: spans, metrics, log lines.
async fn everything_told(
    network: &Network,
    collector: &Collector,
    health: &BTreeMap<&str, String>,
) -> Vec<(String, Vec<u8>)> {
    let mut told = vec![("spans".to_owned(), collector.bytes())];
    for role in ROLES.into_iter().chain([Role::Gateway]) {
        told.push((format!("log of the {}", role.name()), std::fs::read(network.log_of(role)).unwrap()));
        let metrics = get(&health[role.name()], "metrics").await;
        told.push((format!("metrics of the {}", role.name()), metrics.into_bytes()));
    }
    told
}

async fn get(base: &str, path: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("{base}/{path}")).send().await.unwrap().text().await.unwrap()
}

async fn hygeia(arguments: &[&str]) -> std::process::Output {
    Command::new(Path::new(env!("CARGO_BIN_EXE_hygeia"))).args(arguments).output().await.unwrap()
}
