//! A node between a steward and the chain that is late, behind, ahead, or does not tell the truth.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::transports::http::reqwest::Client;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// What the node does to its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    Honest,
    /// It names another chain.
    OtherChain,
    /// It says of every receipt that the transaction reverted, or that it did not.
    TurnedStatus,
    /// It gives the receipt of a transaction to another contract.
    OtherReceiver,
    /// It tells of no event.
    NoEvents,
    /// Its head is a thousand blocks ahead of its blocks.
    AheadOfItself,
    /// Its head is this far behind.
    Behind(u64),
    /// Blocks that do not follow each other.
    OtherParents,
    /// It answers this long after it was asked.
    Late(Duration),
    /// It says that it took a transaction, and throws it away.
    ThrowsAway,
    /// Not JSON at all.
    Noise,
}

#[derive(Clone)]
pub struct Proxy {
    pub url: String,
    state: Arc<Inner>,
}

struct Inner {
    to: String,
    client: Client,
    lie: Mutex<Lie>,
}

impl Proxy {
    pub async fn before(to: &str) -> Self {
        let state = Arc::new(Inner { to: to.to_owned(), client: Client::new(), lie: Mutex::new(Lie::Honest) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/", post(answer)).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub fn does(&self, lie: Lie) {
        *self.state.lie.lock().unwrap() = lie;
    }
}

async fn answer(State(inner): State<Arc<Inner>>, Json(question): Json<Value>) -> String {
    let lie = *inner.lie.lock().unwrap();
    if let Lie::Late(pause) = lie {
        tokio::time::sleep(pause).await;
    }
    let method = question["method"].as_str().unwrap_or_default().to_owned();
    if lie == Lie::Noise {
        return "<html>502</html>".to_owned();
    }
    if lie == Lie::ThrowsAway && method == "eth_sendRawTransaction" {
        let hash = format!("0x{}", "11".repeat(32));
        return json!({ "jsonrpc": "2.0", "id": question["id"], "result": hash }).to_string();
    }
    let text = inner.client.post(&inner.to).header("content-type", "application/json").body(question.to_string());
    let text = text.send().await.unwrap().text().await.unwrap();
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    if let Some(result) = answer.get_mut("result").filter(|result| !result.is_null()) {
        twist(lie, &method, result);
    }
    answer.to_string()
}

fn twist(lie: Lie, method: &str, result: &mut Value) {
    match (lie, method) {
        (Lie::OtherChain, "eth_chainId") => *result = json!("0x1"),
        (Lie::TurnedStatus, "eth_getTransactionReceipt") => {
            result["status"] = if result["status"] == "0x1" { json!("0x0") } else { json!("0x1") };
        }
        (Lie::OtherReceiver, "eth_getTransactionReceipt") => result["to"] = json!(format!("0x{}", "22".repeat(20))),
        (Lie::NoEvents, "eth_getTransactionReceipt") => result["logs"] = json!([]),
        (Lie::NoEvents, "eth_getLogs") => *result = json!([]),
        (Lie::AheadOfItself, "eth_blockNumber") => *result = moved(result, |head| head + 1_000),
        (Lie::Behind(blocks), "eth_blockNumber") => *result = moved(result, |head| head.saturating_sub(blocks)),
        (Lie::OtherParents, "eth_getBlockByNumber") => result["parentHash"] = json!(format!("0x{}", "33".repeat(32))),
        _ => {}
    }
}

fn moved(number: &Value, by: impl Fn(u64) -> u64) -> Value {
    let digits = number.as_str().unwrap().trim_start_matches("0x");
    json!(format!("{:#x}", by(u64::from_str_radix(digits, 16).unwrap())))
}
