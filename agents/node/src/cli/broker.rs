//! Flags of the broker: whose network it is, how its streams are kept, how replicas share it.

use std::num::NonZeroU8;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use hygeia_protocol::lease::MemberId;

use crate::bus::{BusSettings, Login, NetworkName};

/// Shortest time of a lease: members beat three times in it, over a broker that may be busy.
const LEASE_S_MIN: u64 = 1;
/// Longest time of a lease: this long nobody alerts for the patients of a replica that died.
const LEASE_S_MAX: u64 = 300;

/// Which network on the broker, and who asks.
#[derive(Debug, Clone, Args)]
pub struct AccessArgs {
    /// Name of the care network, where several share a broker: it has streams, subjects and buckets of its own.
    #[arg(long, env = "HYGEIA_NETWORK")]
    pub network: Option<NetworkName>,
    /// Credentials file of this network's account on the broker, as `nsc` writes it.
    #[arg(long, env = "HYGEIA_NATS_CREDS", conflicts_with = "nats_user")]
    pub nats_creds: Option<PathBuf>,
    /// Name to log in with at the broker.
    #[arg(long, env = "HYGEIA_NATS_USER", requires = "nats_password_file")]
    pub nats_user: Option<String>,
    /// File with the password of --nats-user.
    #[arg(long, env = "HYGEIA_NATS_PASSWORD_FILE", requires = "nats_user")]
    pub nats_password_file: Option<PathBuf>,
}

/// Which network on the broker, and how it is kept there. The same for every role of the network.
#[derive(Debug, Clone, Args)]
pub struct BrokerArgs {
    /// Whose streams they are.
    #[command(flatten)]
    pub access: AccessArgs,
    /// Servers of a cluster that keep each stream: 1, 3 or 5.
    #[arg(long, env = "HYGEIA_STREAM_REPLICAS", default_value = "1")]
    pub stream_replicas: NonZeroU8,
    /// Bytes that each stream may take on disk; no bound when absent. A full stream of observations, windows, alerts, proof
    /// requests or audits drops its oldest; one of what leads to money takes nothing more.
    #[arg(long, env = "HYGEIA_STREAM_BYTES_MAX")]
    pub stream_bytes_max: Option<u64>,
    /// Monitoring address of the broker, such as http://127.0.0.1:8222: whether it syncs what it acknowledges is then
    /// checked at the start.
    #[arg(long, env = "HYGEIA_NATS_MONITOR")]
    pub nats_monitor: Option<String>,
}

/// How this replica of a role takes its share of the partitions.
#[derive(Debug, Clone, Args)]
pub struct ReplicaArgs {
    /// Name of this process among the replicas of its roles, different for each; a random one when absent.
    #[arg(long, env = "HYGEIA_MEMBER", value_parser = member)]
    pub member: Option<MemberId>,
    /// Seconds after which the partitions of a replica that fell silent are taken over; the same for every replica.
    #[arg(long, env = "HYGEIA_LEASE_S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(LEASE_S_MIN..=LEASE_S_MAX))]
    pub lease_s: u64,
}

impl AccessArgs {
    /// The settings of a connection that only uses what is there.
    pub fn settings(&self, url: &str) -> BusSettings {
        let login = match (&self.nats_creds, &self.nats_user, &self.nats_password_file) {
            (Some(file), _, _) => Login::Credentials(file.clone()),
            (None, Some(user), Some(file)) => Login::Password { user: user.clone(), file: file.clone() },
            _ => Login::None,
        };
        BusSettings { network: self.network.clone(), login, ..BusSettings::open(url) }
    }
}

impl BrokerArgs {
    /// The settings of a connection to the broker at `url`.
    pub fn settings(&self, url: &str) -> Result<BusSettings> {
        let replicas = self.stream_replicas;
        ensure!([1, 3, 5].contains(&replicas.get()), "--stream-replicas is 1, 3 or 5, not {replicas}");
        Ok(BusSettings { replicas, stream_bytes_max: self.stream_bytes_max, ..self.access.settings(url) })
    }
}

fn member(text: &str) -> Result<MemberId, String> {
    MemberId::new(text).map_err(|error| error.to_string())
}
