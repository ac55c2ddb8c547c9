//! Spans, their attributes, and the fields that stand in every line of the JSON log.

/// A step of a datum's way that a trace shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpanName {
    /// An observation is stored.
    Observation,
    /// A window is attested and published.
    Window,
    /// A window is scored and decided on.
    Score,
    /// An alert is published.
    Alert,
    /// A proof is made, verified and published.
    Proof,
    /// A receipt is brought to the chain.
    Settlement,
}

impl SpanName {
    /// Every one, in the order of a datum's way.
    pub const ALL: [Self; 6] =
        [Self::Observation, Self::Window, Self::Score, Self::Alert, Self::Proof, Self::Settlement];

    /// As it stands in a trace.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observation => "observation",
            Self::Window => "window",
            Self::Score => "score",
            Self::Alert => "alert",
            Self::Proof => "proof",
            Self::Settlement => "settlement",
        }
    }

    /// What it covers.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Observation => "An observation is stored by the broker; no length",
            Self::Window => "From the storage of the observation to the window's publication, by the oracle",
            Self::Score => "From a window in hand to the decision, by the sentinel",
            Self::Alert => "An alert is published, by the sentinel",
            Self::Proof => "From a request in hand to the receipt's publication, by the prover",
            Self::Settlement => "From a receipt in hand to the chain's final answer, by the steward",
        }
    }
}

/// What a span may tell about itself. Nothing else is exported: no mandate, no patient, no value, no ward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attribute {
    /// The role whose step it is.
    Role,
    /// The partition, a number.
    Partition,
    /// Identifier of the care policy, as on chain.
    Policy,
    /// Content hash of the model.
    Model,
    /// Identifier of the receipt.
    Receipt,
    /// How it ended, one of the words of the metric of the same step.
    Outcome,
    /// The role that recorded the step in another's name, because only later was it known that the trace is kept.
    RecordedBy,
}

impl Attribute {
    /// Every one.
    pub const ALL: [Self; 7] =
        [Self::Role, Self::Partition, Self::Policy, Self::Model, Self::Receipt, Self::Outcome, Self::RecordedBy];

    /// As it stands in a span.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Role => "hygeia.role",
            Self::Partition => "hygeia.partition",
            Self::Policy => "hygeia.policy",
            Self::Model => "hygeia.model",
            Self::Receipt => "hygeia.receipt",
            Self::Outcome => "hygeia.outcome",
            Self::RecordedBy => "hygeia.recorded_by",
        }
    }
}

/// Fields of every line of the JSON log beside time, level, target and the event's own, with what they hold.
pub const LOG_FIELDS: [(&str, &str); 3] = [
    ("role", "The role that wrote the line; absent where none did"),
    ("member", "The process's own name, told apart from other replicas"),
    ("trace_id", "The trace that the line belongs to; absent where it belongs to none"),
];

/// Lines that people and programs look for: what they say, at which level, and when. Their words are an interface too.
pub const LOG_EVENTS: [(&str, &str, &str); 8] = [
    ("alert raised", "INFO", "An alert is stored; `alert` is its id"),
    ("proof verified and published", "INFO", "An alert's receipt is stored"),
    ("no proof for an alert: this is an incident", "ERROR", "An alert ends without a proof; `kind` says why"),
    ("care triggered", "INFO", "The chain has taken a receipt for good; `transaction` and `block` are public"),
    ("audit verified and published", "INFO", "The receipts of a batch are stored"),
    ("an audit is put aside: this is an incident", "ERROR", "A batch stays without an audit; `kind` says why"),
    ("the registries could not be read; the last view stands", "WARN", "A role works on an old view of the registries"),
    ("the log's filter was changed", "WARN", "Somebody changed what is logged; `before` and `now` are the filters"),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// All sources of this crate but this file.
    fn sources(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if !path.ends_with("schema/events.rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }

    #[test]
    fn every_line_that_is_looked_for_is_written_somewhere() {
        let mut text = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
        let is_written = |line: &str| text.contains(&format!("\"{line}\""));
        let missing: Vec<&str> = LOG_EVENTS.iter().map(|(line, ..)| *line).filter(|line| !is_written(line)).collect();
        assert_eq!(missing, Vec::<&str>::new());
        assert!(!is_written(&["a line", "that nobody writes"].join(" ")), "the search is not blind");
    }
}
