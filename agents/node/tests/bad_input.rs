//! Bad observations are dead-lettered with their reason and counted; their content is in no log and no dead letter.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hygeia_node::bus::OrderedReader;
use hygeia_node::cli::Role;
use hygeia_node::clock::now_s;
use hygeia_node::demo::network::Network;
use hygeia_protocol::identity::PatientId;
use hygeia_protocol::message::{DeadLetter, Message};
use hygeia_protocol::subject::{self, Stream};
use hygeia_protocol::time::Timestamp;

/// In every bad message: whoever finds it in a log has found a patient's data.
const MARKER: &str = "zebra-4711";
/// In one of the good messages: a value no log may show.
const VALUE: &str = "77.125";
/// How long the oracle may take for all of them.
const PATIENCE: Duration = Duration::from_secs(60);

/// An observation in the wire format, each part replaceable.
struct Wire {
    device: &'static str,
    seq: u64,
    code: &'static str,
    value: String,
    unit: &'static str,
    effective: u64,
}

impl Wire {
    fn good(seq: u64) -> Self {
        Self { device: "monitor", seq, code: "8867-4", value: VALUE.to_owned(), unit: "/min", effective: now_s() - 60 }
    }

    fn bytes(&self) -> Vec<u8> {
        format!(
            r#"{{"v":1,"patient":"{MARKER}","device":"{}","seq":{},"code":{{"system":"http://loinc.org","code":"{}"}},"value":{},"unit":"{}","effective":"{}"}}"#,
            self.device, self.seq, self.code, self.value, self.unit, Timestamp::from_seconds(self.effective),
        )
        .into_bytes()
    }
}

/// Each message with the reason it must be refused for; `None` for those that must be taken.
fn cases() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let good = |seq| Wire::good(seq);
    let value = |seq, value: &str| Wire { value: value.to_owned(), ..good(seq) }.bytes();
    let mut truncated = good(20).bytes();
    truncated.truncate(80);
    let mut long = br#"{"v":1,"patient":""#.to_vec();
    long.extend(MARKER.bytes().cycle().take(10 * 1024 * 1024));
    vec![
        ("in order", good(1).bytes(), None),
        ("unknown code", Wire { code: "0000-0", ..good(2) }.bytes(), Some("unknown_code")),
        ("wrong unit", Wire { unit: "Cel", ..good(3) }.bytes(), Some("wrong_unit")),
        ("minus a hundred", value(4, "-100"), Some("implausible_value")),
        ("24-bit sentinel", value(5, "8388607"), Some("implausible_value")),
        ("not a number", value(6, "NaN"), Some("malformed")),
        ("not a number, as text", value(7, "\"NaN\""), Some("implausible_value")),
        ("from the future", Wire { effective: now_s() + 86_400, ..good(8) }.bytes(), Some("future_time")),
        ("the same again", Wire { effective: now_s() - 30, ..good(1) }.bytes(), Some("duplicate")),
        ("far ahead in the sequence", good(500).bytes(), None),
        ("an old sequence number", good(9).bytes(), Some("replayed_sequence")),
        ("truncated", truncated, Some("malformed")),
        ("ten megabytes", long, Some("too_large")),
        ("no bytes at all", Vec::new(), Some("malformed")),
        ("another version", br#"{"v":2}"#.to_vec(), Some("unsupported_version")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_observations_are_dead_lettered_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let tools = support::tools();
    let mut network = support::network(&tools, dir.path(), None).await;
    network.start_role(Role::Oracle).unwrap();

    let subject = subject::observation(network.partitioner.of(&PatientId::new(MARKER).unwrap()));
    let cases = cases();
    for (index, (_, bytes, _)) in cases.iter().enumerate() {
        network
            .bus
            .publish(Stream::Observations, subject.clone(), &format!("case-{index}"), bytes.clone())
            .await
            .unwrap();
    }

    let expected: Vec<(u64, &str)> = cases
        .iter()
        .enumerate()
        .filter_map(|(index, (_, _, reason))| reason.map(|reason| (index as u64 + 1, reason)))
        .collect();
    let letters = dead_letters(&network, expected.len()).await;
    let found: BTreeMap<u64, &str> = letters.iter().map(|l| (l.stream_sequence, l.reason.as_str())).collect();
    for (sequence, reason) in &expected {
        let case = cases[*sequence as usize - 1].0;
        assert_eq!(found.get(sequence), Some(reason), "{case}");
    }
    assert_eq!(letters.len(), expected.len(), "the good ones are not dead-lettered");

    for letter in &letters {
        let text = String::from_utf8(letter.encode()).unwrap();
        assert!(!text.contains(MARKER) && !text.contains(VALUE), "a dead letter holds no content");
    }
    let log = std::fs::read_to_string(network.log_of(Role::Oracle)).unwrap();
    assert!(log.contains("oracle follows"), "the oracle has a log");
    assert!(!log.contains(MARKER) && !log.contains(VALUE), "the log holds no content");
    assert!(network.ended_roles().is_empty(), "the oracle lives");
    network.stop().await;
}

async fn dead_letters(network: &Network, count: usize) -> Vec<DeadLetter> {
    let mut reader = OrderedReader::open(&network.bus, Stream::DeadLetters, Vec::new(), 1).await.unwrap();
    let until = Instant::now() + PATIENCE;
    let mut letters = Vec::new();
    // A second of silence after the last one expected leaves room for one too many to show itself.
    while letters.len() < count || Instant::now() < until {
        match reader.next_within(Duration::from_secs(1)).await.unwrap() {
            Some(entry) => letters.push(DeadLetter::decode(&entry.payload).unwrap()),
            None if letters.len() >= count => break,
            None => assert!(Instant::now() < until, "{} of {count} dead letters after {PATIENCE:?}", letters.len()),
        }
    }
    letters
}
