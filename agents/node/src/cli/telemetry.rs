//! Settings of telemetry, and of the commands that look at it.

use std::time::Duration;

use clap::Args;

use super::broker::AccessArgs;

/// What a role tells of itself, and to whom.
#[derive(Debug, Clone, Args)]
pub struct TelemetryArgs {
    /// Send kept traces to the OpenTelemetry collector at this address (OTLP over HTTP). Absent: traces stay in the logs.
    #[arg(long, env = "HYGEIA_OTLP", value_name = "URL")]
    pub otlp: Option<String>,
    /// Share of traces that is kept, from 0 to 1. One that leads to an alert is always kept.
    #[arg(long, env = "HYGEIA_TRACE_SAMPLE", value_name = "RATIO", default_value = "0.01", value_parser = ratio)]
    pub trace_sample: f64,
    /// Let other machines change the log's filter over the health port too, not this one alone.
    #[arg(long, env = "HYGEIA_LOG_FROM_ANYWHERE")]
    pub log_from_anywhere: bool,
}

impl Default for TelemetryArgs {
    fn default() -> Self {
        Self { otlp: None, trace_sample: 0.01, log_from_anywhere: false }
    }
}

/// Whose log, and what it is to show.
#[derive(Debug, Clone, Args)]
pub struct LogLevelArgs {
    /// Address of the process's health port.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub health: String,
    /// The filter to put in force, in the syntax of tracing's EnvFilter; the one in force is shown when absent.
    pub filter: Option<String>,
}

/// What of the schema to write.
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// Write one JSON object instead of a page.
    #[arg(long)]
    pub json: bool,
}

/// Which network to watch.
#[derive(Debug, Clone, Args)]
pub struct TopArgs {
    /// Health ports of the roles, separated by commas.
    #[arg(long, env = "HYGEIA_TARGETS", value_delimiter = ',', value_name = "URL")]
    pub targets: Vec<String>,
    /// Address of the NATS server, for what waits in its streams; `none` leaves the broker out.
    #[arg(long, env = "HYGEIA_NATS", default_value = "nats://127.0.0.1:4222")]
    pub nats: String,
    /// Whose streams they are.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Seconds between two looks.
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub every: Duration,
    /// Look once, after one such time, and end.
    #[arg(long)]
    pub once: bool,
    /// Print JSON, one object for each look, instead of the view.
    #[arg(long)]
    pub json: bool,
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("a number from 0 to 1 is needed".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.2..=3_600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds from 0.2 to 3600 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_a_share() {
        for (text, is_taken) in
            [("0", true), ("0.01", true), ("1", true), ("1.01", false), ("-0.1", false), ("NaN", false)]
        {
            assert_eq!(ratio(text).is_ok(), is_taken, "{text}");
        }
    }

    #[test]
    fn looks_are_neither_endless_nor_a_load() {
        for (text, is_taken) in [("0.2", true), ("2", true), ("0", false), ("0.1", false), ("inf", false), ("x", false)]
        {
            assert_eq!(seconds(text).is_ok(), is_taken, "{text}");
        }
    }
}
