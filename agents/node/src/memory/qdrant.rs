//! Cases in a Qdrant server, shared by all sentinels of a care network. One collection for each model.
//!
//! A point's payload is the mandate's keyed tag, the rounded score and the outcome's word: no identity, no public id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hygeia_protocol::message::{B32, Outcome};
use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, CreateCollectionBuilder, CreateFieldIndexCollectionBuilder, DeletePointsBuilder,
    Distance, FieldType, Filter, GetPointsBuilder, PointStruct, PointsIdsList, QueryPointsBuilder,
    SetPayloadPointsBuilder, UpsertPointsBuilder, Value, VectorParamsBuilder,
};
use qdrant_client::{Payload, Qdrant, QdrantError};
use tonic::Code;

use super::case::{Case, CaseId, Embedding, FoundCase, MandateTag, ppm};
use super::store::{CaseStore, StoreError};

/// Time one call may take. An alert's search has a shorter budget of its own.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Mandates named in one call to delete.
const MANDATES_PER_CALL: usize = 256;
/// Layout of the points: part of the collection's name, so that another layout never mixes with it.
const LAYOUT: &str = "v2";

const MANDATE: &str = "mandate";
const SCORE: &str = "score";
const OUTCOME: &str = "outcome";

/// A connection to the server.
pub struct QdrantCases {
    client: Qdrant,
    collection: String,
    /// Whether the collection was seen to be there and no answer has said otherwise since.
    is_there: AtomicBool,
}

impl QdrantCases {
    /// The cases of a model on the server at `url`. Connects with the first call; nothing but an address that is none
    /// fails here.
    pub fn at(url: &str, model: &B32) -> Result<Self, Box<QdrantError>> {
        let client = Qdrant::from_url(url)
            .timeout(CALL_TIMEOUT)
            .connect_timeout(CALL_TIMEOUT)
            .skip_compatibility_check()
            .build()?;
        Ok(Self { client, collection: collection_of(model), is_there: AtomicBool::new(false) })
    }

    async fn nearest(&self, embedding: &Embedding, limit: usize) -> Result<Vec<FoundCase>, StoreError> {
        let query = QueryPointsBuilder::new(&self.collection)
            .query(embedding.as_slice().to_vec())
            .limit(limit as u64)
            .with_payload(true);
        let found = match self.client.query(query).await {
            // Nothing was ever remembered.
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            found => found.map_err(|error| failed("search", &error))?,
        };
        let case = |(payload, cosine): (HashMap<String, Value>, f32)| FoundCase {
            similarity_ppm: ppm(cosine),
            score: payload.get(SCORE).and_then(Value::as_integer).unwrap_or_default(),
            outcome: outcome_of(&payload),
        };
        Ok(found.result.into_iter().map(|point| case((point.payload, point.score))).collect())
    }

    async fn insert(&self, case: &Case) -> Result<(), StoreError> {
        if !self.is_there.load(Ordering::Acquire) {
            self.ensure(case.embedding.as_slice().len()).await?;
            self.is_there.store(true, Ordering::Release);
        }
        if self.payload_of(case.id).await?.is_some() {
            return Ok(());
        }
        let mut payload = Payload::new();
        payload.insert(MANDATE, case.mandate.to_string());
        payload.insert(SCORE, case.score);
        if let Some(outcome) = case.outcome {
            payload.insert(OUTCOME, outcome.word());
        }
        let point = PointStruct::new(case.id.to_string(), case.embedding.as_slice().to_vec(), payload);
        let upsert = UpsertPointsBuilder::new(&self.collection, vec![point]).wait(true);
        match self.client.upsert_points(upsert).await {
            // Somebody emptied the server: the next attempt makes the collection anew.
            Err(error) if is_absent(&error) => {
                self.is_there.store(false, Ordering::Release);
                Err(StoreError::Away { operation: "remember", reason: "the collection is gone" })
            }
            answer => answer.map(drop).map_err(|error| failed("remember", &error)),
        }
    }

    async fn note(&self, id: CaseId, outcome: Outcome) -> Result<bool, StoreError> {
        let Some(payload) = self.payload_of(id).await? else { return Ok(false) };
        if !outcome.replaces(outcome_of(&payload)) {
            return Ok(true);
        }
        let mut changed = Payload::new();
        changed.insert(OUTCOME, outcome.word());
        let set = SetPayloadPointsBuilder::new(&self.collection, changed)
            .points_selector(PointsIdsList { ids: vec![id.to_string().into()] })
            .wait(true);
        self.client.set_payload(set).await.map_err(|error| failed("set an outcome", &error))?;
        Ok(true)
    }

    async fn delete(&self, mandates: &[MandateTag]) -> Result<(), StoreError> {
        for some in mandates.chunks(MANDATES_PER_CALL) {
            let tags: Vec<String> = some.iter().map(MandateTag::to_string).collect();
            let delete = DeletePointsBuilder::new(&self.collection)
                .points(Filter::must([Condition::matches(MANDATE, tags)]))
                .wait(true);
            match self.client.delete_points(delete).await {
                Err(error) if !is_absent(&error) => return Err(failed("forget", &error)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn number(&self) -> Result<u64, StoreError> {
        match self.client.count(CountPointsBuilder::new(&self.collection).exact(true)).await {
            Err(error) if is_absent(&error) => Ok(0),
            answer => {
                let answer = answer.map_err(|error| failed("count", &error))?;
                Ok(answer.result.map_or(0, |result| result.count))
            }
        }
    }

    /// What the server has of a case besides its place.
    async fn payload_of(&self, id: CaseId) -> Result<Option<HashMap<String, Value>>, StoreError> {
        let get = GetPointsBuilder::new(&self.collection, vec![id.to_string().into()]).with_payload(true);
        match self.client.get_points(get).await {
            Err(error) if is_absent(&error) => Ok(None),
            answer => {
                let answer = answer.map_err(|error| failed("look a case up", &error))?;
                Ok(answer.result.into_iter().next().map(|point| point.payload))
            }
        }
    }

    /// Creates the collection where it is missing. Another sentinel may do the same at this moment.
    async fn ensure(&self, dimensions: usize) -> Result<(), StoreError> {
        if self.exists().await? {
            return Ok(());
        }
        let vectors = VectorParamsBuilder::new(dimensions as u64, Distance::Cosine);
        let create = CreateCollectionBuilder::new(&self.collection).vectors_config(vectors);
        if let Err(error) = self.client.create_collection(create).await
            && !self.exists().await?
        {
            return Err(failed("create the collection", &error));
        }
        let index = CreateFieldIndexCollectionBuilder::new(&self.collection, MANDATE, FieldType::Keyword).wait(true);
        self.client.create_field_index(index).await.map(drop).map_err(|error| failed("index the mandates", &error))
    }

    async fn exists(&self) -> Result<bool, StoreError> {
        self.client.collection_exists(&self.collection).await.map_err(|error| failed("look for the collection", &error))
    }
}

/// The collection that holds the cases of a model.
pub fn collection_of(model: &B32) -> String {
    format!("hygeia-cases-{LAYOUT}-{}", model.to_hex())
}

fn outcome_of(payload: &HashMap<String, Value>) -> Option<Outcome> {
    Outcome::of_word(payload.get(OUTCOME)?.as_str()?)
}

fn code_of(error: &QdrantError) -> Option<Code> {
    match error {
        QdrantError::ResponseError { status } => Some(status.code()),
        QdrantError::ResourceExhaustedError { .. } => Some(Code::ResourceExhausted),
        _ => None,
    }
}

fn is_absent(error: &QdrantError) -> bool {
    code_of(error) == Some(Code::NotFound)
}

/// What cannot be otherwise the next time is a refusal; all else may pass.
fn failed(operation: &'static str, error: &QdrantError) -> StoreError {
    let Some(code) = code_of(error) else {
        return StoreError::Away { operation, reason: "no answer" };
    };
    let reason = code.description();
    match code {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => StoreError::Refused { operation, reason },
        _ => StoreError::Away { operation, reason },
    }
}

impl CaseStore for QdrantCases {
    fn search<'a>(
        &'a self,
        embedding: &'a Embedding,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<FoundCase>, StoreError>> {
        self.nearest(embedding, limit).boxed()
    }

    fn remember<'a>(&'a self, case: &'a Case) -> BoxFuture<'a, Result<(), StoreError>> {
        self.insert(case).boxed()
    }

    fn set_outcome(&self, id: CaseId, outcome: Outcome) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.note(id, outcome).boxed()
    }

    fn forget<'a>(&'a self, mandates: &'a [MandateTag]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.delete(mandates).boxed()
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.number().boxed()
    }
}
