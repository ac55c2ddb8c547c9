//! A look as lines of text, for a terminal of eighty columns.

use std::fmt::Write as _;

use super::look::{Latency, Look, Target};

/// Rates that are shown, in the order of a datum's way, and what they are called.
const RATES: [(&str, &str); 9] = [
    ("hygeia_observations_accepted_total", "observations"),
    ("hygeia_observations_dead_lettered_total", "dead letters"),
    ("hygeia_windows_attested_total", "windows attested"),
    ("hygeia_windows_scored_total", "windows scored"),
    ("hygeia_alerts_suppressed_total", "alerts held back"),
    ("hygeia_proofs_published_total", "proofs"),
    ("hygeia_proofs_failed_total", "proofs failed"),
    ("hygeia_windows_audited_total", "windows audited"),
    ("hygeia_triggers_accepted_total", "triggers"),
];
/// Partitions of one owner that are listed; of more, only the number is told.
const PARTITIONS_LISTED: usize = 12;

/// The view.
pub fn text(look: &Look) -> String {
    let mut text = String::new();
    let broker = match look.broker_up {
        Some(true) => "up",
        Some(false) => "DOWN",
        None => "not asked",
    };
    let head = look.head_block.map_or("-".to_owned(), |block| format!("{block:.0}"));
    let age = look.block_age_s.map_or("-".to_owned(), |age| format!("{age:.1} s ago"));
    let _ = writeln!(text, "hygeia  broker {broker}  block {head} ({age})  alerts {:.1}/min\n", look.alerts_per_minute);
    rates(&mut text, look);
    latencies(&mut text, look);
    queues(&mut text, look);
    owners(&mut text, look);
    targets(&mut text, look);
    text
}

fn rates(text: &mut String, look: &Look) {
    let shown: Vec<_> = RATES.iter().filter_map(|(name, word)| Some((word, look.rates_per_s.get(name)?))).collect();
    for pair in shown.chunks(2) {
        let cells: Vec<String> = pair.iter().map(|(word, rate)| format!("{word:<18}{rate:>12.2}/s")).collect();
        let _ = writeln!(text, "{}", cells.join("      "));
    }
}

fn latencies(text: &mut String, look: &Look) {
    if look.latencies.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{:<40}{:>12}{:>12}{:>10}", "LATENCY", "p50", "p99", "of");
    for Latency { name, count, p50_s, p99_s } in &look.latencies {
        let name = name.trim_start_matches("hygeia_").trim_end_matches("_seconds").replace('_', " ");
        let _ = writeln!(text, "{name:<40}{:>12}{:>12}{count:>10.0}", duration(*p50_s), duration(*p99_s));
    }
}

fn queues(text: &mut String, look: &Look) {
    if !look.queues.is_empty() {
        let _ = writeln!(text, "\n{:<40}{:>12}{:>12}", "QUEUE", "waiting", "in hand");
    }
    for (name, queue) in &look.queues {
        let _ = writeln!(text, "{name:<40}{:>12.0}{:>12.0}", queue.waiting, queue.in_hand);
    }
    if !look.streams.is_empty() {
        let _ = writeln!(text, "\n{:<24}{:>16}{:>12}{:>14}", "STREAM", "messages", "size", "stored/s");
    }
    for (name, stream) in &look.streams {
        let size = bytes(stream.bytes as f64);
        let _ = writeln!(text, "{name:<24}{:>16}{size:>12}{:>14.1}", stream.messages, stream.stored_per_s);
    }
}

fn owners(text: &mut String, look: &Look) {
    if !look.owners.is_empty() {
        let _ = writeln!(text, "\n{:<12}{:<20}PARTITIONS", "ROLE", "OWNER");
    }
    for (role, members) in &look.owners {
        for (member, partitions) in members {
            let listed: Vec<String> = partitions.iter().take(PARTITIONS_LISTED).map(u16::to_string).collect();
            let more = if partitions.len() > PARTITIONS_LISTED { " …" } else { "" };
            let (role, member) = (printable(role), printable(member));
            let _ = writeln!(text, "{role:<12}{member:<20}{} ({}{more})", partitions.len(), listed.join(" "));
        }
    }
}

fn targets(text: &mut String, look: &Look) {
    if !look.targets.is_empty() {
        let _ = writeln!(text, "\n{:<40}{:>8}{:>12}{:>12}", "PROCESS", "state", "memory", "processors");
    }
    for Target { url, up, memory_bytes, processors, stuck } in &look.targets {
        let state = match (up, stuck.is_empty()) {
            (false, _) => "DOWN",
            (true, false) => "STUCK",
            (true, true) => "up",
        };
        let memory = memory_bytes.map_or("-".to_owned(), bytes);
        let processors = processors.map_or("-".to_owned(), |busy| format!("{busy:.2}"));
        let stuck: Vec<String> = stuck.iter().map(|word| printable(word)).collect();
        let line = format!("{:<40}{state:>8}{memory:>12}{processors:>12}  {}", printable(url), stuck.join(" "));
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// Text from outside without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.1} s"),
    }
}

fn bytes(number: f64) -> String {
    match number {
        n if n < 1e6 => format!("{:.0} kB", n / 1e3),
        n if n < 1e9 => format!("{:.1} MB", n / 1e6),
        n => format!("{:.2} GB", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use expect_test::expect;

    use super::super::look::{Queue, StreamLook};
    use super::*;
    use crate::telemetry::schema;

    #[test]
    fn shows_a_network() {
        let target = |url: &str, up, stuck: &[&str]| Target {
            url: url.to_owned(),
            up,
            memory_bytes: Some(41e6).filter(|_| up),
            processors: Some(0.25).filter(|_| up),
            stuck: stuck.iter().map(|&word| word.to_owned()).collect(),
        };
        let look = Look {
            seconds: 2.0,
            targets: vec![
                target("10.0.0.1:8080", true, &[]),
                target("10.0.0.2:8080", true, &["prover"]),
                target("\x1b[2Jc", false, &[]),
            ],
            rates_per_s: BTreeMap::from([
                ("hygeia_observations_accepted_total", 20_000.0),
                ("hygeia_windows_scored_total", 250.5),
                ("hygeia_triggers_accepted_total", 0.1),
            ]),
            alerts_per_minute: 12.0,
            latencies: vec![Latency { name: "hygeia_alert_latency_seconds", count: 24.0, p50_s: 0.0061, p99_s: 0.031 }],
            queues: BTreeMap::from([("prove".to_owned(), Queue { waiting: 3.0, in_hand: 1.0 })]),
            streams: BTreeMap::from([(
                "HYGEIA_OBS",
                StreamLook { messages: 12_345, bytes: 4_200_000, stored_per_s: 19_998.5 },
            )]),
            broker_up: Some(true),
            owners: BTreeMap::from([("oracle".to_owned(), BTreeMap::from([("a1b2".to_owned(), (0..16).collect())]))]),
            head_block: Some(1_024.0),
            block_age_s: Some(0.4),
        };
        expect![[r#"
            hygeia  broker up  block 1024 (0.4 s ago)  alerts 12.0/min

            observations          20000.00/s      windows scored          250.50/s
            triggers                  0.10/s

            LATENCY                                          p50         p99        of
            alert latency                                 6.1 ms     31.0 ms        24

            QUEUE                                        waiting     in hand
            prove                                              3           1

            STREAM                          messages        size      stored/s
            HYGEIA_OBS                         12345      4.2 MB       19998.5

            ROLE        OWNER               PARTITIONS
            oracle      a1b2                16 (0 1 2 3 4 5 6 7 8 9 10 11 …)

            PROCESS                                    state      memory  processors
            10.0.0.1:8080                                 up     41.0 MB        0.25
            10.0.0.2:8080                              STUCK     41.0 MB        0.25  prover
            [2Jc                                        DOWN           -           -
        "#]]
        .assert_eq(&text(&look));
    }

    #[test]
    fn every_rate_is_of_the_schema() {
        for (name, _) in RATES {
            assert!(schema::metric_of_series(name).is_some(), "{name}");
        }
    }
}
