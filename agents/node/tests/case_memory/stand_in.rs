//! A stand-in for a Qdrant server: the service that Qdrant's own client speaks to, over real gRPC, with the few calls that
//! the memory of cases makes. It says what the client sends and how the client takes answers and errors; what Qdrant itself
//! makes of them only a Qdrant says: `QDRANT_URL=http://HOST:6334` runs the same suite against one.

#![allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ::qdrant_client::qdrant::collections_server::{Collections, CollectionsServer};
use ::qdrant_client::qdrant::condition::ConditionOneOf;
use ::qdrant_client::qdrant::r#match::MatchValue;
use ::qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use ::qdrant_client::qdrant::points_server::{Points, PointsServer};
use ::qdrant_client::qdrant::vectors::VectorsOptions;
use ::qdrant_client::qdrant::*;
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A server on a free port of the loopback interface; ends when dropped.
pub struct StandIn {
    address: SocketAddr,
    collections: Shelf,
    server: JoinHandle<()>,
}

type Answer<T> = Result<Response<T>, Status>;

/// Collections by name. Held for a call's work, never across an await.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<HashMap<String, Vec<Point>>>>);

struct Point {
    id: PointId,
    direction: Vec<f32>,
    payload: HashMap<String, Value>,
}

impl StandIn {
    /// Starts the server.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts the server at an address.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let collections = Shelf::default();
        let router = tonic::transport::Server::builder()
            .add_service(CollectionsServer::new(collections.clone()))
            .add_service(PointsServer::new(collections.clone()));
        let server = tokio::spawn(async move {
            router.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
        });
        Self { address, collections, server }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forgets everything, as a server does whose disk was replaced.
    pub fn wipe(&self) {
        self.collections.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Every word and number that it was given besides vectors, for a look at what it was told.
    pub fn told(&self) -> String {
        let collections = self.collections.0.lock().unwrap_or_else(PoisonError::into_inner);
        let points = collections.iter().flat_map(|(name, points)| points.iter().map(move |point| (name, point)));
        points.map(|(name, point)| format!("{name} {:?} {:?}\n", point.id, point.payload)).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shelf {
    fn with<T>(&self, collection: &str, work: impl FnOnce(&mut Vec<Point>) -> Result<T, Status>) -> Answer<T> {
        let mut collections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let points = collections.get_mut(collection).ok_or_else(|| Status::not_found("no such collection"))?;
        work(points).map(Response::new)
    }
}

#[tonic::async_trait]
impl Collections for Shelf {
    async fn create(&self, request: Request<CreateCollection>) -> Answer<CollectionOperationResponse> {
        let name = request.into_inner().collection_name;
        let mut collections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if collections.contains_key(&name) {
            return Err(Status::already_exists("the collection is there"));
        }
        collections.insert(name, Vec::new());
        Ok(Response::new(CollectionOperationResponse { result: true, time: 0.0 }))
    }

    async fn delete(&self, request: Request<DeleteCollection>) -> Answer<CollectionOperationResponse> {
        let name = request.into_inner().collection_name;
        let removed = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        Ok(Response::new(CollectionOperationResponse { result: removed.is_some(), time: 0.0 }))
    }

    async fn collection_exists(&self, request: Request<CollectionExistsRequest>) -> Answer<CollectionExistsResponse> {
        let name = request.into_inner().collection_name;
        let exists = self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&name);
        Ok(Response::new(CollectionExistsResponse { result: Some(CollectionExists { exists }), time: 0.0 }))
    }

    async fn get(&self, _: Request<GetCollectionInfoRequest>) -> Answer<GetCollectionInfoResponse> {
        not_made()
    }

    async fn list(&self, _: Request<ListCollectionsRequest>) -> Answer<ListCollectionsResponse> {
        not_made()
    }

    async fn update(&self, _: Request<UpdateCollection>) -> Answer<CollectionOperationResponse> {
        not_made()
    }

    async fn update_aliases(&self, _: Request<ChangeAliases>) -> Answer<CollectionOperationResponse> {
        not_made()
    }

    async fn list_collection_aliases(&self, _: Request<ListCollectionAliasesRequest>) -> Answer<ListAliasesResponse> {
        not_made()
    }

    async fn list_aliases(&self, _: Request<ListAliasesRequest>) -> Answer<ListAliasesResponse> {
        not_made()
    }

    async fn collection_cluster_info(
        &self,
        _: Request<CollectionClusterInfoRequest>,
    ) -> Answer<CollectionClusterInfoResponse> {
        not_made()
    }

    async fn update_collection_cluster_setup(
        &self,
        _: Request<UpdateCollectionClusterSetupRequest>,
    ) -> Answer<UpdateCollectionClusterSetupResponse> {
        not_made()
    }

    async fn create_shard_key(&self, _: Request<CreateShardKeyRequest>) -> Answer<CreateShardKeyResponse> {
        not_made()
    }

    async fn delete_shard_key(&self, _: Request<DeleteShardKeyRequest>) -> Answer<DeleteShardKeyResponse> {
        not_made()
    }

    async fn list_shard_keys(&self, _: Request<ListShardKeysRequest>) -> Answer<ListShardKeysResponse> {
        not_made()
    }
}

#[tonic::async_trait]
impl Points for Shelf {
    async fn upsert(&self, request: Request<UpsertPoints>) -> Answer<PointsOperationResponse> {
        let UpsertPoints { collection_name, points: new, .. } = request.into_inner();
        self.with(&collection_name, |points| {
            for point in new {
                let id = point.id.ok_or_else(|| Status::invalid_argument("a point without a name"))?;
                let direction = direction(dense(point.vectors)?);
                points.retain(|known| known.id != id);
                points.push(Point { id, direction, payload: point.payload });
            }
            Ok(PointsOperationResponse::default())
        })
    }

    async fn delete(&self, request: Request<DeletePoints>) -> Answer<PointsOperationResponse> {
        let DeletePoints { collection_name, points: which, .. } = request.into_inner();
        let Some(PointsSelectorOneOf::Filter(filter)) = which.and_then(|which| which.points_selector_one_of) else {
            return Err(Status::invalid_argument("points are deleted by filter"));
        };
        self.with(&collection_name, |points| {
            let (key, words) = keywords(filter)?;
            let is_named = |point: &Point| {
                let word = point.payload.get(&key).and_then(Value::as_str);
                word.is_some_and(|word| words.iter().any(|known| known == word))
            };
            points.retain(|point| !is_named(point));
            Ok(PointsOperationResponse::default())
        })
    }

    async fn get(&self, request: Request<GetPoints>) -> Answer<GetResponse> {
        let GetPoints { collection_name, ids, .. } = request.into_inner();
        self.with(&collection_name, |points| {
            let found = points.iter().filter(|point| ids.contains(&point.id)).map(|point| RetrievedPoint {
                id: Some(point.id.clone()),
                payload: point.payload.clone(),
                ..RetrievedPoint::default()
            });
            Ok(GetResponse { result: found.collect(), ..GetResponse::default() })
        })
    }

    async fn set_payload(&self, request: Request<SetPayloadPoints>) -> Answer<PointsOperationResponse> {
        let SetPayloadPoints { collection_name, payload, points_selector, .. } = request.into_inner();
        let which = points_selector.and_then(|which| which.points_selector_one_of);
        let Some(PointsSelectorOneOf::Points(PointsIdsList { ids })) = which else {
            return Err(Status::invalid_argument("a payload is set by name"));
        };
        self.with(&collection_name, |points| {
            for point in points.iter_mut().filter(|point| ids.contains(&point.id)) {
                point.payload.extend(payload.clone());
            }
            Ok(PointsOperationResponse::default())
        })
    }

    async fn create_field_index(
        &self,
        request: Request<CreateFieldIndexCollection>,
    ) -> Answer<PointsOperationResponse> {
        self.with(&request.into_inner().collection_name, |_| Ok(PointsOperationResponse::default()))
    }

    async fn count(&self, request: Request<CountPoints>) -> Answer<CountResponse> {
        self.with(&request.into_inner().collection_name, |points| {
            let result = Some(CountResult { count: points.len() as u64 });
            Ok(CountResponse { result, ..CountResponse::default() })
        })
    }

    async fn query(&self, request: Request<QueryPoints>) -> Answer<QueryResponse> {
        let QueryPoints { collection_name, query, limit, .. } = request.into_inner();
        let wanted = direction(nearest(query)?);
        self.with(&collection_name, |points| {
            let cosine = |point: &Point| point.direction.iter().zip(&wanted).map(|(a, b)| a * b).sum();
            let mut result: Vec<ScoredPoint> = points
                .iter()
                .map(|point| ScoredPoint {
                    id: Some(point.id.clone()),
                    payload: point.payload.clone(),
                    score: cosine(point),
                    ..ScoredPoint::default()
                })
                .collect();
            result.sort_by(|a, b| b.score.total_cmp(&a.score));
            result.truncate(limit.unwrap_or(10) as usize);
            Ok(QueryResponse { result, ..QueryResponse::default() })
        })
    }

    async fn update_vectors(&self, _: Request<UpdatePointVectors>) -> Answer<PointsOperationResponse> {
        not_made()
    }

    async fn delete_vectors(&self, _: Request<DeletePointVectors>) -> Answer<PointsOperationResponse> {
        not_made()
    }

    async fn overwrite_payload(&self, _: Request<SetPayloadPoints>) -> Answer<PointsOperationResponse> {
        not_made()
    }

    async fn delete_payload(&self, _: Request<DeletePayloadPoints>) -> Answer<PointsOperationResponse> {
        not_made()
    }

    async fn clear_payload(&self, _: Request<ClearPayloadPoints>) -> Answer<PointsOperationResponse> {
        not_made()
    }

    async fn delete_field_index(&self, _: Request<DeleteFieldIndexCollection>) -> Answer<PointsOperationResponse> {
        not_made()
    }

    async fn create_vector_name(&self, _: Request<CreateVectorNameRequest>) -> Answer<PointsOperationResponse> {
        not_made()
    }

    async fn delete_vector_name(&self, _: Request<DeleteVectorNameRequest>) -> Answer<PointsOperationResponse> {
        not_made()
    }

    async fn search(&self, _: Request<SearchPoints>) -> Answer<SearchResponse> {
        not_made()
    }

    async fn search_batch(&self, _: Request<SearchBatchPoints>) -> Answer<SearchBatchResponse> {
        not_made()
    }

    async fn search_groups(&self, _: Request<SearchPointGroups>) -> Answer<SearchGroupsResponse> {
        not_made()
    }

    async fn scroll(&self, _: Request<ScrollPoints>) -> Answer<ScrollResponse> {
        not_made()
    }

    async fn recommend(&self, _: Request<RecommendPoints>) -> Answer<RecommendResponse> {
        not_made()
    }

    async fn recommend_batch(&self, _: Request<RecommendBatchPoints>) -> Answer<RecommendBatchResponse> {
        not_made()
    }

    async fn recommend_groups(&self, _: Request<RecommendPointGroups>) -> Answer<RecommendGroupsResponse> {
        not_made()
    }

    async fn discover(&self, _: Request<DiscoverPoints>) -> Answer<DiscoverResponse> {
        not_made()
    }

    async fn discover_batch(&self, _: Request<DiscoverBatchPoints>) -> Answer<DiscoverBatchResponse> {
        not_made()
    }

    async fn update_batch(&self, _: Request<UpdateBatchPoints>) -> Answer<UpdateBatchResponse> {
        not_made()
    }

    async fn query_batch(&self, _: Request<QueryBatchPoints>) -> Answer<QueryBatchResponse> {
        not_made()
    }

    async fn query_groups(&self, _: Request<QueryPointGroups>) -> Answer<QueryGroupsResponse> {
        not_made()
    }

    async fn facet(&self, _: Request<FacetCounts>) -> Answer<FacetResponse> {
        not_made()
    }

    async fn search_matrix_pairs(&self, _: Request<SearchMatrixPoints>) -> Answer<SearchMatrixPairsResponse> {
        not_made()
    }

    async fn search_matrix_offsets(&self, _: Request<SearchMatrixPoints>) -> Answer<SearchMatrixOffsetsResponse> {
        not_made()
    }
}

/// A call that the memory of cases does not make.
fn not_made<T>() -> Answer<T> {
    Err(Status::unimplemented("the stand-in knows the calls of the memory of cases only"))
}

fn dense(vectors: Option<Vectors>) -> Result<Vec<f32>, Status> {
    let Some(VectorsOptions::Vector(vector)) = vectors.and_then(|vectors| vectors.vectors_options) else {
        return Err(Status::invalid_argument("a point has one vector"));
    };
    match vector.vector {
        Some(vector::Vector::Dense(DenseVector { data })) => Ok(data),
        _ => Err(Status::invalid_argument("a point has a dense vector")),
    }
}

fn nearest(query: Option<Query>) -> Result<Vec<f32>, Status> {
    let variant = match query.and_then(|query| query.variant) {
        Some(query::Variant::Nearest(VectorInput { variant })) => variant,
        _ => None,
    };
    match variant {
        Some(vector_input::Variant::Dense(DenseVector { data })) => Ok(data),
        _ => Err(Status::invalid_argument("a query is for what is near a dense vector")),
    }
}

/// The key of a filter, and the words that it may have.
fn keywords(filter: Filter) -> Result<(String, Vec<String>), Status> {
    let condition = filter.must.into_iter().next().and_then(|condition| condition.condition_one_of);
    let Some(ConditionOneOf::Field(FieldCondition { key, r#match: Some(Match { match_value }), .. })) = condition
    else {
        return Err(Status::invalid_argument("a filter is on a field"));
    };
    match match_value {
        Some(MatchValue::Keywords(RepeatedStrings { strings })) => Ok((key, strings)),
        _ => Err(Status::invalid_argument("a filter names words")),
    }
}

/// As Qdrant keeps vectors that are compared by their cosine.
fn direction(vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.into_iter().map(|x| x / norm).collect()
}
