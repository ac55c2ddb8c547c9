//! The gateway against a real nats-server: what it answers is what the broker holds, also when the broker goes away.
//!
//! Needs the tools that `cargo xtask setup` installs; without `HYGEIA_TOOLS_DIR` the test says so and fails.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use hygeia_node::bus::{Bus, OrderedReader};
use hygeia_node::chain::Deployment;
use hygeia_node::cli::{Cli, Command, Connect};
use hygeia_node::clock::now_ms;
use hygeia_node::demo::processes::{NatsServer, Tools};
use hygeia_node::roles::{Site, gateway};
use hygeia_node::telemetry::Metrics;
use hygeia_protocol::lease::MemberId;
use hygeia_protocol::message::{
    Address, Alert, AlertOutcome, B32, Contribution, HexBytes, Message, Outcome, Receipt, ScoredWindow, Settlement,
    SettlementStatus, Signature, V1,
};
use hygeia_protocol::subject::{self, Partition, Stream};
use hygeia_protocol::time::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long to wait for a state that must come.
const PATIENCE: Duration = Duration::from_secs(60);
/// A pseudonym that must not come back in any answer.
const PATIENT: &str = "pseudonym-7f3a";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_answers_is_what_the_broker_holds() -> Result<()> {
    let tools = std::env::var("HYGEIA_TOOLS_DIR").context("HYGEIA_TOOLS_DIR is not set: run `cargo xtask test`")?;
    let dir = tempfile::tempdir()?;
    let mut nats = NatsServer::start(&Tools::at(Path::new(&tools))?, &dir.path().join("nats")).await?;
    let ward = Ward::start(nats.url(), dir.path()).await?;

    observations_are_stored_once_and_bad_ones_are_refused(&ward).await?;
    bodies_that_are_no_requests_are_turned_away(&ward).await?;
    the_page_and_every_answer_are_locked_down(&ward).await?;
    an_alert_is_followed_to_the_chain(&ward).await?;
    what_was_held_back_is_shown(&ward).await?;
    a_clinicians_word_on_an_alert_is_stored(&ward).await?;

    nats.restart().await?;
    ward.publish_alert(2).await?;
    ward.until(|alerts| alerts["is_live"] == true && alerts["kept"] == 2, "the board is current after a restart")
        .await?;
    ensure!(ward.post(&observation(77)).await?.status == 202, "and observations are taken again");

    nats.stop().await;
    ward.until(|alerts| alerts["is_live"] == false, "people see that the broker is gone").await?;
    let away = ward.post(&observation(78)).await?;
    assert_eq!((away.status, away.json()?["reason"].as_str()), (503, Some("broker_away")));
    assert!(away.header("retry-after").is_some());
    assert_eq!(ward.get("/v1/alerts").await?.json()?["kept"], 2, "what is known stays");

    a_client_that_asks_too_often_is_slowed_down(&ward).await?;
    ward.stop.cancel();
    tokio::time::timeout(PATIENCE, ward.serving).await???;
    Ok(())
}

async fn observations_are_stored_once_and_bad_ones_are_refused(ward: &Ward) -> Result<()> {
    let one = observation(1);
    let first = ward.post(&one).await?;
    assert_eq!((first.status, first.json()?), (202, json!({"stored": 1, "repeated": 0, "refused": []})));
    let again = ward.post(&one).await?;
    assert_eq!((again.status, again.json()?), (202, json!({"stored": 1, "repeated": 1, "refused": []})));

    let twin = |field: &str, value: Value| {
        let mut bad = observation(2);
        bad[field] = value;
        bad
    };
    let mixed = json!([
        observation(3),
        twin("value", json!(8_388_607)),
        twin("unit", json!("Cel")),
        twin("code", json!({"system": "http://loinc.org", "code": "0-0"})),
        twin("effective", json!("2999-01-01T00:00:00Z")),
        twin("surname", json!("X")),
        observation(4),
    ]);
    let answer = ward.post(&mixed).await?;
    let refused = |index: usize, reason: &str| json!({"index": index, "reason": reason});
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.json()?,
        json!({"stored": 2, "repeated": 0, "refused": [
            refused(1, "implausible_value"),
            refused(2, "wrong_unit"),
            refused(3, "unknown_code"),
            refused(4, "future_time"),
            refused(5, "malformed"),
        ]})
    );
    assert!(!answer.text()?.contains(PATIENT));

    let mut reader = OrderedReader::open(&ward.bus, Stream::Observations, Vec::new(), 1).await?;
    let mut stored = Vec::new();
    while let Some(entry) = reader.next_within(Duration::from_millis(500)).await? {
        assert!(subject::partition_of(&entry.subject).is_some(), "{}", entry.subject);
        stored.push(serde_json::from_slice::<Value>(&entry.payload)?["seq"].clone());
    }
    assert_eq!(stored, [1, 3, 4]);
    Ok(())
}

async fn bodies_that_are_no_requests_are_turned_away(ward: &Ward) -> Result<()> {
    let json = "application/json";
    let large = vec![b' '; 1024 * 1024 + 1];
    let many = format!("[{}]", vec!["0"; 1_001].join(","));
    for (media_type, body, status, reason) in [
        ("text/plain", observation(5).to_string().into_bytes(), 415, "not_json"),
        (json, large, 413, "too_large"),
        (json, many.into_bytes(), 413, "too_many"),
        (json, b"[{".to_vec(), 400, "malformed"),
    ] {
        let answer = ward.request("POST", "/v1/observations", media_type, &body).await?;
        assert_eq!((answer.status, answer.json()?["reason"].as_str()), (status, Some(reason)));
    }
    let (messages, _) = ward.bus.stream_state(Stream::Observations).await?;
    assert_eq!(messages, 3, "nothing of them was stored");
    assert_eq!(ward.get("/v1/observations").await?.status, 405);
    assert_eq!(ward.get("/v1/alerts?limit=many").await?.status, 400);
    Ok(())
}

async fn the_page_and_every_answer_are_locked_down(ward: &Ward) -> Result<()> {
    for path in ["/", "/v1/alerts", "/v1/alerts/0x00", "/v1/alerts/x/fhir", "/absent", "/v1/observations"] {
        let answer = ward.get(path).await?;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let policy = answer.header("content-security-policy").context("no content policy")?;
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
    }
    let page = ward.get("/").await?;
    let policy = page.header("content-security-policy").context("no content policy")?;
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).context("no nonce")?;
    assert_eq!(page.text()?.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    assert!(!ward.get("/").await?.text()?.contains(nonce), "each answer has its own");
    Ok(())
}

async fn an_alert_is_followed_to_the_chain(ward: &Ward) -> Result<()> {
    ward.until(|alerts| alerts["is_live"] == true, "an empty board is current").await?;
    let alert = ward.publish_alert(1).await?;
    let id = alert.alert_id;
    let path = format!("/v1/alerts/{id}");
    ward.until(|alerts| alerts["alerts"][0]["status"] == "unproved", "an alert is shown before its proof").await?;
    let fhir = ward.get(&format!("{path}/fhir")).await?;
    assert_eq!((fhir.status, fhir.header("content-type")), (200, Some("application/fhir+json")));
    assert_eq!(fhir.json()?["resourceType"], "RiskAssessment");
    assert_eq!(fhir.json()?["prediction"][0]["probabilityDecimal"], 34.1);

    let receipt = receipt(&alert);
    ward.publish(Stream::Receipts, subject::RECEIPT.to_owned(), &receipt).await?;
    ward.until(|alerts| alerts["alerts"][0]["status"] == "proved", "then its proof").await?;
    let settlement = settlement(&receipt);
    ward.publish(Stream::Settlements, subject::SETTLEMENT.to_owned(), &settlement).await?;
    ward.until(|alerts| alerts["alerts"][0]["status"] == "triggered", "then what the chain did").await?;

    let alone = ward.get(&path).await?;
    assert_eq!((alone.status, alone.json()?["settlement"]["block"].clone()), (200, json!(42)));
    let other = B32::new([9; 32]);
    assert_eq!(ward.get(&format!("/v1/alerts/{other}")).await?.status, 404);
    let absent = ward.get(&format!("/v1/alerts/{other}/fhir")).await?;
    assert_eq!((absent.status, absent.json()?["resourceType"].clone()), (404, json!("OperationOutcome")));
    Ok(())
}

async fn what_was_held_back_is_shown(ward: &Ward) -> Result<()> {
    for (n, outcome) in [(1, "quiet"), (2, "suppressed_cool_down"), (3, "alert"), (4, "suppressed_rate_limit")] {
        let line = scored(n, outcome);
        ward.publish(Stream::Ledger, subject::ledger(Partition(3)), &line).await?;
    }
    ward.until(|alerts| alerts["held_back"].as_array().map(Vec::len) == Some(2), "held back").await?;
    let held_back = ward.get("/v1/alerts").await?.json()?["held_back"].clone();
    assert_eq!((&held_back[0]["reason"], &held_back[1]["reason"]), (&json!("rate_limit"), &json!("cool_down")));
    assert_eq!(held_back[0]["window_id"], json!(B32::new([4; 32])));
    Ok(())
}

/// The alert that the board has by now takes one of two words; everything else is turned away, and nothing of it stored.
async fn a_clinicians_word_on_an_alert_is_stored(ward: &Ward) -> Result<()> {
    let id = ward.get("/v1/alerts").await?.json()?["alerts"][0]["alert_id"].as_str().context("an alert")?.to_owned();
    let path = format!("/v1/alerts/{id}/outcome");
    let other = format!("/v1/alerts/{}/outcome", B32::new([9; 32]));
    let typed = "application/json";
    for (path, media_type, body, status, reason) in [
        (&path, "text/plain", r#"{"outcome":"confirmed"}"#, 415, "not_json"),
        (&path, typed, r#"{"outcome":"perhaps"}"#, 400, "malformed"),
        (&path, typed, r#"{"outcome":"confirmed","by":"X"}"#, 400, "malformed"),
        (&path, typed, r#"{"outcome":"care_triggered"}"#, 422, "not_a_persons_word"),
        (&other, typed, r#"{"outcome":"confirmed"}"#, 404, "no_such_alert"),
    ] {
        let answer = ward.request("POST", path, media_type, body.as_bytes()).await?;
        assert_eq!((answer.status, answer.json()?["reason"].as_str()), (status, Some(reason)), "{body}");
    }
    assert_eq!(ward.bus.stream_state(Stream::Outcomes).await?.0, 0, "nothing of them was stored");
    assert_eq!(ward.get(&path).await?.status, 405);

    let noted = ward.request("POST", &path, typed, br#"{"outcome":"confirmed"}"#).await?;
    assert_eq!((noted.status, noted.json()?), (202, json!({"outcome": "confirmed"})));
    let mut reader = OrderedReader::open(&ward.bus, Stream::Outcomes, Vec::new(), 1).await?;
    let entry = reader.next_within(PATIENCE).await?.context("a word in the stream")?;
    let word = AlertOutcome::decode(&entry.payload)?;
    assert_eq!((word.alert_id.to_string(), word.outcome), (id, Outcome::Confirmed));
    Ok(())
}

async fn a_client_that_asks_too_often_is_slowed_down(ward: &Ward) -> Result<()> {
    let asked = Instant::now();
    while asked.elapsed() < PATIENCE {
        let burst = futures::future::try_join_all((0..50).map(|_| ward.get("/absent"))).await?;
        if let Some(slowed) = burst.iter().find(|answer| answer.status == 429) {
            assert!(slowed.header("retry-after").is_some());
            return Ok(());
        }
    }
    anyhow::bail!("never slowed down")
}

/// A gateway that serves on a free port, and the broker behind it.
struct Ward {
    address: SocketAddr,
    bus: Bus,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<Result<()>>,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ward {
    async fn start(nats: &str, dir: &Path) -> Result<Self> {
        let key_file = dir.join("network.key");
        std::fs::write(&key_file, hex::encode([7; 32]))?;
        let connect = flags(nats, &key_file)?;
        let bus = Bus::connect(nats, PATIENCE).await?;
        bus.ensure_streams().await?;
        let stop = CancellationToken::new();
        let site = Site {
            bus: bus.clone(),
            deployment: nowhere(),
            connect,
            member: MemberId::new("gateway")?,
            metrics: Metrics::default(),
            stop: stop.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(gateway::serve(site, listener));
        Ok(Self { address, bus, stop, serving })
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", path, "application/json", b"").await
    }

    async fn post(&self, body: &Value) -> Result<Answer> {
        self.request("POST", "/v1/observations", "application/json", body.to_string().as_bytes()).await
    }

    /// One request on a connection of its own.
    async fn request(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> Result<Answer> {
        let mut connection = TcpStream::connect(self.address).await?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: ward\r\nconnection: close\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await?;
        // A server that answers before it has read everything may close its end: the answer counts, not the rest.
        let _ = connection.write_all(body).await;
        let mut bytes = Vec::new();
        let read = connection.read_to_end(&mut bytes).await;
        Answer::parse(&bytes).with_context(|| format!("{method} {path}: {read:?}"))
    }

    async fn publish<M: Message>(&self, stream: Stream, subject: String, message: &M) -> Result<()> {
        self.bus.publish(stream, subject, &message.message_id(), message.encode()).await?;
        Ok(())
    }

    async fn publish_alert(&self, n: u8) -> Result<Alert> {
        let alert = alert(n);
        self.publish(Stream::Alerts, subject::alert(Partition(3)), &alert).await?;
        Ok(alert)
    }

    /// Waits for the alerts to be in a state.
    async fn until(&self, wanted: impl Fn(&Value) -> bool, what: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let alerts = self.get("/v1/alerts").await?.json()?;
            if wanted(&alerts) {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "{what}: never so; the last answer was {alerts}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").context("no end of the head")?;
        let head = std::str::from_utf8(&bytes[..end])?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Ok(Self { status, headers, body: bytes[end + 4..].to_vec() })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> Result<&str> {
        Ok(std::str::from_utf8(&self.body)?)
    }

    fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("status {}", self.status))
    }
}

/// The flags a gateway is started with, as the command line reads them.
fn flags(nats: &str, key_file: &Path) -> Result<Connect> {
    let key_file: PathBuf = key_file.to_owned();
    let line = ["hygeia", "gateway", "--nats", nats, "--network-key-file"].map(Into::into);
    match Cli::try_parse_from(line.into_iter().chain([key_file.into_os_string()]))?.command {
        Command::Gateway { connect, .. } => Ok(connect),
        _ => anyhow::bail!("these are the gateway's flags"),
    }
}

/// The gateway talks to no contract.
fn nowhere() -> Deployment {
    let zero = alloy::primitives::Address::ZERO;
    Deployment {
        chain_id: 0,
        block: 0,
        token: zero,
        governor: zero,
        timelock: zero,
        model_registry: zero,
        inference_verifier: zero,
        audit_ledger: zero,
        policy_registry: zero,
        oracle_registry: zero,
        mandate_registry: zero,
        credential_registry: zero,
        care_pool: zero,
        care_coordinator: zero,
        benefit_token: zero,
        agents: None,
    }
}

fn observation(seq: u64) -> Value {
    json!({
        "v": 1, "patient": PATIENT, "device": "monitor-7", "seq": seq,
        "code": {"system": "http://loinc.org", "code": "8867-4"}, "value": 72.5, "unit": "/min",
        "effective": Timestamp::from_millis(now_ms()).minus_seconds(60 + seq).to_string(),
    })
}

fn alert(n: u8) -> Alert {
    Alert {
        v: V1,
        alert_id: B32::new([n; 32]),
        window_id: B32::new([n; 32]),
        mandate: B32::new([2; 32]),
        ward: "demo".to_owned(),
        policy: B32::new([3; 32]),
        model: B32::new([4; 32]),
        score: 1_500,
        threshold: 1_024,
        probability_ppm: Some(341_000),
        escalation: false,
        outside_validated_range: false,
        end: now_ms() / 1_000,
        observed_at_ms: now_ms(),
        raised_at_ms: now_ms(),
        contributions: vec![Contribution {
            name: "heart_rate".to_owned(),
            points: 412,
            value_milli: Some(118_000),
            unit: "/min".to_owned(),
            age_s: Some(300),
        }],
        similar: Vec::new(),
    }
}

fn receipt(alert: &Alert) -> Receipt {
    Receipt {
        v: V1,
        receipt_id: B32::new([5; 32]),
        alert_id: alert.alert_id,
        mandate: alert.mandate,
        policy: alert.policy,
        model: alert.model,
        circuit: B32::new([6; 32]),
        verifying_key: B32::new([7; 32]),
        proof_system: "halo2-kzg-bn254-shplonk-keccak-v1".to_owned(),
        commitment: B32::new([8; 32]),
        score: alert.score,
        proof: HexBytes::new(vec![1; 64]),
        end: alert.end,
        oracle: Address::new([9; 20]),
        signature: Signature::new([1; 65]),
        proved_at_ms: now_ms(),
        prove_ms: 800,
    }
}

fn settlement(receipt: &Receipt) -> Settlement {
    Settlement {
        v: V1,
        receipt_id: receipt.receipt_id,
        alert_id: receipt.alert_id,
        trigger_id: B32::new([1; 32]),
        transaction: B32::new([2; 32]),
        block: 42,
        gas_used: 612_345,
        status: SettlementStatus::Triggered,
        reason: None,
        settled_at_ms: now_ms(),
    }
}

fn scored(n: u8, outcome: &str) -> ScoredWindow {
    ScoredWindow {
        v: V1,
        window_id: B32::new([n; 32]),
        window_sequence: n.into(),
        mandate: B32::new([2; 32]),
        end: now_ms() / 1_000,
        model: B32::new([4; 32]),
        score: 1_500,
        commitment: B32::new([8; 32]),
        scored_at_ms: now_ms(),
        engine: "integer".to_owned(),
        outcome: outcome.to_owned(),
        outside_validated_range: false,
    }
}
