//! `hygeia telemetry`: the schema for people and for programs. The committed copies are made from it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::schema::events::{Attribute, LOG_EVENTS, LOG_FIELDS, SpanName};
use super::schema::{Metric, OTHER, all};
use crate::cli::Role;

/// The schema as a page.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Telemetry\n\nMade by `cargo xtask gen` from `agents/node/src/telemetry/schema/`. A name, a label or a word here is \
         an interface: alert rules, dashboards and `hygeia top` depend on it. Nothing here ever holds anything about a \
         patient.\n\n## Metrics\n\nEvery process shows those of its roles on its health port under `/metrics`. A word that \
         a label does not know counts as `other`.\n\n| metric | kind | unit | roles | label | says |\n|---|---|---|---|---|---|\n",
    );
    for metric in all() {
        let Metric { name, unit, help, .. } = metric;
        let (kind, roles, label) = (metric.kind.name(), roles_of(&metric), label_of(&metric));
        let _ = writeln!(text, "| `{name}` | {kind} | {unit} | {roles} | {label} | {help} |");
    }
    text.push_str("\n## Buckets\n\n| histogram | upper bounds |\n|---|---|\n");
    for metric in all().filter(|metric| !metric.buckets.is_empty()) {
        let bounds: Vec<String> = metric.buckets.iter().map(f64::to_string).collect();
        let _ = writeln!(text, "| `{}` | {} |", metric.name, bounds.join(", "));
    }
    text.push_str("\n## Spans\n\n| span | covers |\n|---|---|\n");
    for span in SpanName::ALL {
        let _ = writeln!(text, "| `{}` | {} |", span.name(), span.help());
    }
    let attributes: Vec<String> = Attribute::ALL.iter().map(|attribute| format!("`{}`", attribute.name())).collect();
    let _ = writeln!(text, "\nA span has these attributes and no other: {}.", attributes.join(", "));
    text.push_str("\n## Log\n\nFields of every JSON line, beside `timestamp`, `level`, `target` and `fields`:\n\n");
    for (field, help) in LOG_FIELDS {
        let _ = writeln!(text, "- `{field}`: {help}.");
    }
    text.push_str("\nLines to look for:\n\n| line | level | says |\n|---|---|---|\n");
    for (line, level, says) in LOG_EVENTS {
        let _ = writeln!(text, "| `{line}` | {level} | {says} |");
    }
    text
}

/// The schema as JSON.
pub fn json() -> String {
    let metrics: Vec<Value> = all().map(|metric| of_metric(&metric)).collect();
    let spans: Vec<Value> =
        SpanName::ALL.iter().map(|span| json!({ "name": span.name(), "help": span.help() })).collect();
    let attributes: Vec<&str> = Attribute::ALL.iter().map(|attribute| attribute.name()).collect();
    let fields: Vec<Value> = LOG_FIELDS.iter().map(|(name, help)| json!({ "name": name, "help": help })).collect();
    let lines: Vec<Value> =
        LOG_EVENTS.iter().map(|(line, level, says)| json!({ "line": line, "level": level, "help": says })).collect();
    let schema = json!({
        "metrics": metrics, "spans": spans, "attributes": attributes, "logFields": fields, "logLines": lines,
    });
    format!("{schema:#}\n")
}

fn of_metric(metric: &Metric) -> Value {
    let label = metric.label.map(|label| {
        let words = label.values.iter().copied().chain((!label.values.is_empty()).then_some(OTHER));
        json!({ "name": label.name, "values": words.collect::<Vec<_>>() })
    });
    json!({
        "name": metric.name,
        "kind": metric.kind.name(),
        "unit": metric.unit,
        "help": metric.help,
        "label": label,
        "buckets": metric.buckets,
        "roles": metric.roles.iter().map(|role| role.name()).collect::<Vec<_>>(),
    })
}

fn roles_of(metric: &Metric) -> String {
    let names: Vec<&str> = metric.roles.iter().copied().map(Role::name).collect();
    if names.is_empty() { "all".to_owned() } else { names.join(", ") }
}

fn label_of(metric: &Metric) -> String {
    let Some(label) = metric.label else { return String::new() };
    let words: Vec<String> = label.values.iter().map(|word| format!("`{word}`")).collect();
    format!("`{}` {}", label.name, words.join(" ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_and_object_name_every_metric() {
        let (page, object) = (markdown(), json());
        let object: Value = serde_json::from_str(&object).unwrap();
        for metric in all() {
            assert!(page.contains(&format!("| `{}` |", metric.name)), "{}", metric.name);
        }
        let names: Vec<&str> =
            object["metrics"].as_array().unwrap().iter().filter_map(|m| m["name"].as_str()).collect();
        assert_eq!(names, all().map(|metric| metric.name).collect::<Vec<_>>());
    }
}
