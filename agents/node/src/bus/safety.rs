//! Whether the broker keeps what it acknowledged when the power fails. Clients are not told: its monitoring address says.

use std::time::Duration;

use alloy::transports::http::reqwest;
use serde::Deserialize;
use thiserror::Error;

/// How long the monitoring address may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// When a server brings to disk what it has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// Before it acknowledges.
    Always,
    /// So long after it acknowledged, at most; a power failure loses what came since.
    Every(Duration),
    /// The server has no JetStream.
    NoJetStream,
}

/// The monitoring address gave no usable answer.
#[derive(Debug, Error)]
#[error("the monitoring address {url} of the NATS server gave no usable answer")]
pub struct MonitorError {
    url: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Deserialize, Default)]
struct JetStream {
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Config {
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
    #[serde(default)]
    sync_always: bool,
}

/// Asks a server's monitoring address (`http_port` in its configuration) how it syncs.
pub async fn sync_mode(monitor: &str) -> Result<SyncMode, MonitorError> {
    let url = format!("{}/varz", monitor.trim_end_matches('/'));
    let answer = async {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        client.get(&url).send().await?.error_for_status()?.bytes().await
    };
    let error = |source| MonitorError { url: url.clone(), source };
    let answer = answer.await.map_err(|source| error(Box::new(source)))?;
    serde_json::from_slice(&answer).map(|varz| mode(&varz)).map_err(|source| error(Box::new(source)))
}

fn mode(varz: &Varz) -> SyncMode {
    match &varz.jetstream.config {
        None => SyncMode::NoJetStream,
        Some(config) if config.sync_always => SyncMode::Always,
        Some(config) => SyncMode::Every(Duration::from_nanos(config.sync_interval)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nats-server 2.15.1 answers.
    #[test]
    fn the_server_says_when_it_syncs() {
        let of = |text: &str| mode(&serde_json::from_str(text).unwrap());
        let always = r#"{"jetstream":{"config":{"max_memory":1,"sync_interval":120000000000,"sync_always":true}}}"#;
        assert_eq!(of(always), SyncMode::Always);
        let now_and_then = r#"{"jetstream":{"config":{"max_memory":1,"sync_interval":120000000000},"stats":{}}}"#;
        assert_eq!(of(now_and_then), SyncMode::Every(Duration::from_secs(120)));
        assert_eq!(of(r#"{"version":"2.15.1","jetstream":{}}"#), SyncMode::NoJetStream);
        assert_eq!(of("{}"), SyncMode::NoJetStream);
    }
}
