//! Packages on a real broker: fetched by their hash, and refused by it when a byte of them is another.

mod support;

use std::path::Path;
use std::time::Duration;

use hygeia_inference::package::{ARCHIVE_BYTES_MAX, ArchiveError, ModelPackage};
use hygeia_node::bus::Bus;
use hygeia_node::demo::processes::NatsServer;
use hygeia_node::models::store::{ModelStore, StoreError};

const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    nats: NatsServer,
    bus: Bus,
    package: ModelPackage,
    hash: [u8; 32],
    dir: tempfile::TempDir,
}

impl Scene {
    async fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let nats = NatsServer::start(&support::tools(), &dir.path().join("nats")).await.unwrap();
        let bus = Bus::connect(nats.url(), PATIENCE).await.unwrap();
        let package = support::another_model();
        Self { nats, bus, hash: package.hash(), package, dir }
    }

    async fn store(&self, cache: Option<&Path>) -> ModelStore {
        ModelStore::open(&self.bus, None, cache).await.unwrap()
    }

    /// Puts these bytes where the package should be.
    async fn put(&self, bytes: &[u8]) {
        let objects = self.bus.objects("hygeia_models").await.unwrap();
        objects.put(&hex::encode(self.hash), bytes).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_is_fetched_by_the_hash_it_was_published_under() {
    let scene = Scene::begin().await;
    let store = scene.store(None).await;
    let missing = store.fetch(scene.hash).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotPublished { .. }) && missing.may_pass());
    assert!(missing.to_string().contains(&hex::encode(scene.hash)));

    assert!(store.publish(&scene.package).await.unwrap());
    assert!(!store.publish(&scene.package).await.unwrap(), "it stands there already");
    let fetched = scene.store(None).await.fetch(scene.hash).await.unwrap();
    assert_eq!(fetched.hash(), scene.hash);
    assert_eq!(fetched.network(), scene.package.network());

    let shipped = ModelPackage::default_model().hash();
    assert_eq!(store.fetch(shipped).await.unwrap().hash(), shipped, "needs no publishing");
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_under_a_hash_and_is_something_else_is_refused_by_that_hash() {
    let scene = Scene::begin().await;
    let store = scene.store(None).await;
    let archive = scene.package.to_archive();
    let spoilt = |at: usize| {
        let mut bytes = archive.clone();
        bytes[at] ^= 1;
        bytes
    };
    let longer = [archive.as_slice(), b"\n"].concat();
    let cases = [
        spoilt(0),
        spoilt(40),
        spoilt(archive.len() / 2),
        spoilt(archive.len() - 1),
        longer,
        archive[1..].to_vec(),
        Vec::new(),
    ];
    for bytes in cases {
        scene.put(&bytes).await;
        let error = store.fetch(scene.hash).await.unwrap_err();
        let StoreError::Refused { hash, source: ArchiveError::Hash { expected, .. } } = &error else {
            panic!("{error:?}");
        };
        assert_eq!((*hash, *expected), (scene.hash, scene.hash));
        assert!(error.to_string().contains(&hex::encode(scene.hash)) && !error.may_pass());
    }

    scene.put(&vec![0; ARCHIVE_BYTES_MAX + 1]).await;
    let error = store.fetch(scene.hash).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { source: ArchiveError::TooLarge { .. }, .. }), "{error:?}");

    assert!(store.publish(&scene.package).await.unwrap(), "publishing mends it");
    assert_eq!(store.fetch(scene.hash).await.unwrap().hash(), scene.hash);
    scene.nats.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_serves_without_the_broker_unless_it_is_damaged() {
    let scene = Scene::begin().await;
    let cache = scene.dir.path().join("cache");
    scene.store(None).await.publish(&scene.package).await.unwrap();
    scene.store(Some(&cache)).await.fetch(scene.hash).await.unwrap();
    scene.put(b"gone").await;
    let store = scene.store(Some(&cache)).await;
    assert_eq!(store.fetch(scene.hash).await.unwrap().hash(), scene.hash, "from the copy");

    let file = cache.join(format!("{}.model", hex::encode(scene.hash)));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(matches!(store.fetch(scene.hash).await, Err(StoreError::Refused { .. })), "the damaged copy is not used");
    scene.store(None).await.publish(&scene.package).await.unwrap();
    assert_eq!(store.fetch(scene.hash).await.unwrap().hash(), scene.hash, "nor is it in the way");
    scene.nats.stop().await;
}
