//! Alert rules, dashboard and runbook hold together with what the program says: every metric and every word of a label
//! that a rule or a panel asks for is in the schema, and every rule leads to a page that is there.

use std::collections::BTreeSet;
use std::path::Path;

use hygeia_node::telemetry::document;
use hygeia_node::telemetry::schema::{self, OTHER};

/// Rules name one of these.
const SEVERITIES: [&str; 2] = ["page", "ticket"];

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/k8s").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is wrong with the metrics that a text asks for: names and words that the schema does not have.
fn unknown(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut wrong = Vec::new();
    let mut rest = text;
    while let Some(start) = ["hygeia_", "process_"].iter().filter_map(|prefix| rest.find(prefix)).min() {
        let (before, found) = rest.split_at(start);
        let end = found.find(|c| !is_word(c)).unwrap_or(found.len());
        let (name, after) = found.split_at(end);
        rest = after;
        if before.ends_with(is_word) {
            continue;
        }
        match schema::metric_of_series(name).or_else(|| schema::all().find(|metric| metric.name == name)) {
            None => wrong.push(name.to_owned()),
            Some(metric) => {
                let words = metric.label.map_or(&[] as &[&str], |label| label.values);
                let asked = selected(after).into_iter().filter(|word| !words.contains(&word.as_str()) && word != OTHER);
                wrong.extend(asked.map(|word| format!("{name} {word}")));
            }
        }
    }
    wrong
}

/// The words that a selector behind a metric's name asks the label `kind` for.
fn selected(after: &str) -> Vec<String> {
    let Some(selector) = after.strip_prefix('{').and_then(|rest| rest.split('}').next()) else { return Vec::new() };
    let selector = selector.replace("\\\"", "\"");
    let Some((_, rest)) = selector.split_once("kind") else { return Vec::new() };
    let words = rest.trim_start_matches(['=', '!', '~']).trim_start_matches('"').split('"').next().unwrap_or_default();
    words.split('|').map(str::to_owned).collect()
}

/// Each rule as its name and its text.
fn rules(text: &str) -> Vec<(String, String)> {
    let blocks = text.split("- alert: ").skip(1);
    blocks.map(|block| (block.lines().next().unwrap_or_default().to_owned(), block.to_owned())).collect()
}

/// What a rule lacks.
fn wrong_with(rule: &str, anchors: &BTreeSet<String>) -> Vec<&'static str> {
    let value = |key: &str| rule.lines().find_map(|line| line.trim().strip_prefix(key)).map(str::trim);
    let severity = value("labels: { severity: ").and_then(|rest| rest.strip_suffix(" }"));
    let page = value("runbook: ").and_then(|page| page.strip_prefix("RUNBOOK.md#"));
    let checks = [
        ("a severity", severity.is_some_and(|severity| SEVERITIES.contains(&severity))),
        ("a page that is there", page.is_some_and(|page| anchors.contains(page))),
        ("a summary", value("summary: ").is_some_and(|text| !text.is_empty())),
        ("a description", value("description: ").is_some_and(|text| !text.is_empty())),
        ("an expression", value("expr: ").is_some_and(|text| !text.is_empty())),
    ];
    checks.into_iter().filter(|(_, is_there)| !is_there).map(|(what, _)| what).collect()
}

/// The anchors that a page's headings have, as they are made where Markdown is shown.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn rules_ask_for_what_the_program_says() {
    assert_eq!(unknown(&read("monitoring/rules.yaml")), Vec::<String>::new());
}

#[test]
fn the_dashboard_asks_for_what_the_program_says() {
    let text = read("monitoring/dashboard.json");
    assert_eq!(unknown(&text), Vec::<String>::new());
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 20, "a dashboard of {} panels", panels.len());
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "no panel's id stands twice");
}

#[test]
fn every_rule_leads_to_its_page() {
    let anchors = anchors(&read("RUNBOOK.md"));
    let rules = rules(&read("monitoring/rules.yaml"));
    assert!(rules.len() > 25, "{} rules", rules.len());
    for (name, rule) in &rules {
        assert_eq!(wrong_with(rule, &anchors), Vec::<&str>::new(), "{name}");
    }
    let names: BTreeSet<&str> = rules.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), rules.len(), "no rule's name stands twice");
}

/// Each rule that is tried on cases is one of the rules.
#[test]
fn cases_are_of_rules_that_are_there() {
    let names: BTreeSet<String> = rules(&read("monitoring/rules.yaml")).into_iter().map(|(name, _)| name).collect();
    let cases = read("monitoring/rules_test.yaml");
    let tried: BTreeSet<&str> = cases.split("alertname=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(tried.len() > 10, "{tried:?}");
    assert!(tried.iter().all(|name| names.contains(*name)), "{tried:?}");
    assert_eq!(unknown(&cases), Vec::<String>::new());
}

#[test]
fn what_does_not_fit_is_found() {
    assert_eq!(unknown("rate(hygeia_made_up_total[5m])"), ["hygeia_made_up_total"]);
    assert_eq!(unknown("hygeia_alert_latency_seconds_total"), ["hygeia_alert_latency_seconds_total"]);
    assert_eq!(unknown("hygeia_queue_waiting{kind=\"lunch\"}"), ["hygeia_queue_waiting lunch"]);
    assert_eq!(unknown("hygeia_queue_waiting{kind=~\"prove|lunch\"}"), ["hygeia_queue_waiting lunch"]);
    assert_eq!(unknown("hygeia_queue_waiting{kind!~\\\"prove|receipts\\\"} process_open_fds"), Vec::<String>::new());
    let anchors = anchors("## Role down\n");
    let rule = "X\nexpr: a\nlabels: { severity: page }\nsummary: s\ndescription: d\nrunbook: RUNBOOK.md#role-down\n";
    assert_eq!(wrong_with(rule, &anchors), Vec::<&str>::new());
    assert_eq!(wrong_with(&rule.replace("#role-down", "#role-up"), &anchors), ["a page that is there"]);
    assert_eq!(wrong_with(&rule.replace("page }", "loud }"), &anchors), ["a severity"]);
    assert_eq!(wrong_with(&rule.replace("expr: a\n", ""), &anchors), ["an expression"]);
}

#[test]
fn the_committed_schema_is_the_programs() {
    assert_eq!(read("monitoring/metrics.md"), document::markdown(), "run `cargo xtask gen`");
    assert_eq!(read("monitoring/metrics.json"), document::json(), "run `cargo xtask gen`");
}
