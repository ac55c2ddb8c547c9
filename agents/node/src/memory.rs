//! Memory of similar cases: the nearest earlier alerts, by the network's own view of the patient.
//!
//! Every node keeps its newest cases itself and searches them exactly. With a Qdrant server the whole care network's
//! cases are shared. Nothing here may delay an alert: a search has [`SEARCH_BUDGET`] and then counts as empty, a write
//! happens in the background. A case holds no identity, only an embedding, a score and what became of it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use hygeia_inference::network::{IntegerNetwork, NetworkError};
use hygeia_protocol::message::{B32, SimilarCase};
use qdrant_client::qdrant::{
    CreateCollectionBuilder, Distance, PointStruct, QueryPointsBuilder, UpsertPointsBuilder, VectorParamsBuilder,
};
use qdrant_client::{Payload, Qdrant};
use tokio::sync::mpsc;

/// Longest time a search may take out of an alert's latency.
const SEARCH_BUDGET: Duration = Duration::from_millis(20);
/// Cases attached to an alert.
const CASES_SHOWN: usize = 3;
/// Cases one node remembers by itself; at 32 dimensions this is a few megabytes and well under a millisecond to search.
const CASES_KEPT: usize = 10_000;
/// Writes to Qdrant that may wait; when the server is slower than the alerts, the oldest knowledge is not worth a queue.
const WRITES_WAITING: usize = 256;
/// Time one background call to Qdrant may take.
const QDRANT_TIMEOUT: Duration = Duration::from_secs(2);

/// The network's last hidden layer, scaled to length one.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// The embedding of a window's features.
    pub fn of(network: &IntegerNetwork, features: &[i32]) -> Result<Self, NetworkError> {
        let evaluation = network.evaluate(features)?;
        let hidden = evaluation.activations.iter().rev().nth(1).cloned().unwrap_or_default();
        let norm = hidden.iter().map(|x| (*x as f64).powi(2)).sum::<f64>().sqrt().max(1.0);
        Ok(Self(hidden.iter().map(|x| (*x as f64 / norm) as f32).collect()))
    }

    /// Cosine similarity in millionths; 0 when the dimensions differ.
    fn similarity_ppm(&self, other: &Self) -> u32 {
        if self.0.len() != other.0.len() {
            return 0;
        }
        let cosine: f32 = self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum();
        (cosine.clamp(0.0, 1.0) * 1e6) as u32
    }
}

struct Case {
    embedding: Embedding,
    score: i64,
}

struct Write {
    id: u64,
    embedding: Embedding,
    score: i64,
}

/// The cases a sentinel can look up.
pub struct CaseMemory {
    // Held for a search of some thousand dot products at most, never across an await.
    own: Mutex<VecDeque<Case>>,
    shared: Option<Shared>,
}

struct Shared {
    client: Qdrant,
    collection: String,
    // Read by the background writer, which ends when the memory is dropped.
    writes: mpsc::Sender<Write>,
}

impl CaseMemory {
    /// Opens the memory of one model (embeddings of different models cannot be compared). A Qdrant server that cannot be
    /// reached is said once and tried again with each write.
    pub fn open(qdrant: Option<&str>, model: &str) -> Result<Self> {
        let shared = qdrant.map(|url| Shared::open(url, model)).transpose()?;
        Ok(Self { own: Mutex::default(), shared })
    }

    /// The nearest earlier cases; none when the memory is empty or too slow.
    pub async fn nearest(&self, embedding: &Embedding) -> Vec<SimilarCase> {
        if let Some(shared) = &self.shared {
            match tokio::time::timeout(SEARCH_BUDGET, shared.nearest(embedding)).await {
                Ok(Ok(cases)) => return cases,
                Ok(Err(reason)) => tracing::debug!(reason = format!("{reason:#}"), "Qdrant gave no cases"),
                Err(_elapsed) => tracing::debug!("Qdrant took longer than an alert may wait"),
            }
        }
        self.nearest_own(embedding)
    }

    /// Remembers a case.
    pub fn remember(&self, alert: &B32, embedding: Embedding, score: i64) {
        if let Some(shared) = &self.shared {
            let [a, b, c, d, e, f, g, h, ..] = *alert.as_bytes();
            let id = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            if shared.writes.try_send(Write { id, embedding: embedding.clone(), score }).is_err() {
                tracing::debug!("Qdrant is behind: one case is remembered on this node only");
            }
        }
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.len() == CASES_KEPT {
            own.pop_front();
        }
        own.push_back(Case { embedding, score });
    }

    fn nearest_own(&self, embedding: &Embedding) -> Vec<SimilarCase> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cases: Vec<(u32, i64)> =
            own.iter().map(|case| (case.embedding.similarity_ppm(embedding), case.score)).collect();
        drop(own);
        cases.sort_unstable_by(|a, b| b.cmp(a));
        cases
            .into_iter()
            .take(CASES_SHOWN)
            .map(|(similarity_ppm, score)| SimilarCase { score, similarity_ppm, outcome: None })
            .collect()
    }
}

impl Shared {
    fn open(url: &str, model: &str) -> Result<Self> {
        let client = || {
            Qdrant::from_url(url)
                .timeout(QDRANT_TIMEOUT)
                .skip_compatibility_check()
                .build()
                .with_context(|| format!("{url} is not the address of a Qdrant server"))
        };
        let collection = format!("hygeia-cases-{model}");
        let (writes, waiting) = mpsc::channel(WRITES_WAITING);
        tokio::spawn(write_behind(client()?, collection.clone(), waiting));
        Ok(Self { client: client()?, collection, writes })
    }

    async fn nearest(&self, embedding: &Embedding) -> Result<Vec<SimilarCase>> {
        let query = QueryPointsBuilder::new(&self.collection)
            .query(embedding.0.clone())
            .limit(CASES_SHOWN as u64)
            .with_payload(true);
        let found = self.client.query(query).await?;
        Ok(found
            .result
            .iter()
            .map(|point| SimilarCase {
                score: point.payload.get("score").and_then(|v| v.as_integer()).unwrap_or_default(),
                similarity_ppm: (point.score.clamp(0.0, 1.0) * 1e6) as u32,
                outcome: point.payload.get("outcome").and_then(|v| v.as_str()).cloned(),
            })
            .collect())
    }
}

async fn write_behind(client: Qdrant, collection: String, mut waiting: mpsc::Receiver<Write>) {
    let mut ready = false;
    while let Some(write) = waiting.recv().await {
        let stored = async {
            if !ready {
                ensure_collection(&client, &collection, write.embedding.0.len()).await?;
            }
            let payload = Payload::try_from(serde_json::json!({ "score": write.score }))?;
            let point = PointStruct::new(write.id, write.embedding.0, payload);
            client.upsert_points(UpsertPointsBuilder::new(&collection, vec![point])).await?;
            anyhow::Ok(())
        };
        match stored.await {
            Ok(()) => ready = true,
            Err(reason) => tracing::warn!(reason = format!("{reason:#}"), "a case was not stored in Qdrant"),
        }
    }
}

async fn ensure_collection(client: &Qdrant, collection: &str, dimensions: usize) -> Result<()> {
    if !client.collection_exists(collection).await? {
        let vectors = VectorParamsBuilder::new(dimensions as u64, Distance::Cosine);
        client.create_collection(CreateCollectionBuilder::new(collection).vectors_config(vectors)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(values: &[f32]) -> Embedding {
        let norm = values.iter().map(|x| x * x).sum::<f32>().sqrt();
        Embedding(values.iter().map(|x| x / norm).collect())
    }

    #[tokio::test]
    async fn the_nearest_own_case_comes_first() {
        let memory = CaseMemory::open(None, "test").unwrap();
        memory.remember(&B32::new([1; 32]), embedding(&[1.0, 0.0]), 10);
        memory.remember(&B32::new([2; 32]), embedding(&[0.0, 1.0]), 20);
        memory.remember(&B32::new([3; 32]), embedding(&[1.0, 1.0]), 30);
        let scores: Vec<i64> = memory.nearest(&embedding(&[0.1, 1.0])).await.iter().map(|c| c.score).collect();
        assert_eq!(scores, [20, 30, 10]);
    }

    #[tokio::test]
    async fn an_absent_server_costs_no_more_than_the_budget() {
        // A port of the loopback interface that was just free: nothing answers there.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let memory = CaseMemory::open(Some(&format!("http://{free}")), "test").unwrap();
        memory.remember(&B32::new([1; 32]), embedding(&[1.0, 0.0]), 10);
        let cases = memory.nearest(&embedding(&[1.0, 0.0])).await;
        assert_eq!(cases.len(), 1, "the node's own cases serve instead");
    }
}
