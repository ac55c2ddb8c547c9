//! The health port: `/healthz`, `/readyz`, `/metrics` for machines, `/log` for whoever looks after the process.
//!
//! Nothing here changes what a role does, and `/log` takes its orders from this machine alone unless the operator allows
//! others.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::log::{self, FilterError};
use super::metrics::Metrics;

/// The version of Prometheus' text format that is spoken.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the health port serves.
#[derive(Clone)]
pub struct Health {
    /// The process's numbers.
    pub metrics: Metrics,
    /// Whether others than this machine may change the log's filter.
    pub log_from_anywhere: bool,
}

/// Serves the health port until `stop`.
pub async fn serve(address: SocketAddr, health: Health, stop: CancellationToken) -> Result<()> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listening on {address} for health checks"))?;
    serve_on(listener, health, stop).await
}

/// [`serve`] on a listener that is bound already.
pub async fn serve_on(listener: TcpListener, health: Health, stop: CancellationToken) -> Result<()> {
    let service = router(health).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(lives))
        .route("/readyz", get(is_ready))
        .route("/metrics", get(metrics))
        .route("/log", get(filter).put(change_filter))
        .layer(DefaultBodyLimit::max(log::FILTER_BYTES_MAX))
        .with_state(health)
}

/// 200 while every loop comes round; else 503 with the names of those that do not.
async fn lives(State(health): State<Health>) -> Response {
    let stuck = health.metrics.watchdog().stuck();
    if stuck.is_empty() {
        return (StatusCode::OK, "ok\n").into_response();
    }
    let names: Vec<&str> = stuck.into_iter().map(|of| of.name()).collect();
    (StatusCode::SERVICE_UNAVAILABLE, format!("stuck: {}\n", names.join(", "))).into_response()
}

async fn is_ready(State(health): State<Health>) -> Response {
    match health.metrics.is_ready() {
        true => (StatusCode::OK, "ready\n").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], health.metrics.render()).into_response()
}

async fn filter() -> Response {
    match log::filter() {
        Some(filter) => (StatusCode::OK, format!("{filter}\n")).into_response(),
        None => (StatusCode::NOT_FOUND, format!("{}\n", FilterError::NoLog)).into_response(),
    }
}

async fn change_filter(
    State(health): State<Health>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: String,
) -> Response {
    if !health.log_from_anywhere && !is_this_machine(peer.ip()) {
        return (StatusCode::FORBIDDEN, "the log's filter is changed from this machine alone\n").into_response();
    }
    match log::change(body.trim()) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error @ FilterError::NoLog) => (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Whether a peer's address is one of the loopback interface, also when it is written as IPv6.
fn is_this_machine(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::watchdog::Loop;

    async fn served(metrics: &Metrics) -> (String, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let health = Health { metrics: metrics.clone(), log_from_anywhere: false };
        tokio::spawn(serve_on(listener, health, stop.clone()));
        (url, stop)
    }

    async fn get(url: &str) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn a_stuck_loop_is_named() {
        let metrics = Metrics::default();
        let (url, stop) = served(&metrics).await;
        let health = format!("{url}/healthz");
        assert_eq!(get(&health).await, (200, "ok\n".to_owned()));
        metrics.watchdog().beat(Loop::Oracle);
        metrics.watchdog().within(Loop::Prover, Duration::ZERO);
        metrics.watchdog().within(Loop::Steward, Duration::ZERO);
        assert_eq!(get(&health).await, (503, "stuck: prover, steward\n".to_owned()));
        metrics.watchdog().beat(Loop::Prover);
        metrics.watchdog().ended(Loop::Steward);
        assert_eq!(get(&health).await, (200, "ok\n".to_owned()));
        stop.cancel();
    }

    #[tokio::test]
    async fn ready_once_and_metrics_always() {
        let metrics = Metrics::default();
        let (url, stop) = served(&metrics).await;
        assert_eq!(get(&format!("{url}/readyz")).await.0, 503);
        metrics.ready();
        assert_eq!(get(&format!("{url}/readyz")).await.0, 200);
        let (status, text) = get(&format!("{url}/metrics")).await;
        assert!(status == 200 && text.contains("\nprocess_resident_memory_bytes "), "{text}");
        stop.cancel();
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for address in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(is_this_machine(address.parse().unwrap()), "{address}");
        }
        for address in ["10.0.0.1", "::ffff:10.0.0.1", "192.0.2.7", "fe80::1", "0.0.0.0"] {
            assert!(!is_this_machine(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn others_do_not_change_the_filter_unless_they_may() {
        let try_as = async |peer: &str, log_from_anywhere| {
            let health = Health { metrics: Metrics::default(), log_from_anywhere };
            let peer = ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4_000));
            change_filter(State(health), peer, "no filter=".to_owned()).await.status().as_u16()
        };
        assert_eq!(try_as("192.0.2.7", false).await, 403);
        assert_eq!(try_as("192.0.2.7", true).await, 400, "let in, and then told that this is no filter");
        assert_eq!(try_as("127.0.0.1", false).await, 400);
    }
}
