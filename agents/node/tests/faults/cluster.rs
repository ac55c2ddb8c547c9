//! Three servers that hold every message; the leader of the windows is cut off from the two others.
//!
//! The servers reach one another only through ways that can be cut, so no right to change the machine's network is needed.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use hygeia_node::bus::Bus;
use hygeia_node::demo::network::Broker;
use hygeia_node::demo::processes::NatsServer;
use hygeia_protocol::subject::Stream;

use crate::proxy::Proxy;
use crate::scene::{Scene, THRESHOLD};
use crate::support;

/// Servers of the cluster.
const SERVERS: usize = 3;
/// How long the leader is cut off.
const CUT: Duration = Duration::from_secs(15);
/// How long the servers may take to choose their first leader.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or more; `cargo xtask faults` runs it"]
async fn a_leader_may_be_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(dir.path()).await;
    let urls: Vec<String> = cluster.servers.iter().map(|server| server.url().to_owned()).collect();
    let broker = Broker { server: cluster.servers.remove(0), urls: urls.join(","), replicas: SERVERS };
    let network = support::network_on(&support::tools(), dir.path(), Some(THRESHOLD), broker).await;
    let mut scene = Scene::of(network).await;
    scene.start_roles();
    let replaying = scene.replay(Duration::from_secs(60));
    tokio::time::sleep(Duration::from_secs(6)).await;

    let leader = leader_of(&scene.network.bus, Stream::Windows).await;
    let leader: usize = leader.strip_prefix('s').unwrap().parse().unwrap();
    cluster.ways.cut(leader);
    scene.time_recovery("leader cut off").await;
    scene.supervised(tokio::time::sleep(CUT)).await;
    cluster.ways.mend();
    scene.time_recovery("leader back").await;
    scene.check(replaying).await;
}

struct Cluster {
    servers: Vec<NatsServer>,
    ways: Ways,
}

/// The way from each server to each other.
struct Ways(Vec<Vec<Option<Proxy>>>);

impl Ways {
    fn cut(&self, server: usize) {
        self.set_open(|from, to| from != server && to != server);
    }

    fn mend(&self) {
        self.set_open(|_, _| true);
    }

    fn set_open(&self, is_open: impl Fn(usize, usize) -> bool) {
        for (from, ways) in self.0.iter().enumerate() {
            for (to, way) in ways.iter().enumerate() {
                if let Some(way) = way {
                    way.set_open(is_open(from, to));
                }
            }
        }
    }
}

impl Cluster {
    async fn start(dir: &Path) -> Self {
        let ports: Vec<SocketAddr> = (0..SERVERS).map(|_| free_port()).collect();
        let mut ways = Vec::new();
        for from in 0..SERVERS {
            let mut of_server = Vec::new();
            for (to, &port) in ports.iter().enumerate() {
                of_server.push(if from == to { None } else { Some(Proxy::to(port).await) });
            }
            ways.push(of_server);
        }
        let ways = Ways(ways);
        let tools = support::tools();
        let starting = (0..SERVERS).map(|server| {
            let configuration = configuration(server, ports[server], &ways.0[server]);
            let (tools, dir) = (tools.clone(), dir.join(format!("nats-{server}")));
            async move { NatsServer::start_with(&tools, &dir, &configuration).await.unwrap() }
        });
        let servers = futures::future::join_all(starting).await;
        tokio::time::timeout(PATIENCE, has_leader(servers[0].url())).await.expect("the servers choose a leader");
        Self { servers, ways }
    }
}

/// A server that is known by its ways only: what it would tell others of its own address leads nowhere.
fn configuration(server: usize, port: SocketAddr, ways: &[Option<Proxy>]) -> String {
    let routes: Vec<String> = ways.iter().flatten().map(|way| format!("nats://{}", way.address())).collect();
    format!(
        "server_name: s{server}\ncluster {{\n  name: ward\n  listen: \"{port}\"\n  no_advertise: true\n  \
         cluster_advertise: \"127.0.0.1:1\"\n  routes: [{}]\n}}\n",
        routes.iter().map(|route| format!("\"{route}\"")).collect::<Vec<_>>().join(", "),
    )
}

async fn leader_of(bus: &Bus, stream: Stream) -> String {
    let jetstream = async_nats::jetstream::new(bus.client().clone());
    let stream = jetstream.get_stream(stream.name()).await.unwrap();
    stream.cached_info().cluster.as_ref().and_then(|cluster| cluster.leader.clone()).expect("a stream has a leader")
}

async fn has_leader(url: &str) {
    let bus = Bus::connect(url, PATIENCE).await.unwrap();
    while bus.bucket("first").await.is_err() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
